"""Whether what is timed had the processor to itself."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

WAITED, CLEAN = 0.05, 0.88
"""Of a step's time: what threads may have waited for the processor; of what they could have had of it, what they had
at least. Else another program was in between."""


class Clock:
    """Tells steps that had the processor to themselves from those another program took time from: Linux knows how
    long threads waited for it, elsewhere the time they had is compared with what they could have had. ``threads`` 0:
    a GPU, or a system that counts time in ticks longer than a step; every step passes."""

    def __init__(self, threads: int, tasks: Path = Path("/proc/self/task")) -> None:
        self._threads, self._tasks = threads, tasks
        self._waits = bool(threads) and waited(tasks) is not None
        self.points, self.clean_points = 0, 0

    def timed(self, step: Callable[[], float]) -> tuple[float, bool]:
        """(seconds, whether it was alone)."""
        if self._waits:
            before = waited(self._tasks)
            took = step()
            after = waited(self._tasks)
            return took, (after or 0.0) - (before or 0.0) < WAITED * took
        began = time.process_time()
        took = step()
        return took, time.process_time() - began >= CLEAN * self._threads * took

    def note(self, clean: bool) -> None:
        """A point was measured."""
        self.points, self.clean_points = self.points + 1, self.clean_points + clean

    @property
    def share(self) -> float:
        """Of the points that no other program touched."""
        return self.clean_points / self.points if self.points else 1.0


def waited(tasks: Path) -> float | None:
    """Seconds that the threads of a process were ready and had no processor (Linux' ``schedstat``); None: unknown."""
    total, known = 0, False
    try:
        names = os.listdir(tasks)  # noqa: PTH208 - called twice a step
    except OSError:
        return None
    for name in names:
        with suppress(OSError, IndexError, ValueError), (tasks / name / "schedstat").open("rb") as file:
            total, known = total + int(file.read().split()[1]), True
    return total / 1e9 if known else None
