"""Small models with random weights that llama.cpp really computes: what no starter model shows (windows, recurrent
states, rerankers, LoRA adapters). Shapes follow llama.cpp's ``models/*.cpp``; text models have the starter's words.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.models.ggml_types import TYPE_NUMBERS
from app.models.gguf import read_header
from tests.fakes.gguf_writer import Encoder, Tensor, Typed, write_gguf
from tests.fakes.moe import raw_entries

WIDTH, VOCAB = 64, 49152
Floats = npt.NDArray[np.float32]
Shapes = dict[str, tuple[int, ...]]


def write_windowed(path: Path, starter: Path, window: int = 32) -> Path:
    """A gemma3: five layers see ``window`` tokens, the sixth all of them."""
    key, inner, tensors = 32, 128, dict(_edges())
    for i in range(6):
        tensors |= {
            f"blk.{i}.attn_q": (WIDTH, 2 * key), f"blk.{i}.attn_k": (WIDTH, key), f"blk.{i}.attn_v": (WIDTH, key),
            f"blk.{i}.attn_output": (2 * key, WIDTH), f"blk.{i}.attn_q_norm": (key,), f"blk.{i}.attn_k_norm": (key,),
            f"blk.{i}.attn_norm": (WIDTH,), f"blk.{i}.post_attention_norm": (WIDTH,), f"blk.{i}.ffn_norm": (WIDTH,),
            f"blk.{i}.post_ffw_norm": (WIDTH,), f"blk.{i}.ffn_gate": (WIDTH, inner), f"blk.{i}.ffn_up": (WIDTH, inner),
            f"blk.{i}.ffn_down": (inner, WIDTH),
        }  # fmt: skip
    keys = {
        "block_count": 6, "context_length": 2048, "embedding_length": WIDTH, "feed_forward_length": inner,
        "attention.head_count": 2, "attention.head_count_kv": 1, "attention.key_length": key,
        "attention.value_length": key, "attention.sliding_window": window, "attention.layer_norm_rms_epsilon": 1e-6,
    }  # fmt: skip
    return _write(path, starter, "gemma3", keys, tensors)


def write_recurrent(path: Path, starter: Path) -> Path:
    """A mamba: no attention, one state for each sequence."""
    inner, state, rank, tensors = 2 * WIDTH, 16, 8, dict(_edges())
    for i in range(2):
        tensors |= {
            f"blk.{i}.attn_norm": (WIDTH,), f"blk.{i}.ssm_in": (WIDTH, 2 * inner), f"blk.{i}.ssm_conv1d": (4, inner),
            f"blk.{i}.ssm_conv1d.bias": (inner,), f"blk.{i}.ssm_x": (inner, rank + 2 * state),
            f"blk.{i}.ssm_dt": (rank, inner), f"blk.{i}.ssm_dt.bias": (inner,), f"blk.{i}.ssm_a!": (state, inner),
            f"blk.{i}.ssm_d!": (inner,), f"blk.{i}.ssm_out": (inner, WIDTH),
        }  # fmt: skip
    keys = {
        "block_count": 2, "context_length": 2048, "embedding_length": WIDTH, "feed_forward_length": 0,
        "attention.head_count": 0, "attention.layer_norm_rms_epsilon": 1e-5, "ssm.conv_kernel": 4,
        "ssm.inner_size": inner, "ssm.state_size": state, "ssm.time_step_rank": rank,
    }  # fmt: skip
    return _write(path, starter, "mamba", keys, tensors)


WORDS = ("cat", "dog", "sleeps", "runs", "the", "a", "on", "sofa", "where", "is")


def write_reranker(path: Path) -> Path:
    """A bert with a classification head and ten words."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"\u2581{word}" for word in WORDS)]
    inner, context = 128, 128
    metadata: dict[str, object] = {
        "general.architecture": "bert", "bert.block_count": 2, "bert.context_length": context,
        "bert.embedding_length": WIDTH, "bert.feed_forward_length": inner, "bert.attention.head_count": 4,
        "bert.attention.layer_norm_epsilon": 1e-12, "bert.attention.causal": False, "bert.pooling_type": 4,
        "tokenizer.ggml.model": "bert", "tokenizer.ggml.tokens": words, "tokenizer.ggml.token_type_count": 2,
        "tokenizer.ggml.token_type": Typed("arr:i32", [3] * 4 + [1] * len(WORDS)),
        "tokenizer.ggml.padding_token_id": 0, "tokenizer.ggml.unknown_token_id": 1, "tokenizer.ggml.bos_token_id": 2,
        "tokenizer.ggml.cls_token_id": 2, "tokenizer.ggml.seperator_token_id": 3, "tokenizer.ggml.eos_token_id": 3,
    }  # fmt: skip
    return write_gguf(path, metadata, _tensors(_reranker_shapes()))


