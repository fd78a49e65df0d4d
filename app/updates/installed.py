"""How this copy of the program was installed, which decides how it is replaced. Read from files only."""

import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct

from app.updates.manifest import FileForm, System

Form = Literal["deb", "run", "appdir", "appimage", "setup", "app", "source", "copy"]
"""``source``: run by Python from a clone; ``copy``: a frozen program that none of the installers put there."""
FILES: Mapping[Form, FileForm] = {
    "deb": "deb",
    "run": "run",
    "appdir": "run",
    "appimage": "appimage",
    "setup": "setup",
    "app": "dmg",
}
"""What replaces each form. A ``.run`` carries the very tree that an AppDir is made of."""
DEB_PLACE = Path("/usr/lib/hearth")
DPKG_LIST = Path("/var/lib/dpkg/info/hearth.list")
RUN_MARK = "installed-files"
"""The .run's list of what it put elsewhere, in the program's folder (``packaging/linux/install.sh``)."""
_SYSTEMS: Mapping[str, System] = {"win32": "windows", "darwin": "macos"}


class Installed(Struct, frozen=True):
    """``place`` is what is switched to another version: the folder with the links (.run, AppDir), the file (AppImage),
    the bundle (macOS), the program's folder otherwise."""

    form: Form
    place: Path
    program: Path
    """The executable to start again."""

    @property
    def file_form(self) -> FileForm | None:
        """The installer that replaces it; None when none can."""
        return FILES.get(self.form)


def system() -> System:
    """This one, by the name it has in a list of updates."""
    return _SYSTEMS.get(sys.platform, "linux")


def machine() -> str:
    """The processor's family, by the name it has in a list of updates."""
    name = platform.machine().lower()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(name, name)


def find_installed(
    executable: str = sys.executable,
    frozen: bool | None = None,
    environ: Mapping[str, str] = os.environ,
    dpkg_list: Path = DPKG_LIST,
    deb_place: Path = DEB_PLACE,
) -> Installed:
    """What this process runs from."""
    program = Path(executable).resolve()
    folder = program.parent
    if not (getattr(sys, "frozen", False) if frozen is None else frozen):
        return Installed("source", Path(__file__).resolve().parents[2], program)
    if sys.platform == "win32":
        return Installed("setup" if (folder / "uninstall.exe").is_file() else "copy", folder, program)
    if sys.platform == "darwin":
        bundle = next((path for path in program.parents if path.suffix == ".app"), None)
        return Installed("app", bundle, program) if bundle else Installed("copy", folder, program)
    return _linux(program, environ, dpkg_list, deb_place)


def _linux(program: Path, environ: Mapping[str, str], dpkg_list: Path, deb_place: Path) -> Installed:
    folder = program.parent
    image = environ.get("APPIMAGE", "")
    if image and Path(image).is_file():
        return Installed("appimage", Path(image).resolve(), Path(image).resolve())
    if folder == deb_place and dpkg_list.is_file():
        return Installed("deb", folder, program)
    if (folder / RUN_MARK).is_file() and _beside(folder.parent / "hearth", folder):
        return Installed("run", folder.parent, folder.parent / "hearth" / program.name)
    top = folder.parents[2] if len(folder.parents) > 2 else folder
    if (top / "AppRun").is_file() and _beside(top / "usr", folder.parents[1]):
        return Installed("appdir", top, top / "AppRun")
    return Installed("copy", folder, program)


def _beside(link: Path, folder: Path) -> bool:
    """Whether the folder is one of the versions that the link names one of: the one in use, or one that runs still."""
    return link.is_symlink() and link.resolve().parent == folder.parent
