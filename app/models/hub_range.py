"""Random access to the beginning of a remote file by Range requests: enough for a GGUF's header."""

import threading
from collections.abc import Callable

from app.core.errors import BadHeaderError

FIRST = 256 * 1024  # holds the general and architecture keys of nearly every GGUF
STEP = 1024 * 1024
LIMIT = 64 * 1024 * 1024


class Window:
    """The bytes read so far, from the file's beginning. Shared by the readers of one etag; ``keep`` is told when there
    are more."""

    def __init__(self, keep: Callable[[bytearray], None] = lambda _data: None) -> None:
        self.data = bytearray()
        self.lock = threading.Lock()
        self.keep = keep


class RangeReader:
    """``read_at`` over a remote file. ``name`` is for messages, ``size`` the whole file's bytes."""

    def __init__(self, name: str, size: int, window: Window, fetch: Callable[[int, int], bytes]) -> None:
        self.name, self.size = name, size
        self._window, self._fetch = window, fetch
        self.requests = 0

    def __str__(self) -> str:
        return self.name

    def read_at(self, offset: int, size: int) -> bytes:
        """``size`` bytes from ``offset``, fewer at the file's end. Raises BadHeaderError beyond 64 MiB and HubError."""
        end = min(offset + max(0, size), self.size)
        if end > LIMIT:
            raise BadHeaderError(path=self.name, detail=f"it would go on beyond {LIMIT >> 20} MiB")
        with self._window.lock:
            if end > len(self._window.data):
                self._grow(end)
            return bytes(self._window.data[offset:end])

    def _grow(self, end: int) -> None:
        # A header that needs more than the first block has a long vocabulary: then ask for much at once.
        data = self._window.data
        wanted = max(end, FIRST if not data else len(data) + STEP * (1 + self.requests))
        self.requests += 1
        data += self._fetch(len(data), min(wanted, self.size, LIMIT))
        self._window.keep(data)
