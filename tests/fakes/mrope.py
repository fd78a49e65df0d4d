"""The starter model as a Qwen2-VL: the same weights under the other architecture's names, with M-RoPE.

Under M-RoPE a text token has the same position three times, which turns as plain RoPE does; a place of an image has a
time, a row and a column. Llama's matrices of queries and keys have the two halves of each head interleaved, Qwen's one
after the other: their rows (which stay whole in a quantized matrix) are put back in that order. So this model must
write what the starter writes, and images take fewer positions than places.
"""

import struct
from pathlib import Path

import numpy as np

from app.models.ggml_types import TYPE_NUMBERS
from app.models.gguf import read_header
from tests.fakes.moe import Bytes, raw_entries

HEAD = 64
SECTIONS = (12, 10, 10, 0)
"""Pairs of a head's numbers that turn with time, row, column."""


def write_mrope(starter: Path, path: Path) -> Path:
    """Write the model (98 MB)."""
    header, data = read_header(starter), np.memmap(starter, np.uint8, "r")
    entries = [_renamed(raw) for key, raw in raw_entries(data) if key != "general.architecture"]
    entries.append(_string("general.architecture") + struct.pack("<I", 8) + _string("qwen2vl"))
    sections = struct.pack("<IIQ4i", 9, 5, 4, *SECTIONS)
    entries.append(_string("qwen2vl.rope.dimension_sections") + sections)
    with path.open("wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, len(header.tensors), len(entries)) + b"".join(entries))
        for tensor in header.tensors:
            shape, number = tensor.shape, TYPE_NUMBERS[tensor.type]
            form = f"<I{len(shape)}QIQ"
            file.write(_string(tensor.name) + struct.pack(form, len(shape), *shape, number, tensor.offset))
        file.write(bytes(-file.tell() % 32))
        first = file.tell()
        for tensor in header.tensors:
            start = header.data_offset + tensor.offset
            content = data[start : start + tensor.bytes]
            if tensor.name.endswith(("attn_q.weight", "attn_k.weight")):
                content = _halves_apart(content, tensor.shape[1])
            file.seek(first + tensor.offset)
            file.write(content.tobytes())
    return path


def _halves_apart(content: Bytes, rows: int) -> Bytes:
    heads = content.reshape(rows // HEAD, HEAD // 2, 2, -1)
    return np.ascontiguousarray(heads.transpose(0, 2, 1, 3)).reshape(-1)


def _renamed(raw: bytes) -> bytes:
    (length,) = struct.unpack_from("<Q", raw)
    key = raw[8 : 8 + length].decode()
    return (
        _string(key.replace("llama.", "qwen2vl.", 1) if key.startswith("llama.") else key) + raw[8 + length :]
    )


def _string(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()
