"""Headers read from the Hub, kept by etag: the newest in memory, all of them on disk up to ``CAP`` bytes.

A header of a large vocabulary takes megabytes and several requests; a file's etag names its content, so what was read
once holds until the file changes. A kept header that is damaged counts as none, and a disk that refuses loses nothing.
"""

import contextlib
import hashlib
import logging
import os
import secrets
import threading
from pathlib import Path

from app.models.hub_range import Window

log = logging.getLogger(__name__)

WINDOWS = 8
"""Headers kept in memory; the oldest is dropped."""
CAP = 256 * 1024 * 1024
_DIGEST = 16


class HeaderCache:
    """Thread-safe. Without a folder it is memory alone."""

    def __init__(self, folder: Path | None = None, cap: int = CAP) -> None:
        self._folder, self._cap = folder, cap
        self._windows: dict[str, Window] = {}
        self._lock = threading.Lock()

    def window(self, key: str, *, lasting: bool) -> Window:
        """The bytes known of a file. ``lasting``: the key is an etag, so they may be kept on disk."""
        with self._lock:
            window = self._windows.pop(key, None)
            if window is None:
                window = self._read(key) if lasting and self._folder is not None else Window()
            self._windows[key] = window
            while len(self._windows) > WINDOWS:
                self._windows.pop(next(iter(self._windows)))
        return window

    def _read(self, key: str) -> Window:
        path, window = self._path(key), Window(lambda data: self._write(key, data))
        try:
            kept = path.read_bytes()
            if kept and _digest(kept[_DIGEST:]) == kept[:_DIGEST]:
                window.data += kept[_DIGEST:]
                os.utime(path)  # the least recently used go first
        except OSError as error:
            log.debug("no header is kept as %s: %s", path.name, error)
        return window

    def _write(self, key: str, data: bytes | bytearray) -> None:
        path = self._path(key)
        temporary = path.with_suffix(f".{secrets.token_hex(4)}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(_digest(data) + data)
            temporary.replace(path)
            self._trim(path)
        except OSError as error:
            log.info("a header is not kept: %s", error)
            with contextlib.suppress(OSError):
                temporary.unlink()

    def _trim(self, fresh: Path) -> None:
        found = [(entry.stat(), entry) for entry in fresh.parent.iterdir()]
        total = sum(stat.st_size for stat, _ in found)
        for stat, entry in sorted(found, key=lambda item: item[0].st_mtime_ns):
            if total <= self._cap:
                return
            if entry != fresh:
                entry.unlink(missing_ok=True)
                total -= stat.st_size

    def _path(self, key: str) -> Path:
        assert self._folder is not None
        return self._folder / f"{hashlib.blake2b(key.encode(), digest_size=_DIGEST).hexdigest()}.header"


def _digest(data: bytes | bytearray) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST).digest()
