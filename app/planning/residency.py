"""Which models stay loaded: room is made before a load, and idle models go after a while.

Decisions are ``eviction.choose``'s and the planner's; here is the work: unloading, waiting until the memory is really
free, and a slow clock for idle models. A loaded model keeps the plan it has until other wishes are said: the free
memory changes with every load, and a plan made anew from it would reload for nothing.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

from app.core.errors import HearthError, LoadCancelledError, OutOfMemoryError
from app.core.events import InstanceChanged, LoadWaits
from app.core.types import ModelRecord
from app.planning.eviction import Eviction, Loaded, choose
from app.planning.memory import HOST, PROCESS_OVERHEAD
from app.planning.pins import Pins

if TYPE_CHECKING:
    from app.planning.planner import Planned, Wishes

log = logging.getLogger(__name__)

PROCESS = {HOST: PROCESS_OVERHEAD}
"""What a worker takes beside its model, and gives back when it ends. (A forecast has it too.)"""
ALIVE = ("starting", "loading", "ready")
FREED_WITHIN = 10.0
"""Seconds the system may take to give an ended worker's memory back."""
SETTLED = 2.0
"""Seconds without more coming free after which no more is expected: what a model takes is counted in full, and memory
that it never touched does not come back."""
LITTLE = 4 << 20
CLOCK = 15.0
LOADS_WITHIN = 300.0
"""Seconds that a load waits for another one to take its memory, where both may be too much."""
BEGINS_WITHIN = 1.0
"""Seconds after which a load that was planned and has not begun is not expected any more."""
BUSY_WITHIN = 300.0
"""Seconds that a load waits for models to answer what they are asked, where only their memory is enough."""
LOOK_AGAIN = 5.0
"""Seconds after which it is planned anew all the same: memory may come from elsewhere."""
JUST_USED = 0.3
"""Seconds in which whoever had a model loaded asks it: one that is not asked by then is idle."""


class Engine(Protocol):
    """What the supervisor offers."""

    def snapshots(self) -> tuple[InstanceChanged, ...]:
        """Every instance that is not stopped."""
        ...

    def snapshot(self, model_id: str) -> InstanceChanged | None:
        """One instance."""
        ...

    def release(self, model_id: str) -> object:
        """A future of nothing: it is unloaded. Fails with BusyError when anything is asked of it."""
        ...

    def rest(self, model_id: str) -> object:
        """A future of nothing: its cache is given back, its weights stay. Fails with BusyError."""
        ...


MakePlan = Callable[[ModelRecord, "Wishes | None", Mapping[str, int]], "Planned"]


