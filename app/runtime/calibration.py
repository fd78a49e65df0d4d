"""How many threads decode fastest, by trying: memory, not cores, is what a decode waits for, so the best number is
often below the core count. Tried once for each machine and model, for at most a second, and remembered.
"""

import hashlib
import logging
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from app.core.types import LoadPlan
from app.runtime.kvstore import fingerprint

log = logging.getLogger(__name__)

SECONDS = 1.0
STEPS = 5
WORTH = 1.03
"""A smaller number of threads is taken when it is not slower by more than this (it leaves cores to others)."""
FILE = "threads.json"
MOST_ENTRIES = 500


def candidates(cores: int) -> list[int]:
    """Numbers of threads to try, the most first: all, three quarters and a half of the cores, and one for two."""
    return sorted({cores, max(1, cores * 3 // 4), max(1, cores // 2)}, reverse=True)


def fastest(
    cores: int, step: Callable[[int], None], clock: Callable[[], float] = time.perf_counter
) -> tuple[int, dict[int, float]]:
    """The best number of threads and the seconds for each that was tried. ``step(threads)`` computes one token. Ends
    early when time is up: what was not tried does not win."""
    began = clock()
    seconds: dict[int, float] = {}
    for threads in candidates(cores):
        took: list[float] = []
        step(threads)  # the first one wakes the threads
        while len(took) < STEPS and (not took or clock() - began < SECONDS):
            start = clock()
            step(threads)
            took.append(clock() - start)
        seconds[threads] = statistics.median(took)
        if clock() - began >= SECONDS:
            break
    least = min(seconds.values())
    return min(threads for threads, took_ in seconds.items() if took_ <= least * WORTH), seconds


class ThreadMemory:
    """``threads.json`` in the cache folder: key -> threads. A file that can't be read counts as empty."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def recall(self, key: str) -> int | None:
        """The remembered number, or None."""
        return self._all().get(key)

    def remember(self, key: str, threads: int) -> None:
        """Keep a number; failing to is no problem."""
        entries = {**self._all(), key: threads}
        kept = dict(list(entries.items())[-MOST_ENTRIES:])
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self._path.parent, prefix=".threads-")
            with os.fdopen(handle, "wb") as file:
                file.write(msgspec.json.encode(kept))
            Path(temporary).replace(self._path)
        except OSError as error:
            log.info("the number of threads is not remembered: %s", error)

    def _all(self) -> dict[str, int]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, int])
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return {}


def key_of(plan: LoadPlan, cores: int) -> str:
    """Machine, model, and what of the plan moves work between devices. Raises OSError."""
    where = (plan.n_gpu_layers, plan.devices, plan.n_cpu_moe, plan.tensor_overrides, plan.offload_kqv)
    machine = (platform.node(), platform.machine(), platform.processor(), cores)
    text = repr((machine, where, fingerprint(Path(plan.model_path))))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
