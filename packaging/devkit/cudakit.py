"""What a CUDA toolkit may lack: cuBLAS, and something to link to in place of the driver's library.

A whole toolkit has both. One that was put together from NVIDIA's Python packages, or a container's, has the compiler
and the runtime only. cuBLAS then comes from NVIDIA's own package, checked against its locked hash, and the driver's
library is an empty one of the same name: the real one is there wherever the pack can run at all.
"""

import os
import re
import shutil
import subprocess
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from devkit.folders import REQUIREMENTS, cache_dir
from devkit.say import Problem, tell
from devkit.shell import run_logged
from devkit.stamps import files_key, remove
from devkit.venvs import BUILDER

LOCK_FILE = REQUIREMENTS / "cuda.txt"
LOCKED_MAJOR = 13
"""CUDA's major version that the locked cuBLAS belongs to."""
INSIDE = "nvidia/cu13"
DRIVER = "libcuda.so.1"


@dataclass(frozen=True)
class Kit:
    """What cmake is told beside the compiler, and where the libraries to hand on lie."""

    switches: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()
    licences: tuple[Path, ...] = field(default=())


def ensure(nvcc: Path, version: str) -> Kit:
    """The parts that this compiler's toolkit lacks; fetched or made once. Raises Problem when they can't be had."""
    top = toolkit_folder(nvcc)
    library = (top / "lib64", top / "lib")
    blas = Kit() if find(top, "cublas_v2.h") else _cublas(version)
    stub = () if find(top, "libcuda.so") else (f"-DCUDA_cuda_driver_LIBRARY={_driver_stub()}",)
    folders = tuple(folder for folder in library if folder.is_dir())
    return Kit((*blas.switches, *stub), (*folders, *blas.folders), blas.licences)


def toolkit_folder(nvcc: Path) -> Path:
    """Where the toolkit of this compiler is, as it says itself: the one on PATH may be a script."""
    command: list[str | Path] = [nvcc, "--dryrun", "-x", "cu", os.devnull]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"^#\$ TOP=(.+)$", done.stderr + done.stdout, re.MULTILINE)
    return Path(found[1].strip()).resolve() if found else nvcc.resolve().parents[1]


def find(top: Path, name: str) -> Path | None:
    """A header or a library of the toolkit, or of the system where Debian's package put it."""
    places = ("include", "lib64", "lib64/stubs", "lib/stubs", "targets/*/include", "targets/*/lib/stubs")
    system = (Path("/usr/include") / name, Path("/usr/lib/x86_64-linux-gnu") / name)
    inside = (path for place in places for path in top.glob(f"{place}/{name}"))
    return next((path for path in (*inside, *system) if path.exists()), None)


def _cublas(version: str) -> Kit:
    if int(version.partition(".")[0]) != LOCKED_MAJOR:
        raise Problem(
            f"CUDA {version}'s toolkit here has no cuBLAS (cublas_v2.h). Install it with the toolkit; only for "
            f"CUDA {LOCKED_MAJOR} it is fetched by itself."
        )
    folder = cache_dir() / "tools" / f"cublas-{files_key([LOCK_FILE])[:12]}"
    if not folder.is_dir():
        _fetch(folder)
    root = folder / INSIDE
    libraries = {name: root / "lib" / f"lib{name}.so.{LOCKED_MAJOR}" for name in ("cublas", "cublasLt")}
    switches = [f"-DCUDA_{name}_LIBRARY={path}" for name, path in libraries.items()]
    licences = tuple(folder.glob("*.dist-info/licenses/License.txt"))
    return Kit((*switches, f"-DCMAKE_CUDA_FLAGS=-I{root / 'include'}"), (root / "lib",), licences)


def _fetch(folder: Path) -> None:
    """Unpacked beside, then renamed: the folder is whole or not there."""
    tell("the toolkit has no cuBLAS: fetching NVIDIA's package, 423 MB")
    part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    try:
        BUILDER.pip("cublas", "fetching", "download", "--no-deps", "--require-hashes", "-r", LOCK_FILE,
                    "--dest", part / "wheel")  # fmt: skip
        with zipfile.ZipFile(next((part / "wheel").glob("*.whl"))) as archive:
            archive.extractall(part / "files")
        remove(folder)
        (part / "files").replace(folder)
    finally:
        remove(part)


def _driver_stub() -> Path:
    """An empty library by the driver's name, only to be linked to."""
    compiler = shutil.which("cc")
    if not compiler:
        raise Problem("Building the CUDA backend needs a C compiler (on Debian: gcc, g++).")
    target = cache_dir() / "tools" / "cuda-driver-stub" / DRIVER
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        command: list[str | Path] = [
            compiler,
            "-shared",
            "-x",
            "c",
            os.devnull,
            f"-Wl,-soname,{DRIVER}",
            "-o",
            target,
        ]
        run_logged(command, BUILDER.log("cuda-stub"), doing="making a stand-in for the driver's library")
    return target
