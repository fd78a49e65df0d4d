"""The frozen program: one folder that needs no Python on the machine, with its licences and its list of contents."""

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from devkit import licences, portable, sbom, trim, venvs, vulkan
from devkit.folders import BUILD, ROOT
from devkit.say import Problem, step, tell
from devkit.shell import run_logged
from devkit.stamps import remove, sha256_of
from devkit.venvs import PACKAGER

WORK = BUILD / "package"
INTERNAL = "_internal"
"""PyInstaller's folder beside the executable."""
EPOCH = 1_767_225_600
"""The date in everything that carries one (1 January 2026), so that the same source gives the same bytes."""
MOST_BYTES = 190_000_000


def version() -> str:
    """The program's own version."""
    found = re.search(r'__version__ = "([^"]+)"', (ROOT / "app" / "__init__.py").read_text(encoding="utf-8"))
    if not found:
        raise Problem("app/__init__.py does not say the version.")
    return os.environ.get("HEARTH_VERSION") or found[1]


def epoch() -> int:
    """SOURCE_DATE_EPOCH, or ours."""
    return int(os.environ.get("SOURCE_DATE_EPOCH", EPOCH))


def ensure() -> Path:
    """Freeze the program anew; returns its folder (on macOS the folder that holds ``Hearth.app``)."""
    venvs.ensure(PACKAGER)
    portable.ensure(PACKAGER)
    icons = make_icons()
    with step("Freezing the program"):
        folder = _freeze(icons)
        _complete(folder)
    total = size_of(folder)
    tell(f"{total / 1e6:.0f} MB without GPU packs, limit {MOST_BYTES / 1e6:.0f}")
    if total > MOST_BYTES:
        raise Problem(
            f"The frozen program has {total / 1e6:.0f} MB, more than the limit. Largest:\n{largest(folder)}"
        )
    _add_packs(folder)
    _into_bundle(folder)
    return folder


def make_icons() -> Path:
    """Every size of the program's icon."""
    folder = WORK / "icons"
    remove(folder)
    command = [
        PACKAGER.python,
        ROOT / "packaging/freeze/make_icons.py",
        ROOT / "resources/icons/app/hearth.svg",
        folder,
    ]
    run_logged(command, PACKAGER.log("icons"), doing="drawing the icons")
    return folder


def _freeze(icons: Path) -> Path:
    dist = WORK / "dist"
    remove(dist)
    engine = next((PACKAGER.folder / "lib").glob("python*/site-packages/llama_cpp/lib"), None)
    engine = engine or PACKAGER.folder / "Lib/site-packages/llama_cpp/lib"
    env = {
        "HEARTH_VERSION": version(),
        "HEARTH_ENGINE_LIB": str(engine),
        "HEARTH_ICONS": str(icons),
        "SOURCE_DATE_EPOCH": str(epoch()),
        "PYTHONHASHSEED": "1",
        "QT_QPA_PLATFORM": "offscreen",
    }
    command: list[str | Path] = [PACKAGER.python, "-m", "PyInstaller", "--noconfirm", "--log-level", "WARN"]
    command += ["--distpath", dist, "--workpath", WORK / "work", ROOT / "packaging/freeze/hearth.spec"]
    run_logged(command, PACKAGER.log("freeze"), doing="freezing", env=env)
    return dist / "hearth"


def _complete(folder: Path) -> None:
    inside = folder / INTERNAL
    check_engine(inside / "llama_cpp" / "lib")
    trim.trim(inside)
    link_twins(inside)
    _beside_the_engine(inside)
    licences.collect(inside, PACKAGER, folder / "licenses")
    target, runtime = folder / "licenses" / "sbom.cdx.json", licences.runtime(inside, PACKAGER)
    sbom.write(target, version(), licences.packages(PACKAGER), epoch(), runtime)


def check_engine(folder: Path) -> None:
    """Refuse a program without llama.cpp, or without our part of the engine, which nobody would miss but by speed."""
    for name in ("llama", "hearth"):
        if not any(path.name.removeprefix("lib").startswith(f"{name}.") for path in folder.glob("*")):
            raise Problem(f"The frozen program has no library {name} in {folder}.")


def _beside_the_engine(inside: Path) -> None:
    """ggml looks for OpenMP's library beside itself (RUNPATH), while PyInstaller puts it at the top."""
    for library in inside.glob("libgomp.so*"):
        (inside / "llama_cpp" / "lib" / library.name).symlink_to(f"../../{library.name}")


def _add_packs(folder: Path) -> None:
    """The Vulkan pack, where it is built or can be; without it the program runs on the processor and on packs. On macOS
    Metal is part of the engine."""
    if sys.platform == "darwin":
        return
    try:
        pack = vulkan.ensure()
    except Problem as problem:
        tell(f"NOTE: without Vulkan in the base install: {problem}")
        return
    shutil.copytree(pack, folder / INTERNAL / "packs" / pack.name)


def _into_bundle(folder: Path) -> None:
    """macOS's bundle was made with the folder, before its licences were; it is sealed when the image is made."""
    if (app := folder.with_name("Hearth.app")).is_dir():
        shutil.copytree(folder / "licenses", app / "Contents/Resources/licenses", dirs_exist_ok=True)


def link_twins(folder: Path) -> int:
    """Make files of the same bytes in the same folder one file with links to it (a library's names by version); where
    the system has links. Returns the bytes saved."""
    if sys.platform == "win32":
        return 0
    saved, seen = 0, dict[tuple[Path, str], Path]()
    for path in _libraries(folder):
        key = (path.parent, sha256_of(path))
        first = seen.setdefault(key, path)
        if first is not path:
            saved += path.stat().st_size
            path.unlink()
            path.symlink_to(first.name)
    return saved


def _libraries(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("lib*.so*"), key=lambda path: (len(path.name), path)):
        if path.is_file() and not path.is_symlink():
            yield path


def files(folder: Path) -> Iterator[Path]:
    """Every file and link below, in a fixed order."""
    yield from (path for path in sorted(folder.rglob("*")) if path.is_symlink() or path.is_file())


def size_of(folder: Path) -> int:
    """Bytes of all files, links not followed."""
    return sum(path.lstat().st_size for path in files(folder))


def largest(folder: Path, count: int = 15) -> str:
    """The largest files, a line each."""
    found = sorted(files(folder), key=lambda path: -path.lstat().st_size)[:count]
    return "\n".join(f"{path.lstat().st_size / 1e6:8.1f} MB  {path.relative_to(folder)}" for path in found)
