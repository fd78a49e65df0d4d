"""What several samplers choose at once from the best tokens is what each chooses from the whole vocabulary."""

import gc
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from app.core.generate import SamplingParams
from app.runtime import llama_choose, llama_sampler
from app.runtime.choosing import Chooser
from app.runtime.llama_sampler import Candidates, Chain
from app.runtime.sampling import Sampler

N_VOCAB = 10 * 1024 + 77
MODEL: Any = SimpleNamespace(n_vocab=N_VOCAB, suppressed=(), eog_tokens=frozenset({2, 7}), n_ctx_train=512)
ROWS = 6
Numbers = npt.NDArray[Any]


class Rows:
    """A context's logits, row by row."""

    def __init__(self, values: Numbers) -> None:
        self.values: npt.NDArray[np.float32] = np.ascontiguousarray(values, np.float32).copy()
        self.model, self.table_address = MODEL, self.values.ctypes.data

    def table(self, rows: int) -> Numbers:
        return self.values[:rows]

    def logits(self, row: int) -> Numbers:
        found: Numbers = self.values[row]
        return found


@pytest.fixture(autouse=True)
def all_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    """``llama_sampler_sample`` without a context: fill the array with the whole vocabulary, apply, accept."""

    def sample(chain: Chain, context: Any, index: int) -> int:
        candidates = Candidates(N_VOCAB)
        chain.apply(candidates.fill(context.logits(index)))
        chain.accept(candidates.selected)
        return candidates.selected

    monkeypatch.setattr(Chain, "sample", sample)


def peaked(rng: np.random.Generator, rows: int = ROWS) -> Numbers:
    values: Numbers = rng.standard_normal((rows, N_VOCAB)) * rng.uniform(0.5, 4) + rng.uniform(-20, 20)
    return values


def stepped(rng: np.random.Generator, rows: int = ROWS) -> Numbers:
    """Full of equal logits."""
    values: Numbers = np.round(peaked(rng, rows) * 16) / 16
    return values


def clustered(rng: np.random.Generator, rows: int = ROWS) -> Numbers:
    """The best stand together, in one or two blocks."""
    values = peaked(rng, rows)
    at = rng.integers(0, 8) * 1024 + rng.choice([0, 37])
    values[:, at : at + 100] += 30
    return values


def empty(rng: np.random.Generator, rows: int = ROWS) -> Numbers:
    """Nearly everything is ruled out."""
    values = np.full((rows, N_VOCAB), -np.inf, np.float32)
    values[:, rng.choice(N_VOCAB, 60, replace=False)] = rng.standard_normal((rows, 60))
    return values


USUAL: dict[str, Any] = {"temperature": 0.8, "top_k": 40, "top_p": 0.95, "min_p": 0.05}
CASES: dict[str, dict[str, Any]] = {
    "usual": USUAL,
    "small k": USUAL | {"top_k": 3},
    "large k": USUAL | {"top_k": 128, "top_p": 1.0, "min_p": 0.0},
    "dynamic": USUAL | {"dynatemp_range": 0.5},
    "typical and xtc": USUAL | {"typical_p": 0.9, "xtc_probability": 0.5},
    "repeat": USUAL | {"repeat_penalty": 1.3, "temperature": 1.5},
    "presence": USUAL | {"frequency_penalty": 0.4, "presence_penalty": 2.0, "penalty_last_n": -1},
    "bias": USUAL | {"logit_bias": dict.fromkeys(range(0, 3000, 10), -1.5) | {5: -float("inf")}},
    "min tokens": USUAL | {"min_tokens": 30},
    "greedy with a penalty": {"temperature": 0.0, "repeat_penalty": 1.2},
}


@pytest.mark.parametrize("shape", [peaked, stepped, clustered, empty])
@pytest.mark.parametrize("case", CASES)
def test_the_best_choose_as_the_whole_vocabulary(case: str, shape: Any) -> None:
    params = SamplingParams(**CASES[case])
    ours = [Sampler(MODEL, params, 7 + row) for row in range(ROWS)]
    plain = [Sampler(MODEL, params, 7 + row) for row in range(ROWS)]
    assert all(sampler.few for sampler in ours)
    rng = np.random.default_rng(len(case))
    for _step in range(10):
        values = shape(rng)
        context: Any = Rows(values)
        chooser = Chooser(context, ours)
        expected = []
        for row, sampler in enumerate(plain):
            whole: Any = Rows(values)
            expected.append(sampler.sample(whole, row))
        assert chooser.choose() == expected
    for sampler in (*ours, *plain):
        sampler.close()


def choose_among(values: Numbers, params: SamplingParams) -> list[int]:
    """Of each row by a new sampler; UNSURE where the best are not known."""
    context: Any = Rows(values)
    rows = llama_choose.Rows(N_VOCAB, len(values))
    samplers = [Sampler(MODEL, params, 1) for _ in values]
    for sampler, one in zip(samplers, rows.sequences, strict=True):
        sampler.describe(one)
    found = rows.choose(context.table_address)
    for sampler in samplers:
        sampler.close()
    return found


