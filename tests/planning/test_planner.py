import time
from pathlib import Path

import pytest

from app.core.types import GgufSummary, LoadPlan, ModelFile, ModelRecord
from app.hardware.facts import Cpu, Gpu, Machine, Memory
from app.models.gguf import read_header
from app.planning.fit import Fitter, fit_label, room
from app.planning.model_facts import Layer, ModelFacts, from_header
from app.planning.planner import Planned, Wishes, plan
from tests.fakes.architectures import ARCHITECTURES
from tests.fakes.gguf_writer import write_gguf

GIB = 1 << 30
RECORD = ModelRecord("m", "m", (ModelFile("/m.gguf", 1),), 1)
# 8 billion parameters at 4.5 bits: 32 layers of 130 MiB, 128 KiB of cache for a token.
EIGHT = ModelFacts(
    "llama", tuple(Layer(130 << 20, 0, 1024, 1024) for _ in range(32)), 300 << 20, 400 << 20, n_embd=4096, n_ff=14336,
    n_head=32, head_dim=128, n_vocab=128256, n_ctx_train=131072,
)  # fmt: skip
MOE = ModelFacts(
    "qwen3moe", tuple(Layer(20 << 20, 300 << 20, 512, 512) for _ in range(48)), 200 << 20, 200 << 20, n_embd=2048,
    n_head=32, head_dim=128, n_vocab=151936, n_ctx_train=32768, experts=128, experts_used=8, n_ff_exp=768,
)  # fmt: skip


def _machine(memory: float = 32, *gpus: float, unified: bool = False) -> Machine:
    cards = tuple(
        Gpu(
            i,
            "nvidia",
            f"Card {i}",
            int(size * GIB * 1.05),
            int(size * GIB),
            unified=unified,
            devices=(f"CUDA{i}", f"Vulkan{i}"),
        )
        for i, size in enumerate(gpus)
    )
    return Machine(
        Cpu(physical_cores=8, threads=16), Memory(int(memory * GIB * 1.1), int(memory * GIB)), cards
    )


def _plan(machine: Machine, facts: ModelFacts = EIGHT, **wishes: object) -> Planned:
    return plan(RECORD, machine, Wishes(**wishes), facts=facts)  # type: ignore[arg-type]


def _codes(planned: Planned) -> list[str]:
    return [reason.code for reason in planned.reasons]


def test_all_on_the_gpu_when_it_fits() -> None:
    planned = _plan(_machine(32, 12))
    assert planned.fit == "full_gpu"
    assert planned.verdict == "ok"
    assert planned.plan.n_gpu_layers == -1
    assert planned.plan.devices == ("CUDA0",)
    assert _codes(planned) == ["all_on_gpu"]
    assert planned.reasons[0].text == "The whole model runs on CUDA0."


def test_as_many_layers_as_fit() -> None:
    planned = _plan(_machine(32, 4))
    assert planned.fit == "partly"
    assert 5 < planned.plan.n_gpu_layers < 32
    assert _codes(planned) == ["some_layers"]
    more = _plan(_machine(32, 4), n_gpu_layers=planned.plan.n_gpu_layers + 1)
    assert "gpu_tight" in _codes(more)


def test_experts_go_to_memory_before_layers_do() -> None:
    planned = _plan(_machine(32, 8), MOE)
    assert planned.plan.n_gpu_layers == -1
    assert 0 < planned.plan.n_cpu_moe < 48
    assert planned.fit == "partly"
    assert _codes(planned) == ["experts_in_memory"]


def test_a_card_too_small_even_without_experts_takes_some_layers() -> None:
    planned = _plan(_machine(32, 1.4), MOE)
    assert planned.plan.n_cpu_moe == 48
    assert 0 < planned.plan.n_gpu_layers < 48


def test_without_a_gpu_it_runs_on_the_processor() -> None:
    planned = _plan(_machine(32))
    assert planned.fit == "fits_in_memory"
    assert planned.plan.devices == ()
    assert planned.plan.n_threads is None, "the engine chooses, by measuring and by what others leave free"
    assert _codes(planned) == ["no_gpu"]


def test_what_is_asked_is_done() -> None:
    planned = _plan(_machine(32, 12), n_gpu_layers=0, n_threads=3, kv_type="q8_0", n_parallel=2)
    assert planned.plan.n_gpu_layers == 0
    assert (planned.plan.n_threads, planned.plan.type_k, planned.plan.n_parallel) == (3, "q8_0", 2)
    assert _codes(planned) == ["cpu_asked"]
    assert _plan(_machine(32, 12), n_gpu_layers=10).plan.n_gpu_layers == 10


def test_several_cards_share_by_their_room() -> None:
    planned = _plan(_machine(32, 6, 3))
    assert planned.fit == "full_gpu"
    assert planned.plan.devices == ("CUDA0", "CUDA1")
    first, second = planned.plan.tensor_split
    assert first > 1.8 * second
    assert _codes(planned)[0] == "split"