class Residency:
    """Plans loads and makes room for them; ``start`` begins the idle clock."""

    def __init__(
        self,
        engine: Engine,
        plan: MakePlan,
        idle_seconds: Callable[[], float | None],
        pins: Pins | None = None,
        publish: Callable[[LoadWaits], None] = lambda _event: None,
    ) -> None:
        self._engine, self._plan, self._idle_seconds = engine, plan, idle_seconds
        self._pins, self._publish = pins or Pins(), publish
        self._waits: list[tuple[str, threading.Event]] = []
        """Models whose load is prepared, and what gives it up."""
        self._behind_now: dict[str, tuple[str, ...]] = {}
        self._telling = threading.Lock()
        self.asked_to_keep: Callable[[str], bool] = lambda _model: False
        """Whether a client of the server wants a model loaded for some time yet: it is not unloaded when idle."""
        self._one_at_a_time = threading.Lock()
        self._promised: dict[str, tuple[float, dict[str, int]]] = {}
        """Model -> when its load was planned, and the bytes that it will take by device."""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def pin(self, model: str, on: bool) -> None:
        """A pinned model is neither evicted nor unloaded when idle."""
        self._pins.set(model, on)

    def pinned(self, model: str) -> bool:
        """Whether it stays."""
        return model in self._pins

    def prepare(
        self, record: ModelRecord, wishes: "Wishes | None" = None, over: threading.Event | None = None
    ) -> "Planned":
        """The plan to load with, after making room for it. Blocks while others unload, and for ``BUSY_WITHIN`` seconds
        at most while those answer that would have to go (``LoadWaits`` says so). Raises OutOfMemoryError when the
        guardrail forbids the load (wishes with the guardrail off load anyway), and LoadCancelledError once ``over`` is
        set, or after ``give_up``."""
        end = time.monotonic() + BUSY_WITHIN
        told: tuple[str, ...] = ()
        wait = record.id, over or threading.Event()
        self._waits.append(wait)
        try:
            while True:
                with self._one_at_a_time:
                    planned = self._planned(record, wishes)
                behind = self._behind(record, wishes) if planned.verdict == "refuse" else ()
                if not behind or time.monotonic() >= end:
                    return _allowed(record, planned)
                if behind != told:
                    told = behind
                    log.info("%s waits for room until %s are idle", record.id, ", ".join(behind))
                    self._tell(record.id, behind)
                self._until_idle(behind, wait[1], end)
                if wait[1].is_set() or self._stop.is_set():
                    raise LoadCancelledError(model=record.name)
        finally:
            self._waits.remove(wait)
            if record.id in self._behind_now and all(name != record.id for name, _over in self._waits):
                self._tell(record.id, ())

    def _tell(self, model: str, behind: tuple[str, ...]) -> None:
        with self._telling:
            waits = {name: others for name, others in self._behind_now.items() if name != model}
            self._behind_now = {**waits, model: behind} if behind else waits
        self._publish(LoadWaits(model, behind))

    def waits(self) -> Mapping[str, tuple[str, ...]]:
        """The models whose load waits for room now, each with those that answer meanwhile; from any thread."""
        return self._behind_now

    def give_up(self, model: str) -> None:
        """Whoever waits for room for this model stops waiting. Nobody: nothing happens."""
        for name, over in tuple(self._waits):
            if name == model:
                over.set()

    def _planned(self, record: ModelRecord, wishes: "Wishes | None") -> "Planned":
        now = self._engine.snapshot(record.id)
        alive = now is not None and now.state in ALIVE
        if alive and wishes is None and now and now.plan:
            # One that rests has its weights, and needs room for its cache again.
            again = self._with_room(record, None, _held(now)) if now.rests else self._plan(record, None, {})
            return replace(again, plan=now.plan, verdict="ok")
        planned = self._with_room(record, wishes, _held(now) if now and alive else {})
        if planned.verdict != "refuse":
            takes = {device.device: device.needed for device in planned.memory}
            self._promised[record.id] = time.monotonic(), takes
        return planned

    def _behind(self, record: ModelRecord, wishes: "Wishes | None") -> tuple[str, ...]:
        """The models that are asked something now and whose memory, once they are idle, makes the load possible."""
        own = self._engine.snapshot(record.id)
        others = [item for item in self._loaded(time.time()) if item.id != record.id and not item.pinned]
        busy = tuple(item.id for item in others if item.busy)
        if not busy:
            return ()
        held = _held(own) if own is not None and own.state in ALIVE else {}
        roomy = self._plan(record, wishes, _sum([held, *(_all_of(item) for item in others)]))
        return busy if roomy.verdict != "refuse" else ()

    def _until_idle(self, behind: Sequence[str], over: threading.Event, end: float) -> None:
        """Until one of them is, or it is time to look again."""
        until = min(end, time.monotonic() + LOOK_AGAIN)
        while time.monotonic() < until and not over.wait(0.1):
            busy = {item.id for item in self._loaded(time.time()) if item.busy}
            if not busy.issuperset(behind):
                return

    def gives(self, model: str) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
        """What a load of ``model`` could have beside what is free, in bytes by device: what it holds itself, and what
        each other model that may go would give back."""
        own = self._engine.snapshot(model)
        others = [item for item in self._loaded(time.time()) if item.id != model]
        idle = {item.id: _all_of(item) for item in others if not item.busy and not item.pinned}
        return _held(own) if own is not None and own.state in ALIVE else {}, idle

    def _with_room(
        self, record: ModelRecord, wishes: "Wishes | None", own: Mapping[str, int], tries: int = 5
    ) -> "Planned":
        if planned := self._beside_loads(record, wishes, own):
            return planned
        alone = self._plan(record, wishes, own)
        if _easy(alone):
            return alone
        others = self._settled(record.id)
        if not others:
            return alone
        freed = _sum([own, *(_all_of(item) for item in others if not item.busy and not item.pinned)])
        roomy = self._plan(record, wishes, freed)
        steps = choose(others, _missing(roomy, own, freed))
        if not steps:
            return alone if steps is None else roomy
        if not all(self._give_up(step, record.id) for step in steps) and tries > 1:
            return self._with_room(
                record, wishes, own, tries - 1
            )  # one was asked something meanwhile: it is busy
        self._wait_until_free(record, wishes, own, roomy)
        return roomy

    def _beside_loads(
        self, record: ModelRecord, wishes: "Wishes | None", own: Mapping[str, int]
    ) -> "Planned | None":
        """The plan that has room whatever the loads going on will take; None once there are none: what is free now
        is free then."""
        end = time.monotonic() + LOADS_WITHIN
        while (coming := self._coming(record.id)) and time.monotonic() < end:
            taken = {device: -count for device, count in coming.items()}
            planned = self._plan(record, wishes, _sum([own, taken]))
            if _easy(planned):
                return planned
            if self._stop.wait(0.1):
                break
        return None

    def _coming(self, wanted: str) -> dict[str, int]:
        """Bytes by device that other models take which load now or are about to. (A part of it they may have.)"""
        found = []
        for model, (at, takes) in tuple(self._promised.items()):
            now = self._engine.snapshot(model)
            state = now.state if now is not None else "stopped"
            soon = state != "ready" and time.monotonic() - at < BEGINS_WITHIN
            if not soon and state not in ("starting", "loading"):
                del self._promised[model]
            elif model != wanted:
                found.append(takes)
        return _sum(found)

    def _settled(self, wanted: str) -> list[Loaded]:
        """The other models, once none is between its load and the first question of whoever wanted it."""
        end = time.monotonic() + FREED_WITHIN
        while True:
            others = [item for item in self._loaded(time.time()) if item.id != wanted]
            fresh = any(item.idle < JUST_USED and not item.busy for item in others)
            if not fresh or time.monotonic() > end:
                return others
            time.sleep(0.05)

    def _give_up(self, step: Eviction, wanted: str) -> bool:
        """False: it stays, somebody asks it."""
        log.info(
            "%s %s goes to make room for %s",
            "the cache of" if step.stage == "cache" else "all of",
            step.id,
            wanted,
        )
        give = self._engine.release if step.stage == "model" else self._engine.rest
        try:
            give(step.id).result()  # type: ignore[attr-defined]
        except HearthError as error:
            log.info("it stays: %s", error)
            return False
        return True

    def _wait_until_free(
        self, record: ModelRecord, wishes: "Wishes | None", own: Mapping[str, int], wanted: "Planned"
    ) -> None:
        now = time.monotonic()
        end, held, settled = now + FREED_WITHIN, None, now + SETTLED
        while now < min(end, settled):
            planned = self._plan(record, wishes, own)
            if _rank(planned) <= _rank(wanted):
                return
            others = sum(device.others or 0 for device in planned.memory)
            if held is None or others < held - LITTLE:
                held, settled = others, now + SETTLED
            time.sleep(0.1)
            now = time.monotonic()
        log.info("less has come free than was counted; loading all the same")

    def _loaded(self, now: float) -> list[Loaded]:
        return [_as_loaded(item, now, item.model in self._pins) for item in self._engine.snapshots()]

    # ------------------------------------------------------------------ the idle clock

    def start(self) -> None:
        """Unload what has been idle for longer than the setting says, from now on. Idempotent."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="idle clock", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(CLOCK):
            self.unload_idle(time.time())

    def unload_idle(self, now: float) -> list[str]:
        """Unload the models that are idle for too long; their ids."""
        limit = self._idle_seconds()
        if limit is None:
            return []
        idle = [item for item in self._loaded(now) if item.idle >= limit and not item.busy]
        gone = [item.id for item in idle if not item.pinned and not self.asked_to_keep(item.id)]
        for model in gone:
            log.info("%s is unloaded: idle for %.0f s", model, limit)
            self._engine.release(model)
        return gone

    def close(self) -> None:
        """End the clock, and give up what waits for room."""
        self._stop.set()
        for _model, over in tuple(self._waits):
            over.set()
        if self._thread is not None:
            self._thread.join()


def _allowed(record: ModelRecord, planned: "Planned") -> "Planned":
    if planned.verdict == "refuse":
        raise OutOfMemoryError(
            model=record.name, detail=" ".join(reason.text for reason in planned.reasons).rstrip(".")
        )
    return planned


def _as_loaded(item: InstanceChanged, now: float, pinned: bool) -> Loaded:
    busy = bool(item.active or item.waiting) or item.state != "ready"
    return Loaded(
        id=item.model,
        idle=max(0.0, now - item.last_used),
        load_seconds=item.load_seconds or 0.0,
        weights=_sum([{use.device: use.weights for use in item.memory}, PROCESS]),
        cache={use.device: use.kv + use.compute for use in item.memory},
        busy=busy,
        pinned=pinned or item.pinned,
        cache_alone=item.state == "ready" and item.plan is not None and not item.plan.adapters,
    )


def _all_of(item: Loaded) -> dict[str, int]:
    """What unloading it gives back, by device."""
    return _sum([item.weights, item.cache])


def _held(item: InstanceChanged) -> dict[str, int]:
    return _sum([{device.device: device.total for device in item.memory}, PROCESS])


def _sum(parts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for part in parts:
        for device, count in part.items():
            total[device] = total.get(device, 0) + count
    return total


def _missing(planned: "Planned", own: Mapping[str, int], freed: Mapping[str, int]) -> dict[str, int]:
    """Bytes short on each device if only what this model itself holds were freed."""
    found = {}
    for device in planned.memory:
        if device.left is not None:
            others = freed.get(device.device, 0) - own.get(device.device, 0)
            found[device.device] = others - device.left
    return found


FITS = ("full_gpu", "fits_in_memory", "partly", "too_large")
VERDICTS = ("ok", "warn", "refuse")


def _rank(planned: "Planned") -> tuple[int, int, int]:
    """Lower is better: what may be loaded, how well it fits, how much context it has."""
    return VERDICTS.index(planned.verdict), FITS.index(planned.fit), -planned.plan.n_ctx


def _easy(planned: "Planned") -> bool:
    """Nothing had to give way."""
    given_way = {
        "some_layers",
        "experts_in_memory",
        "kv_smaller",
        "ctx_smaller",
        "does_not_fit",
        "from_disk",
        "gpu_tight",
    }
    return planned.verdict == "ok" and not any(reason.code in given_way for reason in planned.reasons)
