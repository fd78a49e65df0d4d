"""The Bus: exact types, in order, and one bad subscriber disturbs nobody."""

import threading

import pytest

from app.core.events import Bus, ChatChanged, LibraryChanged


def test_subscribers_get_their_type_only(bus: Bus) -> None:
    seen: list[object] = []
    bus.subscribe(LibraryChanged, seen.append)
    bus.publish(ChatChanged(1))
    bus.publish(LibraryChanged(("a",)))
    assert seen == [LibraryChanged(("a",))]


def test_a_closed_subscription_is_silent_and_can_be_closed_twice(bus: Bus) -> None:
    seen: list[object] = []
    with bus.subscribe(ChatChanged, seen.append) as subscription:
        bus.publish(ChatChanged(1))
    subscription.close()
    bus.publish(ChatChanged(2))
    assert seen == [ChatChanged(1)]


@pytest.mark.expects_log("a subscriber of ChatChanged failed")
def test_a_failing_subscriber_does_not_stop_the_next(bus: Bus) -> None:
    seen: list[object] = []
    bus.subscribe(ChatChanged, lambda _event: 1 / 0)
    bus.subscribe(ChatChanged, seen.append)
    bus.publish(ChatChanged(1))
    assert seen == [ChatChanged(1)]


def test_a_subscriber_may_unsubscribe_while_called(bus: Bus) -> None:
    seen: list[object] = []

    def once(event: ChatChanged) -> None:
        seen.append(event)
        subscription.close()

    subscription = bus.subscribe(ChatChanged, once)
    bus.publish(ChatChanged(1))
    bus.publish(ChatChanged(2))
    assert seen == [ChatChanged(1)]


def test_many_threads_lose_nothing(bus: Bus) -> None:
    seen: list[ChatChanged] = []
    bus.subscribe(ChatChanged, seen.append)
    threads = [
        threading.Thread(target=lambda start=start: [bus.publish(ChatChanged(start + i)) for i in range(100)])
        for start in range(0, 800, 100)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(event.conversation or 0 for event in seen) == list(range(800))
