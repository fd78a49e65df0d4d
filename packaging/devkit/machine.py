"""What llama.cpp is built for here: the backend and the processor's instruction sets, as cmake arguments."""

import ctypes
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from devkit.say import Problem

BACKENDS = ("cpu", "cuda", "metal", "vulkan")
X86 = ("x86_64", "amd64", "i386", "i686")
SETS: dict[str, tuple[str, ...]] = {
    "GGML_SSE42": ("sse42",),
    "GGML_AVX": ("avx",),
    "GGML_AVX2": ("avx2",),
    "GGML_FMA": ("fma",),
    "GGML_F16C": ("f16c",),
    "GGML_BMI2": ("bmi2",),
    # ggml's switch turns on five sets at once; a processor must have them all.
    "GGML_AVX512": ("avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"),
    "GGML_AVX512_VBMI": ("avx512vbmi",),
    "GGML_AVX512_VNNI": ("avx512vnni",),
    "GGML_AVX512_BF16": ("avx512bf16",),
    "GGML_AVX_VNNI": ("avxvnni",),
}
"""ggml's switch -> the processor flags it needs, written without dots and underscores."""
NEVER = ("GGML_AMX_TILE", "GGML_AMX_INT8", "GGML_AMX_BF16")
"""A virtual machine that shows AMX but does not allow it ends the process at the first decode (ldtilecfg)."""
WINDOWS_SETS = {38: ("sse42",), 39: ("avx",), 40: ("avx2", "fma", "f16c", "bmi2")}
"""IsProcessorFeaturePresent's numbers. It has none for FMA, F16C, BMI2: every processor with AVX2 has those."""


@dataclass(frozen=True)
class Backend:
    """Which backend, and why, for the line the developer reads."""

    name: str
    why: str


@dataclass(frozen=True)
class Cuda:
    """What there is of CUDA: the compiler's path and how a driver was seen; None where there is none."""

    nvcc: str | None
    driver: str | None


def choose_backend(environ: Mapping[str, str], system: str, cuda: Cuda) -> Backend:
    """The backend for this machine. Raises Problem when the environment asks for one that can't be built."""
    if asked := environ.get("HEARTH_BACKEND", "").strip().lower():
        return _asked(asked, cuda)
    if system == "darwin":
        return Backend("metal", "this is macOS")
    if cuda.nvcc and cuda.driver:
        return Backend("cuda", f"nvcc is at {cuda.nvcc} and a driver was seen ({cuda.driver})")
    if cuda.nvcc:
        return Backend(
            "cpu", f"nvcc is at {cuda.nvcc} but no NVIDIA driver; HEARTH_BACKEND=cuda builds it anyway"
        )
    return Backend("cpu", "no nvcc")


def _asked(name: str, cuda: Cuda) -> Backend:
    if name not in BACKENDS:
        raise Problem(
            f"HEARTH_BACKEND={name} is none of {', '.join(BACKENDS)}: set one of these, or unset it."
        )
    if name == "cuda" and not cuda.nvcc:
        raise Problem("HEARTH_BACKEND=cuda needs nvcc: install NVIDIA's CUDA toolkit and put nvcc on PATH.")
    if name == "vulkan" and not shutil.which("glslc"):
        raise Problem("HEARTH_BACKEND=vulkan needs glslc and Vulkan's headers: install the Vulkan SDK.")
    return Backend(name, "HEARTH_BACKEND says so")


def find_cuda(environ: Mapping[str, str] = os.environ) -> Cuda:
    """Look for nvcc and a driver, in files only: this runs at every start."""
    homes = [environ.get(name) for name in ("CUDA_PATH", "CUDA_HOME")]
    places = [f"{home}/bin" for home in [*homes, "/usr/local/cuda"] if home]
    nvcc = shutil.which("nvcc") or shutil.which("nvcc", path=os.pathsep.join(places))
    drivers = ["/dev/nvidiactl", "/proc/driver/nvidia/version", "/usr/lib/wsl/lib/libcuda.so.1"]
    drivers.append(f"{environ.get('SYSTEMROOT', '')}/System32/nvcuda.dll")
    return Cuda(nvcc, next((path for path in drivers if Path(path).exists()), None))


def normal_sets(text: str) -> frozenset[str]:
    """Processor flags from any system's list, in one spelling: ``avx512_vnni``, ``AVX512VNNI`` -> ``avx512vnni``."""
    words = text.lower().replace("avx1.0", "avx").split()
    return frozenset(re.sub(r"[._]", "", word) for word in words)


def linux_sets(cpuinfo: str) -> frozenset[str]:
    """The sets that every processor in ``/proc/cpuinfo`` has: on a mixed machine a thread may land on any."""
    lines = re.findall(r"^flags\s*:(.*)$", cpuinfo, re.MULTILINE)
    return frozenset.intersection(*(normal_sets(line) for line in lines)) if lines else frozenset()


def processor_sets(system: str = sys.platform) -> frozenset[str]:
    """What this processor has; empty where it can't be learned, which builds for the plainest one."""
    if system == "linux":
        return linux_sets(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace"))
    if system == "darwin":
        return _mac_sets()
    return _windows_sets()


def _mac_sets() -> frozenset[str]:
    names = ("machdep.cpu.features", "machdep.cpu.leaf7_features")
    done = subprocess.run(["sysctl", "-n", *names], capture_output=True, text=True, check=False)
    return normal_sets(done.stdout)


def _windows_sets() -> frozenset[str]:
    windll = getattr(ctypes, "windll", None)  # there on Windows only
    if windll is None:
        return frozenset()
    present = windll.kernel32.IsProcessorFeaturePresent
    return frozenset(name for number, names in WINDOWS_SETS.items() if present(number) for name in names)


def set_args(sets: frozenset[str]) -> list[str]:
    """Each of ggml's x86 switches, on or off by name: nothing is left for cmake to find out. Never AMX."""
    named = [f"-D{switch}={_on(sets.issuperset(needs))}" for switch, needs in SETS.items()]
    return ["-DGGML_NATIVE=OFF", *named, *(f"-D{switch}=OFF" for switch in NEVER)]


def cmake_args(
    backend: str, machine: str, sets: frozenset[str], *, gpu_here: bool = False
) -> tuple[str, ...]:
    """Everything cmake is told. ``mtmd`` stays in (images need it); no downloads from C++, so no OpenSSL."""
    args = ["-DCMAKE_BUILD_TYPE=Release", "-DLLAMA_OPENSSL=OFF"]
    args += set_args(sets) if machine.lower() in X86 else []
    args += [f"-DGGML_{name.upper()}={_on(name == backend)}" for name in BACKENDS if name != "cpu"]
    # "native" asks the card; without one ggml's own list of architectures is built, which takes far longer.
    args += ["-DCMAKE_CUDA_ARCHITECTURES=native"] if backend == "cuda" and gpu_here else []
    return tuple(args)


def this_machine_args(backend: str) -> tuple[str, ...]:
    """``cmake_args`` for the machine this runs on, with the user's own CMAKE_ARGS after them."""
    machine = platform.machine()
    sets = processor_sets() if machine.lower() in X86 else frozenset()
    ours = cmake_args(backend, machine, sets, gpu_here=find_cuda().driver is not None)
    return (*ours, *os.environ.get("CMAKE_ARGS", "").split())


def _on(value: bool) -> str:
    return "ON" if value else "OFF"
