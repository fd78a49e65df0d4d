"""What is remembered of updates from one start to the next: a small file beside the chats."""

import contextlib
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

FILE = "updates.json"


class Kept(Struct, frozen=True):
    """The version before this one, where it can be gone back to by a file."""

    version: str
    path: str
    sha256: str = ""


class State(Struct, frozen=True, omit_defaults=True):
    """All of it."""

    looked_at: float = 0.0
    """When the address was last asked, in seconds since 1970."""
    asked: str = ""
    """The address that the person was asked about once."""
    seen: dict[str, int] = {}
    """By key: the highest number of a list that it signed. Older ones are refused."""
    skipped: str = ""
    """A version that is not offered by itself: refused, or gone back from."""
    installed: str = ""
    """A version that was put in place and not started yet, or started for the first time."""
    kept: Kept | None = None


class StateFile:
    """Reads and replaces the file. Thread-safe; a damaged one counts as none."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._lock = threading.Lock()

    def read(self) -> State:
        """What is remembered."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=State)
        except (OSError, msgspec.DecodeError):
            return State()

    def change(self, **values: object) -> State:
        """Keep other values; where nothing can be written they hold for this call only."""
        return self.map(lambda state: msgspec.structs.replace(state, **values))

    def map(self, change: Callable[[State], State]) -> State:
        """The same, from what is there now."""
        with self._lock:
            state = change(self.read())
            with contextlib.suppress(OSError):
                self._write(msgspec.json.encode(state))
            return state

    def _write(self, data: bytes) -> None:
        handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=".updates-")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).replace(self._path)
