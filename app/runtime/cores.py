"""How many threads to compute with, given what else the machine is doing.

llama.cpp's threads wait for each other by spinning after every operation: one thread whose core is taken by another
program holds all of them up, and the speed falls not by a share but by a factor (seen: from 100 to 5 tokens/s with one
of two cores busy). So the engine leaves busy cores alone: twice a second it asks how many cores others use and computes
with what is left.
"""

import time
from collections.abc import Callable

from app.core.types import LoadPlan

EVERY = 0.5
"""Seconds between two looks."""
TAKEN, FREE = 0.65, 0.35
"""A core counts as taken from the first share of it that others use; as free again below the second."""


def choose(wanted: int, cores: int, others: float, current: int) -> int:
    """Threads to use: at most ``wanted``, and one less for each of ``cores`` that ``others`` (in cores' worth of time)
    keep busy. Between the two thresholds it stays with ``current``."""
    fewest = _left(cores, others, FREE)
    most = _left(cores, others, TAKEN)
    low, high = max(1, min(wanted, fewest)), max(1, min(wanted, most))
    return min(max(current, low), high)


def _left(cores: int, others: float, threshold: float) -> int:
    taken = int(others) + (others - int(others) > threshold)
    return cores - taken


class CoreWatch:
    """Looks at the system's and the process's own CPU time. Used by the engine thread only."""

    def __init__(
        self,
        wanted: int,
        cores: int,
        *,
        system: Callable[[], float] | None = None,
        own: Callable[[], float] = time.process_time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._system, self._own, self._clock = system or system_seconds, own, clock
        self.wanted, self._cores = wanted, cores
        self.threads = wanted
        self.fastest = wanted
        """What decodes fastest on a quiet machine (``calibration``)."""
        self.others = 0.0
        """Cores' worth of time that other programs used since the last look."""
        self._system_at = 0.0
        self._look()

    def _look(self) -> None:
        self._at, self._system_at, self._own_at = self._clock(), self._used(), self._own()

    def _used(self) -> float:
        try:
            return self._system()
        except OSError:  # no more files may be open just now
            return self._system_at

    @property
    def decode(self) -> int:
        """Threads for one-token steps; prompts take ``threads``."""
        return min(self.threads, self.fastest)

    def changed(self) -> bool:
        """Look if it is time to; True when ``threads`` is another number now."""
        passed = self._clock() - self._at
        if passed < EVERY:
            return False
        busy, mine = self._used() - self._system_at, self._own() - self._own_at
        self._look()
        self.others = max(0.0, busy - mine) / passed
        before = self.threads
        self.threads = choose(self.wanted, self._cores, self.others, before)
        return self.threads != before

    def rested(self) -> bool:
        """As ``changed``, when the engine had nothing to do for a while: what others did meanwhile gives a core back,
        but takes none away, since it says little of now."""
        before = self.threads
        self.changed()
        self.threads = max(before, self.threads)
        self._look()
        return self.threads != before


def watch_for(plan: LoadPlan, most: int, physical: Callable[[], int]) -> CoreWatch | None:
    """Threads follow what other programs leave free, unless the plan fixes them: at most ``most`` (0: all physical
    cores)."""
    if plan.n_threads is not None:
        return None
    cores = physical()
    return CoreWatch(min(most, cores) if most else cores, cores)


def system_seconds() -> float:
    """CPU seconds that all programs together have used since the system started."""
    import psutil  # noqa: PLC0415 - 30 ms that a worker with fixed threads does not need

    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    guest = getattr(times, "guest", 0.0) + getattr(
        times, "guest_nice", 0.0
    )  # counted in user and nice already
    return float(sum(times) - idle - guest)
