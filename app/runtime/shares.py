"""What each open answer gets: prompt and written tokens a second of every request, from the events that pass by anyway.

Requests take the lowest free number and give it back with their end: few lines on a plot, however many requests come.
"""

from collections import deque

from app.core.generate import Delta, Failed, GenerateEvent

WINDOW = 1.0
"""Seconds over which a speed is taken; longer where tokens come more seldom."""
SHOWN = 0.5
"""Seconds that a prompt's speed stays after its last piece: a short one is read within a single point of the curve."""
MOST = 32
"""Requests that are told apart at once."""


class Pace:
    """Tokens per second, from how many there were at which time."""

    __slots__ = ("_seen", "total")

    def __init__(self) -> None:
        self.total = 0
        self._seen: deque[tuple[float, int]] = deque()

    def reach(self, total: int, now: float) -> None:
        """There are ``total`` tokens ``now``. The first call is where counting begins."""
        self.total = total
        self._seen.append((now, total))
        while len(self._seen) > 2 and self._seen[1][0] <= now - WINDOW:
            self._seen.popleft()

    def speed(self, now: float) -> float:
        """Over the last second; it sinks while nothing comes."""
        if len(self._seen) < 2:
            return 0.0
        (began, first), (ended, last) = self._seen[0], self._seen[-1]
        seconds = (ended if now - ended < WINDOW else now) - began
        return (last - first) / seconds if seconds > 0 else 0.0


class _Share:
    """One request."""

    __slots__ = ("number", "read_at", "reads", "writes")

    def __init__(self, number: int) -> None:
        self.number = number
        self.reads, self.writes = Pace(), Pace()
        self.read_at = -SHOWN
        """When a piece of its prompt was last computed."""


class Shares:
    """One per instance, on the runtime thread."""

    def __init__(self) -> None:
        self._open: dict[int, _Share] = {}
        self._ended: list[int] = []
        self._new: list[tuple[int, GenerateEvent, float]] = []

    def event(self, key: int, event: GenerateEvent, now: float) -> None:
        """Something happened to the request ``key``. It is looked at with the next readings: this is done for each
        token."""
        self._new.append((key, event, now))

    def _catch_up(self) -> None:
        new, self._new = self._new, []
        for key, event, now in new:
            self._follow(key, event, now)

    def _follow(self, key: int, event: GenerateEvent, now: float) -> None:
        if isinstance(event, Delta):
            share = self._open.get(key) or self._begin(key)
            if share is not None:
                _follow(share, event, now)
        elif (isinstance(event, Failed) or event.done) and (share := self._open.pop(key, None)) is not None:
            self._ended.append(share.number)

    def _begin(self, key: int) -> _Share | None:
        taken = {share.number for share in self._open.values()}
        number = next((number for number in range(1, MOST + 1) if number not in taken), None)
        if number is None:
            return None
        share = self._open[key] = _Share(number)
        return share

    def names(self) -> list[str]:
        """Of the readings of all that are open."""
        self._catch_up()
        return [name for share in self._open.values() for name in _names(share.number)]

    def readings(self, now: float) -> dict[str, float]:
        """``decode_tps/1``, ``prefill_tps/1`` and so on; a last 0 for requests that have ended."""
        self._catch_up()
        found = {name: 0.0 for number in self._ended for name in _names(number)}
        self._ended = []
        for share in self._open.values():
            decode, prefill = _names(share.number)
            found[decode] = share.writes.speed(now)
            found[prefill] = share.reads.speed(now) if now - share.read_at < SHOWN else 0.0
        return found


def _follow(share: _Share, event: Delta, now: float) -> None:
    if event.prompt_tokens and not event.choice:
        if not share.reads.total and event.reading:
            share.reads.reach(event.cached, now - event.reading)
        share.reads.reach(event.prefilled, now)
        share.read_at = now
    if event.tokens:
        share.writes.reach(share.writes.total + event.tokens, now)


def _names(number: int) -> tuple[str, str]:
    return f"decode_tps/{number}", f"prefill_tps/{number}"
