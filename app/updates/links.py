"""Versions side by side, one of them in use: a link names it, a second one the version before.

``hearth -> hearth-0.2.0`` and ``hearth.previous -> hearth-0.1.0``. The program that runs has its own folder under its
own name, so nothing of it changes while it is replaced; the switch is one rename. ``packaging/linux/install.sh`` does
the same in a shell.
"""

import contextlib
import errno
import os
import shutil
from pathlib import Path

from app.core.errors import (
    HearthError,
    NoPreviousVersionError,
    SaveDiskFullError,
    UpdateFailedError,
    UpdateFolderError,
)
from app.models.transfer_disk import free_space, human

PREVIOUS = ".previous"
FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}


def previous(link: Path) -> str:
    """The version that can be gone back to; "" when none is whole."""
    before = link.with_name(link.name + PREVIOUS)
    if not before.is_symlink() or not before.is_dir() or before.resolve() == link.resolve():
        return ""
    return version_of(link, before)


def version_of(link: Path, target: Path) -> str:
    """``hearth`` and ``hearth-0.1.0`` -> ``0.1.0``."""
    return target.resolve().name.removeprefix(f"{link.name}-")


def switch(link: Path, folder: Path) -> None:
    """Use ``folder``, which lies beside the link; what was in use becomes the previous one, and older ones go.
    Raises OSError."""
    before = link.resolve()
    if before != folder.resolve():
        _point(link.with_name(link.name + PREVIOUS), before.name)
    _point(link, folder.name)
    _forget_older(link)


def swap(link: Path) -> str:
    """Go back to the previous version, which then is the one in use; returns it. Raises NoPreviousVersionError."""
    version = previous(link)
    if not version:
        raise NoPreviousVersionError
    before, now = link.with_name(link.name + PREVIOUS), link.resolve()
    try:
        _point(link, before.resolve().name)
        _point(before, now.name)
    except OSError as error:
        raise failure(error, link.parent) from error
    return version


def _point(link: Path, name: str) -> None:
    """The link in one step: whoever looks finds the old target or the new one."""
    part = link.with_name(f".{link.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        part.unlink()
    part.symlink_to(name)
    part.replace(link)


def _forget_older(link: Path) -> None:
    """Two versions are kept. One that can't be removed harms nobody."""
    kept = {link.resolve(), link.with_name(link.name + PREVIOUS).resolve()}
    for old in link.parent.glob(f"{link.name}-[0-9]*"):
        if old.is_dir() and not old.is_symlink() and old not in kept:
            shutil.rmtree(old, ignore_errors=True)


def may_write(folder: Path) -> None:
    """Raise UpdateFolderError when nothing can be put there."""
    probe = folder / f".hearth-{os.getpid()}"
    try:
        probe.mkdir()
        probe.rmdir()
    except OSError as error:
        if error.errno in FULL:
            raise failure(error, folder) from error
        raise UpdateFolderError(path=str(folder)) from error


def room(folder: Path, count: int) -> None:
    """Raise SaveDiskFullError when ``count`` bytes more don't fit."""
    missing = count - free_space(folder)
    if missing > 0:
        raise SaveDiskFullError(path=str(folder), missing=human(missing))


def failure(error: OSError, folder: Path) -> HearthError:
    """What a failed file operation means to a person."""
    if error.errno in FULL:
        return SaveDiskFullError(path=str(folder), missing="some hundred MB")
    if error.errno in {errno.EROFS, errno.EACCES, errno.EPERM}:
        return UpdateFolderError(path=str(folder))
    return UpdateFailedError(detail=f"{error.filename or folder}: {error.strerror or error}")
