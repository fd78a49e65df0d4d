"""A real mixture of experts made from the starter model: its feed-forward layers split into experts.

Each dense FFN, ``down(silu(gate x) * up x)``, is a sum over its hidden units: the units can be dealt out to E
experts and their results added up again. llama.cpp weighs the chosen experts by a softmax that sums to 1; with a
router of zeros and all experts in use each weighs 1/E, so the down projections are multiplied by E (a power of two,
which only moves exponents). The result is a model of llama's MoE architecture that says what the dense one says.

Rows of Q4_1 and Q4_0 are cut at block boundaries and scaled in place: no weight is quantized anew.
"""

import struct
from pathlib import Path

import numpy as np

from app.models.gguf import Header, TensorInfo, read_header
from tests.fakes.gguf_writer import TYPE_NUMBERS, Encoder, Tensor

EXPERTS = 4
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
BLOCK = 32
ALIGNMENT = 32


def make_moe(dense: Path, target: Path, experts: int = EXPERTS) -> Path:
    """Write the MoE twin of a dense llama. ``experts`` must be a power of two that divides its FFN into blocks."""
    header = read_header(dense)
    with dense.open("rb") as file:
        keys = [_narrowed(key, experts) for key in _raw_keys(file.read(header.data_offset))]
        tensors = [part for info in header.tensors for part in _convert(header, info, file, experts)]
    width = int(header.metadata["llama.embedding_length"])
    layers = int(header.metadata["llama.block_count"])
    router = np.zeros((experts, width), np.float32).tobytes()
    tensors += [
        Tensor(f"blk.{i}.ffn_gate_inp.weight", (width, experts), "F32", router) for i in range(layers)
    ]
    encoder = Encoder()
    counts = ("llama.expert_count", "llama.expert_used_count")
    keys += [encoder.string(key) + encoder.value(experts) for key in counts]
    _write(target, keys, tensors)
    return target


def _convert(header: Header, info: TensorInfo, file: object, experts: int) -> list[Tensor]:
    file.seek(header.data_offset + info.offset)  # type: ignore[attr-defined]
    data = file.read(info.bytes)  # type: ignore[attr-defined]
    for name in ("gate", "up", "down"):
        if f".ffn_{name}.weight" in info.name:
            new = info.name.replace(f"ffn_{name}", f"ffn_{name}_exps")
            width, height = info.shape
            if name == "down":
                return [
                    Tensor(
                        new, (width // experts, height, experts), info.type, _split_down(data, info, experts)
                    )
                ]
            # Rows are hidden units: experts of consecutive rows are already one after the other.
            return [Tensor(new, (width, height // experts, experts), info.type, data)]
    return [Tensor(info.name, info.shape, info.type, data)]


def _split_down(data: bytes, info: TensorInfo, experts: int) -> bytes:
    width, height = info.shape
    assert width % (experts * BLOCK) == 0
    size = len(data) // height // (width // BLOCK)
    blocks = np.frombuffer(data, np.uint8).reshape(height, experts, width // BLOCK // experts, size)
    blocks = np.ascontiguousarray(blocks.transpose(1, 0, 2, 3))
    scales = 2 if info.type == "Q4_1" else 1  # d and m, or d alone
    assert info.type in ("Q4_1", "Q4_0", "Q8_0"), info.type
    head = blocks[..., : 2 * scales].copy().view(np.float16) * np.float16(experts)
    blocks[..., : 2 * scales] = head.view(np.uint8)
    return blocks.tobytes()


def _narrowed(key: bytes, experts: int) -> bytes:
    """The feed-forward width is an expert's now; every other key stays."""
    name = b"llama.feed_forward_length"
    if key[8 : 8 + len(name)] != name:
        return key
    (width,) = struct.unpack("<I", key[-4:])
    return key[:-4] + struct.pack("<I", width // experts)


def _raw_keys(head: bytes) -> list[bytes]:
    """Each key with its value, as bytes."""
    count = struct.unpack_from("<Q", head, 16)[0]
    at, found = 24, []
    for _ in range(count):
        start = at
        at += 8 + struct.unpack_from("<Q", head, at)[0]
        at = _skip(head, at + 4, struct.unpack_from("<I", head, at)[0])
        found.append(head[start:at])
    return found


def _skip(head: bytes, at: int, kind: int) -> int:
    if kind == 8:
        return at + 8 + struct.unpack_from("<Q", head, at)[0]
    if kind != 9:
        return at + SIZES[kind]
    inner, count = struct.unpack_from("<IQ", head, at)
    at += 12
    if inner in SIZES:
        return at + SIZES[inner] * count
    for _ in range(count):
        at = _skip(head, at, inner)
    return at


def _write(target: Path, keys: list[bytes], tensors: list[Tensor]) -> None:
    head = [b"GGUF", struct.pack("<IQQ", 3, len(tensors), len(keys)), *keys]
    offset = 0
    for tensor in tensors:
        name = tensor.name.encode()
        head += [struct.pack("<Q", len(name)), name, struct.pack("<I", len(tensor.shape))]
        head += [struct.pack(f"<{len(tensor.shape)}Q", *tensor.shape)]
        head += [struct.pack("<IQ", TYPE_NUMBERS[tensor.type], offset)]
        offset += len(tensor.data or b"") + (-len(tensor.data or b"") % ALIGNMENT)
    raw = b"".join(head)
    with target.open("wb") as file:
        file.write(raw + bytes(-len(raw) % ALIGNMENT))
        for tensor in tensors:
            assert tensor.data is not None
            file.write(tensor.data + bytes(-len(tensor.data) % ALIGNMENT))
