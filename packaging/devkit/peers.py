"""llama.cpp's own tools, built from the very source archive of our engine with the same flags, to measure against."""

import os
from collections.abc import Sequence
from pathlib import Path

from devkit import engine, venvs
from devkit.folders import cache_dir
from devkit.machine import this_machine_args
from devkit.say import step
from devkit.shell import run_logged
from devkit.stamps import locked, remove
from devkit.venvs import BUILDER

TARGETS = (
    "llama-bench",
    "llama-batched-bench",
    "llama-server",
    "llama-imatrix",
    "llama-perplexity",
    "llama-quantize",
)
ONLY_TOOLS = ("LLAMA_CURL", "LLAMA_BUILD_TESTS", "LLAMA_BUILD_EXAMPLES", "LLAMA_BUILD_UI")
"""What the tools do without, switched off."""


def ensure() -> Path:
    """The folder that holds the built tools. Built once per set of flags and compiler, then kept in the cache."""
    args = [arg for arg in this_machine_args(engine.backend().name) if "LLAMA_BUILD_TOOLS" not in arg]
    name = engine.build_key([*args, *TARGETS], engine.find_compiler())
    folder = cache_dir() / "peers" / name
    if (folder / "done").exists():
        return folder / "bin"
    with (
        step("llama.cpp's own tools, to measure against (about 8 minutes on 2 cores)"),
        locked(cache_dir() / "locks" / f"peers-{name}.lock", "building the tools"),
    ):
        _build(args, folder)
    return folder / "bin"


def _build(args: Sequence[str], folder: Path) -> None:
    venvs.ensure(BUILDER)
    folder.mkdir(parents=True, exist_ok=True)
    llama = engine.unpacked(folder) / "vendor" / "llama.cpp"
    env = {"PATH": os.pathsep.join([str(BUILDER.python.parent), os.environ.get("PATH", "")])}
    switches = [*args, *(f"-D{name}=OFF" for name in ONLY_TOOLS)]
    configure: list[str | Path] = [
        "cmake",
        "-S",
        llama,
        "-B",
        folder,
        "-G",
        "Ninja",
        "-DCMAKE_BUILD_TYPE=Release",
        *switches,
    ]
    run_logged(configure, BUILDER.log("peers-configure"), doing="configuring", env=env)
    build: list[str | Path] = [
        "cmake",
        "--build",
        folder,
        "--parallel",
        str(engine.jobs()),
        "--target",
        *TARGETS,
    ]
    run_logged(build, BUILDER.log("peers"), doing="building the tools", env=env)
    remove(folder / "source")
    (folder / "done").touch()
