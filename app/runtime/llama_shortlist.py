"""Candidates for chains whose first truncation is top-k: only those that may be among the k best, so that llama.cpp
sorts hundreds of tokens, not the vocabulary (half the time of sampling for eight sequences).

A threshold is guessed from every 64th stretch of the logits, and every token that reaches it is a candidate. Samplers
before top-k that only lower logits can't bring another one among the k best, as long as k candidates still reach the
threshold after them. llama.cpp's order of equal logits depends on where they stand in the array: with two equal ones
the answer is no, and the whole vocabulary is taken. So what is chosen is always what would be chosen from all.
"""

import ctypes
import functools
from typing import Any

import numpy as np

from app.runtime.llama import lib
from app.runtime.llama_context import Floats

CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
"""``llama_token_data``."""
_struct: Any = lib.llama_token_data_array
_ARRAY = np.dtype(
    {
        "names": ["data", "size", "selected", "sorted"],
        "formats": [np.uintp, np.uintp, np.int64, np.bool_],
        "offsets": [getattr(_struct, name).offset for name in ("data", "size", "selected", "sorted")],
        "itemsize": ctypes.sizeof(_struct),
    }
)
STRETCH, EVERY = 16, 1024
"""So many logits of every so many are looked at for the threshold."""
ROOM = 2048
"""Candidates of one row, on the average of all."""
_APART = 2.0**21
"""Between the rows' logits, when equal ones are looked for in all at once."""


class Shortlists:
    """For ``rows`` rows of logits. Not thread-safe; ``fill`` begins a new step."""

    MOST = 128
    """The largest ``k``."""

    def __init__(self, n_vocab: int, rows: int) -> None:
        self._n_vocab = n_vocab
        self._whole = n_vocab // EVERY * EVERY
        self._mask = np.empty((rows, n_vocab), np.bool_)
        self._flags = self._mask.reshape(-1)
        self._starts = np.arange(rows + 1) * n_vocab
        self._rows = np.arange(rows)
        self._data = np.empty(rows * ROOM, CANDIDATE)
        self._id, self._logit = self._data["id"], self._data["logit"]
        self._base = self._data.ctypes.data
        self._arrays = np.zeros(rows, _ARRAY)
        self._data_at, self._size = self._arrays["data"], self._arrays["size"]
        self._data_at[:] = self._base
        self._selected, self._sorted = self._arrays["selected"], self._arrays["sorted"]
        self._ends: list[int] = []
        first, step = self._arrays.ctypes.data, _ARRAY.itemsize
        self.addresses = [first + step * row for row in range(rows)]
        """Of each row's candidate array, for ``llama_sampler_apply``."""
        self.thresholds: Floats = np.empty(rows, np.float32)

    @classmethod
    def suits(cls, n_vocab: int, k: int) -> bool:
        """It is worth it for this vocabulary and ``k``."""
        return 0 < k <= cls.MOST and n_vocab >= 8 * EVERY

    def fill(self, table: Floats, k: int) -> list[bool]:
        """For each row of ``table`` (rows, n_vocab): its array holds at least ``k`` candidates, no two equal."""
        sample = (
            table[:, : self._whole].reshape(len(table), -1, EVERY)[:, :, :STRETCH].reshape(len(table), -1)
        )
        at = sample.shape[1] - max(4, -(-8 * k * STRETCH // EVERY))
        sample.partition(at, axis=1)
        self.thresholds = sample[:, at]
        np.greater_equal(table, self.thresholds[:, None], out=self._mask)
        found = self._flags.nonzero()[0]
        ends = found.searchsorted(self._starts)
        self._ends = ends.tolist()
        if self._ends[-1] > len(self._data):
            return [False] * len(table)
        return self._put(table, found, ends, k)

    def _put(
        self, table: Floats, found: "np.ndarray[Any, Any]", ends: "np.ndarray[Any, Any]", k: int
    ) -> list[bool]:
        sizes = ends[1:] - ends[:-1]
        rows = self._rows.repeat(sizes)
        values = table.reshape(-1)[found]
        self._id[: len(found)] = found - rows * self._n_vocab
        self._logit[: len(found)] = values
        self._data_at[:] = self._base + CANDIDATE.itemsize * ends[:-1]
        self._size[:], self._selected[:], self._sorted[:] = sizes, -1, False
        enough: list[bool] = (sizes >= k).tolist()
        keys = rows * _APART + values
        keys.sort()
        equal = keys[1:] == keys[:-1]
        if equal.any():
            for row in np.floor(keys[1:][equal] / _APART + 0.5).astype(int).tolist():
                enough[row] = False
        return enough

    def left(self, row: int, k: int) -> bool:
        """After samplers that only lower logits: the ``k`` best are still sure, and no two of them equal."""
        values = self._logit[self._ends[row] : self._ends[row + 1]]
        kept = values[values >= self.thresholds[row]].tolist()
        return len(kept) >= k and len(set(kept)) == len(kept)

    def chosen(self) -> list[int]:
        """The token that a chain chose in each row (any number where none did)."""
        first = (self._data_at - self._base) // CANDIDATE.itemsize  # XTC moves the beginning
        found: list[int] = self._id[first.astype(np.int64) + np.maximum(self._selected, 0)].tolist()
        return found


@functools.lru_cache(maxsize=4)
def shortlists(n_vocab: int, rows: int) -> Shortlists:
    """One for everybody on the engine thread: its memory is used within one step only."""
    return Shortlists(n_vocab, rows)
