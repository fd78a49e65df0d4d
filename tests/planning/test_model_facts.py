from pathlib import Path

import pytest

from app.core.types import GgufSummary, ModelFile, ModelRecord
from app.models.gguf import read_header
from app.planning.model_facts import from_header, from_record, from_summary
from tests.fakes.architectures import ARCHITECTURES
from tests.fakes.gguf_writer import Tensor, model_metadata, model_tensors, write_gguf, write_model


def test_every_byte_of_the_starter_is_counted(starter: Path) -> None:
    header = read_header(starter)
    facts = from_header(header)
    assert facts.bytes == sum(tensor.bytes for tensor in header.tensors)
    assert facts.tied
    assert (len(facts.layers), facts.n_embd, facts.n_vocab, facts.n_ctx_train) == (30, 576, 49152, 8192)
    assert facts.exact


@pytest.mark.parametrize(
    ("name", "windowed", "stateful", "cached"),
    [("gemma3", 40, 0, 48), ("gpt-oss", 12, 0, 24), ("cohere2", 24, 0, 32), ("phi3", 0, 0, 32), ("mamba", 0, 64, 0),
     ("lfm2", 0, 10, 6), ("qwen3next", 0, 36, 12), ("deepseek2", 0, 0, 27)],
)  # fmt: skip
def test_each_layer_keeps_what_its_kind_keeps(
    tmp_path: Path, name: str, windowed: int, stateful: int, cached: int
) -> None:
    facts = from_header(read_header(write_gguf(tmp_path / "m.gguf", *ARCHITECTURES[name]())))
    assert sum(layer.windowed for layer in facts.layers) == windowed
    assert sum(layer.state > 0 for layer in facts.layers) == stateful
    assert sum(layer.k_width > 0 for layer in facts.layers) == cached
    assert facts.recurrent == (stateful > 0)


def test_latent_attention_keeps_one_vector(tmp_path: Path) -> None:
    facts = from_header(read_header(write_gguf(tmp_path / "m.gguf", *ARCHITECTURES["deepseek2"]())))
    assert {(layer.k_width, layer.v_width) for layer in facts.layers} == {(576, 0)}


def test_experts_are_counted_apart(tmp_path: Path) -> None:
    facts = from_header(read_header(write_gguf(tmp_path / "m.gguf", *ARCHITECTURES["qwen3moe"]())))
    layer = facts.layers[0]
    assert layer.experts == 3 * 2048 * 768 * 128 * 144 // 256
    assert facts.active_bytes < facts.bytes / 5


def test_a_pattern_in_the_file_wins_over_the_default(tmp_path: Path) -> None:
    metadata, tensors = ARCHITECTURES["gemma3"]()
    metadata["gemma3.attention.sliding_window_pattern"] = [i % 2 == 0 for i in range(48)]
    facts = from_header(read_header(write_gguf(tmp_path / "m.gguf", metadata, tensors)))
    assert sum(layer.windowed for layer in facts.layers) == 24
    metadata["gemma3.attention.sliding_window_pattern"] = 3
    facts = from_header(read_header(write_gguf(tmp_path / "n.gguf", metadata, tensors)))
    assert sum(layer.windowed for layer in facts.layers) == 32


def test_layers_that_predict_ahead_are_not_loaded(tmp_path: Path) -> None:
    metadata = model_metadata("llama", layers=3, llama__nextn_predict_layers=1)
    facts = from_header(read_header(write_gguf(tmp_path / "m.gguf", metadata, model_tensors(layers=3))))
    assert [layer.weights > 0 for layer in facts.layers] == [True, True, False]
    assert [layer.k_width > 0 for layer in facts.layers] == [True, True, False]


def test_an_encoder_has_no_cache(tmp_path: Path) -> None:
    facts = from_header(read_header(write_model(tmp_path / "m.gguf", "bert")))
    assert facts.memoryless
    assert all(layer.k_width == 0 for layer in facts.layers)


def test_all_parts_of_a_split_set_are_counted(tmp_path: Path) -> None:
    tensors = model_tensors()
    whole = write_gguf(tmp_path / "whole.gguf", model_metadata(), tensors)
    first = write_gguf(tmp_path / "one.gguf", model_metadata(), tensors[:6])
    second = write_gguf(tmp_path / "two.gguf", {"split.no": 1}, tensors[6:])
    files = tuple(ModelFile(str(path), path.stat().st_size) for path in (first, second))
    parts = from_record(ModelRecord("m", "m", files, 1))
    assert parts == from_header(read_header(whole))


def test_facts_follow_the_file_when_it_changes(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.gguf")
    record = ModelRecord("m", "m", (ModelFile(str(path), 1),), 1)
    before = from_record(record)
    write_gguf(path, model_metadata(), [*model_tensors(), Tensor("output.weight", (64, 128), "F32")])
    after = from_record(record)
    assert before.tied
    assert not after.tied


def test_a_summary_serves_where_the_file_is_away() -> None:
    summary = GgufSummary(
        "llama",
        block_count=32,
        embedding_length=4096,
        head_count=(32,),
        head_count_kv=(8,),
        vocab_size=128256,
    )
    record = ModelRecord("m", "m", (ModelFile("/nowhere/m.gguf", 5_000_000_000),), 5_000_000_000, summary)
    facts = from_record(record)
    assert not facts.exact
    assert facts.bytes == pytest.approx(5_000_000_000, rel=0.001)
    assert facts.layers[0].k_width == 1024


def test_without_file_and_summary_it_fails() -> None:
    with pytest.raises(OSError, match="nowhere"):
        from_record(ModelRecord("m", "m", (ModelFile("/nowhere/m.gguf", 1),), 1))


def test_a_summary_of_a_mixture_guesses_its_experts() -> None:
    facts = from_summary(
        GgufSummary("qwen3moe", block_count=48, expert_count=128, expert_used_count=8), 16 << 30
    )
    assert facts.layers[0].experts > facts.layers[0].weights
    assert facts.active_bytes < facts.bytes