@pytest.mark.parametrize("case", ["usual", "large k", "repeat", "presence"])
def test_different_logits_are_always_sure(case: str) -> None:
    ladder = np.linspace(-20, 20, N_VOCAB, dtype=np.float32)
    values = np.random.default_rng(1).permuted(np.tile(ladder, (ROWS, 1)), axis=1)
    assert llama_choose.UNSURE not in choose_among(values, SamplingParams(**CASES[case]))


def test_what_is_no_number_or_all_the_same_is_left_to_llama() -> None:
    for value in (np.nan, 0.0, -np.inf, np.inf):
        values = np.full((ROWS, N_VOCAB), value, np.float32)
        assert choose_among(values, SamplingParams(**USUAL)) == [llama_choose.UNSURE] * ROWS


def test_more_lowered_than_reckoned_with_is_left_to_llama() -> None:
    values = np.random.default_rng(2).standard_normal((ROWS, N_VOCAB)) + 10
    best = np.argsort(values[0])[::-1][:500].tolist()
    params = SamplingParams(**USUAL | {"logit_bias": dict.fromkeys(best, -15.0)})
    assert choose_among(values, params)[0] == llama_choose.UNSURE


@pytest.mark.parametrize(
    "changes",
    [
        {"repeat_penalty": 0.9},
        {"frequency_penalty": -0.1},
        {"presence_penalty": -1.0},
        {"logit_bias": {3: 2.0}},
        {"mirostat": 2},
        {"top_n_sigma": 1.0},
        {"top_k": 0},
        {"top_k": 500},
    ],
)
def test_what_may_raise_a_token_takes_the_whole_vocabulary(changes: dict[str, Any]) -> None:
    sampler = Sampler(MODEL, SamplingParams(**(USUAL | changes)), 1)
    assert not sampler.few
    sampler.close()


@pytest.mark.parametrize("ignore_eos", [False, True])
def test_ends_come_when_they_may(ignore_eos: bool) -> None:
    """Before ``min_tokens`` neither the model's ends nor the request's, with ``ignore_eos`` the model's never."""
    params = SamplingParams(temperature=0.0, min_tokens=2, stop_tokens=(5, 7), ignore_eos=ignore_eos)
    together, alone = [Sampler(MODEL, params, 1)], Sampler(MODEL, params, 1)
    values = peaked(np.random.default_rng(4), 1)
    values[0, [5, 2, 9]] = 500, 1000, 100
    context: Any = Rows(values)
    chooser = Chooser(context, together)
    for expected in (9, 9, 5 if ignore_eos else 2):
        context.values[:] = values
        assert alone.sample(context, 0) == expected
        context.values[:] = values
        assert chooser.choose() == [expected]


@pytest.mark.parametrize(("n_ctx", "expected"), [(2048, 9), (0, 5)])
def test_all_of_a_penalty_reaches_over_the_whole_context(n_ctx: int, expected: int) -> None:
    """512 is what the model was trained for: with a context stretched to 2048 a token from further back counts too."""
    params = SamplingParams(temperature=0.0, frequency_penalty=2.0, penalty_last_n=-1)
    sampler = Sampler(MODEL, params, 1, n_ctx=n_ctx)
    sampler.prime([5] * 300 + list(range(1000, 1600)))
    values = peaked(np.random.default_rng(5), 1)
    values[0, [5, 9]] = 500, 100
    context: Any = Rows(values)
    assert sampler.sample(context, 0) == expected
    sampler.close()


def test_a_sampler_that_can_t_be_made_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    freed: list[int] = []
    free = llama_sampler._free
    monkeypatch.setattr(llama_sampler, "_free", lambda pointer: (freed.append(pointer), free(pointer)))
    monkeypatch.setattr(Chain, "add_bias", lambda chain, *_more: made.append(chain.pointer) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        Sampler(MODEL, SamplingParams(logit_bias={3: -1.0}), 1)
    gc.collect()
    assert made[0] in freed
    assert len(set(freed)) == len(freed) == 3  # the whole chain and its two parts, which were not in it yet


def test_a_chain_frees_what_is_in_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    freed: list[int] = []
    free = llama_sampler._free
    monkeypatch.setattr(llama_sampler, "_free", lambda pointer: (freed.append(pointer), free(pointer)))
    sampler = Sampler(MODEL, SamplingParams(logit_bias={3: -1.0}), 1)
    assert sampler._chain is not None
    whole = sampler._chain.pointer
    sampler.close()
    sampler.close()
    del sampler
    gc.collect()
    assert freed == [whole]


def test_greedy_takes_the_first_of_the_best() -> None:
    samplers = [Sampler(MODEL, SamplingParams(temperature=0.0, min_tokens=1), 1) for _ in range(ROWS)]
    values = stepped(np.random.default_rng(3))
    values[:, 2] = 1e6  # an end, too early
    context: Any = Rows(values)
    expected = np.delete(values, [2, 7], axis=1).max(axis=1)
    found = Chooser(context, samplers).choose()
    assert values[np.arange(ROWS), found].tolist() == expected.tolist()
    assert all(sampler.few for sampler in samplers)
