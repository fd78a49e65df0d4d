# size: llama.cpp's rules for every architecture belong together
"""What planning needs to know of a model, layer by layer, from its GGUF header (or, less exactly, its summary).

The rules are llama.cpp's own (``llama-hparams.cpp``, ``llama-model.cpp`` ``create_memory``, ``models/*.cpp``): which
layers have a KV cache, of what width, with which window, and which carry a recurrent state instead.
"""

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from app.core.types import GgufSummary, ModelRecord
from app.models.gguf import ArrayStub, Header, TensorInfo, Value, read_header

_BLOCK = re.compile(r"blk\.(\d+)\.(.+)")
_EXPERTS = re.compile(r"ffn_(up|down|gate|gate_up)_(ch|)exps\.weight")

# Default distance between full-attention layers where a file does not say (models/*.cpp, load_swa_pattern);
# negative: the full layer comes first in each group.
_SWA_PERIOD = {
    "afmoe": 4, "cohere2": 4, "cohere2moe": -4, "exaone-moe": 4, "exaone4": 4, "gemma2": 2, "gemma3": 6,
    "gemma3n": 5, "gpt-oss": 2, "laguna": -4, "llama4": 4, "mellum": 4, "muse-glimmer": 4, "olmo2": 4, "plamo3": 8,
    "smallthinker": -4,
}  # fmt: skip
_SWA_NEVER = ("phi3", "phimoe")  # llama.cpp ignores their window
_RECURRENT = ("mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7")
_INTERVAL = ("qwen3next", "qwen35", "qwen35moe", "qwen4exp", "minimax-01")  # every n-th layer has attention
_NO_MEMORY = ("bert", "jina-bert-v2", "jina-bert-v3", "nomic-bert", "nomic-bert-moe", "neo-bert", "eurobert",
              "modern-bert", "gemma-embedding", "dream", "llada", "llada-moe", "rnd1", "wavtokenizer-dec")  # fmt: skip


class Layer(Struct, frozen=True, gc=False):
    """One repeating layer. Bytes on disk, which are the bytes in memory; widths in elements per token."""

    weights: int = 0
    experts: int = 0
    """Bytes of routed experts (they may stay in RAM), not counted in ``weights``."""
    k_width: int = 0
    v_width: int = 0
    windowed: bool = False
    """Sliding-window (or chunked) attention: its cache holds the window, not the context."""
    state: int = 0
    """Bytes of recurrent state for one sequence (always f32)."""


class Work(Struct, frozen=True, gc=False):
    """Matrices of one weight type: what one token reads and multiplies (all experts, chosen or not)."""

    bytes: int = 0
    rows: int = 0
    elements: int = 0
    matrices: int = 0


Mix = Mapping[str, Work]
"""Work by ggml type name."""


class ModelFacts(Struct, frozen=True):
    """A model as planning sees it. ``exact`` is False when it was guessed from a summary."""

    architecture: str
    layers: tuple[Layer, ...]
    input_bytes: int = 0
    """Token embeddings: they stay in main memory."""
    output_bytes: int = 0
    """Output matrix and norm; with ``tied`` the matrix is the token embeddings again."""
    tied: bool = False
    n_embd: int = 0
    n_ff: int = 0
    n_head: int = 0
    head_dim: int = 0
    n_vocab: int = 0
    n_ctx_train: int | None = None
    rope_scale: float = 1.0
    """How far the file itself squeezes positions (``rope.scaling.factor`` 4: 0.25)."""
    window: int = 0
    experts: int = 0
    experts_used: int = 0
    n_ff_exp: int = 0
    inner: int = 0
    """Width of a recurrent layer's inner state (SSM)."""
    memoryless: bool = False
    """An encoder: no KV cache at all."""
    recurrent: bool = False
    """Some layer carries a recurrent state: every sequence costs memory, and prefixes can't be shared."""
    exact: bool = True
    body_mix: dict[str, Work] = {}
    """Matrices of the layers without their experts."""
    expert_mix: dict[str, Work] = {}
    output_mix: dict[str, Work] = {}
    tensors: dict[str, int] = {}
    """Bytes by tensor name, where the header was read: what a tensor override moves."""

    @property
    def bytes(self) -> int:
        """All weights, once."""
        return (
            self.input_bytes + self.output_bytes + sum(layer.weights + layer.experts for layer in self.layers)
        )

    @property
    def active_bytes(self) -> float:
        """Weights read for one token: everything but the experts that are not chosen and the embedding rows."""
        share = self.experts_used / self.experts if self.experts else 1.0
        body = sum(layer.weights + layer.experts * share for layer in self.layers)
        return body + self.output_bytes + (self.input_bytes if self.tied else 0)


