"""Curves made piece by piece are those made at once."""

import random

import pytest

from app.core.events import Bus
from app.core.series import SeriesStore
from app.core.types import Sample
from app.ui.binned import Binned, bin_width, current_sum
from app.ui.live_plot import Curve


def at_once(series: SeriesStore, sources: set[str], now: float, span: float) -> dict[float, float]:
    """Means in bins, added up, from every reading of the span."""
    width = bin_width(span)
    whole: dict[float, float] = {}
    for source in sources:
        own: dict[int, list[float]] = {}
        for t, value in zip(*series.read(source, "tps", int((now - span) / width) * width), strict=True):
            own.setdefault(int(t / width), []).append(value)
        for at, values in own.items():
            whole[(at + 0.5) * width] = whole.get((at + 0.5) * width, 0.0) + sum(values) / len(values)
    return whole


@pytest.mark.parametrize("span", [15.0, 60.0, 300.0])
def test_a_curve_kept_from_frame_to_frame_is_the_one_made_at_once(bus: Bus, span: float) -> None:
    series, random_ = SeriesStore(bus), random.Random(4)
    binned, curve, now = Binned(series, "tps"), Curve("", ""), 1000.0
    for step in range(300):
        now += random_.choice((0.1, 0.1, 0.5, 2.0))
        for source in ("instance:a", "instance:b"):
            if random_.random() < 0.8:
                series.add(Sample(source, now, {"tps": random_.random()}))
        sources = {"instance:a"} if 100 < step < 140 else {"instance:a", "instance:b"}
        binned.follow(curve, sources, now, span)
        whole = at_once(series, sources, now, span)
        assert dict(zip(curve.times, curve.values, strict=True)) == pytest.approx(whole)
        assert curve.times == sorted(curve.times)


def test_a_frame_reads_only_the_newest_points(bus: Bus) -> None:
    series = SeriesStore(bus)
    for at in range(600):
        series.add(Sample("instance:a", 1000 + at / 10, {"tps": 1.0}))
    binned, curve, real = Binned(series, "tps"), Curve("", ""), series.read
    binned.follow(curve, {"instance:a"}, 1060.0)
    begins: list[float] = []

    def read(source: str, name: str, since: float = 0.0) -> tuple[list[float], list[float]]:
        begins.append(since)
        return real(source, name, since)

    series.read = read  # type: ignore[method-assign]
    binned.follow(curve, {"instance:a"}, 1060.1)
    assert len(curve.times) >= 119
    assert begins
    assert min(begins) > 1058


def test_a_source_that_fell_silent_adds_nothing(bus: Bus) -> None:
    series = SeriesStore(bus)
    assert current_sum(series, {"instance:a"}, "tps", 0.0) is None
    series.add(Sample("instance:a", 10.0, {"tps": 5.0}))
    series.add(Sample("instance:b", 20.0, {"tps": 7.0}))
    assert current_sum(series, {"instance:a", "instance:b"}, "tps", 15.0) == 7.0
