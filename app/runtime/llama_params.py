"""From a LoadPlan to llama.cpp's parameter structs. Every field of the plan is used here or in ``llama_model``."""

import ctypes
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.core.errors import LoadFailedError
from app.core.types import LoadPlan
from app.runtime.llama import devices, ggml, lib

KV_TYPES = {
    "f32": lib.GGML_TYPE_F32,
    "f16": lib.GGML_TYPE_F16,
    "bf16": 30,  # ggml.h, GGML_TYPE_BF16; not named by the binding
    "q8_0": lib.GGML_TYPE_Q8_0,
    "q5_1": lib.GGML_TYPE_Q5_1,
    "q5_0": lib.GGML_TYPE_Q5_0,
    "q4_1": lib.GGML_TYPE_Q4_1,
    "q4_0": lib.GGML_TYPE_Q4_0,
    "iq4_nl": lib.GGML_TYPE_IQ4_NL,
}
SPLIT_MODES = {"none": 0, "layer": 1, "row": 2}
FLASH_ATTENTION = {"auto": -1, "off": 0, "on": 1}
ROPE_SCALING = {"model": -1, "none": 0, "linear": 1, "yarn": 2, "longrope": 3}
POOLING = {"model": -1, "none": 0, "mean": 1, "cls": 2, "last": 3, "rank": 4}
_LOAD_AUTO, _LOAD_NONE, _LOAD_MLOCK, _LOAD_MMAP_MLOCK = -1, 0, 2, 3  # llama.h, llama_load_mode

EXPERTS = r"blk\.({})\.ffn_(up|down|gate|gate_up)_(ch|)exps"
"""Names of some layers' expert tensors (llama.cpp's common/common.h). One pattern for all of them: llama.cpp compiles
each anew for every tensor."""
ALL_LAYERS = 1000
"""No model has so many."""
EMBEDDED_AT_ONCE = 16
"""Texts in one batch of an embedding model. Batches are made a multiple of it: llama.cpp rounds its trial batch up to
one, forgets to round the outputs, and ends the process (llama-context.cpp, graph_reserve)."""
MAX_SEQUENCES = 256  # llama-cparams.h, LLAMA_MAX_SEQ


class _Override(ctypes.Structure):
    _fields_ = [("pattern", ctypes.c_char_p), ("buft", ctypes.c_void_p)]


@dataclass(frozen=True)
class Params:
    """A struct, and what it points to (must live as long as llama.cpp may read it)."""

    struct: Any
    alive: list[Any] = field(default_factory=list)


def model_params(plan: LoadPlan, on_progress: Any) -> Params:
    """``llama_model_params``. ``on_progress(fraction, user_data) -> bool`` is a C callback; False stops the load.
    Raises LoadFailedError for a device or a buffer type that is not there."""
    params, alive = lib.llama_model_default_params(), [on_progress]
    params.n_gpu_layers = plan.n_gpu_layers
    params.split_mode = SPLIT_MODES[plan.split_mode]
    params.main_gpu = plan.main_gpu
    params.load_mode = _load_mode(plan)
    params.use_extra_bufts = plan.use_extra_bufts
    params.progress_callback = on_progress
    if plan.devices or not plan.n_gpu_layers:
        # Without layers: an empty list, or llama.cpp computes long prompts on a device all the same.
        array = _device_list(plan)
        params.devices = ctypes.cast(array, ctypes.c_void_p)
        alive.append(array)
    if plan.tensor_split:
        split = (ctypes.c_float * lib.llama_max_devices())(*plan.tensor_split)
        params.tensor_split = ctypes.cast(split, ctypes.POINTER(ctypes.c_float))
        alive.append(split)
    if overrides := _overrides(plan):
        params.tensor_buft_overrides = ctypes.cast(overrides, ctypes.c_void_p)
        alive.append(overrides)
    return Params(params, alive)


def _load_mode(plan: LoadPlan) -> int:
    if plan.use_mmap:
        return _LOAD_MMAP_MLOCK if plan.use_mlock else _LOAD_AUTO
    return _LOAD_MLOCK if plan.use_mlock else _LOAD_NONE


