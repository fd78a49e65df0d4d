import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.core.types import KvType, LoadPlan
from app.models.gguf import read_header
from app.planning.memory import (
    cache_bytes,
    cells,
    compute_bytes,
    forecast,
    kv_bytes,
    output_buffer,
    place,
    row_bytes,
    sequences,
)
from app.planning.model_facts import Layer, ModelFacts, from_header
from tests.fakes.architectures import ARCHITECTURES
from tests.fakes.gguf_writer import write_gguf

GGML: dict[KvType, int] = {"f16": 1, "q8_0": 8, "q4_0": 2}
SCRIPT = Path(__file__).parents[1] / "fakes/llama_memory.py"


def _facts(count: int = 4, **more: object) -> ModelFacts:
    layers = tuple(Layer(1000, 0, 256, 256) for _ in range(count))
    values: dict[str, object] = {
        "input_bytes": 100,
        "output_bytes": 200,
        "n_embd": 64,
        "n_vocab": 1000,
        **more,
    }
    return ModelFacts("llama", layers, **values)  # type: ignore[arg-type]


def _report(path: Path, plans: list[LoadPlan], alloc: bool) -> list[dict[str, float]]:
    asked = [
        {
            "n_ctx": p.n_ctx,
            "n_seq": sequences(p),
            "unified": p.kv_unified,
            "type": GGML[p.type_k],
            "alloc": alloc,
        }
        for p in plans
    ]
    environ = {**os.environ, "GGML_NO_BACKTRACE": "1"}
    command = [sys.executable, str(SCRIPT), str(path), json.dumps(asked)]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=100, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def _plan(n_ctx: int, kind: KvType, n_parallel: int, n_idle: int = 0, unified: bool = True) -> LoadPlan:
    return LoadPlan(
        "", n_ctx=n_ctx, type_k=kind, type_v=kind, n_parallel=n_parallel, n_idle=n_idle, kv_unified=unified
    )


def _error(facts: ModelFacts, plan: LoadPlan, real: dict[str, float]) -> float:
    (found,) = forecast(facts, plan, place(facts, plan, ()))
    return (found.weights + found.kv + found.compute) / sum(real.values()) - 1


def test_the_starter_model_is_within_three_percent_over_twelve_plans(starter: Path) -> None:
    facts = from_header(read_header(starter))
    kinds: tuple[KvType, ...] = ("f16", "q8_0", "q4_0")
    plans = [
        _plan(n_ctx, kind, count, unified=count == 1 or n_ctx == 2048)
        for (n_ctx, count), kind in itertools.product(((512, 1), (2048, 4), (4096, 4), (8192, 1)), kinds)
    ]
    reports = _report(starter, plans, alloc=True)
    errors = [_error(facts, plan, real) for plan, real in zip(plans, reports, strict=True)]
    caches = [kv_bytes(facts, plan) / real["kv"] - 1 for plan, real in zip(plans, reports, strict=True)]
    assert max(map(abs, caches)) < 0.002  # the report is rounded to 0.01 MiB
    assert max(map(abs, errors)) < 0.03, errors


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_other_architectures_are_within_five_percent(name: str, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / f"{name}.gguf", *ARCHITECTURES[name]())
    facts = from_header(read_header(path))
    plans = [
        _plan(4096, "f16", 4),
        _plan(16384, "q8_0", 1),
        _plan(16384, "f16", 4, 8),
        _plan(4096, "f16", 2, unified=False),
    ]
    for plan, real in zip(plans, _report(path, plans, alloc=False), strict=True):
        assert abs(_error(facts, plan, real)) < 0.02
        assert kv_bytes(facts, plan) == pytest.approx(real["kv"], rel=0.001)
        compute = compute_bytes(facts, plan) + output_buffer(facts, plan)
        assert compute == pytest.approx(real["compute"], rel=0.25)
        assert facts.bytes == pytest.approx(real["weights"], rel=0.001)


def test_rows_are_padded_to_whole_blocks() -> None:
    assert row_bytes(192, "f16") == 384
    assert row_bytes(192, "q8_0") == 204
    assert row_bytes(40, "q4_0") == 36


