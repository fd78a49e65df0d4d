# size: one state machine, and everybody who waits for it
"""One model's worker as the runtime thread sees it: its process, its state, and whoever waits for something.

    stopped -> starting -> loading -> ready -> stopping -> stopped
                  |           |         |          |
                  +-----------+---------+----------+--> failed (a load error or a crash)

Only the runtime thread touches an Instance. Everybody who waits is answered exactly once: a future for each load,
unload and question, a last event for each request.
"""

import logging
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from app.core.errors import (
    BusyError,
    HearthError,
    LoadCancelledError,
    NotLoadedError,
    PackCrashedError,
    WorkerCrashedError,
    from_code,
)
from app.core.events import ErrorInfo, InstanceChanged, InstanceState, MemoryUse
from app.core.generate import Failed, Finished, GenerateEvent, Spilled, Timings, Usage
from app.core.types import LoadPlan, Sample
from app.runtime.callers import Asked, deliver, refuse, settle
from app.runtime.channel import Reader, child_environ, spawn
from app.runtime.outbox import Outbox
from app.runtime.pack_blame import Judge, backend_at_fault, kinds_of
from app.runtime.postmortem import Death, explain_death, is_crash, name_status, oom_kills, open_log, read_tail
from app.runtime.protocol import (
    Answer,
    CacheState,
    Command,
    Embed,
    Events,
    Fatal,
    Load,
    Progress,
    Ready,
    Refused,
    Report,
    Stats,
    Unload,
    decode_report,
    error_info,
)
from app.runtime.shares import Shares

log = logging.getLogger(__name__)

UNLOAD_SECONDS = 10.0
"""How long a worker may take to end by itself; a step of a very slow model is cut short by then."""
REAP_SECONDS = 5.0
_WITHOUT = {"use_extra_bufts": False, "projector": None}


@dataclass(frozen=True)
class Surroundings:
    """What an instance needs from the supervisor."""

    publish: Callable[[object], None]
    logs: Path
    cache: Path | None
    environ: Mapping[str, str]
    """Of the workers; read anew for each, so that its owner may change it."""
    packs: Judge | None = None
    cores: Callable[[], int] = lambda: 0
    """See ``protocol.Load``."""


@dataclass
class _Process:
    popen: "subprocess.Popen[bytes]"
    pipe: Any
    reader: Reader
    outbox: Outbox
    plan: LoadPlan
    """What it was told to load (the asked plan, or that one without extra buffers)."""
    log: Path
    oom_kills: int | None
    stage: str = ""
    ready: Ready | None = None
    fatal: ErrorInfo | None = None
    rests: bool = False


