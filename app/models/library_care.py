"""Looking after models: check their bytes, and see which ones are worth their room."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from msgspec import Struct

from app.core.errors import ModelNotFoundError, TransferCancelledError
from app.core.types import ModelRecord
from app.models.folders import FolderKind
from app.models.library_bin import Binned
from app.models.library_index import ModelRow

_BLOCK = 8 << 20
_DAY = 86_400.0

Progress = Callable[[int, int], None]


class Checked(Struct, frozen=True):
    """One file, read whole. ``ok`` is None when there was no hash to compare with."""

    path: str
    sha256: str
    expected: str | None
    ok: bool | None


class Facts(Struct, frozen=True):
    """What people noted about a model, and where it lies."""

    favourite: bool = False
    tags: tuple[str, ...] = ()
    notes: str = ""
    title: str = ""
    """The name its user gave it."""
    place: FolderKind = "own"


class Removed(Struct, frozen=True):
    """A model that was removed, for ``Library.restore``."""

    record: ModelRecord
    row: ModelRow
    files: tuple[Binned, ...]

    @property
    def in_bin(self) -> bool:
        """Whether it can be taken back from the bin."""
        return all(file.place for file in self.files)


class Idle(Struct, frozen=True):
    """A model that could go: its bytes and the days since it was used (or added, when never)."""

    id: str
    bytes: int
    days: float
    times_used: int


def check(
    record: ModelRecord, progress: Progress | None = None, should_stop: Callable[[], bool] | None = None
) -> tuple[Checked, ...]:
    """Hash every file of a model. ``progress`` gets (done, total) bytes. Raises TransferCancelledError when
    ``should_stop`` says so, ModelNotFoundError when a file is gone, OSError when the disk fails."""
    counted = _Counter(progress, sum(file.bytes for file in record.files), should_stop)
    found = []
    for file in record.files:
        digest = _hash(Path(file.path), counted)
        found.append(Checked(file.path, digest, file.sha256, digest == file.sha256 if file.sha256 else None))
    return tuple(found)


class _Counter:
    def __init__(self, progress: Progress | None, total: int, should_stop: Callable[[], bool] | None) -> None:
        self._progress, self._total, self._stop, self._done = progress, total, should_stop, 0

    def add(self, size: int) -> None:
        self._done += size
        if self._stop and self._stop():
            raise TransferCancelledError
        if self._progress:
            self._progress(self._done, self._total)


def _hash(path: Path, counted: _Counter) -> str:
    import hashlib  # noqa: PLC0415 - not needed to list models

    digest = hashlib.sha256()
    try:
        with path.open("rb", buffering=0) as file:
            while block := file.read(_BLOCK):
                digest.update(block)
                counted.add(len(block))
    except FileNotFoundError as error:
        raise ModelNotFoundError(name=str(path)) from error
    return digest.hexdigest()


def idle(
    records: Iterable[ModelRecord], keep: Iterable[str] = (), now: float | None = None
) -> tuple[Idle, ...]:
    """What to delete first when room is needed: bytes times days unused, less for what was used often. ``keep`` are
    ids that stay (favourites, loaded models)."""
    now, kept = time.time() if now is None else now, set(keep)
    found = [
        Idle(r.id, r.bytes, max(now - (r.last_used_at or r.added_at or now), 0) / _DAY, r.times_used)
        for r in records
        if r.id not in kept
    ]
    return tuple(sorted(found, key=lambda item: -item.bytes * (item.days + 1) / (item.times_used + 1)))


def disk_use(records: Iterable[ModelRecord]) -> dict[str, int]:
    """Bytes by repository or file name, largest first."""
    sizes: dict[str, int] = {}
    for record in records:
        name = record.source.repo if record.source else record.id
        sizes[name] = sizes.get(name, 0) + record.bytes
    return dict(sorted(sizes.items(), key=lambda pair: -pair[1]))
