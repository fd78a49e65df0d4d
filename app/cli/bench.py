"""``hearth bench``: a model's prefill and decode speed on this machine, through the whole path."""

import random
import statistics
from argparse import Namespace

from msgspec import Struct

from app.cli.output import emit, rate, table
from app.cli.run import Answer, ask, load, new_id, services, take_preset
from app.compose import Services
from app.core.generate import GenerateRequest, SamplingParams


class BenchReport(Struct, frozen=True):
    """Medians over the runs: tokens per second, and the time to the first token in seconds."""

    model: str
    device: str
    prompt_tokens: int
    max_tokens: int
    runs: int
    prefill_per_second: float | None
    decode_per_second: float | None
    ttft: float
    load_seconds: float | None


def bench(args: Namespace) -> int:
    """Measure ``--repeat`` times after one run to warm up, and print the medians."""
    with services(args) as running:
        record = running.library.get(args.model)
        take_preset(running, args, record.id)
        instance = load(running, args.model, args.json)
        answers = [_once(running, record.id, args, seed) for seed in range(args.repeat + 1)][1:]
    report = BenchReport(
        model=record.id,
        device=instance.device,
        prompt_tokens=args.prompt_tokens,
        max_tokens=args.max_tokens,
        runs=args.repeat,
        prefill_per_second=_median([answer.finished.timings.prefill_per_second for answer in answers]),
        decode_per_second=_median([answer.finished.timings.decode_per_second for answer in answers]),
        ttft=statistics.median(answer.finished.timings.ttft for answer in answers),
        load_seconds=instance.load_seconds,
    )
    emit(report, args.json, _text(report))
    return 0


def _once(running: Services, model: str, args: Namespace, seed: int) -> Answer:
    # Random ids, another set each run: a repeated prompt would come from the KV cache and measure nothing.
    rolls = random.Random(seed)
    tokens = tuple(rolls.randrange(100, 10_000) for _ in range(args.prompt_tokens))
    sampling = SamplingParams(temperature=0, max_tokens=args.max_tokens, ignore_eos=True, seed=1)
    return ask(running, model, GenerateRequest(new_id(), tokens=tokens, sampling=sampling))


def _median(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _text(report: BenchReport) -> str:
    header = ("test", "tokens/s")
    rows = [
        (f"prefill {report.prompt_tokens}", rate(report.prefill_per_second)),
        (f"decode {report.max_tokens}", rate(report.decode_per_second)),
    ]
    head = f"{report.model} on {report.device or 'CPU'}, median of {report.runs}"
    return f"{head}\n{table(header, rows, frozenset({1}))}\nfirst token {report.ttft:.2f} s"
