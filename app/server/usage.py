"""What each API key has used: requests, tokens, and the energy drawn meanwhile. Kept across restarts, without a word
of what was asked.
"""

import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from app.core.events import RequestLogged
from app.planning.energy import Series, integrate

if TYPE_CHECKING:
    from app.core.series import SeriesStore

log = logging.getLogger(__name__)

WRITE_EVERY = 60.0
"""Written to disk at most this often (seconds), and at the end."""
WITHOUT_KEY, COMMON_KEY = "", "settings"
"""Ids of those who came without a key, and with the one of the settings."""
POWER = ("power", "cpu_power")
"""Names of the series of watts: of a graphics card, of the processor."""


class KeyUsage(Struct, frozen=True, omit_defaults=True):
    """Sums of one key since it was made. ``joules`` counts the requests during which power could be read."""

    key_id: str
    name: str = ""
    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    joules: float | None = None
    last_at: float = 0.0


class UsageBook:
    """The sums and their file. Thread-safe; a file that can't be read or written costs the history, not the server."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._rows: dict[str, KeyUsage] | None = None
        self._written = time.monotonic()
        self._changed = False

    def all(self) -> tuple[KeyUsage, ...]:
        """Whoever has asked a model, in the order they came."""
        with self._lock:
            return tuple(self._all().values())

    def add(self, key_id: str, ended: RequestLogged) -> None:
        """Count a request that has ended."""
        with self._lock:
            old = self._all().get(key_id) or KeyUsage(key_id)
            joules = old.joules if ended.joules is None else (old.joules or 0.0) + ended.joules
            self._all()[key_id] = replace(
                old,
                name=ended.key,
                requests=old.requests + 1,
                prompt_tokens=old.prompt_tokens + ended.prompt_tokens,
                completion_tokens=old.completion_tokens + ended.completion_tokens,
                joules=joules,
                last_at=ended.at,
            )
            self._changed = True
            if time.monotonic() - self._written > WRITE_EVERY:
                self._write()

    def close(self) -> None:
        """Write what was not yet."""
        with self._lock:
            if self._changed:
                self._write()

    def _all(self) -> dict[str, KeyUsage]:
        if self._rows is None:
            self._rows = {row.key_id: row for row in self._read()}
        return self._rows

    def _read(self) -> tuple[KeyUsage, ...]:
        try:
            data = self._path.read_bytes() if self._path else b"[]"
            return msgspec.json.decode(data, type=tuple[KeyUsage, ...])
        except FileNotFoundError:
            return ()
        except (OSError, msgspec.MsgspecError) as error:
            log.info("the keys' usage in %s can't be read and begins anew: %s", self._path, error)
            return ()

    def _write(self) -> None:
        self._written = time.monotonic()
        if self._path is None:
            return
        try:
            temporary = self._path.with_suffix(".tmp")
            temporary.write_bytes(msgspec.json.encode(tuple(self._all().values())))
            temporary.replace(self._path)
            self._changed = False
        except OSError as error:
            log.info("the keys' usage is not written: %s", error)


def joules_between(series: "SeriesStore | None", began: float, ended: float, share: float) -> float | None:
    """What processor and graphics cards drew between two times of ``time.monotonic``, times ``share``; None where one
    of them could not be read all the while, or none can be."""
    if series is None:
        return None
    sources = [key for key in series.keys() if key[1] in POWER]  # noqa: SIM118 - not a mapping
    parts = [integrate(_series(series, source), began, ended) for source in sources]
    return _sum(parts) * share if parts and None not in parts else None


def _series(series: "SeriesStore", source: tuple[str, str]) -> Series:
    return Series(*series.read(*source))


def _sum(parts: Sequence[float | None]) -> float:
    return sum(part for part in parts if part is not None)
