"""Curves of the live panels, kept from one frame to the next: only their newest points are read and added up anew."""

from collections.abc import Iterable
from itertools import takewhile

from app.core.series import SeriesStore
from app.ui.live_plot import SPAN, Curve

_BIN = 0.5


def bin_width(span: float) -> float:
    """Seconds that one point of a curve stands for: half a second, more for a long span."""
    return max(_BIN, span / 240)


class Binned:
    """One series over several sources: the mean of each in bins, added up, times ``scale``."""

    def __init__(self, series: SeriesStore, name: str, scale: float = 1.0) -> None:
        self._series, self._name, self._scale = series, name, scale
        self._of: tuple[frozenset[str], float] = (frozenset(), 0.0)
        self._bins: dict[int, float] = {}

    def follow(self, curve: Curve, sources: Iterable[str], now: float, span: float = SPAN) -> None:
        """Bring the points of ``curve`` up to ``now`` (time.monotonic)."""
        width, of = bin_width(span), (frozenset(sources), span)
        if of != self._of:
            self._of, self._bins = of, {}
        # The newest two are read again: a bin fills while it is shown, and readings come a little late.
        begin = max(int((now - span) / width), max(self._bins, default=1) - 1)
        self._read(begin, width)
        self._forget(int((now - span) / width))
        curve.times = [(at + 0.5) * width for at in self._bins]
        curve.values = list(self._bins.values())

    def _read(self, begin: int, width: float) -> None:
        fresh: dict[int, float] = {}
        for source in self._of[0]:
            for at, mean in self._means(source, begin, width).items():
                fresh[at] = fresh.get(at, 0.0) + mean * self._scale
        for at in [at for at in self._bins if at >= begin]:
            del self._bins[at]
        self._bins.update(sorted(fresh.items()))

    def _means(self, source: str, begin: int, width: float) -> dict[int, float]:
        own: dict[int, list[float]] = {}
        for t, value in zip(*self._series.read(source, self._name, begin * width), strict=True):
            own.setdefault(int(t / width), []).append(value)
        return {at: sum(values) / len(values) for at, values in own.items()}

    def _forget(self, oldest: int) -> None:
        for at in list(takewhile(lambda at: at < oldest, self._bins)):
            del self._bins[at]


def current_sum(series: SeriesStore, sources: Iterable[str], name: str, since: float) -> float | None:
    """The newest value of every source added up; one silent ``since`` a time counts as idle. None: none ever spoke."""
    newest = [point for source in sources if (point := series.newest(source, name)) is not None]
    return sum(value for t, value in newest if t >= since) if newest else None
