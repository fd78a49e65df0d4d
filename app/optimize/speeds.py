"""How fast a model answers here, as ``hearth bench`` measures it: loaded, warmed up, asked, and unloaded again when
it was not loaded before."""

import queue
import random
import statistics
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from app.core.errors import from_code
from app.core.events import InstanceChanged
from app.core.generate import Delta, Failed, Finished, GenerateEvent, GenerateRequest, SamplingParams
from app.optimize.orders import Speed
from app.optimize.process import LabCancelledError

if TYPE_CHECKING:
    from concurrent.futures import Future

    from app.planning.usage import Request

PROMPT, WRITTEN, RUNS = 128, 48, 2
LATE = 8.0
"""Seconds to wait for the history to have the energy of the last request."""


class Engine(Protocol):
    """The part of the supervisor that is used; its requests are noted in the usage history as the lab's."""

    def submit(self, model_id: str, request: GenerateRequest, sink: Callable[[GenerateEvent], None]) -> None:
        """Ask; events come on another thread."""
        ...

    def cancel(self, request_id: str) -> None:
        """Give up a request."""
        ...

    def snapshot(self, model_id: str) -> InstanceChanged | None:
        """A model that is loaded."""
        ...

    def unload(self, model_id: str) -> "Future[Any]":
        """Let a model go."""
        ...


class Speeds:
    """Called with a model's file. ``load`` takes a path and gives (id, future); ``history`` gives the requests noted
    since a time."""

    def __init__(
        self,
        engine: Callable[[], Engine],
        load: Callable[[str], "tuple[str, Future[InstanceChanged]]"],
        history: Callable[[float], "list[Request]"],
    ) -> None:
        self._engine, self._load, self._history = engine, load, history

    def __call__(self, model: Path, cancel: threading.Event) -> Speed:
        """Median of the runs. Raises HearthError when the model can't be loaded or asked, LabCancelledError."""
        engine = self._engine()
        loaded = {item.model for item in getattr(engine, "snapshots", tuple)()}
        name, ready = self._load(str(model))
        try:
            instance = _wait(ready, cancel)
            _ask(engine, name, 0, 8, cancel)
            since = time.time()
            runs = [_ask(engine, name, seed, WRITTEN, cancel) for seed in range(1, RUNS + 1)]
            joules = self._joules(name, since, cancel)
        finally:
            if name not in loaded:
                engine.unload(name)
        return Speed(
            _median([run.timings.prefill_per_second for run in runs]),
            _median([run.timings.decode_per_second for run in runs]),
            joules,
            instance.device,
        )

    def _joules(self, name: str, since: float, cancel: threading.Event) -> float | None:
        end = time.monotonic() + LATE
        found: list[Request] = []
        while len(found) < RUNS and time.monotonic() < end and not cancel.wait(0.1):
            found = [row for row in self._history(since) if row.model == name and row.source == "lab"]
        joules = [row.joules_decode for row in found if row.joules_decode is not None]
        written = sum(row.completion_tokens for row in found)
        return sum(joules) / written if joules and len(joules) == len(found) and written else None


def _wait(ready: "Future[InstanceChanged]", cancel: threading.Event) -> InstanceChanged:
    while not cancel.is_set():
        try:
            return ready.result(timeout=0.2)
        except TimeoutError:
            if ready.done():
                raise
    raise LabCancelledError


def _ask(engine: Engine, model: str, seed: int, written: int, cancel: threading.Event) -> Finished:
    # Random ids, another set each run: a repeated prompt would come from the KV cache and measure nothing.
    rolls = random.Random(seed)
    tokens = tuple(rolls.randrange(100, 10_000) for _ in range(PROMPT))
    sampling = SamplingParams(temperature=0, max_tokens=written, ignore_eos=True, seed=1)
    request = GenerateRequest(uuid.uuid4().hex, tokens=tokens, sampling=sampling)
    events: queue.SimpleQueue[GenerateEvent] = queue.SimpleQueue()
    engine.submit(model, request, events.put)
    while True:
        try:
            event = events.get(timeout=0.2)
        except queue.Empty:
            if cancel.is_set():
                engine.cancel(request.id)
                raise LabCancelledError from None
            continue
        if isinstance(event, Failed):
            raise from_code(event.code, event.params)
        if not isinstance(event, Delta):
            return event


def _median(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None
