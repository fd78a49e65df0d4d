"""Work off the GUI thread: results come back on it, or are dropped."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest
import shiboken6
from PySide6.QtCore import QObject

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
