"""Loads, unloads, crashes and ends of real worker processes."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import psutil
import pytest

from app.core.errors import (
    LoadCancelledError,
    LoadFailedError,
    ModelNotFoundError,
    NotLoadedError,
    PackCrashedError,
    TruncatedModelError,
    WorkerCrashedError,
    WrongMagicError,
)
from app.core.events import Bus, InstanceChanged
from app.core.generate import SamplingParams
from app.core.types import LoadPlan, Sample
from app.runtime.instance import Instance, Surroundings
from app.runtime.pack_store import PackStore
from app.runtime.supervisor import Supervisor
from tests.fakes.asking import MODEL, States, ask, request, small_plan
from tests.fakes.packs import make_pack
from tests.waiting import ended, until

ENDLESS = SamplingParams(temperature=0.0, ignore_eos=True)
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals")


@pytest.fixture
def states(bus: Bus) -> States:
    return States(bus)


@pytest.fixture
def supervisor(bus: Bus, tmp_path: Path, states: States) -> Iterator[Supervisor]:
    supervisor = Supervisor(bus, tmp_path / "logs")
    yield supervisor
    supervisor.close()
    assert supervisor.pids() == []


def test_a_load_goes_through_its_states(supervisor: Supervisor, states: States, starter: Path) -> None:
    changed = supervisor.ensure_ready(MODEL, small_plan(starter)).result(60)
    assert states.names() == ["starting", "loading", "ready"]
    assert changed.state == "ready"
    assert changed.n_ctx == 1024
    assert changed.device == "CPU"
    (cpu,) = changed.memory
    assert cpu.weights > 80e6
    assert cpu.kv > 20e6
    assert cpu.compute > 1e6
    assert changed.load_seconds
    assert supervisor.pids() == [changed.pid]
    assert [snapshot.state for snapshot in supervisor.snapshots()] == ["ready"]
    progress = [event.progress for event in states.events]
    assert progress == sorted(progress)
    supervisor.unload(MODEL).result(60)
    assert states.names()[-2:] == ["stopping", "stopped"]
    assert supervisor.snapshots() == ()
    assert not psutil.pid_exists(changed.pid or 0)


def test_two_callers_load_once(supervisor: Supervisor, states: States, starter: Path) -> None:
    plan = small_plan(starter)
    futures = [supervisor.ensure_ready(MODEL, plan) for _ in range(5)]
    assert len({future.result(60).pid for future in futures}) == 1
    assert supervisor.ensure_ready(MODEL, plan).result(60).pid == futures[0].result().pid
    assert states.names().count("loading") == 1


def test_another_plan_loads_again(supervisor: Supervisor, states: States, starter: Path) -> None:
    first = supervisor.ensure_ready(MODEL, small_plan(starter)).result(60)
    second = supervisor.ensure_ready(MODEL, small_plan(starter, n_ctx=512)).result(60)
    assert (first.n_ctx, second.n_ctx) == (1024, 512)
    assert first.pid != second.pid
    both = [supervisor.ensure_ready(MODEL, small_plan(starter, n_ctx=n)) for n in (256, 768)]
    assert [future.result(60).n_ctx for future in both] == [768, 768]


def test_two_models_answer_side_by_side(supervisor: Supervisor, states: States, starter: Path) -> None:
    for future in [supervisor.ensure_ready(name, small_plan(starter)) for name in ("one", "two")]:
        future.result(60)
    assert len(set(supervisor.pids())) == 2
    replies = {
        name: ask(supervisor, request("Tell a story.", ENDLESS), name).begun() for name in ("one", "two")
    }
    pid = supervisor.snapshot("one").pid  # type: ignore[union-attr]
    psutil.Process(pid).kill()
    assert replies["one"].wait(60).failed.code == "worker_crashed"
    assert supervisor.snapshot("two").state == "ready"  # type: ignore[union-attr]
    before = len(replies["two"].text())
    until(lambda: len(replies["two"].text()) > before)
    supervisor.unload("two").result(60)
    assert states.names("two")[-1] == "stopped"


def test_kills_at_random_moments_always_have_a_reason(supervisor: Supervisor, starter: Path) -> None:
    moments, others = random.Random(5), set(psutil.Process().children())
    for _ in range(6):
        load = supervisor.ensure_ready(MODEL, small_plan(starter))
        reply = None
        if moments.random() < 0.6:
            load.result(60)
            reply = ask(supervisor, request("Tell a story.", ENDLESS))
        until(lambda: bool(supervisor.pids()))  # on a busy machine the load begins when it gets its turn
        time.sleep(moments.random() * 0.6)
        for pid in supervisor.pids():
            psutil.Process(pid).kill()
        if reply is not None:
            assert reply.wait(60).failed.code == "worker_crashed"
            assert reply.after_the_end == 0
        until(lambda: supervisor.snapshot(MODEL).state == "failed")  # type: ignore[union-attr]
        snapshot = supervisor.snapshot(MODEL)
        assert snapshot
        assert supervisor.pids() == []
        assert snapshot.error
        assert "SIGKILL" in snapshot.error.details + snapshot.error.message
        until(load.done)
    assert set(psutil.Process().children()) <= others


def test_unload_while_busy_ends_the_answers(bus: Bus, supervisor: Supervisor, starter: Path) -> None:
    samples: list[Sample] = []
    bus.subscribe(Sample, samples.append)
    supervisor.ensure_ready(MODEL, small_plan(starter)).result(60)
    replies = [ask(supervisor, request("Tell a story.", ENDLESS)).begun() for _ in range(2)]
    until(lambda: samples and all(samples[-1].values.get(f"decode_tps/{number}") for number in (1, 2)))
    supervisor.unload(MODEL).result(60)
    # Readings of a worker that is gone would look as if it went on.
    assert not any(samples[-1].values.values())
    assert [reply.wait(60).finished().reason for reply in replies] == ["cancelled"] * 2
    assert [reply.after_the_end for reply in replies] == [0, 0]


def test_unload_during_a_load(supervisor: Supervisor, states: States, starter: Path) -> None:
    load = supervisor.ensure_ready(MODEL, small_plan(starter))
    supervisor.unload(MODEL).result(60)
    with pytest.raises(LoadCancelledError):
        load.result(60)
    assert states.names()[-1] == "stopped"
    assert supervisor.ensure_ready(MODEL, small_plan(starter)).result(60).state == "ready"


def test_a_load_can_be_cancelled_at_any_moment(supervisor: Supervisor, states: States, starter: Path) -> None:
    for delay in (0.0, 0.05, 0.4, 0.7):
        load = supervisor.ensure_ready(MODEL, small_plan(starter))
        time.sleep(delay)
        supervisor.cancel_load(MODEL)
        if load.exception(60) is not None:
            assert isinstance(load.exception(), LoadCancelledError)
            until(lambda: supervisor.snapshot(MODEL).state == "stopped")  # type: ignore[union-attr]
    supervisor.cancel_load("nobody")


def test_a_load_ends_when_the_last_who_waits_has_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over: list[str] = []
    monkeypatch.setattr(Instance, "_end_by_force", lambda instance: over.append(instance.model))
    instance = Instance(MODEL, Surroundings(lambda _event: None, tmp_path, None, {}))
    instance.state, instance.asked = "loading", LoadPlan("x.gguf")
    first, second = Future[InstanceChanged](), Future[InstanceChanged]()
    for load in (first, second):
        instance.ensure(LoadPlan("x.gguf"), load)
    first.cancel()
    instance.leave_load()
    assert not over
    assert not second.done()
    second.cancel()
    instance.leave_load()
    assert over == [MODEL]


def test_what_is_not_loaded_says_so(supervisor: Supervisor) -> None:
    assert ask(supervisor, request("Hi")).wait(60).failed.code == "not_loaded"
    with pytest.raises(NotLoadedError):
        supervisor.tokenize(MODEL, "x").result(60)
    supervisor.unload(MODEL).result(60)
    assert supervisor.snapshot("nobody") is None


@POSIX
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_a_worker_that_dies_says_why_and_loads_again(
    supervisor: Supervisor, states: States, starter: Path, number: signal.Signals
) -> None:
    pid = supervisor.ensure_ready(MODEL, small_plan(starter)).result(60).pid
    replies = [ask(supervisor, request("Tell a story.", ENDLESS)).begun() for _ in range(3)]
    partial = [reply.text() for reply in replies]
    question = supervisor.render(MODEL, [])
    assert pid
    os.kill(pid, number)
    for reply, part in zip(replies, partial, strict=True):
        failed = reply.wait(60).failed
        assert failed.code == "worker_crashed"
        assert number.name in str(failed.params["why"])
        assert reply.text().startswith(part)
        assert reply.after_the_end == 0
    assert question.exception(60) is not None or question.result().prompt
    snapshot = supervisor.snapshot(MODEL)
    assert snapshot
    assert snapshot.state == "failed"
    assert snapshot.error
    assert snapshot.error.code == "worker_crashed"
    assert "llama" in snapshot.error.details
    assert not psutil.pid_exists(pid)
    assert supervisor.pids() == []
    assert supervisor.ensure_ready(MODEL, small_plan(starter)).result(60).state == "ready"
    assert ask(supervisor, request("Hi", SamplingParams(max_tokens=2))).wait().finished()


def test_a_missing_file(supervisor: Supervisor, states: States, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError):
        supervisor.ensure_ready(MODEL, small_plan(tmp_path / "nothing.gguf")).result(60)
    assert states.names()[-1] == "failed"
    supervisor.unload(MODEL).result(60)
    assert states.names()[-1] == "stopped"


def test_a_file_that_is_no_model(supervisor: Supervisor, tmp_path: Path) -> None:
    path = tmp_path / "page.gguf"
    path.write_bytes(b"<html>" * 100)
    with pytest.raises(WrongMagicError, match="<htm"):
        supervisor.ensure_ready(MODEL, small_plan(path)).result(60)


@pytest.mark.parametrize("part", [0, 3, 20, 4_000, 2_000_000, 60_000_000])
def test_a_file_that_is_cut_short(supervisor: Supervisor, starter: Path, tmp_path: Path, part: int) -> None:
    path = tmp_path / "cut.gguf"
    with starter.open("rb") as file:
        path.write_bytes(file.read(part))
    error = supervisor.ensure_ready(MODEL, small_plan(path)).exception(60)
    assert isinstance(error, TruncatedModelError | LoadFailedError), error
    assert isinstance(error, TruncatedModelError) or part in (4_000, 2_000_000)


def test_an_impossible_plan_is_explained(supervisor: Supervisor, starter: Path) -> None:
    with pytest.raises(LoadFailedError, match="no device NoSuch0; known are CPU"):
        supervisor.ensure_ready(MODEL, small_plan(starter, devices=("NoSuch0",))).result(60)
    overrides = (("blk", "NoSuchBuffer"),)
    with pytest.raises(LoadFailedError, match="no buffer type NoSuchBuffer"):
        supervisor.ensure_ready(MODEL, small_plan(starter, tensor_overrides=overrides)).result(60)


@pytest.mark.parametrize(
    "changes",
    [
        {"type_k": "q8_0", "type_v": "q8_0", "flash_attn": "on"},
        {"type_k": "q4_0"},
        {"kv_unified": False, "n_parallel": 2, "n_ctx": 256},
        {"use_mmap": False},
        {"rope_scaling": "yarn", "rope_freq_scale": 0.5, "n_ctx": 512},
        {"rope_freq_base": 200000.0},
        {"use_extra_bufts": False, "flash_attn": "off"},
        {"n_threads": 1, "n_threads_batch": 1, "n_parallel": 1},
        {"tensor_overrides": ((r"ffn_.*", "CPU"),), "n_cpu_moe": 2},
        {"devices": ("CPU",), "split_mode": "none"},
        {"swa_full": True, "offload_kqv": False},
    ],
    ids="+".join,
)
def test_every_load_option_answers(supervisor: Supervisor, starter: Path, changes: dict[str, object]) -> None:
    supervisor.ensure_ready(MODEL, small_plan(starter, **changes)).result(60)
    prompt = request(prompt="The capital of France is", sampling=SamplingParams(temperature=0, max_tokens=6))
    assert "Paris" in ask(supervisor, prompt).wait().text()


CRASHING = """
import os, signal
import app.runtime.loading as loading
plain = loading.try_decode
def crash(context):
    if {condition}:
        os.kill(os.getpid(), signal.SIGSEGV)
    plain(context)
