"""From the runtime thread to whoever answers a request on the asyncio loop.

Waking the loop for each token costs three times what writing the token does: two threads' turns, and a coroutine's.
So while the loop has nothing to do but wait, the text of a stream goes straight from the runtime thread to its client
(``Straight``); everything else goes through a deque with one pending wake per request.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable

from app.core.generate import Delta, GenerateEvent, Spilled

Straight = Callable[[Delta], bool]
"""Writes a piece of an answer on the thread that brings it. False: not all of it was taken, the loop has the rest."""


class HangUpError(Exception):
    """The client has closed its connection."""


class EventStream:
    """The sink of one request. ``put`` is called on the runtime thread, everything else on the loop's."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._events: deque[GenerateEvent | Spilled] = deque()
        self._lock = threading.Lock()
        """Held where it is decided which way an event goes, and while one goes straight."""
        self._straight: Straight | None = None
        self._error: Exception | None = None
        self._went = False
        self._waiter: asyncio.Future[None] | None = None
        self._woken = False
        self._gone = False

    def spill(self, data: bytes) -> None:
        """What did not fit where the worker had written: it comes before all that is put from here on."""
        self.put(Spilled(data))

    def put(self, event: GenerateEvent | Spilled) -> None:
        """Take an event; wakes the loop once however many come before it looks."""
        with self._lock:
            straight = self._straight
            if straight is not None and isinstance(event, Delta):
                self._went = True
                try:
                    if not straight(event):
                        self._straight = None
                    return
                except Exception as error:  # noqa: BLE001 - the loop raises it where it raises its own
                    self._straight, self._error = None, error
            else:
                self._straight = None
                self._events.append(event)
        if not self._woken:
            self._woken = True
            try:
                self._loop.call_soon_threadsafe(self._wake)
            except RuntimeError:  # the loop has ended: nobody reads any more
                return

    def hang_up(self) -> None:
        """Nobody reads any more: ``batch`` raises HangUpError, and nothing is written from here on."""
        with self._lock:
            self._gone, self._straight = True, None
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def batch(self, patience: float, straight: Straight | None = None) -> list[GenerateEvent | Spilled]:
        """Everything that has come, in order; [] when nothing came for ``patience`` seconds. What can be written by
        ``straight`` meanwhile is, and does not come here."""
        if not self._events and not self._gone:
            await self._wait(patience, straight)
        if self._gone:
            raise HangUpError
        if self._error is not None:
            raise self._error
        self._woken = False  # before reading: an event put from here on wakes again
        found = []
        while self._events:
            found.append(self._events.popleft())
        return found

    def went(self) -> bool:
        """Whether anything went straight since the last call."""
        went, self._went = self._went, False
        return went

    async def _wait(self, patience: float, straight: Straight | None) -> None:
        self._woken = False
        self._waiter = self._loop.create_future()
        timer = self._loop.call_later(patience, self._wake)
        try:
            with self._lock:
                nothing = not self._events
                self._straight = straight if nothing else None
            if nothing:
                await self._waiter
        finally:
            with self._lock:
                self._straight = None
            timer.cancel()
            self._waiter = None
