"""One plan for all who want the same model loaded: made beside the loop, and given up when nobody waits any more."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from app.core.types import LoadPlan, ModelRecord


class Planned(Protocol):
    """What a planner gives: a plan (and reasons the server has no use for)."""

    @property
    def plan(self) -> LoadPlan:
        """What to load with."""
        ...


Planner = Callable[[ModelRecord, Any, threading.Event], Planned]
"""Makes room, which may take minutes; ends with an error once the event is set (``Residency.prepare``)."""
Changes = Mapping[str, object]
"""Fields of the plan that a client asks for."""
MakeWishes = Callable[[str, Changes], Any]
"""A model's usual wishes with such changes."""


_Key = tuple[str, tuple[tuple[str, object], ...]]


class _Making:
    """A plan that is being made."""

    def __init__(self, planner: Planner, record: ModelRecord, wishes: Any) -> None:
        self.over, self.wanted = threading.Event(), 0
        loop = asyncio.get_running_loop()
        self.future = loop.run_in_executor(None, planner, record, wishes, self.over)


class Plans:
    """Used on the server's loop."""

    def __init__(self, planner: Planner, wishes: MakeWishes | None = None) -> None:
        self._planner, self._wishes = planner, wishes
        self._making: dict[_Key, _Making] = {}

    async def plan(self, record: ModelRecord, changes: Changes | None = None) -> Planned:
        """The plan to load with, room for it made. Raises the planner's error."""
        key = record.id, tuple(sorted((changes or {}).items()))
        making = self._making.get(key)
        if making is None:
            wishes = self._wishes(record.id, changes) if changes and self._wishes is not None else None
            making = self._making[key] = _Making(self._planner, record, wishes)
        making.wanted += 1
        try:
            return await asyncio.shield(making.future)
        finally:
            making.wanted -= 1
            if not making.wanted:
                self._end(key, making)

    def give_up(self) -> None:
        """Nobody waits any more, for any model. From any thread."""
        for making in tuple(self._making.values()):
            making.over.set()

    def _end(self, key: _Key, making: _Making) -> None:
        making.over.set()
        if self._making.get(key) is making:
            del self._making[key]
        if not making.future.done():
            making.future.add_done_callback(_forget)


def _forget(future: "asyncio.Future[Planned]") -> None:
    """Its error is nobody's any more."""
    if not future.cancelled():
        future.exception()
