import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from app.core.errors import MeasuringError, ModelNotFoundError
from app.core.events import Bus, InstanceChanged, MemoryUse
from app.core.series import SeriesStore
from app.core.types import LoadPlan, ModelFile, ModelRecord, Sample
from app.hardware.facts import Cpu, Gpu, Machine, Memory
from app.hardware.probe import ProbeFailedError
from app.planning.learned import Overheads
from app.planning.outlook import Offer, Outlook, engine_version
from app.planning.rates import RatesStore
from app.planning.usage import Request, UsageStore

GIB = 1 << 30
CARD = Gpu(0, "nvidia", "Card", 13 * GIB, 12 * GIB, devices=("CUDA0",))
SOFT = Gpu(1, "other", "llvmpipe", devices=("Vulkan0",), software=True)
MACHINE = Machine(Cpu("A processor", 8), Memory(33 * GIB, 32 * GIB), (CARD, SOFT))
RAW = {
    "device": "CPU", "threads": 8, "seconds": 20.0, "overhead": [[4, 1e-4], [44, 2e-4]],
    "types": {"Q4_1": {"points": [[1e8, 1e4, 4, 29, 4e-3], [1e8, 4e4, 9, 64, 4.4e-3], [1e8, 9e4, 1, 8, 4.2e-3]],
    "prefill": [1e9, 5e-3]}}, "attention": {"f16": [1e6, 1e5, 1e-4, 3e-4]},
}  # fmt: skip


class Instances:
    """What is loaded."""

    def __init__(self) -> None:
        self.items: list[InstanceChanged] = []

    def snapshots(self) -> tuple[InstanceChanged, ...]:
        return tuple(self.items)

    def snapshot(self, model: str) -> InstanceChanged | None:
        return next((item for item in self.items if item.model == model), None)


class Case:
    def __init__(self, folder: Path, starter: Path) -> None:
        self.bus = Bus()
        self.series, self.instances = SeriesStore(self.bus), Instances()
        self.usage, self.overheads = UsageStore(folder / "usage.sqlite"), Overheads(folder / "overheads.json")
        self.record = ModelRecord("m", "m", (ModelFile(str(starter), starter.stat().st_size),), 1)
        self.asked: list[Sequence[str]] = []
        self.run: Callable[[Sequence[str]], bytes] = self._measured
        self.outlook = self.make(folder)

    def make(self, folder: Path, machine: Machine = MACHINE) -> Outlook:
        stores = (RatesStore(folder / "rates.json"), self.overheads, self.usage)
        made = Outlook(lambda: machine, lambda: 0, stores, self._run, self.series)
        made.follow(self.instances, self.find)
        return made

    def find(self, name: str) -> ModelRecord:
        if name != "m":
            raise ModelNotFoundError(name=name)
        return self.record

    def _run(self, arguments: Sequence[str]) -> bytes:
        return self.run(arguments)

    def _measured(self, arguments: Sequence[str]) -> bytes:
        self.asked.append(arguments)
        return json.dumps(RAW).encode()

    def load(self, plan: LoadPlan, *memory: MemoryUse) -> None:
        self.instances.items = [InstanceChanged("m", "m", "ready", plan, pid=1, memory=memory, last_used=1.0)]

    def ran(self, forecast: float, speed: float, uncorrected: float | None = None) -> None:
        seconds = 100 / speed
        self.usage.add(
            Request(
                at=time.time(), model="m", device="CPU", completion_tokens=101, decode_seconds=seconds,
                forecast=forecast, uncorrected=uncorrected or forecast,
            )
        )  # fmt: skip


@pytest.fixture
def case(tmp_path: Path, starter: Path) -> Case:
    return Case(tmp_path, starter)


def test_each_device_is_measured_once_until_the_hardware_changes(case: Case, tmp_path: Path) -> None:
    assert case.outlook.missing() == ("CPU", "CUDA0")
    told: list[str] = []
    case.outlook.measure(told=told.append)
    assert told == ["CPU", "CUDA0"]
    assert [arguments[1] for arguments in case.asked] == [
        "CPU",
        "CPU",
        "CUDA0",
        "CUDA0",
    ]  # the quicker counts
    assert case.outlook.missing() == ()
    assert [device.bandwidth is not None for device in case.outlook.devices()] == [True, True]
    more = Machine(Cpu("Another", 8), Memory(33 * GIB, 32 * GIB), (CARD,))
    assert case.make(tmp_path, more).missing() == ("CPU",)


