"""What is already done: a small file of step -> key of its inputs, and a lock against two set-ups at once."""

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from devkit.say import tell

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LOCK_POLL_S = 0.5
BLOCK = 1 << 20


def key_of(*parts: object) -> str:
    """A short name for these inputs: the same inputs, the same name, on every run and machine."""
    text = json.dumps(parts, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def sha256_of(path: Path) -> str:
    """The file's SHA-256 in hexadecimal, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def files_key(files: Iterable[Path]) -> str:
    """A short name for these files' contents."""
    return key_of(*(sha256_of(file) for file in files))


def write_text(path: Path, text: str) -> None:
    """Write all of it or nothing: a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


class Stamps:
    """Which steps are done, in a file beside what they made, so that removing the one removes the other."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def done(self, step: str, key: str) -> bool:
        """Whether the step was finished with these inputs."""
        return self._read().get(step) == key

    def finish(self, step: str, key: str) -> None:
        """Remember that it was."""
        write_text(self.path, json.dumps({**self._read(), step: key}, indent=1))

    def _read(self) -> dict[str, str]:
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold the lock on this file. The system frees it when the holder ends, however it ends, so none goes stale."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        waited = False
        while not _try_lock(file):
            if not waited:
                tell(f"waiting for another set-up, which is {what} ({path})")
            waited = True
            time.sleep(LOCK_POLL_S)
        yield


def _try_lock(file: IO[str]) -> bool:
    try:
        if sys.platform == "win32":
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def remove(path: Path) -> None:
    """Remove a file or a folder with what it holds; nothing to do is fine."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):
        path.unlink(missing_ok=True)
