"""Writes a GGUF llama's weights as a Hugging Face folder: safetensors, config.json and tokenizer.json, as its makers
publish it. The way back is llama.cpp's converter."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from app.models.gguf import ArrayStub, Header, read_header

NAMES = {
    "token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}  # fmt: skip
KINDS = {"F32": ("F32", np.float32), "F16": ("F16", np.float16)}
CONTROL = 3
NO_TENSORS = struct.pack("<Q", 2) + b"{}"
"""Whole safetensors with nothing in them."""


def write_folder(full: Path, folder: Path) -> Path:
    """``full``: a llama in F16 or F32 with a byte-pair vocabulary. llama.cpp keeps Q and K with their rows in pairs
    (``LlamaModel.permute``): they are put back here."""
    header = read_header(full)
    folder.mkdir(parents=True, exist_ok=True)
    _write_weights(header, np.memmap(full, np.uint8, "r"), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(_config(header)))
    (folder / "tokenizer.json").write_text(json.dumps(_tokenizer(header), ensure_ascii=False))
    (folder / "tokenizer_config.json").write_text(json.dumps(_tokenizer_config(header)))
    return folder


def _write_weights(header: Header, data: Any, path: Path) -> None:
    entries, arrays, at = {}, [], 0
    for tensor in header.tensors:
        kind, numbers = KINDS[tensor.type]
        start = header.data_offset + tensor.offset
        array = data[start : start + tensor.bytes].view(numbers).reshape(tensor.shape[::-1])
        if "attn_q" in tensor.name or "attn_k" in tensor.name:
            array = _unpaired(array, _heads(header, "attn_q" in tensor.name))
        entries[_name(tensor.name)] = {
            "dtype": kind, "shape": list(array.shape), "data_offsets": [at, at + array.nbytes],
        }  # fmt: skip
        arrays.append(array)
        at += array.nbytes
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in arrays:
            file.write(np.ascontiguousarray(array).data)


def _name(name: str) -> str:
    parts = name.removesuffix(".weight").split(".")
    stem = NAMES[parts[-1]]
    return f"model.layers.{parts[1]}.{stem}.weight" if parts[0] == "blk" else f"{stem}.weight"


def _heads(header: Header, query: bool) -> int:
    key = "llama.attention.head_count" if query else "llama.attention.head_count_kv"
    return int(str(header.metadata[key]))


def _unpaired(array: Any, heads: int) -> Any:
    rows, columns = array.shape
    return array.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def _config(header: Header) -> dict[str, object]:
    meta = header.metadata
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": "float16", "hidden_act": "silu",
        "hidden_size": meta["llama.embedding_length"], "intermediate_size": meta["llama.feed_forward_length"],
        "num_hidden_layers": meta["llama.block_count"], "num_attention_heads": meta["llama.attention.head_count"],
        "num_key_value_heads": meta["llama.attention.head_count_kv"],
        "max_position_embeddings": meta["llama.context_length"], "rope_theta": meta["llama.rope.freq_base"],
        "rms_norm_eps": meta["llama.attention.layer_norm_rms_epsilon"],
        "vocab_size": len(_list(header, "tokenizer.ggml.tokens")),
        "bos_token_id": meta["tokenizer.ggml.bos_token_id"], "eos_token_id": meta["tokenizer.ggml.eos_token_id"],
        "tie_word_embeddings": not any(tensor.name == "output.weight" for tensor in header.tensors),
    }  # fmt: skip


def _list(header: Header, key: str) -> list[Any]:
    """An array that the header steps over: strings, or 32-bit numbers."""
    stub = header.metadata[key]
    assert isinstance(stub, ArrayStub)
    with Path(header.path).open("rb") as file:
        file.seek(stub.offset)
        if stub.kind == "i32":
            return list(np.frombuffer(file.read(4 * stub.count), np.int32))
        return [file.read(struct.unpack("<Q", file.read(8))[0]).decode() for _ in range(stub.count)]


def _tokenizer(header: Header) -> dict[str, object]:
    tokens, kinds = _list(header, "tokenizer.ggml.tokens"), _list(header, "tokenizer.ggml.token_type")
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0", "truncation": None, "padding": None, "normalizer": None, "post_processor": None,
        "added_tokens": [
            {"id": number, "content": token, **special}
            for number, (token, kind) in enumerate(zip(tokens, kinds, strict=True)) if kind == CONTROL
        ],
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Digits", "individual_digits": True},
                {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
            ],
        },
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
            "vocab": {token: number for number, token in enumerate(tokens)},
            "merges": list(_list(header, "tokenizer.ggml.merges")),
        },
    }  # fmt: skip


def _tokenizer_config(header: Header) -> dict[str, object]:
    tokens = _list(header, "tokenizer.ggml.tokens")
    bos, eos = (
        tokens[int(str(header.metadata[f"tokenizer.ggml.{name}_token_id"]))] for name in ("bos", "eos")
    )
    return {
        "tokenizer_class": "GPT2Tokenizer", "bos_token": bos, "eos_token": eos, "add_prefix_space": False,
        "chat_template": header.metadata.get("tokenizer.chat_template", ""),
    }  # fmt: skip
