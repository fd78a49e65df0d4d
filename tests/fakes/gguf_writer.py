"""Write synthetic GGUF files: any metadata, any tensors, weights optional (a sparse hole of the right length).

``write_gguf(path, {"general.architecture": "llama", ...}, [Tensor("token_embd.weight", (64, 128), "Q8_0")])``
``write_model(path, ...)`` writes a small but plausible llama with a vocabulary and a chat template.
"""

import struct
from pathlib import Path
from typing import NamedTuple

from app.models.ggml_types import GGML_TYPES, TYPE_NUMBERS

KINDS = {"u8": 0, "i8": 1, "u16": 2, "i16": 3, "u32": 4, "i32": 5, "f32": 6, "bool": 7, "str": 8, "arr": 9, "u64": 10,
         "i64": 11, "f64": 12}  # fmt: skip
FORMS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


class Typed(NamedTuple):
    """A value with an explicit GGUF type: ``Typed("u64", 5)``, ``Typed("arr:f32", [1.0])``."""

    kind: str
    value: object


class Tensor(NamedTuple):
    """One tensor; ``data`` None leaves a hole of zeros."""

    name: str
    shape: tuple[int, ...]
    type: str = "F32"
    data: bytes | None = None

    @property
    def bytes(self) -> int:
        """Size on disk."""
        kind = GGML_TYPES[TYPE_NUMBERS[self.type]]
        elements = 1
        for length in self.shape:
            elements *= length
        return elements // kind.block * kind.size


class Encoder:
    """Bytes of a header in one byte order and version."""

    def __init__(self, version: int = 3, big_endian: bool = False) -> None:
        self.order = ">" if big_endian else "<"
        self.length = "I" if version == 1 else "Q"

    def pack(self, form: str, *values: object) -> bytes:
        return struct.pack(self.order + form, *values)

    def string(self, text: str | bytes) -> bytes:
        raw = text.encode() if isinstance(text, str) else text
        return self.pack(self.length, len(raw)) + raw

    def value(self, value: object) -> bytes:
        """Type number and payload."""
        if isinstance(value, Typed):
            kind, _, inner = value.kind.partition(":")
            if kind == "arr":
                return self.pack("I", 9) + self.array(list(value.value), KINDS[inner])  # type: ignore[call-overload]
            return self.pack("I", KINDS[kind]) + self.payload(KINDS[kind], value.value)
        if isinstance(value, list | tuple):
            return self.pack("I", 9) + self.array(list(value), self.kind(value[0]) if value else 4)
        return self.pack("I", self.kind(value)) + self.payload(self.kind(value), value)

    def array(self, values: list[object], kind: int) -> bytes:
        body = b"".join(self.payload(kind, item) for item in values)
        return self.pack("I", kind) + self.pack(self.length, len(values)) + body

    def payload(self, kind: int, value: object) -> bytes:
        if kind == 8:
            return self.string(value)  # type: ignore[arg-type]
        if kind == 9:
            return self.array(list(value), self.kind(value[0]) if value else 4)  # type: ignore[call-overload,index]
        return self.pack(FORMS[kind], value)

    @staticmethod
    def kind(value: object) -> int:
        if isinstance(value, bool):
            return 7
        if isinstance(value, int):
            return 4 if 0 <= value < 1 << 32 else 11
        if isinstance(value, float):
            return 6
        return 9 if isinstance(value, list | tuple) else 8


def header_bytes(
    metadata: dict[str, object],
    tensors: list[Tensor] | tuple[Tensor, ...] = (),
    *,
    version: int = 3,
    big_endian: bool = False,
    alignment: int = 32,
) -> bytes:
    """The header, padded to the beginning of the weights."""
    encoder = Encoder(version, big_endian)
    out = [b"GGUF", encoder.pack("I", version)]
    out += [encoder.pack(encoder.length, len(tensors)), encoder.pack(encoder.length, len(metadata))]
    for key, value in metadata.items():
        out += [encoder.string(key), encoder.value(value)]
    offset = 0
    for tensor in tensors:
        out += [encoder.string(tensor.name), encoder.pack("I", len(tensor.shape))]
        out += [encoder.pack(f"{len(tensor.shape)}{encoder.length}", *tensor.shape)]
        out += [encoder.pack("IQ", TYPE_NUMBERS[tensor.type], offset)]
        offset += tensor.bytes + (-tensor.bytes % alignment)
    raw = b"".join(out)
    return raw + bytes(-len(raw) % alignment)


