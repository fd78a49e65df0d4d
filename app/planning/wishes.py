"""From the settings' texts and numbers to the planner's wishes."""

import math
from collections.abc import Mapping

from msgspec.structs import asdict, replace

from app.core.engine_settings import Engine
from app.core.errors import SettingsError
from app.core.types import Adapter
from app.planning.planner import Wishes

# LoadPlan takes these as they stand in the settings.
AS_THEY_ARE = (
    "flash_attn", "n_cpu_moe", "split_mode", "main_gpu", "offload_kqv", "kv_unified", "cache_ram_mb", "swa_full",
    "n_batch", "n_ubatch", "rope_scaling", "rope_freq_base", "rope_freq_scale", "yarn_orig_ctx", "yarn_ext_factor",
    "yarn_attn_factor", "yarn_beta_fast", "yarn_beta_slow", "seed",
)  # fmt: skip


def from_settings(engine: Engine) -> Wishes:
    """What the settings ask for. Only what differs from the defaults overrides the planner.
    Raises SettingsError naming a list that can't be read."""
    return Wishes(
        n_ctx=engine.n_ctx,
        n_gpu_layers=engine.n_gpu_layers,
        n_parallel=engine.n_parallel,
        n_threads=engine.n_threads or None,
        kv_type=engine.kv_type,
        use_mmap=engine.use_mmap,
        use_mlock=engine.use_mlock,
        beyond_trained=_stretches(engine),
        devices=tuple(_items(engine.devices)) or None,
        guardrail=engine.guardrail,
        guardrail_bytes=int(engine.guardrail_gib * 2**30) or None,
        extra=_extra(engine),
    )


def with_changes(wishes: Wishes, changes: Mapping[str, object]) -> Wishes:
    """With some of ``LoadPlan``'s fields as somebody asks for them in so many words: a context is neither made shorter
    nor cut to what the model was trained for."""
    extra = {**wishes.extra, **{name: value for name, value in changes.items() if name != "n_ctx"}}
    n_ctx = changes.get("n_ctx")
    if not isinstance(n_ctx, int):
        return replace(wishes, extra=extra)
    return replace(wishes, n_ctx=n_ctx, min_ctx=n_ctx, beyond_trained=True, extra=extra)


def _stretches(engine: Engine) -> bool:
    return (
        engine.rope_scaling not in ("model", "none")
        or engine.rope_freq_base > 0
        or engine.rope_freq_scale > 0
    )


def _extra(engine: Engine) -> dict[str, object]:
    chosen, usual = asdict(engine), asdict(Engine())
    extra: dict[str, object] = {name: chosen[name] for name in AS_THEY_ARE if chosen[name] != usual[name]}
    if engine.v_type != "same":
        extra["type_v"] = engine.v_type
    if engine.n_threads_batch:
        extra["n_threads_batch"] = engine.n_threads_batch
    if engine.tensor_split.strip():
        extra["tensor_split"] = _shares(engine.tensor_split)
    if engine.tensor_overrides.strip():
        extra["tensor_overrides"] = tuple(_pair(item) for item in _items(engine.tensor_overrides))
    if engine.adapters.strip():
        extra["adapters"] = tuple(_adapter(item) for item in _items(engine.adapters))
    if chosen_projector := engine.mmproj.strip():
        extra["projector"] = None if chosen_projector.lower() == "none" else chosen_projector
    return extra


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _shares(text: str) -> tuple[float, ...]:
    try:
        found = tuple(float(item) for item in _items(text))
    except ValueError:
        found = ()
    if not all(0 <= share < math.inf for share in found) or not any(found):
        detail = "each must be a number, 0 or more, as in 3,1"
        raise SettingsError(key="engine.tensor_split", value=text, detail=detail)
    return found


def _pair(text: str) -> tuple[str, str]:
    pattern, separator, buffer = text.rpartition("=")
    if not separator or not pattern:
        raise SettingsError(
            key="engine.tensor_overrides", value=text, detail="write PATTERN=BUFFER, as in ffn_.*_exps=CPU"
        )
    return pattern, buffer


def _adapter(text: str) -> Adapter:
    path, separator, scale = text.rpartition(":")
    # A Windows path has a colon of its own: only a number after it is a scale.
    if separator and scale.replace(".", "", 1).replace("-", "", 1).isdigit():
        return Adapter(path, float(scale))
    return Adapter(text)
