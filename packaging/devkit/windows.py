"""The Windows installer: NSIS compiles ``packaging/windows/hearth.nsi`` with what is in a folder."""

import os
import shutil
from pathlib import Path

from devkit.folders import BUILD, ROOT
from devkit.say import Problem, step
from devkit.shell import run_logged

SCRIPT = ROOT / "packaging" / "windows" / "hearth.nsi"
PLACES = ("C:/Program Files (x86)/NSIS/makensis.exe", "C:/Program Files/NSIS/makensis.exe")


def find_makensis() -> str | None:
    """NSIS's compiler, on PATH or where its own installer puts it."""
    return shutil.which("makensis") or next((place for place in PLACES if Path(place).is_file()), None)


def setup(program: Path, icon: Path, out: Path, version: str) -> Path:
    """Compile the installer of the frozen ``program`` (a folder with ``hearth.exe``). Raises Problem."""
    compiler = find_makensis()
    if compiler is None:
        raise Problem("makensis is missing: install NSIS (nsis.sourceforge.io; on Debian the package nsis).")
    target = out / f"Hearth-{version}-setup.exe"
    out.mkdir(parents=True, exist_ok=True)
    with step(target.name):
        log = BUILD / "logs" / "makensis.log"
        run_logged(command(compiler, program, icon, target, version), log, doing="compiling the installer")
    return target


def command(compiler: str, program: Path, icon: Path, target: Path, version: str) -> list[str | Path]:
    """makensis's arguments. Warnings are errors: a script that compiles with some has rotted."""
    numbers = [*version.partition("+")[0].split("."), "0", "0", "0"][:4]
    four = ".".join("".join(filter(str.isdigit, part)) or "0" for part in numbers)
    defines = {
        "VERSION": version, "VERSION4": four, "PROGRAM": program, "ICON": icon, "TARGET": target,
        "LICENSE": ROOT / "LICENSE", "SIZE_KB": size_kb(program),
    }  # fmt: skip
    if sign := os.environ.get("HEARTH_SIGN_COMMAND"):
        defines["SIGN"] = sign
    return [
        compiler,
        "-WX",
        "-V2",
        "-INPUTCHARSET",
        "UTF8",
        *(f"-D{key}={value}" for key, value in defines.items()),
        SCRIPT,
    ]


def size_kb(folder: Path) -> int:
    """For the list of installed programs."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) // 1024
