"""Asks ggml for its devices and prints one JSON object. Run as a process of its own: ``python -m
app.runtime.llama_probe [PACK...]``; a driver that crashes takes only this process down.

Output: ``{"backends": [{"name", "problem", "devices": [{"name", "description", "type", "free", "total", "pci"}]}]}``.
A pack that can't be used is listed with a problem, under its path. Reads ``ggml-backend.h``'s functions on libllama's
own handle: another handle would see another registry.
"""

import ctypes
import json
import sys
from typing import Any

from app.runtime.llama_packs import function, load_packs, start_backends

TYPES = ("cpu", "gpu", "igpu", "accel", "meta")


class _Caps(ctypes.Structure):
    _fields_ = [(name, ctypes.c_bool) for name in ("async", "host_buffer", "buffer_from_host_ptr", "events")]


class _Props(ctypes.Structure):
    # The caps grow with versions of ggml: the room after them keeps a longer struct inside ours.
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("description", ctypes.c_char_p),
        ("free", ctypes.c_size_t),
        ("total", ctypes.c_size_t),
        ("type", ctypes.c_int),
        ("device_id", ctypes.c_char_p),
        ("caps", _Caps),
        ("room", ctypes.c_char * 64),
    ]


def list_backends(library: Any) -> list[dict[str, Any]]:
    """Every registered backend and its devices. ``library`` is the loaded libllama."""
    ggml = _declared(library)
    found = []
    for index in range(ggml["ggml_backend_reg_count"]()):
        backend = ggml["ggml_backend_reg_get"](index)
        count = ggml["ggml_backend_reg_dev_count"](backend)
        devices = [ggml["ggml_backend_reg_dev_get"](backend, number) for number in range(count)]
        name = ggml["ggml_backend_reg_name"](backend).decode()
        found.append({"name": name, "devices": [_device(ggml, device) for device in devices]})
    return found


def load(library: Any, packs: list[str]) -> list[dict[str, Any]]:
    """Add backend packs to the registry; those refused come back as backends with a problem."""
    refused = load_packs(library, packs)
    return [{"name": pack, "devices": [], "problem": why} for pack, why in refused.items()]


def _declared(library: Any) -> dict[str, Any]:
    pointer, size, text = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p
    kinds: dict[str, tuple[list[Any], Any]] = {
        "ggml_backend_reg_count": ([], size),
        "ggml_backend_reg_get": ([size], pointer),
        "ggml_backend_reg_name": ([pointer], text),
        "ggml_backend_reg_dev_count": ([pointer], size),
        "ggml_backend_reg_dev_get": ([pointer, size], pointer),
        "ggml_backend_dev_get_props": ([pointer, ctypes.POINTER(_Props)], None),
    }
    return {name: function(library, name, result, *given) for name, (given, result) in kinds.items()}


def _device(ggml: dict[str, Any], device: int) -> dict[str, Any]:
    props = _Props()
    ggml["ggml_backend_dev_get_props"](device, ctypes.byref(props))
    return {
        "name": (props.name or b"").decode("utf-8", "replace"),
        "description": (props.description or b"").decode("utf-8", "replace").strip(),
        "type": TYPES[props.type] if props.type < len(TYPES) else "accel",
        "free": props.free,
        "total": props.total or None,
        "pci": props.device_id.decode("ascii", "replace") if props.device_id else None,
    }


def main(paths: list[str]) -> int:
    """Print what there is. ggml's own chatter goes to stderr."""
    import llama_cpp.llama_cpp as llama  # noqa: PLC0415 - costs 0.3 s and may crash: only when asked

    start_backends(llama._lib, str(llama._base_path))
    refused = load(llama._lib, paths)
    print(json.dumps({"backends": [*list_backends(llama._lib), *refused]}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
