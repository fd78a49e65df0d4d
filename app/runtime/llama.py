"""libllama as this program uses it: the low-level API of llama-cpp-python, ggml's functions on the same handle, and
faster prototypes for the few functions that run for every token.

Imported inside a worker process only. ``llama_params`` (plans to structs), ``llama_log``, ``llama_model``,
``llama_context`` and ``llama_sampler`` are its parts.
"""

import ctypes
import functools
from pathlib import Path
from typing import Any

from llama_cpp import llama_cpp as _binding

from app.runtime.llama_packs import load_from_environment, start_backends

__all__ = ["devices", "fast", "ggml", "lib", "start"]

lib: Any = _binding
_library: Any = lib._lib
GGML_LIBRARIES = ("ggml", "ggml-base", "ggml-cpu")

# ggml functions we call: name -> (result, arguments); from ggml-backend.h and ggml-cpu.h.
_GGML: dict[str, tuple[Any, list[Any]]] = {
    "ggml_backend_dev_count": (ctypes.c_size_t, []),
    "ggml_backend_dev_get": (ctypes.c_void_p, [ctypes.c_size_t]),
    "ggml_backend_dev_name": (ctypes.c_char_p, [ctypes.c_void_p]),
    "ggml_backend_dev_description": (ctypes.c_char_p, [ctypes.c_void_p]),
    "ggml_backend_dev_buffer_type": (ctypes.c_void_p, [ctypes.c_void_p]),
    "ggml_backend_dev_host_buffer_type": (ctypes.c_void_p, [ctypes.c_void_p]),
    "ggml_backend_buft_name": (ctypes.c_char_p, [ctypes.c_void_p]),
    "ggml_backend_cpu_buffer_type": (ctypes.c_void_p, []),
    "ggml_backend_buffer_is_host": (ctypes.c_bool, [ctypes.c_void_p]),
    "ggml_backend_tensor_get": (None, [ctypes.c_void_p] * 2 + [ctypes.c_size_t] * 2),
    "ggml_op_name": (ctypes.c_char_p, [ctypes.c_int]),
    "ggml_threadpool_new": (ctypes.c_void_p, [ctypes.c_void_p]),
    "ggml_threadpool_free": (None, [ctypes.c_void_p]),
    "llama_attach_threadpool": (None, [ctypes.c_void_p] * 3),
    "llama_detach_threadpool": (None, [ctypes.c_void_p]),
}


def fast(name: str, result: Any, *arguments: Any) -> Any:
    """A function of libllama of our own prototype: plain addresses instead of typed pointers (a tenth of the time)."""
    function = _library[name]
    function.restype, function.argtypes = result, list(arguments)
    return function


@functools.cache
def ggml(name: str) -> Any:
    """A ggml function, found through libllama's own handle (another handle would see another registry) or, where
    handles don't see dependencies (Windows), in the library files beside it."""
    result, arguments = _GGML[name]
    for handle in (_library, *_neighbours()):
        try:
            function = handle[name]
        except AttributeError:
            continue
        function.restype, function.argtypes = result, arguments
        return function
    raise AttributeError(name)


@functools.cache
def _neighbours() -> tuple[Any, ...]:
    paths = [Path(lib._base_path) / f"{name}.dll" for name in GGML_LIBRARIES]
    return tuple(ctypes.CDLL(str(path)) for path in paths if path.exists())


@functools.cache
def start() -> None:
    """Start the backends once: those built in, those beside libllama, and the packs that ``HEARTH_PACKS`` names."""
    lib.llama_backend_init()
    start_backends(_library, str(lib._base_path))
    load_from_environment(_library)


def devices() -> dict[str, int]:
    """Device name to its ``ggml_backend_dev_t``, in the engine's own order."""
    found = {}
    for index in range(ggml("ggml_backend_dev_count")()):
        device = ggml("ggml_backend_dev_get")(index)
        found[ggml("ggml_backend_dev_name")(device).decode()] = device
    return found