@dataclass
class Instance:
    """See the module's text. ``asked`` is the plan that callers want; equality with it answers "needs a reload?"."""

    model: str
    around: Surroundings
    state: InstanceState = "stopped"
    asked: LoadPlan | None = None
    progress: float = 0.0
    error: ErrorInfo | None = None
    last_used: float = 0.0
    requests: dict[int, Asked] = field(default_factory=dict)
    questions: dict[int, Future[Any]] = field(default_factory=dict)
    readings: dict[str, float] = field(default_factory=dict)
    shares: Shares = field(default_factory=Shares)
    deadline: float | None = None
    """When (``time.monotonic``) a stopping worker is ended by force."""
    _process: _Process | None = None
    _loads: list[Future[InstanceChanged]] = field(default_factory=list)
    _unloads: list[Future[None]] = field(default_factory=list)
    _embedding: set[int] = field(default_factory=set)
    """Which of the questions ask for vectors."""
    _next: LoadPlan | None = None
    _load_began: float = 0.0

    # ------------------------------------------------------------------------------ what callers ask

    def ensure(self, plan: LoadPlan, future: "Future[InstanceChanged]") -> None:
        """Be ready with ``plan``: now, by joining the load that is going on, or by a new one."""
        match self.state:
            case "ready" if self.asked == plan:
                settle(future, self.snapshot())
                return
            case "starting" | "loading" if self.asked == plan:
                self._loads.append(future)
                return
        self._loads.append(future)
        self._next = plan
        if self.state in ("stopped", "failed"):
            self._start()
        elif self.state == "ready":
            self._ask_to_end()
        elif self.state in ("starting", "loading"):
            self._end_by_force()

    def cancel_load(self) -> None:
        """Stop a load at once; those who wait for it get LoadCancelledError."""
        if self.state in ("starting", "loading"):
            self._next = None
            self._refuse_loads(LoadCancelledError(model=self.model))
            self._end_by_force()
        elif self.state == "stopping" and self._next is not None:
            self._next = None
            self._refuse_loads(LoadCancelledError(model=self.model))

    def leave_load(self) -> None:
        """Stop a load that nobody waits for any more."""
        if not self.requests and not self._embedding and all(load.cancelled() for load in self._loads):
            self.cancel_load()

    def unload(self, future: "Future[None]") -> None:
        """End the worker; done when its memory is free again."""
        if self.state in ("stopped", "failed"):
            self.error = None
            self._move("stopped")
            settle(future, None)
            return
        self._unloads.append(future)
        self.cancel_load()
        if self.state == "ready":
            self._ask_to_end()

    def release(self, future: "Future[None]") -> None:
        """``unload``, if nobody wants anything of it."""
        wanted = len(self.requests) + len(self._embedding) + len(self._loads)
        if wanted:
            refuse(future, BusyError(model=self.model, waiting=wanted))
        else:
            self.unload(future)

    def submit(self, key: int, asked: Asked, command: Command) -> None:
        """Send a request to the worker, or fail it when there is none."""
        if self.state != "ready" or self._process is None:
            error = NotLoadedError(model=self.model)
            deliver(asked.sink, Failed(error.code, error.message, error.params))
            return
        self.requests[key] = asked
        self.last_used = time.time()
        self._process.outbox.put(command)

    def ask(self, key: int, future: "Future[Any]", command: Command) -> None:
        """Send a question whose answer resolves ``future``."""
        if self.state != "ready" or self._process is None:
            refuse(future, NotLoadedError(model=self.model))
            return
        self.questions[key] = future
        if isinstance(command, Embed):
            self._embedding.add(key)
            self.last_used = time.time()
        self._process.outbox.put(command)

    def tell(self, command: Command, handle: int = -1) -> None:
        """Send something that has no answer, and perhaps a socket, which is closed here; dropped when there is no
        worker."""
        if self.state == "ready" and self._process is not None:
            self._process.outbox.put(command, handle)
        elif handle >= 0:
            os.close(handle)

    # ------------------------------------------------------------------------------ what the worker says

    @property
    def pipe(self) -> Any:
        """Our end of the pipe, or None without a worker."""
        return self._process.pipe if self._process else None

    @property
    def pid(self) -> int | None:
        """The worker's process id."""
        return self._process.popen.pid if self._process else None

    def readable(self) -> list[int]:
        """Read what is there and act on it; returns the keys of requests that have ended with it."""
        process = self._process
        if process is None:
            return []
        try:
            frames = process.reader.frames()
        except (EOFError, OSError):
            return self.died()
        over: list[int] = []
        for frame in frames:
            try:
                over += self._handle(process, decode_report(frame))
            except msgspec.DecodeError as error:
                log.error("%s: a report can't be read: %s", self.model, error)
        return over

    def _handle(self, process: _Process, report: Report) -> list[int]:
        if isinstance(report, Events):  # nearly always
            now = time.monotonic()
            over = [item.key for item in report.items if self._event(item.key, item.event, now)]
            if report.values:  # after the words, which somebody waits for
                self._read(report.values)
            return over
        match report:
            case Stats(values):
                self._read(values)
            case Progress(fraction, stage):
                process.stage = stage
                self._progressed(fraction)
            case Ready():
                self._became_ready(process, report)
            case Fatal(error):
                process.fatal = error
            case Refused(key, error):
                if future := self._question(key):
                    refuse(future, from_code(error.code, error.params))
            case _:
                self._answered(report)
        return []

    def _read(self, values: dict[str, float]) -> None:
        self.readings, now = values, time.monotonic()
        each = self.shares.readings(now)
        self.around.publish(Sample(f"instance:{self.model}", now, {**values, **each}))

    def _fall_silent(self) -> None:
        """The worker is gone: what it read last must not stay as if it were so."""
        if self.readings:
            names = (*self.readings, *self.shares.names())
            nothing: dict[str, float | None] = dict.fromkeys(names, 0.0)
            self.around.publish(Sample(f"instance:{self.model}", time.monotonic(), nothing))
        self.readings, self.shares = {}, Shares()

    def _answered(self, answer: Answer) -> None:
        if isinstance(answer, CacheState) and self._process is not None:
            self._process.rests = not answer.here
            self.around.publish(self.snapshot())
        if future := self._question(answer.key):
            settle(future, answer)

    def _question(self, key: int) -> "Future[Any] | None":
        if key in self._embedding:
            self._embedding.remove(key)
            self.last_used = time.time()
        return self.questions.pop(key, None)

    def _event(self, key: int, event: GenerateEvent | Spilled, now: float) -> bool:
        asked = self.requests.get(key)
        if asked is None:
            return False
        if isinstance(event, Spilled):
            asked.spill(event.data)
            return False
        self.shares.event(key, event, now)
        over = isinstance(event, Failed) or (isinstance(event, Finished) and event.done)
        if over:
            del self.requests[key]
            self.last_used = time.time()
        deliver(asked.sink, event)
        return over

    def _progressed(self, fraction: float) -> None:
        if self.state == "starting":
            self._move("loading")
        if self.state == "loading":
            self.progress = fraction
            self.around.publish(self.snapshot())

    def _became_ready(self, process: _Process, ready: Ready) -> None:
        if self.state not in ("starting", "loading"):
            return
        process.ready = ready
        self.progress, self.error, self.last_used = 1.0, None, time.time()
        self._move("ready")
        snapshot, loads = self.snapshot(), self._loads
        self._loads = []
        for future in loads:
            settle(future, snapshot)

    # ------------------------------------------------------------------------------ beginning and end of a process

    def _start(self, *, without: tuple[str, ...] = ()) -> None:
        # ``without``: once more without extra buffer types, or without the projector, which took the process down.
        plan = self._next or self.asked
        assert plan is not None
        self.asked, self._next, self.error, self.progress = plan, None, None, 0.0
        self._load_began = time.time()
        told = msgspec.structs.replace(plan, **{name: _WITHOUT[name] for name in without})
        try:
            file, path = open_log(self.around.logs, self.model)
            with file:
                # (Fixed threads that leave a core to others may wait as they like, too.)
                spins = plan.n_threads is None or plan.n_threads < (os.cpu_count() or 1)
                environ = child_environ(self.around.environ, spins=spins)
                popen, pipe = spawn(["worker"], file, environ)
        except OSError as error:
            self._failed(error_info(error))
            return
        self._process = _Process(popen, pipe, Reader(pipe), Outbox(pipe, popen.pid), told, path, oom_kills())
        cache = str(self.around.cache) if self.around.cache else ""
        self._process.outbox.put(Load(self.model, told, cache, self.around.cores()))
        self._move("starting")

    def _ask_to_end(self) -> None:
        assert self._process is not None
        self._process.outbox.put(Unload())
        self.deadline = time.monotonic() + UNLOAD_SECONDS
        self._move("stopping")

    def _end_by_force(self) -> None:
        assert self._process is not None
        self._process.popen.kill()
        self.deadline = None
        self._move("stopping")

    def overdue(self) -> None:
        """The deadline has passed."""
        log.info("%s does not end by itself", self.model)
        self._end_by_force()

    def kill(self) -> None:
        """End the worker at once, whatever it does."""
        if self._process is not None:
            self._next = None
            self._end_by_force()

    def died(self) -> list[int]:
        """The pipe ended: reap the process and tell everybody. Returns the keys of the requests that ended."""
        process, self._process = self._process, None
        if process is None:
            return []
        self.deadline = None
        status = _reap(process)
        was = self.state
        self._fall_silent()
        keys = list(self.requests)
        if was == "stopping":
            if self.around.packs and process.ready and status == 0:
                self.around.packs.worked(kinds_of(process.plan.devices))
            self._ended()
        else:
            self._broke(process, status)
        return keys

    def _ended(self) -> None:
        requests, self.requests = self.requests, {}
        for asked in requests.values():
            deliver(asked.sink, Finished("cancelled", Usage(), Timings()))
        self._refuse_questions(NotLoadedError(model=self.model))
        self._move("stopped")
        unloads, self._unloads = self._unloads, []
        for future in unloads:
            settle(future, None)
        if self._next is not None:
            self._start()

    def _broke(self, process: _Process, status: int) -> None:
        if process.fatal is not None:
            self._failed(msgspec.structs.replace(process.fatal, details=read_tail(process.log)))
            return
        death = explain_death(self.model, status, process.log, process.oom_kills)
        if off := self._pack_turned_off(process, status, death):
            self._failed(
                error_info(PackCrashedError(model=self.model, why=death.why, pack=off), death.details)
            )
            return
        if process.stage == "projector" and process.ready is None and is_crash(status):
            log.info("%s: its projector ended the worker (%s); trying without", self.model, death.why)
            self._start(without=("projector",))
            return
        if (
            process.stage == "first_decode"
            and process.ready is None
            and is_crash(status)
            and process.plan.use_extra_bufts
        ):
            log.info(
                "%s: the first decode ended the worker (%s); trying without extra buffers",
                self.model,
                death.why,
            )
            self._start(without=("use_extra_bufts",))
            return
        self._failed(error_info(death.error, death.details))

    def _pack_turned_off(self, process: _Process, status: int, death: Death) -> str:
        if self.around.packs is None or not isinstance(death.error, WorkerCrashedError):
            return ""
        backend = backend_at_fault(process.plan.devices, status, death.details)
        return self.around.packs.crashed(backend, name_status(status)) if backend else ""

    def _failed(self, info: ErrorInfo) -> None:
        self.error = info
        crashed: HearthError = WorkerCrashedError(
            model=self.model, why=str(info.params.get("why", info.message))
        )
        if info.code == PackCrashedError.code:
            crashed = from_code(info.code, info.params)
        requests, self.requests = self.requests, {}
        for asked in requests.values():
            deliver(asked.sink, Failed(crashed.code, crashed.message, crashed.params))
        self._refuse_questions(crashed)
        self._move("failed")
        self._refuse_loads(from_code(info.code, info.params))
        unloads, self._unloads = self._unloads, []
        for future in unloads:
            settle(future, None)

    def _refuse_loads(self, error: HearthError) -> None:
        loads, self._loads = self._loads, []
        for future in loads:
            refuse(future, error)

    def _refuse_questions(self, error: HearthError) -> None:
        questions, self.questions = self.questions, {}
        self._embedding.clear()
        for future in questions.values():
            refuse(future, error)

    # ------------------------------------------------------------------------------ telling

    def _move(self, state: InstanceState) -> None:
        self.state = state
        self.around.publish(self.snapshot())

    def snapshot(self) -> InstanceChanged:
        """The state as an event."""
        process = self._process
        ready = process.ready if process else None
        rests = bool(process and process.rests)
        active, waiting = self._asked_now()
        return InstanceChanged(
            id=self.model,
            model=self.model,
            state=self.state,
            plan=process.plan if process else self.asked,
            progress=self.progress,
            pid=self.pid,
            device=ready.device if ready else "",
            n_ctx=ready.n_ctx if ready else 0,
            memory=held(ready.memory, rests) if ready else (),
            rests=rests,
            active=active,
            waiting=waiting,
            last_used=self.last_used,
            load_seconds=ready.seconds if ready else None,
            sees=bool(ready and ready.sees),
            blind=self._blind(ready, process.plan) if process else "",
            error=self.error,
        )

    def _asked_now(self) -> tuple[int, int]:
        """(answers being written, what waits) by the worker's last reading. That may be older than the last question:
        what was asked and is not over counts in any case, or the model would be taken for idle."""
        asked, active, waiting = len(self.requests), 0, 0
        if asked:
            active = int(self.readings.get("active", asked))
            waiting = int(self.readings.get("waiting", 0))
        return active, max(waiting, asked + len(self._embedding) - active)

    def _blind(self, ready: Ready | None, told: LoadPlan) -> str:
        if ready and self.asked and self.asked.projector and not told.projector:
            return "its projector ended the engine while it was loaded"
        return ready.blind if ready else ""


def held(memory: tuple[MemoryUse, ...], rests: bool) -> tuple[MemoryUse, ...]:
    """What an instance holds; one that rests only its weights."""
    return tuple(MemoryUse(use.device, use.weights) for use in memory) if rests else memory


def _reap(process: _Process) -> int:
    process.pipe.close()
    try:
        status = process.popen.wait(REAP_SECONDS)
    except subprocess.TimeoutExpired:
        process.popen.kill()  # it closed its pipe and lives on: nothing more is to be had from it
        status = process.popen.wait()
    process.outbox.close()
    return status
