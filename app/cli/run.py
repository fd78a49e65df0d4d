"""Loading a model and collecting one answer, as the terminal commands do it."""

import queue
import sys
import uuid
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from msgspec import Struct

from app.compose import Services, compose
from app.core.engine_settings import Engine
from app.core.errors import UsageError, from_code
from app.core.events import InstanceChanged
from app.core.generate import Delta, Failed, Finished, GenerateEvent, GenerateRequest

if TYPE_CHECKING:
    from app.planning.planner import Planned

WARNINGS = (
    "ctx_trained",
    "ctx_beyond",
    "ctx_smaller",
    "kv_smaller",
    "does_not_fit",
    "from_disk",
    "gpu_tight",
)
"""Reasons of a plan that say it is not what was asked for, or will not be good."""


@contextmanager
def services(args: Namespace) -> Iterator[Services]:
    """The services with this command's load flags in force; closed at the end."""
    composed = compose()
    try:
        for name in Engine.__struct_fields__:
            value = getattr(args, name, None)
            if value is not None:
                composed.settings.override(f"engine.{name}", value)
        _check_lists(composed)
        yield composed
    finally:
        composed.close()


def _check_lists(composed: Services) -> None:
    """Read what flags give as lists now, and not with the first request. Raises SettingsError."""
    if composed.settings.overridden:
        from app.planning.wishes import from_settings  # noqa: PLC0415 - brings the planner

        from_settings(composed.settings.value.engine)


def take_preset(running: Services, args: Namespace, model: str) -> None:
    """Load and answer as ``--preset`` says, if it was given. Raises UsageError for one that is not there or is for
    another model."""
    name = getattr(args, "preset", None)
    if not name:
        return
    preset = running.presets.get(name)
    if preset.model not in ("", model):
        raise UsageError(detail=f"The preset {preset.name} is for {preset.model}, not for {model}.")
    running.presets.use(model, preset)


def load(running: Services, model: str, quiet: bool) -> InstanceChanged:
    """Load and wait; progress goes to standard error when a person looks on. Raises the loader's error."""
    show = not quiet and sys.stderr.isatty()
    running.sampler.start()  # what an answer cost, and whether others slowed it down
    subscription = running.bus.subscribe(InstanceChanged, _progress if show else _ignore)
    try:
        loaded = running.load(model, told=warn).result()
        if loaded.blind:
            print(f"{model} does not see images: {loaded.blind}.", file=sys.stderr)
        return loaded
    finally:
        subscription.close()
        if show:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def warn(planned: "Planned") -> None:
    """Say on standard error what of a plan is not as it was asked for, or will not be good."""
    for reason in planned.reasons:
        if reason.code in WARNINGS:
            print(reason.text, file=sys.stderr)


def _progress(event: InstanceChanged) -> None:
    if event.state in ("starting", "loading"):
        print(f"\rLoading {event.model}: {event.progress:.0%}\x1b[K", end="", file=sys.stderr, flush=True)


def _ignore(event: InstanceChanged) -> None:
    """Nobody looks on."""


class Answer(Struct, frozen=True):
    """One whole answer."""

    text: str
    finished: Finished


def ask(
    running: Services, model: str, request: GenerateRequest, show: Callable[[Delta], None] | None = None
) -> Answer:
    """Submit and wait, showing deltas as they come. Ctrl-C stops the answer and keeps what there is.
    Raises the engine's error if it fails."""
    events: queue.SimpleQueue[GenerateEvent] = queue.SimpleQueue()
    running.recorder.start()
    running.engine("cli").submit(model, request, events.put)
    texts: list[str] = []
    while True:
        event = _next(running, request.id, events)
        if isinstance(event, Delta):
            texts.append(event.text)
            if show:
                show(event)
        elif isinstance(event, Failed):
            raise from_code(event.code, event.params)
        elif event.done:
            return Answer("".join(texts), event)


def _next(running: Services, request_id: str, events: "queue.SimpleQueue[GenerateEvent]") -> GenerateEvent:
    while True:
        try:
            return events.get(timeout=0.5)  # a bare get() would not see Ctrl-C on Windows
        except queue.Empty:
            continue
        except KeyboardInterrupt:
            running.supervisor.cancel(request_id)


def new_id() -> str:
    """A request id nobody else has."""
    return uuid.uuid4().hex
