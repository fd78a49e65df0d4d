"""The system's bin: put a file there, and take it back.

No system says where a file went, so it is looked for by its inode in the folders that each system documents: the
freedesktop.org trash specification, macOS's ``~/.Trash`` and ``.Trashes``, Windows' ``$Recycle.Bin``. Where it is not
found (another disk, no right to look) only the system's own window can bring it back.
"""

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from app.core.errors import ReadOnlyError, UsageError

log = logging.getLogger(__name__)


class Binned(Struct, frozen=True):
    """One file in the bin."""

    path: str
    """Where it was."""
    place: str | None = None
    """Where it lies now; None: not known."""
    note: str | None = None
    """The bin's own note about it, which goes when it is taken back."""


def put(path: Path) -> Binned | None:
    """Move a file into the bin. None: there is none here, nothing has happened."""
    try:
        from send2trash import send2trash  # noqa: PLC0415 - only needed here
    except ImportError:
        return None
    try:
        identity = _identity(path)
        send2trash(str(path))
    except FileNotFoundError:
        return Binned(str(path))
    except OSError as error:
        log.info("%s can't be put into the bin: %s", path, error)
        return None
    place = _find(path, identity)
    return Binned(str(path), *place) if place else Binned(str(path))


def take_back(binned: Binned) -> None:
    """Put a file where it was. Raises UsageError when it is no longer in the bin or its place is taken,
    ReadOnlyError when it can't be moved."""
    path = Path(binned.path)
    if binned.place is None or not os.path.lexists(binned.place):
        raise UsageError(detail=f"{path.name} is no longer in the bin.")
    if os.path.lexists(path):
        raise UsageError(detail=f"There is another {path.name} in its place.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        Path(binned.place).rename(path)
        if binned.note:
            Path(binned.note).unlink(missing_ok=True)
    except OSError as error:
        raise ReadOnlyError(path=str(path.parent)) from error


def _identity(path: Path) -> tuple[int, int]:
    info = path.lstat()
    return info.st_dev, info.st_ino


def _find(path: Path, identity: tuple[int, int]) -> tuple[str, str | None] | None:
    if not identity[1]:
        return None
    for folder in _folders(path):
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.inode() == identity[1] and _identity(Path(entry.path)) == identity:
                        return entry.path, _note(Path(entry.path))
        except OSError:
            continue
    return None


def _folders(path: Path) -> Iterator[Path]:
    """Where the bin's files may lie, the likeliest first."""
    if sys.platform == "win32":
        yield from Path(path.anchor, "$Recycle.Bin").glob("*")
        return
    top, user = _mount(path), str(os.getuid())
    if sys.platform == "darwin":
        yield from (Path.home() / ".Trash", top / ".Trashes" / user)
        return
    home = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    for bin_ in (home / "Trash", top / ".Trash" / user, top / f".Trash-{user}"):
        yield bin_ / "files"


def _mount(path: Path) -> Path:
    """The top of the file system a file was on."""
    folder = path.parent.resolve()
    while not folder.is_mount() and folder != folder.parent:
        folder = folder.parent
    return folder


def _note(place: Path) -> str | None:
    if place.parent.name == "files":
        return str(place.parent.with_name("info") / f"{place.name}.trashinfo")
    if place.name.startswith("$R"):
        return str(place.with_name("$I" + place.name[2:]))
    return None