def test_less_context_never_below_the_minimum() -> None:
    planned = _plan(_machine(7), n_ctx=32768, min_ctx=4096)
    assert 4096 <= planned.plan.n_ctx < 32768
    assert "ctx_smaller" in _codes(planned)
    assert planned.verdict == "ok"
    tight = _plan(_machine(7), n_ctx=32768, min_ctx=30000)
    assert tight.plan.n_ctx == 32768
    assert tight.verdict == "refuse"


def test_a_smaller_cache_only_where_allowed() -> None:
    machine = _machine(8.2)
    assert _plan(machine, n_ctx=24576, min_ctx=24576).verdict == "refuse"
    planned = _plan(machine, n_ctx=24576, min_ctx=24576, shrink_kv=True)
    assert planned.plan.type_k == "q8_0"
    assert planned.plan.n_ctx == 24576
    assert planned.verdict == "ok"
    assert "saves 1.4 GiB" in next(reason.text for reason in planned.reasons if reason.code == "kv_smaller")


def test_the_trained_length_is_the_limit_unless_meant() -> None:
    planned = _plan(_machine(64), MOE, n_ctx=65536)
    assert planned.plan.n_ctx == 32768
    assert "ctx_trained" in _codes(planned)
    meant = _plan(_machine(64), MOE, n_ctx=65536, beyond_trained=True)
    assert (meant.plan.n_ctx, "ctx_beyond" in _codes(meant)) == (65536, True)
    within = _plan(_machine(64), MOE, n_ctx=32768, beyond_trained=True)
    assert "ctx_beyond" not in _codes(within)
    yarn = {"rope_scaling": "yarn"}
    stretched = _plan(_machine(64), MOE, n_ctx=65536, beyond_trained=True, extra=yarn)
    assert stretched.plan.rope_freq_scale == 0.5
    assert _plan(_machine(64), MOE, n_ctx=8192, beyond_trained=True, extra=yarn).plan.rope_freq_scale == 0
    named = _plan(
        _machine(64), MOE, n_ctx=65536, beyond_trained=True, extra={**yarn, "rope_freq_scale": 0.25}
    )
    assert named.plan.rope_freq_scale == 0.25


def test_too_large_is_said_and_refused_by_the_guardrail_alone() -> None:
    planned = _plan(_machine(3))
    assert planned.fit == "too_large"
    assert planned.verdict == "refuse"
    assert "from_disk" in _codes(planned)
    assert _plan(_machine(3), guardrail="relaxed").verdict == "warn"
    assert "does_not_fit" in _codes(_plan(_machine(3), use_mmap=False))


def test_guardrails_leave_different_room() -> None:
    machine = _machine(32, 10)
    budgets = [room(machine, name)[1].budget or 0 for name in ("off", "relaxed", "balanced", "strict")]
    assert budgets == sorted(budgets, reverse=True)
    assert budgets[0] == 10 * GIB
    assert room(machine, "custom", 3 * GIB)[1].budget == 3 * GIB
    assert room(_machine(32), "custom", 3 * GIB)[0].budget == 3 * GIB


def test_what_would_be_unloaded_counts_as_free() -> None:
    planned = plan(RECORD, _machine(32, 4), Wishes(), facts=EIGHT, freed={"CUDA0": 6 * GIB})
    assert planned.fit == "full_gpu"


def test_models_with_windows_keep_no_idle_sequences(tmp_path: Path) -> None:
    facts = from_header(read_header(write_gguf(tmp_path / "m.gguf", *ARCHITECTURES["gemma3"]())))
    planned = _plan(_machine(64), facts)
    assert planned.plan.n_idle == 0
    assert "sequences_cost" in _codes(planned)
    assert _plan(_machine(64)).plan.n_idle == 8


def test_idle_conversations_take_a_small_part_of_main_memory() -> None:
    assert [_plan(_machine(memory)).plan.cache_ram_mb for memory in (7, 63)] == [492, 1024]
    asked = plan(RECORD, _machine(8), Wishes(extra={"cache_ram_mb": 2000}), facts=EIGHT)
    assert asked.plan.cache_ram_mb == 2000


def test_shared_memory_is_counted_once() -> None:
    machine = _machine(16, 16, unified=True)
    assert Fitter(machine).label(20 * GIB) == "too_large"
    assert Fitter(_machine(16, 16)).label(20 * GIB) == "partly"


def test_a_gpu_in_main_memory_and_the_processor_share_it() -> None:
    machine = _machine(8, 8, unified=True)
    assert _plan(machine).verdict == "ok"
    tight = _plan(_machine(4.4, 6, unified=True), n_ctx=4096, min_ctx=4096)
    assert tight.verdict == "refuse"
    assert tight.fit == "too_large"


