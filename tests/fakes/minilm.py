"""all-MiniLM-L6-v2 as a GGUF (BERT), made from its own weights, and the same network in numpy as a reference.

The weights and the vocabulary come from a package (packaging/devkit/minilm.py). The names and keys are llama.cpp's
(its conversion/bert.py); the network is Devlin et al.'s BERT as sentence-transformers runs it: mean of the last layer's
token vectors, then length 1.
"""

import json
import os
import struct
import unicodedata
from pathlib import Path

import numpy as np
import platformdirs
import pytest

from tests.fakes.gguf_writer import Tensor, Typed, write_gguf

LAYERS, HEADS, WIDTH = 6, 12, 384
UNK, CLS, SEP = 100, 101, 102
NAMES = {
    "attention.self.query": "attn_q", "attention.self.key": "attn_k", "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output", "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up", "output.dense": "ffn_down", "output.LayerNorm": "layer_output_norm",
}  # fmt: skip
TOP = {
    "embeddings.word_embeddings.weight": "token_embd.weight",
    "embeddings.position_embeddings.weight": "position_embd.weight",
    "embeddings.token_type_embeddings.weight": "token_types.weight",
    "embeddings.LayerNorm.weight": "token_embd_norm.weight",
    "embeddings.LayerNorm.bias": "token_embd_norm.bias",
}
Weights = dict[str, np.ndarray]


def folder() -> Path:
    """Where the set-up has put the files."""
    cache = Path(os.environ.get("HEARTH_CACHE") or platformdirs.user_cache_dir("Hearth", appauthor=False))
    return cache / "minilm"


def fetched() -> bool:
    """Whether it has."""
    return all((folder() / name).is_file() for name in ("model.safetensors", "vocab.txt"))


needs_minilm = pytest.mark.skipif(not fetched(), reason="the embedding model is fetched by `make test`")


def read_weights(path: Path) -> Weights:
    """The tensors of a safetensors file, mapped (source: its README, "Format")."""
    data = np.memmap(path, np.uint8, "r")
    (length,) = struct.unpack("<Q", data[:8].tobytes())
    header = json.loads(data[8 : 8 + length].tobytes())
    found = {}
    for name, info in header.items():
        if info.get("dtype") == "F32":
            start, end = (8 + length + at for at in info["data_offsets"])
            found[name] = data[start:end].view("<f4").reshape(info["shape"])
    return found


def write_minilm(path: Path) -> Path:
    """The GGUF, in F32."""
    weights = read_weights(folder() / "model.safetensors")
    tensors = [_tensor(TOP[name], weights[name]) for name in TOP]
    for layer in range(LAYERS):
        for theirs, ours in NAMES.items():
            for part in ("weight", "bias"):
                data = weights[f"encoder.layer.{layer}.{theirs}.{part}"]
                tensors.append(_tensor(f"blk.{layer}.{ours}.{part}", data))
    return write_gguf(path, _metadata(), tensors)


def _tensor(name: str, data: np.ndarray) -> Tensor:
    return Tensor(name, tuple(reversed(data.shape)), "F32", data.tobytes())


def _metadata() -> dict[str, object]:
    words = vocabulary()
    return {
        "general.architecture": "bert",
        "general.type": "model",
        "general.name": "all-MiniLM-L6-v2",
        "general.file_type": 0,
        "bert.block_count": LAYERS,
        "bert.context_length": 512,
        "bert.embedding_length": WIDTH,
        "bert.feed_forward_length": 1536,
        "bert.attention.head_count": HEADS,
        "bert.attention.layer_norm_epsilon": 1e-12,
        "bert.attention.causal": False,
        "bert.pooling_type": 1,
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.pre": "jina-v2-en",
        "tokenizer.ggml.token_type_count": 2,
        "tokenizer.ggml.tokens": [_phantom(word) for word in words],
        "tokenizer.ggml.token_type": Typed("arr:i32", [3 if _special(word) else 1 for word in words]),
        "tokenizer.ggml.unknown_token_id": UNK,
        "tokenizer.ggml.cls_token_id": CLS,
        "tokenizer.ggml.bos_token_id": CLS,
        "tokenizer.ggml.seperator_token_id": SEP,  # spelled so by the format
        "tokenizer.ggml.padding_token_id": 0,
        "tokenizer.ggml.mask_token_id": 103,
    }


def vocabulary() -> list[str]:
    """Its 30,522 words."""
    return (folder() / "vocab.txt").read_text("utf-8").splitlines()


def _special(word: str) -> bool:
    return word in {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}


def _phantom(word: str) -> str:
    # As llama.cpp wants it: beginnings of words are marked, not their continuations.
    if _special(word):
        return word
    return word[2:] if word.startswith("##") else "\u2581" + word


# -------------------------------------------------------------------------------------- the reference


def tokens_of(text: str) -> list[int]:
    """WordPiece of lower-cased letters without accents, punctuation apart, between [CLS] and [SEP]."""
    ids = {word: at for at, word in enumerate(vocabulary())}
    plain = "".join(c for c in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(c) != "Mn")
    spaced = "".join(c if c.isalnum() or c.isspace() else f" {c} " for c in plain)
    return [CLS, *(token for word in spaced.split() for token in _pieces(word, ids)), SEP]


def _pieces(word: str, ids: dict[str, int]) -> list[int]:
    found, start = [], 0
    while start < len(word):
        mark = "##" if start else ""
        ends = range(len(word), start, -1)
        end = next((at for at in ends if mark + word[start:at] in ids), None)
        if end is None:
            return [UNK]
        found.append(ids[mark + word[start:end]])
        start = end
    return found


class Reference:
    """The network in numpy, F32."""

    def __init__(self) -> None:
        self._w = read_weights(folder() / "model.safetensors")

    def vector(self, text: str) -> np.ndarray:
        """(384,) of length 1."""
        ids, w = tokens_of(text), self._w
        x = (
            w["embeddings.word_embeddings.weight"][ids]
            + w["embeddings.position_embeddings.weight"][: len(ids)]
        )
        x = self._norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        for layer in range(LAYERS):
            x = self._layer(x, f"encoder.layer.{layer}")
        mean = x.mean(axis=0)
        return mean / np.linalg.norm(mean)

    def _layer(self, x: np.ndarray, at: str) -> np.ndarray:
        x = self._norm(x + self._attention(x, at), f"{at}.attention.output.LayerNorm")
        hidden = _gelu(self._linear(x, f"{at}.intermediate.dense"))
        return self._norm(x + self._linear(hidden, f"{at}.output.dense"), f"{at}.output.LayerNorm")

    def _attention(self, x: np.ndarray, at: str) -> np.ndarray:
        q, k, v = (
            self._linear(x, f"{at}.attention.self.{name}").reshape(len(x), HEADS, -1).transpose(1, 0, 2)
            for name in ("query", "key", "value")
        )
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])
        share = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = share / share.sum(-1, keepdims=True) @ v
        return self._linear(mixed.transpose(1, 0, 2).reshape(len(x), WIDTH), f"{at}.attention.output.dense")

    def _linear(self, x: np.ndarray, name: str) -> np.ndarray:
        return x @ self._w[f"{name}.weight"].T + self._w[f"{name}.bias"]

    def _norm(self, x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
        return scaled * self._w[f"{name}.weight"] + self._w[f"{name}.bias"]


def _gelu(x: np.ndarray) -> np.ndarray:
    from math import erf

    return 0.5 * x * (1 + np.vectorize(erf)(x / np.sqrt(2.0)))
