"""States in main memory: what is kept, what goes first, and what goes to the disk."""

import itertools
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from app.core.types import LoadPlan
from app.runtime import engine as engine_module
from app.runtime.engine import Engine
from app.runtime.idle import COPY_STEPS, DEVICE_COPY_STEPS, CopyCost
from app.runtime.jobs import Job
from app.runtime.shelf import Entry, State, StateShelf
from tests.fakes.cells import Cells
from tests.waiting import until


class Disk:
    """Remembers what was put."""

    def __init__(self) -> None:
        self.kept: dict[str, int] = {}

    def wants(self, conversation: str, tokens: list[int]) -> bool:
        return bool(conversation) and self.kept.get(conversation) != len(tokens)

    def put(self, conversation: str, tokens: list[int], state: State) -> None:
        assert len(state) == len(tokens)
        self.kept[conversation] = len(tokens)

    def forget(self, conversation: str) -> None:
        self.kept.pop(conversation, None)


def filled(cells: Cells, seq: int, tokens: list[int]) -> list[int]:
    assert cells.load_state(seq, bytes(tokens), tokens)
    return tokens


@pytest.fixture
def cells() -> Cells:
    return Cells(1000)


def names(shelf: StateShelf) -> list[str]:
    return [entry.name for entry in shelf.entries()]


GPU: Any = SimpleNamespace(
    plan=LoadPlan("x"), on_device=True, model=SimpleNamespace(recurrent=False, experts=0, size=8 << 30)
)


@pytest.mark.parametrize(
    ("changes", "copying", "step", "expected"),
    [
        ({}, None, 0.01, DEVICE_COPY_STEPS),
        ({}, 2e-10, 0.0, DEVICE_COPY_STEPS),
        ({}, 2e-10, 0.01, round(2e-10 * (8 << 30) / 0.01)),  # 10 GB/s each way, at 860 GB/s of weights
        ({}, 1e-12, 0.01, DEVICE_COPY_STEPS),
        (
            {"model": SimpleNamespace(recurrent=False, experts=8, size=8 << 30)},
            2e-10,
            0.01,
            DEVICE_COPY_STEPS,
        ),
        ({"on_device": False}, 2e-10, 0.01, COPY_STEPS),
        ({"plan": LoadPlan("x", kv_unified=False)}, 2e-10, 0.01, 0),
    ],
    ids=[
        "no copy yet",
        "no step yet",
        "slow copies",
        "quick copies",
        "experts",
        "processor",
        "caches of their own",
    ],
)
def test_what_a_copy_costs(
    changes: dict[str, object], copying: float | None, step: float, expected: int
) -> None:
    assert CopyCost(SimpleNamespace(**vars(GPU) | changes)).steps(copying, step) == expected  # type: ignore[arg-type]


def test_copies_are_timed(cells: Cells, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "app.runtime.shelf.time.perf_counter", itertools.count().__next__
    )  # a copy takes a second
    shelf = StateShelf(cells, 1000)
    assert shelf.pace is None
    tokens = filled(cells, 0, list(range(50)))
    assert shelf.keep(0, tokens, "", last=True)
    assert shelf.pace == pytest.approx(2 / 50)
    assert shelf.load(shelf.entries()[0], 1, 50)
    assert shelf.pace == pytest.approx(2 / 50)
    assert shelf.keep(2, filled(cells, 2, list(range(100, 250))), "", last=True)
    assert shelf.pace == pytest.approx(1.5 / (25 + 150) + 1 / 50)


def test_the_oldest_go_to_the_disk(cells: Cells) -> None:
    disk = Disk()
    shelf = StateShelf(cells, 120, disk)
    for seq in range(4):
        tokens = filled(cells, seq, [seq] * 50)
        assert shelf.keep(seq, tokens, f"chat-{seq}", last=True)
    assert names(shelf) == ["chat-2", "chat-3"]
    assert disk.kept == {"chat-0": 50, "chat-1": 50}
    assert shelf.used == 100


def test_a_longer_state_takes_the_place_of_its_beginning(cells: Cells) -> None:
    shelf = StateShelf(cells, 500)
    shelf.keep(0, filled(cells, 0, [1] * 40), "a", last=True)
    shelf.keep(1, filled(cells, 1, [1] * 60), "a", last=True)
    assert [len(entry.tokens) for entry in shelf.entries()] == [60]
    shelf.keep(0, [1] * 40, "b", last=True)
    assert (len(shelf), names(shelf)) == (1, ["a"])


