"""Questions that no person asked: a title, a summary. Their answers are never shown as they come, and never fail."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future

from msgspec.structs import replace

from app.chat.turn import Engine
from app.core.errors import HearthError
from app.core.generate import Delta, Finished, GenerateEvent, GenerateRequest

log = logging.getLogger(__name__)

FLUSH_MS = 250
"""Nobody reads along."""


def ask(engine: Engine, model: str, request: GenerateRequest, keep: Callable[[str], str]) -> "Future[str]":
    """Ask, and give what ``keep`` makes of the whole answer; empty when there is none. ``keep`` runs on a thread of its
    own: it may wait for the disk, which the runtime thread must not."""
    done: Future[str] = Future()
    pieces: list[str] = []

    def sink(event: GenerateEvent) -> None:
        if isinstance(event, Delta):
            pieces.append(event.text)
        elif isinstance(event, Finished) and event.reason in {"stop", "length"}:
            threading.Thread(target=_keep, args=("".join(pieces), keep, done), name="hearth-quiet").start()
        else:
            done.set_result("")

    try:
        engine.submit(model, replace(request, flush_ms=FLUSH_MS), sink)
    except HearthError as error:
        log.info("nothing was asked quietly: %s", error)
        done.set_result("")
    return done


def _keep(answer: str, keep: Callable[[str], str], done: "Future[str]") -> None:
    try:
        kept = keep(answer)
    except (HearthError, TimeoutError) as error:
        log.info("a quiet answer was not kept: %s", error)
        kept = ""
    done.set_result(kept)
