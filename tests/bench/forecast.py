"""Forecasts beside what comes: decode speed of the starter at six weight types and three contexts, memory of twelve
plans. Rates and runs are measured in turn, several rounds, and the quickest of each is kept, so that another program's
moments don't decide."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from app.core.types import KvType, LoadPlan
from app.models.gguf import read_header
from app.planning.memory import forecast as forecast_memory
from app.planning.memory import place, sequences
from app.planning.model_facts import from_header
from app.planning.rates import Raw, merge, solve
from app.planning.speed import forecast
from app.runtime.channel import child_environ
from tests.bench.figures import ROOT, Figure
from tests.starter import find_starter

QUANTS = {"F16": 1, "Q8_0": 7, "Q4_K_M": 15, "Q4_0": 2, "IQ4_XS": 30, "Q2_K": 10}
DEPTHS = (0, 1024, 3072)
ROUNDS = 2
THREADS = int(os.environ.get("HEARTH_BENCH_THREADS") or min(2, os.cpu_count() or 1))
KV: dict[KvType, int] = {"f16": 1, "q8_0": 8, "q4_0": 2}


def run() -> list[Figure]:
    """Speed, then memory."""
    return [*_speed(), _memory()]


def _speed() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="hearth-forecast-") as folder:
        paths = {name: Path(folder) / f"{name}.gguf" for name in QUANTS}
        subprocess.run(
            [sys.executable, "-m", "tests.bench.forecast", folder], cwd=ROOT, check=True, capture_output=True
        )
        raw: Raw | None = None
        real: dict[str, Any] = {}
        for _ in range(ROUNDS):
            raw = _rates() if raw is None else merge(raw, _rates())
            for name, path in paths.items():
                timed = _process("--model", str(path), "--depths", "0,1024,3072")
                real[name] = _quicker(real.get(name), timed)
        assert raw is not None
        known = {"CPU": solve(raw)}
        errors, inside = [], 0
        for name, path in paths.items():
            facts = from_header(read_header(path))
            for depth in DEPTHS:
                guess = forecast(facts, LoadPlan(str(path), n_ctx=4096), known, depth).decode
                assert guess is not None
                measured = 1 / real[name]["steps"][str(depth)]
                middle = (guess.low + guess.high) / 2
                errors.append(abs(middle / measured - 1))
                inside += guess.low <= measured <= guess.high
                print(f"{name:8}{depth:6} forecast {middle:7.1f}  measured {measured:7.1f}", file=sys.stderr)
    note = (
        f"{len(QUANTS)} weight types x {len(DEPTHS)} contexts, {THREADS} threads, quickest of {ROUNDS} rounds"
    )
    return [
        Figure(
            "forecast of decode: median error",
            100 * statistics.median(errors),
            "%",
            15.0,
            note=note,
            samples=tuple(errors),
        ),
        Figure("forecast of decode: worst error", 100 * max(errors), "%"),
        Figure(
            "forecast of decode: measured inside the range", 100 * inside / len(errors), "%", 100.0, more=True
        ),
        Figure("measuring the machine", raw.seconds / ROUNDS, "s", 60.0),
    ]


def _rates() -> Raw:
    return msgspec.convert(_process("--kv", "f16"), Raw)


def _process(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "app.runtime.llama_rates", "--threads", str(THREADS), *arguments]
    found: dict[str, Any] = json.loads(
        subprocess.run(
            command, cwd=ROOT, check=True, capture_output=True, env=child_environ(os.environ, spins=True)
        ).stdout
    )
    return found


def _quicker(one: Any, other: dict[str, Any]) -> dict[str, Any]:
    """The quicker of two timings of a model, depth by depth."""
    if one is None:
        return other
    return {"steps": {depth: min(seconds, other["steps"][depth]) for depth, seconds in one["steps"].items()}}


def _memory() -> Figure:
    starter = find_starter()
    assert starter is not None
    facts = from_header(read_header(starter))
    plans = [
        LoadPlan("", n_ctx=n_ctx, type_k=kind, type_v=kind, n_parallel=count, n_idle=0)
        for n_ctx in (512, 8192)
        for kind in KV
        for count in (1, 4)
    ]
    asked = [
        {"n_ctx": p.n_ctx, "n_seq": sequences(p), "unified": True, "type": KV[p.type_k], "alloc": True}
        for p in plans
    ]
    command = [sys.executable, "tests/fakes/llama_memory.py", str(starter), json.dumps(asked)]
    reports = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    errors = []
    for plan, real in zip(plans, reports, strict=True):
        (found,) = forecast_memory(facts, plan, place(facts, plan, ()))
        errors.append(abs((found.weights + found.kv + found.compute) / sum(real.values()) - 1))
    return Figure("forecast of memory: worst error over 12 plans", 100 * max(errors), "%", 3.0)


def _quantize(folder: Path) -> None:
    """The starter in every type of ``QUANTS``; in a process of its own."""
    import ctypes

    import llama_cpp.llama_cpp as llama

    for name, kind in QUANTS.items():
        params = llama.llama_model_quantize_default_params()
        params.ftype, params.allow_requantize, params.nthread = kind, True, THREADS
        target = str(folder / f"{name}.gguf").encode()
        llama.llama_model_quantize(str(find_starter()).encode(), target, ctypes.byref(params))


if __name__ == "__main__":
    _quantize(Path(sys.argv[1]))
