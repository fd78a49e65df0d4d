"""Llama models without weights, of any shape and weight type: what the machine's speed is measured with."""

import struct
from pathlib import Path
from typing import Any, NamedTuple

# ggml.h: number, weights in a block, bytes of a block
TYPES = {
    "F16": (1, 1, 2), "BF16": (30, 1, 2), "Q8_0": (8, 32, 34), "Q6_K": (14, 256, 210), "Q5_K": (13, 256, 176),
    "Q5_0": (6, 32, 22), "Q4_K": (12, 256, 144), "Q4_0": (2, 32, 18), "Q4_1": (3, 32, 20), "IQ4_NL": (20, 32, 18),
    "IQ4_XS": (23, 256, 136), "Q3_K": (11, 256, 110), "Q2_K": (10, 256, 84), "MXFP4": (39, 32, 17),
}  # fmt: skip
VOCABULARY = 512
_F32 = (0, 1, 4)


class Shape(NamedTuple):
    """A llama model's numbers."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    inner: int
    vocabulary: int = VOCABULARY
    """More than VOCABULARY: one matrix is the token embeddings and the output, as in small models."""


Info = tuple[str, tuple[int, ...], tuple[int, int, int]]


def tensors(shape: Shape, kind: str) -> list[Info]:
    """(name, shape, type) of every tensor."""
    width, kv_width, weights = shape.width, shape.width // shape.heads * shape.kv_heads, TYPES[kind]
    found: list[Info] = [
        ("token_embd.weight", (width, shape.vocabulary), weights),
        ("output_norm.weight", (width,), _F32),
    ]
    if shape.vocabulary == VOCABULARY:
        found.append(("output.weight", (width, VOCABULARY), weights))
    sizes: dict[str, tuple[int, ...]] = {
        "attn_q": (width, width), "attn_k": (width, kv_width), "attn_v": (width, kv_width),
        "attn_output": (width, width), "ffn_gate": (width, shape.inner), "ffn_up": (width, shape.inner),
        "ffn_down": (shape.inner, width),
    }  # fmt: skip
    for i in range(shape.layers):
        found += [(f"blk.{i}.{name}.weight", size, weights) for name, size in sizes.items()]
        found += [(f"blk.{i}.attn_norm.weight", (width,), _F32), (f"blk.{i}.ffn_norm.weight", (width,), _F32)]
    return found


def weight_bytes(shape: Shape, kind: str) -> int:
    """Bytes read for one token: the layers' matrices and the output."""
    found = sum(
        _bytes(size, form) for name, size, form in tensors(shape, kind) if name != "token_embd.weight"
    )
    tied = shape.vocabulary != VOCABULARY
    return found + (_bytes((shape.width, shape.vocabulary), TYPES[kind]) if tied else 0)


def parameters(shape: Shape) -> int:
    """Weights of the layers' matrices."""
    return sum(size[0] * size[1] for size in _matrices(shape))


def rows(shape: Shape) -> int:
    """Rows of the matrices read for one token."""
    return sum(size[1] for size in _matrices(shape)) + shape.vocabulary


def matrices(shape: Shape) -> int:
    """Matrices read for one token."""
    return len(_matrices(shape)) + 1


def _matrices(shape: Shape) -> list[tuple[int, ...]]:
    return [size for name, size, _ in tensors(shape, "F16") if name.startswith("blk") and len(size) > 1]


def row_bytes(width: int, kind: str) -> int:
    """Bytes of one row."""
    return _bytes((width,), TYPES[kind])


def _bytes(size: tuple[int, ...], form: tuple[int, int, int]) -> int:
    count = 1
    for length in size:
        count *= length
    return count // form[1] * form[2]


def write(path: Path, shape: Shape, kind: str) -> Path:
    """A GGUF file (version 3) whose weights are a hole of zeros."""
    keys: dict[str, Any] = {
        "general.architecture": "llama", "tokenizer.ggml.model": "no_vocab", "llama.vocab_size": shape.vocabulary,
        "llama.block_count": shape.layers, "llama.context_length": 8192, "llama.embedding_length": shape.width,
        "llama.feed_forward_length": shape.inner, "llama.attention.head_count": shape.heads,
        "llama.attention.head_count_kv": shape.kv_heads, "llama.attention.layer_norm_rms_epsilon": 1e-5,
    }  # fmt: skip
    infos = tensors(shape, kind)
    out = [b"GGUF", struct.pack("<IQQ", 3, len(infos), len(keys)), *(_key(key, keys[key]) for key in keys)]
    offset = 0
    for name, size, form in infos:
        out.append(_text(name) + struct.pack(f"<I{len(size)}QIQ", len(size), *size, form[0], offset))
        offset += -(-_bytes(size, form) // 32) * 32
    head = b"".join(out)
    with path.open("wb") as file:
        file.write(head + bytes(-len(head) % 32))
        file.truncate(file.tell() + offset)
    return path


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def _key(key: str, value: Any) -> bytes:
    if isinstance(value, str):
        return _text(key) + struct.pack("<I", 8) + _text(value)
    return _text(key) + (
        struct.pack("<If", 6, value) if isinstance(value, float) else struct.pack("<II", 4, value)
    )
