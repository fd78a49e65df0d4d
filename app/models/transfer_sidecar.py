"""What is known about a half-finished file, beside it: ``<file>.part`` (its bytes) and ``<file>.part.json``.

The first line of the JSON file says what the file should become and which ranges are there; each further line is one
more range, appended as it arrives. A killed program loses nothing that was appended. After a power loss (another boot)
only ranges that had been flushed to the disk count.
"""

import functools
import json
import logging
import os
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct

from app.models.transfer_ranges import Ranges

log = logging.getLogger(__name__)

VERSION = 1


class Facts(Struct, frozen=True, omit_defaults=True):
    """What the file should become."""

    size: int | None = None
    etag: str | None = None
    sha256: str | None = None
    revision: str = ""


class _Head(Struct, omit_defaults=True):
    facts: Facts
    version: int = VERSION
    boot: str = ""
    ranges: list[tuple[int, int]] = []
    synced: list[tuple[int, int]] = []
    renamed: bool = False


class Sidecar:
    """The record of one file's progress. Thread-safe."""

    def __init__(self, target: Path) -> None:
        self.part = part_path(target)
        self.path = target.with_name(target.name + ".part.json")
        self.facts = Facts()
        self.renamed = False
        """The file has its final name but was not flushed to the disk yet."""
        self._lock = threading.RLock()
        self._ranges = Ranges()
        self._synced: list[tuple[int, int]] = []
        self._journal: BinaryIO | None = None

    @property
    def total(self) -> int:
        """Bytes that are there."""
        return self._ranges.total

    def load(self) -> bool:
        """Read what an earlier run left. False when there is nothing usable."""
        try:
            lines = self.path.read_bytes().split(b"\n")
            head = msgspec.json.decode(lines[0], type=_Head)
        except (OSError, msgspec.MsgspecError):
            return False
        if head.version != VERSION:
            return False
        same_boot = bool(head.boot) and head.boot == boot_id()
        with self._lock:
            self.facts, self.renamed, self._synced = head.facts, head.renamed, head.synced
            self._ranges = Ranges([*head.ranges, *_appended(lines[1:])] if same_boot else head.synced)
        return True

    def begin(self, facts: Facts) -> None:
        """Forget every range: the file starts (again) and should become this."""
        with self._lock:
            self.facts, self._ranges, self._synced = facts, Ranges(), []
            self.write()

    def know_size(self, size: int) -> None:
        """The server did not say; now it is known."""
        self.facts = msgspec.structs.replace(self.facts, size=size)

    def write(self, synced: Iterable[tuple[int, int]] | None = None, renamed: bool = False) -> None:
        """Write the whole record anew, atomically. ``synced``: ranges known to be on the disk."""
        with self._lock:
            if synced is not None:
                self._synced = list(synced)
            self.renamed = renamed
            head = _Head(self.facts, VERSION, boot_id(), list(self._ranges), self._synced, renamed)
            temporary = self.path.with_name(self.path.name + ".new")
            with temporary.open("wb") as file:
                file.write(msgspec.json.encode(head) + b"\n")
                file.flush()
                if synced is not None:
                    os.fsync(file.fileno())
            self.close()
            temporary.replace(self.path)

    def add(self, first: int, end: int) -> None:
        """These bytes are there now (in memory: ``append`` tells the file)."""
        with self._lock:
            self._ranges.add(first, end)

    def drop(self, spans: Iterable[tuple[int, int]]) -> None:
        """These bytes may be wrong: they count as missing."""
        with self._lock:
            for first, end in spans:
                self._ranges.remove(first, end)
            self.write(synced=())

    def append(self, first: int, end: int) -> None:
        """Note one more range in the file; survives the end of this process."""
        with self._lock:
            if self._journal is None:
                self._journal = self.path.open("ab", buffering=0)
            self._journal.write(b"[%d,%d]\n" % (first, end))

    def reach(self, first: int) -> int:
        """The end of the bytes that are there from ``first`` on."""
        with self._lock:
            return self._ranges.reach(first)

    def ranges(self) -> list[tuple[int, int]]:
        """What is there."""
        with self._lock:
            return list(self._ranges)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            if self._journal is not None:
                self._journal.close()
                self._journal = None

    def remove(self) -> None:
        """The record has done its work."""
        self.close()
        self.path.unlink(missing_ok=True)


class Keeper:
    """A thread that flushes the part to the disk now and then, and then notes what is safe from a power loss."""

    def __init__(self, side: Sidecar, every: float) -> None:
        self._side, self._every = side, every
        self._stop = threading.Event()
        # A daemon that nobody waits for: a flush to a slow disk may take seconds, a cancel may not.
        self._thread = threading.Thread(target=self._run, name="transfer-keeper", daemon=True)
        self._thread.start()

    def stop(self, patience: float = 0.05) -> None:
        """No more flushes; waits at most this long for one under way."""
        self._stop.set()
        self._thread.join(patience)

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            try:
                ranges = self._side.ranges()
                flush(self._side.part)
                if not self._stop.is_set():
                    self._side.write(synced=ranges)
            except OSError as error:
                log.info("could not note the progress of %s: %s", self._side.part, error)


def flush(path: Path) -> None:
    """Wait until a file's bytes are on the disk."""
    with path.open("rb+", buffering=0) as file:
        getattr(os, "fdatasync", os.fsync)(file.fileno())


def part_path(target: Path) -> Path:
    """Where the bytes are until they are verified."""
    return target.with_name(target.name + ".part")


def _appended(lines: Iterable[bytes]) -> list[tuple[int, int]]:
    found = []
    for line in lines:
        try:
            first, end = json.loads(line)
        except (ValueError, TypeError):
            continue  # the last line of a killed program may be cut
        found.append((int(first), int(end)))
    return found


@functools.cache
def boot_id() -> str:
    """Changes when the machine starts anew; empty when that can't be told."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        import psutil  # noqa: PLC0415 - 30 ms, only where there is no /proc

        return f"{psutil.boot_time():.0f}"


class FileLock:
    """One process, and one transfer in it, at a time for a file. ``held`` is False when another has it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = self._open()
        self.held = self._file is not None

    def _open(self) -> BinaryIO | None:
        file = self._path.open("ab")
        if _lock(file) and _same_file(file, self._path):
            return file
        file.close()
        return None

    def release(self) -> None:
        """Let others in; calling it again does nothing."""
        if self._file is not None:
            self._file.close()
            self._file, self.held = None, False


def _same_file(file: BinaryIO, path: Path) -> bool:
    # Between opening and locking, the other may have renamed the file away.
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _lock(file: BinaryIO) -> bool:
        # A byte far behind the end: locks are mandatory here and the parts write the rest.
        file.seek(0x7FFF_FFFF_0000)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _lock(file: BinaryIO) -> bool:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
