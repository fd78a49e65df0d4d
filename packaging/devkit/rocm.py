"""ggml's HIP backend (ROCm) as a pack for AMD's GPUs, built from our engine's own source archive, where hipcc is.

ROCm's libraries that the backend needs go into the pack with the kernels of rocBLAS and hipBLASLt for the chosen GPUs,
so the machine needs Linux's amdgpu driver and nothing else. ROCm is free software; its licences go along.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from devkit import engine, packbuild, packs, venvs
from devkit.folders import cache_dir
from devkit.say import Problem, step, tell
from devkit.stamps import key_of, locked, remove
from devkit.venvs import BUILDER

ON = ("BUILD_SHARED_LIBS", "GGML_BACKEND_DL", "GGML_HIP")
# RPATH, not RUNPATH: what librocblas itself asks for is found in the pack as well.
LINKER = "-DCMAKE_MODULE_LINKER_FLAGS=-Wl,--disable-new-dtags"
TARGETS = "HEARTH_AMDGPU_TARGETS"
OLDEST = (6, 1)
"""The ROCm that ggml asks for."""
USUAL = ("gfx90a", "gfx942", "gfx1030", "gfx1100", "gfx1101", "gfx1102")
NEWER = ("gfx1151", "gfx1200", "gfx1201")
"""Known to the compiler from ROCm 6.4 on."""
DRIVER_FLOOR = {(6, 1): "6.2.4", (6, 2): "6.3.6", (6, 3): "6.7.0", (6, 4): "6.8.5"}
"""ROCm -> the oldest of AMD's own amdgpu drivers that runs it: the one of two releases before (AMD's user and
kernel-space support matrix). For the driver in Linux itself AMD names no number, and none is asked for."""
NEWEST_FLOOR = "6.10.5"
LIBRARIES = re.compile(r"lib(amd|hip|hsa|roc)")
"""How the names of ROCm's own libraries begin, for where they lie among the system's."""
KERNELS = ("rocblas", "hipblaslt")
"""Libraries that look for ``<name>/library`` beside themselves."""
_GPU = re.compile(r"gfx[0-9a-f]+")


@dataclass(frozen=True)
class Rocm:
    """One ROCm: its folder, its version, and where its compiler is."""

    folder: Path
    version: tuple[int, int]
    compiler: Path


def find_hipcc(environ: Mapping[str, str] = os.environ) -> Path | None:
    """ROCm's compiler driver, on PATH or where ROCm is installed; files only."""
    homes = [environ.get("ROCM_PATH"), environ.get("HIP_PATH"), "/opt/rocm"]
    places = os.pathsep.join([environ.get("PATH", ""), *(f"{home}/bin" for home in homes if home)])
    found = shutil.which("hipcc", path=places)
    return Path(found) if found else None


def toolkit(hipcc: Path | None) -> Rocm:
    """The ROCm of this compiler. Raises Problem where there is none, or one that ggml does not take."""
    if sys.platform != "linux":
        raise Problem("The ROCm pack is built on Linux only.")
    if hipcc is None:
        raise Problem(
            "Building the ROCm backend needs hipcc: install AMD's ROCm (hipcc, rocBLAS, hipBLAS) and put hipcc on "
            "PATH, or name its folder in ROCM_PATH. A pack that somebody else built is installed with "
            "`hearth engine install FILE`."
        )
    config = hipcc.with_name("hipconfig")
    said = _ask(config, "--version")
    found = re.match(r"(\d+)\.(\d+)", said)
    if not found:
        raise Problem(f"{config} does not say ROCm's version: {said[-300:] or 'it does not run'}")
    version = int(found[1]), int(found[2])
    if version < OLDEST:
        raise Problem(f"ROCm {found[0]} is at {hipcc}, and ggml needs {OLDEST[0]}.{OLDEST[1]} or newer.")
    return Rocm(Path(_ask(config, "--rocmpath")), version, Path(_ask(config, "--hipclangpath"), "clang++"))


