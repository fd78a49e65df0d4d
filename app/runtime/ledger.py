"""What the KV cache holds, counted: cells, shared ones once. Pure bookkeeping for the scheduler."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(eq=False, slots=True)
class _Run:
    length: int
    refs: int


class Ledger:
    """Counts the cells of the KV cache, shared ones once. A sequence is a list of runs; a run has as many ``refs`` as
    sequences begin with it."""

    def __init__(self, n_seq: int) -> None:
        self.used = 0
        self.length = [0] * n_seq
        self._runs: list[list[_Run]] = [[] for _ in range(n_seq)]

    def grow(self, seq: int, count: int) -> None:
        """``seq`` got ``count`` new cells."""
        runs = self._runs[seq]
        if runs and runs[-1].refs == 1:
            runs[-1].length += count
        else:
            runs.append(_Run(count, 1))
        self.used += count
        self.length[seq] += count

    def trim(self, seq: int, length: int) -> None:
        """``seq`` let go of everything after ``length``."""
        runs = self._runs[seq]
        while self.length[seq] > length:
            last = runs[-1]
            over = self.length[seq] - length
            if over < last.length:
                self._split(last, last.length - over)
                continue
            runs.pop()
            self.length[seq] -= last.length
            last.refs -= 1
            if not last.refs:
                self.used -= last.length

    def share(self, source: int, target: int, length: int) -> None:
        """The empty ``target`` begins with the first ``length`` cells of ``source``."""
        done = 0
        while done < length:
            run = self._runs[source][len(self._runs[target])]
            if done + run.length > length:
                self._split(run, length - done)
            run.refs += 1
            self._runs[target].append(run)
            done += run.length
        self.length[target] = length

    def pinned(self, seqs: Iterable[int]) -> int:
        """Cells that at least one of ``seqs`` holds."""
        return sum(run.length for run in {id(run): run for seq in seqs for run in self._runs[seq]}.values())

    def share_of(self, seq: int, others: Iterable[int]) -> float:
        """Cells that ``seq`` holds and none of ``others`` does; what it shares with still others counts in parts."""
        theirs = {id(run) for other in others for run in self._runs[other]}
        return sum(run.length / run.refs for run in self._runs[seq] if id(run) not in theirs)

    def _split(self, run: _Run, at: int) -> None:
        tail = _Run(run.length - at, run.refs)
        run.length = at
        for runs in self._runs:
            for index, other in enumerate(runs):
                if other is run:
                    runs.insert(index + 1, tail)
                    break


def common_prefix(left: list[int], right: list[int], limit: int) -> int:
    """How many of the first ``limit`` tokens are the same in both."""
    high = min(limit, len(left), len(right))
    low, size = 0, 64
    while low < high:
        size = min(size, high - low)
        if left[low : low + size] == right[low : low + size]:
            low, size = low + size, size * 2
        elif size == 1:
            return low
        else:
            size //= 2
            high = min(high, low + 2 * size + 1)
    return low
