"""Bytes a loaded model takes on each device, before it is loaded: weights, KV cache, compute buffers.

Weights and caches are llama.cpp's own arithmetic (``llama-kv-cache*.cpp``, ``llama-memory-recurrent.cpp``). The
compute buffer is what the largest moment of its graph holds at once; that part is a model, checked against llama.cpp's
own report in the tests.
"""

import functools
import re
from collections.abc import Mapping, Sequence

from msgspec import Struct

from app.core.types import KvType, LoadPlan
from app.planning.model_facts import Layer, ModelFacts

HOST = "CPU"

# (bytes of a block, elements in it)
KV_TYPES: dict[KvType, tuple[int, int]] = {
    "f32": (4, 1), "f16": (2, 1), "bf16": (2, 1), "q8_0": (34, 32), "q5_1": (24, 32), "q5_0": (22, 32),
    "q4_1": (20, 32), "q4_0": (18, 32), "iq4_nl": (18, 32),
}  # fmt: skip

# What a backend takes for itself beside our buffers (its context, its kernels), by the device's name without digits,
# until the worker's report has taught better. Not measured here: assumed from the projects' own issue threads.
BACKEND_OVERHEAD = {
    "CUDA": 450 << 20,
    "ROCm": 400 << 20,
    "Vulkan": 160 << 20,
    "SYCL": 300 << 20,
    "MTL": 64 << 20,
}
PROCESS_OVERHEAD = 90 << 20
"""A worker process without its model: measured on Linux."""


class DeviceMemory(Struct, frozen=True, omit_defaults=True):
    """One bar of the load dialog. Bytes; ``total`` and ``others`` are None where they can't be known."""

    device: str
    weights: int = 0
    kv: int = 0
    compute: int = 0
    overhead: int = 0
    total: int | None = None
    others: int | None = None
    """Held by other programs now."""

    @property
    def needed(self) -> int:
        """What loading takes from what is free."""
        return self.weights + self.kv + self.compute + self.overhead

    @property
    def left(self) -> int | None:
        """Free after loading (negative: it does not fit), or None."""
        return None if self.total is None else self.total - (self.others or 0) - self.needed


class Placement(Struct, frozen=True):
    """Which device holds each layer, the output, and how many first layers keep their experts in main memory."""

    layers: tuple[str, ...]
    output: str = HOST
    n_cpu_moe: int = 0

    @property
    def devices(self) -> tuple[str, ...]:
        """Every device in use, main memory first."""
        return tuple(dict.fromkeys((HOST, *self.layers, self.output)))


def place(facts: ModelFacts, plan: LoadPlan, devices: Sequence[str]) -> Placement:
    """llama.cpp's own assignment (``load_tensors``): the last ``n_gpu_layers`` of layers + output, split over the
    devices by ``tensor_split`` (evenly when it is empty). Without devices all is in main memory."""
    count = len(facts.layers)
    wanted = count + 1 if plan.n_gpu_layers < 0 else min(plan.n_gpu_layers, count + 1)
    if plan.split_mode == "none" and devices:
        devices = devices[plan.main_gpu : plan.main_gpu + 1]
    if not devices or wanted == 0:
        return Placement((HOST,) * count, HOST, plan.n_cpu_moe)
    shares = list(plan.tensor_split[: len(devices)]) or [1.0] * len(devices)
    edges = _edges(shares)
    start = count + 1 - wanted
    where = [HOST] * start + [_device(devices, edges, i / wanted) for i in range(wanted)]
    return Placement(tuple(where[:count]), where[count], plan.n_cpu_moe)


def _edges(shares: Sequence[float]) -> list[float]:
    total, running, edges = sum(shares) or 1.0, 0.0, []
    for share in shares:
        running += share
        edges.append(running / total)
    return edges


def _device(devices: Sequence[str], edges: Sequence[float], at: float) -> str:
    for device, edge in zip(devices, edges, strict=False):
        if at < edge:
            return device
    return devices[-1]


def sequences(plan: LoadPlan) -> int:
    """Sequences the context gets: those that run and, in a unified cache, idle ones whose prefix stays."""
    return min(256, plan.n_parallel + (plan.n_idle if plan.kv_unified else 0))


