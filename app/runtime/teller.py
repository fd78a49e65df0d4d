"""What the engine says: its answers' events, gathered to one message for each step; text, where a reader's socket was
lent, straight to that; and readings.
"""

import time
from collections.abc import Callable, Mapping

from app.core.generate import Delta, GenerateEvent, Spilled, is_text
from app.runtime.protocol import Event, Events, Report, Stats
from app.runtime.writers import OFFER, Open, Writer

STATS_EVERY = 0.1
"""Seconds between two readings at least; they travel with the next words, or alone after twice that time."""


class Teller:
    """Engine thread only. ``send`` gets the reports, ``writers`` are the answers that are being written."""

    def __init__(
        self,
        send: Callable[[Report], None],
        writers: Mapping[int, Writer],
        readings: Callable[[], dict[str, float]],
    ) -> None:
        self._send, self._writers, self._readings = send, writers, readings
        self._events: list[Event] = []
        self._read_at = 0.0
        self._quiet = True

    def tell(self, opened: Open, event: GenerateEvent | Spilled) -> None:
        """Something has happened; it goes out with the next ``flush``."""
        opened.told += 1
        self._events.append(Event(opened.key, event))

    def say(self, writer: Writer, delta: Delta) -> None:
        """Text and the like, by the way that leads to its reader now."""
        speaker, opened = writer.speaker, writer.owner
        if speaker is None:
            self.tell(opened, delta)
            if opened.offered or opened.asks:
                self._await_offer(writer, first=opened.asks and is_text(delta))
        elif not is_text(delta):
            self.hush(writer)
            self.tell(opened, delta)
        elif rest := speaker.say(delta):
            self.fall_back(writer, rest)

    def _await_offer(self, writer: Writer, *, first: bool) -> None:
        # The socket is offered when its reader has the first text; what comes meanwhile waits for that, once.
        opened = writer.owner
        opened.offered, opened.asks = first, opened.asks and not first
        writer.be_patient(OFFER if first else None)

    def fall_back(self, writer: Writer, rest: bytes) -> None:
        """The socket takes no more now: the server writes what is left, and all that follows."""
        self.hush(writer)
        self.tell(writer.owner, Spilled(rest))

    def hush(self, writer: Writer) -> None:
        """What follows goes by the server."""
        if writer.speaker is not None:
            writer.speaker.close()
            self._count(writer)
            writer.speaker = None

    def _count(self, writer: Writer) -> None:
        speaker = writer.speaker
        if speaker is not None and speaker.untold:
            self.tell(writer.owner, Delta(writer.choice, tokens=speaker.untold))
            speaker.untold = 0

    def flush(self) -> None:
        """Send what has happened."""
        if self._events:
            values = self._fresh(STATS_EVERY)
            events, self._events = self._events, []
            self._send(Events(events, values))

    def report(self) -> None:
        """Send readings, if nothing else took them along for a while."""
        if values := self._fresh(2 * STATS_EVERY):
            events, self._events = self._events, []
            self._send(Events(events, values) if events else Stats(values))

    def rest(self) -> bool:
        """There is nothing to do: send readings once. True if that was the once."""
        was, self._quiet = self._quiet, True
        if not was:
            self._send(Stats(self._readings()))
        return not was

    def _fresh(self, every: float) -> dict[str, float]:
        now = time.monotonic()
        if now - self._read_at < every:
            return {}
        self._read_at, self._quiet = now, False
        for writer in self._writers.values():
            self._count(writer)
        return self._readings()
