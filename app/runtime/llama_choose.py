"""``native/choose.c``: the next token of several sequences in one call, by chains whose first truncation is top-k.

The library stands beside libllama, where our build of llama-cpp-python puts it. With another build there is none:
``available`` says so, and llama.cpp's own way over the whole vocabulary is taken, which chooses the same.
"""

import ctypes
import functools
import sys
from pathlib import Path
from typing import Any

from app.runtime.llama import lib

MOST_K, MOST_LOWERED = 128, 32
"""The largest ``k``, and how many tokens that penalties lower are reckoned with (with more, the choice is not sure)."""
ROOM = 4096
"""Candidates of one row at most."""
LEAST_VOCAB = 64 * (MOST_K + MOST_LOWERED)
"""Below it, blocks of 64 logits (choose.c) are too few for the largest ``k``."""
UNSURE = -1


class Sequence(ctypes.Structure):
    """``struct sequence`` of choose.c."""

    _fields_ = (
        ("memory", ctypes.c_void_p),
        ("rest", ctypes.c_void_p),
        ("banned", ctypes.c_void_p),
        ("n_banned", ctypes.c_int32),
        ("k", ctypes.c_int32),
        ("lowered", ctypes.c_int32),
    )


@functools.cache
def _library() -> Any | None:
    suffix = {"win32": "hearth.dll", "darwin": "libhearth.dylib"}.get(sys.platform, "libhearth.so")
    try:
        library = ctypes.CDLL(str(Path(lib._base_path) / suffix))
    except OSError:
        return None
    floats, choose = library.hearth_choose_floats, library.hearth_choose
    floats.restype, floats.argtypes = ctypes.c_int32, [ctypes.c_int32]
    pointer, number = ctypes.c_void_p, ctypes.c_int32
    choose.restype = number
    choose.argtypes = [pointer, number, number, *[pointer] * 5, number, pointer]
    return library


def available() -> bool:
    """The library is there."""
    return _library() is not None


def suits(n_vocab: int, k: int) -> bool:
    """It can be done for this vocabulary and ``k``."""
    return 0 < k <= MOST_K and n_vocab >= LEAST_VOCAB and available()


class Rows:
    """Room for ``rows`` sequences. Engine thread only."""

    def __init__(self, n_vocab: int, rows: int) -> None:
        library = _library()
        assert library is not None  # ``suits`` was asked
        self.sequences = (Sequence * rows)()
        """To be filled in; what they point to must live as long."""
        self._tokens = (ctypes.c_int32 * rows)()
        self._maxima = (ctypes.c_float * library.hearth_choose_floats(n_vocab))()
        self._found = (lib.llama_token_data * ROOM)()
        self._choose = library.hearth_choose
        self._arguments = (
            n_vocab, rows, ctypes.addressof(self.sequences),
            _address("llama_sampler_apply"), _address("llama_sampler_accept"),
            ctypes.addressof(self._maxima), ctypes.addressof(self._found), ROOM, ctypes.addressof(self._tokens),
        )  # fmt: skip

    def choose(self, table: int) -> list[int]:
        """A token for each row of the logits at this address; UNSURE where nothing was accepted."""
        self._choose(table, *self._arguments)
        return self._tokens[:]


def _address(name: str) -> int | None:
    return ctypes.cast(lib._lib[name], ctypes.c_void_p).value
