"""The lab's queue: order, pause, cancel, retry, what a restart shows, and real work at the end of it."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.errors import BadRequestError, TextTooShortError
from app.core.events import Bus
from app.core.types import LoadPlan
from app.optimize.orders import (
    LabItem,
    MeasureOrder,
    Order,
    PriceOrder,
    QuantOrder,
    RepeatOrder,
    Result,
    SourceOrder,
    WishOrder,
)
from app.optimize.queue import LabQueue, Step, Tell
from app.optimize.recipes import Recipe

WAIT = 30
RECIPE = Recipe(source="a.gguf", source_sha256="0a", type="Q4_0", overrides=(("ffn_down", "Q6_K"),))


class Hands:
    """Does orders as the test says: each waits until it is let go, or told to stop."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.go = threading.Event()
        self.error: Exception | None = None
        self.started = threading.Event()

    def __call__(self, order: Order, tell: Tell, cancel: threading.Event) -> Result:
        assert isinstance(order, QuantOrder)
        self.begun.append(order.type)
        tell(Step("quantize", "blk.0.attn_k.weight", 3, 12))
        self.started.set()
        while not self.go.wait(0.005):
            if cancel.is_set():
                raise RuntimeError("killed")
        if self.error is not None:
            raise self.error
        return Result(model=order.type, bytes=5)


def order(kind: str) -> QuantOrder:
    return QuantOrder(source="m.gguf", target=f"m-{kind}.gguf", type=kind)


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def queue(tmp_path: Path, bus: Bus, hands: Hands) -> Iterator[LabQueue]:
    made = LabQueue(tmp_path / "lab" / "queue.json", bus, hands)
    yield made
    made.close()


def until(bus: Bus, queue: LabQueue, key: str, state: str) -> LabItem:
    """Wait until a job is in a state."""
    reached = threading.Event()
    with bus.subscribe(
        LabItem, lambda item: reached.set() if item.id == key and item.state == state else None
    ):
        item = queue.get(key)
        assert item is not None
        assert item.state == state or reached.wait(WAIT)
    found = queue.get(key)
    assert found is not None
    return found


def test_one_after_the_other_with_progress(bus: Bus, queue: LabQueue, hands: Hands) -> None:
    seen: list[LabItem] = []
    bus.subscribe(LabItem, seen.append)
    first, second = queue.submit(order("Q8_0"), order("Q4_0"))
    assert hands.started.wait(WAIT)
    assert queue.busy()
    now = queue.get(first.id)
    assert now is not None
    assert (now.state, now.about, now.share) == ("running", "blk.0.attn_k.weight", 0.25)
    hands.go.set()
    ended = until(bus, queue, second.id, "done")
    assert ended.result == Result(model="Q4_0", bytes=5)
    assert ended.share == 1
    assert hands.begun == ["Q8_0", "Q4_0"]
    assert next(item.state for item in seen if item.id == first.id) == "queued"
    assert not queue.busy()


def test_another_order_and_the_same_file_twice(bus: Bus, queue: LabQueue, hands: Hands) -> None:
    first, second, third = queue.submit(order("A"), order("B"), order("C"))
    with pytest.raises(BadRequestError, match=r"m-B.gguf is being written by another job"):
        queue.submit(order("B"))
    queue.move(third.id, second.id)
    assert [item.id for item in queue.snapshots()] == [first.id, third.id, second.id]
    queue.move(third.id, None)
    queue.move(third.id, second.id)
    hands.go.set()
    until(bus, queue, second.id, "done")
    assert hands.begun == ["A", "C", "B"]


def test_pause_ends_the_work_and_the_next_one_begins(bus: Bus, queue: LabQueue, hands: Hands) -> None:
    first, second = queue.submit(order("A"), order("B"))
    assert hands.started.wait(WAIT)
    queue.pause(first.id)
    paused = until(bus, queue, first.id, "paused")
    assert not paused.interrupted
    until(bus, queue, second.id, "running")
    queue.resume(first.id)
    hands.go.set()
    until(bus, queue, first.id, "done")
    assert hands.begun == ["A", "B", "A"]


def test_cancel_retry_and_take_off_the_list(bus: Bus, queue: LabQueue, hands: Hands) -> None:
    first, second = queue.submit(order("A"), order("B"))
    queue.cancel(second.id)
    queue.remove(first.id)  # it runs, so it stays
    queue.cancel(first.id)
    until(bus, queue, first.id, "cancelled")
    assert hands.begun in (["A"], [])
    hands.error = TextTooShortError(file="t.txt", tokens=4, needed=1024)
    hands.go.set()
    queue.resume(first.id)
    failed = until(bus, queue, first.id, "failed")
    assert failed.error is not None
    assert failed.error.code == "text_too_short"
    hands.error = None
    queue.resume(first.id)
    assert until(bus, queue, first.id, "done").error is None
    queue.remove(first.id)
    assert [item.id for item in queue.snapshots()] == [second.id]


@pytest.mark.expects_log("a job of the lab failed")
def test_what_nobody_foresaw_is_told_too(bus: Bus, queue: LabQueue, hands: Hands) -> None:
    hands.error = RuntimeError("a tensor fell over")
    hands.go.set()
    (item,) = queue.submit(order("A"))
    failed = until(bus, queue, item.id, "failed")
    assert failed.error is not None
    assert "a tensor fell over" in failed.error.message


def test_a_restart_shows_what_was_there(tmp_path: Path, bus: Bus, queue: LabQueue, hands: Hands) -> None:
    first, second = queue.submit(order("A"), order("B"))
    assert hands.started.wait(WAIT)
    queue.close()
    queue.close()
    again = LabQueue(tmp_path / "lab" / "queue.json", bus, hands)
    assert [(item.id, item.state, item.interrupted) for item in again.snapshots()] == [
        (first.id, "paused", True),
        (second.id, "paused", True),
    ]
    hands.go.set()
    again.resume(second.id)
    until(bus, again, second.id, "done")
    again.close()


def test_a_damaged_list_begins_anew(tmp_path: Path, bus: Bus, hands: Hands) -> None:
    file = tmp_path / "queue.json"
    file.write_text("[{")
    assert LabQueue(file, bus, hands).snapshots() == ()


def test_measuring_orders_are_kept_too(tmp_path: Path, bus: Bus, hands: Hands) -> None:
    file = tmp_path / "queue.json"
    queue = LabQueue(file, bus, hands)
    queue.close()  # nothing starts
    orders = (
        MeasureOrder(models=("a.gguf",), reference="r.gguf", texts=("t.txt",), speed=True),
        WishOrder(source="a.gguf", target="b.gguf", wish="loss", value=0.05, text="t.txt"),
        RepeatOrder(recipe=RECIPE, source="a.gguf", target="c.gguf"),
        SourceOrder(repo="owner/model", set_up=True),
        PriceOrder(plan=LoadPlan("a.gguf", n_ctx=16384), text="t.txt", trained=8192),
    )
    queue.submit(*orders)
    assert tuple(item.order for item in LabQueue(file, bus, hands).snapshots()) == orders
    with pytest.raises(BadRequestError, match=r"b.gguf is being written by another job"):
        queue.submit(orders[1])
