"""Compiles one of ggml's GPU backends as a library of its own, from the engine's source archive."""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from devkit import engine
from devkit.say import Problem
from devkit.shell import run_logged
from devkit.venvs import BUILDER

OFF = (
    "GGML_CPU", "GGML_NATIVE", "LLAMA_CURL", "LLAMA_BUILD_TESTS", "LLAMA_BUILD_EXAMPLES", "LLAMA_BUILD_TOOLS",
    "LLAMA_BUILD_UI",
)  # fmt: skip
BESIDE_ITSELF = ("-DCMAKE_BUILD_WITH_INSTALL_RPATH=ON", "-DCMAKE_INSTALL_RPATH=$ORIGIN")
"""The library finds what it needs in its own folder: the pack's."""


def switches(on: Iterable[str]) -> list[str]:
    """cmake's arguments for a release build with these of ggml's options."""
    on_off = [*(f"-D{name}=ON" for name in on), *(f"-D{name}=OFF" for name in OFF)]
    return ["-DCMAKE_BUILD_TYPE=Release", *on_off]


def library_name(backend: str, system: str = sys.platform) -> str:
    """What cmake calls the library of ggml's ``cuda``, ``hip`` or ``vulkan``."""
    return f"ggml-{backend}.dll" if system == "win32" else f"libggml-{backend}.so"


def compiled(
    llama: Path,
    folder: Path,
    backend: str,
    arguments: Sequence[str],
    programs: Sequence[Path] = (),
    environ: Mapping[str, str] | None = None,
) -> Path:
    """The library, built in ``folder`` (what is there already is kept). ``programs``: folders that PATH gets. Raises
    Problem with the compiler's last lines."""
    path = os.pathsep.join([str(BUILDER.python.parent), *map(str, programs), os.environ.get("PATH", "")])
    env = {**(environ or {}), "PATH": path}
    log, words = f"pack-{backend}", f"building ggml's {backend} backend"
    # Visual Studio's own generator finds its compiler by itself.
    generator = [] if sys.platform == "win32" else ["-G", "Ninja"]
    configure: list[str | Path] = ["cmake", "-S", llama, "-B", folder, *generator, *arguments]
    run_logged(configure, BUILDER.log(f"{log}-configure"), doing="configuring", env=env)
    jobs = os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL", str(engine.jobs()))
    build: list[str | Path] = ["cmake", "--build", folder, "--config", "Release", "--parallel", jobs]
    run_logged([*build, "--target", f"ggml-{backend}"], BUILDER.log(log), doing=words, env=env)
    name = library_name(backend)
    found = next((item for item in folder.rglob(name) if item.is_file()), None)
    if found is None:
        raise Problem(f"The build made no {name}; its output: {BUILDER.log(log)}")
    return found
