"""Which stretch of a file each connection fetches next: neighbours, so that hashing follows closely."""

import threading

from app.models.transfer_ranges import Ranges
from app.models.transfer_sidecar import Sidecar

SMALLEST, LARGEST = 16 * 1024 * 1024, 128 * 1024 * 1024
SECONDS = 2.0  # a part lasts about this long: long against a round trip, short against the file
OPEN_END = 1 << 62


class Part:
    """A stretch that one connection is fetching; ``end`` may be lowered by another that helps."""

    def __init__(self, position: int, end: int) -> None:
        self.position, self.end = position, end


class Parts:
    """Hands out the missing bytes. Thread-safe."""

    def __init__(self, side: Sidecar) -> None:
        self._side = side
        self._lock = threading.Lock()
        self._taken: list[Part] = []
        self.speed = 0.0
        """Bytes per second of one connection, lately."""
        self.single = False
        """The server ignores Range: one connection reads from the beginning, over what is there."""

    def count(self, most: int) -> int:
        """How many connections are worth while."""
        size = self._side.facts.size
        if size is None or self.single:
            return 1
        return max(1, min(most, (size - self._side.total) // (SMALLEST // 2)))

    def take(self) -> Part | None:
        """The first stretch nobody has, else half of the largest somebody has; None when nothing is left to do."""
        with self._lock:
            size = self._side.facts.size
            if size is None:
                part = None if self._side.total else Part(0, OPEN_END)
            elif self.single:
                gap = next(Ranges(self._side.ranges()).gaps(size), None)
                part = Part(gap[0], size) if gap and not self._taken else None
            else:
                part = self._next(size) or self._help()
            if part is not None:
                self._taken.append(part)
            return part

    def _next(self, size: int) -> Part | None:
        taken = Ranges([*self._side.ranges(), *((part.position, part.end) for part in self._taken)])
        step = int(min(max(self.speed * SECONDS, SMALLEST), LARGEST))
        gap = next(taken.gaps(size), None)
        return Part(gap[0], min(gap[1], gap[0] + step)) if gap else None

    def _help(self) -> Part | None:
        slowest = max(self._taken, key=lambda part: part.end - part.position, default=None)
        # A part that ends by itself soon is left alone: what is on its way to it would come twice.
        soon = max(SMALLEST, self.speed * SECONDS)
        if not self.speed or slowest is None or slowest.end - slowest.position < soon:
            return None
        middle = (slowest.position + slowest.end) // 2
        part, slowest.end = Part(middle, slowest.end), middle
        return part

    def room(self, part: Part) -> int:
        """Bytes this part is still to fetch."""
        with self._lock:
            return max(0, part.end - part.position)

    def give_back(self, part: Part, count: int, seconds: float) -> None:
        """The part ends here, whole or not; ``count`` bytes came in ``seconds``."""
        with self._lock:
            self._taken.remove(part)
            if seconds > 0.001:
                self.speed = 0.5 * self.speed + 0.5 * count / seconds
