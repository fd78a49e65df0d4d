"""What the terminal's commands do around a load."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

from app.cli import run
from app.core.events import Bus, InstanceChanged


def test_readings_are_taken_beside_a_load_so_that_answers_can_be_judged() -> None:
    started: list[str] = []
    ready: Future[InstanceChanged] = Future()
    ready.set_result(InstanceChanged("m", "m", "ready"))
    running: Any = SimpleNamespace(
        bus=Bus(),
        sampler=SimpleNamespace(start=lambda: started.append("sampler")),
        load=lambda _model, told: ready,
    )
    assert run.load(running, "m", quiet=True).state == "ready"
    assert started == ["sampler"]
