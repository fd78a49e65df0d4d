"""The quantization lab beside llama.cpp's own tools (``make bench-peers``): wall time and memory of whole processes, in
pairs, as ratios. Both get the same number of threads and write a file that is not there yet (what a process before them
wrote is removed outside the measured time); neither waits for the disk at the end (no fsync). They take turns at being
the first of a pair: the tool after itself takes 1.03 of its time (twelve pairs)."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from app.core.lab import LabJob, MatrixJob, QuantizeJob, ScoreJob
from app.optimize import texts
from tests.bench.figures import ROOT, Figure, in_pairs, median
from tests.starter import find_starter

PAIRS = {"quantize": 10, "matrix": 4, "KL pass": 4}
THREADS = 2
CHUNKS = 8
GOALS = {"quantize": 1.1, "matrix": 1.1, "KL pass": 1.2}


class Cost(NamedTuple):
    """Of one process: seconds on the clock and of the processors, bytes in memory at the most."""

    wall: float
    cpu: float
    memory: float


def run() -> list[Figure]:
    """Every comparison; needs HEARTH_PEERS, the folder of the built tools."""
    peers = Path(os.environ["HEARTH_PEERS"])
    with tempfile.TemporaryDirectory(prefix="hearth-bench-") as folder:
        work = Path(folder)
        _prepare(peers, work)
        return [figure for name in GOALS for figure in _compare(name, peers, work)]


def _prepare(peers: Path, work: Path) -> None:
    full, text = work / "full.gguf", texts.path_of("en-test")
    ours(QuantizeJob(source=str(find_starter()), target=str(full), type="F16", requantize=True))
    ours(_quantizing(work / "small.gguf", work))
    ours(
        ScoreJob(
            model=str(full), text=str(text), write=str(work / "ours.logs"), chunks=CHUNKS, threads=THREADS
        )
    )
    theirs([peers / "llama-perplexity", "-m", full, "-f", text, *_base(work)])


def _compare(name: str, peers: Path, work: Path) -> list[Figure]:
    pairs = in_pairs(
        _afresh(work, lambda: theirs(_their(name, peers, work))),
        _afresh(work, lambda: ours(_our(name, work))),
        PAIRS[name],
    )
    clocks = [_middle([cost.wall for cost in side]) for side in zip(*pairs, strict=True)]
    return [
        median(
            f"lab, {name}, wall over the tool's", [b.wall / a.wall for a, b in pairs], "", goal=GOALS[name],
            note=f"{clocks[1]:.2f} s against {clocks[0]:.2f} s",
        ),
        median(f"lab, {name}, processor time over the tool's", [b.cpu / a.cpu for a, b in pairs], ""),
        median(
            f"lab, {name}, memory over the tool's", [b.memory / a.memory for a, b in pairs], "", goal=1.0,
            note=f"{pairs[-1][1].memory / 1e6:.0f} MB",
        ),
    ]  # fmt: skip


def _afresh(work: Path, measure: Callable[[], Cost]) -> Callable[[int], Cost]:
    def without_results(_number: int) -> Cost:
        for result in ("theirs.gguf", "ours.gguf"):
            (work / result).unlink(missing_ok=True)
        return measure()

    return without_results


def _middle(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def _our(name: str, work: Path) -> LabJob:
    if name == "quantize":
        return _quantizing(work / "ours.gguf", work)
    if name == "matrix":
        (work / "ours.npz").unlink(missing_ok=True)
        return MatrixJob(
            model=str(work / "full.gguf"), text=str(texts.path_of("en")), target=str(work / "ours.npz"),
            chunks=CHUNKS, threads=THREADS,
        )  # fmt: skip
    return ScoreJob(
        model=str(work / "small.gguf"), text=str(texts.path_of("en-test")), against=str(work / "ours.logs"),
        chunks=CHUNKS, threads=THREADS,
    )  # fmt: skip


def _quantizing(target: Path, work: Path) -> QuantizeJob:
    return QuantizeJob(source=str(work / "full.gguf"), target=str(target), type="Q4_K_M", threads=THREADS)


def _their(name: str, peers: Path, work: Path) -> list[object]:
    if name == "quantize":
        return [peers / "llama-quantize", work / "full.gguf", work / "theirs.gguf", "Q4_K_M", THREADS]
    if name == "matrix":
        return [
            peers / "llama-imatrix", "-m", work / "full.gguf", "-f", texts.path_of("en"), "-o", work / "theirs.imatrix",
            "--chunks", CHUNKS, "-t", THREADS, "-ngl", 0, "--no-ppl",
        ]  # fmt: skip
    return [peers / "llama-perplexity", "-m", work / "small.gguf", *_base(work), "--kl-divergence"]


def _base(work: Path) -> list[object]:
    return ["--kl-divergence-base", work / "theirs.logs", "--chunks", CHUNKS, "-t", THREADS, "-ngl", 0]


def ours(job: LabJob) -> Cost:
    """A lab process, as the program starts it."""
    return _cost([sys.executable, "-m", "app", "lab"], msgspec.json.encode(job) + b"\n")


def theirs(command: Sequence[object]) -> Cost:
    """A tool."""
    return _cost([str(part) for part in command], b"")


def _cost(command: list[str], given: bytes) -> Cost:
    # An installed program has its modules compiled: the first pair, which is not counted, does that here.
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryFile() as words:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=ROOT, env=environ, stdin=subprocess.PIPE, stdout=words, stderr=words
        )
        assert process.stdin
        process.stdin.write(given)
        process.stdin.flush()  # left open: a lab process ends with its parent
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stdin.close()
        if process.returncode:
            words.seek(0)
            raise RuntimeError(f"{command}: {words.read()[-800:].decode(errors='replace')}")
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024.0)
