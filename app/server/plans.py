"""One plan for all who want the same model loaded: made beside the loop, and given up when nobody waits any more."""

import asyncio
import threading
from collections.abc import Callable
from typing import Protocol

from app.core.types import LoadPlan, ModelRecord


class Planned(Protocol):
    """What a planner gives: a plan (and reasons the server has no use for)."""

    @property
    def plan(self) -> LoadPlan:
        """What to load with."""
        ...


Planner = Callable[[ModelRecord, None, threading.Event], Planned]
"""Makes room, which may take minutes; ends with an error once the event is set (``Residency.prepare``)."""


class _Making:
    """A plan that is being made."""

    def __init__(self, planner: Planner, record: ModelRecord) -> None:
        self.over, self.wanted = threading.Event(), 0
        loop = asyncio.get_running_loop()
        self.future = loop.run_in_executor(None, planner, record, None, self.over)


class Plans:
    """Used on the server's loop."""

    def __init__(self, planner: Planner) -> None:
        self._planner = planner
        self._making: dict[str, _Making] = {}

    async def plan(self, record: ModelRecord) -> Planned:
        """The plan to load with, room for it made. Raises the planner's error."""
        making = self._making.get(record.id)
        if making is None:
            making = self._making[record.id] = _Making(self._planner, record)
        making.wanted += 1
        try:
            return await asyncio.shield(making.future)
        finally:
            making.wanted -= 1
            if not making.wanted:
                self._end(record.id, making)

    def give_up(self) -> None:
        """Nobody waits any more, for any model. From any thread."""
        for making in tuple(self._making.values()):
            making.over.set()

    def _end(self, model: str, making: _Making) -> None:
        making.over.set()
        if self._making.get(model) is making:
            del self._making[model]
        if not making.future.done():
            making.future.add_done_callback(_forget)


def _forget(future: "asyncio.Future[Planned]") -> None:
    """Its error is nobody's any more."""
    if not future.cancelled():
        future.exception()
