"""Loads backend packs into the running engine: on libllama's own handle, and only what its manifest vouches for."""

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from app.runtime.packs import VARIABLE, Manifest, PackError, check_pack, split

DRIVERS = {
    "libcuda.so": "no NVIDIA driver is here, which it needs",
    "nvcuda.dll": "no NVIDIA driver is here, which it needs",
    "libamdhip64": "AMD's ROCm is not here, which it needs",
    "amdhip64": "AMD's ROCm is not here, which it needs",
    "libvulkan.so": "the Vulkan loader is not here, which it needs (Debian: libvulkan1)",
}
"""Libraries of the system by the beginning of their names -> what it means that one is missing."""


def load_packs(library: Any, packs: Iterable[str], *, whole: bool = True) -> dict[str, str]:
    """Add the packs (folders) to ggml's registry; returns those refused, each with the reason. ``library`` is the
    loaded libllama; ``whole`` as for ``check_pack``. A driver that throws ends the process: packs are probed in one of
    their own before."""
    commit = engine_commit(library)
    refused: dict[str, str] = {}
    for pack in packs:
        try:
            _load(library, Path(pack), check_pack(Path(pack), commit, whole=whole))
        except PackError as error:
            refused[pack] = str(error)
    return refused


def load_from_environment(library: Any) -> None:
    """What a worker does at its start; a refused pack is a line in its log, and the model runs without it."""
    for pack, why in load_packs(library, split(os.environ.get(VARIABLE, "")), whole=False).items():
        import logging  # noqa: PLC0415 - 4 ms at the start of every engine process

        log = logging.getLogger(__name__)
        log.info("the backend pack %s is not used: %s", pack, why)


def start_backends(library: Any, folder: str) -> None:
    """In a build whose backends are files beside libllama, nothing is there until they are loaded; ggml then takes
    the best of its processor libraries."""
    if not function(library, "ggml_backend_dev_count", ctypes.c_size_t)():
        function(library, "ggml_backend_load_all_from_path", None, ctypes.c_char_p)(os.fsencode(folder))


def engine_commit(library: Any) -> str:
    """The llama.cpp commit that ggml says it was built from, or whatever it says instead of one."""
    try:
        commit = function(library, "ggml_commit", ctypes.c_char_p)
    except PackError:
        return ""
    return (commit() or b"").decode("ascii", "replace")


def backend_names(library: Any) -> set[str]:
    """The backends that ggml has, in lower case."""
    count = function(library, "ggml_backend_reg_count", ctypes.c_size_t)
    get = function(library, "ggml_backend_reg_get", ctypes.c_void_p, ctypes.c_size_t)
    name = function(library, "ggml_backend_reg_name", ctypes.c_char_p, ctypes.c_void_p)
    return {name(get(index)).decode().lower() for index in range(count())}


def _load(library: Any, folder: Path, manifest: Manifest) -> None:
    if manifest.backend.lower() in backend_names(library):
        raise PackError(f"the engine has {manifest.backend} already: its devices would be listed twice")
    path = folder.absolute() / manifest.library
    load = function(library, "ggml_backend_load", ctypes.c_void_p, ctypes.c_char_p)
    if not load(os.fsencode(path)):
        raise PackError(f"ggml refused {path.name}{_why(path)}")


def function(library: Any, name: str, result: Any, *arguments: Any) -> Any:
    """ggml's function on libllama's own handle or, where a handle does not show what its dependencies export
    (Windows), of the library files beside it. Raises PackError when none has it."""
    for handle in (library, *_neighbours(library)):
        try:
            found = handle[name]
        except AttributeError:
            continue
        found.restype, found.argtypes = result, list(arguments)
        return found
    raise PackError(f"the engine does not show its function {name}")


def _neighbours(library: Any) -> list[Any]:
    paths = [Path(library._name).with_name(name) for name in ("ggml.dll", "ggml-base.dll")]
    return [ctypes.CDLL(str(path)) for path in paths if path.is_file()]


def _why(path: Path) -> str:
    """What the system's loader says of it: most often a library that is missing."""
    try:
        ctypes.CDLL(str(path))
    except OSError as error:
        # The frozen program's ctypes puts words of its own before the loader's.
        return f": {in_words(str(error.__cause__ or error))}"
    return ": it is of another version, or its driver is missing"


def in_words(said: str) -> str:
    """The system's complaint, led by what is missing where that is known."""
    missing = next((words for name, words in DRIVERS.items() if said.startswith(name)), "")
    return f"{missing} ({said})" if missing else said