class _Keys:
    """The header's values under the architecture's prefix."""

    def __init__(self, metadata: Mapping[str, Value]) -> None:
        self._metadata = metadata
        self.architecture = str(metadata.get("general.architecture", "")).lower()

    def get(self, name: str) -> Value | None:
        return self._metadata.get(f"{self.architecture}.{name}")

    def number(self, name: str, default: int = 0) -> int:
        value = self.get(name)
        if isinstance(value, tuple):
            return max((int(item) for item in value if not isinstance(item, str)), default=default)
        return int(value) if isinstance(value, int | float) else default

    def per_layer(self, name: str, count: int, default: int = 0) -> list[int]:
        """One number for each layer, from an array or one value for all."""
        value = self.get(name)
        if isinstance(value, tuple):
            found = [int(item) for item in value if not isinstance(item, str)]
            return (found + [default] * count)[:count]
        return [int(value) if isinstance(value, int | float) else default] * count

    def flags(self, name: str, count: int) -> list[bool] | None:
        """An array of truth values, or None when the key is no array."""
        value = self.get(name)
        return (
            [bool(item) for item in (*value, *[False] * count)][:count] if isinstance(value, tuple) else None
        )

    def vocabulary(self) -> int:
        tokens = self._metadata.get("tokenizer.ggml.tokens")
        count = (
            tokens.count if isinstance(tokens, ArrayStub) else len(tokens) if isinstance(tokens, tuple) else 0
        )
        return self.number("vocab_size") or count


def from_header(header: Header, more: Iterable[Header] = ()) -> ModelFacts:
    """Facts from the header of a file, and of the other files of a split set."""
    keys = _Keys(header.metadata)
    tensors = [*header.tensors, *(tensor for part in more for tensor in part.tensors)]
    count, trunk = (
        keys.number("block_count"),
        keys.number("block_count") - keys.number("nextn_predict_layers"),
    )
    weights, experts, outside = _sum_tensors(tensors, count, trunk)
    caches = _caches(keys, count, trunk)
    layers = tuple(
        Layer(
            weights[i], experts[i], caches[i].k_width, caches[i].v_width, caches[i].windowed, caches[i].state
        )
        for i in range(count)
    )
    shapes = {tensor.name: tensor.shape for tensor in tensors}
    embedding = shapes.get("token_embd.weight", (0, 0))
    tied = "output.weight" not in shapes and len(embedding) == 2
    sizes = {tensor.name: tensor.bytes for tensor in tensors if _layer_of(tensor.name) < trunk}
    return _facts(keys, layers, outside, embedding, tied, _mixes(tensors, trunk, tied), sizes)


def _layer_of(name: str) -> int:
    match = _BLOCK.match(name)
    return int(match[1]) if match else -1


def _mixes(tensors: Sequence[TensorInfo], trunk: int, tied: bool) -> tuple[dict[str, Work], ...]:
    """(layers without experts, experts, output) by weight type; vectors are left out."""
    found: tuple[dict[str, Work], ...] = ({}, {}, {})
    output = "token_embd.weight" if tied else "output.weight"
    for tensor in tensors:
        match = _BLOCK.match(tensor.name)
        if (
            len(tensor.shape) < 2
            or (match is None and tensor.name != output)
            or (match and int(match[1]) >= trunk)
        ):
            continue
        mix = found[2 if match is None else 1 if _EXPERTS.fullmatch(match[2]) else 0]
        old = mix.get(tensor.type, Work())
        rows = tensor.elements // tensor.shape[0]
        count = old.matrices + tensor.elements // (tensor.shape[0] * tensor.shape[1])
        mix[tensor.type] = Work(
            old.bytes + tensor.bytes, old.rows + rows, old.elements + tensor.elements, count
        )
    return found


