"""The licence texts of all that a frozen program carries: Python and its packages, Debian's libraries, the engine."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from devkit import engine
from devkit.folders import REQUIREMENTS, ROOT
from devkit.say import Problem, tell
from devkit.stamps import remove
from devkit.venvs import Environment

TEXT = re.compile(r"(licen[cs]e|copying|notice|authors)", re.IGNORECASE)
DEVELOPERS = {
    "pyinstaller",
    "pyinstaller-hooks-contrib",
    "altgraph",
    "setuptools",
    "pip",
    "wheel",
    "pefile",
    "macholib",
}
"""In the environment that freezes, not in the frozen program (whose starter is under PyInstaller's exception)."""
_LIST = """
import importlib.metadata as m, json
found = []
for d in m.distributions():
    meta = d.metadata
    home = meta.get("Home-page") or next((u.split(",", 1)[1].strip() for u in meta.get_all("Project-URL") or []), "")
    kinds = [c.rsplit(" :: ", 1)[-1] for c in meta.get_all("Classifier") or [] if c.startswith("License ::")]
    licence = meta.get("License-Expression") or meta.get("License") or " AND ".join(kinds)
    texts = [str(d.locate_file(f)) for f in d.files or [] if ".dist-info" in str(f)]
    found.append([meta["Name"], d.version, licence.strip().splitlines()[0] if licence.strip() else "", home, texts])
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Package:
    """One Python package of the program. ``licence`` is an SPDX expression or a name as its maker wrote it."""

    name: str
    version: str
    licence: str
    home: str
    files: tuple[Path, ...]


def packages(environment: Environment) -> list[Package]:
    """The Python packages that the environment freezes, in the order of their names. What an older requirement left
    behind in it is none of them."""
    out = subprocess.run([environment.python, "-c", _LIST], capture_output=True, check=True, text=True).stdout
    rows: list[tuple[str, str, str, str, list[str]]] = json.loads(out)
    found = [Package(*row[:4], tuple(Path(path) for path in row[4])) for row in rows]
    ours = locked(environment) - DEVELOPERS
    return sorted((item for item in found if normal(item.name) in ours), key=lambda item: item.name.lower())


def locked(environment: Environment) -> set[str]:
    """The names in the environment's requirement files, and the engine's."""
    texts = [(REQUIREMENTS / name).read_text(encoding="utf-8") for name in environment.requirements]
    names = [name for text in texts for name in re.findall(r"^([\w.-]+)==", text, re.MULTILINE)]
    return {normal(name) for name in (*names, engine.PACKAGE)}


def normal(name: str) -> str:
    """A package's name in the one spelling that registries compare."""
    return re.sub(r"[-_.]+", "-", name).lower()


def collect(inside: Path, environment: Environment, folder: Path) -> None:
    """Write the texts into ``folder``. Raises Problem when a bundled library belongs to a package whose licence can't
    be found: nothing without one is given away."""
    remove(folder)
    folder.mkdir(parents=True)
    shutil.copy2(ROOT / "LICENSE", folder / "Hearth-LICENSE")
    shutil.copy2(ROOT / "resources" / "third-party-notices.md", folder / "third-party-notices.md")
    for package in packages(environment):
        texts = [path for path in package.files if TEXT.search(path.name)]
        _copy(package.name, texts or [path for path in package.files if path.name == "METADATA"], folder)
    _copy("PySide6_Essentials", sorted((ROOT / "packaging" / "licences").glob("*.txt")), folder)
    _engine(folder)
    _python(environment, folder)
    _debian(inside, folder)


def _copy(name: str, texts: Iterable[Path], folder: Path) -> None:
    for text in texts:
        if text.is_file():
            place = folder / name
            place.mkdir(exist_ok=True)
            shutil.copyfile(text, place / text.name)


def _engine(folder: Path) -> None:
    """llama.cpp's own licences, from the source archive."""
    work = folder.parent.parent / "engine-source"
    work.mkdir(parents=True, exist_ok=True)
    source = engine.unpacked(work)
    llama = source / "vendor" / "llama.cpp"
    _copy("llama.cpp", [llama / "LICENSE", *sorted((llama / "licenses").glob("*"))], folder)
    _copy("llama_cpp_python", [source / "LICENSE.md", source / "LICENSE"], folder)
    remove(work)


def _python(environment: Environment, folder: Path) -> None:
    script = (
        "import os, sys; print(os.path.dirname(os.__file__), sys.base_prefix, sys.version_info[1], sep='\\n')"
    )
    done = subprocess.run([environment.python, "-c", script], capture_output=True, check=True, text=True)
    beside, prefix, minor = done.stdout.split("\n")[:3]
    places = [Path(beside, "LICENSE.txt"), Path(prefix, "LICENSE.txt"),  # the second on Windows
              Path(f"/usr/share/doc/python3.{minor}/copyright")]  # fmt: skip
    text = next((place for place in places if place.is_file()), None)
    if text is None:
        raise Problem("Python's own licence (LICENSE.txt) is not beside its library: it can't be bundled.")
    (folder / "Python").mkdir(exist_ok=True)
    shutil.copyfile(text, folder / "Python" / "LICENSE.txt")


def _debian(inside: Path, folder: Path) -> None:
    """The copyright files of the system's libraries that PyInstaller took along."""
    if not shutil.which("dpkg-query"):
        return
    names = _libraries(inside)
    owners = debian_owners(names)
    for package in sorted(set(owners.values())):
        text = Path("/usr/share/doc") / package / "copyright"
        if not text.is_file():
            raise Problem(f"The licence of {package} is missing ({text}): its library can't be bundled.")
        _copy(f"debian-{package}", [text], folder)
    if others := [name for name in names if name not in owners and not name.startswith("libpython")]:
        tell(f"NOTE: not from a Debian package: {', '.join(others)}")


def runtime(inside: Path, environment: Environment) -> list[tuple[str, str]]:
    """(name, version) of Python itself and of the Debian packages whose libraries are in ``inside``."""
    script = "import platform; print(platform.python_version())"
    done = subprocess.run([environment.python, "-c", script], capture_output=True, check=True, text=True)
    return [("python", done.stdout.strip()), *_debian_versions(inside)]


def _debian_versions(inside: Path) -> list[tuple[str, str]]:
    names = [name for name in _libraries(inside) if not name.startswith("libpython")]
    owners = debian_owners(names) if shutil.which("dpkg-query") else {}
    if not owners:
        return []
    command = ["dpkg-query", "-W", "-f", r"${Package} ${Version}\n", *sorted(set(owners.values()))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return sorted({(name, version) for name, version in map(str.split, done.stdout.splitlines())})


def _libraries(inside: Path) -> list[str]:
    return sorted(path.name for path in inside.glob("lib*.so*") if not path.is_symlink())


def debian_owners(names: Sequence[str]) -> Mapping[str, str]:
    """Library file name -> the Debian package it came from; those of no package are left out."""
    if not names:
        return {}
    patterns = [f"*/{name}" for name in names]
    done = subprocess.run(["dpkg-query", "-S", *patterns], capture_output=True, text=True, check=False)
    found: dict[str, str] = {}
    for line in done.stdout.splitlines():
        package, _, path = line.partition(": ")
        found.setdefault(Path(path).name, package.split(",")[0].partition(":")[0])
    return {name: found[name] for name in names if name in found}
