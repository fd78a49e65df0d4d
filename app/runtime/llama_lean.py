"""Imported first by a process that only needs llama.cpp's functions: ``llama_cpp`` without what its own ``__init__``
imports (chat formats, jinja2, a disk cache, numpy), which takes longer than quantizing a small model; and nothing of
typing_extensions, which brings ``inspect`` and a quarter of the process's start with it."""

import importlib
import importlib.util
import sys
import typing
from types import ModuleType
from typing import Any


class _Lean(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if importlib.util.find_spec(f"llama_cpp.{name}"):
            return importlib.import_module(f"llama_cpp.{name}")
        return getattr(importlib.import_module("llama_cpp.llama"), name)


def _register() -> None:
    spec = importlib.util.find_spec("llama_cpp")
    if spec is None or "llama_cpp" in sys.modules:
        return
    package = _Lean("llama_cpp")
    package.__path__ = list(spec.submodule_search_locations or ())
    package.__spec__, package.__file__ = spec, spec.origin
    sys.modules["llama_cpp"] = package


def _spare_typing_extensions() -> None:
    # What these two want of it is in the typing of every Python that this program runs on.
    if "typing_extensions" in sys.modules or "llama_cpp" not in sys.modules:
        return
    sys.modules["typing_extensions"] = typing
    try:
        for name in ("msgspec", "llama_cpp._ctypes_extensions"):
            importlib.import_module(name)
    finally:
        del sys.modules["typing_extensions"]


_register()
_spare_typing_extensions()
