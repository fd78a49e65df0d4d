"""Events of other threads reach views on the GUI thread, in order, and cost one wake-up."""

import threading
from typing import Any

import pytest
from PySide6.QtCore import QObject, QThread

from app.core.events import Bus, LibraryChanged, ServerChanged
from app.ui.bridge import Bridge


@pytest.fixture
def bridge(qtbot: Any, bus: Bus) -> Any:
    made = Bridge(bus)
    yield made
    made.close()


def publish_from_a_thread(bus: Bus, events: list[object]) -> None:
    def work() -> None:
        for event in events:
            bus.publish(event)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_order_is_kept_and_slots_run_on_the_gui_thread(qtbot: Any, bus: Bus, bridge: Bridge) -> None:
    got: list[tuple[str, bool]] = []
    gui = QThread.currentThread()
    bridge.on(LibraryChanged, lambda event: got.append((event.ids[0], QThread.currentThread() == gui)))
    publish_from_a_thread(bus, [LibraryChanged((str(n),)) for n in range(500)])
    qtbot.waitUntil(lambda: len(got) == 500)
    assert got == [(str(n), True) for n in range(500)]


def test_a_storm_costs_one_wake_up(qtbot: Any, bus: Bus, bridge: Bridge) -> None:
    wakes: list[int] = []
    bridge._woken.connect(lambda: wakes.append(1))
    bridge.on(LibraryChanged, lambda _event: None)
    publish_from_a_thread(bus, [LibraryChanged() for _ in range(1000)])
    qtbot.wait(50)
    assert len(wakes) == 1


def test_a_dead_owner_gets_nothing(qtbot: Any, bus: Bus, bridge: Bridge) -> None:
    import shiboken6

    owner, got = QObject(), []
    bridge.on(ServerChanged, got.append, owner)
    shiboken6.delete(owner)
    bus.publish(ServerChanged("on"))
    bridge.flush()
    assert got == []


def test_off_ends_a_subscription(qtbot: Any, bus: Bus, bridge: Bridge) -> None:
    got: list[object] = []
    off = bridge.on(ServerChanged, got.append)
    off()
    bus.publish(ServerChanged("on"))
    bridge.flush()
    assert got == []


@pytest.mark.expects_log("a view failed")
def test_a_failing_view_does_not_disturb_the_others(qtbot: Any, bus: Bus, bridge: Bridge) -> None:
    got: list[object] = []

    def fail(_event: object) -> None:
        raise ValueError("broken view")

    bridge.on(ServerChanged, fail)
    bridge.on(ServerChanged, got.append)
    bus.publish(ServerChanged("on"))
    bridge.flush()
    assert len(got) == 1