def test_streams_of_their_own_multiply_the_cache() -> None:
    facts = _facts()
    shared = kv_bytes(facts, _plan(1024, "f16", 4))
    assert kv_bytes(facts, _plan(1024, "f16", 4, unified=False)) == 4 * shared


def test_a_window_caps_the_cells() -> None:
    facts = _facts(window=1024)
    assert cells(facts, _plan(16384, "f16", 1)) == (16384, 1536)
    assert cells(facts, _plan(16384, "f16", 4)) == (16384, 4608)
    assert cells(facts, _plan(1024, "f16", 1)) == (1024, 1024)


def test_recurrent_state_counts_once_for_each_sequence() -> None:
    layer = Layer(state=1000)
    assert cache_bytes(layer, _facts(), _plan(8192, "f16", 4)) == 4000
    assert cache_bytes(layer, _facts(), _plan(512, "f16", 1, 8)) == 9000


def test_the_last_layers_and_the_output_go_to_the_gpu_first() -> None:
    facts = _facts()
    plan = LoadPlan("", n_gpu_layers=2)
    placement = place(facts, plan, ("CUDA0",))
    assert placement.layers == ("CPU", "CPU", "CPU", "CUDA0")
    assert placement.output == "CUDA0"
    assert place(facts, LoadPlan("", n_gpu_layers=0), ("CUDA0",)).devices == ("CPU",)
    assert set(place(facts, LoadPlan(""), ("CUDA0",)).layers) == {"CUDA0"}


def test_layers_split_by_share() -> None:
    facts = _facts(7)
    placement = place(facts, LoadPlan("", tensor_split=(3.0, 1.0)), ("CUDA0", "CUDA1"))
    assert placement.layers == ("CUDA0",) * 6 + ("CUDA1",)
    assert placement.output == "CUDA1"


def test_one_gpu_is_used_without_a_split() -> None:
    placement = place(_facts(), LoadPlan("", split_mode="none", main_gpu=1), ("CUDA0", "CUDA1"))
    assert placement.devices == ("CPU", "CUDA1")


def test_tied_embeddings_are_on_both_sides() -> None:
    facts = _facts(tied=True)
    plan = LoadPlan("", n_ctx=512)
    host, gpu = forecast(facts, plan, place(facts, plan, ("CUDA0",)))
    assert host.weights == 100
    assert gpu.weights == 4 * 1000 + 200 + 100


def test_experts_of_the_first_layers_stay_in_memory() -> None:
    facts = ModelFacts(
        "qwen3moe", tuple(Layer(10, 1000, 64, 64) for _ in range(4)), experts=8, experts_used=2, n_embd=64
    )
    plan = LoadPlan("", n_ctx=512, n_cpu_moe=3)
    host, gpu = forecast(facts, plan, place(facts, plan, ("CUDA0",)))
    assert (host.weights, gpu.weights) == (3000, 1040)
    assert host.kv == 0
    assert facts.active_bytes == 4 * (10 + 250)


def test_the_cache_stays_in_memory_when_asked() -> None:
    facts = _facts()
    plan = LoadPlan("", n_ctx=512, offload_kqv=False)
    host, gpu = forecast(facts, plan, place(facts, plan, ("CUDA0",)))
    assert gpu.kv == 0
    assert host.kv == kv_bytes(facts, plan)


def test_what_a_backend_was_seen_to_take_replaces_the_assumption() -> None:
    facts, plan = _facts(), LoadPlan("", n_ctx=512)
    _, gpu = forecast(facts, plan, place(facts, plan, ("CUDA0",)), {"CUDA": 7})
    assert gpu.overhead == 7


def test_without_flash_attention_the_scores_are_kept() -> None:
    facts = _facts(n_head=8, head_dim=32)
    plan = LoadPlan("", n_ctx=8192)
    off = LoadPlan("", n_ctx=8192, flash_attn="off")
    assert compute_bytes(facts, off) - compute_bytes(facts, plan) > 4 * 512 * 8 * 8192
