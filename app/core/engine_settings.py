"""How models are loaded: every field of ``LoadPlan`` that a person may choose, with its words.

The settings page, the load dialog and the flags of ``hearth serve|chat|bench`` are made from these declarations.
``ADVANCED`` ones are folded away at first. Lists are written as text, as llama.cpp's own flags are.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from app.core.types import KvType

SplitMode = Literal["none", "layer", "row"]
FlashAttention = Literal["auto", "on", "off"]
RopeScaling = Literal["model", "none", "linear", "yarn", "longrope"]


def _basic(title: str, text: str, low: float | None = None, high: float | None = None) -> Meta:
    return Meta(title=title, description=text, ge=low, le=high)


def _advanced(title: str, text: str, low: float | None = None, high: float | None = None) -> Meta:
    return Meta(title=title, description=text, ge=low, le=high, extra={"advanced": True})


class Engine(Struct, frozen=True, kw_only=True):
    """How models are loaded unless a model says otherwise. Names are ``LoadPlan``'s."""

    n_ctx: Annotated[
        int,
        _basic(
            "Context length", "Tokens the model can see at once. More costs memory and speed.", 256, 1048576
        ),
    ] = 4096
    n_gpu_layers: Annotated[
        int,
        _basic("GPU layers", "-1 puts as many on the GPU as there are; 0 uses the CPU alone.", -1, 1000),
    ] = -1
    n_parallel: Annotated[
        int,
        _basic("Parallel requests", "Answers written at the same time; they share the context.", 1, 64),
    ] = 4
    n_threads: Annotated[
        int, _basic("Threads", "0 lets Hearth choose; more than the physical cores is slower.", 0, 512)
    ] = 0
    kv_type: Annotated[
        KvType,
        _basic("KV cache type", "q8_0 halves the memory of the context at almost no loss; q4_0 loses more."),
    ] = "f16"
    v_type: Annotated[
        Literal["same", "f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"],
        _advanced("V cache type", "The V half of the KV cache; a quantized one needs flash attention."),
    ] = "same"
    flash_attn: Annotated[
        FlashAttention,
        _advanced("Flash attention", "Saves memory on long contexts; auto uses it where the device can."),
    ] = "auto"
    n_cpu_moe: Annotated[
        int,
        _advanced(
            "Experts in main memory",
            "For mixture-of-experts models: the experts of this many layers stay off the GPU.",
            0,
            1000,
        ),
    ] = 0
    tensor_overrides: Annotated[
        str,
        _advanced("Tensor placement", "PATTERN=BUFFER pairs with commas, first match wins: ffn_.*_exps=CPU."),
    ] = ""
    devices: Annotated[
        str,
        _advanced("Devices", "Names with commas, as `hearth doctor` lists them; empty lets Hearth choose."),
    ] = ""
    split_mode: Annotated[
        SplitMode,
        _advanced(
            "Split over GPUs", "layer gives each GPU whole layers; row splits each matrix; none uses one."
        ),
    ] = "layer"
    tensor_split: Annotated[
        str, _advanced("Shares of the GPUs", "Numbers with commas: 3,1 gives the first three quarters.")
    ] = ""
    main_gpu: Annotated[
        int, _advanced("Main GPU", "The one used when nothing is split, and for small tensors.", 0, 63)
    ] = 0
    offload_kqv: Annotated[
        bool,
        _advanced(
            "KV cache on the GPU", "Off keeps the context in main memory: slower, but room for layers."
        ),
    ] = True
    kv_unified: Annotated[
        bool,
        _advanced(
            "One KV cache for all",
            "Parallel requests share the context; off gives each its own of that length.",
        ),
    ] = True
    cache_ram_mb: Annotated[
        int,
        _advanced(
            "Idle conversations (MiB)",
            "Main memory for conversations in between: they slow no other and go on at once; 0 switches it off.",
            0,
            1048576,
        ),
    ] = 1024
    swa_full: Annotated[
        bool,
        _advanced(
            "Full sliding-window cache",
            "Keeps all tokens of sliding-window layers: more memory, prefixes reused.",
        ),
    ] = False
    n_batch: Annotated[int, _advanced("Batch size", "Tokens of prompts read in one step.", 32, 65536)] = 2048
    n_ubatch: Annotated[
        int,
        _advanced(
            "Micro-batch size", "Tokens computed at once; more is faster on GPUs and takes memory.", 32, 65536
        ),
    ] = 512
    n_threads_batch: Annotated[
        int, _advanced("Threads for prompts", "0 uses as many as for answers.", 0, 512)
    ] = 0
    use_mmap: Annotated[
        bool, _advanced("Map the file", "Loads quicker, and the system may drop pages it can read again.")
    ] = True
    use_mlock: Annotated[
        bool, _advanced("Lock in memory", "Keeps the system from swapping the model out.")
    ] = False
    rope_scaling: Annotated[
        RopeScaling,
        _advanced("RoPE scaling", "How to go past the trained context; quality falls the further you go."),
    ] = "model"
    rope_freq_base: Annotated[
        float,
        _advanced(
            "RoPE base frequency", "0 takes the model's own; higher stretches the context (NTK).", 0, 1e9
        ),
    ] = 0.0
    rope_freq_scale: Annotated[
        float,
        _advanced(
            "RoPE frequency scale",
            "0 takes the model's own, with linear and yarn what the context needs; 0.5 doubles the context.",
            0,
            1,
        ),
    ] = 0.0
    yarn_orig_ctx: Annotated[
        int, _advanced("YaRN trained context", "0 takes the model's own.", 0, 1048576)
    ] = 0
    yarn_ext_factor: Annotated[
        float, _advanced("YaRN extrapolation", "-1 takes the model's own; 0 interpolates only.", -1, 1)
    ] = -1.0
    yarn_attn_factor: Annotated[
        float,
        _advanced(
            "YaRN attention factor",
            "-1 takes the model's own; another counts only where the extrapolation is 0.",
            -1,
            100,
        ),
    ] = -1.0
    yarn_beta_fast: Annotated[
        float, _advanced("YaRN beta fast", "-1 takes the model's own.", -1, 1000)
    ] = -1.0
    yarn_beta_slow: Annotated[
        float, _advanced("YaRN beta slow", "-1 takes the model's own.", -1, 1000)
    ] = -1.0
    adapters: Annotated[
        str, _advanced("LoRA adapters", "PATH or PATH:SCALE with commas, each a GGUF adapter of this model.")
    ] = ""
    mmproj: Annotated[
        str,
        _advanced(
            "Vision projector",
            "An mmproj file that lets the model see images; empty takes the one beside the model, none leaves it out.",
        ),
    ] = ""
    seed: Annotated[
        int,
        _advanced(
            "Seed",
            "For requests that give none: the same number, plan and batch give the same text; -1 takes a new one.",
            -1,
            4294967294,
        ),
    ] = -1
    guardrail: Annotated[
        Literal["off", "relaxed", "balanced", "strict", "custom"],
        _advanced("Memory guardrail", "How much memory a load must leave free; off loads whatever it takes."),
    ] = "balanced"
    guardrail_gib: Annotated[
        float, _advanced("Memory allowed", "GiB a model may take when the guardrail is custom.", 0, 100000)
    ] = 0.0
    idle_minutes: Annotated[
        int, _advanced("Unload after", "Minutes without a request; 0 keeps models loaded.", 0, 100000)
    ] = 60
    packs: Annotated[str, Meta(extra={"hidden": True})] = ""
    """Folders of backend packs besides those in the data folder's ``packs``; read when the program starts."""
