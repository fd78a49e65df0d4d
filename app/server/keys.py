"""API keys: named, kept as hashes only, revocable, with last use; and how often each may ask.

A key is 256 random bits, so one SHA-256 of it is as hard to turn back as the key is to guess; every stored hash is
compared, each in constant time. Times are seconds since the epoch.
"""

import hashlib
import hmac
import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from app.core.errors import ReadOnlyError, SaveDiskFullError
from app.core.settings_groups import Server
from app.server.errors import Problem

log = logging.getLogger(__name__)

PREFIX = "hearth-"
NOTE_USE = 60.0
"""Last use is written to disk at most this often (seconds)."""


class ApiKey(Struct, frozen=True, omit_defaults=True):
    """One key as it is kept. ``start`` is what a list shows of it."""

    id: str
    name: str
    hash: str
    start: str
    created_at: float
    last_used_at: float | None = None
    revoked_at: float | None = None
    rate_limit: int = 0
    """Requests a minute; 0: as the settings say."""


class KeyStore:
    """The keys and their file. Thread-safe; what another process has written to the file is seen at once."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._keys: tuple[ApiKey, ...] = ()
        self._seen: tuple[int, int] | None = None
        self._noted = time.monotonic()
        self._unwritten = False

    def all(self) -> tuple[ApiKey, ...]:
        """All, oldest first, revoked ones too."""
        with self._lock:
            return self._all()

    def create(self, name: str, rate_limit: int = 0) -> tuple[ApiKey, str]:
        """A new key: the only time its text is seen. ``rate_limit``: its requests a minute, 0: as the settings say.
        Raises ReadOnlyError or SaveDiskFullError."""
        text = PREFIX + secrets.token_urlsafe(32)
        key = ApiKey(secrets.token_hex(6), name, _hash(text), text[:12], time.time(), rate_limit=rate_limit)
        with self._lock:
            self._write((*self._all(), key))
        return key, text

    def revoke(self, key_id: str) -> None:
        """It is refused from now on; it stays in the list. An unknown or revoked one: nothing happens."""
        now = time.time()
        with self._lock:
            kept = tuple(
                replace(key, revoked_at=now) if key.id == key_id and key.revoked_at is None else key
                for key in self._all()
            )
            if kept != self._all():
                self._write(kept)

    def forget(self, key_id: str) -> None:
        """Take it off the list; it is refused as a revoked one is."""
        with self._lock:
            self._write(tuple(key for key in self._all() if key.id != key_id))

    @property
    def active(self) -> bool:
        """There is a key that is not revoked: only its owners are served."""
        with self._lock:
            return any(key.revoked_at is None for key in self._all())

    def match(self, token: str) -> ApiKey | None:
        """The key this text is, if it is one and not revoked; its use is noted."""
        given, found = _hash(token), None
        with self._lock:
            for key in self._all():
                if hmac.compare_digest(key.hash, given) and key.revoked_at is None:
                    found = key
            if found is not None:
                self._note_use(found)
        return found

    def close(self) -> None:
        """Write what was not yet."""
        with self._lock:
            if self._unwritten:
                self._try_write()

    def _note_use(self, used: ApiKey) -> None:
        now = time.time()
        self._keys = tuple(replace(k, last_used_at=now) if k.id == used.id else k for k in self._all())
        self._unwritten = True
        if used.last_used_at is None or time.monotonic() - self._noted > NOTE_USE:
            self._try_write()

    def _try_write(self) -> None:
        self._noted = time.monotonic()
        try:
            self._write(self._all())
        except (ReadOnlyError, SaveDiskFullError) as error:
            log.info("the keys' last use is not written: %s", error)

    def _all(self) -> tuple[ApiKey, ...]:
        now = self._state()
        if now != self._seen:
            self._keys, self._seen, self._unwritten = self._read(), now, False
        return self._keys

    def _state(self) -> tuple[int, int]:
        """What changes when somebody writes the file: another one takes its place."""
        try:
            found = self._path.stat() if self._path else None
        except OSError:
            found = None
        return (found.st_mtime_ns, found.st_ino) if found else (0, 0)

    def _read(self) -> tuple[ApiKey, ...]:
        try:
            data = self._path.read_bytes() if self._path else b"[]"
            return msgspec.json.decode(data, type=tuple[ApiKey, ...])
        except FileNotFoundError:
            return ()
        except (OSError, msgspec.MsgspecError) as error:
            # Fail closed: a file that can't be read means that keys were set, and none of them is known.
            log.info("the keys in %s can't be read: %s", self._path, error)
            return (ApiKey("damaged", "The key file is damaged", "", "", 0.0),)

    def _write(self, keys: tuple[ApiKey, ...]) -> None:
        keys = tuple(key for key in keys if key.id != "damaged")
        if self._path is not None:
            try:
                temporary = self._path.with_suffix(".tmp")
                temporary.touch(mode=0o600)
                temporary.write_bytes(msgspec.json.encode(keys))
                temporary.replace(self._path)
            except OSError as error:
                if error.errno == 28:
                    raise SaveDiskFullError(path=str(self._path), missing="a few kB") from error
                raise ReadOnlyError(path=str(self._path.parent)) from error
        self._keys, self._unwritten, self._seen = keys, False, self._state()


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


_COMMON = ApiKey("settings", "settings", "", "", 0.0)
"""The key of the settings."""


class Checker:
    """Asks every request for its key, and counts."""

    def __init__(self, settings: Callable[[], Server], store: KeyStore) -> None:
        self._settings, self._store = settings, store
        self._rates: dict[str, tuple[float, float]] = {}
        """Who -> (tokens left, when that was)."""

    def check(self, headers: Mapping[str, str], client: str) -> tuple[str, str]:
        """Name and id of the key it came with (both "" when none is needed). Raises Problem: 401 or 429."""
        key = self._caller(token_of(headers))
        limit = (key.rate_limit if key else 0) or self._settings().rate_limit
        if limit:
            self._count(key.id if key else client, limit)
        return (key.name, key.id) if key else ("", "")

    def _caller(self, token: str) -> ApiKey | None:
        common = self._settings().api_key
        if not common and not self._store.active:
            return None
        if common and hmac.compare_digest(token.encode("utf-8", "surrogateescape"), common.encode()):
            return _COMMON
        found = self._store.match(token) if token else None
        if found is None:
            raise Problem(401, "invalid_api_key", "The API key is missing or wrong.")
        return found

    def _count(self, who: str, limit: int) -> None:
        now = time.monotonic()
        left, since = self._rates.get(who, (float(limit), now))
        left = min(float(limit), left + (now - since) * limit / 60)
        if left < 1:
            wait = int((1 - left) * 60 / limit) + 1
            said = f"More than {limit} requests in a minute: ask again in {wait} s."
            raise Problem(429, "rate_limited", said, retry=wait)
        if len(self._rates) > 10_000:  # addresses that ask once
            self._rates.clear()
        self._rates[who] = (left - 1, now)


def token_of(headers: Mapping[str, str]) -> str:
    """The key as any of the APIs sends it."""
    given = headers.get("authorization", "")
    return given[7:].strip() if given[:7].lower() == "bearer " else headers.get("x-api-key", "")
