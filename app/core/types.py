"""The frozen types that data flows through, other than generation (``app.core.generate``).

Sizes are bytes, times are seconds since the epoch (UTC) unless a name says otherwise. An unknown fact is
``None``: it is shown as "not measurable", never as 0 or a guess.
"""

from typing import Literal

from msgspec import Struct, field

ModelKind = Literal["text", "embedding", "reranker", "projector", "draft", "imatrix", "adapter", "other"]


class GgufSummary(Struct, frozen=True, omit_defaults=True):
    """What a GGUF header says, read without its weights (format: ggml's ``docs/gguf.md``)."""

    architecture: str
    kind: ModelKind = "text"
    name: str = ""
    size_label: str = ""
    parameters: int | None = None
    """Number of weights, counted from the tensors."""
    quant: str = ""
    """Name of the file type (Q4_K_M, ...), from ``general.file_type`` or the tensors' majority."""
    bits_per_weight: float | None = None
    tensor_bytes: dict[str, int] = field(default_factory=dict)
    """Bytes by ggml type name."""
    context_length: int | None = None
    embedding_length: int | None = None
    block_count: int | None = None
    head_count: tuple[int, ...] = ()
    head_count_kv: tuple[int, ...] = ()
    """Per layer, or one value for all."""
    key_length: int | None = None
    value_length: int | None = None
    vocab_size: int | None = None
    expert_count: int | None = None
    expert_used_count: int | None = None
    sliding_window: int | None = None
    has_template: bool = False
    license: str = ""
    quantized_by: str = ""
    split_count: int = 1


class ModelFile(Struct, frozen=True, omit_defaults=True):
    """One file on disk. ``sha256`` is known after a verified download or a verify run."""

    path: str
    bytes: int
    sha256: str | None = None


class Source(Struct, frozen=True, omit_defaults=True):
    """Where a model came from on the Hub."""

    repo: str
    revision: str = ""
    file: str = ""


class ModelRecord(Struct, frozen=True, omit_defaults=True):
    """A model we have: one file or one split set. ``files[0]`` is what llama.cpp opens."""

    id: str
    """Stable and readable: ``owner/repo:QUANT`` from the Hub, else the file's stem (made unique)."""
    name: str
    files: tuple[ModelFile, ...]
    bytes: int
    summary: GgufSummary | None = None
    source: Source | None = None
    projector: str | None = None
    """Path of a vision projector (mmproj) that belongs to it."""
    added_at: float = 0.0
    last_used_at: float | None = None
    times_used: int = 0
    damaged: str | None = None
    """Why it can't be loaded (in plain words), or None."""

    @property
    def path(self) -> str:
        """The file llama.cpp is given."""
        return self.files[0].path


KvType = Literal["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"]


class Adapter(Struct, frozen=True):
    """A LoRA adapter in GGUF form and its strength."""

    path: str
    scale: float = 1.0


class LoadPlan(Struct, frozen=True, omit_defaults=True):
    """Everything decided before a model is loaded: made by ``planning.planner``, consumed by the worker.
    Two equal plans need no reload. Field names are llama.cpp's (``llama_model_params``, ``llama_context_params``).
    """

    model_path: str
    n_ctx: int = 4096
    """Tokens of context for one sequence; the unified KV cache holds ``n_ctx`` tokens in total when ``kv_unified``,
    else ``n_ctx`` for each of ``n_parallel`` sequences."""
    n_parallel: int = 4
    n_idle: int = 8
    """Conversations beyond the parallel ones whose prefix stays in a unified cache; 0 where each costs memory
    (sliding windows, recurrent states)."""
    kv_unified: bool = True
    cache_ram_mb: int = 1024
    """MiB of main memory for the states of conversations that nobody asks at the moment; 0: they stay in the cache."""
    n_gpu_layers: int = -1
    """-1: all that the model has (harmless with no GPU)."""
    devices: tuple[str, ...] = ()
    """ggml device names (``CUDA0``, ``Vulkan0``); empty: the engine's own order."""
    tensor_split: tuple[float, ...] = ()
    split_mode: Literal["none", "layer", "row"] = "layer"
    main_gpu: int = 0
    type_k: KvType = "f16"
    type_v: KvType = "f16"
    flash_attn: Literal["auto", "on", "off"] = "auto"
    offload_kqv: bool = True
    n_batch: int = 2048
    n_ubatch: int = 512
    n_threads: int | None = None
    """None: the calibrated (else physical-core) count."""
    n_threads_batch: int | None = None
    use_mmap: bool = True
    use_mlock: bool = False
    rope_scaling: Literal["model", "none", "linear", "yarn", "longrope"] = "model"
    rope_freq_base: float = 0.0
    rope_freq_scale: float = 0.0
    yarn_ext_factor: float = -1.0
    """YaRN factors: negative takes the model's own."""
    yarn_attn_factor: float = -1.0
    yarn_beta_fast: float = -1.0
    yarn_beta_slow: float = -1.0
    yarn_orig_ctx: int = 0
    n_cpu_moe: int = 0
    """Experts of the first N layers stay in RAM."""
    tensor_overrides: tuple[tuple[str, str], ...] = ()
    """(tensor name pattern, buffer type name), first match wins, as llama.cpp's ``-ot``."""
    adapters: tuple[Adapter, ...] = ()
    projector: str | None = None
    pooling: Literal["model", "none", "mean", "cls", "last", "rank"] = "model"
    embeddings: bool = False
    use_extra_bufts: bool = True
    swa_full: bool = False
    seed: int = -1
    """For requests that have none; -1: another one each time."""
    draft_path: str | None = None


class Forecast(Struct, frozen=True, omit_defaults=True):
    """A number that is not measured yet, as a range, with where it comes from."""

    low: float
    high: float
    source: str = ""


class Sample(Struct, frozen=True):
    """One reading: ``source`` (``host``, ``gpu:0``, ``instance:<id>``), time (``time.monotonic``), named values."""

    source: str
    t: float
    values: dict[str, float | None]