def test_of_two_branches_the_newest_has_the_name(cells: Cells) -> None:
    shelf = StateShelf(cells, 500)
    shelf.keep(0, filled(cells, 0, [1] * 40), "a", last=True)
    shelf.keep(1, filled(cells, 1, [2] * 40), "a", last=True)
    assert [(entry.name, entry.tokens[0]) for entry in shelf.entries()] == [("", 1), ("a", 2)]


def test_what_does_not_fit(cells: Cells) -> None:
    disk = Disk()
    shelf = StateShelf(cells, 1000, disk, free=lambda: 80)
    tokens = filled(cells, 0, [1] * 50)
    assert not shelf.keep(0, tokens, "a", last=False)
    assert disk.kept == {}
    assert not shelf.keep(0, tokens, "a", last=True)
    assert disk.kept == {"a": 50}
    assert shelf.keep(0, tokens[:20], "b", last=True), "short ones are computed sooner"
    assert len(shelf) == 0


@pytest.mark.parametrize(("used", "stays"), [(50, 0), (10, 1)])
def test_what_is_mostly_used_moves(cells: Cells, used: int, stays: int) -> None:
    shelf = StateShelf(cells, 1000)
    shelf.keep(0, filled(cells, 0, [1] * 50), "a", last=True)
    (entry,) = shelf.found(Job("a", [1]))
    assert shelf.load(entry, 1, used)
    assert len(shelf) == stays


def test_a_state_that_is_refused_is_dropped(cells: Cells) -> None:
    shelf = StateShelf(cells, 1000)
    shelf.keep(0, filled(cells, 0, [1] * 50), "a", last=True)
    (entry,) = shelf.entries()
    entry.state = b""
    assert not shelf.load(entry, 1, 5)
    assert len(shelf) == 0
    assert not shelf.load(Entry([1] * 50, "", b""), 1, 5)


# --------------------------------------------------------------------------- the engine's rest


def rested(cells: Cells, disk: Disk, act: Callable[[Engine], None]) -> Engine:
    """An engine without a model that has two conversations in memory, one of them on the shelf; then ``act``."""
    for name, value in {
        "n_seq": 4, "n_ctx": 500, "n_cells": 1000, "n_batch": 512, "on_device": False,
        "plan": LoadPlan("", cache_ram_mb=1), "model": SimpleNamespace(recurrent=False), "abort": lambda _on=True: None,
    }.items():  # fmt: skip
        setattr(cells, name, value)
    model: Any = SimpleNamespace(eog_tokens=frozenset())
    context: Any = cells
    store: Any = disk
    engine = Engine(model, context, lambda _report: None, None, store)
    for number, name in enumerate(("one", "two")):
        job = Job(name, [number] * 60, name=name)
        engine.scheduler.add(job)
        step = engine.scheduler.step()
        assert cells.decode(step)
        engine.scheduler.done(step)
        engine.scheduler.remove(job)
    assert (engine.scheduler.names(), engine.shelf.names()) == ({"two"}, {"one"})
    engine._saved = False
    thread = threading.Thread(target=engine.run)
    thread.start()
    try:
        act(engine)
    finally:
        engine.stop()
        thread.join()
    return engine


def test_after_a_rest_conversations_are_on_the_disk(cells: Cells, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "SAVE_AFTER", 0.001)
    disk = Disk()
    engine = rested(cells, disk, lambda _engine: until(lambda: len(disk.kept) == 2))
    assert disk.kept == {"one": 60, "two": 60}
    assert engine.names() == {"one", "two"}


def test_at_the_end_too(cells: Cells) -> None:
    disk = Disk()
    rested(cells, disk, lambda _engine: None)
    assert disk.kept == {"one": 60, "two": 60}


def test_what_was_deleted_for_good_is_not_kept(cells: Cells) -> None:
    disk = Disk()

    def forget(engine: Engine) -> None:
        engine.call(lambda: [engine.forget(name) for name in ("one", "two")])

    assert rested(cells, disk, forget).names() == set()
    assert disk.kept == {}


def test_a_cancel_that_comes_late_leaves_nothing_behind(cells: Cells) -> None:
    def cancel(engine: Engine) -> None:
        for key in range(50):
            engine.cancel(key)
        until(lambda: not engine._cancelled)

    assert rested(cells, Disk(), cancel)._cancelled == set()
