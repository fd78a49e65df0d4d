"""Models unlike the starter: windows, recurrent states, adapters. Prefixes are reused only where that is right."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from app.core.errors import LoadFailedError
from app.core.events import Bus
from app.core.generate import Finished, SamplingParams
from app.core.types import Adapter
from app.runtime.supervisor import Supervisor
from tests.fakes.asking import MODEL, Reply, ask, request, small_plan
from tests.fakes.tiny_models import merge_adapter, write_adapter, write_recurrent, write_windowed

FEW = SamplingParams(temperature=0, max_tokens=8, ignore_eos=True)
BEGINNINGS = ("The capital of France is", "1, 2, 3, 4, 5, 6,", "January, February, March,", "a, b, c, d, e,")


class Worker:
    """One loaded model."""

    def __init__(self, path: Path, folder: Path, **changes: object) -> None:
        self.supervisor = Supervisor(Bus(), folder)
        plan = small_plan(path, **{"n_threads": 1, "n_idle": 0, "n_parallel": 2, "n_ubatch": 32, **changes})
        try:
            self.supervisor.ensure_ready(MODEL, plan).result(60)
        except BaseException:
            self.supervisor.close()
            raise

    def say(self, tokens: tuple[int, ...], **sampling: object) -> Reply:
        chosen = SamplingParams(temperature=0, max_tokens=8, ignore_eos=True, logprobs=0, **sampling)  # type: ignore[arg-type]
        return ask(self.supervisor, request(tokens=tokens, sampling=chosen)).wait()

    def write(self, prompt: str) -> str:
        return ask(self.supervisor, request(prompt=prompt, sampling=FEW)).wait().text()


def numbers(seed: int, count: int) -> tuple[int, ...]:
    return tuple(100 + (seed * 7919 + i * 31) % 9000 for i in range(count))


def finished(reply: Reply) -> Finished:
    assert all(-100 < one.logprob <= 0 for e in reply.events for one in getattr(e, "logprobs", ())), "finite"
    return reply.finished()


@pytest.fixture(scope="module", params=["windowed", "recurrent"])
def pair(
    request: pytest.FixtureRequest, starter: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Worker, Worker]]:
    """The same model twice: one keeps what it computed, the other is asked each thing once."""
    folder = tmp_path_factory.mktemp("family")
    make = {"windowed": write_windowed, "recurrent": write_recurrent}[request.param]
    path = make(folder / "model.gguf", starter)
    found = Worker(path, folder / "kept"), Worker(path, folder / "fresh", cache_ram_mb=0, n_parallel=1)
    yield request.param, *found
    for worker in found:
        worker.supervisor.close()


def check(pair: tuple[str, Worker, Worker], tokens: tuple[int, ...]) -> int:
    """Both say the same; returns what was cached."""
    _, kept, fresh = pair
    fresh.say(numbers(next(_other), 40))  # nothing of the conversation is left there
    said, wanted = kept.say(tokens), fresh.say(tokens)
    assert finished(wanted).usage.cached == 0
    assert said.text() == wanted.text()
    assert said.text()
    return finished(said).usage.cached


_other = itertools.count(500)


def test_a_conversation_goes_on(pair: tuple[str, Worker, Worker]) -> None:
    _, kept, _ = pair
    tokens = numbers(1, 120)
    assert check(pair, tokens) == 0
    more = kept.supervisor.tokenize(MODEL, kept.say(tokens).text()).result(60)
    assert check(pair, (*tokens, *more, *numbers(2, 30))) in (0, 120, 120 + len(more) - 1)


def test_another_way_on_is_computed_anew_where_it_must(pair: tuple[str, Worker, Worker]) -> None:
    tokens = numbers(6, 600)
    check(pair, tokens)
    assert check(pair, (*tokens[:70], *numbers(7, 40))) == 0, "what it needs of the beginning is gone"


def test_conversations_in_turn(pair: tuple[str, Worker, Worker]) -> None:
    chats = [numbers(seed, 90) for seed in (8, 9, 10)]
    for round_ in range(2):
        for at, tokens in enumerate(chats):
            check(pair, tokens)
            chats[at] = (*tokens, *numbers(11 + at + 3 * round_, 20))


def test_an_adapter_makes_what_the_merged_model_is(starter: Path, tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "lora.gguf", starter, 0.5)
    merged = merge_adapter(starter, adapter, tmp_path / "merged.gguf")
    texts = []
    for path, adapters in (
        (starter, ()),
        (starter, (Adapter(str(adapter)),)),
        (starter, (Adapter(str(adapter), 0.0),)),
        (merged, ()),
    ):
        worker = Worker(path, tmp_path / "logs", adapters=adapters)
        texts.append([worker.write(prompt) for prompt in BEGINNINGS])
        worker.supervisor.close()
    plain, adapted, without, wanted = texts
    assert plain == without
    assert plain != adapted
    assert adapted == wanted


def test_a_plan_may_fix_the_seed(starter: Path, tmp_path: Path) -> None:
    hot = SamplingParams(temperature=1.5, max_tokens=12)
    worker = Worker(starter, tmp_path, seed=42)
    first, second = (
        ask(worker.supervisor, request(prompt="Once upon", sampling=hot)).wait() for _ in range(2)
    )
    own = ask(worker.supervisor, request(prompt="Once upon", sampling=replace(hot, seed=43))).wait()
    worker.supervisor.close()
    assert first.text() == second.text() != own.text()
    assert [reply.finished().seed for reply in (first, own)] == [42, 43]


def test_what_is_no_adapter_is_refused(starter: Path, tmp_path: Path) -> None:
    with pytest.raises(LoadFailedError, match="does not fit"):
        Worker(starter, tmp_path, adapters=(Adapter(str(starter)),))
    with pytest.raises(LoadFailedError, match="there is no adapter /no/such"):
        Worker(starter, tmp_path, adapters=(Adapter("/no/such.gguf"),))
