"""A context: the KV cache, one reused batch, decoding and what it left behind (logits, embeddings, state).

The batch's arrays are ours and stay where they are; numpy views write prompts into them and plain item writes single
tokens. Only the engine thread may use a context.
"""

import ctypes
import logging
import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from app.core.errors import LoadFailedError, OutOfMemoryError
from app.core.types import LoadPlan
from app.runtime.llama import fast, lib
from app.runtime.llama_log import LogCapture, first_allocation_failure
from app.runtime.llama_model import Model
from app.runtime.llama_params import context_params, sequences, thread_counts
from app.runtime.media import still_places

log = logging.getLogger(__name__)

OK, NO_ROOM, ABORTED = 0, 1, 2  # llama.h, llama_decode
MOST_VIEWS = 1024
POOLING_NONE, POOLING_RANK = 0, 4

Floats = npt.NDArray[np.float32]

_decode = fast("llama_decode", ctypes.c_int32, ctypes.c_void_p, lib.llama_batch)
_encode = fast("llama_encode", ctypes.c_int32, ctypes.c_void_p, lib.llama_batch)
_logits = fast("llama_get_logits_ith", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32)
_all_logits = fast("llama_get_logits", ctypes.c_void_p, ctypes.c_void_p)
_embedding_row = fast("llama_get_embeddings_ith", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32)
_embedding_seq = fast("llama_get_embeddings_seq", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32)
_seq_rm = fast("llama_memory_seq_rm", ctypes.c_bool, ctypes.c_void_p, *[ctypes.c_int32] * 3)
_seq_cp = fast("llama_memory_seq_cp", None, ctypes.c_void_p, *[ctypes.c_int32] * 4)
_pos_min = fast("llama_memory_seq_pos_min", ctypes.c_int32, ctypes.c_void_p, ctypes.c_int32)
_pos_max = fast("llama_memory_seq_pos_max", ctypes.c_int32, ctypes.c_void_p, ctypes.c_int32)
_state_size = fast("llama_state_seq_get_size", ctypes.c_size_t, ctypes.c_void_p, ctypes.c_int32)
_state_get = fast(
    "llama_state_seq_get_data", ctypes.c_size_t, *[ctypes.c_void_p] * 2, ctypes.c_size_t, ctypes.c_int32
)
_state_set = fast(
    "llama_state_seq_set_data", ctypes.c_size_t, *[ctypes.c_void_p] * 2, ctypes.c_size_t, ctypes.c_int32
)


class Batch:
    """Room for ``size`` tokens, each of one sequence."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.count = 0
        self._token = (ctypes.c_int32 * size)()
        self._pos = (ctypes.c_int32 * size)()
        self._seq = (ctypes.c_int32 * size)()
        self._wanted = (ctypes.c_int8 * size)()
        self._ones = (ctypes.c_int32 * size)(*[1] * size)
        pointer = ctypes.POINTER(ctypes.c_int32)
        first, width = ctypes.addressof(self._seq), ctypes.sizeof(ctypes.c_int32)
        self._seqs = (pointer * size)(*[ctypes.cast(first + width * i, pointer) for i in range(size)])
        self._tokens_view, self._pos_view, self._seq_view, self._wanted_view = (
            np.frombuffer(memoryview(array), kind)
            for array, kind in (
                (self._token, "i4"),
                (self._pos, "i4"),
                (self._seq, "i4"),
                (self._wanted, "i1"),
            )
        )
        self.struct = lib.llama_batch()
        self.struct.token, self.struct.pos = self._token, self._pos
        self.struct.n_seq_id, self.struct.seq_id = self._ones, self._seqs
        self.struct.logits = self._wanted

    def clear(self) -> None:
        """Begin a new step."""
        self.count = 0

    def add(self, token: int, pos: int, seq: int) -> int:
        """One token whose logits are wanted; returns its index."""
        at = self.count
        self._token[at], self._pos[at], self._seq[at], self._wanted[at] = token, pos, seq, 1
        self.count = at + 1
        return at

    def advance(self, tokens: list[int]) -> None:
        """The batch as it is, one position further: the next token of each sequence."""
        numbers, places = self._token, self._pos
        for at, token in enumerate(tokens):
            numbers[at] = token
            places[at] += 1

    def add_run(self, tokens: list[int], pos: int, seq: int, *, last: bool, every: bool = False) -> int:
        """Tokens at following positions; the ``last`` one's logits (or ``every`` one's) are wanted. Returns the last
        one's index."""
        at, end = self.count, self.count + len(tokens)
        self._tokens_view[at:end] = tokens
        self._pos_view[at:end] = np.arange(pos, pos + len(tokens), dtype=np.int32)
        self._seq_view[at:end] = seq
        self._wanted_view[at:end] = every
        if last:
            self._wanted[end - 1] = 1
        self.count = end
        return end - 1


