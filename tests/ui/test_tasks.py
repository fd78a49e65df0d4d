"""Work off the GUI thread: results come back on it, or are dropped."""

import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest
import shiboken6
from PySide6.QtCore import QCoreApplication, QObject

from app.ui import tasks


@pytest.fixture(autouse=True)
def closed_pool(qtbot: Any) -> Iterator[None]:
    yield
    tasks.close()


def test_a_result_comes_back_on_the_gui_thread(qtbot: Any) -> None:
    got: list[tuple[int, bool]] = []
    main = threading.current_thread()
    tasks.run(lambda: 42, lambda value: got.append((value, threading.current_thread() is main)))
    qtbot.waitUntil(lambda: bool(got))
    assert got == [(42, True)]


def test_a_result_is_not_kept(qtbot: Any) -> None:
    made: list[weakref.ref[set[int]]] = []

    def work() -> set[int]:
        found = {1}
        made.append(weakref.ref(found))
        return found

    tasks.run(work)
    qtbot.waitUntil(lambda: bool(made) and made[0]() is None)


def test_long_work_holds_up_nothing_else(qtbot: Any) -> None:
    gate, got = threading.Event(), list[int]()
    for number in range(tasks.SIZE + 1):
        tasks.run(lambda number=number: gate.wait(30) and number, got.append, long=True)
    first = tasks.run(lambda: gate.wait(30) and 10, got.append, order="x", long=True)
    tasks.run(lambda: 11, got.append, order="x", long=True)
    tasks.run(lambda: 99, got.append)
    try:
        qtbot.waitUntil(lambda: bool(got))
        assert got == [99]
    finally:
        gate.set()
    qtbot.waitUntil(lambda: len(got) == tasks.SIZE + 4)
    assert sorted(got) == [*range(tasks.SIZE + 1), 10, 11, 99]
    assert got.index(10) < got.index(11)
    assert first.value == 10


def test_an_error_goes_to_failed(qtbot: Any) -> None:
    got: list[Exception] = []
    tasks.run(lambda: 1 / 0, None, got.append)
    qtbot.waitUntil(lambda: bool(got))
    assert isinstance(got[0], ZeroDivisionError)


@pytest.mark.expects_log("background work failed")
def test_an_error_nobody_takes_is_logged(qtbot: Any) -> None:
    task = tasks.run(lambda: 1 / 0)
    qtbot.waitUntil(lambda: task.error is not None)
    qtbot.wait(30)


def test_a_cancelled_task_says_nothing(qtbot: Any) -> None:
    got: list[int] = []
    gate = threading.Event()
    task = tasks.run(lambda: gate.wait(2), lambda _value: got.append(1))
    task.cancel()
    gate.set()
    qtbot.wait(80)
    assert got == []


def test_a_dead_owner_gets_nothing(qtbot: Any) -> None:
    owner, got, gate = QObject(), [], threading.Event()
    tasks.run(lambda: gate.wait(2), lambda _value: got.append(1), owner=owner)
    shiboken6.delete(owner)
    gate.set()
    qtbot.wait(80)
    assert got == []


def test_a_future_is_watched(qtbot: Any) -> None:
    future: Future[str] = Future()
    got: list[str] = []
    tasks.watch(future, got.append)
    threading.Thread(target=lambda: future.set_result("done")).start()
    qtbot.waitUntil(lambda: got == ["done"])


def test_four_run_at_a_time(qtbot: Any) -> None:
    running, most, lock = 0, 0, threading.Lock()
    gate = threading.Event()

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        gate.wait(2)
        with lock:
            running -= 1

    done: list[None] = []
    for _ in range(8):
        tasks.run(work, done.append)
    qtbot.waitUntil(lambda: running == 4)
    gate.set()
    qtbot.waitUntil(lambda: len(done) == 8)
    assert most == 4


def test_changes_of_one_thing_are_made_in_their_order(qtbot: Any) -> None:
    first, made, told = threading.Event(), list[int](), list[int]()

    def change(number: int) -> int:
        if number == 0:
            first.wait(30)
        made.append(number)
        return number

    for number in range(6):
        tasks.run(lambda number=number: change(number), told.append, order="a setting")  # type: ignore[misc]
    other: list[str] = []
    tasks.run(lambda: "other", other.append, order="another")
    tasks.run(lambda: "none", other.append)
    qtbot.waitUntil(lambda: sorted(other) == ["none", "other"])
    assert made == []
    first.set()
    qtbot.waitUntil(lambda: len(told) == 6)
    assert made == told == list(range(6))


def test_a_change_that_fails_or_is_called_off_holds_nothing_up(qtbot: Any) -> None:
    failed: list[Exception] = []
    got: list[int] = []
    tasks.run(lambda: 1 / 0, None, failed.append, order="x")
    tasks.run(lambda: 2, got.append, order="x").cancel()
    tasks.run(lambda: 3, got.append, order="x")
    qtbot.waitUntil(lambda: got == [3])
    assert len(failed) == 1


def test_changes_that_wait_are_made_before_the_end(qtbot: Any) -> None:
    gates = [threading.Event() for _ in range(tasks.SIZE)]
    held = [tasks.run(lambda gate=gate: gate.wait(30)) for gate in gates]  # type: ignore[misc]
    made: list[int] = []
    for number in range(3):
        tasks.run(lambda number=number: made.append(number), order="x")  # type: ignore[misc]
    tasks.run(lambda: made.append(-1))
    threading.Timer(0.05, lambda: [gate.set() for gate in gates]).start()
    tasks.close(timeout=30)
    assert made == [0, 1, 2]
    assert len(held) == tasks.SIZE


def test_what_ends_after_the_end_is_told_nobody(qtbot: Any) -> None:
    gate, owner = threading.Event(), QObject()

    def late() -> None:
        gate.wait(30)
        raise OSError("the store is closed by now")

    task = tasks.run(late, owner=owner)  # would be logged, and fail this test
    pool = tasks._the_pool()
    qtbot.waitUntil(lambda: not pool._waiting.qsize())
    tasks.close(timeout=0)
    gate.set()
    for thread in pool._threads:
        thread.join(30)
    assert task.error is not None
    QCoreApplication.processEvents()
