"""Which bytes of a file are there: disjoint, sorted, half-open ranges."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator


class Ranges:
    """A set of byte positions kept as ranges. Not thread-safe: the owner locks."""

    def __init__(self, pairs: Iterable[tuple[int, int]] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self.total = 0
        """Bytes covered."""
        for first, end in pairs:
            self.add(first, end)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(list(zip(self._starts, self._ends, strict=True)))

    def add(self, first: int, end: int) -> None:
        """Cover [first, end) too."""
        if first >= end:
            return
        low = bisect_left(self._ends, first)
        high = bisect_right(self._starts, end)
        if low < high:
            first, end = min(first, self._starts[low]), max(end, self._ends[high - 1])
        covered = sum(self._ends[i] - self._starts[i] for i in range(low, high))
        self._starts[low:high], self._ends[low:high] = [first], [end]
        self.total += end - first - covered

    def remove(self, first: int, end: int) -> None:
        """Uncover [first, end)."""
        kept = [(a, min(b, first)) for a, b in self if a < first]
        kept += [(max(a, end), b) for a, b in self if b > end]
        self.__init__(kept)  # type: ignore[misc]

    def reach(self, first: int = 0) -> int:
        """The end of the covered bytes that begin at ``first`` (``first`` itself when it is not covered)."""
        index = bisect_right(self._starts, first) - 1
        return max(first, self._ends[index]) if index >= 0 and self._ends[index] > first else first

    def gaps(self, size: int) -> Iterator[tuple[int, int]]:
        """What is missing of [0, size)."""
        position = 0
        for first, end in self:
            if first > position:
                yield position, min(first, size)
            position = max(position, end)
            if position >= size:
                return
        if position < size:
            yield position, size
