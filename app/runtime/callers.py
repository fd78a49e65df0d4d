"""Those who wait for something: each is answered exactly once, and one that fails does not disturb the others."""

import logging
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass
from typing import Any, TypeVar

from app.core.generate import GenerateEvent

log = logging.getLogger(__name__)

Sink = Callable[[GenerateEvent], None]
Result = TypeVar("Result")


@dataclass
class Asked:
    """A request on its way: where its events go."""

    id: str
    sink: Sink
    spill: Callable[[bytes], None] = lambda _data: None
    """Gets what was written past the sink and did not fit (``Spilled``)."""


def deliver(sink: Sink, event: GenerateEvent) -> None:
    """Call a sink; one that raises does not disturb the others."""
    try:
        sink(event)
    except Exception:
        log.exception("a sink failed")


def settle(future: "Future[Result]", result: Result) -> None:
    """Resolve a future that its owner may have cancelled meanwhile."""
    try:
        future.set_result(result)
    except InvalidStateError:
        log.debug("nobody waits any more")


def refuse(future: "Future[Any]", error: BaseException) -> None:
    """Fail a future that its owner may have cancelled meanwhile."""
    try:
        future.set_exception(error)
    except InvalidStateError:
        log.debug("nobody waits any more")