def test_software_devices_are_used_only_by_name() -> None:
    fake = Gpu(0, "other", "llvmpipe", 20 * GIB, 20 * GIB, devices=("Vulkan0",), software=True)
    machine = Machine(Cpu(physical_cores=2), Memory(24 * GIB, 23 * GIB), (fake,))
    assert _plan(machine).plan.devices == ()
    assert _plan(machine).plan.n_gpu_layers == 0
    named = _plan(machine, devices=("Vulkan0",))
    assert named.plan.devices == ("Vulkan0",)
    assert named.fit == "full_gpu"


def test_graphics_inside_the_processor_wait_until_there_is_no_card() -> None:
    inner = Gpu(0, "intel", "Iris", devices=("Vulkan0",), unified=True)
    card = Gpu(1, "nvidia", "Card", 12 * GIB, 11 * GIB, devices=("Vulkan1", "CUDA0"))
    both = Machine(Cpu(physical_cores=8), Memory(33 * GIB, 32 * GIB), (inner, card))
    assert _plan(both).plan.devices == ("CUDA0",)
    alone = Machine(Cpu(physical_cores=8), Memory(33 * GIB, 32 * GIB), (inner,))
    assert _plan(alone).plan.devices == ("Vulkan0",)
    assert _plan(both, devices=("Vulkan1",)).plan.devices == ("Vulkan1",)


def test_an_embedding_model_gets_one_batch_for_a_text() -> None:
    record = ModelRecord("e", "e", (ModelFile("/e.gguf", 1),), 1, GgufSummary("bert", kind="embedding"))
    facts = ModelFacts(
        "bert", tuple(Layer(1 << 20) for _ in range(6)), 1 << 20, n_embd=384, n_ctx_train=512, memoryless=True
    )
    planned = plan(record, _machine(8), Wishes(), facts=facts)
    assert planned.plan.embeddings
    assert (planned.plan.n_ctx, planned.plan.n_ubatch) == (512, 512)


def test_further_fields_are_taken_as_they_are() -> None:
    planned = _plan(_machine(32), extra={"rope_freq_base": 1e6, "n_ubatch": 256})
    assert planned.plan.rope_freq_base == 1e6
    assert planned.plan.n_ubatch == 256


def test_a_split_and_experts_asked_for_are_kept() -> None:
    assert _plan(_machine(32, 6, 6), extra={"tensor_split": (0.7, 0.3)}).plan.tensor_split == (0.7, 0.3)
    assert _plan(_machine(32, 8), MOE, extra={"n_cpu_moe": 45}).plan.n_cpu_moe == 45


def test_equal_wishes_make_equal_plans() -> None:
    assert _plan(_machine(32, 12)).plan == _plan(_machine(32, 12)).plan
    assert isinstance(_plan(_machine(32, 12)).plan, LoadPlan)


def test_the_starter_is_planned_from_its_file(starter: Path) -> None:
    record = ModelRecord("s", "s", (ModelFile(str(starter), 1),), 1)
    planned = plan(record, _machine(8), Wishes(n_ctx=8192))
    assert planned.plan.model_path == str(starter)
    assert planned.memory[0].kv == 180 << 20


@pytest.mark.parametrize(
    ("size", "label"), [(5, "full_gpu"), (14, "partly"), (60, "too_large")]
)  # fmt: skip
def test_labels_for_a_card_and_memory(size: int, label: str) -> None:
    assert fit_label(size * GIB, _machine(24, 8)) == label


def test_labels_without_a_card() -> None:
    assert fit_label(5 * GIB, _machine(16)) == "fits_in_memory"
    assert fit_label(20 * GIB, _machine(16)) == "too_large"


def test_the_recommended_quant_is_the_best_that_runs_fully() -> None:
    sizes = [3 * GIB, 5 * GIB, 6 * GIB, 8 * GIB, 16 * GIB]
    assert Fitter(_machine(32, 8)).recommend(sizes, 8_000_000_000) == 2
    assert Fitter(_machine(12)).recommend(sizes, 8_000_000_000) == 3
    assert Fitter(_machine(2)).recommend(sizes) is None


def test_a_thousand_labels_take_a_moment() -> None:
    machine = _machine(32, 12)
    begun = time.thread_time()
    fitter = Fitter(machine)
    labels = [fitter.label(i * 40_000_000, 8_000_000_000) for i in range(1000)]
    assert time.thread_time() - begun < 0.5  # processor time, ten times what it takes
    assert set(labels) == {"full_gpu", "partly"}


def test_what_only_the_guardrail_forbids_is_said_so() -> None:
    planned = _plan(_machine(32), guardrail="custom", guardrail_bytes=1 << 30)
    assert planned.verdict == "refuse"
    assert _codes(planned) == ["no_gpu", "guardrail"]