loading.try_decode = crash
"""


FAULT = """
import ctypes
import app.runtime.llama_context as context
context._decode = lambda *_: ctypes.string_at(0)
"""


def crashing(bus: Bus, tmp_path: Path, condition: str) -> Supervisor:
    """A supervisor whose workers crash at the first decode under a condition."""
    (tmp_path / "sitecustomize.py").write_text(CRASHING.format(condition=condition))
    return Supervisor(bus, tmp_path / "logs", environ={**os.environ, "PYTHONPATH": str(tmp_path)})


@POSIX
def test_a_first_decode_that_crashes_is_tried_once_more(bus: Bus, tmp_path: Path, starter: Path) -> None:
    states = States(bus)
    supervisor = crashing(bus, tmp_path, "context.plan.use_extra_bufts")
    try:
        changed = supervisor.ensure_ready(MODEL, small_plan(starter)).result(60)
        assert changed.plan
        assert not changed.plan.use_extra_bufts
        assert supervisor.ensure_ready(MODEL, small_plan(starter)).result(60).pid == changed.pid
        assert states.names() == ["starting", "loading", "starting", "loading", "ready"]
    finally:
        supervisor.close()


@POSIX
def test_the_second_crash_in_a_row_turns_the_backend_s_pack_off(
    bus: Bus, tmp_path: Path, starter: Path
) -> None:
    make_pack(
        tmp_path / "packs" / "cpu-1", b"x", backend="cpu"
    )  # of the one backend that is here in any case
    packs = PackStore(tmp_path, str, lambda _pack: "", environ={}, bundled=tmp_path / "none")
    (tmp_path / "sitecustomize.py").write_text(FAULT)
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    supervisor = Supervisor(bus, tmp_path / "logs", environ=environ, packs=packs)
    states = States(bus)
    plan = small_plan(starter, devices=("CPU",), split_mode="none")
    try:
        error = supervisor.ensure_ready(MODEL, plan).exception(60)
        assert isinstance(error, PackCrashedError)
        assert error.params["pack"] == "cpu-1"
        assert states.names() == ["starting", "loading", "starting", "loading", "failed"]
        assert packs.current() == ()
        assert "SIGSEGV" in packs.packs()[0].why
    finally:
        supervisor.close()


@POSIX
def test_a_first_decode_that_always_crashes_fails(bus: Bus, tmp_path: Path, starter: Path) -> None:
    states = States(bus)
    supervisor = crashing(bus, tmp_path, "True")
    try:
        error = supervisor.ensure_ready(MODEL, small_plan(starter)).exception(60)
        assert isinstance(error, WorkerCrashedError)
        assert "SIGSEGV" in str(error)
        assert states.names() == ["starting", "loading", "starting", "loading", "failed"]
    finally:
        supervisor.close()


@POSIX
def test_a_worker_does_not_outlive_its_parent(starter: Path, tmp_path: Path) -> None:
    script = f"""
