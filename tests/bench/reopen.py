"""A long chat closed and reopened after a restart of the program: its first token beside that of a fresh prefill."""

import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

from app.core.events import Bus
from app.core.generate import Delta, Finished, GenerateEvent, GenerateRequest, SamplingParams
from app.core.types import LoadPlan
from app.runtime.supervisor import Supervisor
from tests.bench.figures import Figure, median
from tests.starter import find_starter

PAIRS = 3
HISTORY, QUESTION, ANSWER, N_CTX = 4000, 20, 16, 8192


def run() -> list[Figure]:
    """Both first tokens, and how many times sooner the reopened chat's is; each pair has workers of its own."""
    with tempfile.TemporaryDirectory() as folder:
        pairs = [_pair(Path(folder), seed) for seed in range(PAIRS)]
    ratios = [fresh / again for fresh, again in pairs]
    return [
        median("first token of 4,000 tokens, fresh", [fresh * 1000 for fresh, _ in pairs], "ms"),
        median("first token of 4,000 tokens, reopened", [again * 1000 for _, again in pairs], "ms"),
        median("reopened, times sooner", ratios, "", goal=10.0, more=True, note=f"{PAIRS} pairs"),
    ]


def _pair(folder: Path, seed: int) -> tuple[float, float]:
    history = _tokens(HISTORY, seed)
    with _program(folder) as supervisor:
        _first_token(supervisor, history, f"chat-{seed}")
    with _program(folder) as supervisor:
        again = _first_token(supervisor, history + _tokens(QUESTION, seed + 100), f"chat-{seed}")
        fresh = _first_token(supervisor, _tokens(HISTORY + QUESTION, seed + 200), "")
    return fresh, again


def _tokens(count: int, seed: int) -> tuple[int, ...]:
    return tuple(100 + (seed * 7919 + i * 31) % 9000 for i in range(count))


@contextmanager
def _program(folder: Path) -> Iterator[Supervisor]:
    supervisor = Supervisor(Bus(), folder / "logs", cache=folder / "cache")
    supervisor.start()
    try:
        supervisor.ensure_ready("starter", LoadPlan(str(find_starter()), n_ctx=N_CTX, n_parallel=1)).result()
        yield supervisor
    finally:
        supervisor.close()


def _first_token(supervisor: Supervisor, tokens: tuple[int, ...], conversation: str) -> float:
    """Seconds from asking to the first text, on this side's clock."""
    first: list[float] = []
    over: Future[Finished] = Future()

    def sink(event: GenerateEvent) -> None:
        if isinstance(event, Delta) and event.text:
            first.append(time.perf_counter())
        elif isinstance(event, Finished):
            over.set_result(event)
        elif not isinstance(event, Delta):
            over.set_exception(RuntimeError(event.message))

    sampling = SamplingParams(temperature=0, max_tokens=ANSWER, ignore_eos=True)
    request = GenerateRequest("bench", tokens=tokens, sampling=sampling, conversation=conversation)
    began = time.perf_counter()
    supervisor.submit("starter", request, sink)
    over.result()
    return first[0] - began
