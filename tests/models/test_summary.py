"""From headers to facts."""

from pathlib import Path

import pytest

from app.core.types import ModelKind
from app.models.gguf import read_header
from app.models.summary import chat_template, effective_bits, summarize, unusable
from tests.fakes.gguf_writer import Tensor, Typed, model_metadata, model_tensors, write_gguf, write_model


def test_the_real_starter(starter: Path) -> None:
    found = summarize(read_header(starter))
    assert (found.architecture, found.kind, found.quant) == ("llama", "text", "Q4_1")
    assert found.parameters == 134_515_008
    assert found.bits_per_weight == pytest.approx(5.75, abs=0.01)
    assert (found.context_length, found.embedding_length, found.block_count) == (8192, 576, 30)
    assert (found.head_count, found.head_count_kv) == ((9,), (3,))
    assert (found.vocab_size, found.license, found.size_label) == (49152, "apache-2.0", "135M")
    assert found.has_template
    assert sum(found.tensor_bytes.values()) < starter.stat().st_size
    assert "im_start" in chat_template(read_header(starter))


def test_numbers_per_layer_and_experts(tmp_path: Path) -> None:
    extra = {
        "llama.attention.head_count_kv": [8, 8, 2],
        "llama.expert_count": 128,
        "llama.expert_used_count": 8,
        "llama.attention.sliding_window": 1024,
        "llama.attention.key_length": 128,
        "llama.attention.value_length": 64,
        "general.quantized_by": "somebody",
    }
    path = write_gguf(tmp_path / "m.gguf", model_metadata() | extra, model_tensors())
    found = summarize(read_header(path))
    assert found.head_count_kv == (8, 8, 2)
    assert (found.expert_count, found.expert_used_count, found.sliding_window) == (128, 8, 1024)
    assert (found.key_length, found.value_length, found.quantized_by) == (128, 64, "somebody")


def test_odd_metadata_leaves_facts_unknown(tmp_path: Path) -> None:
    extra: dict[str, object] = {
        "llama.block_count": "many",
        "llama.context_length": Typed("i64", -5),
        "llama.embedding_length": True,
        "llama.attention.head_count": ["a"],
        "llama.vocab_size": 1 << 50,
        "general.file_type": "x",
        "general.name": 7,
        "tokenizer.chat_template": ["a"],
        "split.count": 0,
    }
    path = write_gguf(tmp_path / "m.gguf", model_metadata() | extra, model_tensors())
    found = summarize(read_header(path))
    assert (found.block_count, found.context_length, found.embedding_length, found.head_count) == (
        None,
        None,
        None,
        (),
    )
    assert (found.vocab_size, found.quant, found.name, found.has_template) == (128, "Q8_0", "", False)
    assert found.split_count == 1


@pytest.mark.parametrize(
    ("architecture", "extra", "kind"),
    [
        ("qwen3", {}, "text"),
        ("bert", {}, "embedding"),
        ("qwen3", {"qwen3.pooling_type": 3}, "embedding"),
        ("qwen3", {"qwen3.pooling_type": 0}, "text"),
        ("bert", {"bert.pooling_type": 4}, "reranker"),
        ("clip", {}, "projector"),
        ("eagle3", {}, "draft"),
        ("llama", {"general.type": "adapter"}, "adapter"),
        ("llama", {"general.type": "imatrix"}, "imatrix"),
    ],
)
def test_kinds(tmp_path: Path, architecture: str, extra: dict[str, object], kind: ModelKind) -> None:
    path = write_gguf(tmp_path / "m.gguf", model_metadata(architecture) | extra, model_tensors())
    assert summarize(read_header(path)).kind == kind


def test_a_vocabulary_alone_is_no_text_model(tmp_path: Path) -> None:
    assert summarize(read_header(write_gguf(tmp_path / "vocab.gguf", model_metadata()))).kind == "other"


def test_a_file_that_does_not_say_its_type_is_named_by_its_tensors(tmp_path: Path) -> None:
    tensors = [Tensor("a", (256, 64), "Q4_K"), Tensor("b", (256, 8), "Q6_K"), Tensor("n", (256,), "F32")]
    path = write_gguf(tmp_path / "m.gguf", model_metadata(file_type=None), tensors)
    found = summarize(read_header(path))
    assert found.quant == "Q4_K_M"
    assert list(found.tensor_bytes) == ["Q4_K", "Q6_K", "F32"]
    guessed = write_gguf(tmp_path / "g.gguf", model_metadata(file_type=1024 + 15), tensors)
    assert summarize(read_header(guessed)).quant == "Q4_K_M"


def test_a_mix_with_types_of_its_own_is_named_by_its_tensors(tmp_path: Path) -> None:
    tensors = [Tensor("a", (256, 64), "Q4_K"), Tensor("b", (256, 8), "Q8_0"), Tensor("n", (256,), "F32")]
    mixed = write_gguf(tmp_path / "m.gguf", model_metadata(file_type=7), tensors)
    assert summarize(read_header(mixed)).quant == "Q4_K_M", (
        "written as Q8_0 with other types for most tensors"
    )
    larger = write_gguf(tmp_path / "l.gguf", model_metadata(file_type=10), tensors)
    assert summarize(read_header(larger)).quant == "Q2_K", "fallbacks only make a file larger"


def test_parts_of_a_split_set_add_up(tmp_path: Path) -> None:
    first = write_gguf(tmp_path / "a.gguf", model_metadata() | {"split.count": 2}, model_tensors()[:5])
    second = write_gguf(tmp_path / "b.gguf", {"split.no": 1, "split.count": 2}, model_tensors()[5:])
    whole = summarize(read_header(write_model(tmp_path / "c.gguf")))
    both = summarize(read_header(first), read_header(second))
    assert both.parameters == whole.parameters
    assert both.split_count == 2


def test_files_llama_cpp_would_refuse(tmp_path: Path) -> None:
    good = read_header(write_model(tmp_path / "m.gguf"))
    assert unusable(good) is None
    assert "big-endian" in str(unusable(read_header(write_gguf(tmp_path / "b.gguf", big_endian=True))))
    assert "first GGUF" in str(unusable(read_header(write_gguf(tmp_path / "1.gguf", version=1))))
    assert "architecture" in str(unusable(read_header(write_gguf(tmp_path / "n.gguf", {"a": 1}))))


def test_bits_of_tensor_types() -> None:
    assert effective_bits("Q4_0") == 4.5
    assert effective_bits("F16") == 16
    assert effective_bits("Q99") is None
