"""Computing a text in pieces of 512 tokens, several sequences at a time, as llama-imatrix and llama-perplexity do."""

import ctypes
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from app.core.errors import LoadFailedError, TextTooShortError
from app.core.lab import CHUNK
from app.core.types import LoadPlan
from app.runtime.llama import lib
from app.runtime.llama_context import Batch
from app.runtime.llama_log import LogCapture
from app.runtime.llama_model import Model
from app.runtime.llama_params import KV_TYPES, physical_cores

AT_ONCE = 2
"""Pieces in one batch. The tools take four: the same speed, and twice the memory for logits."""
SECONDS, SHARE = 10.0, 20
"""What is done is kept as often, but in a twentieth of the time at most."""


class Due:
    """Keeps what is done so far, after ``every`` batches, or sooner where they are slow: a pause must not cost minutes
    of a large model."""

    def __init__(self, every: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._every, self._clock = every, clock
        self._batches, self._last, self._wait = 0, clock(), SECONDS

    def __call__(self, write: Callable[[], None]) -> None:
        """After each batch."""
        self._batches += 1
        began = self._clock()
        if self._batches < self._every and began - self._last < self._wait:
            return
        write()
        self._batches, self._last = 0, self._clock()
        self._wait = max(SECONDS, SHARE * (self._last - began))


class Pieces:
    """A model, a context for ``AT_ONCE`` pieces, and a text's tokens cut into them.

    ``every``: logits for all positions (an importance matrix loses the last layer's rows otherwise), else for the
    second half of each piece. ``callback`` is a ``ggml_backend_sched_eval_callback``.
    """

    def __init__(
        self,
        model: str,
        text: str,
        *,
        threads: int,
        layers: int,
        chunks: int,
        every: bool,
        callback: Any = None,
        types: tuple[str, str] = ("f16", "f16"),
        ubatch: int = CHUNK,
    ) -> None:
        self.every, self.ubatch = every, ubatch
        plan = LoadPlan(model, n_gpu_layers=layers)
        self.model = Model.load(plan, Path(model).name, LogCapture().install(), lambda _fraction: True)
        self.bos = lib.llama_vocab_bos(self.model.vocab) if self.model.adds_bos else None
        words = Path(text).read_text(encoding="utf-8", errors="replace")
        self.tokens = self.model.tokenize(words, add_special=True, parse_special=False)
        self.count = len(self.tokens) // CHUNK
        if chunks:
            self.count = min(self.count, chunks)
        if len(self.tokens) < 2 * CHUNK:
            raise TextTooShortError(file=Path(text).name, tokens=len(self.tokens), needed=2 * CHUNK)
        self.context = self._context(threads or physical_cores(), callback, types)
        self.batch = Batch(AT_ONCE * CHUNK)

    def _context(self, threads: int, callback: Any, types: tuple[str, str]) -> int:
        params = lib.llama_context_default_params()
        params.n_ctx = params.n_batch = AT_ONCE * CHUNK
        params.n_ubatch = self.ubatch
        params.n_seq_max = AT_ONCE
        params.kv_unified = False
        params.n_threads = params.n_threads_batch = threads
        params.type_k, params.type_v = KV_TYPES[types[0]], KV_TYPES[types[1]]
        params.no_perf = True
        if not self.every:
            params.n_outputs_max = AT_ONCE * CHUNK // 2
        if callback is not None:
            params.cb_eval = callback
        pointer = lib.llama_init_from_model(self.model.pointer, params)
        if not pointer:
            raise LoadFailedError(model=self.model.path, detail="no context of 1,024 tokens could be made")
        return int(pointer)

    def piece(self, index: int) -> list[int]:
        """The tokens of one piece, as they are in the text."""
        return self.tokens[index * CHUNK : (index + 1) * CHUNK]

    def run(self, start: int = 0) -> Iterator[range]:
        """Compute all pieces from ``start`` on; after each batch, the indices of what was computed."""
        for first in range(start, self.count, AT_ONCE):
            done = range(first, min(first + AT_ONCE, self.count))
            lib.llama_memory_clear(lib.llama_get_memory(self.context), True)
            self._fill(done)
            if code := lib.llama_decode(self.context, self.batch.struct):
                raise LoadFailedError(model=self.model.path, detail=f"llama_decode returned {code}")
            yield done

    def _fill(self, pieces: range) -> None:
        self.batch.clear()
        for seq, index in enumerate(pieces):
            tokens = self.piece(index)
            if self.bos is not None:
                tokens[0] = self.bos
            half = 0 if self.every else CHUNK // 2
            if half:
                self.batch.add_run(tokens[:half], 0, seq, last=False)
            self.batch.add_run(tokens[half:], half, seq, last=True, every=True)
        self.batch.struct.n_tokens = self.batch.count

    def logits(self, at: int) -> Any:
        """float32 (CHUNK / 2, n_vocab): the second half of the batch's piece number ``at``, a view."""
        import numpy as np  # noqa: PLC0415

        rows, width = CHUNK // 2, self.model.n_vocab
        address = ctypes.cast(lib.llama_get_logits(self.context), ctypes.c_void_p).value or 0
        whole = (ctypes.c_float * (rows * width)).from_address(address + 4 * at * rows * width)
        return np.frombuffer(memoryview(whole), np.float32).reshape(rows, width)

    def close(self) -> None:
        """Free everything."""
        lib.llama_free(self.context)
        self.model.close()