def _device_list(plan: LoadPlan) -> Any:
    known = devices()
    if missing := [name for name in plan.devices if name not in known]:
        detail = f"there is no device {missing[0]}; known are {', '.join(known)}"
        raise LoadFailedError(model=Path(plan.model_path).name, detail=detail)
    handles = [known[name] for name in plan.devices]
    return (ctypes.c_void_p * (len(handles) + 1))(*handles, None)


def _overrides(plan: LoadPlan) -> Any:
    host = ggml("ggml_backend_cpu_buffer_type")()
    pairs = [(_experts(plan.n_cpu_moe), host)] if plan.n_cpu_moe else []
    if plan.tensor_overrides:
        known = {"CPU": host, **_buffer_types()}
        pairs = [(pattern, _find(known, name, plan)) for pattern, name in plan.tensor_overrides] + pairs
    if not pairs:
        return None
    return (_Override * (len(pairs) + 1))(
        *[_Override(p.encode(), b) for p, b in pairs], _Override(None, None)
    )


def _experts(layers: int) -> str:
    return EXPERTS.format(r"\d+" if layers >= ALL_LAYERS else "|".join(map(str, range(layers))))


def _find(known: dict[str, int], name: str, plan: LoadPlan) -> int:
    if name not in known:
        detail = f"there is no buffer type {name}; known are {', '.join(known)}"
        raise LoadFailedError(model=Path(plan.model_path).name, detail=detail)
    return known[name]


def _buffer_types() -> dict[str, int]:
    found = {}
    for device in devices().values():
        for getter in ("ggml_backend_dev_buffer_type", "ggml_backend_dev_host_buffer_type"):
            if buffer_type := ggml(getter)(device):
                found[ggml("ggml_backend_buft_name")(buffer_type).decode()] = buffer_type
    return found


def sequences(plan: LoadPlan) -> int:
    """How many sequences the context gets: idle ones too where they cost nothing (a unified cache)."""
    if plan.embeddings:
        return EMBEDDED_AT_ONCE
    wanted = plan.n_parallel + (plan.n_idle if plan.kv_unified else 0)
    return min(wanted, MAX_SEQUENCES)


def context_params(plan: LoadPlan, n_seq: int, threads: tuple[int, int]) -> Params:
    """``llama_context_params``; ``threads`` for decoding and for batches."""
    params = lib.llama_context_default_params()
    params.n_ctx = plan.n_ctx * (1 if plan.kv_unified else n_seq)
    params.n_batch, params.n_ubatch = _batches(plan)
    params.n_seq_max = n_seq
    params.n_threads, params.n_threads_batch = threads
    params.rope_scaling_type = ROPE_SCALING[plan.rope_scaling]
    for name in ("rope_freq_base", "rope_freq_scale", "yarn_ext_factor", "yarn_attn_factor", "yarn_beta_fast",
                 "yarn_beta_slow", "yarn_orig_ctx", "offload_kqv", "kv_unified", "swa_full"):  # fmt: skip
        setattr(params, name, getattr(plan, name))
    params.pooling_type = POOLING[plan.pooling]
    params.flash_attn_type = FLASH_ATTENTION[plan.flash_attn]
    params.type_k, params.type_v = KV_TYPES[plan.type_k], KV_TYPES[plan.type_v]
    params.embeddings = plan.embeddings
    params.no_perf = True
    # Each sequence asks for one row of logits in a batch: room for n_batch rows (the default) would cost
    # n_batch x vocabulary x 4 bytes. Embeddings ask for all of them.
    params.n_outputs_max = 0 if plan.embeddings else n_seq
    return Params(params)


def _batches(plan: LoadPlan) -> tuple[int, int]:
    if not plan.embeddings:
        return plan.n_batch, min(plan.n_ubatch, plan.n_batch)
    whole = -(-max(plan.n_batch, plan.n_ubatch) // EMBEDDED_AT_ONCE) * EMBEDDED_AT_ONCE
    return whole, whole  # a text must be computed in one piece


def physical_cores() -> int:
    """Physical cores this process may use, at least 1."""
    import psutil  # noqa: PLC0415 - 30 ms, only when nothing better is known

    logical = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return max(1, min(logical, psutil.cpu_count(logical=False) or logical))


def thread_counts(plan: LoadPlan) -> tuple[int, int]:
    """(decode, batch) threads: the plan's, else the physical cores."""
    decode = plan.n_threads or physical_cores()
    return decode, plan.n_threads_batch or decode
