"""Decode and prefill through the whole path (worker, pipe, runtime thread) over a bare loop, in turn, in one run. The
request is the chat window's: words that come within a frame travel together.

Twice: with two threads, which the goals are for, and with a core left over for the program itself. The difference is
what the program's own work for each token costs where every core computes.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

from app.chat.session import FRAME_MS
from app.core.events import Bus
from app.core.generate import Delta, Finished, GenerateEvent, GenerateRequest, SamplingParams
from app.core.types import LoadPlan
from app.runtime.supervisor import Supervisor
from tests.bench.figures import ROOT, Figure, median
from tests.starter import find_starter

PAIRS = 7
PROMPT, TOKENS, N_CTX = 512, 128, 2048
CORES = os.cpu_count() or 1
THREADS, ONE_LEFT = min(2, CORES), max(1, min(8, CORES - 1))


def run() -> list[Figure]:
    """Ratios of the medians of pairs measured one after the other."""
    found = _figures(_pairs(THREADS), f"{THREADS} threads", goals=True)
    if ONE_LEFT != THREADS:
        found += _figures(_pairs(ONE_LEFT), f"{ONE_LEFT} of {CORES} cores", goals=False)
    return [*found, *_busy()]


def _busy() -> list[Figure]:
    """Threads chosen by the engine itself, on a quiet machine and while another program keeps one core busy."""
    with engine(None) as ours:
        quiet = [ours(seed)["decode"] for seed in range(PAIRS)][1:]
        with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
            try:
                busy = [ours(seed)["decode"] for seed in range(PAIRS)][1:]
            finally:
                other.kill()
    alone = median("decode, threads chosen, quiet", quiet, "tokens/s")
    note = f"of {CORES}; all of them without it: {alone.value:.0f} tokens/s"
    return [alone, median("decode, threads chosen, one core kept busy", busy, "tokens/s", note=note)]


def _pairs(threads: int) -> list[tuple[dict[str, float], dict[str, float]]]:
    bare = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.bare", str(find_starter()), *map(str, (PROMPT, TOKENS, threads, N_CTX))],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    # All cores: as the engine chooses by itself. Only fixed threads are told not to wait for each other for long.
    with engine(threads if threads < CORES else None) as ours:
        pairs = [(_bare(bare), ours(seed)) for seed in range(PAIRS + 1)][1:]
    bare.communicate()
    return pairs


@contextmanager
def engine(threads: int | None) -> Iterator[Callable[[int], dict[str, float]]]:
    """The whole path with the starter model loaded: a function that measures one request."""
    with tempfile.TemporaryDirectory() as logs:
        supervisor = Supervisor(Bus(), Path(logs))
        supervisor.start()
        plan = LoadPlan(
            str(find_starter()), n_ctx=N_CTX, n_parallel=1, n_threads=threads, n_threads_batch=threads
        )
        try:
            supervisor.ensure_ready("starter", plan).result()
            yield lambda seed: _ours(supervisor, seed)
        finally:
            supervisor.close()


def _bare(process: "subprocess.Popen[str]") -> dict[str, float]:
    assert process.stdin
    assert process.stdout
    process.stdin.write("\n")
    process.stdin.flush()
    result: dict[str, float] = json.loads(process.stdout.readline())
    return result


def _ours(supervisor: Supervisor, seed: int) -> dict[str, float]:
    tokens = tuple(100 + (seed * 7919 + i * 31) % 9000 for i in range(PROMPT))
    sampling = SamplingParams(temperature=0, max_tokens=TOKENS, ignore_eos=True)
    seen: list[float] = []
    over: Future[Finished] = Future()

    def sink(event: GenerateEvent) -> None:
        seen.append(time.perf_counter())
        if isinstance(event, Finished):
            over.set_result(event)
        elif not isinstance(event, Delta):
            over.set_exception(RuntimeError(event.message))
        elif not event.text:
            seen.pop()  # prefill progress

    began = time.perf_counter()
    request = GenerateRequest(f"bench-{seed}", tokens=tokens, sampling=sampling, flush_ms=FRAME_MS)
    supervisor.submit("starter", request, sink)
    usage = over.result().usage
    # On this side's clock, from the first text to the end: pipe, decoding and wake-ups are in it.
    decode = (usage.completion - 1) / (time.perf_counter() - seen[0])
    return {"prefill": usage.prompt / (seen[0] - began), "decode": decode}


def _figures(
    pairs: list[tuple[dict[str, float], dict[str, float]]], where: str, *, goals: bool
) -> list[Figure]:
    found = []
    for name, goal in (("decode", 0.98), ("prefill", 0.97)):
        ratios = [ours[name] / bare[name] for bare, ours in pairs]
        found += [
            median(f"{name}, {where}, bare loop", [bare[name] for bare, _ in pairs], "tokens/s"),
            median(f"{name}, {where}, whole path", [ours[name] for _, ours in pairs], "tokens/s"),
            median(f"{name}, {where}, ratio", ratios, "", goal=goal if goals else None, more=True,
                   note=f"{len(pairs)} pairs"),
        ]  # fmt: skip
    return found
