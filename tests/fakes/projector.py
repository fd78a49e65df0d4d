"""A real vision projector (mmproj) for the starter model, with weights set by hand: llama.cpp's clip runs it as it runs
LLaVA's, but it has no layers and knows three colours.

The picture is cut into ``SIDE * SIDE`` patches. A patch's mean red, green and blue are its features; the first matrix
of the projector finds what is purely one colour (GELU cuts the rest off), the second puts the very row of the starter
model's token table for " red", " green" or " blue" there. So a red picture is to the model what " red red red red"
is, and a test can tell what it saw from what it writes.

``write_projector(path, starter)`` is LLaVA's kind ("mlp"); ``kind="gemma3"`` asks for a non-causal mask as Gemma 3's
does; ``kind="qwen2vl_merger"`` takes pictures of any size, in pieces of 28 pixels (with one layer that adds nothing),
as Qwen2-VL's does, for ``tests/fakes/mrope.py``; ``width`` other than the model's makes one that fits no starter model;
without the tensor that it ``lacks`` it brings the engine down.
"""

import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.models.gguf import read_header
from tests.fakes.gguf_writer import Tensor, Typed, write_gguf
from tests.fakes.moe import raw_entries

SIDE, PATCH, FEATURES, SHARP = 2, 14, 8, 16.0
TOKENS = SIDE * SIDE
"""Tokens of one picture."""
COLOURS = ("red", "green", "blue")
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)

Floats = npt.NDArray[np.float32]


def write_projector(
    path: Path, starter: Path, *, kind: str = "mlp", width: int = 576, lacks: str = ""
) -> Path:
    """Write the GGUF (50 KB)."""
    words = np.zeros((FEATURES, width), np.float32)
    words[:3, : min(width, 576)] = colour_rows(starter)[:, :width]
    merge = 2 if kind == "gemma3" else 1
    side = SIDE * merge
    metadata: dict[str, object] = {
        "general.architecture": "clip",
        "general.type": "mmproj",
        "general.name": "Three colours",
        "general.file_type": 0,
        "clip.has_vision_encoder": True,
        "clip.projector_type": kind,
        "clip.use_gelu": True,
        "clip.vision.image_size": side * PATCH,
        "clip.vision.patch_size": PATCH,
        "clip.vision.embedding_length": FEATURES,
        "clip.vision.feed_forward_length": FEATURES,
        "clip.vision.block_count": int(kind == "qwen2vl_merger"),
        "clip.vision.projection_dim": width,
        "clip.vision.attention.head_count": 1,
        "clip.vision.attention.layer_norm_epsilon": 1e-5,
        "clip.vision.projector.scale_factor": merge,
        "clip.vision.image_mean": Typed("arr:f32", [0.0, 0.0, 0.0]),
        "clip.vision.image_std": Typed("arr:f32", [1.0, 1.0, 1.0]),
    }
    tensors = [
        _tensor("v.patch_embd.weight", _mean_colours()),
        _tensor("v.position_embd.weight", np.zeros((side * side, FEATURES), np.float32)),
        *{"gemma3": _gemma, "qwen2vl_merger": _qwen}.get(kind, _llava)(words),
    ]
    return write_gguf(path, metadata, [tensor for tensor in tensors if tensor.name != lacks])


def colour_rows(starter: Path) -> Floats:
    """(3, 576): the token table's rows of the colours' words."""
    header, data = read_header(starter), np.memmap(starter, np.uint8, "r")
    table = next(tensor for tensor in header.tensors if tensor.name == "token_embd.weight")
    assert table.type == "Q8_0"
    width, count = table.shape
    start = header.data_offset + table.offset
    rows = data[start : start + table.bytes].reshape(count, width // 32, 34)  # Q8_0: a half scale, 32 bytes
    names = _tokens(dict(raw_entries(data))["tokenizer.ggml.tokens"])
    chosen = rows[[names.index(f"Ġ{colour}") for colour in COLOURS]]
    scales = np.ascontiguousarray(chosen[..., :2]).view(np.float16).astype(np.float32)
    return (np.ascontiguousarray(chosen[..., 2:]).view(np.int8) * scales).reshape(len(COLOURS), width)


def _tokens(raw: bytes) -> list[str]:
    at = 8 + len("tokenizer.ggml.tokens") + 4
    _, count = struct.unpack_from("<IQ", raw, at)
    at, found = at + 12, []
    for _ in range(count):
        (length,) = struct.unpack_from("<Q", raw, at)
        found.append(raw[at + 8 : at + 8 + length].decode())
        at += 8 + length
    return found


def _mean_colours() -> Floats:
    kernel = np.zeros((FEATURES, 3, PATCH, PATCH), np.float32)
    for channel in range(3):
        kernel[channel, channel] = 1 / PATCH**2
    return kernel


def _llava(words: Floats) -> list[Tensor]:
    pure = np.zeros((FEATURES, FEATURES), np.float32)
    pure[:3, :3] = SHARP * (2 * np.eye(3, dtype=np.float32) - 1)
    return [
        _tensor("mm.0.weight", pure),
        _tensor("mm.0.bias", np.zeros(FEATURES, np.float32)),
        _tensor("mm.2.weight", np.ascontiguousarray(words.T) / SHARP),
        _tensor("mm.2.bias", np.zeros(words.shape[1], np.float32)),
    ]


def _gemma(words: Floats) -> list[Tensor]:
    # The norm before the projection makes one pure colour of eight features the square root of eight.
    return [
        _tensor("mm.soft_emb_norm.weight", np.full(FEATURES, FEATURES**-0.5, np.float32)),
        _tensor("mm.input_projection.weight", words),
    ]


def _qwen(words: Floats) -> list[Tensor]:
    # Four patches side by side are one place: their mean colour. The layer's outputs are zero.
    pure = SHARP * (2 * np.eye(3, dtype=np.float32) - 1)
    merged = np.zeros((FEATURES, 4 * FEATURES), np.float32)
    for patch in range(4):
        merged[:3, patch * FEATURES : patch * FEATURES + 3] = pure / 4
    square, ones = np.zeros((FEATURES, FEATURES), np.float32), np.ones(FEATURES, np.float32)
    layer = ("attn_q", "attn_k", "attn_v", "attn_out", "ffn_up", "ffn_down")
    return [
        _tensor("v.patch_embd.weight.1", np.zeros((FEATURES, 3, PATCH, PATCH), np.float32)),
        *(_tensor(f"v.blk.0.{name}.weight", square) for name in layer),
        *(_tensor(f"v.blk.0.{name}.bias", 0 * ones) for name in layer[:3]),
        *(_tensor(f"v.blk.0.{name}.weight", ones) for name in ("ln1", "ln2")),
        _tensor("mm.0.weight", merged),
        *_llava(words)[1:],
    ]


def _tensor(name: str, data: Floats) -> Tensor:
    return Tensor(name, tuple(reversed(data.shape)), "F32", np.ascontiguousarray(data).tobytes())


# ------------------------------------------------------------------------------------------------ pictures
def picture(*colours: tuple[int, int, int], side: int = 28) -> bytes:
    """A PNG of vertical stripes."""
    row = b"".join(bytes(colours[x * len(colours) // side]) for x in range(side))
    return png(side, side, (b"\0" + row) * side)


def png(width: int, height: int, rows: bytes) -> bytes:
    """A PNG with these (filtered) rows of RGB."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in parts
    )
