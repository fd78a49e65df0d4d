import msgspec
import pytest

from app.core.types import LoadPlan
from app.planning.model_facts import Layer, ModelFacts, Work
from app.planning.rates import Rates, TypeRate
from app.planning.runs import Run
from app.planning.speed import (
    UNPROVEN,
    correction,
    decode_seconds,
    error_history,
    forecast,
    prefill_seconds,
)

CPU = Rates(
    "CPU",
    8,
    1e-5,
    1e-5,
    {"Q4_K": TypeRate(25e9, 200e9), "Q6_K": TypeRate(30e9, 200e9)},
    {"f16": 8e9, "q8_0": 6e9},
)
GPU = Rates(
    "CUDA0", 0, 2e-5, 2e-5, {"Q4_K": TypeRate(700e9, 40e12), "Q6_K": TypeRate(750e9, 40e12)}, {"f16": 400e9}
)
DENSE = ModelFacts(
    "llama", tuple(Layer(130 << 20, 0, 1024, 1024) for _ in range(32)), n_head=32, head_dim=128, n_ctx_train=8192,
    body_mix={"Q4_K": Work(32 * 130 << 20, 32 * 50_000, 7_000_000_000)},
    output_mix={"Q6_K": Work(400 << 20, 128_000, 500_000_000)},
)  # fmt: skip
MOE = ModelFacts(
    "qwen3moe", tuple(Layer(20 << 20, 300 << 20, 512, 512) for _ in range(48)), n_head=32, head_dim=128,
    experts=128, experts_used=8,
    body_mix={"Q4_K": Work(48 * 20 << 20, 1, 1)}, expert_mix={"Q4_K": Work(48 * 300 << 20, 1, 25_000_000_000)},
)  # fmt: skip


def _plan(**more: object) -> LoadPlan:
    return LoadPlan("m.gguf", **more)  # type: ignore[arg-type]


def test_bytes_over_bandwidth_and_overheads_add_up() -> None:
    expected = 32 * (130 << 20) / 25e9 + (400 << 20) / 30e9 + 1e-5 + 32 * 1e-5
    assert decode_seconds(DENSE, _plan(), {"CPU": CPU}, 0) == pytest.approx(expected)


def test_rows_and_matrices_cost_beside_bytes() -> None:
    rates = msgspec.structs.replace(CPU, types={"Q4_K": TypeRate(25e9, 2e11, 3e-9, 4e-6)})
    facts = msgspec.structs.replace(DENSE, body_mix={"Q4_K": Work(10**9, 10**6, 10**9, 224)}, output_mix={})
    expected = 1e9 / 25e9 + 1e6 * 3e-9 + 224 * 4e-6 + 1e-5 + 32 * 1e-5
    assert decode_seconds(facts, _plan(), {"CPU": rates}, 0) == pytest.approx(expected)


def test_context_costs_attention_and_the_reading_of_keys_and_values() -> None:
    without = decode_seconds(DENSE, _plan(), {"CPU": CPU}, 0)
    with_context = decode_seconds(DENSE, _plan(), {"CPU": CPU}, 4096)
    assert without is not None
    assert with_context is not None
    assert with_context - without == pytest.approx(32 * 4096 * (32 * 2 * 128 / 8e9 + 2 * 2048 / 30e9))
    smaller = decode_seconds(DENSE, _plan(type_k="q4_0"), {"CPU": CPU}, 4096)
    assert smaller is not None
    assert smaller - without == pytest.approx(32 * 4096 * (32 * 2 * 128 / 6e9 + (576 + 2048) / 30e9))


def test_a_window_bounds_the_cost_of_context() -> None:
    facts = ModelFacts("gemma3", (Layer(1, 0, 64, 64, windowed=True),), n_head=8, head_dim=64, window=512)
    at_window = decode_seconds(facts, _plan(), {"CPU": CPU}, 512)
    assert decode_seconds(facts, _plan(), {"CPU": CPU}, 8192) == at_window


def test_only_the_chosen_experts_are_read() -> None:
    seconds = decode_seconds(MOE, _plan(), {"CPU": CPU}, 0)
    read = 48 * (20 << 20) + 48 * (300 << 20) / 16
    assert seconds == pytest.approx(read / 25e9 + 1e-5 + 48e-5, rel=0.01)