def test_a_measuring_process_that_fails_is_told_in_words(case: Case) -> None:
    def fail(_arguments: Sequence[str]) -> bytes:
        raise ProbeFailedError("did not answer within 240 s")

    case.run = fail
    with pytest.raises(MeasuringError, match="CPU could not be measured: did not answer"):
        case.outlook.measure()


def test_past_runs_correct_the_forecast_and_do_not_undo_each_other(case: Case) -> None:
    case.outlook.measure(["CPU"])
    plan = LoadPlan(case.record.path)
    case.load(plan)
    first = case.outlook.about("m", 100)
    assert first.forecast == pytest.approx(first.uncorrected)
    assert (first.device, first.engine) == ("CPU", engine_version())
    assert first.uncorrected is not None
    for _ in range(5):
        case.ran(first.uncorrected, first.uncorrected / 2)
    after = case.outlook.about("m", 100)
    assert after.uncorrected == pytest.approx(first.uncorrected)
    assert after.forecast == pytest.approx(first.uncorrected / 2, rel=0.01)
    for _ in range(5):
        case.ran(after.forecast or 0, first.uncorrected / 2, first.uncorrected)
    assert case.outlook.about("m", 100).forecast == pytest.approx(first.uncorrected / 2, rel=0.01)
    errors = case.outlook.errors()
    case.usage.close()
    assert errors is not None
    assert errors.count == 10
    assert errors.worst == pytest.approx(1.0)


def test_measuring_again_forgets_what_the_first_measurement_got_wrong(case: Case) -> None:
    case.outlook.measure(["CPU"])
    case.load(LoadPlan(case.record.path))
    before = case.outlook.about("m", 100).uncorrected
    assert before is not None
    for _ in range(5):
        case.ran(before, before * 5)
    assert case.outlook.about("m", 100).forecast == pytest.approx(before * 5, rel=0.01)
    case.outlook.measure(["CPU"])
    assert case.outlook.about("m", 100).forecast == pytest.approx(before)
    errors = case.outlook.errors()
    case.usage.close()
    assert errors is not None
    assert errors.count == 5


def test_what_is_unknown_stays_unknown(case: Case) -> None:
    assert case.outlook.errors() is None
    assert case.outlook.about("m", 0).forecast is None
    case.load(LoadPlan(case.record.path))
    assert case.outlook.about("m", 0).forecast is None
    assert case.outlook.forecast("m", 0) is None
    case.usage.close()


def test_a_damaged_history_corrects_nothing(case: Case, tmp_path: Path) -> None:
    (tmp_path / "usage.sqlite").write_bytes(b"no database" * 200)
    assert case.outlook.errors() is None
    assert case.outlook.runs("CPU") == ()


def test_a_gpu_s_power_counts_only_when_it_can_be_read(case: Case) -> None:
    case.series.add(Sample("host", 1.0, {"cpu_power": 30.0}))
    case.load(LoadPlan(case.record.path))
    assert case.outlook.about("m", 0).sources == (("host", "cpu_power"),)
    case.load(LoadPlan(case.record.path, devices=("CUDA0",)))
    assert case.outlook.about("m", 0).sources == ()
    case.series.add(Sample("gpu:0", 1.0, {"power": 200.0}))
    assert case.outlook.about("m", 0).sources == (("host", "cpu_power"), ("gpu:0", "power"))
    case.usage.close()


def test_what_a_backend_takes_is_learned_once_for_a_load(case: Case) -> None:
    case.load(LoadPlan(case.record.path, devices=("CUDA0",)), MemoryUse("CUDA0", GIB))
    for held in (GIB + (300 << 20), GIB + (900 << 20)):
        case.outlook.learn(Sample("gpu:0", 1.0, {"memory_us": float(held)}))
    assert case.overheads.get() == {"CUDA": 300 << 20}


def test_memory_of_a_loaded_plan(case: Case) -> None:
    found = case.outlook.memory("m", LoadPlan(case.record.path, n_ctx=8192))
    assert found[0].kv == 180 << 20
    assert case.outlook.memory("gone", LoadPlan("gone.gguf")) == ()


def test_measuring_is_offered_once_for_each_state_of_the_machine(case: Case, tmp_path: Path) -> None:
    assert case.outlook.offer() == Offer(("CPU", "CUDA0"), changed=False)
    assert case.outlook.offer() is None
    case.outlook.measure()
    other = Machine(Cpu("A processor", 8), Memory(33 * GIB, 32 * GIB), (replace(CARD, driver="2"),))
    changed = case.make(tmp_path, other)
    assert changed.offer() == Offer(("CUDA0",), changed=True)
    assert changed.offer() is None
