"""llama.cpp's own report on what contexts take: run as a process, ``python llama_memory.py MODEL PLANS_JSON``.

PLANS is a list of {"n_ctx", "n_seq", "unified", "type" (ggml number), "alloc"}; prints a list of bytes by kind. With
``alloc`` false nothing is allocated and the weights are not read (``no_alloc``), which kills the process when it goes
wrong: that is why it is one.
"""

import ctypes
import json
import re
import sys
from typing import Any

import llama_cpp.llama_cpp as llama

LINES: list[str] = []
MIB = 1024 * 1024


@llama.llama_log_callback
def _log(_level: int, text: bytes, _data: Any) -> None:
    LINES.append(text.decode("utf-8", "replace"))


def _load(path: str, alloc: bool) -> Any:
    params = llama.llama_model_default_params()
    if not alloc:
        params.no_alloc, params.load_mode = True, 0
    model = llama.llama_model_load_from_file(path.encode(), params)
    if not model:
        sys.exit("".join(LINES)[-2000:])
    return model


def _measure(model: Any, plan: dict[str, Any]) -> dict[str, float]:
    LINES.clear()
    params = llama.llama_context_default_params()
    params.n_ctx = plan["n_ctx"] * (1 if plan["unified"] else plan["n_seq"])
    params.n_seq_max, params.kv_unified = plan["n_seq"], plan["unified"]
    params.swa_full = False
    params.type_k = params.type_v = plan["type"]
    params.n_batch, params.n_ubatch, params.n_outputs_max = 2048, 512, plan["n_seq"]
    context = llama.llama_init_from_model(model, params)
    if not context:
        sys.exit("".join(LINES)[-2000:])
    llama.llama_free(context)
    text = "".join(LINES)
    caches = sum(float(size) for size in re.findall(r"llama_\w+: size =\s*([\d.]+) MiB \(", text))
    buffers = sum(
        float(size) for size in re.findall(r"(?:compute|output) buffer size =\s*([\d.]+) MiB", text)
    )
    return {"kv": caches * MIB, "compute": buffers * MIB}


def main() -> None:
    """Load once, measure every plan."""
    path, plans = sys.argv[1], json.loads(sys.argv[2])
    llama.llama_log_set(_log, ctypes.c_void_p(0))
    llama.llama_backend_init()
    model = _load(path, plans[0]["alloc"])
    weights = sum(float(size) for size in re.findall(r"model buffer size =\s*([\d.]+) MiB", "".join(LINES)))
    if not plans[0]["alloc"]:
        weights = llama.llama_model_size(model) / MIB
    print(json.dumps([{"weights": weights * MIB, **_measure(model, plan)} for plan in plans]))


if __name__ == "__main__":
    main()