import sys, time
from pathlib import Path
from app.core.events import Bus, InstanceChanged
from app.runtime.supervisor import Supervisor
from tests.fakes.asking import small_plan
supervisor = Supervisor(Bus(), Path({str(tmp_path)!r}))
print(supervisor.ensure_ready("m", small_plan({str(starter)!r})).result(60).pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        worker = int(parent.stdout.readline())
        assert not ended(worker)
        parent.kill()
        parent.wait()
        until(lambda: ended(worker))


@pytest.mark.expects_log("a sink failed")
def test_a_sink_that_raises_disturbs_nobody(supervisor: Supervisor, starter: Path) -> None:
    supervisor.ensure_ready(MODEL, small_plan(starter)).result(60)

    def broken(_: object) -> None:
        raise ZeroDivisionError

    supervisor.submit(MODEL, request("Hi", SamplingParams(max_tokens=3)), broken)
    assert ask(supervisor, request("Hi", SamplingParams(max_tokens=3))).wait().finished()


def test_close_ends_everything_and_may_be_called_again(bus: Bus, tmp_path: Path, starter: Path) -> None:
    others = set(threading.enumerate())
    supervisor = Supervisor(bus, tmp_path)
    supervisor.close()
    supervisor = Supervisor(bus, tmp_path)
    supervisor.ensure_ready(MODEL, small_plan(starter)).result(60)
    reply = ask(supervisor, request("Tell a story.", ENDLESS)).begun()
    supervisor.close()
    supervisor.close()
    assert reply.over.is_set()
    with pytest.raises(RuntimeError, match="closed"):
        supervisor.unload(MODEL)
    assert not any(thread.name == "runtime" for thread in set(threading.enumerate()) - others)


def test_many_requests_are_answered_busy(
    supervisor: Supervisor, starter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.runtime.supervisor.MOST_OPEN", 3)
    supervisor.ensure_ready(MODEL, small_plan(starter)).result(60)
    replies = [ask(supervisor, request("Tell a story.", ENDLESS)) for _ in range(4)]
    assert replies[3].wait(60).failed.code == "busy"
