"""A real mixture of experts: it says what its dense twin says, wherever its experts are."""

from pathlib import Path

import pytest

from app.cli.run import ask, new_id
from app.core.events import Bus, InstanceChanged
from app.core.generate import GenerateRequest, Message, SamplingParams
from app.core.types import LoadPlan
from app.models.gguf import read_header
from app.models.summary import summarize
from app.runtime.supervisor import Supervisor
from tests.bench.decode import _Running  # what ``ask`` needs of the services
from tests.fakes.moe import EXPERTS, write_moe

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def moe(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_moe(starter, tmp_path_factory.mktemp("moe") / "moe.gguf")


@pytest.fixture
def supervisor(tmp_path: Path):
    running = Supervisor(Bus(), tmp_path)
    yield running
    running.close()


def answer(supervisor: Supervisor, plan: LoadPlan) -> tuple[str, InstanceChanged]:
    ready = supervisor.ensure_ready(plan.model_path, plan).result(60)
    request = GenerateRequest(
        new_id(),
        (Message("user", "Name the capital of France."),),
        sampling=SamplingParams(temperature=0, max_tokens=24),
    )
    said = ask(_Running(supervisor), plan.model_path, request).text  # type: ignore[arg-type]
    supervisor.unload(plan.model_path).result(30)
    return said, ready


def test_the_header_tells_its_experts(moe: Path) -> None:
    summary = summarize(read_header(moe))
    assert (summary.expert_count, summary.expert_used_count) == (EXPERTS, EXPERTS)


def test_it_says_what_the_dense_model_says(starter: Path, moe: Path, supervisor: Supervisor) -> None:
    dense, _ = answer(supervisor, LoadPlan(str(starter), n_ctx=512, n_parallel=1, n_threads=2))
    sparse, _ = answer(supervisor, LoadPlan(str(moe), n_ctx=512, n_parallel=1, n_threads=2))
    assert "Paris" in dense
    assert sparse == dense


def test_experts_can_be_placed_by_layers_and_by_pattern(moe: Path, supervisor: Supervisor) -> None:
    plain, _ = answer(supervisor, LoadPlan(str(moe), n_ctx=512, n_parallel=1, n_threads=2))
    for plan in (
        LoadPlan(str(moe), n_ctx=512, n_parallel=1, n_threads=2, n_cpu_moe=10),
        LoadPlan(
            str(moe),
            n_ctx=512,
            n_parallel=1,
            n_threads=2,
            tensor_overrides=((r"blk\.[0-9]\.ffn_.*_exps", "CPU"),),
        ),
    ):
        assert answer(supervisor, plan)[0] == plain
