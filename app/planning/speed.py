"""Tokens per second before anything is loaded: measured rates of this machine x what the model reads for a token.

    seconds(token) = token overhead + layers x layer overhead
                     + bytes / bandwidth + rows x row overhead + matrices x matrix overhead
                     + context x (attention elements / attention rate + bytes of K and V / best bandwidth)

each by weight type and device, in series over the devices a plan uses; of a mixture of experts only the chosen ones.
A forecast is a range: its width is the spread of our own past errors, or ``UNPROVEN`` before there are any.
"""

import statistics
from collections.abc import Mapping, Sequence

from msgspec import Struct

from app.core.types import Forecast, LoadPlan
from app.planning.memory import HOST, Placement, place, row_bytes
from app.planning.model_facts import Layer, Mix, ModelFacts, Work
from app.planning.rates import Rates
from app.planning.runs import Run

UNPROVEN = 0.22
"""Half the width of the range before a run has been measured."""
NARROWEST = 0.06
ENOUGH = 3
"""Runs before they correct a forecast: of one or two, any may have been an odd one."""
PREFILL_REUSE = 8.0
"""Attention in a batch reads each key once for many tokens: times faster for an element than in decode (seen: 6-10)."""
HOP = 30e-6
"""Seconds to hand the activations from one device to the next."""


class Speed(Struct, frozen=True, omit_defaults=True):
    """Forecasts for one plan at one filling of its context. None: a device it uses has not been measured."""

    decode: Forecast | None = None
    """Tokens per second."""
    prefill: Forecast | None = None
    first_token: Forecast | None = None
    """Seconds until the first token of a prompt that fills the context so far."""


def main_device(facts: ModelFacts, plan: LoadPlan) -> str:
    """The device that computes most layers of a plan: past runs on it correct the forecast."""
    layers = place(facts, plan, plan.devices).layers
    return max(dict.fromkeys(layers), key=layers.count, default=HOST)


def decode_seconds(
    facts: ModelFacts, plan: LoadPlan, rates: Mapping[str, Rates], context: int
) -> float | None:
    """Seconds for one token with ``context`` tokens before it."""
    placement = place(facts, plan, plan.devices)
    total = 0.0
    for device in placement.devices:
        here = rates.get(device)
        used = _uses(facts, plan, placement, device)
        if used is None:
            continue
        if here is None:
            return None
        body, experts, output, layers = used
        total += _mix_seconds(facts.body_mix, here, body)
        total += _mix_seconds(facts.expert_mix, here, experts)
        total += _mix_seconds(facts.output_mix, here, output)
        total += _attention_seconds(facts, plan, here, layers, context)
        total += here.token + len(layers) * here.layer + (HOP if device != HOST else 0.0)
    return total or None


