"""The sha256 of a file that is being written: computed in order, behind the parts that arrive out of order."""

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path

BLOCK = 4 * 1024 * 1024


class Hasher:
    """A thread that hashes the file's beginning as far as it is there. After ``finish`` it ends with the digest."""

    def __init__(self, path: Path, reach: Callable[[int], int]) -> None:
        self._path, self._reach = path, reach
        self._sha = hashlib.sha256()
        self._wake = threading.Condition()
        self._stop = False
        self.position = 0
        """Bytes hashed so far."""
        self.problem: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="transfer-hash", daemon=True)
        self._thread.start()

    def more(self) -> None:
        """There may be more contiguous bytes."""
        with self._wake:
            self._wake.notify()

    def finish(self, size: int, wait: Callable[[], None]) -> str:
        """The digest once ``size`` bytes are hashed. ``wait`` is called again and again and may raise."""
        while self.position < size and self.problem is None and self._thread.is_alive():
            self.more()
            wait()
        self.stop()
        if self.problem is not None:
            raise self.problem
        return self._sha.hexdigest()

    def stop(self) -> None:
        """End the thread, wherever it is."""
        with self._wake:
            self._stop = True
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        try:
            with self._path.open("rb", buffering=0) as file:
                self._follow(file.readinto, memoryview(bytearray(BLOCK)))
        except OSError as error:
            self.problem = error

    def _follow(self, read_into: Callable[[memoryview], int | None], block: memoryview) -> None:
        while not self._stop:
            ready = self._reach(self.position) - self.position
            if ready <= 0:
                with self._wake:
                    if not self._stop:
                        self._wake.wait(0.2)
                continue
            count = read_into(block[: min(ready, BLOCK)]) or 0
            if not count:
                raise OSError("the file is shorter than what was written")
            self._sha.update(block[:count])  # releases the interpreter
            self.position += count


def sha256_file(path: Path, step: Callable[[int], None] | None = None) -> str:
    """The digest of a file on disk; ``step`` is told the bytes of each block and may raise to stop."""
    sha = hashlib.sha256()
    block = memoryview(bytearray(BLOCK))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(block):
            sha.update(block[:count])
            if step:
                step(count)
    return sha.hexdigest()
