"""Joules of a request from the power that was read while it ran; nothing is guessed where power can't be read.

Power comes as a series (seconds on ``time.monotonic``, watts). What the machine would have drawn anyway (idle) is
kept apart: it is paid for, but not caused by the request.
"""

import bisect
import itertools
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

Origin = Literal["measured", "entered"]

LONGEST_GAP = 5.0  # seconds between readings beyond which power in between is not known


class Series(Struct, frozen=True):
    """One power source over time; times ascend."""

    times: Sequence[float]
    watts: Sequence[float]


class Energy(Struct, frozen=True, omit_defaults=True):
    """Joules of one request. ``active`` excludes what idling would have cost; prefill and decode split it."""

    prefill: float
    decode: float
    idle: float
    origin: Origin = "measured"

    @property
    def active(self) -> float:
        """Caused by the request."""
        return self.prefill + self.decode

    @property
    def total(self) -> float:
        """Caused by it and paid for while it ran."""
        return self.active + self.idle


def integrate(series: Series, start: float, end: float) -> float | None:
    """Joules between two times, by trapezoids, with power held constant before the first and after the last reading
    for at most ``LONGEST_GAP``. None where the series has a hole or does not reach."""
    times, watts = series.times, series.watts
    if end <= start or not times or start < times[0] - LONGEST_GAP or end > times[-1] + LONGEST_GAP:
        return 0.0 if end == start and times else None
    low, high = bisect.bisect_right(times, start), bisect.bisect_left(times, end)
    points = [
        (start, _at(series, start)),
        *zip(times[low:high], watts[low:high], strict=True),
        (end, _at(series, end)),
    ]
    total = 0.0
    for (t0, w0), (t1, w1) in itertools.pairwise(points):
        if t1 - t0 > LONGEST_GAP:
            return None
        total += (w0 + w1) / 2 * (t1 - t0)
    return total


def _at(series: Series, when: float) -> float:
    times, watts = series.times, series.watts
    right = bisect.bisect_left(times, when)
    if right == 0:
        return watts[0]
    if right == len(times):
        return watts[-1]
    t0, t1 = times[right - 1], times[right]
    share = (when - t0) / (t1 - t0) if t1 > t0 else 1.0
    return watts[right - 1] + share * (watts[right] - watts[right - 1])


def idle_watts(series: Series, busy: Sequence[tuple[float, float]]) -> float | None:
    """Power without work: the lower quartile of the readings outside ``busy`` intervals; None below five of them."""
    outside = [
        w
        for t, w in zip(series.times, series.watts, strict=True)
        if not any(a <= t <= b + 1 for a, b in busy)
    ]
    if len(outside) < 5:
        return None
    return sorted(outside)[len(outside) // 4]


def request_energy(
    sources: Sequence[Series],
    start: float,
    first_token: float,
    end: float,
    *,
    idle: float = 0.0,
    share: float = 1.0,
) -> Energy | None:
    """The energy of a request that began at ``start`` and ended at ``end``. ``idle`` watts are taken off; ``share``
    is its part of the tokens computed meanwhile, when others ran beside it. None when any source has a hole."""
    parts = []
    for begun, ended in ((start, first_token), (first_token, end)):
        found = [integrate(series, begun, ended) for series in sources]
        if not found or any(value is None for value in found):
            return None
        parts.append(sum(value for value in found if value is not None))
    quiet = [idle * (first_token - start), idle * (end - first_token)]
    active = [max(0.0, part - still) * share for part, still in zip(parts, quiet, strict=True)]
    return Energy(active[0], active[1], min(sum(parts), sum(quiet)) * share)


def entered_energy(watts: float, start: float, first_token: float, end: float, idle: float = 0.0) -> Energy:
    """The same from a wattage the user has entered (under load, and idle)."""
    above = max(0.0, watts - idle)
    return Energy(
        above * (first_token - start),
        above * (end - first_token),
        min(watts, idle) * (end - start),
        "entered",
    )