def _reranker_shapes() -> Shapes:
    inner, context = 128, 128
    tensors: Shapes = {
        "token_embd": (WIDTH, len(WORDS) + 4), "token_types": (WIDTH, 2), "position_embd": (WIDTH, context),
        "token_embd_norm": (WIDTH,), "token_embd_norm.bias": (WIDTH,), "cls": (WIDTH, WIDTH), "cls.bias": (WIDTH,),
        "cls.output": (WIDTH, 1), "cls.output.bias": (1,),
    }  # fmt: skip
    for i in range(2):
        square: Shapes = {f"blk.{i}.attn_{part}": (WIDTH, WIDTH) for part in ("q", "k", "v", "output")}
        norms: Shapes = {f"blk.{i}.{part}_norm": (WIDTH,) for part in ("attn_output", "layer_output")}
        biases: Shapes = {f"{name}.bias": (WIDTH,) for name in (*square, *norms, f"blk.{i}.ffn_down")}
        tensors |= square | norms | biases | {
            f"blk.{i}.ffn_up": (WIDTH, inner), f"blk.{i}.ffn_up.bias": (inner,), f"blk.{i}.ffn_down": (inner, WIDTH),
        }  # fmt: skip
    return tensors


def reranker_weights() -> dict[str, Floats]:
    """Its matrices by name, (outputs, inputs)."""
    return {
        t.name: np.frombuffer(t.data or b"", np.float32).reshape(t.shape[::-1])
        for t in _tensors(_reranker_shapes())
    }


