"""Makes a mixture-of-experts model out of a dense llama: the feed-forward layer is split into experts that are all used
with equal weight, so that the new model computes what the dense one does.

Gate and up matrices: the hidden units' rows in groups, the same bytes. Down: the columns in groups, scaled by the
number of experts (each counts 1/n). The router's weights are zero: every expert gets the same share.
"""

import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.models.ggml_types import TYPE_NUMBERS
from app.models.gguf import Header, TensorInfo, read_header

EXPERTS = 4
BLOCK, BLOCK_BYTES = 32, 20  # ggml's Q4_1: two halves (scale, minimum), 16 bytes of nibbles
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_REPLACED = ("llama.feed_forward_length", "llama.expert_count", "llama.expert_used_count")

Bytes = npt.NDArray[np.uint8]
_Item = tuple[str, tuple[int, ...], int, bytes]


def write_moe(dense: Path, path: Path, used: int = EXPERTS, spread: float = 0.0) -> Path:
    """Write the split model. ``dense`` must be a llama with Q4_1 feed-forward matrices. With fewer experts ``used`` and
    router weights of some ``spread`` the experts see different tokens (and the model no longer computes the same)."""
    header, data = read_header(dense), np.memmap(dense, np.uint8, "r")
    hidden = int(header.metadata["llama.feed_forward_length"])  # type: ignore[call-overload]
    numbers = {_REPLACED[0]: hidden // EXPERTS, _REPLACED[1]: EXPERTS, _REPLACED[2]: used}
    entries = [raw for key, raw in raw_entries(data) if key not in _REPLACED]
    entries += [_string(key) + struct.pack("<II", 4, value) for key, value in numbers.items()]
    tensors = [item for tensor in header.tensors for item in _split(header, tensor, data, spread)]
    with path.open("wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(entries)) + b"".join(entries))
        offset = 0
        for name, shape, kind, content in tensors:
            file.write(_string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset))
            offset += len(content) + (-len(content) % 32)
        file.write(bytes(-file.tell() % 32))
        for *_, content in tensors:
            file.write(content + bytes(-len(content) % 32))
    return path


def _split(header: Header, tensor: TensorInfo, data: Bytes, spread: float) -> list[_Item]:
    start = header.data_offset + tensor.offset
    content = bytes(data[start : start + tensor.bytes])
    stem, _, part = tensor.name.rpartition(".ffn_")
    if part in ("gate.weight", "up.weight"):
        assert tensor.type == "Q4_1"
        width, hidden = tensor.shape
        name = f"{stem}.ffn_{part.replace('.weight', '_exps.weight')}"
        return [(name, (width, hidden // EXPERTS, EXPERTS), 3, content)]
    if part == "down.weight":
        hidden, width = tensor.shape
        weights = np.random.default_rng(len(stem)).normal(0, spread, width * EXPERTS).astype(np.float32)
        router = (f"{stem}.ffn_gate_inp.weight", (width, EXPERTS), 0, weights.tobytes())
        shape = (hidden // EXPERTS, width, EXPERTS)
        return [router, (f"{stem}.ffn_down_exps.weight", shape, 3, _down(content, hidden))]
    return [(tensor.name, tensor.shape, TYPE_NUMBERS[tensor.type], content)]


def _down(content: bytes, hidden: int) -> bytes:
    blocks = hidden // BLOCK
    rows = np.frombuffer(content, np.uint8).reshape(-1, EXPERTS, blocks // EXPERTS, BLOCK_BYTES).copy()
    halves = rows[..., :4].copy().view(np.float16) * np.float16(EXPERTS)
    rows[..., :4] = halves.view(np.uint8)
    return np.ascontiguousarray(rows.transpose(1, 0, 2, 3)).tobytes()


def raw_entries(data: Bytes) -> list[tuple[str, bytes]]:
    """Key and raw bytes of every metadata entry."""
    raw = bytes(data[: 16 << 20])
    (count,) = struct.unpack_from("<Q", raw, 16)
    at, found = 24, []
    for _ in range(count):
        start = at
        (length,) = struct.unpack_from("<Q", raw, at)
        key = raw[at + 8 : at + 8 + length].decode()
        (kind,) = struct.unpack_from("<I", raw, at + 8 + length)
        at = _after(raw, at + 12 + length, kind)
        found.append((key, raw[start:at]))
    return found


def _after(raw: bytes, at: int, kind: int) -> int:
    if kind == 8:
        return at + 8 + int(struct.unpack_from("<Q", raw, at)[0])
    if kind != 9:
        return at + _SIZES[kind]
    inner, count = struct.unpack_from("<IQ", raw, at)
    at += 12
    if inner in _SIZES:
        return at + count * _SIZES[inner]
    for _ in range(count):
        at = _after(raw, at, inner)
    return at


def _string(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()
