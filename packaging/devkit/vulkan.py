"""ggml's Vulkan backend as a pack, built from the very source archive of our engine: on Debian 12 (x86-64), or with the
Vulkan SDK that ``VULKAN_SDK`` names, which is how Windows gets it.

Debian's own Vulkan headers and ``glslc`` are too old for ggml, so newer ones come from the next release, unpacked
in the cache. With the software device of ``mesa-vulkan-drivers`` the pack runs where there is no GPU.
"""

import os
import platform
import shutil
import sys
from pathlib import Path

from devkit import engine, nextdebian, packbuild, packs, qtlibs, venvs
from devkit.folders import cache_dir
from devkit.say import Problem, step, tell
from devkit.stamps import key_of, locked, remove
from devkit.venvs import BUILDER

PACKAGES = ("glslc", "libshaderc1", "libvulkan-dev", "spirv-headers", "libc6", "libstdc++6", "libgcc-s1")
"""Of the next release: the shader compiler with the libraries it runs with, and headers."""
SYSTEM_PACKAGES = {"libvulkan.so.1": "libvulkan1", "libvulkan_lvp.so": "mesa-vulkan-drivers"}
"""Of this release: the loader that the backend is linked to, and the software device that tests run on."""
LIBRARIES = "usr/lib/x86_64-linux-gnu"
# Without GGML_BACKEND_DL the library builds, but ggml refuses to load it.
ON = ("BUILD_SHARED_LIBS", "GGML_BACKEND_DL", "GGML_VULKAN")
SDK = "VULKAN_SDK"
"""The variable that the SDK's own installer sets."""
SOFTWARE = {"GGML_VK_VISIBLE_DEVICES": "0", "GGML_VK_DISABLE_F16": "1", "GGML_VK_DISABLE_COOPMAT": "1"}
"""The environment that ggml needs on the software device."""


def source_key() -> str:
    """What decides a pack's contents: the locked source archive and the switches."""
    return key_of(engine.source_key(()), ON, packbuild.OFF)


def built() -> Path | None:
    """The pack's folder when it is in the cache and whole."""
    return packs.find("vulkan", source_key())


def ensure() -> Path:
    """The pack's folder, built unless it is in the cache. Raises Problem where it can't be built."""
    if sys.platform == "linux":
        _system_packages()
    if folder := built():
        return folder
    if not sdk():
        check(sys.platform, platform.machine())
    with (
        step("ggml's Vulkan backend (about 4 minutes on 2 idle cores)"),
        locked(cache_dir() / "locks" / "vulkan.lock", "building the Vulkan backend"),
    ):
        return built() or _build()


def sdk() -> Path | None:
    """The Vulkan SDK's folder, where there is one."""
    folder = os.environ.get(SDK)
    return Path(folder) if folder and Path(folder).is_dir() else None


def check(system: str, machine: str) -> None:
    """Without the SDK only where the packages can be had and run."""
    if system != "linux" or machine != "x86_64":
        raise Problem(
            f"Without the Vulkan SDK the Vulkan backend is built on Debian 12, x86-64, only: install the SDK "
            f"(its installer sets {SDK})."
        )
    if missing := [name for name in ("apt-get", "dpkg", "c++") if not shutil.which(name)]:
        raise Problem(f"Building the Vulkan backend needs {', '.join(missing)}, which is missing here.")


def _system_packages() -> None:
    """The loader and the software device: installed when we may, else said how."""
    missing = [SYSTEM_PACKAGES[name] for name in qtlibs.missing_libraries(SYSTEM_PACKAGES)]
    if missing and not qtlibs.apt_install(missing):
        raise Problem(
            f"Vulkan's loader or its software device is missing. Run:  {qtlibs.apt_command(missing)}"
        )


def kit() -> Path:
    """The folder with the next release's headers below ``root`` and ``glslc``."""
    suite = nextdebian.next_suite(platform.freedesktop_os_release())
    folder = cache_dir() / "tools" / f"vulkan-{suite}"
    if (folder / "glslc").exists():
        return folder
    here = next(old for old, new in nextdebian.SUITES.items() if new == suite)
    address = nextdebian.mirror(nextdebian.system_sources(), here)
    root = nextdebian.fetch(PACKAGES, nextdebian.source_entry(address, suite), folder)
    write_glslc(folder / "glslc", root)
    return folder


def write_glslc(path: Path, root: Path) -> None:
    """glslc run by the newer C library it was linked to; written last, it marks the folder as whole."""
    libraries = root / LIBRARIES
    loader = f'"{libraries}/ld-linux-x86-64.so.2" --library-path "{libraries}"'
    path.write_text(f'#!/bin/sh\nexec {loader} "{root}/usr/bin/glslc" "$@"\n', encoding="utf-8")
    path.chmod(0o755)


def sdk_switches(folder: Path) -> list[str]:
    """cmake's arguments; ``folder`` is the SDK, whose headers, loader and glslc cmake finds by its variable."""
    return [*packbuild.switches(ON), f"-DCMAKE_PREFIX_PATH={folder.as_posix()}"]


def switches(folder: Path) -> list[str]:
    """cmake's arguments; ``folder`` is the kit."""
    root = folder / "root" / "usr"
    places = {
        "Vulkan_INCLUDE_DIR": root / "include",
        "Vulkan_GLSLC_EXECUTABLE": folder / "glslc",
        "Vulkan_LIBRARY": Path("/") / LIBRARIES / "libvulkan.so.1",
        "SPIRV-Headers_DIR": root / "share/cmake/SPIRV-Headers",
    }
    return [*packbuild.switches(ON), *(f"-D{name}={path}" for name, path in places.items())]


def _build() -> Path:
    venvs.ensure(BUILDER)
    work = cache_dir() / "build" / f"vulkan-{source_key()}"
    work.mkdir(parents=True, exist_ok=True)
    source = engine.unpacked(work)
    arguments = sdk_switches(found) if (found := sdk()) else switches(kit())
    library = packbuild.compiled(source / "vendor" / "llama.cpp", work / "cmake", "vulkan", arguments)
    commit = packs.llama_commit(source)
    facts = packs.manifest("vulkan", source, library, source_key())
    folder = packs.keep(library, facts, cache_dir() / "packs" / f"vulkan-{commit[:12]}")
    tell(f"{library.stat().st_size / 1e6:.0f} MB: {folder}")
    remove(work)
    return folder