def test_devices_work_one_after_the_other() -> None:
    rates = {"CPU": CPU, "CUDA0": GPU}
    full = decode_seconds(DENSE, _plan(devices=("CUDA0",)), rates, 0)
    half = decode_seconds(DENSE, _plan(devices=("CUDA0",), n_gpu_layers=16), rates, 0)
    none = decode_seconds(DENSE, _plan(n_gpu_layers=0, devices=("CUDA0",)), rates, 0)
    assert full is not None
    assert half is not None
    assert none is not None
    assert full * 10 < half < none


def test_experts_in_memory_cost_the_processor_s_time() -> None:
    rates = {"CPU": CPU, "CUDA0": GPU}
    on_gpu = decode_seconds(MOE, _plan(devices=("CUDA0",)), rates, 0)
    in_memory = decode_seconds(MOE, _plan(devices=("CUDA0",), n_cpu_moe=48), rates, 0)
    assert on_gpu is not None
    assert in_memory is not None
    assert in_memory > 5 * on_gpu


def test_an_unmeasured_device_makes_no_forecast() -> None:
    assert decode_seconds(DENSE, _plan(devices=("CUDA0",)), {"CPU": CPU}, 0) is None
    speed = forecast(DENSE, _plan(devices=("CUDA0",)), {"CPU": CPU}, 0)
    assert speed.decode is None
    assert speed.first_token is None


def test_prefill_is_arithmetic() -> None:
    assert prefill_seconds(DENSE, _plan(), {"CPU": CPU}, 0) == pytest.approx(14e9 / 200e9)


def test_the_first_token_waits_for_the_prompt() -> None:
    speed = forecast(DENSE, _plan(), {"CPU": CPU}, 1000)
    assert speed.first_token is not None
    assert speed.first_token.low < 1000 * 0.07 < speed.first_token.high


def test_a_forecast_is_a_range_around_the_estimate() -> None:
    speed = forecast(DENSE, _plan(), {"CPU": CPU}, 0)
    seconds = decode_seconds(DENSE, _plan(), {"CPU": CPU}, 0)
    assert speed.decode is not None
    assert seconds is not None
    assert speed.decode.low == pytest.approx((1 - UNPROVEN) / seconds)
    assert speed.decode.high == pytest.approx((1 + UNPROVEN) / seconds)


def test_past_runs_move_and_narrow_the_range() -> None:
    history = [Run(100, 80), Run(50, 41), Run(10, 7.9), Run(20, 16.2)]
    speed = forecast(DENSE, _plan(), {"CPU": CPU}, 0, history)
    plain = forecast(DENSE, _plan(), {"CPU": CPU}, 0)
    assert speed.decode is not None
    assert plain.decode is not None
    middle = (speed.decode.low + speed.decode.high) / 2
    assert middle == pytest.approx((plain.decode.low + plain.decode.high) / 2 * 0.805, rel=0.02)
    assert speed.decode.high / speed.decode.low < 1.2
    assert "4 runs" in speed.decode.source


def test_two_runs_prove_nothing() -> None:
    assert correction([Run(10, 1), Run(10, 1)]) == (1.0, UNPROVEN)
    assert correction([Run(10, 10)] * 5) == (1.0, 0.06)
    decode = forecast(DENSE, _plan(), {"CPU": CPU}, 0, [Run(10, 1), Run(10, 1)]).decode
    assert decode is not None
    assert decode.source == "measured rates"


def test_the_error_history_is_told() -> None:
    found = error_history([Run(100, 100), Run(110, 100), Run(150, 100)])
    assert found is not None
    assert found == pytest.approx((0.1, 0.5))
    assert error_history([]) is None


def test_unmeasured_types_take_the_most_alike() -> None:
    assert CPU.of("Q4_K") is CPU.types["Q4_K"]
    assert CPU.of("IQ2_XS") is CPU.types["Q4_K"]
    assert CPU.attention_of("q5_1") == 6e9
    assert CPU.attention_of("bf16") == 8e9
