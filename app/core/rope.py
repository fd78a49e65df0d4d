"""How positions are stretched when a context is longer than the length a model was trained for."""

from msgspec.structs import replace

from app.core.types import LoadPlan

STRETCHING = ("linear", "yarn")


def stretched(plan: LoadPlan, trained: int, own: float = 1.0) -> LoadPlan:
    """The plan with the RoPE scale that fits its context into the ``trained`` length, where ``linear`` or ``yarn`` is
    asked for and no scale is named: llama.cpp alone would then take the file's ``own`` scale, which stretches nothing
    further (``llama-context.cpp``)."""
    if plan.rope_scaling not in STRETCHING or plan.rope_freq_scale or not 0 < trained < plan.n_ctx:
        return plan
    return replace(plan, rope_freq_scale=(own or 1.0) * trained / plan.n_ctx)
