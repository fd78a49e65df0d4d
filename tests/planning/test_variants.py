"""The facts of one file carried over to its neighbours, and the largest model that fits."""

from pathlib import Path

import pytest

from app.hardware.facts import Cpu, Machine, Memory
from app.models.gguf import read_header
from app.planning.fit import Fitter
from app.planning.model_facts import from_header
from app.planning.variants import USUAL_BITS, largest_fitting, requantized, weight_type

GIB = 2**30


@pytest.mark.parametrize(
    ("quant", "kind"),
    [
        ("Q4_K_M", "Q4_K"),
        ("UD-Q4_K_XL", "Q4_K"),
        ("IQ4_XS", "IQ4_XS"),
        ("IQ2_XXS", "IQ2_XXS"),
        ("Q8_0", "Q8_0"),
        ("MXFP4_MOE", "MXFP4"),
        ("BF16", "BF16"),
        ("special", "Q4_K"),
    ],
)
def test_the_type_most_weights_have(quant: str, kind: str) -> None:
    assert weight_type(quant) == kind


def test_another_quant_has_other_bytes_and_the_same_shapes(starter: Path) -> None:
    known = from_header(read_header(starter))
    half = requantized(known, known.bytes // 2, "Q2_K")
    assert half.bytes == pytest.approx(known.bytes / 2, rel=0.001)
    assert not half.exact
    assert [layer.k_width for layer in half.layers] == [layer.k_width for layer in known.layers]
    assert list(half.body_mix) == ["Q2_K"]
    elements = sum(work.elements for work in known.body_mix.values())
    assert half.body_mix["Q2_K"].elements == elements
    assert half.body_mix["Q2_K"].bytes < sum(work.bytes for work in known.body_mix.values())


def test_the_largest_that_fits_fits_and_a_larger_one_does_not() -> None:
    machine = Machine(Cpu(physical_cores=8), Memory(16 * GIB, 15 * GIB))
    largest, fitter = largest_fitting(machine, 4096), Fitter(machine, 4096)
    assert fitter.label(int(largest * USUAL_BITS / 8), largest) != "too_large"
    above = largest + 2 * 10**8
    assert fitter.label(int(above * USUAL_BITS / 8), above) == "too_large"
    assert largest_fitting(Machine(Cpu(), Memory(64 * GIB, 60 * GIB)), 4096) > largest
