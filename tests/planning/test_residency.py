"""Making room, and letting idle models go: over a pretended engine whose memory is counted."""

import threading
import time
from concurrent.futures import Future
from pathlib import Path

import pytest
from msgspec.structs import replace

from app.core.errors import BusyError, HearthError, LoadCancelledError, OutOfMemoryError
from app.core.events import InstanceChanged, LoadWaits, MemoryUse
from app.core.types import LoadPlan, ModelFile, ModelRecord
from app.planning.memory import PROCESS_OVERHEAD, DeviceMemory
from app.planning.pins import Pins
from app.planning.planner import Planned, Wishes
from app.planning.reasons import Reason
from app.planning.residency import Residency
from tests.waiting import until

GB = 10**9


class Engine:
    """Instances of some size, on a machine of 10 GB."""

    def __init__(self) -> None:
        self.instances: dict[str, InstanceChanged] = {}
        self.asked: set[str] = set()

    def add(self, model: str, size: int, idle: float = 100.0, **more: object) -> None:
        self.instances[model] = InstanceChanged(
            model, model, more.pop("state", "ready"), LoadPlan(model),
            memory=(MemoryUse("CPU", size, int(more.pop("kv", 0))),),  # type: ignore[call-overload]
            last_used=time.time() - idle, load_seconds=2.0, **more,
        )  # fmt: skip

    def snapshots(self) -> tuple[InstanceChanged, ...]:
        return tuple(self.instances.values())

    def snapshot(self, model: str) -> InstanceChanged | None:
        return self.instances.get(model)

    def release(self, model: str) -> "Future[None]":
        done: Future[None] = Future()
        if model in self.asked:  # between the look at it and now
            self.instances[model] = replace(self.instances[model], active=1)
            done.set_exception(BusyError(model=model, waiting=1))
            return done
        self.instances.pop(model)
        done.set_result(None)
        return done

    def rest(self, model: str) -> "Future[None]":
        done: Future[None] = Future()
        if self.instances[model].active:
            done.set_exception(BusyError(model=model, waiting=1))
            return done
        memory = tuple(MemoryUse(use.device, use.weights) for use in self.instances[model].memory)
        self.instances[model] = replace(self.instances[model], memory=memory, rests=True)
        done.set_result(None)
        return done

    def plan(self, record: ModelRecord, wishes: Wishes | None, freed: dict[str, int]) -> Planned:
        used = sum(device.total for item in self.instances.values() for device in item.memory)
        left = 10 * GB - used + freed.get("CPU", 0) - record.bytes
        device = DeviceMemory(
            "CPU", weights=record.bytes, total=10 * GB, others=10 * GB - left - record.bytes
        )
        fits = left >= 0
        return Planned(
            LoadPlan(record.path, n_ctx=wishes.n_ctx if wishes else 4096),
            "fits_in_memory" if fits else "too_large",
            (device,),
            () if fits else (Reason("does_not_fit", {"needed": "5 GiB", "free": "1 GiB"}),),
            "ok" if fits else "refuse",
        )


def record(model: str, size: int) -> ModelRecord:
    return ModelRecord(model, model, (ModelFile(model, size),), size)


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def residency(engine: Engine) -> Residency:
    return Residency(engine, engine.plan, lambda: 3600.0)


def test_with_room_nobody_goes(engine: Engine, residency: Residency) -> None:
    engine.add("a", 3 * GB)
    assert residency.prepare(record("b", 5 * GB)).verdict == "ok"
    assert set(engine.instances) == {"a"}


def test_the_one_idle_longest_goes_and_only_it(engine: Engine, residency: Residency) -> None:
    engine.add("old", 3 * GB, idle=5000)
    engine.add("new", 3 * GB, idle=5)
    planned = residency.prepare(record("b", 6 * GB))
    assert planned.verdict == "ok"
    assert set(engine.instances) == {"new"}


def test_a_cache_goes_before_any_weights(engine: Engine, residency: Residency) -> None:
    engine.add("a", 3 * GB, idle=5000, kv=2 * GB)
    engine.add("b", 3 * GB, idle=10, kv=2 * GB)
    assert residency.prepare(record("c", 2 * GB)).verdict == "ok"
    assert [(name, item.rests) for name, item in engine.instances.items()] == [("a", True), ("b", False)]
    assert residency.prepare(record("c", 6 * GB)).verdict == "ok"  # more than the caches: then weights
    assert set(engine.instances) == {"b"}