def score(weights: dict[str, Floats], query: str, document: str) -> float:
    """What the reranker must say about a pair, computed here."""
    left, right = ([4 + WORDS.index(word) for word in text.split()] for text in (query, document))
    tokens = [2, *left, 3, *right]  # as llama-server joins a pair for a tokenizer with separators alone
    x = weights["token_embd.weight"][tokens] + weights["token_types.weight"][0]
    x = _normal(x + weights["position_embd.weight"][: len(tokens)])
    for i in range(2):
        matrix = {
            part: weights[f"blk.{i}.{part}.weight"].T
            for part in ("attn_q", "attn_k", "attn_v", "attn_output")
        }
        heads = [(x @ matrix[f"attn_{part}"]).reshape(-1, 4, WIDTH // 4).transpose(1, 0, 2) for part in "qkv"]
        weight = np.exp(heads[0] @ heads[1].transpose(0, 2, 1) / (WIDTH // 4) ** 0.5)
        seen = weight / weight.sum(axis=-1, keepdims=True) @ heads[2]
        x = _normal(x + seen.transpose(1, 0, 2).reshape(-1, WIDTH) @ matrix["attn_output"])
        up = x @ weights[f"blk.{i}.ffn_up.weight"].T
        bent = 0.5 * up * (1 + np.tanh((2 / np.pi) ** 0.5 * (up + 0.044715 * up**3)))
        x = _normal(x + bent @ weights[f"blk.{i}.ffn_down.weight"].T)
    return float((weights["cls.output.weight"] @ np.tanh(weights["cls.weight"] @ x[0]))[0])


def _normal(x: Floats) -> Floats:
    centred = x - x.mean(axis=-1, keepdims=True)
    found: Floats = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-12)
    return found


def write_adapter(path: Path, starter: Path, strength: float, rank: int = 4) -> Path:
    """A LoRA adapter of every layer's query matrix."""
    header, rolls = read_header(starter), np.random.default_rng(5)
    tensors: list[Tensor] = []
    for tensor in header.tensors:
        if tensor.name.endswith("attn_q.weight"):
            wide, high = tensor.shape
            left = rolls.normal(0, wide**-0.5, (rank, wide)).astype(np.float32)
            right = rolls.normal(0, strength, (high, rank)).astype(np.float32)
            tensors.append(Tensor(f"{tensor.name}.lora_a", (wide, rank), "F32", left.tobytes()))
            tensors.append(Tensor(f"{tensor.name}.lora_b", (rank, high), "F32", right.tobytes()))
    metadata: dict[str, object] = {
        "general.architecture": "llama",
        "general.type": "adapter",
        "adapter.type": "lora",
        "adapter.lora.alpha": float(rank),
    }
    return write_gguf(path, metadata, tensors)


def merge_adapter(starter: Path, adapter: Path, path: Path) -> Path:
    """The starter with the adapter's products added to its matrices (F32): what the adapter must make of it."""
    header, data = read_header(starter), np.memmap(starter, np.uint8, "r")
    extra, added = read_header(adapter), np.memmap(adapter, np.uint8, "r")
    parts = {t.name: _floats(added, extra.data_offset + t.offset, t.shape) for t in extra.tensors}
    tensors = []
    for tensor in header.tensors:
        start = header.data_offset + tensor.offset
        content = bytes(data[start : start + tensor.bytes])
        if f"{tensor.name}.lora_a" in parts:
            assert tensor.type == "Q4_1"
            whole = _dequantized(content).reshape(tensor.shape[::-1])
            whole = whole + parts[f"{tensor.name}.lora_b"] @ parts[f"{tensor.name}.lora_a"]
            tensors.append(Tensor(tensor.name, tensor.shape, "F32", whole.astype(np.float32).tobytes()))
        else:
            tensors.append(Tensor(tensor.name, tensor.shape, tensor.type, content))
    return _join(path, [raw for _, raw in raw_entries(data)], tensors)


def _floats(data: npt.NDArray[np.uint8], start: int, shape: Sequence[int]) -> Floats:
    count = int(np.prod(shape))
    return data[start : start + 4 * count].view(np.float32).reshape(*shape[::-1])


def _dequantized(content: bytes) -> Floats:
    """ggml's Q4_1: scale, minimum, 16 bytes with the first 16 values in their low halves."""
    blocks = np.frombuffer(content, np.uint8).reshape(-1, 20)
    ends = blocks[:, :4].copy().view(np.float16).astype(np.float32)
    values = np.concatenate([blocks[:, 4:] & 15, blocks[:, 4:] >> 4], axis=1).astype(np.float32)
    return values * ends[:, :1] + ends[:, 1:]


def _edges() -> Shapes:
    return {"token_embd": (WIDTH, VOCAB), "output_norm": (WIDTH,)}


def _write(path: Path, starter: Path, architecture: str, keys: dict[str, object], tensors: Shapes) -> Path:
    encoder = Encoder()
    words = [
        raw for key, raw in raw_entries(np.memmap(starter, np.uint8, "r")) if key.startswith("tokenizer.")
    ]
    own = {"general.architecture": architecture, f"{architecture}.vocab_size": VOCAB}
    own |= {f"{architecture}.{key}": value for key, value in keys.items()}  # type: ignore[misc]
    entries = [encoder.string(key) + encoder.value(value) for key, value in own.items()]
    return _join(path, entries + words, _tensors(tensors))


def _join(path: Path, entries: list[bytes], tensors: list[Tensor]) -> Path:
    """A file from metadata entries that are bytes already."""
    encoder, offset, infos = Encoder(), 0, []
    for tensor in tensors:
        infos.append(encoder.string(tensor.name) + encoder.pack("I", len(tensor.shape)))
        infos.append(
            encoder.pack(f"{len(tensor.shape)}QIQ", *tensor.shape, TYPE_NUMBERS[tensor.type], offset)
        )
        offset += tensor.bytes + (-tensor.bytes % 32)
    head = b"".join([b"GGUF", encoder.pack("IQQ", 3, len(tensors), len(entries)), *entries, *infos])
    with path.open("wb") as file:
        file.write(head + bytes(-len(head) % 32))
        for tensor in tensors:
            assert tensor.data is not None
            file.write(tensor.data + bytes(-len(tensor.data) % 32))
    return path


def _tensors(shapes: Shapes) -> list[Tensor]:
    """Norms are 1, biases 0, matrices random; a ``!`` says that the name has no ".weight"."""
    rolls, found = np.random.default_rng(11), []
    for name, shape in shapes.items():
        if name.endswith("_norm"):
            values = np.ones(shape, np.float32)
        elif name.endswith(".bias"):
            values = np.zeros(shape, np.float32)
        elif name.endswith("ssm_a!"):
            values = -np.abs(rolls.normal(1, 0.2, shape)).astype(np.float32)
        else:
            values = rolls.normal(0, shape[0] ** -0.5, shape).astype(np.float32)
        full = name.rstrip("!") if name.endswith(("!", ".bias")) else f"{name}.weight"
        found.append(Tensor(full, shape, "F32", values.tobytes()))
    return found