def _facts(
    keys: _Keys,
    layers: tuple[Layer, ...],
    outside: dict[str, int],
    embedding: tuple[int, ...],
    tied: bool,
    mixes: tuple[dict[str, Work], ...],
    sizes: dict[str, int],
) -> ModelFacts:
    n_embd = keys.number("embedding_length") or embedding[0]
    n_head = keys.number("attention.head_count")
    return ModelFacts(
        architecture=keys.architecture,
        layers=layers,
        input_bytes=outside["input"],
        output_bytes=outside["output"],
        tied=tied,
        n_embd=n_embd,
        n_ff=keys.number("feed_forward_length"),
        n_head=n_head,
        head_dim=keys.number("attention.key_length", n_embd // n_head if n_head else 0),
        n_vocab=embedding[1] if len(embedding) > 1 else keys.vocabulary(),
        n_ctx_train=keys.number("context_length") or None,
        rope_scale=_rope_scale(keys),
        window=keys.number("attention.sliding_window") if any(layer.windowed for layer in layers) else 0,
        experts=keys.number("expert_count"),
        experts_used=keys.number("expert_used_count"),
        n_ff_exp=keys.number("expert_feed_forward_length"),
        inner=keys.number("ssm.inner_size"),
        memoryless=keys.architecture in _NO_MEMORY,
        recurrent=any(layer.state for layer in layers),
        body_mix=mixes[0],
        expert_mix=mixes[1],
        output_mix=mixes[2],
        tensors=sizes,
    )


def _rope_scale(keys: _Keys) -> float:
    factor = keys.get("rope.scaling.factor") or keys.get("rope.scale_linear")
    return 1 / factor if isinstance(factor, int | float) and factor > 0 else 1.0


def _sum_tensors(
    tensors: Sequence[TensorInfo], count: int, trunk: int
) -> tuple[list[int], list[int], dict[str, int]]:
    """(weights per layer, experts per layer, {"input", "output"}). Layers that predict further tokens (MTP) are not
    loaded."""
    weights, experts, outside = [0] * count, [0] * count, {"input": 0, "output": 0}
    for tensor in tensors:
        match = _BLOCK.match(tensor.name)
        if match is None:
            place = "input" if tensor.name.startswith(("token_embd", "per_layer_token_embd")) else "output"
            outside[place] += tensor.bytes
        elif int(match[1]) < trunk:
            target = experts if _EXPERTS.fullmatch(match[2]) else weights
            target[int(match[1])] += tensor.bytes
    return weights, experts, outside


def _caches(keys: _Keys, count: int, trunk: int) -> list[Layer]:
    """Only the cache fields of each layer are filled."""
    if keys.architecture in _NO_MEMORY:
        return [Layer()] * count
    heads, heads_kv = _heads(keys, count)
    recurrent = _recurrent(keys, count, heads_kv)
    windowed = _windowed(keys, count, recurrent)
    first_shared = _first_shared(keys, count)
    state = _state_bytes(keys, heads)
    found = []
    for i in range(count):
        both = keys.architecture == "falcon-h1"
        attention = (
            i < trunk
            and i < first_shared
            and (both or not recurrent[i])
            and not _feed_forward_only(keys, i, count)
        )
        k_width, v_width = _widths(keys, heads[i], heads_kv[i], windowed[i]) if attention else (0, 0)
        has_state = i < trunk and recurrent[i]
        found.append(Layer(0, 0, k_width, v_width, windowed[i] and attention, state if has_state else 0))
    return found


def _heads(keys: _Keys, count: int) -> tuple[list[int], list[int]]:
    heads = keys.per_layer("attention.head_count", count)
    if keys.get("attention.head_count_kv") is None:
        return heads, heads
    return heads, keys.per_layer("attention.head_count_kv", count)


def _recurrent(keys: _Keys, count: int, heads_kv: Sequence[int]) -> list[bool]:
    name = keys.architecture
    if name in (*_RECURRENT, "falcon-h1"):
        return [True] * count
    if name in _INTERVAL:
        interval = keys.number("full_attention_interval", 8 if name == "minimax-01" else 4)
        return keys.flags("attention.recurrent_layers", count) or [
            (i + 1) % interval != 0 for i in range(count)
        ]
    if name.startswith("nemotron_h"):
        feed = keys.per_layer("feed_forward_length", count)
        return [heads_kv[i] == 0 and feed[i] == 0 for i in range(count)]
    has_state = any(
        keys.get(key) for key in ("ssm.state_size", "shortconv.l_cache", "kda.head_dim", "wkv.head_size")
    )
    return [bool(has_state) and heads_kv[i] == 0 for i in range(count)]


def _feed_forward_only(keys: _Keys, layer: int, count: int) -> bool:
    if not keys.architecture.startswith("nemotron_h"):
        return False
    return keys.per_layer("feed_forward_length", count)[layer] != 0


def _windowed(keys: _Keys, count: int, recurrent: Sequence[bool]) -> list[bool]:
    """Which layers see only a window of the past."""
    name = keys.architecture
    window = keys.get("attention.sliding_window")
    if name in _SWA_NEVER or (not window and (name != "llama4" or window == 0)):
        return [False] * count
    if name.startswith("lfm2"):
        return [not flag for flag in recurrent]
    flags = keys.flags("attention.sliding_window_pattern", count)
    return flags if flags is not None else _periodic(keys, count)


def _periodic(keys: _Keys, count: int) -> list[bool]:
    default = _SWA_PERIOD.get(keys.architecture, 1)
    period = keys.number("attention.sliding_window_pattern", abs(default))
    if period == 0:
        return [True] * count
    return [(i % period != 0) if default < 0 else (i % period < period - 1) for i in range(count)]


def _first_shared(keys: _Keys, count: int) -> int:
    """Layers from this one on reuse another layer's cache."""
    if keys.architecture == "gemma3n":
        return 20
    return count - keys.number("attention.shared_kv_layers")


def _widths(keys: _Keys, heads: int, heads_kv: int, windowed: bool) -> tuple[int, int]:
    plain = keys.number("embedding_length") // heads if heads else 0
    k_length = keys.number("attention.key_length", plain)
    v_length = keys.number("attention.value_length", plain)
    if windowed:
        k_length = keys.number("attention.key_length_swa", k_length)
        v_length = keys.number("attention.value_length_swa", v_length)
    # Latent attention keeps one compressed vector that serves as both.
    latent = bool(keys.number("attention.key_length_mla"))
    return k_length * heads_kv, 0 if latent else v_length * heads_kv


def _state_bytes(keys: _Keys, heads: Sequence[int]) -> int:
    """f32 bytes of one recurrent layer for one sequence: llama_hparams::n_embd_r and n_embd_s."""
    n_embd = keys.number("embedding_length")
    if head := keys.number("wkv.head_size"):
        return 4 * (keys.number("token_shift_count", 2) * n_embd + n_embd * head)
    if cache := keys.number("shortconv.l_cache"):
        return 4 * n_embd * (cache - 1)
    conv = max(keys.number("ssm.conv_kernel") - 1, 0)
    n_head = max(heads, default=0)
    if head := keys.number("kda.head_dim"):
        return 4 * (3 * (conv or 3) * n_head * head + head * head * n_head)
    inner, size = keys.number("ssm.inner_size"), keys.number("ssm.state_size")
    groups = keys.number("ssm.group_count")
    return 4 * (conv * (inner + 2 * groups * size) + size * inner)


def from_summary(summary: GgufSummary, total: int) -> ModelFacts:
    """A guess where no header can be read: ``total`` bytes spread evenly, K and V as in plain attention."""
    count = summary.block_count or 32
    heads = summary.head_count[0] if summary.head_count else 32
    n_embd = summary.embedding_length or 4096
    n_vocab = summary.vocab_size or 128_000
    edge = min(total // 4, int(n_embd * n_vocab * (summary.bits_per_weight or 5) / 8))
    body, share = total - 2 * edge, 0.9 if summary.expert_count else 0.0
    per_layer = body // count
    key = summary.key_length or n_embd // heads
    value = summary.value_length or key
    layers = []
    for i in range(count):
        kv_heads = (
            summary.head_count_kv[min(i, len(summary.head_count_kv) - 1)] if summary.head_count_kv else heads
        )
        experts = int(per_layer * share)
        layers.append(Layer(per_layer - experts, experts, key * kv_heads, value * kv_heads))
    return ModelFacts(
        summary.architecture,
        tuple(layers),
        edge,
        edge,
        n_embd=n_embd,
        n_ff=int(n_embd * 3.5),
        n_head=heads,
        head_dim=key,
        n_vocab=n_vocab,
        n_ctx_train=summary.context_length,
        experts=summary.expert_count or 0,
        experts_used=summary.expert_used_count or 0,
        n_ff_exp=n_embd // 2 if summary.expert_count else 0,
        exact=False,
    )


def from_record(record: ModelRecord) -> ModelFacts:
    """Facts of a model on this machine, remembered until a file changes. Falls back to its summary when the header
    can't be read; raises ModelError when there is no summary either."""
    try:
        stamp = tuple((file.path, Path(file.path).stat().st_mtime_ns) for file in record.files)
        return _from_files(stamp)
    except OSError:
        if record.summary is None:
            raise
        return from_summary(record.summary, record.bytes)


@functools.lru_cache(maxsize=64)
def _from_files(stamp: tuple[tuple[str, int], ...]) -> ModelFacts:
    first, *rest = (read_header(Path(path)) for path, _ in stamp)
    return from_header(first, rest)
