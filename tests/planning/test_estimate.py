import time
from pathlib import Path

import msgspec
import pytest

from app.hardware.facts import Cpu, Gpu, Machine, Memory
from app.models.gguf import read_header
from app.planning.estimate import Estimate, Estimator, bars, contexts, total_needed, what_if
from app.planning.model_facts import ModelFacts, from_header
from app.planning.planner import Wishes
from app.planning.rates import Rates, TypeRate
from tests.fakes.architectures import ARCHITECTURES
from tests.fakes.gguf_writer import write_gguf

GIB = 1 << 30
CPU = Rates("CPU", 8, 1e-5, 1e-5, {"Q4_K": TypeRate(25e9, 200e9)}, {"f16": 8e9})
GPU = Rates("CUDA0", 0, 2e-5, 2e-5, {"Q4_K": TypeRate(700e9, 40e12)}, {"f16": 400e9})
CARD = Gpu(0, "nvidia", "Card", 13 * GIB, 12 * GIB, devices=("CUDA0",))
MACHINE = Machine(Cpu(physical_cores=8), Memory(33 * GIB, 32 * GIB), (CARD,))


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> ModelFacts:
    path = tmp_path_factory.mktemp("models") / "llama.gguf"
    return from_header(read_header(write_gguf(path, *ARCHITECTURES["llama"]())))


def _estimator(facts: ModelFacts, machine: Machine = MACHINE) -> Estimator:
    return Estimator(facts, machine, rates={"CPU": CPU, "CUDA0": GPU})


def test_it_tells_memory_speed_and_the_cost_of_context(llama: ModelFacts) -> None:
    found = _estimator(llama).estimate(Wishes(n_ctx=8192), "Llama")
    assert found.planned.fit == "full_gpu"
    assert found.empty.decode is not None
    assert found.full.decode is not None
    assert found.empty.decode.low > found.full.decode.low > 20
    assert found.kv["f16"] > found.kv["q8_0"] > found.kv["q4_0"]
    assert found.exact


def test_marks_on_the_slider(llama: ModelFacts) -> None:
    estimator = _estimator(llama)
    marks = estimator.marks(Wishes())
    assert marks.trained == 32768
    assert marks.full_gpu == 32768
    small = _estimator(
        llama, msgspec.structs.replace(MACHINE, gpus=(msgspec.structs.replace(CARD, memory_free=7 * GIB),))
    )
    marks = small.marks(Wishes())
    assert marks.full_gpu is not None
    assert 1024 < marks.full_gpu < 16384
    assert small.point(Wishes(), marks.full_gpu).fit == "full_gpu"
    assert small.point(Wishes(), marks.full_gpu + 256).fit == "partly"


def test_where_it_does_not_fit_at_all(llama: ModelFacts) -> None:
    machine = Machine(Cpu(physical_cores=8), Memory(8 * GIB, 7 * GIB))
    marks = _estimator(llama, machine).marks(Wishes())
    assert marks.full_gpu is None
    assert marks.too_large is not None
    assert 8192 < marks.too_large < 24576


def test_the_curve_is_quick_enough_to_follow_the_mouse(llama: ModelFacts) -> None:
    estimator = _estimator(llama)
    begun = time.thread_time()
    points = estimator.curve(Wishes())
    assert time.thread_time() - begun < 2
    needed = [sum(device.needed for device in point.memory) for point in points]
    assert needed == sorted(needed)
    speeds = [point.full.decode.low for point in points if point.full.decode]
    assert speeds == sorted(speeds, reverse=True)


def test_context_lengths_span_the_slider() -> None:
    found = contexts(131072, 16)
    assert found[0] == 512
    assert found[-1] == 131072
    assert len(found) == 16
    assert contexts(256, 16) == [256]


def test_what_if_another_card_or_more_memory(llama: ModelFacts) -> None:
    bare = Machine(Cpu(physical_cores=8), Memory(5 * GIB, 4 * GIB))
    assert Estimator(llama, bare).estimate(Wishes()).planned.fit == "too_large"
    assert Estimator(llama, what_if(bare, gpu=12 * GIB)).estimate(Wishes()).planned.fit == "full_gpu"
    assert Estimator(llama, what_if(bare, memory=16 * GIB)).estimate(Wishes()).planned.fit == "fits_in_memory"


def test_a_local_file_needs_no_rates(starter: Path) -> None:
    found = Estimator(from_header(read_header(starter)), MACHINE).estimate(Wishes())
    assert found.empty.decode is None
    assert found.planned.fit == "full_gpu"


def test_it_can_be_printed_as_json(llama: ModelFacts) -> None:
    found = _estimator(llama).estimate(Wishes(), "Llama")
    assert msgspec.json.decode(msgspec.json.encode(found), type=Estimate) == found


def test_bars_of_a_plan_in_use(llama: ModelFacts) -> None:
    planned = _estimator(llama).plan(Wishes())
    assert bars(llama, planned.plan, MACHINE) == planned.memory
    assert total_needed(llama, planned.plan) == planned.needed