def write_gguf(
    path: Path,
    metadata: dict[str, object] | None = None,
    tensors: list[Tensor] | tuple[Tensor, ...] = (),
    *,
    version: int = 3,
    big_endian: bool = False,
    alignment: int = 32,
    weights: bool = True,
) -> Path:
    """Write a file. ``weights=False`` leaves the tensors' bytes out: a truncated model."""
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"general.architecture": "llama"} if metadata is None else metadata
    with path.open("wb") as file:
        file.write(
            header_bytes(metadata, tensors, version=version, big_endian=big_endian, alignment=alignment)
        )
        for tensor in tensors if weights else ():
            start = file.tell()
            if tensor.data is not None:
                file.write(tensor.data)
            file.truncate(start + tensor.bytes + (-tensor.bytes % alignment))
            file.seek(0, 2)
    return path


def model_metadata(
    architecture: str = "llama",
    *,
    name: str = "Tiny",
    layers: int = 2,
    width: int = 64,
    heads: int = 4,
    kv_heads: int = 2,
    context: int = 2048,
    vocab: int = 128,
    file_type: int | None = 7,
    **extra: object,
) -> dict[str, object]:
    """Plausible keys; ``extra`` keys use two underscores for a dot (``general__license="mit"``)."""
    found: dict[str, object] = {
        "general.architecture": architecture,
        "general.type": "model",
        "general.name": name,
        f"{architecture}.block_count": layers,
        f"{architecture}.context_length": context,
        f"{architecture}.embedding_length": width,
        f"{architecture}.attention.head_count": heads,
        f"{architecture}.attention.head_count_kv": kv_heads,
        f"{architecture}.vocab_size": vocab,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.tokens": [f"tok{i}" for i in range(vocab)],
        "tokenizer.ggml.token_type": Typed("arr:i32", [1] * vocab),
        "tokenizer.ggml.merges": [f"a b{i}" for i in range(vocab // 2)],
        "tokenizer.chat_template": "{% for m in messages %}{{ m.content }}{% endfor %}",
        "general.quantization_version": 2,
    }
    if file_type is not None:
        found["general.file_type"] = file_type
    return found | {key.replace("__", "."): value for key, value in extra.items()}


def model_tensors(
    kind: str = "Q8_0", *, layers: int = 2, width: int = 64, vocab: int = 128, kv_width: int = 32
) -> list[Tensor]:
    """The tensors of a small llama."""
    found = [Tensor("token_embd.weight", (width, vocab), kind), Tensor("output_norm.weight", (width,), "F32")]
    for i in range(layers):
        found += [
            Tensor(f"blk.{i}.attn_q.weight", (width, width), kind),
            Tensor(f"blk.{i}.attn_k.weight", (width, kv_width), kind),
            Tensor(f"blk.{i}.attn_v.weight", (width, kv_width), kind),
            Tensor(f"blk.{i}.attn_output.weight", (width, width), kind),
            Tensor(f"blk.{i}.ffn_up.weight", (width, width * 2), kind),
            Tensor(f"blk.{i}.ffn_down.weight", (width * 2, width), kind),
            Tensor(f"blk.{i}.attn_norm.weight", (width,), "F32"),
        ]
    return found


def write_model(path: Path, architecture: str = "llama", kind: str = "Q8_0", **keys: object) -> Path:
    """A small, well-formed model with zero weights; ``keys`` go to ``model_metadata``."""
    metadata = model_metadata(architecture, **keys)  # type: ignore[arg-type]
    return write_gguf(path, metadata, model_tensors(kind))
