"""A real mixture of experts: the starter model, split so that it must write what the dense one writes."""

import re
from pathlib import Path

import pytest

from app.core.events import Bus
from app.core.generate import SamplingParams
from app.models.gguf import read_header
from app.models.summary import summarize
from app.runtime import llama_params
from app.runtime.supervisor import Supervisor
from tests.fakes.asking import MODEL, ask, request, small_plan
from tests.fakes.moe import EXPERTS, write_moe

BEGINNINGS = ("The capital of France is", "1, 2, 3, 4, 5, 6,", "January, February, March,", "a, b, c, d, e,")


@pytest.fixture(scope="module")
def moe(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_moe(starter, tmp_path_factory.mktemp("moe") / "moe.gguf")


def answers(path: Path, folder: Path, **changes: object) -> tuple[list[str], str]:
    """The texts, and what the worker's log says."""
    supervisor = Supervisor(Bus(), folder)
    try:
        supervisor.ensure_ready(MODEL, small_plan(path, **changes)).result(60)
        few = SamplingParams(temperature=0, max_tokens=6)
        texts = [ask(supervisor, request(prompt=begin, sampling=few)).wait().text() for begin in BEGINNINGS]
    finally:
        supervisor.close()
    return texts, "".join(log.read_text() for log in folder.glob("*.log"))


@pytest.fixture(scope="module")
def dense(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return answers(starter, tmp_path_factory.mktemp("dense"))[0]


def test_the_header_tells_its_experts(moe: Path) -> None:
    summary = summarize(read_header(moe))
    assert (summary.expert_count, summary.expert_used_count) == (EXPERTS, EXPERTS)


def test_experts_write_what_the_dense_model_writes(moe: Path, dense: list[str], tmp_path: Path) -> None:
    split, said = answers(moe, tmp_path / "split")
    assert split == dense
    assert "n_expert              = 4" in said


@pytest.mark.parametrize(
    "changes",
    [{"n_cpu_moe": 30}, {"tensor_overrides": ((r"blk\.[0-4]\.ffn_.*_exps", "CPU"),)}],
    ids="+".join,
)
def test_experts_in_main_memory(
    moe: Path, dense: list[str], tmp_path: Path, changes: dict[str, object]
) -> None:
    placed, said = answers(moe, tmp_path / "placed", **changes)
    assert placed == dense
    assert "tensor overrides to CPU are used" in said


@pytest.mark.parametrize(("layers", "kept"), [(1, [0]), (3, [0, 1, 2]), (1000, [0, 1, 2, 3, 12, 120])])
def test_layers_are_told_apart(layers: int, kept: list[int]) -> None:
    pattern = re.compile(llama_params._experts(layers))
    for layer in (0, 1, 2, 3, 12, 120):
        for part in ("up", "down", "gate", "gate_up"):
            assert bool(pattern.search(f"blk.{layer}.ffn_{part}_exps.weight")) == (layer in kept)
        assert not pattern.search(f"blk.{layer}.ffn_up.weight")
