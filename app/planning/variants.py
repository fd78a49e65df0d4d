"""The same model in another quant: what is known of one file of a repository, carried over to its neighbours.

Only the sizes differ between them: layers, widths of the cache and the shapes of the matrices are the same.
"""

import re

import msgspec

from app.hardware.facts import Machine
from app.planning.fit import Fitter
from app.planning.model_facts import Layer, Mix, ModelFacts, Work

_TYPE = re.compile(
    r"(I?Q\d_K|I?Q\d_[01]|IQ\d_(?:XXS|XS|S|M|NL)|TQ\d_0|MXFP4|NVFP4|BF16|F16|F32)", re.IGNORECASE
)

USUAL_BITS = 4.85
"""Bits per weight of Q4_K_M."""


def weight_type(quant: str) -> str:
    """The ggml type most of a quant's weights have: ``UD-Q4_K_XL`` is mostly Q4_K. Q4_K when the name says nothing."""
    match = _TYPE.search(quant)
    return match[1].upper() if match else "Q4_K"


def requantized(facts: ModelFacts, total: int, kind: str) -> ModelFacts:
    """``facts`` as of a file of ``total`` bytes whose weights are mostly of ``kind``; not exact any more."""
    share = total / (facts.bytes or total or 1)
    return msgspec.structs.replace(
        facts,
        layers=tuple(_scaled(layer, share) for layer in facts.layers),
        input_bytes=int(facts.input_bytes * share),
        output_bytes=int(facts.output_bytes * share),
        tensors={name: int(count * share) for name, count in facts.tensors.items()},
        exact=False,
        body_mix=_all_of(facts.body_mix, kind, share),
        expert_mix=_all_of(facts.expert_mix, kind, share),
        output_mix=_all_of(facts.output_mix, kind, share),
    )


def _scaled(layer: Layer, share: float) -> Layer:
    return msgspec.structs.replace(
        layer, weights=int(layer.weights * share), experts=int(layer.experts * share)
    )


def _all_of(mix: Mix, kind: str, share: float) -> dict[str, Work]:
    if not mix:
        return {}
    return {
        kind: Work(
            int(sum(work.bytes for work in mix.values()) * share),
            sum(work.rows for work in mix.values()),
            sum(work.elements for work in mix.values()),
            sum(work.matrices for work in mix.values()),
        )
    }


def largest_fitting(machine: Machine, n_ctx: int) -> int:
    """Parameters of the largest model whose usual quant fits into this machine's memory, to 10 million."""
    fitter = Fitter(machine, n_ctx)
    low, high = 0, 2 * 10**12
    while high - low > 10**7:
        middle = (low + high) // 2
        fits = fitter.label(int(middle * USUAL_BITS / 8), middle) != "too_large"
        low, high = (middle, high) if fits else (low, middle)
    return low
