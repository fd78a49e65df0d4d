"""Room on the disk for one file, and what a failed write means."""

import ctypes
import errno
import functools
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from app.core.errors import DiskFullError, HearthError, ReadOnlyError, TransferError

MARGIN = 64 * 1024 * 1024  # free space left alone
_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), 112}  # the last is Windows' own
_FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}


def free_space(path: Path) -> int:
    """Bytes free on the disk that holds ``path`` (or its nearest folder that exists)."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free


def need(folder: Path, count: int, free: Callable[[Path], int]) -> None:
    """Raise DiskFullError, naming how much is missing, when ``count`` more bytes don't fit."""
    missing = count + MARGIN - free(folder) if count > 0 else 0
    if missing > 0:
        raise DiskFullError(path=str(folder), missing=human(missing))


def allocated(path: Path) -> int:
    """Bytes the file really occupies, 0 when it is not there; what is allocated needs no more room."""
    try:
        return int(getattr(path.stat(), "st_blocks", 0)) * 512
    except FileNotFoundError:
        return 0


def allocate(path: Path, size: int) -> None:
    """Give the file its size, with its room reserved where the file system can do that. Raises OSError."""
    with path.open("rb+", buffering=0) as file:
        call = _fallocate()
        done = call is not None and call(file.fileno(), 0, ctypes.c_int64(0), ctypes.c_int64(size)) == 0
        if call is not None and not done and ctypes.get_errno() in _FULL:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        file.truncate(size)


@functools.cache
def _fallocate() -> Callable[..., int] | None:
    # Not os.posix_fallocate: where a file system can't, that writes the whole file full of zeros.
    if not sys.platform.startswith("linux"):
        return None
    try:
        call: Callable[..., int] = ctypes.CDLL(None, use_errno=True).fallocate64
    except (OSError, AttributeError):
        return None
    return call


def disk_error(error: OSError, path: Path, missing: int) -> HearthError:
    """What a failed file operation means to a person. ``missing``: bytes that were still to be written."""
    if error.errno in _FULL or getattr(error, "winerror", None) in _FULL:
        return DiskFullError(path=str(path.parent), missing=human(max(missing, 1)))
    if error.errno in _FORBIDDEN:
        return ReadOnlyError(path=str(path.parent))
    return TransferError(detail=f"{path.name}: {error.strerror or error}")


def human(count: float) -> str:
    """Bytes in the units people use for disks."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit in {"B", "kB"} else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
