"""Notices when models come or go without us: another program, another process of ours, a drive that is plugged in."""

import logging
import os
import threading
from collections.abc import Callable, Iterable

log = logging.getLogger(__name__)

EVERY = 5.0
MOST_FOLDERS = 20_000


class Watch:
    """A thread that compares the folders' times of change and calls ``changed`` when they differ."""

    def __init__(
        self, roots: Callable[[], Iterable[str]], version: Callable[[], object], changed: Callable[[], object]
    ) -> None:
        self._roots, self._version, self._changed = roots, version, changed
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, every: float = EVERY) -> None:
        """Begin; calling it again does nothing."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, args=(every,), name="library-watch", daemon=True
            )
            self._thread.start()

    def close(self) -> None:
        """End the thread. Idempotent."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, every: float) -> None:
        before = self._state()
        while not self._stop.wait(every):
            now = self._state()
            if now != before:
                before = now
                self._look()

    def _look(self) -> None:
        try:
            self._changed()
        except Exception:
            log.exception("the library was not looked at again")

    def _state(self) -> object:
        return self._version(), {path: time for root in self._roots() for path, time in folder_times(root)}


def folder_times(root: str) -> list[tuple[str, int]]:
    """Every folder below ``root`` with its time of change, which moves when a file is added, renamed or removed."""
    found: list[tuple[str, int]] = []
    waiting = [root]
    while waiting and len(found) < MOST_FOLDERS:
        folder = waiting.pop()
        try:
            found.append((folder, os.stat(folder).st_mtime_ns))  # noqa: PTH116 - thousands of them
            with os.scandir(folder) as entries:
                waiting.extend(entry.path for entry in entries if entry.is_dir(follow_symlinks=False))
        except OSError:
            found.append((folder, -1))
    return found
