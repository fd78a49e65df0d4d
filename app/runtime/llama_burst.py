"""``native/burst.c``: steps of sequences that all write, one after the other without Python in between."""

import ctypes
from collections.abc import Collection

from app.runtime.llama import lib
from app.runtime.llama_choose import Rows, Sequence
from app.runtime.llama_context import Context
from app.runtime.llama_own import address, library
from app.runtime.speaker import Speaker

MOST_STEPS = 64
"""In one call."""
MOST_ENDS = 64
"""Tokens that end an answer are compared one by one."""


class _Speaker(ctypes.Structure):
    """``struct speaker`` of hearth.h."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("head", "tail", "unsafe", "frame")),
        *((name, ctypes.c_int32) for name in ("head_size", "tail_size", "room", "size", "left", "socket")),
    )


class _Burst(ctypes.Structure):
    """``struct burst`` of hearth.h."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("context", "vocab", "decode", "logits", "piece", "apply", "accept")),
        *((name, ctypes.c_void_p) for name in ("sequences", "speakers", "ends", "maxima", "found", "visitors")),
        ("batch", lib.llama_batch),
        *((name, ctypes.c_double) for name in ("passed", "pace", "decoding")),
        *((name, ctypes.c_int32) for name in ("count", "n_vocab", "n_ends", "room", "steps")),
    )  # fmt: skip


class Stretch:
    """For a batch of one token of each sequence, as ``Context.batch`` has it now and as ``rows`` chooses. Engine thread
    only."""

    def __init__(
        self, context: Context, rows: Rows, ends: Collection[int], visitors: "ctypes.c_int32"
    ) -> None:
        """``visitors``: not 0 when somebody waits for the engine thread; written by any thread."""
        found = library()
        assert found is not None  # there are ``rows``
        self._count = count = len(rows.sequences)
        self._call = found.hearth_burst
        self._first = (ctypes.c_int32 * count)()
        self._chosen = (ctypes.c_int32 * (count * MOST_STEPS))()
        self._speakers = (_Speaker * count)()
        self._ends = (ctypes.c_int32 * len(ends))(*ends)
        self._kept = (context, rows, visitors)
        context.batch.struct.n_tokens = count
        self._all = _Burst(
            context.pointer, context.model.vocab,
            *map(address, ("llama_decode", "llama_get_logits", "llama_token_to_piece")), rows.apply, rows.accept,
            ctypes.addressof(rows.sequences), ctypes.addressof(self._speakers), ctypes.addressof(self._ends),
            rows.maxima, rows.found, ctypes.addressof(visitors), context.batch.struct,
            0.0, 0.0, 0.0, count, context.model.n_vocab, len(ends), rows.room, 0,
        )  # fmt: skip
        for at in range(count):
            self.speak(at, None)

    def speak(self, at: int, speaker: Speaker | None) -> None:
        """Where the text of one sequence goes in the next run: to its reader, or (None) to the caller."""
        one = self._speakers[at]
        one.socket = -1
        if speaker is not None:
            one.head, one.head_size = speaker.head_at, len(speaker.head)
            one.tail, one.tail_size = speaker.tail_at, len(speaker.tail)
            one.frame, one.room = speaker.frame_at, speaker.room
            one.unsafe, one.left, one.socket = speaker.unsafe_at, 0, speaker.socket

    def unsaid(self, at: int) -> bytes:
        """What the reader's socket did not take of the last run's text."""
        one = self._speakers[at]
        if one.socket < 0 or not one.left:
            return b""
        return ctypes.string_at(one.frame + one.size - one.left, one.left)

    def run(self, tokens: list[int], most: int, seconds: float) -> int:
        """Compute steps from ``tokens`` on. Returns llama_decode's last code."""
        for at, token in enumerate(tokens):
            self._first[at] = token
        most = min(most, MOST_STEPS)
        return int(self._call(ctypes.addressof(self._all), self._first, self._chosen, most, seconds))

    @property
    def steps(self) -> int:
        """That the last run computed."""
        return int(self._all.steps)

    @property
    def rows(self) -> list[list[int]]:
        """What each step of the last run chose; UNSURE may be in the last one."""
        count = self._count
        flat = self._chosen[: self._all.steps * count]
        return [flat[at : at + count] for at in range(0, len(flat), count)]

    @property
    def pace(self) -> float:
        """Seconds that the last step took."""
        return float(self._all.pace)

    @property
    def passed(self) -> float:
        """Seconds that the last run took."""
        return float(self._all.passed)

    @property
    def decoding(self) -> float:
        """The engine thread's processor seconds of these in llama_decode."""
        return float(self._all.decoding)


__all__ = ["MOST_ENDS", "MOST_STEPS", "Sequence", "Stretch"]