def _ask(config: Path, what: str) -> str:
    try:
        done = subprocess.run([config, what], capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    return (done.stdout or done.stderr).strip()


def gpus_here(root: Path = Path("/")) -> tuple[str, ...]:
    """The compiler's names of the GPUs in this machine, from what the kernel says of each (``gfx_target_version``:
    110003 is gfx1103, 90010 is gfx90a)."""
    found = []
    for path in sorted((root / "sys/class/kfd/kfd/topology/nodes").glob("*/properties")):
        text = path.read_text(encoding="ascii", errors="replace")
        number = re.search(r"^gfx_target_version (\d+)$", text, re.MULTILINE)
        if number and (code := int(number[1])):
            found.append(f"gfx{code // 10000}{code // 100 % 100:x}{code % 100:x}")
    return tuple(dict.fromkeys(found))


def targets(version: tuple[int, int]) -> tuple[str, ...]:
    """The GPUs that are built for: HEARTH_AMDGPU_TARGETS, else those here, else the usual ones of today."""
    chosen = tuple(part for part in re.split(r"[;,\s]+", os.environ.get(TARGETS, "")) if part)
    if wrong := [
        name for name in chosen if not re.fullmatch(rf"{_GPU.pattern}(:(xnack|sramecc)[+-])*", name)
    ]:
        raise Problem(
            f"{wrong[0]} is no GPU of AMD's: names are like gfx1100 or gfx90a (rocminfo shows them)."
        )
    return chosen or gpus_here() or (USUAL if version < (6, 4) else (*USUAL, *NEWER))


def choose(arguments: Sequence[str]) -> argparse.Namespace:
    """``--targets LIST``: the GPUs to build for; ``archive`` is whether the pack is to be handed out."""
    parser = argparse.ArgumentParser(prog="make engine-rocm ARGS=")
    parser.add_argument("--targets", metavar="LIST", help="GPUs to build for: gfx1100,gfx1030")
    parser.add_argument("--archive", action="store_true", help="also make one file of it, to hand out")
    chosen = parser.parse_args(arguments)
    if chosen.targets:
        os.environ[TARGETS] = chosen.targets
    return chosen


def source_key(rocm: Rocm) -> str:
    """What decides a pack's contents: the locked source archive, the switches, the GPUs, the compiler."""
    return key_of(engine.source_key(()), ON, packbuild.OFF, targets(rocm.version), rocm.version)


def built() -> Path | None:
    """The pack's folder when hipcc is here and the pack for these GPUs is in the cache and whole."""
    if not (hipcc := find_hipcc()):
        return None
    try:
        return packs.find("rocm", source_key(toolkit(hipcc)))
    except Problem:  # a ROCm that does not run builds none
        return None


def ensure() -> Path:
    """The pack's folder, built unless it is in the cache. Raises Problem where it can't be built."""
    rocm = toolkit(find_hipcc())
    names = ", ".join(targets(rocm.version))
    with (
        step(
            f'ggml\'s HIP backend for {names} (hours on 2 cores; ARGS="--targets gfx1100" builds for one GPU)'
        ),
        locked(cache_dir() / "locks" / "rocm.lock", "building the ROCm backend"),
    ):
        return built() or _build(rocm, source_key(rocm))


def switches(rocm: Rocm) -> list[str]:
    """cmake's arguments."""
    hip = [
        f"-DCMAKE_HIP_COMPILER={rocm.compiler}",
        f"-DCMAKE_HIP_ARCHITECTURES={';'.join(targets(rocm.version))}",
        f"-DCMAKE_PREFIX_PATH={rocm.folder}",
    ]
    return [*packbuild.switches(ON), *packbuild.BESIDE_ITSELF, LINKER, *hip]


def _build(rocm: Rocm, key: str) -> Path:
    venvs.ensure(BUILDER)
    work = cache_dir() / "build" / f"rocm-{key}"
    work.mkdir(parents=True, exist_ok=True)
    source = engine.unpacked(work)
    library = packbuild.compiled(
        source / "vendor" / "llama.cpp", work / "cmake", "hip", switches(rocm), [rocm.compiler.parent],
        {"ROCM_PATH": str(rocm.folder)},
    )  # fmt: skip
    beside = runtime(library, rocm)
    facts = packs.manifest("rocm", source, library, key, beside=beside)
    facts["driver_floor"] = {"amd": DRIVER_FLOOR.get(rocm.version, NEWEST_FLOOR)}
    facts["rocm"] = {"version": ".".join(map(str, rocm.version)), "targets": list(targets(rocm.version))}
    commit = packs.llama_commit(source)
    folder = packs.keep(library, facts, cache_dir() / "packs" / f"rocm-{commit[:12]}", beside=beside)
    total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    tell(f"{total / 1e6:.0f} MB with ROCm's libraries: {folder}")
    remove(work)
    return folder


def runtime(library: Path, rocm: Rocm) -> dict[str, Path]:
    """What goes with the library, by its place in the pack: ROCm's libraries, their kernels for the chosen GPUs, and
    licences."""
    needed = runtime_libraries(library, rocm.folder)
    return {**needed, **_kernels(needed, targets(rocm.version)), **_licences(rocm.folder)}


def runtime_libraries(library: Path, folder: Path) -> dict[str, Path]:
    """ROCm's own libraries that this one loads, also by way of others, by the names they are asked for."""
    places = os.pathsep.join([str(folder / "lib"), os.environ.get("LD_LIBRARY_PATH", "")]).strip(os.pathsep)
    env = {**os.environ, "LD_LIBRARY_PATH": places}
    done = subprocess.run(["ldd", library], capture_output=True, text=True, check=False, env=env)
    found = re.findall(r"^\s*(\S+) => (/\S+)", done.stdout, re.MULTILINE)
    return {name: Path(path) for name, path in found if _is_rocm(name, Path(path), folder)}


def _is_rocm(name: str, path: Path, folder: Path) -> bool:
    if folder == Path("/usr"):  # a distribution's own packages
        return bool(LIBRARIES.match(name))
    return path.resolve().is_relative_to(folder.resolve())


def _kernels(libraries: Mapping[str, Path], gpus: Sequence[str]) -> dict[str, Path]:
    """The code that rocBLAS and hipBLASLt load for these GPUs, and what is for all."""
    wanted = {name.partition(":")[0] for name in gpus}
    found: dict[str, Path] = {}
    for name, path in libraries.items():
        known = name.partition(".")[0].removeprefix("lib")
        if known in KERNELS:
            inside = path.resolve().parent / known / "library"
            files = (item for item in sorted(inside.rglob("*")) if item.is_file() and _for(item, wanted))
            found |= {f"{known}/library/{item.relative_to(inside).as_posix()}": item for item in files}
    return found


def _for(path: Path, wanted: set[str]) -> bool:
    named = set(_GPU.findall(path.name)) | set(_GPU.findall(path.parent.name))
    return not named or bool(named & wanted)


def _licences(folder: Path) -> dict[str, Path]:
    return {
        f"licenses/{path.parent.name}-{path.name}": path for path in _licence_files(folder / "share" / "doc")
    }


def _licence_files(folder: Path) -> Iterator[Path]:
    """Those of ROCm's packages; among a distribution's documents only these."""
    for path in sorted(folder.glob("*/*")):
        ours = folder != Path("/usr/share/doc") or LIBRARIES.match(path.parent.name)
        if ours and re.match(r"(licen[cs]e|copyright|notice)", path.name, re.IGNORECASE) and path.is_file():
            yield path
