"""Which of a repository's quants to take: the usual choice if it fits, else the best that does."""

from collections.abc import Mapping, Sequence

from app.models.hub_types import QuantFile
from app.models.quants import explain

_FITS = ("full_gpu", "fits_in_memory")
_USUAL = ("Q4_K_M", "UD-Q4_K_XL", "MXFP4", "MXFP4_MOE", "Q4_K_S", "IQ4_XS", "Q4_0", "Q4_1")


def recommend(quants: Sequence[QuantFile], fits: Mapping[str, str]) -> str | None:
    """The id of one quant, or None when none is a model that fits. Without fit labels the usual choice is taken."""
    models = [quant for quant in quants if quant.kind in {"text", "embedding", "reranker"}]
    fitting = [quant for quant in models if fits.get(quant.id, "fits_in_memory") in _FITS]
    for name in _USUAL:
        found = next((quant for quant in fitting if quant.quant == name), None)
        if found is not None:
            return found.id
    if not fitting:
        return None
    # Below the usual size the largest that fits; when all are above it, the smallest.
    small = [quant for quant in fitting if (explain(quant.quant).bits or 99) <= 5]
    best = max(small, key=lambda quant: quant.bytes) if small else min(fitting, key=lambda quant: quant.bytes)
    return best.id
