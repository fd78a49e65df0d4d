from pathlib import Path

import pytest

from app.models.gguf import read_header
from app.planning.model_facts import from_header
from app.runtime.llama_rates import TYPES, Shape, parameters, rows, weight_bytes, write

SHAPE = Shape(3, 512, 8, 2, 1536)


@pytest.mark.parametrize("kind", TYPES)
def test_the_models_it_measures_are_what_it_says(kind: str, tmp_path: Path) -> None:
    header = read_header(write(tmp_path / "m.gguf", SHAPE, kind))
    facts = from_header(header)
    work = [*facts.body_mix.values(), *facts.output_mix.values()]
    assert {*facts.body_mix, *facts.output_mix} == {kind}
    assert sum(item.rows for item in work) == rows(SHAPE)
    assert sum(item.elements for item in facts.body_mix.values()) == parameters(SHAPE)
    norms = (2 * SHAPE.layers + 1) * SHAPE.width * 4
    assert sum(item.bytes for item in work) + norms == weight_bytes(SHAPE, kind)
    assert [layer.k_width for layer in facts.layers] == [128] * 3