def cells(facts: ModelFacts, plan: LoadPlan) -> tuple[int, int]:
    """Cells (tokens) of a full layer's cache and of a windowed layer's, all streams together."""
    streams = 1 if plan.kv_unified else plan.n_parallel
    full = _pad(plan.n_ctx, 256)
    if plan.swa_full or not facts.window:
        return full * streams, full * streams
    ubatch = min(plan.n_ubatch, plan.n_batch)
    shared = sequences(plan) if plan.kv_unified else 1
    windowed = _pad(min(full, facts.window * shared + ubatch), 256)
    return full * streams, windowed * streams


def _pad(value: int, to: int) -> int:
    return -(-value // to) * to


def cache_bytes(layer: Layer, facts: ModelFacts, plan: LoadPlan) -> int:
    """K, V and recurrent state of one layer."""
    full, windowed = cells(facts, plan)
    count = windowed if layer.windowed else full
    state = layer.state * max(1, sequences(plan))
    return (
        row_bytes(layer.k_width, plan.type_k) * count + row_bytes(layer.v_width, plan.type_v) * count + state
    )


def row_bytes(width: int, kind: KvType) -> int:
    """Bytes of ``width`` elements of a type; a row is padded to whole blocks."""
    size, block = KV_TYPES[kind]
    return -(-width // block) * size


def kv_bytes(facts: ModelFacts, plan: LoadPlan) -> int:
    """All caches of all layers."""
    return sum(cache_bytes(layer, facts, plan) for layer in facts.layers)


def compute_bytes(facts: ModelFacts, plan: LoadPlan) -> int:
    """The compute buffer of a device that runs layers, for one full micro-batch."""
    tokens = min(plan.n_ubatch, plan.n_batch, plan.n_ctx * (1 if plan.kv_unified else plan.n_parallel))
    masks = _mask_bytes(facts, plan, tokens)
    stages = [
        _attention_stage(facts, plan, tokens),
        _feed_forward_stage(facts, tokens),
        _expert_stage(facts, tokens),
        _recurrent_stage(facts, plan, tokens),
        _output_stage(facts, plan, tokens),
    ]
    return masks + max(stages) + tokens * 64


def _mask_bytes(facts: ModelFacts, plan: LoadPlan, tokens: int) -> int:
    """The attention masks, one for full and one for windowed layers: f16 with flash attention, f32 without."""
    if facts.memoryless:
        return tokens * tokens * 4
    streams = 1 if plan.kv_unified else plan.n_parallel
    full, windowed = (count // streams for count in cells(facts, plan))
    element = 4 if plan.flash_attn == "off" else 2
    kinds = {layer.windowed for layer in facts.layers if layer.k_width}
    return element * tokens * ((full if False in kinds else 0) + (windowed if True in kinds else 0))


def _attention_stage(facts: ModelFacts, plan: LoadPlan, tokens: int) -> int:
    width = facts.n_head * facts.head_dim
    keys = max((layer.k_width + layer.v_width for layer in facts.layers), default=0)
    stage = 4 * tokens * (2 * width + keys + 2 * facts.n_embd)
    if plan.flash_attn == "off" and not facts.memoryless:
        streams = 1 if plan.kv_unified else plan.n_parallel
        stage += 4 * tokens * facts.n_head * cells(facts, plan)[0] // streams
    return stage


def _feed_forward_stage(facts: ModelFacts, tokens: int) -> int:
    return 4 * tokens * (3 * facts.n_ff + 4 * facts.n_embd)


def _expert_stage(facts: ModelFacts, tokens: int) -> int:
    used = facts.experts_used
    if not facts.experts:
        return 0
    return 4 * tokens * (used * (3 * facts.n_ff_exp + facts.n_embd) + 3 * facts.n_embd + 4 * facts.experts)


def _recurrent_stage(facts: ModelFacts, plan: LoadPlan, tokens: int) -> int:
    state = max((layer.state for layer in facts.layers), default=0)
    return 4 * tokens * (6 * facts.inner + 3 * facts.n_embd) + 2 * state * sequences(plan) if state else 0


def _output_stage(facts: ModelFacts, plan: LoadPlan, tokens: int) -> int:
    outputs = tokens if plan.embeddings else min(tokens, sequences(plan))
    return 4 * (outputs * (facts.n_vocab + facts.n_embd) + 2 * tokens * facts.n_embd)


def output_buffer(facts: ModelFacts, plan: LoadPlan) -> int:
    """Logits (or embeddings) handed to the program, in main memory."""
    width = facts.n_embd if plan.embeddings else facts.n_vocab
    return 4 * width * sequences(plan)


def forecast(
    facts: ModelFacts, plan: LoadPlan, placement: Placement, overhead: Mapping[str, int] | None = None
) -> tuple[DeviceMemory, ...]:
    """What each device will hold, main memory first. ``overhead`` is what was learned about backends (by the
    device's name without digits); the assumed table fills the rest."""
    learned = {**BACKEND_OVERHEAD, **(overhead or {})}
    sums = {device: [0, 0] for device in placement.devices}
    for index, (layer, device) in enumerate(zip(facts.layers, placement.layers, strict=True)):
        experts_at = HOST if index < placement.n_cpu_moe else device
        sums[device][0] += layer.weights
        sums[experts_at][0] += layer.experts
        sums[device if plan.offload_kqv else HOST][1] += cache_bytes(layer, facts, plan)
    sums[HOST][0] += facts.input_bytes
    sums[placement.output][0] += facts.output_bytes
    if facts.tied and placement.output != HOST:
        sums[placement.output][0] += facts.input_bytes
    for (source, target), count in overridden(facts, plan, placement).items():
        sums[source][0] -= count
        sums.setdefault(target, [0, 0])[0] += count
    return tuple(
        _device_memory(facts, plan, placement, device, tuple(pair), learned) for device, pair in sums.items()
    )


def overridden(facts: ModelFacts, plan: LoadPlan, placement: Placement) -> dict[tuple[str, str], int]:
    """Bytes that the plan's tensor overrides move, by (device they would be on, device they go to). As in llama.cpp
    the first pattern found in a tensor's name decides; buffers of main memory (``CPU``, ``CUDA_Host``) are ``CPU``."""
    moved: dict[tuple[str, str], int] = {}
    rules = [(_pattern(pattern), _buffer_device(buffer)) for pattern, buffer in plan.tensor_overrides]
    for name, count in facts.tensors.items() if rules else ():
        target = next((device for pattern, device in rules if pattern.search(name)), None)
        home = _home(name, placement)
        if target is not None and target != home:
            moved[home, target] = moved.get((home, target), 0) + count
    return moved


@functools.lru_cache(maxsize=64)
def _pattern(text: str) -> "re.Pattern[str]":
    try:
        return re.compile(text)
    except re.error:
        return re.compile(re.escape(text))  # the worker refuses it and says so; here it moves nothing


def _buffer_device(buffer: str) -> str:
    return HOST if buffer.startswith("CPU") or buffer.endswith("_Host") else buffer


def _home(name: str, placement: Placement) -> str:
    found = re.match(r"blk\.(\d+)\.(.*)", name)
    if found is None:
        return HOST if name.startswith(("token_embd", "per_layer_token_embd")) else placement.output
    index = int(found[1])
    return HOST if index < placement.n_cpu_moe and "_exps" in found[2] else placement.layers[index]


def _device_memory(
    facts: ModelFacts,
    plan: LoadPlan,
    placement: Placement,
    device: str,
    sums: tuple[int, ...],
    learned: Mapping[str, int],
) -> DeviceMemory:
    weights, cache = sums
    works = device in placement.layers or device == placement.output
    compute = compute_bytes(facts, plan) if works else 4 * facts.n_embd * min(plan.n_ubatch, plan.n_ctx) * 2
    if device == HOST:
        return DeviceMemory(HOST, weights, cache, compute + output_buffer(facts, plan), PROCESS_OVERHEAD)
    return DeviceMemory(device, weights, cache, compute, learned.get(device.rstrip("0123456789"), 0))
