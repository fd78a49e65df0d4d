"""From the runtime thread into the asyncio loop: one deque and one pending wake per request."""

import asyncio
from collections import deque

from app.core.generate import GenerateEvent


class HangUpError(Exception):
    """The client has closed its connection."""


class EventStream:
    """The sink of one request. ``put`` is called on the runtime thread, everything else on the loop's."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._events: deque[GenerateEvent] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._woken = False
        self._gone = False

    def put(self, event: GenerateEvent) -> None:
        """Take an event; wakes the loop once however many come before it looks."""
        self._events.append(event)
        if not self._woken:
            self._woken = True
            try:
                self._loop.call_soon_threadsafe(self._wake)
            except RuntimeError:  # the loop has ended: nobody reads any more
                return

    def hang_up(self) -> None:
        """Nobody reads any more: ``batch`` raises HangUpError."""
        self._gone = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def batch(self, patience: float) -> list[GenerateEvent]:
        """Everything that has come, in order; [] when nothing came for ``patience`` seconds."""
        if not self._events and not self._gone:
            await self._wait(patience)
        if self._gone:
            raise HangUpError
        self._woken = False  # before reading: an event put from here on wakes again
        found = []
        while self._events:
            found.append(self._events.popleft())
        return found

    async def _wait(self, patience: float) -> None:
        self._woken = False
        self._waiter = self._loop.create_future()
        timer = self._loop.call_later(patience, self._wake)
        try:
            if not self._events:
                await self._waiter
        finally:
            timer.cancel()
            self._waiter = None
