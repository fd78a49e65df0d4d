"""From SamplingParams to a sampler chain of llama.cpp, one for each answer, in the order of its common default:
logit bias, penalties, DRY, top-n-sigma, top-k, typical, top-p, min-p, XTC, temperature, distribution.

A grammar is not part of the chain: as in llama.cpp's common/sampling.cpp the chain chooses first, and only when the
grammar refuses the choice are all candidates filtered by it and the chain asked again.
"""

import ctypes
import secrets
from collections.abc import Sequence

import numpy as np

from app.core.errors import BadConstraintError, BadRequestError
from app.core.generate import SamplingParams, TokenLogprob
from app.runtime import llama_choose
from app.runtime.grammar import Constraint
from app.runtime.llama import lib
from app.runtime.llama_context import Context, Floats
from app.runtime.llama_model import Model
from app.runtime.llama_sampler import Candidates, Chain, Grammar

MIN_KEEP = 0
NO_TOKEN = -1
NEVER = 1 << 62
MOST_REMEMBERED = 1 << 20
"""Tokens that penalties look back over at most: llama.cpp takes memory for all of them at once."""


def choose_seed(params: SamplingParams, choice: int, usual: int = -1) -> int:
    """The seed of the ``choice``-th answer: the request's (counted up), else the ``usual`` one. -1: a random one, as
    llama.cpp's and LM Studio's clients mean it."""
    given = usual if params.seed is None else params.seed
    seed = secrets.randbits(32) if given == -1 else given + choice
    return seed % 0xFFFFFFFF  # the largest value means "random" to llama.cpp


class Sampler:
    """Chooses the tokens of one answer. ``close`` frees what llama.cpp holds."""

    def __init__(
        self, model: Model, params: SamplingParams, seed: int, constraint: Constraint | None = None, n_ctx: int = 0
    ) -> None:  # fmt: skip
        """``n_ctx``: how far back "all" of a penalty's ``last_n`` (-1) is; 0: as the model was trained."""
        check(params, model.n_vocab)
        self._model, self._params = model, params
        self._min_tokens = NEVER if params.ignore_eos else params.min_tokens
        self.written = 0
        """Tokens chosen so far (``choosing`` counts its own)."""
        self._suppressed = model.suppressed
        self._grammar = _grammar(model, constraint) if constraint else None
        self._greedy = self._grammar is None and not self._suppressed and is_plain_greedy(params)
        self._chain, self._memory, self._rest = None, None, None
        if not self._greedy:
            self._chain, self._memory, self._rest = build_chains(model, params, seed, n_ctx)
        self._candidates = Candidates(model.n_vocab) if self._grammar else None
        self._k = 0 if self._greedy else best_of(params, model)
        self.few = self._grammar is None and (self._k > 0 or (self._greedy and llama_choose.available()))
        """``choosing`` may choose, from a few of the tokens, for several sequences at once."""
        self._eog = len(model.eog_tokens)
        self._ends = [*sorted(model.eog_tokens), *sorted({*params.stop_tokens} - model.eog_tokens)]
        self._banned = (ctypes.c_int32 * len(self._ends))(*self._ends)

    def prime(self, prompt: Sequence[int]) -> None:
        """Tell the penalties what stands before the answer."""
        if self._chain is not None and (count := remembered(self._params)):
            for token in prompt[-count:]:
                self._chain.accept(token)

    def _early_ends(self) -> int:
        """How many of ``_ends`` may not come now: all before ``min_tokens``, with ``ignore_eos`` the model's own."""
        if self.written < self._params.min_tokens:
            return len(self._ends)
        return self._eog if self._params.ignore_eos else 0

    def _rule_out_ends(self, logits: Floats) -> None:
        for token in self._ends[: self._early_ends()]:
            logits[token] = -np.inf

    def sample(self, context: Context, index: int) -> int:
        """The next token from the logits of a batch index; NO_TOKEN when the grammar allows none."""
        chain, grammar = self._chain, self._grammar
        if chain is not None and grammar is None and self.written >= self._min_tokens:
            self.written += 1
            return chain.sample(context, index)
        logits = context.logits(index)
        if self.written < self._min_tokens:
            self._rule_out_ends(logits)
        self.written += 1
        if grammar is not None and chain is not None:
            return self._constrained(grammar, chain, context, index)
        return self.from_all(context, index)

    def describe(self, one: llama_choose.Sequence) -> bool:
        """Fill in what ``choosing`` needs for the next token. True: it is too early for an end now, so a later one will
        need something else."""
        one.memory = self._memory.pointer if self._memory else None
        one.rest = self._rest.pointer if self._rest else None
        one.banned, one.n_banned = ctypes.addressof(self._banned), self._early_ends()
        one.k, one.lowered = self._k, llama_choose.MOST_LOWERED if self._memory else 0
        return self.written < self._params.min_tokens

    def from_all(self, context: Context, index: int) -> int:
        """The choice from the whole vocabulary, accepted; for logits in which the ends are ruled out already."""
        if self._chain is None:
            return context.logits(index).argmax().item()
        return self._chain.sample(context, index)

    def force(self, token: int) -> bool:
        """Take note of a token that is written whatever the model says; False when the grammar does not allow it."""
        if self._grammar is not None and self._candidates is not None:
            self._grammar.apply(self._candidates.one(token))
            if not self._candidates.possible:
                return False
            self._grammar.accept(token)
        if self._chain is not None:
            self._chain.accept(token)
        self.written += 1
        return True

    def _constrained(self, grammar: Grammar, chain: Chain, context: Context, index: int) -> int:
        candidates = self._candidates
        assert candidates is not None
        logits = context.logits(index)
        if self._memory is None:
            token = chain.sample(context, index)
        else:  # what the grammar refuses must not be accepted
            chain.apply(candidates.fill(logits))
            token = candidates.selected
        grammar.apply(candidates.one(token))
        if not candidates.possible:
            array = candidates.fill(logits)
            grammar.apply(array)
            chain.apply(array)
            token = candidates.selected
            grammar.apply(candidates.one(token))
            if token < 0 or not candidates.possible:
                return NO_TOKEN
        if self._memory is not None:
            self._memory.accept(token)
        grammar.accept(token)
        return token

    def close(self) -> None:
        """Free the chain and the grammar. Idempotent."""
        for part in (self._chain, self._grammar):
            if part is not None:
                part.close()


