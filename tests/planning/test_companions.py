import shutil
from pathlib import Path

import msgspec
import pytest

from app.core.types import LoadPlan
from app.models.gguf import read_header
from app.planning.companions import with_companions
from app.planning.memory import DeviceMemory, forecast, place
from app.planning.model_facts import ModelFacts, from_header


@pytest.fixture(scope="module")
def facts(starter: Path) -> ModelFacts:
    return from_header(read_header(starter))


def _memory(facts: ModelFacts, plan: LoadPlan) -> dict[str, DeviceMemory]:
    return {device.device: device for device in forecast(facts, plan, place(facts, plan, plan.devices))}


def test_a_projector_and_a_draft_model_take_memory(starter: Path, facts: ModelFacts, tmp_path: Path) -> None:
    projector = tmp_path / "mmproj.gguf"
    projector.write_bytes(bytes(1000))
    draft = tmp_path / "draft.gguf"
    shutil.copyfile(starter, draft)
    plan = LoadPlan(str(starter), devices=("CUDA0",), projector=str(projector), draft_path=str(draft))
    alone = forecast(facts, plan, place(facts, plan, plan.devices))
    found = {device.device: device for device in with_companions(alone, plan)}
    before = {device.device: device for device in alone}
    assert found["CUDA0"].weights >= 2 * before["CUDA0"].weights + 1000
    assert found["CUDA0"].kv == 2 * before["CUDA0"].kv
    assert found["CUDA0"].overhead == before["CUDA0"].overhead


def test_a_file_that_is_gone_adds_nothing(facts: ModelFacts) -> None:
    plan = LoadPlan("m.gguf", projector="/nowhere/mmproj.gguf", draft_path="/nowhere/draft.gguf")
    alone = forecast(facts, plan, place(facts, plan, ()))
    assert with_companions(alone, plan) == alone


def test_tensor_overrides_move_weights(facts: ModelFacts) -> None:
    plan = LoadPlan("m.gguf", devices=("CUDA0",))
    moved = msgspec.structs.replace(
        plan, tensor_overrides=((r"blk\.(1|2)\.ffn_.*", "CPU"), (r"blk\.1\..*", "CUDA0"))
    )
    size = sum(n for name, n in facts.tensors.items() if name.startswith(("blk.1.ffn_", "blk.2.ffn_")))
    before, after = _memory(facts, plan), _memory(facts, moved)
    assert size > 0
    assert after["CUDA0"].weights == before["CUDA0"].weights - size
    assert after["CPU"].weights == before["CPU"].weights + size
    assert after["CUDA0"].kv == before["CUDA0"].kv
