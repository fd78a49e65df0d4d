"""Imported first by a process that only needs llama.cpp's functions: ``llama_cpp`` without what its own ``__init__``
imports (chat formats, jinja2, a disk cache, numpy), which takes longer than quantizing a small model."""

import importlib
import importlib.util
import sys
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


_register()
