"""A real worker that gives its cache back and answers all the same."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from app.core.errors import BusyError
from app.core.events import Bus, MemoryUse
from app.core.generate import SamplingParams
from app.runtime.supervisor import Supervisor
from tests.fakes.asking import MODEL, States, ask, request, small_plan

SHORT = SamplingParams(temperature=0.0, max_tokens=4)
QUESTION = "Count from one to ten, and explain each of the numbers, please. " * 20


@pytest.fixture
def supervisor(bus: Bus, tmp_path: Path) -> Iterator[Supervisor]:
    supervisor = Supervisor(bus, tmp_path / "logs", cache=tmp_path / "cache")
    yield supervisor
    supervisor.close()


def test_a_cache_is_given_back_and_made_again(supervisor: Supervisor, bus: Bus, starter: Path) -> None:
    states = States(bus)
    loaded = supervisor.ensure_ready(MODEL, small_plan(starter, n_ctx=8192)).result(60)
    first = ask(supervisor, request(QUESTION, SHORT, conversation="chat")).wait(60)
    worker = psutil.Process(loaded.pid or 0)
    before = worker.memory_info().rss
    supervisor.rest(MODEL).result(60)
    assert before - worker.memory_info().rss > 0.8 * loaded.memory[0].kv
    resting = supervisor.snapshot(MODEL)
    assert resting
    assert (resting.state, resting.rests, resting.pid) == ("ready", True, loaded.pid)
    assert resting.memory == (MemoryUse("CPU", loaded.memory[0].weights),)
    supervisor.rest(MODEL).result(60)  # once more changes nothing

    again = ask(supervisor, request(QUESTION, SHORT, conversation="chat")).wait(60)
    assert again.text() == first.text()
    assert again.finished().usage.cached > 200, "it came back from the disk"
    awake = supervisor.snapshot(MODEL)
    assert awake
    assert (awake.rests, awake.memory) == (False, loaded.memory)
    assert states.names() == ["starting", "loading", "ready"]

    asked = request("Tell a story.", SamplingParams(ignore_eos=True))
    story = ask(supervisor, asked).begun()
    with pytest.raises(BusyError):  # one that answers keeps it
        supervisor.rest(MODEL).result(60)
    supervisor.cancel(asked.id)
    assert story.wait(60).finished().reason == "cancelled"
