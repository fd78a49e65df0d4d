"""``python packaging/engine_vulkan.py``: builds ``libggml-vulkan.so`` for our own llama.cpp, beside the ordinary build.

For Debian and Ubuntu on x86-64. The Vulkan headers, the SPIR-V headers and ``glslc`` of Debian 12 are too old for
ggml-vulkan; newer ones are fetched from the next release by apt's own client and unpacked into the cache, never
installed. The library is kept in the cache under llama.cpp's version, with a manifest (version, sha256). It prints
the library's path as the last line. With software Vulkan (``mesa-vulkan-drivers``) it runs without a GPU::

    GGML_VK_VISIBLE_DEVICES=0 GGML_VK_DISABLE_F16=1 GGML_VK_DISABLE_COOPMAT=1 \
        python -m app.runtime.llama_probe $(python packaging/engine_vulkan.py | tail -n 1)
"""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from devkit import engine, venvs
from devkit.folders import cache_dir
from devkit.machine import this_machine_args
from devkit.say import Problem, step, tell
from devkit.shell import run_logged
from devkit.stamps import locked, remove
from devkit.venvs import BUILDER

RELEASE = "trixie"
MIRROR = "http://deb.debian.org/debian"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
PACKAGES = (
    "glslc", "libshaderc1", "libvulkan-dev", "libvulkan1", "spirv-headers", "libc6", "libstdc++6", "libgcc-s1",
)  # fmt: skip
LIBRARIES = "usr/lib/x86_64-linux-gnu"
OFF = (
    "LLAMA_CURL",
    "LLAMA_BUILD_TESTS",
    "LLAMA_BUILD_EXAMPLES",
    "LLAMA_BUILD_TOOLS",
    "LLAMA_BUILD_UI",
    "GGML_CPU",
)
# Without GGML_BACKEND_DL the library builds but ggml refuses to load it.
ON = ("BUILD_SHARED_LIBS", "GGML_BACKEND_DL", "GGML_VULKAN")


def main() -> int:
    """Build unless it is there; print where it is."""
    try:
        print(ensure())
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


def ensure() -> Path:
    """The library, built once per version of llama.cpp. Raises Problem where it can't be built."""
    check()
    folder = cache_dir() / "engine-vulkan" / engine.wheel_key([*this_machine_args("cpu"), *ON], "vulkan")
    library = folder / "libggml-vulkan.so"
    if (folder / "manifest.json").exists() and library.exists():
        return library
    with (
        step("ggml's Vulkan backend (about 4 minutes on 2 idle cores)"),
        locked(cache_dir() / "locks" / f"{folder.name}.lock", "building the Vulkan backend"),
    ):
        if not (folder / "manifest.json").exists():
            _build(folder, tools(folder / "tools"))
    return library


def check() -> None:
    """Only where apt and dpkg are, and on the one processor the packages are for."""
    missing = [name for name in ("apt-get", "dpkg", "c++") if not shutil.which(name)]
    if sys.platform != "linux" or platform.machine() != "x86_64" or missing:
        raise Problem(
            "The Vulkan backend is built here on Debian or Ubuntu, x86-64, with a C++ compiler only"
            + (f" ({', '.join(missing)} is missing)." if missing else ".")
        )


def tools(folder: Path) -> Path:
    """Headers and glslc of the next release, unpacked below ``folder``; the root they are under."""
    root = folder / "root"
    if (folder / "glslc").exists():
        return folder
    part = folder.with_name(folder.name + ".part")
    remove(part)
    for name in ("lists/partial", "archives/partial", "parts", "debs", "root"):
        (part / name).mkdir(parents=True)
    signed = f"Signed-By: {KEYRING}\n" if KEYRING.exists() else "Trusted: no\n"
    source = f"Types: deb\nURIs: {MIRROR}\nSuites: {RELEASE}\nComponents: main\n{signed}"
    (part / "parts" / "next.sources").write_text(source, encoding="utf-8")
    _apt(part, "update")
    _apt(part, "download", *PACKAGES)
    for package in sorted((part / "debs").glob("*.deb")):
        run_logged(["dpkg", "-x", package, part / "root"], BUILDER.log("vulkan-unpack"), doing="unpacking")
    remove(folder)
    part.replace(folder)
    _write_glslc(folder / "glslc", root)
    return folder


