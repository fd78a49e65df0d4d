"""llama-cpp-python, built from its source archive for this machine once, and kept for the next clone."""

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Sequence
from pathlib import Path

from devkit import venvs
from devkit.folders import REQUIREMENTS, ROOT, cache_dir
from devkit.machine import Backend, choose_backend, find_cuda, this_machine_args
from devkit.say import Problem, step, tell
from devkit.shell import first_line
from devkit.stamps import files_key, key_of, locked, remove, sha256_of
from devkit.venvs import BUILDER, Environment

LOCK_FILE = REQUIREMENTS / "engine.txt"
PACKAGE = "llama-cpp-python"
NATIVE = ROOT / "app" / "runtime" / "native"
"""Our own part of the engine, built into the same wheel."""
NEEDED_BYTES = 2 << 30
BYTES_PER_JOB = 3 << 29
"""1.5 GiB: the largest of llama.cpp's files take nearly that much to compile."""
PROBE = """
import llama_cpp
llama_cpp.llama_backend_init()
from app.runtime import llama_choose
assert llama_choose.available(), "the engine lacks Hearth's own library"
"""


def backend() -> Backend:
    """The backend for this machine (see ``machine.choose_backend``)."""
    return choose_backend(os.environ, sys.platform, find_cuda())


def source_key(args: Sequence[str]) -> str:
    """The source archive, and what cmake is told. Quick: it is asked at every start."""
    return key_of(files_key([LOCK_FILE]), list(args))


def install_key(args: Sequence[str]) -> str:
    """What must not have changed for an installed engine to be right."""
    return key_of(source_key(args), files_key(sorted(NATIVE.iterdir())))


def build_key(args: Sequence[str], compiler: str) -> str:
    """All that decides what comes of llama.cpp's source, and where it runs."""
    return key_of(source_key(args), sysconfig.get_platform(), platform.libc_ver(), compiler)


def wheel_key(args: Sequence[str], compiler: str) -> str:
    """The name of a built wheel in the cache."""
    return key_of(build_key(args, compiler), install_key(args))


def ensure(environment: Environment) -> None:
    """The engine for this machine, installed in the environment and seen to load."""
    chosen = backend()
    install(environment, this_machine_args(chosen.name), f"{chosen.name} ({chosen.why})")


def install(environment: Environment, args: Sequence[str], what: str) -> None:
    """The engine built with these arguments for cmake, from the cache when it has it."""
    key = install_key(args)
    if environment.stamps.done("engine", key):
        return
    with step(f"The engine: {PACKAGE} for {what}"):
        wheel = _wheel(args)
        environment.pip("engine", "installing", "install", "--no-deps", "--force-reinstall", wheel)
        _see_it_load(environment, wheel)
    environment.stamps.finish("engine", key)


def _see_it_load(environment: Environment, wheel: Path) -> None:
    """A wheel that doesn't load here (a moved cache, a removed driver) is dropped, so that the next run builds it."""
    command = [str(environment.python), "-c", PROBE]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        remove(wheel.parent)
        said = done.stderr[-2000:]
        raise Problem(f"{said}\nThe built engine does not load. Run the same command to build it again.")


def _wheel(args: Sequence[str]) -> Path:
    compiler = find_compiler()
    folder = cache_dir() / "engine" / wheel_key(args, compiler)
    if wheel := _kept(folder):
        tell(f"from the cache: {wheel}")
        return wheel
    if not compiler:
        raise Problem(no_compiler(sys.platform))
    with locked(cache_dir() / "locks" / f"{folder.name}.lock", "building the engine"):
        if not _kept(folder):  # another set-up may have built it while we waited
            _build(args, folder)
    if wheel := _kept(folder):
        return wheel
    raise Problem(f"The build left no wheel in {folder}. Remove that folder and run the same command again.")


def _kept(folder: Path) -> Path | None:
    return next(iter(sorted(folder.glob("*.whl"))), None)


def find_compiler() -> str:
    """The C++ compiler's name and version, or nothing when there is none."""
    if sys.platform == "win32":
        return _visual_studio()
    names = [os.environ.get("CXX", ""), "c++", "g++", "clang++"]
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    return first_line([found, "--version"]) if found else ""


