import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.events import Bus
from app.core.generate import Delta, Failed, Finished, GenerateEvent, GenerateRequest, Timings, Usage
from app.core.series import SeriesStore
from app.core.types import Sample
from app.planning.recorder import About, Recorded, Recorder, Sink
from app.planning.usage import Request, UsageStore

END = Finished(
    "stop", Usage(100, 50, 20), Timings(prefill=0.02, decode=0.03, prefill_tokens=80, decode_tokens=49)
)


class Fake:
    """An engine that answers when told to."""

    def __init__(self) -> None:
        self.sinks: list[Sink] = []

    def submit(self, model_id: str, request: GenerateRequest, sink: Sink, *, asks: bool = False) -> None:
        self.sinks.append(sink)

    def pids(self) -> list[int]:
        return [7]


class Bench:
    def __init__(self, path: Path, **more: object) -> None:
        self.bus = Bus()
        self.series = SeriesStore(self.bus)
        self.store = UsageStore(path)
        self.about = About("Q4", "CPU", "0.3", (("host", "cpu_power"),), 30.0)
        self.recorder = Recorder(
            self.store, self.series, lambda _model, _context: self.about, late=0.0, **more
        )  # type: ignore[arg-type]
        self.recorder.start()
        self.fake = Fake()
        self.engine = Recorded(self.fake, self.recorder, "chat")
        self.seen: list[GenerateEvent] = []

    def ask(self, *events: GenerateEvent) -> None:
        self.engine.submit("m", GenerateRequest(id="r"), self.seen.append)
        time.sleep(0.06)
        for event in events:
            self.fake.sinks[-1](event)

    def rows(self) -> list[Request]:
        self.recorder.close()
        return list(self.store.rows())


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "usage.sqlite")
    yield made
    made.recorder.close()
    made.store.close()
    made.series.close()


def test_every_event_passes_and_the_end_is_noted(bench: Bench) -> None:
    bench.ask(Delta(text="hi"), END)
    assert bench.seen == [Delta(text="hi"), END]
    (row,) = bench.rows()
    assert (row.model, row.quant, row.device, row.source) == ("m", "Q4", "CPU", "chat")
    assert (row.prompt_tokens, row.cached_tokens, row.completion_tokens) == (100, 20, 50)
    assert row.decode_per_second == pytest.approx(49 / 0.03)
    assert row.forecast == 30.0
    assert row.parallel == 1


def test_the_energy_is_what_was_read_meanwhile(bench: Bench) -> None:
    now = time.monotonic()
    for i in range(10):
        bench.bus.publish(Sample("host", now - 10 + i, {"cpu_power": 20.0}))
    bench.bus.publish(Sample("host", now, {"cpu_power": 120.0}))
    bench.bus.publish(Sample("host", now + 60, {"cpu_power": 120.0}))
    bench.ask(END)
    (row,) = bench.rows()
    assert row.energy_origin == "measured"
    assert row.joules_prefill == pytest.approx(100 * 0.02, rel=0.01)
    assert row.joules_decode == pytest.approx(100 * 0.03, rel=0.01)
    assert row.joules_idle == pytest.approx(20 * 0.05, rel=0.01)


def test_what_other_programs_took_meanwhile_is_noted(bench: Bench) -> None:
    now = time.monotonic()
    bench.bus.publish(Sample("host", now - 60, {"cpu_percent": 3.0, "cpu_us": 1.0}))
    bench.bus.publish(Sample("host", now + 0.05, {"cpu_percent": 95.0, "cpu_us": 40.0}))
    bench.ask(END)
    (row,) = bench.rows()
    assert row.others == pytest.approx(55.0)


def test_without_readings_it_is_not_known(bench: Bench) -> None:
    bench.ask(END)
    (row,) = bench.rows()
    assert row.joules_decode is None
    assert row.energy_origin == ""
    assert row.others is None


def test_entered_watts_are_used_and_marked(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "u.sqlite", watts=lambda: (90.0, 30.0))
    bench.ask(END)
    (row,) = bench.rows()
    bench.store.close()
    assert row.energy_origin == "entered"
    assert row.joules_decode == pytest.approx(60 * 0.03)


def test_requests_side_by_side_share_the_power(bench: Bench) -> None:
    bench.ask()
    bench.ask(END)
    bench.fake.sinks[0](END)
    rows = bench.rows()
    assert [row.parallel for row in rows] == [2, 2]


def test_several_choices_are_one_request(bench: Bench) -> None:
    first = Finished("stop", Usage(100, 10), Timings(), done=False)
    bench.ask(first, Finished("stop", Usage(0, 15), Timings(decode=0.1), choice=1))
    (row,) = bench.rows()
    assert (row.prompt_tokens, row.completion_tokens) == (100, 25)


def test_a_failure_leaves_nothing_and_blocks_nothing(bench: Bench) -> None:
    bench.ask(Failed("worker_crashed", "died"))
    bench.ask(END)
    rows = bench.rows()
    assert len(rows) == 1
    assert rows[0].parallel == 1


def test_the_rest_of_the_engine_shows_through(bench: Bench) -> None:
    assert bench.engine.pids() == [7]


def test_closing_twice_and_without_start(tmp_path: Path) -> None:
    store = UsageStore(tmp_path / "u.sqlite")
    series = SeriesStore(Bus())
    recorder = Recorder(store, series, lambda _: About())
    recorder.close()
    recorder.close()
    # What is said after the end is let be: no thread writes it any more.
    Recorded(fake := Fake(), recorder, "chat").submit("m", GenerateRequest(id="r"), lambda _event: None)
    fake.sinks[-1](END)
    assert list(store.rows()) == []
    assert "usage" not in [thread.name for thread in threading.enumerate()]
    series.close()
    store.close()