def test_one_that_rests_gets_room_for_its_cache_again(engine: Engine, residency: Residency) -> None:
    engine.add("old", 3 * GB, kv=GB)
    engine.rest("old")
    engine.add("other", 4 * GB, kv=3 * GB)
    assert residency.prepare(record("old", 5 * GB)).plan == engine.instances["old"].plan
    assert engine.instances["other"].rests
    assert "old" in engine.instances


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loads do not wait for those who answer."""
    monkeypatch.setattr("app.planning.residency.BUSY_WITHIN", 0.0)


def test_memory_that_never_comes_is_not_waited_for_long(
    engine: Engine, residency: Residency, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.planning.residency.SETTLED", 0.25)
    monkeypatch.setattr("app.planning.residency.FREED_WITHIN", 1e6)
    engine.add("old", 6 * GB)
    claimed = [6 * GB, 5 * GB, 5 * GB, 5 * GB]  # it gives back 1 GB, and later nothing
    seen: list[int] = []

    def plan(wanted: ModelRecord, wishes: Wishes | None, freed: dict[str, int]) -> Planned:
        gone = "old" not in engine.instances
        still = claimed[min(len(seen), 3)] if gone else 0
        seen.extend([still] if gone else [])
        return Engine.plan(engine, wanted, wishes, {"CPU": freed.get("CPU", 0) - still})

    residency._plan = plan  # type: ignore[assignment]
    assert residency.prepare(record("b", 8 * GB)).verdict == "ok"
    assert len(seen) > 3


@pytest.mark.usefixtures("impatient")
def test_busy_and_pinned_models_stay(engine: Engine, residency: Residency) -> None:
    engine.add("busy", 4 * GB, active=1)
    engine.add("pinned", 4 * GB)
    residency.pin("pinned", True)
    with pytest.raises(OutOfMemoryError, match="are free"):
        residency.prepare(record("b", 5 * GB))
    assert set(engine.instances) == {"busy", "pinned"}


class Waiting:
    """A load being prepared on a thread of its own, and what is said of it meanwhile."""

    def __init__(self, engine: Engine, size: int) -> None:
        self.said: list[LoadWaits] = []
        self.residency = Residency(engine, engine.plan, lambda: None, publish=self.said.append)
        self.over = threading.Event()
        self.done: Future[Planned] = Future()
        self.thread = threading.Thread(target=self._run, args=(record("b", size),))
        self.thread.start()

    def _run(self, wanted: ModelRecord) -> None:
        try:
            self.done.set_result(self.residency.prepare(wanted, None, self.over))
        except HearthError as error:
            self.done.set_exception(error)

    def error(self) -> BaseException | None:
        found = self.done.exception(60)
        self.thread.join()
        return found


def test_a_load_waits_for_who_has_to_answer_first(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.planning.residency.BEGINS_WITHIN", 0.0)
    engine.add("busy", 6 * GB, active=1)
    engine.add("other", 1 * GB, active=1)
    waiting = Waiting(engine, 6 * GB)
    until(lambda: waiting.said)
    assert waiting.said == [LoadWaits("b", ("busy", "other"))]
    assert waiting.residency.waits() == {"b": ("busy", "other")}
    # Meanwhile others load what has room.
    assert waiting.residency.prepare(record("small", 1 * GB)).verdict == "ok"
    engine.add("busy", 6 * GB)
    assert waiting.error() is None
    assert set(engine.instances) == {"other"}
    assert waiting.said[-1] == LoadWaits("b")
    assert waiting.residency.waits() == {}


@pytest.mark.parametrize("how", ["give up", "over", "close"])
def test_a_load_that_waits_can_be_given_up(engine: Engine, how: str) -> None:
    engine.add("busy", 6 * GB, active=1)
    waiting = Waiting(engine, 6 * GB)
    until(lambda: waiting.said)
    waiting.residency.give_up("another")
    assert not waiting.done.done()
    {
        "give up": lambda: waiting.residency.give_up("b"),
        "over": waiting.over.set,
        "close": waiting.residency.close,
    }[how]()
    assert isinstance(waiting.error(), LoadCancelledError)
    assert waiting.said == [LoadWaits("b", ("busy",)), LoadWaits("b")]
    assert set(engine.instances) == {"busy"}


def test_what_will_never_fit_does_not_wait(engine: Engine) -> None:
    engine.add("busy", 6 * GB, active=1)
    engine.add("pinned", 2 * GB, active=1, pinned=True)
    waiting = Waiting(engine, 9 * GB)
    assert isinstance(waiting.error(), OutOfMemoryError)
    assert waiting.said == []


def test_a_load_does_not_wait_for_ever(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.planning.residency.BUSY_WITHIN", 0.05)
    engine.add("busy", 6 * GB, active=1)
    waiting = Waiting(engine, 6 * GB)
    assert isinstance(waiting.error(), OutOfMemoryError)
    assert waiting.said == [LoadWaits("b", ("busy",)), LoadWaits("b")]


@pytest.mark.usefixtures("impatient")
def test_two_loads_at_once_are_not_given_the_same_memory(engine: Engine, residency: Residency) -> None:
    assert residency.prepare(record("first", 6 * GB)).verdict == "ok"
    engine.add("first", 0, state="loading")  # nothing of it is in memory yet
    assert residency.prepare(record("small", 2 * GB)).verdict == "ok"  # room for both in any case
    engine.add("small", 2 * GB, active=1)
    second: Future[Planned] = Future()

    def load() -> None:
        try:
            second.set_result(residency.prepare(record("second", 6 * GB)))
        except OutOfMemoryError as error:
            second.set_exception(error)

    thread = threading.Thread(target=load)
    thread.start()
    engine.add("first", 6 * GB, active=1)
    with pytest.raises(OutOfMemoryError):
        second.result(60)
    thread.join()
    assert set(engine.instances) == {"first", "small"}


def test_a_load_that_never_began_is_forgotten(
    engine: Engine, residency: Residency, monkeypatch: pytest.MonkeyPatch
) -> None:
    residency.prepare(record("first", 6 * GB))
    monkeypatch.setattr("app.planning.residency.BEGINS_WITHIN", 0.0)
    assert residency.prepare(record("second", 6 * GB)).verdict == "ok"


@pytest.mark.usefixtures("impatient")
def test_one_that_was_loaded_just_now_is_left_to_whoever_wanted_it(
    engine: Engine, residency: Residency
) -> None:
    engine.add("new", 6 * GB, idle=0)
    ask = threading.Timer(0.1, lambda: engine.add("new", 6 * GB, idle=0, active=1))
    ask.start()
    with pytest.raises(OutOfMemoryError):
        residency.prepare(record("b", 6 * GB))
    ask.join()
    assert set(engine.instances) == {"new"}


def test_one_that_is_asked_at_the_last_moment_stays(engine: Engine, residency: Residency) -> None:
    engine.add("old", 4 * GB, idle=5000)
    engine.add("new", 5 * GB, idle=10)
    engine.asked = {"old"}
    assert residency.prepare(record("b", 4 * GB)).verdict == "ok"
    assert set(engine.instances) == {"old"}


def test_what_a_process_takes_is_given_back_with_it(engine: Engine, residency: Residency) -> None:
    engine.add("a", 6 * GB)
    assert residency.gives("b") == ({}, {"a": {"CPU": 6 * GB + PROCESS_OVERHEAD}})
    assert residency.gives("a") == ({"CPU": 6 * GB + PROCESS_OVERHEAD}, {})


def test_nobody_is_unloaded_in_vain(engine: Engine, residency: Residency) -> None:
    engine.add("a", 3 * GB)
    with pytest.raises(OutOfMemoryError, match="huge"):
        residency.prepare(record("huge", 50 * GB))
    assert set(engine.instances) == {"a"}


def test_a_loaded_model_keeps_its_plan_whatever_the_memory_says(engine: Engine, residency: Residency) -> None:
    engine.add("a", 9 * GB)
    assert residency.prepare(record("a", 9 * GB)).plan == engine.instances["a"].plan


def test_other_wishes_are_planned_with_its_own_memory_given_back(
    engine: Engine, residency: Residency
) -> None:
    engine.add("a", 9 * GB)
    planned = residency.prepare(record("a", 9 * GB), Wishes(n_ctx=512))
    assert (planned.verdict, planned.plan.n_ctx) == ("ok", 512)


def test_idle_models_go_after_the_time_set(engine: Engine, residency: Residency) -> None:
    engine.add("idle", GB, idle=4000)
    engine.add("fresh", GB, idle=10)
    engine.add("busy", GB, idle=4000, active=1)
    engine.add("pinned", GB, idle=4000)
    residency.pin("pinned", True)
    assert residency.unload_idle(time.time()) == ["idle"]
    assert set(engine.instances) == {"fresh", "busy", "pinned"}


def test_pins_outlive_the_program(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "pinned.json"
    for model, on in (("a", True), ("b", True), ("a", False)):
        Residency(engine, engine.plan, lambda: 1.0, Pins(file)).pin(model, on)
    again = Residency(engine, engine.plan, lambda: 1.0, Pins(file))
    assert [again.pinned(model) for model in "ab"] == [False, True]
    file.write_text("{not json")
    assert not Residency(engine, engine.plan, lambda: 1.0, Pins(file)).pinned("b")
    lost = Pins(tmp_path / "nowhere" / "pinned.json")
    lost.set("a", True)
    assert "a" in lost


def test_what_a_client_wants_kept_is_not_idle(engine: Engine, residency: Residency) -> None:
    engine.add("wanted", GB, idle=4000)
    residency.asked_to_keep = lambda model: model == "wanted"
    assert residency.unload_idle(time.time()) == []


def test_without_a_limit_nobody_goes(engine: Engine) -> None:
    engine.add("idle", GB, idle=10**6)
    assert Residency(engine, engine.plan, lambda: None).unload_idle(time.time()) == []


def test_the_clock_starts_and_ends(residency: Residency) -> None:
    def running() -> int:
        return sum(thread.name == "idle clock" for thread in threading.enumerate())

    residency.start()
    residency.start()
    assert running() == 1
    residency.close()
    assert running() == 0
