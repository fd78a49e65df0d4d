"""Names of quantized files, as found on the Hub."""

import pytest

from app.core.types import ModelKind
from app.models import quants
from app.models.ggml_types import FILE_TYPES


@pytest.mark.parametrize(
    ("name", "quant"),
    [
        ("SmolLM2-135M-Instruct.Q4_1.gguf", "Q4_1"),
        ("Qwen3-30B-A3B-Instruct-2507-Q4_K_M.gguf", "Q4_K_M"),
        ("Qwen3-30B-A3B-Instruct-2507-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
        ("UD-Q4_K_XL/GLM-4.6-UD-Q4_K_XL-00001-of-00005.gguf", "UD-Q4_K_XL"),
        ("BF16/Qwen3-BF16-00001-of-00002.gguf", "BF16"),
        ("IQ4_NL/model-00001-of-00002.gguf", "IQ4_NL"),
        ("DeepSeek-R1-UD-IQ1_S.gguf", "UD-IQ1_S"),
        ("Llama-3.2-1B-Instruct.i1-IQ2_XXS.gguf", "IQ2_XXS"),
        ("gpt-oss-20b-mxfp4.gguf", "MXFP4"),
        ("gpt-oss-120b-MXFP4_MOE.gguf", "MXFP4_MOE"),
        ("bitnet-TQ1_0.gguf", "TQ1_0"),
        ("Bonsai-8B-Q1_0.gguf", "Q1_0"),
        ("qwen2.5-0.5b-instruct-q4_k_m.gguf", "Q4_K_M"),
        ("qwen2.5-0.5b-instruct-fp16.gguf", "F16"),
        ("Phi-3-mini-4k-instruct-q4.gguf", "Q4"),
        ("gemma-3-4b-it-qat-q4_0.gguf", "Q4_0"),
        ("gemma-2-9b-it-Q6_K_L.gguf", "Q6_K_L"),
        ("model-Q4_0_4_8.gguf", "Q4_0_4_8"),
        ("mmproj-F16.gguf", "F16"),
        ("mmproj-model-f32.gguf", "F32"),
        ("bge-small-en-v1.5-q8_0.gguf", "Q8_0"),
        ("Qwen3-8B-Q8_K_XL.gguf", "Q8_K_XL"),
        ("Q3-thing.gguf", None),
        ("mistral-7b.gguf", None),
        ("BF16-distilled-IQ3_M.gguf", "IQ3_M"),
        ("C:\\models\\Q5_K_S\\x.gguf", "Q5_K_S"),
    ],
)
def test_quant_names(name: str, quant: str | None) -> None:
    assert quants.parse_quant(name) == quant


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Qwen3-8B-Q4_K_M.gguf", "text"),
        ("mmproj-Qwen3-VL-8B-F16.gguf", "projector"),
        ("qwen2.5-vl.mmproj-Q8_0.gguf", "projector"),
        ("llava-clip-f16.gguf", "projector"),
        ("imatrix.dat", "imatrix"),
        ("imatrix_unsloth.dat", "imatrix"),
        ("imatrix_unsloth.gguf", "imatrix"),
        ("Llama-3.imatrix", "imatrix"),
        ("model.imatrix.gguf", "imatrix"),
        ("mtp-Qwen3.6-27B-Q8_0.gguf", "draft"),
        ("MTP/gemma-4-E4B.gguf", "draft"),
        ("Qwen3.6-27B-MTP-Q4_K_M.gguf", "text"),
        ("eagle3-llama-3.1-8b-Q8_0.gguf", "draft"),
        ("Llama-3.1-8B-EAGLE3-f16.gguf", "draft"),
        ("Mistral-Small-draft-Q4_0.gguf", "draft"),
        ("my-lora-f16.gguf", "adapter"),
        ("bge-reranker-v2-m3-Q8_0.gguf", "reranker"),
        ("Qwen3-Embedding-0.6B-Q8_0.gguf", "embedding"),
        ("bge-small-en-v1.5-q8_0.gguf", "embedding"),
        ("README.md", "other"),
        ("model.safetensors", "other"),
    ],
)
def test_kinds(name: str, kind: ModelKind) -> None:
    assert quants.kind_of(name) == kind


def test_split_sets_are_grouped_in_order() -> None:
    names = [
        "b-00002-of-00003.gguf",
        "a.gguf",
        "b-00001-of-00003.gguf",
        "b-00003-of-00003.gguf",
        "b-00001-of-00002.gguf",
    ]
    assert quants.group_split(names) == [
        ["b-00001-of-00003.gguf", "b-00002-of-00003.gguf", "b-00003-of-00003.gguf"],
        ["a.gguf"],
        ["b-00001-of-00002.gguf"],
    ]
    assert quants.parse_split("b-00002-of-00003.gguf") == ("b", 2, 3)
    assert quants.parse_split("b-00004-of-00003.gguf") is None
    assert quants.parse_split("b-00000-of-00003.gguf") is None
    assert quants.split_names("d/b-00002-of-00002.gguf") == [
        "d/b-00001-of-00002.gguf",
        "d/b-00002-of-00002.gguf",
    ]
    assert quants.split_names("a.gguf") == ["a.gguf"]
    assert quants.split_prefix("b-00002-of-00003.gguf") == "b.gguf"


@pytest.mark.parametrize("name", sorted(FILE_TYPES.values()))
def test_every_file_type_of_llama_cpp_is_explained(name: str) -> None:
    info = quants.explain(name)
    assert info.bits is not None
    assert info.note in quants.all_notes()
    assert quants.parse_quant(f"model-{name}.gguf") == name


def test_plain_words() -> None:
    assert quants.sentence(quants.explain("Q4_K_M")) == (
        "Q4_K_M: 4.85-bit, balanced: the usual choice; loss of quality: small."
    )
    dynamic = quants.explain("UD-Q4_K_XL")
    assert dynamic.dynamic
    assert dynamic.bits == 4.85
    assert dynamic.family == "k"
    unknown = quants.explain("Q9_Z")
    assert (unknown.bits, unknown.loss, unknown.family) == (None, "unknown", "other")
    assert quants.sentence(unknown) == "Q9_Z: a kind this version does not know."
    families = {
        name: quants.explain(name).family for name in ("F16", "BF16", "IQ3_M", "TQ1_0", "MXFP4_MOE", "Q8_0")
    }
    assert families == {
        "F16": "float",
        "BF16": "float",
        "IQ3_M": "i",
        "TQ1_0": "ternary",
        "MXFP4_MOE": "microscaling",
        "Q8_0": "legacy",
    }
