"""Qt's system libraries on Linux: which are missing, and how to get them. macOS and Windows bring their own."""

import ctypes
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from devkit.folders import BUILD
from devkit.say import Problem, tell
from devkit.shell import run_logged

OFFSCREEN = {
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
}
"""Library -> Debian package: what Qt needs to start at all."""
ON_SCREEN = {
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libX11-xcb.so.1": "libx11-xcb1",
}
"""What its X11 plugin needs besides."""
FONT_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts")
FONT_PACKAGE = "fonts-dejavu-core"


def missing_libraries(names: Iterable[str]) -> list[str]:
    """Those the dynamic loader doesn't find."""
    return [name for name in names if not _loads(name)]


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def has_font(folders: Iterable[str] = FONT_FOLDERS) -> bool:
    """Whether any font file is there: without one Qt draws empty boxes."""
    found = (path for folder in folders for path in Path(folder).expanduser().rglob("*.[to]tf"))
    return next(found, None) is not None


def missing_packages() -> list[str]:
    """The Debian packages whose libraries (or font) are missing, each once."""
    every = {**OFFSCREEN, **ON_SCREEN}
    packages = [every[name] for name in missing_libraries(every)]
    return list(dict.fromkeys(packages if has_font() else [*packages, FONT_PACKAGE]))


def ensure_libraries() -> None:
    """Install what is missing when we may. Raises Problem with the exact command when we may not."""
    if sys.platform != "linux" or not (packages := missing_packages()):
        return
    if apt_install(packages) and not missing_packages():
        return
    raise Problem(_advice(missing_packages()))


def _advice(packages: Sequence[str]) -> str:
    if shutil.which("apt-get"):
        return f"Qt needs some system libraries. Run:  {apt_command(packages)}"
    names = ", ".join(missing_libraries([*OFFSCREEN, *ON_SCREEN])) or "a font"
    return (
        f"Qt needs system libraries that are missing here: {names}. Install them with your package manager."
    )


def apt_command(packages: Sequence[str]) -> str:
    """What to type."""
    return f"sudo apt-get update && sudo apt-get install --no-install-recommends -y {' '.join(packages)}"


def apt_install(packages: Sequence[str]) -> bool:
    """Install on Debian or Ubuntu when we are root; False when we can't or it failed."""
    apt = shutil.which("apt-get")
    if not apt or not hasattr(os, "geteuid") or os.geteuid() != 0:
        return False
    tell(f"installing {' '.join(packages)}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    install = [apt, "install", "-y", "--no-install-recommends", *packages]
    try:
        run_logged(
            [apt, "update"], BUILD / "logs" / "apt-update.log", doing="reading the package lists", env=quiet
        )
        run_logged(install, BUILD / "logs" / "apt-install.log", doing="installing system packages", env=quiet)
    except Problem as problem:
        tell(str(problem))
        return False
    return True
