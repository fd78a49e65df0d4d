"""From the start of the process to the first painted window, and the memory of the idle window process."""

import os
import subprocess
import sys
import tempfile
import time

import psutil

from tests.bench.figures import ROOT, Figure, median

RUNS = 7
IDLE = 4.0


def run() -> list[Figure]:
    """Warm starts of the real program with a home of its own; it says when it has painted (HEARTH_TRACE_START)."""
    with tempfile.TemporaryDirectory() as home:
        _start(home)  # writes byte code and the home's files
        times = [_start(home) for _ in range(RUNS)]
        memory = _idle(home)
    return [
        median("start to first painted window", times, "s", goal=0.6, note=f"{RUNS} warm starts"),
        Figure("idle window process, resident", memory, "MB", goal=180, note=f"{IDLE:.0f} s after painting"),
    ]


def _spawn(home: str, trace: str) -> "subprocess.Popen[str]":
    environ = {
        **os.environ,
        "HEARTH_HOME": home,
        "HEARTH_TRACE_START": trace,
        "HF_ENDPOINT": "http://127.0.0.1:9",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "app"], cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True
    )


def _painted(process: "subprocess.Popen[str]") -> float:
    assert process.stdout
    for line in process.stdout:
        if line.startswith("painted "):
            return float(line.split()[1])
    raise RuntimeError("the window was never painted")


def _start(home: str) -> float:
    began = time.time()
    process = _spawn(home, "quit")
    painted = _painted(process)
    process.communicate(timeout=30)
    return painted - began


def _idle(home: str) -> float:
    process = _spawn(home, "stay")
    _painted(process)
    time.sleep(IDLE)
    resident = psutil.Process(process.pid).memory_info().rss
    process.terminate()
    process.communicate(timeout=30)
    return resident / 1e6
