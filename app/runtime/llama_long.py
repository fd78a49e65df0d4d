"""What a context past the trained length, or another K/V type, costs in one long text: perplexity by position.

The tokens behind the trained length are scored twice: in the long context as planned, and with no more than the
trained length before them. The ratio is the price.
"""

import ctypes
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from app.core.errors import LabRefusedError, LoadFailedError, TextTooShortError
from app.core.lab import CHUNK, LabDone, LabProgress, PriceJob
from app.core.rope import stretched
from app.core.types import LoadPlan
from app.runtime.llama import lib
from app.runtime.llama_context import Batch
from app.runtime.llama_log import LogCapture
from app.runtime.llama_model import Model
from app.runtime.llama_params import context_params, physical_cores
from app.runtime.llama_score import log_softmax, mean_and_error

FIRST = 256
"""Positions at the beginning that are not scored, where the context is long enough: too little stands before them."""
LEAST = 8
"""Tokens of a context, and of a trained length, about which something can be said."""

Losses = npt.NDArray[np.float64]


def price(job: PriceJob, tell: Callable[[LabProgress], None]) -> LabDone:
    """``ppl_inside`` (up to the trained length), ``ppl_past`` (behind it), ``ppl_within`` (the same tokens as
    ``ppl_past`` with the trained length at most before them), ``ln_price`` = ln(past / within), each with its
    ``_error``. Without tokens behind the trained length only the first."""
    model = Model.load(
        job.plan, Path(job.plan.model_path).name, LogCapture().install(), lambda _fraction: True
    )
    try:
        return _Pricing(job, model, tell).run()
    finally:
        model.close()


class _Pricing:
    def __init__(self, job: PriceJob, model: Model, tell: Callable[[LabProgress], None]) -> None:
        self.job, self.model, self.tell, self.done = job, model, tell, 0
        self.trained = job.trained or int(lib.llama_model_n_ctx_train(model.pointer))
        if min(job.plan.n_ctx, self.trained) < LEAST:
            raise LabRefusedError(
                detail=f"a context of {job.plan.n_ctx} tokens with a trained length of {self.trained} has no price:"
                f" both must be {LEAST} tokens or more"
            )
        words = Path(job.text).read_text(encoding="utf-8", errors="replace")
        self.tokens = model.tokenize(words, add_special=True, parse_special=False)[: job.plan.n_ctx]
        if len(self.tokens) < job.plan.n_ctx:
            raise TextTooShortError(file=Path(job.text).name, tokens=len(self.tokens), needed=job.plan.n_ctx)
        self.plan = stretched(job.plan, self.trained, lib.llama_model_rope_freq_scale_train(model.pointer))
        self.total = len(self.tokens) + max(0, len(self.tokens) - self.trained) * 2

    def run(self) -> LabDone:
        losses = self._score(self.plan, self.tokens)
        first = min(FIRST, self.trained // 2, len(self.tokens) // 2)
        figures = _figures("inside", losses[first : self.trained - 1])
        past = losses[self.trained - 1 :]
        if len(past):
            within = np.concatenate(list(self._within()))
            figures |= _figures("past", past) | _figures("within", within)
            figures["ln_price"], figures["ln_price_error"] = mean_and_error(past - within)
        figures |= {"tokens": len(self.tokens), "trained": self.trained}
        return LabDone(figures | {"rope_freq_scale": self.plan.rope_freq_scale})

    def _within(self) -> Iterator[Losses]:
        """Half a trained length at a time, with the half before it in the context."""
        half = self.trained // 2
        plain = replace(
            self.job.plan,
            rope_scaling="model",
            rope_freq_base=0.0,
            rope_freq_scale=0.0,
            type_k="f16",
            type_v="f16",
        )
        for start in range(self.trained, len(self.tokens), half):
            end = min(start + half, len(self.tokens))
            piece = self.tokens[start - half : end]
            yield self._score(replace(plain, n_ctx=len(piece)), piece)[half - 1 :]

    def _score(self, plan: LoadPlan, tokens: list[int]) -> Losses:
        """-ln p of every token but the first, in nats."""
        context = self._context(plan)
        try:
            found = [self._batch(context, tokens, at) for at in range(0, len(tokens), CHUNK)]
        finally:
            lib.llama_free(context)
        return np.concatenate(found)

    def _context(self, plan: LoadPlan) -> int:
        threads = self.job.threads or physical_cores()
        one = replace(plan, kv_unified=True, n_parallel=1, n_idle=0, n_batch=CHUNK, n_ubatch=CHUNK)
        params = context_params(one, 1, (threads, threads))
        params.struct.n_outputs_max = CHUNK
        pointer = lib.llama_init_from_model(self.model.pointer, params.struct)
        if not pointer:
            raise LoadFailedError(
                model=self.model.path, detail=f"no context of {plan.n_ctx} tokens could be made"
            )
        return int(pointer)

    def _batch(self, context: int, tokens: list[int], at: int) -> Losses:
        piece, batch = tokens[at : at + CHUNK], Batch(CHUNK)
        batch.add_run(piece, at, 0, last=True, every=True)
        batch.struct.n_tokens = batch.count
        if code := lib.llama_decode(context, batch.struct):
            raise LoadFailedError(model=self.model.path, detail=f"llama_decode returned {code}")
        following = tokens[at + 1 : at + 1 + len(piece)]
        logs = log_softmax(_logits(context, len(piece), self.model.n_vocab)[: len(following)])
        self.done += len(piece)
        self.tell(LabProgress(min(self.done, self.total), self.total))
        return -logs[np.arange(len(following)), following].astype(np.float64)


def _logits(context: int, rows: int, width: int) -> Any:
    address = ctypes.cast(lib.llama_get_logits(context), ctypes.c_void_p).value or 0
    whole = (ctypes.c_float * (rows * width)).from_address(address)
    return np.frombuffer(memoryview(whole), np.float32).reshape(rows, width)


def _figures(name: str, losses: Losses) -> dict[str, float]:
    mean, error = mean_and_error(losses)
    return {f"ppl_{name}": math.exp(mean), f"ppl_{name}_error": math.exp(mean) * error}
