"""Which projector comes with a download."""

from app.core.types import GgufSummary, ModelFile, ModelRecord, Source
from app.models.hub_types import QuantFile, RemotePart
from app.models.projectors import projector_for


def quant(name: str, kind: str = "text", size: int = 1, quant: str = "Q4_K_M") -> QuantFile:
    return QuantFile(name, "o/r", "main", quant, (RemotePart(name, size),), size, kind, None)  # type: ignore[arg-type]


TEXT = quant("model-Q4_K_M.gguf")
F16, Q8 = quant("mmproj-model-f16.gguf", "projector", 9), quant("mmproj-model-Q8_0.gguf", "projector", 5)


def test_the_best_one_of_the_repository() -> None:
    assert projector_for(TEXT, [TEXT, Q8, F16], ()) == F16
    assert projector_for(TEXT, [TEXT], ()) is None
    assert projector_for(Q8, [TEXT, Q8, F16], ()) is None, "a projector brings no other"


def test_the_one_in_the_same_folder() -> None:
    deep, near = quant("a/model.gguf"), quant("a/mmproj-Q8_0.gguf", "projector")
    assert projector_for(deep, [deep, F16, near], ()) == near


def test_none_where_one_is_here() -> None:
    summary = GgufSummary("clip", "projector")
    here = ModelRecord("m", "m", (ModelFile("m.gguf", 1),), 1, summary, Source("o/r"))
    assert projector_for(TEXT, [TEXT, F16], [here]) is None
