import time
from pathlib import Path

import pytest

from app.core.events import Bus, InstanceChanged
from app.core.series import SeriesStore
from app.core.types import Forecast, LoadPlan, Sample
from app.hardware.facts import Cpu, Gpu, Machine, Memory, Throttle
from app.planning.detector import Detector, Told
from app.planning.outlook import engine_version
from app.planning.usage import Request, UsageStore

CARD = Gpu(0, "nvidia", "Card", devices=("CUDA0",))
MACHINE = Machine(Cpu(), Memory(), (CARD,))
ON_CARD = LoadPlan("m.gguf", devices=("CUDA0",))


class Instances:
    """One loaded model."""

    def __init__(self, plan: LoadPlan) -> None:
        self.now = InstanceChanged("m", "m", "ready", plan, pid=1)

    def snapshots(self) -> tuple[InstanceChanged, ...]:
        return (self.now,)

    def snapshot(self, _model: str) -> InstanceChanged | None:
        return self.now


class Outlook:
    """Forecasts 40 to 60 tokens per second."""

    def __init__(self, usage: UsageStore) -> None:
        self.usage = usage

    def forecast(self, _model: str, _context: int) -> Forecast:
        return Forecast(40, 60)


class Case:
    def __init__(self, path: Path, plan: LoadPlan) -> None:
        self.series, self.usage, self.instances = SeriesStore(Bus()), UsageStore(path), Instances(plan)
        outlook = Outlook(self.usage)
        self.detector = Detector(self.series, self.instances, lambda: outlook, lambda: MACHINE)  # type: ignore[arg-type, return-value]
        self.now = time.monotonic()

    def write(self, speed: float, answers: float = 1.0) -> None:
        for at in range(60):
            values = {"decode_tps": speed, "prefill_tps": 0.0, "active": answers, "kv_used": 100.0}
            self.series.add(Sample("instance:m", self.now - 6 + at / 10, values))

    def read(self, source: str, **values: float) -> None:
        for at in range(5):
            self.series.add(Sample(source, self.now - 5 + at, dict(values)))

    def check(self) -> Told | None:
        return self.detector.check(self.now)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path / "usage.sqlite", LoadPlan("m.gguf"))


def test_as_quick_as_forecast_is_no_finding(case: Case) -> None:
    case.write(45.0)
    assert case.check() is None


def test_other_programs_are_named_once_for_a_load(case: Case) -> None:
    case.write(12.0)
    case.read("host", cpu_percent=95.0, cpu_us=50.0, memory_total=16e9, memory_used=4e9)
    told = case.check()
    assert told is not None
    assert (told.model, told.finding.code) == ("m", "cpu_shared")
    assert told.finding.action == "load_options"
    assert case.check() is None
    case.instances.now = InstanceChanged("m", "m", "ready", LoadPlan("m.gguf"), pid=2)
    assert case.check() is not None


def test_several_answers_at_once_are_not_judged(case: Case) -> None:
    case.write(12.0, answers=2.0)
    assert case.check() is None


def test_a_hot_card_slows_itself_down(tmp_path: Path) -> None:
    case = Case(tmp_path / "usage.sqlite", ON_CARD)
    case.write(12.0)
    case.read("gpu:0", throttle=float(Throttle.THERMAL), temperature=93.0)
    told = case.check()
    assert told is not None
    assert told.finding.params == {"device": "Card", "temperature": "93"}


def test_a_hot_processor_slows_itself_down(case: Case) -> None:
    case.write(12.0)
    case.read("host", throttle=float(Throttle.THERMAL), cpu_percent=95.0, cpu_us=95.0)
    told = case.check()
    assert told is not None
    assert (told.finding.code, told.finding.action) == ("throttle_heat", "load_options")
    assert told.finding.params["device"]
    case.instances.now = InstanceChanged("m", "m", "ready", LoadPlan("m.gguf"), pid=2)
    case.read("host", temperature=99.0)
    told = case.check()
    assert told is not None
    assert told.finding.params["temperature"] == "99"


def test_a_slower_engine_is_told_after_an_update(case: Case) -> None:
    for at, (engine, seconds) in enumerate([("0.1", 1.0)] * 5 + [(engine_version(), 2.0)] * 5):
        case.usage.add(Request(at=at, model="m", engine=engine, completion_tokens=41, decode_seconds=seconds))
    told = case.check()
    case.usage.close()
    assert told is not None
    assert told.finding.code == "regression"