class Context:
    """``llama_context`` with its batch. ``n_ctx`` is one sequence's room, ``n_cells`` the whole cache's."""

    def __init__(self, model: Model, pointer: int, plan: LoadPlan) -> None:
        self.model, self.pointer, self.plan = model, pointer, plan
        self.memory = lib.llama_get_memory(pointer)
        self.n_seq: int = lib.llama_n_seq_max(pointer)
        self.n_ctx: int = min(lib.llama_n_ctx_seq(pointer), lib.llama_n_ctx(pointer))
        self.n_cells: int = lib.llama_n_ctx(pointer)
        self.n_batch: int = lib.llama_n_batch(pointer)
        self.n_ubatch: int = lib.llama_n_ubatch(pointer)
        self.pooling: int = lib.llama_pooling_type(pointer)
        self.batch = Batch(self.n_batch)
        windowed = bool(model.n_swa) and not plan.swa_full
        self.can_cut = not model.recurrent
        self.can_share = plan.kv_unified and self.can_cut and not windowed and self.memory is not None
        self.on_device: bool = (
            plan.offload_kqv and plan.n_gpu_layers != 0 and lib.llama_supports_gpu_offload()
        )
        """The KV cache is (or may be) in a GPU's memory."""
        self.still: dict[int, list[tuple[int, int]]] = {}
        """Sequence -> (end, places) of images whose places take fewer positions (M-RoPE); empty for other models."""
        self._views: dict[int, Floats] = {}
        self._rows: dict[int, Floats] = {}
        self._table, self._table_at = np.empty((0, 0), np.float32), 0
        self._abort = ctypes.create_string_buffer(2)
        self._adapters: list[Any] = []
        self._install_abort()

    @classmethod
    def create(cls, model: Model, plan: LoadPlan, name: str, capture: LogCapture) -> "Context":
        """Allocate the cache and the compute buffers. Raises OutOfMemoryError or LoadFailedError."""
        n_seq = plan.n_parallel if model.recurrent and not plan.embeddings else sequences(plan)
        params = context_params(plan, n_seq, thread_counts(plan))
        pointer = lib.llama_init_from_model(model.pointer, params.struct)
        if not pointer:
            raise _explain(name, capture.lines())
        context = cls(model, pointer, plan)
        try:
            context.set_adapters(model.adapters(plan))
        except BaseException:
            context.close()
            raise
        return context

    def close(self) -> None:
        """Free everything but the model. Idempotent."""
        if self.pointer:
            lib.llama_free(self.pointer)
            self.pointer = 0

    def set_adapters(self, adapters: list[tuple[int, float]]) -> None:
        """Use these LoRA adapters (pointer, scale) from now on."""
        if not adapters:
            return
        pointers = (ctypes.c_void_p * len(adapters))(*[pointer for pointer, _ in adapters])
        scales = (ctypes.c_float * len(adapters))(*[scale for _, scale in adapters])
        call = fast(
            "llama_set_adapters_lora",
            ctypes.c_int32,
            *[ctypes.c_void_p] * 2,
            ctypes.c_size_t,
            ctypes.c_void_p,
        )
        if call(self.pointer, ctypes.addressof(pointers), len(adapters), ctypes.addressof(scales)):
            raise LoadFailedError(model=self.model.path, detail="the adapters can't be used together")

    def set_threads(self, decode: int, batch: int) -> None:
        """Threads for one-token steps and for batches (unless the plan fixes those)."""
        lib.llama_set_n_threads(self.pointer, decode, self.plan.n_threads_batch or batch)

    @property
    def threads(self) -> tuple[int, int]:
        """(decode, batch) threads as they are set now."""
        return lib.llama_n_threads(self.pointer), lib.llama_n_threads_batch(self.pointer)

    # ------------------------------------------------------------------------------ decoding

    def _install_abort(self) -> None:
        # WORKAROUND: llama.cpp asks a C function at every node of the graph. A Python one would take the GIL each
        # time (20 % of a step), so libc's strlen answers: it reads our buffer, and "" is 0 (go on).
        libc = ctypes.CDLL("msvcrt" if sys.platform == "win32" else None)
        strlen = ctypes.cast(libc.strlen, ctypes.c_void_p)
        call = fast("llama_set_abort_callback", None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
        call(self.pointer, strlen, ctypes.addressof(self._abort))

    def abort(self, on: bool = True) -> None:
        """Stop the running decode as soon as may be (from any thread), or allow decoding again."""
        self._abort[0] = b"\1" if on else b"\0"

    def decode(self) -> int:
        """Compute the batch. Returns OK, NO_ROOM (nothing changed), ABORTED (a part may be done; see ``held``), or a
        negative number for an error."""
        self.batch.struct.n_tokens = self.batch.count
        return int(_decode(self.pointer, self.batch.struct))

    def encode(self) -> int:
        """Compute the batch without a KV cache (encoder models). Returns 0 or an error."""
        self.batch.struct.n_tokens = self.batch.count
        return int(_encode(self.pointer, self.batch.struct))

    def logits(self, index: int) -> Floats:
        """The row of logits of a batch index: a view of n_vocab values, valid (and writable) until the next decode."""
        address = _logits(self.pointer, index)
        row = self._rows.get(address)
        return self._row(address) if row is None else row

    def _row(self, address: int | None) -> Floats:
        if len(self._rows) > MOST_VIEWS:
            self._rows.clear()
        row = self._new_view(address, self.model.n_vocab)
        assert address is not None  # ``_new_view`` looked
        self._rows[address] = row
        return row

    @property
    def table_address(self) -> int:
        """Where ``table`` begins."""
        return _all_logits(self.pointer) or 0

    def table(self, rows: int) -> Floats:
        """All logits of the last batch, (rows, n_vocab), in the order of the tokens that wanted theirs: a view as
        ``logits`` gives."""
        address = _all_logits(self.pointer)
        if address != self._table_at or len(self._table) != rows:
            flat = self._view(address, rows * self.model.n_vocab)
            self._table, self._table_at = flat.reshape(rows, self.model.n_vocab), address
        return self._table

    def embedding(self, index: int) -> Floats:
        """The embedding of a batch index, n_embd values (a view)."""
        return self._view(_embedding_row(self.pointer, index), self.model.n_embd)

    def pooled(self, seq: int, width: int) -> Floats:
        """The pooled embedding of a sequence, or its ``width`` scores from a reranker (a view)."""
        return self._view(_embedding_seq(self.pointer, seq), width)

    def _view(self, address: int | None, width: int) -> Floats:
        view = self._views.get(address) if address else None
        if view is None or view.size != width:
            view = self._new_view(address, width)
            assert address is not None
            if len(self._views) > MOST_VIEWS:
                self._views.clear()
            self._views[address] = view
        return view

    @staticmethod
    def _new_view(address: int | None, width: int) -> Floats:
        if not address:
            raise ValueError("llama.cpp has no output there")
        return np.frombuffer(memoryview((ctypes.c_float * width).from_address(address)), np.float32)

    # ------------------------------------------------------------------------------ the scheduler's Cache

    def trim(self, seq: int, length: int) -> int:
        """See ``scheduler.Cache``. A sliding-window or recurrent cache may have to let go of everything."""
        if self.memory is None:
            return 0
        position = length
        if self.still:
            position = self.position(seq, length)
            self._keep_still(seq, self.still.get(seq, []), length)
        if not _seq_rm(self.memory, seq, position, -1) or (length and not self._sees(seq, position)):
            _seq_rm(self.memory, seq, -1, -1)
            self.still.pop(seq, None)
            return 0
        return length

    def _sees(self, seq: int, length: int) -> bool:
        """What the token after ``length`` others may look at in windowed layers is still there (none: it was written
        over by what followed)."""
        if not self.model.n_swa:
            return True
        first = int(_pos_min(self.memory, seq))
        return 0 <= first <= max(0, length - self.model.n_swa)

    def share(self, source: int, target: int, length: int) -> int:
        """See ``scheduler.Cache``."""
        _seq_cp(self.memory, source, target, 0, self.position(source, length) if self.still else length)
        if self.still:
            self._keep_still(target, self.still.get(source, []), length)
        return length

    def held(self, seq: int) -> int:
        """How many tokens the cache really holds for a sequence."""
        held = int(_pos_max(self.memory, seq)) + 1
        return held + sum(places for _, places in self.still.get(seq, ())) if self.still else held

    def position(self, seq: int, place: int) -> int:
        """The position of a sequence's token ``place``, where images before it took fewer positions than places."""
        return place - sum(places for end, places in self.still.get(seq, ()) if end <= place)

    def note_still(self, seq: int, end: int, places: int) -> None:
        """An image that ends before ``end`` has ``places`` that take no position."""
        if places:
            self.still.setdefault(seq, []).append((end, places))

    def _keep_still(self, seq: int, found: list[tuple[int, int]], length: int) -> None:
        kept = [(end, places) for end, places in found if end <= length]
        if kept:
            self.still[seq] = kept
        else:
            self.still.pop(seq, None)

    def clear(self) -> None:
        """Empty the whole cache."""
        self.still.clear()
        if self.memory is not None:
            lib.llama_memory_clear(self.memory, False)

    # ------------------------------------------------------------------------------ state of one sequence

    def state_size(self, seq: int) -> int:
        """Bytes of a sequence's state."""
        return int(_state_size(self.pointer, seq))

    def save_state(self, seq: int) -> memoryview:
        """A sequence's KV state, in llama.cpp's own form (bound to model, context size and KV types)."""
        buffer = np.empty(self.state_size(seq), np.uint8)
        written = _state_get(self.pointer, buffer.ctypes.data, buffer.size, seq)
        return memoryview(buffer.data)[:written]

    def load_state(self, seq: int, state: bytes | memoryview, tokens: list[int]) -> bool:
        """Put the saved state of these tokens into an empty sequence; False leaves it empty."""
        data, length = np.frombuffer(state, np.uint8), len(tokens)
        for end, places in still_places(tokens):
            self.note_still(seq, end, places)
        if _state_set(self.pointer, data.ctypes.data, data.size, seq) and self.held(seq) == length:
            return True
        self.still.pop(seq, None)
        log.info("a saved state of %d tokens does not fit this context", length)
        _seq_rm(self.memory, seq, -1, -1)
        return False


def _explain(name: str, lines: list[str]) -> Exception:
    if failure := first_allocation_failure(lines):
        return OutOfMemoryError(model=name, detail=failure.split(": ", 1)[-1])
    errors = [line for line in lines if "failed" in line or "error" in line.lower() or "requires" in line]
    return LoadFailedError(
        model=name, detail=errors[-1].split(": ", 1)[-1] if errors else "no context was made"
    )