def _visual_studio() -> str:
    if found := shutil.which("cl") or shutil.which("clang-cl"):
        return found
    where = Path(os.environ.get("PROGRAMFILES(X86)", "C:/")) / "Microsoft Visual Studio/Installer/vswhere.exe"
    return first_line([str(where), "-latest", "-products", "*", "-property", "installationVersion"])


def no_compiler(system: str) -> str:
    """What to install for a C++ compiler."""
    how = {
        "linux": "Run:  sudo apt-get install g++  (Debian, Ubuntu), or install gcc-c++ (Fedora) or gcc (Arch)",
        "darwin": "Run:  xcode-select --install",
        "win32": "Install Visual Studio Build Tools with 'Desktop development with C++'",
    }.get(system, "Install one")
    return f"There is no C++ compiler to build the engine with. {how}, and run the same command again."


def _build(args: Sequence[str], folder: Path) -> None:
    """In the cache, so that an interrupted build goes on with what it has compiled."""
    work = cache_dir() / "build" / folder.name
    work.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(work).free < NEEDED_BYTES:
        raise Problem(
            f"Building the engine needs 2 GB free in {work}. Free some, or set HEARTH_CACHE to another disk."
        )
    venvs.ensure(BUILDER)
    source = unpacked(work)
    tell(f"building with {jobs()} jobs; about 8 minutes on 2 cores, longer for a GPU: {' '.join(args)}")
    _compile(source, work, args)
    folder.parent.mkdir(parents=True, exist_ok=True)
    remove(folder)
    (work / "out").replace(folder)
    remove(work)


def _compile(source: Path, work: Path, args: Sequence[str]) -> None:
    remove(work / "out")
    shutil.copytree(NATIVE, source / "hearth", dirs_exist_ok=True)  # a path without a space, seen from there
    build_dir = f"build-dir={work / 'cmake'}"
    env = {
        "CMAKE_ARGS": " ".join([*args, "-DCMAKE_PROJECT_llama_cpp_INCLUDE=hearth/hearth.cmake"]),
        "CMAKE_BUILD_PARALLEL_LEVEL": os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL", str(jobs())),
        "PATH": os.pathsep.join([str(BUILDER.python.parent), os.environ.get("PATH", ""), *_nvcc_folder()]),
    }
    BUILDER.pip("engine", "building", "wheel", "--no-deps", "--no-build-isolation", "--verbose",
                "--wheel-dir", work / "out", "--config-settings", build_dir, source, env=env)  # fmt: skip


def _nvcc_folder() -> list[str]:
    nvcc = find_cuda().nvcc
    return [str(Path(nvcc).parent)] if nvcc else []


def jobs() -> int:
    """Compilers at once: one for each core, as far as the memory goes."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return cores
    return max(1, min(cores, memory // BYTES_PER_JOB))


def unpacked(work: Path) -> Path:
    """The unpacked source archive below ``work``: whole, or not there."""
    source = work / "source"
    if source.is_dir():
        return source
    part = work / "source.part"
    remove(part)
    archive = _archive()
    with tarfile.open(archive) as file:
        file.extractall(part, filter="data") if hasattr(tarfile, "data_filter") else file.extractall(part)
    next(part.iterdir()).replace(source)
    remove(part)
    return source


def _archive() -> Path:
    """The source archive, checked against its hash by pip, kept in the cache."""
    kept = cache_dir() / "sources"
    for found in kept.glob("*.tar.gz"):
        if sha256_of(found) in LOCK_FILE.read_text(encoding="utf-8"):
            return found
    tell("fetching the source archive, 77 MB")
    part = kept.with_name(f"sources.{os.getpid()}.part")
    try:
        BUILDER.pip("engine-source", "fetching", "download", "--no-deps", "--no-build-isolation", "--no-binary",
                    PACKAGE, "--require-hashes", "-r", LOCK_FILE, "--dest", part)  # fmt: skip
        remove(kept)
        part.replace(kept)
    finally:
        remove(part)
    return next(kept.glob("*.tar.gz"))
