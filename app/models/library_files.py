"""What the library does to files: bring them in, and put them into the bin."""

import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path

from app.core.errors import (
    HearthError,
    ModelNotFoundError,
    ReadOnlyError,
    SaveDiskFullError,
    TruncatedModelError,
    UnsupportedModelError,
)
from app.models import library_bin, quants
from app.models.gguf import read_header
from app.models.library_bin import Binned
from app.models.library_scan import Item

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
_BLOCK = 4 << 20
_SPARE = 64 << 20  # a disk filled to the last byte helps nobody


def parts_of(path: Path) -> list[Path]:
    """Every part of the split set a file belongs to, in order. Raises ModelNotFoundError naming a missing one."""
    parts = [path.with_name(name) for name in quants.split_names(path.name)]
    for part in parts:
        if not part.is_file():
            raise ModelNotFoundError(name=str(part))
    return parts


def check(parts: list[Path]) -> None:
    """Read every header: raises WrongMagicError, TruncatedModelError, BadHeaderError or ReadOnlyError."""
    for part in parts:
        try:
            read_header(part)
        except OSError as error:
            raise ReadOnlyError(path=str(part)) from error


def bring_in(parts: list[Path], folder: Path, *, move: bool, progress: Progress | None) -> list[Path]:
    """Link, move or copy files into a folder of ours and return where they are now."""
    total = sum(part.stat().st_size for part in parts)
    folder = _free(folder, parts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        report = _Report(progress, total)
        return [_place(part, folder / part.name, move, report) for part in parts]
    except OSError as error:
        raise _explained(error, folder, total) from error


def _free(folder: Path, parts: list[Path]) -> Path:
    """The folder, or its name with a number when files of the same name and other bytes lie there."""
    number, wanted = 2, folder
    while any((wanted / part.name).exists() for part in parts):
        wanted, number = folder.with_name(f"{folder.name}-{number}"), number + 1
    return wanted


class _Report:
    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def add(self, size: int) -> None:
        self._done += size
        if self._progress:
            self._progress(self._done, self._total)


def _place(source: Path, target: Path, move: bool, report: _Report) -> Path:
    size = source.stat().st_size
    try:
        if move:
            source.rename(target)
        else:
            os.link(source.resolve(), target)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EROFS}:
            raise
        _copy(source, target, report)
        if move:
            source.unlink()
    else:
        report.add(size)
    return target


def _copy(source: Path, target: Path, report: _Report) -> None:
    """Copy beside the target first: a half-copied file never has a model's name."""
    import shutil  # noqa: PLC0415 - most imports are links
    import tempfile  # noqa: PLC0415

    size, room = source.stat().st_size, shutil.disk_usage(target.parent).free
    if room < size + _SPARE:
        raise SaveDiskFullError(path=str(target.parent), missing=_words(size + _SPARE - room))
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".import-", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as out, source.open("rb") as file:
            while block := file.read(_BLOCK):
                out.write(block)
                report.add(len(block))
            out.flush()
            os.fsync(out.fileno())
        if Path(temporary).stat().st_size != size:
            raise TruncatedModelError(path=str(source), found=Path(temporary).stat().st_size, expected=size)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _explained(error: OSError, folder: Path, size: int) -> SaveDiskFullError | ReadOnlyError:
    if error.errno == errno.ENOSPC:
        return SaveDiskFullError(path=str(folder), missing=_words(size))
    return ReadOnlyError(path=str(folder))


def _words(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB" if size >= 1 << 30 else f"{size / (1 << 20):.0f} MiB"


def discard(item: Item, own: Path) -> tuple[Binned, ...]:
    """Put an item's files into the bin, or delete them where there is none, and tidy our own empty folders. Says
    where each file went; a file that can't go brings those before it back."""
    if item.found[0].kind == "ollama":
        raise UnsupportedModelError(path=item.record.id, detail="it belongs to Ollama, which must remove it")
    gone: list[Binned] = []
    try:
        for path in _all_files(item):
            gone.append(_discard_file(path))  # noqa: PERF401 - what went before a failure is needed
    except ReadOnlyError:
        _bring_back(gone)
        raise
    for found in item.found:
        _tidy(Path(found.path).parent, own)
    return tuple(gone)


def _all_files(item: Item) -> list[Path]:
    """The files, and after each link of the Hub's cache the blob it names."""
    paths: list[Path] = []
    for found in item.found:
        path = Path(found.path)
        paths.append(path)
        if found.kind == "huggingface" and path.is_symlink() and (blob := path.resolve()).exists():
            paths.append(blob)
    return paths


def _bring_back(gone: list[Binned]) -> None:
    for binned in reversed(gone):
        try:
            library_bin.take_back(binned)
        except HearthError as error:
            log.info("%s stays in the bin: %s", binned.path, error)


def _discard_file(path: Path) -> Binned:
    binned = _to_bin(path)
    if binned:
        return binned
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise ReadOnlyError(path=str(path.parent)) from error
    return Binned(str(path))


def _to_bin(path: Path) -> Binned | None:
    return library_bin.put(path)


def _tidy(folder: Path, own: Path) -> None:
    while own in folder.parents:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent
