"""Our own part of the engine (``native/``), which stands beside libllama where our build of llama-cpp-python puts it.

With another build there is none: llama.cpp's own ways are taken then, which choose the same.
"""

import ctypes
import functools
import sys
from pathlib import Path
from typing import Any

from app.runtime.llama import lib


@functools.cache
def library() -> Any | None:
    """The library with its prototypes, or None."""
    suffix = {"win32": "hearth.dll", "darwin": "libhearth.dylib"}.get(sys.platform, "libhearth.so")
    try:
        found = ctypes.CDLL(str(Path(lib._base_path) / suffix))
    except OSError:
        return None
    pointer, number = ctypes.c_void_p, ctypes.c_int32
    found.hearth_choose_floats.restype, found.hearth_choose_floats.argtypes = number, [number]
    found.hearth_choose.restype = number
    found.hearth_choose.argtypes = [pointer, number, number, *[pointer] * 5, number, pointer]
    found.hearth_burst.restype = number
    found.hearth_burst.argtypes = [pointer, pointer, pointer, number, ctypes.c_double]
    return found


def address(name: str) -> int | None:
    """Where a function of libllama is."""
    return ctypes.cast(lib._lib[name], ctypes.c_void_p).value
