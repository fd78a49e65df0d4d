"""Notes every request for the usage history: tokens, seconds, joules, the forecast and what came.

``Recorded`` stands in front of the engine and looks exactly like it; only ``submit`` is watched. Sinks run on the
engine's thread, so nothing is written there: a thread of its own has the database.
"""

import logging
import queue
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from msgspec import Struct

from app.core.errors import HearthError
from app.core.generate import Failed, Finished, GenerateEvent, GenerateRequest
from app.core.series import SeriesStore
from app.planning.energy import Energy, Series, entered_energy, idle_watts, request_energy
from app.planning.usage import Request, UsageStore

log = logging.getLogger(__name__)

Sink = Callable[[GenerateEvent], None]

LATE = 1.5
"""Seconds to wait for the power reading that follows the end of a request."""
REMEMBERED = 200
PROCESSOR = "CPU"
"""``planning.memory.HOST``, which would load much at the start."""


class Engine(Protocol):
    """The part of the supervisor that is used."""

    def submit(self, model_id: str, request: GenerateRequest, sink: Sink, /, *, asks: bool = False) -> None:
        """Ask; the sink's last event is Finished(done=True) or Failed."""


class About(Struct, frozen=True, omit_defaults=True):
    """What is known of a loaded model when a request for it ends."""

    quant: str = ""
    device: str = ""
    """ggml's name of the device that holds most of it."""
    engine: str = ""
    sources: tuple[tuple[str, str], ...] = ()
    """Power series that belong to it: ``("host", "cpu_power")``, ``("gpu:0", "power")``."""
    forecast: float | None = None
    uncorrected: float | None = None


class _Open:
    """A request that is running. Times on ``time.monotonic``."""

    def __init__(self, model: str, source: str, chat: str, others: int) -> None:
        self.model, self.source, self.chat = model, source, chat
        self.begun = time.monotonic()
        self.parallel = others + 1
        self.prompt = self.completion = self.cached = 0
        self.last: Finished | None = None


class Recorder:
    """Watches requests and writes what came of them. ``watts`` gives (under load, idle) where the user has entered
    them, for machines whose power can't be read. ``about`` is asked with a model's id and the tokens that were in its
    context in the middle of the answer; it may take its time."""

    def __init__(
        self,
        store: UsageStore,
        series: SeriesStore,
        about: Callable[[str, int], About],
        *,
        watts: Callable[[], tuple[float, float] | None] = lambda: None,
        late: float = LATE,
    ) -> None:
        self._store, self._series, self._about, self._watts, self._late = store, series, about, watts, late
        self._lock = threading.Lock()
        self._running: set[_Open] = set()
        self._busy: deque[tuple[float, float]] = deque(maxlen=REMEMBERED)
        self._ended: queue.SimpleQueue[tuple[_Open, float, float] | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the writing thread; calling it again does nothing."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="usage", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Write what has ended, then stop. Idempotent."""
        self._closing.set()
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._ended.put(None)
            thread.join()
        self._store.close()

    def watch(self, model: str, sink: Sink, source: str, chat: str = "") -> Sink:
        """A sink that hands every event on at once and takes note of the end."""
        with self._lock:
            opened = _Open(model, source, chat, len(self._running))
            for other in self._running:
                other.parallel = max(other.parallel, len(self._running) + 1)
            self._running.add(opened)

        def take(event: GenerateEvent) -> None:
            sink(event)
            if isinstance(event, Finished):
                self._finished(opened, event)
            elif isinstance(event, Failed):
                self._end(opened)

        return take

    def _finished(self, opened: _Open, event: Finished) -> None:
        opened.prompt += event.usage.prompt
        opened.completion += event.usage.completion
        opened.cached += event.usage.cached
        opened.last = event
        if event.done:
            self._end(opened)

    def _end(self, opened: _Open) -> None:
        with self._lock:
            if opened not in self._running:
                return
            self._running.discard(opened)
            now = time.monotonic()
            self._busy.append((opened.begun, now))
        if opened.last is not None and opened.completion:
            self._ended.put((opened, now, time.time()))

    def _run(self) -> None:
        while (item := self._ended.get()) is not None:
            opened, ended, at = item
            # The trapezoid over the last second needs the reading after it.
            self._closing.wait(max(0.0, ended + self._late - time.monotonic()))
            try:
                self._store.add(self._request(opened, ended, at))
            except (HearthError, OSError) as error:
                log.info("a request is missing from the usage history: %s", error)
        self._store.close()

    def _request(self, opened: _Open, ended: float, at: float) -> Request:
        assert opened.last is not None
        timings = opened.last.timings
        about = self._about(opened.model, opened.prompt + opened.completion // 2)
        energy = self._energy(opened, about, ended)
        return Request(
            at=at,
            model=opened.model,
            quant=about.quant,
            device=about.device,
            engine=about.engine,
            source=opened.source,
            chat=opened.chat,
            prompt_tokens=opened.prompt,
            cached_tokens=opened.cached,
            completion_tokens=opened.completion,
            prefill_seconds=timings.prefill,
            decode_seconds=timings.decode,
            joules_prefill=energy.prefill if energy else None,
            joules_decode=energy.decode if energy else None,
            joules_idle=energy.idle if energy else None,
            energy_origin=energy.origin if energy else "",
            forecast=about.forecast,
            uncorrected=about.uncorrected,
            parallel=opened.parallel,
            context=opened.prompt + opened.completion,
            others=self._others(ended - timings.decode, ended) if about.device == PROCESSOR else None,
        )

    def _others(self, begun: float, ended: float) -> float | None:
        """Per cent of the processor that other programs took, by the readings nearest to that time."""
        shares = []
        for name in ("cpu_percent", "cpu_us"):
            times, values = self._series.read("host", name, begun)
            found = [value for t, value in zip(times, values, strict=True) if t <= ended + self._late]
            if not found:
                return None
            shares.append(statistics.median(found))
        return max(0.0, shares[0] - shares[1])

    def _energy(self, opened: _Open, about: About, ended: float) -> Energy | None:
        """Measured, else from entered watts, else not known."""
        assert opened.last is not None
        timings = opened.last.timings
        first = max(opened.begun, ended - timings.decode)
        begun = max(opened.begun, first - timings.prefill)
        share = 1 / opened.parallel
        sources = [Series(*self._series.read(*source)) for source in about.sources]
        if sources:
            idle = [idle_watts(series, tuple(self._busy)) for series in sources]
            known = sum(value for value in idle if value is not None)
            found = request_energy(sources, begun, first, ended, idle=known, share=share)
            if found is not None:
                return found
        entered = self._watts()
        return (
            entered_energy(entered[0] * share, begun, first, ended, entered[1] * share) if entered else None
        )


class Recorded:
    """An engine whose requests are noted as coming from ``source``; everything else is the engine's own."""

    def __init__(self, engine: Engine, recorder: Recorder, source: str) -> None:
        self._engine, self._recorder, self._source = engine, recorder, source

    def submit(self, model_id: str, request: GenerateRequest, sink: Sink, *, asks: bool = False) -> None:
        """Ask, and take note."""
        watched = self._recorder.watch(model_id, sink, self._source, request.conversation)
        self._engine.submit(model_id, request, watched, asks=asks)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)
