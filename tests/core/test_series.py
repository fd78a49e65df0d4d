"""Series: rings of the newest readings; unknown is not zero."""

from app.core.events import Bus
from app.core.series import SeriesStore
from app.core.types import Sample


def test_readings_come_back_in_order_and_bounded(bus: Bus) -> None:
    store = SeriesStore(bus, capacity=3)
    for t in range(5):
        bus.publish(Sample("host", float(t), {"cpu": t * 10.0, "power": None}))
    assert store.read("host", "cpu") == ([2.0, 3.0, 4.0], [20.0, 30.0, 40.0])
    assert store.read("host", "cpu", since=3.5) == ([4.0], [40.0])
    assert store.last("host", "cpu") == 40.0
    assert store.summary("host", "cpu") == (20.0, 30.0, 40.0)


def test_unknown_is_not_a_reading(bus: Bus) -> None:
    store = SeriesStore(bus)
    bus.publish(Sample("host", 1.0, {"power": None}))
    assert store.last("host", "power") is None
    assert store.summary("host", "power") is None
    assert store.keys() == []


def test_a_source_that_is_gone_is_forgotten_and_close_ends_it(bus: Bus) -> None:
    store = SeriesStore(bus)
    bus.publish(Sample("instance:a", 1.0, {"decode": 1.0}))
    bus.publish(Sample("host", 1.0, {"cpu": 1.0}))
    store.drop("instance:a")
    assert store.keys() == [("host", "cpu")]
    store.close()
    bus.publish(Sample("host", 2.0, {"cpu": 2.0}))
    assert store.last("host", "cpu") == 1.0
