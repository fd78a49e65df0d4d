"""From the runtime thread into the asyncio loop: one deque and one pending wake per request."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from app.core.generate import Failed, Finished, GenerateEvent


class EventStream:
    """The sink of one request. ``put`` is called on the runtime thread; iterate on the loop's.
    Iteration ends after the last event: Failed, or Finished with ``done``."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._events: deque[GenerateEvent] = deque()
        self._ready = asyncio.Event()
        self._woken = False

    def put(self, event: GenerateEvent) -> None:
        """Take an event; wakes the loop once however many come before it looks."""
        self._events.append(event)
        if not self._woken:
            self._woken = True
            try:
                self._loop.call_soon_threadsafe(self._ready.set)
            except RuntimeError:  # the loop has ended: nobody reads any more
                return

    async def __aiter__(self) -> AsyncIterator[GenerateEvent]:
        while True:
            await self._ready.wait()
            self._ready.clear()
            self._woken = False  # before reading: an event put from here on wakes again
            while self._events:
                event = self._events.popleft()
                yield event
                if isinstance(event, Failed) or (isinstance(event, Finished) and event.done):
                    return