def _grammar(model: Model, constraint: Constraint) -> Grammar:
    patterns: tuple[str, ...] = ()
    tokens: list[int] = []
    if constraint.lazy:
        marks = model.markers(constraint.trigger_words)
        tokens = list(marks)
        patterns = constraint.trigger_patterns
    try:
        return Grammar(model, constraint.grammar, patterns, tokens)
    except ValueError as error:
        raise BadConstraintError(detail=str(error)) from error


def check(params: SamplingParams, n_vocab: int) -> None:
    """Raises BadRequestError for values that llama.cpp would turn into an abort or into nonsense."""
    numbers = {name: getattr(params, name) for name in params.__struct_fields__}
    for name, value in numbers.items():
        if isinstance(value, float) and not np.isfinite(value):
            raise BadRequestError(detail=f"{name} is not a number")
    if params.repeat_penalty <= 0:
        raise BadRequestError(detail="repeat_penalty must be above 0")
    if not 1 <= params.n <= 64:
        raise BadRequestError(detail="n must be from 1 to 64")
    if bad := [token for token in (*params.logit_bias, *params.stop_tokens) if not 0 <= token < n_vocab]:
        raise BadRequestError(detail=f"there is no token {bad[0]}")
    if params.dry_multiplier > 0 and (params.dry_base < 1 or params.dry_allowed_length < 1):
        raise BadRequestError(detail="DRY needs a base of 1 or more and an allowed length of 1 or more")


def has_penalties(params: SamplingParams) -> bool:
    """Any of the three penalties changes something."""
    used = params.repeat_penalty != 1.0 or params.frequency_penalty != 0.0 or params.presence_penalty != 0.0
    return used and params.penalty_last_n != 0


def is_plain_greedy(params: SamplingParams) -> bool:
    """The answer is the likeliest token each time, with nothing before it: no chain is needed."""
    changed = has_penalties(params) or params.dry_multiplier > 0 or params.logit_bias or params.mirostat
    return _is_greedy(params) and not changed


def best_of(params: SamplingParams, model: Model) -> int:
    """How many of the best tokens go through the chain, when what comes before only lowers logits; 0: nobody knows."""
    raising = params.repeat_penalty < 1 or params.frequency_penalty < 0 or params.presence_penalty < 0
    raising = raising or any(bias > 0 for bias in params.logit_bias.values())
    if raising or params.mirostat or params.top_n_sigma > 0:
        return 0
    k = 1 if _is_greedy(params) else params.top_k
    return k if llama_choose.suits(model.n_vocab, k) else 0


def remembered(params: SamplingParams) -> int:
    """How many of the prompt's last tokens the chain must have seen."""
    counts = []
    if has_penalties(params):
        counts.append(params.penalty_last_n)
    if params.dry_multiplier > 0:
        counts.append(params.dry_penalty_last_n)
    return 1 << 30 if any(count < 0 for count in counts) else max(counts, default=0)


def _is_greedy(params: SamplingParams) -> bool:
    return params.temperature <= 0 and params.dynatemp_range <= 0