def _apt(folder: Path, *words: str) -> None:
    """apt-get with lists, cache and sources of its own: the system's are not touched."""
    options = {
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": folder / "parts",
        "Dir::State::lists": folder / "lists",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": folder,
    }
    flags = [part for key, value in options.items() for part in ("-o", f"{key}={value}")]
    command: list[str | Path] = ["apt-get", *flags, "-o", "APT::Sandbox::User=root", *words]
    wrapped: list[str | Path] = ["env", "-C", folder / "debs", *command]
    run_logged(wrapped, BUILDER.log("vulkan-fetch"), doing=f"fetching the shader compiler ({words[0]})")


def _write_glslc(path: Path, root: Path) -> None:
    """glslc through the newer C library it was built for."""
    folder = root / LIBRARIES
    loader = folder / "ld-linux-x86-64.so.2"
    path.write_text(
        f'#!/bin/sh\nexec {loader} --library-path {folder} {root}/usr/bin/glslc "$@"\n', encoding="utf-8"
    )
    path.chmod(0o755)


def _build(folder: Path, kit: Path) -> None:
    venvs.ensure(BUILDER)
    work = cache_dir() / "build" / f"vulkan-{folder.name}"
    work.mkdir(parents=True, exist_ok=True)
    llama = engine.unpacked(work) / "vendor" / "llama.cpp"
    env = {"PATH": os.pathsep.join([str(BUILDER.python.parent), os.environ.get("PATH", "")])}
    configure: list[str | Path] = ["cmake", "-S", llama, "-B", work / "cmake", "-G", "Ninja", *switches(kit)]
    run_logged(configure, BUILDER.log("vulkan-configure"), doing="configuring", env=env)
    jobs = os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL", str(engine.jobs()))
    build: list[str | Path] = [
        "cmake",
        "--build",
        work / "cmake",
        "--parallel",
        jobs,
        "--target",
        "ggml-vulkan",
    ]
    run_logged(build, BUILDER.log("vulkan"), doing="building the Vulkan backend", env=env)
    built = next((work / "cmake").rglob("libggml-vulkan.so"), None)
    if built is None:
        raise Problem(f"The build said nothing wrong and made no library; see {BUILDER.log('vulkan')}.")
    _keep(built, folder)
    remove(work)


def switches(kit: Path) -> Sequence[str]:
    """cmake's arguments; ``kit`` has the headers and glslc."""
    root = kit / "root"
    return [
        "-DCMAKE_BUILD_TYPE=Release",
        "-DGGML_NATIVE=OFF",
        *(f"-D{name}=ON" for name in ON),
        *(f"-D{name}=OFF" for name in OFF),
        f"-DVulkan_INCLUDE_DIR={root / 'usr/include'}",
        f"-DVulkan_GLSLC_EXECUTABLE={kit / 'glslc'}",
        f"-DVulkan_LIBRARY={root / LIBRARIES / 'libvulkan.so'}",
        f"-DSPIRV-Headers_DIR={_headers_config(root)}",
        f"-DCMAKE_CXX_FLAGS=-I{root / 'usr/include'}",
    ]


def _headers_config(root: Path) -> Path:
    found = next(root.rglob("SPIRV-HeadersConfig.cmake"), None)
    if found is None:
        raise Problem("The SPIR-V headers that were fetched have no cmake files: the release has changed.")
    return found.parent


def _keep(built: Path, folder: Path) -> None:
    """Copy, then the manifest last: without it the folder counts as empty."""
    folder.mkdir(parents=True, exist_ok=True)
    library = Path(shutil.copy2(built, folder / "libggml-vulkan.so"))
    digest = hashlib.sha256(library.read_bytes()).hexdigest()
    manifest = {
        "engine": engine.PACKAGE,
        "version": folder.name,
        "sha256": digest,
        "bytes": library.stat().st_size,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2), encoding="utf-8")
    tell(f"{library.stat().st_size / 1e6:.0f} MB: {library}")


def loads(library: Path, python: str = sys.executable) -> bool:
    """Whether ggml takes the library, asked in a process of its own."""
    command = [python, "-m", "app.runtime.llama_probe", str(library)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode == 0 and '"Vulkan"' in done.stdout


if __name__ == "__main__":
    sys.exit(main())
