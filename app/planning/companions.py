"""What is loaded beside a model: its vision projector, and the small model that drafts for it."""

import functools
from collections.abc import Mapping
from pathlib import Path

import msgspec

from app.core.errors import ModelError
from app.core.types import LoadPlan, ModelFile, ModelRecord
from app.planning.memory import HOST, DeviceMemory, Placement, forecast
from app.planning.model_facts import ModelFacts, from_record


def with_companions(
    memory: tuple[DeviceMemory, ...], plan: LoadPlan, overhead: Mapping[str, int] | None = None
) -> tuple[DeviceMemory, ...]:
    """The forecast with a projector's and a draft model's bytes on the plan's first device (main memory without
    one). A file that can't be read adds nothing: loading says what is wrong with it."""
    if not plan.projector and not plan.draft_path:
        return memory
    device = plan.devices[0] if plan.devices and plan.n_gpu_layers else HOST
    added = [DeviceMemory(device, weights=_size(plan.projector))] if plan.projector else []
    added += _draft(plan, device, overhead) if plan.draft_path else []
    found = {item.device: item for item in memory}
    for item in added:
        found[item.device] = _sum(found.get(item.device, DeviceMemory(item.device)), item)
    return tuple(found.values())


def _draft(plan: LoadPlan, device: str, overhead: Mapping[str, int] | None) -> list[DeviceMemory]:
    """The draft model with the same context, wholly on one device."""
    facts = _facts(plan.draft_path or "", _stamp(plan.draft_path))
    if facts is None:
        return []
    alone = msgspec.structs.replace(plan, tensor_overrides=(), n_cpu_moe=0, projector=None, draft_path=None)
    here = Placement((device,) * len(facts.layers), device)
    found = forecast(facts, alone, here, overhead)
    return [msgspec.structs.replace(item, overhead=0) for item in found]


@functools.lru_cache(maxsize=16)
def _facts(path: str, stamp: int) -> ModelFacts | None:
    try:
        return from_record(ModelRecord("", "", (ModelFile(path, stamp),), stamp))
    except (OSError, ModelError):
        return None


def _stamp(path: str | None) -> int:
    try:
        return Path(path or "").stat().st_mtime_ns
    except OSError:
        return 0


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0


def _sum(one: DeviceMemory, other: DeviceMemory) -> DeviceMemory:
    return msgspec.structs.replace(
        one,
        weights=one.weights + other.weights,
        kv=one.kv + other.kv,
        compute=one.compute + other.compute,
        overhead=one.overhead + other.overhead,
    )
