"""Whom to unload when room is needed: a pure function, so that policy can be read and tested apart from processes.

The victim is the one that has been idle longest in relation to what loading it again costs and how much the user
cares: idle time / (load time x weight). Caches go before weights: a model that loses its cache answers its next
request after one prefill, one that loses its weights after a load.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from msgspec import Struct

Stage = Literal["cache", "model"]

LEAST_LOAD = 0.5  # seconds: below it the clock says more about the disk cache than about the model


class Loaded(Struct, frozen=True, omit_defaults=True):
    """A loaded model as eviction sees it. Bytes by device name."""

    id: str
    idle: float
    """Seconds since its last request ended."""
    load_seconds: float
    weights: dict[str, int] = {}
    cache: dict[str, int] = {}
    weight: float = 1.0
    """How much the user cares: 2 is worth keeping twice as long."""
    busy: bool = False
    pinned: bool = False
    cache_alone: bool = False
    """Its cache can be given back without unloading it."""

    @property
    def score(self) -> float:
        """The larger, the sooner it goes."""
        return self.idle / (max(self.load_seconds, LEAST_LOAD) * max(self.weight, 1e-6))


class Eviction(Struct, frozen=True):
    """One step: give back a model's cache, or unload it."""

    id: str
    stage: Stage


def choose(
    loaded: Iterable[Loaded], missing: Mapping[str, int], least_idle: float = 0.0
) -> list[Eviction] | None:
    """The steps that free ``missing`` bytes on each device, in order; [] when nothing is missing, None when all idle
    models together are not enough (then nothing should be unloaded in vain). Busy and pinned models, and those idle
    for less than ``least_idle`` seconds, stay."""
    short = {device: count for device, count in missing.items() if count > 0}
    if not short:
        return []
    idle = [model for model in loaded if not model.busy and not model.pinned and model.idle >= least_idle]
    ranked = sorted(idle, key=lambda model: (-model.score, model.id))
    steps: list[Eviction] = []
    for stage in ("cache", "model"):
        for model in ranked:
            freed = _frees(model, stage)
            if any(freed.get(device, 0) > 0 and short[device] > 0 for device in short):
                steps.append(Eviction(model.id, stage))
                short = {device: count - freed.get(device, 0) for device, count in short.items()}
            if all(count <= 0 for count in short.values()):
                return _without_waste(steps, ranked, missing)
    return None


def _frees(model: Loaded, stage: str) -> dict[str, int]:
    if stage == "cache":
        return model.cache if model.cache_alone else {}
    if model.cache_alone:  # its cache has gone in the first stage
        return model.weights
    devices = {*model.weights, *model.cache}
    return {device: model.weights.get(device, 0) + model.cache.get(device, 0) for device in devices}


def _without_waste(
    steps: Sequence[Eviction], ranked: Sequence[Loaded], missing: Mapping[str, int]
) -> list[Eviction]:
    """Leave out earlier steps that later ones have made needless; an unloaded model needs no cache step."""
    by_id = {model.id: model for model in ranked}
    unloaded = {step.id for step in steps if step.stage == "model"}
    kept = [step for step in steps if step.stage == "model" or step.id not in unloaded]
    for step in list(kept):
        rest = [other for other in kept if other is not step]
        if all(_total(rest, by_id, device) >= count for device, count in missing.items()):
            kept = rest
    return kept


def _total(steps: Iterable[Eviction], by_id: Mapping[str, Loaded], device: str) -> int:
    total = 0
    for step in steps:
        model = by_id[step.id]
        total += model.cache.get(device, 0)
        if step.stage == "model":
            total += model.weights.get(device, 0)
    return total