def build_chains(
    model: Model, params: SamplingParams, seed: int, n_ctx: int = 0
) -> tuple[Chain, Chain | None, Chain]:
    """The chain for these parameters, and its two parts, which it owns: what changes single logits (bias, penalties,
    DRY; None without any) and the rest. Neutral samplers are left out."""
    chain, rest = Chain(), build_rest(model, params, seed)
    bias = params.logit_bias | dict.fromkeys(model.suppressed, float("-inf"))
    memory = None
    if bias or (not params.mirostat and (has_penalties(params) or params.dry_multiplier > 0)):
        memory = Chain()
        if bias:
            memory.add_bias(model, bias)
        if not params.mirostat:
            _add_memory(memory, model, params, n_ctx or model.n_ctx_train)
        chain.add_chain(memory)
    chain.add_chain(rest)
    return chain, memory, rest


def build_rest(model: Model, params: SamplingParams, seed: int) -> Chain:
    """From top-n-sigma to the choice."""
    chain = Chain()
    if params.mirostat:
        _add_mirostat(chain, model, params, seed)
        return chain
    if _is_greedy(params):
        chain.add(lib.llama_sampler_init_greedy())
        return chain
    _add_truncation(chain, params, seed)
    if params.dynatemp_range > 0:
        range_, exponent = params.dynatemp_range, params.dynatemp_exponent
        chain.add(lib.llama_sampler_init_temp_ext(params.temperature, range_, exponent))
    elif params.temperature != 1.0:
        chain.add(lib.llama_sampler_init_temp(params.temperature))
    chain.add(lib.llama_sampler_init_dist(seed))
    return chain


def _add_mirostat(chain: Chain, model: Model, params: SamplingParams, seed: int) -> None:
    tau, eta = params.mirostat_tau, params.mirostat_eta
    chain.add(lib.llama_sampler_init_temp(params.temperature))
    if params.mirostat == 1:
        chain.add(lib.llama_sampler_init_mirostat(model.n_vocab, seed, tau, eta, 100))
    else:
        chain.add(lib.llama_sampler_init_mirostat_v2(seed, tau, eta))


def _add_memory(chain: Chain, model: Model, params: SamplingParams, n_ctx: int) -> None:
    if has_penalties(params):
        last = _reach(params.penalty_last_n, n_ctx)
        penalties = (last, params.repeat_penalty, params.frequency_penalty, params.presence_penalty)
        chain.add(lib.llama_sampler_init_penalties(model.n_vocab, *penalties))
    if params.dry_multiplier > 0:
        last = _reach(params.dry_penalty_last_n, n_ctx)
        numbers = (params.dry_multiplier, params.dry_base, params.dry_allowed_length, last)
        chain.add_dry(model, numbers, params.dry_sequence_breakers)


def _reach(last_n: int, n_ctx: int) -> int:
    return min(n_ctx if last_n < 0 else last_n, MOST_REMEMBERED)


def _add_truncation(chain: Chain, params: SamplingParams, seed: int) -> None:
    if params.top_n_sigma > 0:
        chain.add(lib.llama_sampler_init_top_n_sigma(params.top_n_sigma))
    if params.top_k > 0:
        chain.add(lib.llama_sampler_init_top_k(params.top_k))
    if params.typical_p < 1:
        chain.add(lib.llama_sampler_init_typical(params.typical_p, MIN_KEEP))
    if params.top_p < 1:
        chain.add(lib.llama_sampler_init_top_p(params.top_p, MIN_KEEP))
    if params.min_p > 0:
        chain.add(lib.llama_sampler_init_min_p(params.min_p, MIN_KEEP))
    if params.xtc_probability > 0:
        chain.add(lib.llama_sampler_init_xtc(params.xtc_probability, params.xtc_threshold, MIN_KEEP, seed))


class Logprobs:
    """The model's own distribution at one position (before any sampler), to be asked once the token is known."""

    def __init__(self, logits: Floats, top: int) -> None:
        self._logits = logits.copy()
        peak = float(self._logits.max())
        self._total = peak + float(np.log(np.exp(self._logits - peak, dtype=np.float64).sum()))
        self._top = min(top, len(self._logits))

    def of(self, model: Model, token: int) -> TokenLogprob:
        """The chosen token's log-probability and its alternatives'."""
        text, data = _named(model, token)
        return TokenLogprob(text, data, self._value(token), tuple(self._alternatives(model)))

    def _value(self, token: int) -> float:
        return max(-1e30, float(self._logits[token]) - self._total)

    def _alternatives(self, model: Model) -> list[tuple[str, bytes, float]]:
        if not self._top:
            return []
        best = np.argpartition(self._logits, -self._top)[-self._top :]
        ordered = best[np.argsort(self._logits[best])[::-1]]
        return [(*_named(model, int(token)), self._value(int(token))) for token in ordered]


def _named(model: Model, token: int) -> tuple[str, bytes]:
    data = model.piece(token, special=True)
    return data.decode("utf-8", "replace"), data