def prefill_seconds(
    facts: ModelFacts, plan: LoadPlan, rates: Mapping[str, Rates], context: int
) -> float | None:
    """Seconds for a token of a prompt, averaged over a prompt of ``context`` tokens."""
    placement = place(facts, plan, plan.devices)
    total = 0.0
    for device in placement.devices:
        used = _uses(facts, plan, placement, device)
        if used is None:
            continue
        here = rates.get(device)
        if here is None:
            return None
        body, experts, _, layers = used
        total += _mix_flops(facts.body_mix, here, body) + _mix_flops(facts.expert_mix, here, experts)
        total += _attention_seconds(facts, plan, here, layers, context // 2) / PREFILL_REUSE
    return total or None


def _uses(
    facts: ModelFacts, plan: LoadPlan, placement: Placement, device: str
) -> tuple[float, float, float, list[Layer]] | None:
    """(share of the layers' matrices, of the chosen experts, of the output, layers whose attention runs here)."""
    here = [layer for layer, where in zip(facts.layers, placement.layers, strict=True) if where == device]
    weights = sum(layer.weights for layer in facts.layers) or 1
    experts = sum(layer.experts for layer in facts.layers)
    mine = sum(
        layer.experts
        for index, (layer, where) in enumerate(zip(facts.layers, placement.layers, strict=True))
        if (HOST if index < placement.n_cpu_moe else where) == device
    )
    chosen = facts.experts_used / facts.experts if facts.experts else 1.0
    output = 1.0 if placement.output == device else 0.0
    if not here and not mine and not output:
        return None
    attention = here if plan.offload_kqv or device == HOST else []
    share = mine / experts * chosen if experts else 0.0
    return sum(layer.weights for layer in here) / weights, share, output, attention


def _mix_seconds(mix: Mix, rates: Rates, share: float) -> float:
    return share * sum(_work_seconds(kind, work, rates) for kind, work in mix.items()) if share else 0.0


def _work_seconds(kind: str, work: Work, rates: Rates) -> float:
    rate = rates.of(kind)
    if rate is None:
        return 0.0
    return work.bytes / rate.bandwidth + work.rows * rate.row + work.matrices * rate.matrix


def _mix_flops(mix: Mix, rates: Rates, share: float) -> float:
    total = 0.0
    for kind, work in mix.items():
        rate = rates.of(kind)
        total += 0.0 if rate is None else 2 * work.elements / rate.prefill
    return share * total


def _attention_seconds(
    facts: ModelFacts, plan: LoadPlan, rates: Rates, layers: Sequence[Layer], context: int
) -> float:
    rate = rates.attention_of(plan.type_k)
    if rate is None:
        return 0.0
    elements, read = 0.0, 0.0
    for layer in layers:
        if layer.k_width:
            seen = min(context, facts.window) if layer.windowed else context
            # Latent attention multiplies every head with the whole compressed vector, once as key, once as value.
            width = 2 * facts.head_dim if layer.v_width else 2 * layer.k_width
            elements += facts.n_head * width * seen
            read += (row_bytes(layer.k_width, plan.type_k) + row_bytes(layer.v_width, plan.type_v)) * seen
    read += 2 * sum(layer.state for layer in layers)
    best = rates.read or max((rate.bandwidth for rate in rates.types.values()), default=0.0)
    return elements / rate + (read / best if best else 0.0)


def correction(history: Sequence[Run]) -> tuple[float, float]:
    """(factor on forecasts, half width of the range) from past runs: the median ratio, and a spread that held 80 % of
    them; ``(1, UNPROVEN)`` with fewer than three."""
    ratios = [run.ratio for run in history if run.forecast > 0 and run.measured > 0]
    if len(ratios) < ENOUGH:
        return 1.0, UNPROVEN
    middle = statistics.median(ratios)
    errors = sorted(abs(ratio / middle - 1) for ratio in ratios)
    return middle, min(0.6, max(NARROWEST, errors[min(len(errors) - 1, int(0.8 * len(errors)))]))


def error_history(history: Sequence[Run]) -> tuple[float, float] | None:
    """(median, worst) relative error of past forecasts, for Settings; None before the first run."""
    errors = [abs(run.forecast / run.measured - 1) for run in history if run.measured > 0]
    return (statistics.median(errors), max(errors)) if errors else None


def forecast(
    facts: ModelFacts, plan: LoadPlan, rates: Mapping[str, Rates], context: int, history: Sequence[Run] = ()
) -> Speed:
    """Decode, prefill and first-token forecasts with ``context`` tokens in use."""
    step = decode_seconds(facts, plan, rates, context)
    fill = prefill_seconds(facts, plan, rates, max(context, 1))
    if step is None or fill is None:
        return Speed()
    factor, width = correction(history)
    source = f"measured rates, {len(history)} runs" if len(history) >= ENOUGH else "measured rates"
    wide = max(width, 0.35)
    wait = max(context, 1) * fill + step
    return Speed(
        Forecast(factor / step * (1 - width), factor / step * (1 + width), source),
        Forecast(1 / fill * (1 - wide), 1 / fill * (1 + wide), "measured rates"),
        Forecast(wait * (1 - wide), wait * (1 + wide), "measured rates"),
    )
