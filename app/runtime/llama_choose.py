"""``native/choose.c``: the next token of several sequences in one call, by chains whose first truncation is top-k."""

import ctypes

from app.runtime.llama import lib
from app.runtime.llama_own import address, library

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


def available() -> bool:
    """The library is there."""
    return library() is not None


def suits(n_vocab: int, k: int) -> bool:
    """It can be done for this vocabulary and ``k``."""
    return 0 < k <= MOST_K and n_vocab >= LEAST_VOCAB and available()


class Rows:
    """Room for ``rows`` sequences. Engine thread only."""

    def __init__(self, n_vocab: int, rows: int) -> None:
        own = library()
        assert own is not None  # ``suits`` was asked
        self.sequences = (Sequence * rows)()
        """To be filled in; what they point to must live as long."""
        self._tokens = (ctypes.c_int32 * rows)()
        self._maxima = (ctypes.c_float * own.hearth_choose_floats(n_vocab))()
        self._found = (lib.llama_token_data * ROOM)()
        self._choose = own.hearth_choose
        self.apply, self.accept = address("llama_sampler_apply"), address("llama_sampler_accept")
        self.maxima, self.found = ctypes.addressof(self._maxima), ctypes.addressof(self._found)
        self.room = ROOM
        self._arguments = (
            n_vocab, rows, ctypes.addressof(self.sequences), self.apply, self.accept, self.maxima, self.found,
            ROOM, ctypes.addressof(self._tokens),
        )  # fmt: skip

    def choose(self, table: int) -> list[int]:
        """A token for each row of the logits at this address; UNSURE where nothing was accepted."""
        self._choose(table, *self._arguments)
        return self._tokens[:]
