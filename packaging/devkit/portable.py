"""The engine that goes into installers: one build for every processor of an architecture, backends as files.

ggml then picks the best of its processor libraries when it starts, and GPU backends are packs. Beside it the build for
this machine alone (``engine``) stays what developers run.
"""

import os
import platform
import sys
from collections.abc import Sequence

from devkit import engine
from devkit.machine import X86
from devkit.venvs import Environment

PLACE = "llama_cpp/lib"
"""ggml installs its backends by cmake's own folders, not where llama-cpp-python puts libllama."""
AMX_VARIANTS = ("sapphirerapids",)
"""Left out of installers: a machine that shows AMX but does not allow it ends at the first decode (ldtilecfg)."""
SPARE_VARIANTS = ("ivybridge", "piledriver", "cannonlake", "cooperlake")
"""Left out for their size: their few processors run the next plainer one."""
VARIANTS = ("x64", "sse42", "sandybridge", "haswell", "skylakex", "icelake", "zen4", "alderlake")
"""Some of those that an x86 installer must have, from the plainest on."""


def args(machine: str, system: str) -> tuple[str, ...]:
    """What cmake is told. On macOS there is one processor family and Metal is part of the library."""
    base = ["-DCMAKE_BUILD_TYPE=Release", "-DLLAMA_OPENSSL=OFF", "-DGGML_NATIVE=OFF"]
    if system == "darwin":
        return (
            *base,
            "-DGGML_METAL=ON",
            "-DGGML_METAL_EMBED_LIBRARY=ON",
            "-DCMAKE_OSX_DEPLOYMENT_TARGET=13.3",
        )
    variants = ["-DGGML_CPU_ALL_VARIANTS=ON"] if machine.lower() in (*X86, "aarch64", "arm64") else []
    places = [f"-DCMAKE_INSTALL_BINDIR={PLACE}", f"-DCMAKE_INSTALL_LIBDIR={PLACE}"]
    return (*base, "-DGGML_BACKEND_DL=ON", *variants, *places)


def this_machine_args() -> tuple[str, ...]:
    """``args`` here, with the user's own CMAKE_ARGS after them."""
    return (*args(platform.machine(), sys.platform), *os.environ.get("CMAKE_ARGS", "").split())


def ensure(environment: Environment) -> None:
    """The portable engine, installed in the environment and seen to load. About 10 minutes on 2 cores, once."""
    install(environment, this_machine_args())


def install(environment: Environment, arguments: Sequence[str]) -> None:
    """See ``engine.ensure``, whose cache and checks this shares."""
    engine.install(environment, arguments, "every processor")
