"""ggml's CUDA backend as a pack, built from the very source archive of our engine, where nvcc is.

CUDA's runtime libraries that the backend needs go into the pack and are found beside it (RUNPATH ``$ORIGIN``), so the
machine needs NVIDIA's driver and nothing else. nvcc is not a Debian package; NVIDIA's licence allows to hand on
``libcudart`` and ``libcublas`` with a program.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from devkit import cudakit, engine, packbuild, packs, venvs
from devkit.folders import cache_dir
from devkit.machine import find_cuda
from devkit.say import Problem, step, tell
from devkit.stamps import key_of, locked, remove
from devkit.venvs import BUILDER

ON = ("BUILD_SHARED_LIBS", "GGML_BACKEND_DL", "GGML_CUDA")
# Many compilers leave out libraries that nothing was taken from when linking, which is so of the driver's stand-in.
LINKER = "-DCMAKE_MODULE_LINKER_FLAGS=-Wl,--no-as-needed"
ARCHITECTURES = "HEARTH_CUDA_ARCHITECTURES"
RUNTIME = ("libcudart", "libcublas", "libcublasLt")
DRIVER_FLOOR = {11: "450.80.02", 12: "525.60.13", 13: "580.65.06"}
"""CUDA's major version -> the oldest driver of Linux that runs it (NVIDIA's CUDA Toolkit release notes, table 2)."""


def architectures() -> str:
    """The cards that are built for: HEARTH_CUDA_ARCHITECTURES (as cmake writes them), else the one here, else the usual
    ones of today with code for later ones."""
    if chosen := os.environ.get(ARCHITECTURES):
        return chosen
    return cards_here() if find_cuda().driver else "75-real;80-real;86-real;89-real;90-real;90-virtual"


def cards_here() -> str:
    """The cards in this machine by the driver's own tool; by number, so that the pack says what it is for."""
    command = ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout
    except (OSError, subprocess.SubprocessError):
        return "native"
    found = sorted(
        {f"{major}{minor}-real" for major, minor in re.findall(r"^(\d+)\.(\d)$", said, re.MULTILINE)}
    )
    return ";".join(found) or "native"


def choose(arguments: Sequence[str]) -> argparse.Namespace:
    """``--arch LIST``: the cards to build for, as cmake writes them (``90``, ``86-real;89-real``, ``native``), or with
    commas, which a shell leaves alone; ``archive`` is whether the pack is to be handed out."""
    parser = argparse.ArgumentParser(prog="make engine-cuda ARGS=")
    parser.add_argument(
        "--arch", metavar="LIST", help="cards to build for, as cmake writes them: 90, 86-real,89-real"
    )
    parser.add_argument("--archive", action="store_true", help="also make one file of it, to hand out")
    chosen = parser.parse_args(arguments)
    if chosen.arch:
        os.environ[ARCHITECTURES] = chosen.arch.replace(",", ";")
    return chosen


def built() -> Path | None:
    """The pack's folder when nvcc is here and the pack for these cards is in the cache and whole."""
    try:
        return packs.find("cuda", source_key()) if find_cuda().nvcc else None
    except Problem:  # an nvcc that does not run builds none
        return None


def source_key() -> str:
    """What decides a pack's contents: the locked source archive, the switches, the compiler."""
    return key_of(engine.source_key(()), ON, packbuild.OFF, architectures(), toolkit(_nvcc()))


def ensure() -> Path:
    """The pack's folder, built unless it is in the cache. Raises Problem where it can't be built."""
    key = source_key()
    with (
        step('ggml\'s CUDA backend (hours on 2 cores; ARGS="--arch 90" builds for one kind of card)'),
        locked(cache_dir() / "locks" / "cuda.lock", "building the CUDA backend"),
    ):
        return built() or _build(key)


def _nvcc() -> Path:
    found = find_cuda().nvcc
    if not found:
        raise Problem(
            "Building the CUDA backend needs nvcc: install NVIDIA's CUDA toolkit and put nvcc on PATH. A pack that "
            "somebody else built is installed with `hearth engine install FILE`."
        )
    if sys.platform != "linux":
        raise Problem(
            "The CUDA pack is built on Linux only. Elsewhere `hearth engine install FILE` takes one that was built "
            "for that system."
        )
    return Path(found)


def toolkit(nvcc: Path) -> str:
    """CUDA's version as ``13.0``. Raises Problem when nvcc does not say it."""
    done = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"release (\d+\.\d+)", done.stdout)
    if not found:
        raise Problem(f"{nvcc} does not work: {(done.stderr or done.stdout)[-300:]}")
    return found[1]


def switches(nvcc: Path, kit: cudakit.Kit) -> list[str]:
    """cmake's arguments; ``kit`` is what the toolkit lacks."""
    cuda = [f"-DCMAKE_CUDA_COMPILER={nvcc}", f"-DCMAKE_CUDA_ARCHITECTURES={architectures()}"]
    return [*packbuild.switches(ON), *packbuild.BESIDE_ITSELF, LINKER, *cuda, *kit.switches]


def _build(key: str) -> Path:
    nvcc = _nvcc()
    venvs.ensure(BUILDER)
    work = cache_dir() / "build" / f"cuda-{key}"
    work.mkdir(parents=True, exist_ok=True)
    source = engine.unpacked(work)
    kit = cudakit.ensure(nvcc, toolkit(nvcc))
    arguments, llama = switches(nvcc, kit), source / "vendor" / "llama.cpp"
    library = packbuild.compiled(llama, work / "cmake", "cuda", arguments, [nvcc.parent])
    if not asks_for_driver(library):
        raise Problem(
            f"The built library does not ask for {cudakit.DRIVER}: no GPU could be used with it. {library}"
        )
    beside = {path.name: path for path in (*runtime_libraries(library, kit.folders), *kit.licences)}
    facts = packs.manifest("cuda", source, library, key, beside=beside)
    facts["driver_floor"] = {"nvidia": DRIVER_FLOOR.get(int(toolkit(nvcc).split(".")[0]), "")}
    facts["cuda"] = {"toolkit": toolkit(nvcc), "architectures": architectures()}
    commit = packs.llama_commit(source)
    folder = packs.keep(library, facts, cache_dir() / "packs" / f"cuda-{commit[:12]}", beside=beside)
    tell(f"{library.stat().st_size / 1e6:.0f} MB: {folder}")
    remove(work)
    return folder


def asks_for_driver(library: Path) -> bool:
    """Whether loading it loads the driver, whose functions it calls; true where ``ldd`` is missing."""
    return not shutil.which("ldd") or f"{cudakit.DRIVER} =>" in _ldd(library)


def runtime_libraries(library: Path, folders: Sequence[Path] = ()) -> list[Path]:
    """CUDA's own libraries that this one loads, under the names by which it asks for them; ``folders`` hold them."""
    if not shutil.which("ldd"):
        return []
    found = re.findall(r"^\s*(\S+) => (/\S+)", _ldd(library, folders), re.MULTILINE)
    wanted = {name: Path(path) for name, path in found if name.partition(".")[0] in RUNTIME}
    return [path.with_name(name) if path.with_name(name).exists() else path for name, path in wanted.items()]


def _ldd(library: Path, folders: Sequence[Path] = ()) -> str:
    searched = os.pathsep.join([*map(str, folders), os.environ.get("LD_LIBRARY_PATH", "")]).strip(os.pathsep)
    env = {**os.environ, "LD_LIBRARY_PATH": searched}
    return subprocess.run(["ldd", library], capture_output=True, text=True, check=False, env=env).stdout
