"""Which of a repository's quants to take: the usual choice if it fits, else the best that does, and why."""

from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from app.models.hub_types import QuantFile
from app.models.quants import explain

Why = Literal["usual", "trained", "best", "smallest"]
"""The usual balance; what the model was trained for; the best that fits; the smallest, all being above the usual."""

_FITS = ("full_gpu", "fits_in_memory")
_USUAL = ("Q4_K_M", "UD-Q4_K_XL", "MXFP4", "MXFP4_MOE", "Q4_K_S", "IQ4_XS", "Q4_0", "Q4_1")
_TRAINED = {"MXFP4", "MXFP4_MOE"}


class Choice(Struct, frozen=True):
    """One quant, by id, and the reason."""

    id: str
    why: Why


def recommend(quants: Sequence[QuantFile], fits: Mapping[str, str]) -> Choice | None:
    """One quant, or None when none is a model that fits. Without fit labels the usual choice is taken."""
    models = [quant for quant in quants if quant.kind in {"text", "embedding", "reranker"}]
    fitting = [quant for quant in models if fits.get(quant.id, "fits_in_memory") in _FITS]
    for name in _USUAL:
        found = next((quant for quant in fitting if quant.quant == name), None)
        if found is not None:
            return Choice(found.id, "trained" if _trained(found) else "usual")
    if not fitting:
        return None
    # Below the usual size the largest that fits; when all are above it, the smallest.
    small = [quant for quant in fitting if (explain(quant.quant).bits or 99) <= 5]
    if small:
        return Choice(max(small, key=lambda quant: quant.bytes).id, "best")
    return Choice(min(fitting, key=lambda quant: quant.bytes).id, "smallest")


def _trained(quant: QuantFile) -> bool:
    return quant.quant in _TRAINED or (quant.quant == "Q4_0" and "qat" in quant.repo.lower())
