"""``make package``: the installers for the system that this runs on, in ``build/package/out``."""

import os
import platform
import shutil
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path

from devkit import freeze, linux, qtlibs, release, windows
from devkit.folders import BUILD, ROOT
from devkit.say import Problem, tell
from devkit.shell import run_logged
from devkit.stamps import locked, remove
from devkit.venvs import PACKAGER

DEBIAN_TOOLS = {
    "xz": "xz-utils",
    "strip": "binutils",
    "cc": "gcc",
    "desktop-file-validate": "desktop-file-utils",
}
TEST_TOOLS = {
    "makensis": "nsis",
    "desktop-file-validate": "desktop-file-utils",
    "gpg": "gnupg",
    "unsquashfs": "squashfs-tools",
}
"""What the installers' own tests run: without them those tests are skipped."""


def package(_arguments: Sequence[str]) -> int:
    """Freeze, pack, sum up and sign."""
    with locked(BUILD / "package.lock", "making installers"):
        remove(release.OUT)
        made = _make()
        made += release.packs()
        if listed := release.update_list():
            made.append(listed)
        release.seal()
    for path in made:
        print(f"{path.stat().st_size / 1e6:7.1f} MB  {path}")
    return 0


def _make() -> list[Path]:
    makers = {"linux": _linux, "win32": _windows, "darwin": _mac}
    if sys.platform not in makers:
        raise Problem(f"There is no installer for {sys.platform}: Linux, Windows and macOS have one.")
    return makers[sys.platform]()


def tools(wanted: Mapping[str, str]) -> None:
    """Debian's packages only; installed when we may, else said how. ``wanted``: program to package."""
    missing = [package for tool, package in wanted.items() if not shutil.which(tool)]
    if sys.platform == "linux" and missing and not qtlibs.apt_install(missing):
        tell(f"NOTE: some tools are missing. Run:  {qtlibs.apt_command(missing)}")


def _program() -> Path:
    """The frozen program, trusting the key of its own updates."""
    folder = freeze.ensure()
    release.trust_own_key(folder)
    return folder


def python_library() -> list[str]:
    """The Debian package of Python's own library where it is missing: Debian's interpreter does not need it, the frozen
    program does."""
    name = sysconfig.get_config_var("INSTSONAME") or ""
    return [name.partition(".so")[0]] if ".so" in name and qtlibs.missing_libraries([name]) else []


def _libraries() -> None:
    """What the freezing looks at: Qt draws the icons, and PyInstaller asks each library for what it needs."""
    qtlibs.ensure_libraries()
    missing = python_library()
    if missing and not qtlibs.apt_install(missing):
        raise Problem(f"Python's own library is missing. Run:  {qtlibs.apt_command(missing)}")


def _linux() -> list[Path]:
    tools(DEBIAN_TOOLS)
    _libraries()
    usr = linux.tree(_program())
    data = linux.payload(usr)
    made = [linux.deb(usr, data), linux.run_file(data)]
    if runtime := os.environ.get("HEARTH_APPIMAGE_RUNTIME", ""):
        tools({"mksquashfs": "squashfs-tools"})
    image = linux.app_image(linux.app_dir(usr), runtime)
    return [*made, image] if image else made


def _windows() -> list[Path]:
    icon = freeze.WORK / "icons" / "hearth.ico"
    return [windows.setup(_program(), icon, release.OUT, freeze.version())]


def _mac() -> list[Path]:
    app = freeze.ensure().with_name("Hearth.app")
    release.trust_own_key(app)
    script = ROOT / "packaging" / "macos" / "make_dmg.sh"
    target = release.OUT / f"Hearth-{freeze.version()}-{platform.machine()}.dmg"
    target.parent.mkdir(parents=True, exist_ok=True)
    run_logged([script, app, target], PACKAGER.log("dmg"), doing="making the disk image")
    if not target.exists():
        raise Problem(f"No disk image was made; the output: {PACKAGER.log('dmg')}")
    return [target]
