"""Virtual environments with locked requirements, and what is already in each."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from devkit import qtlibs, wheels
from devkit.folders import BUILD, REQUIREMENTS, ROOT
from devkit.say import Problem, step
from devkit.shell import run_logged
from devkit.stamps import Stamps, files_key, key_of

SCRIPTS, EXE = ("Scripts", ".exe") if sys.platform == "win32" else ("bin", "")


@dataclass(frozen=True)
class Environment:
    """One virtual environment: ``name`` for what is printed, ``requirements`` for what is in it. A ``lazy`` one is
    compiled as far as it is imported. With a ``lender`` that one's pip is used: it has none, which saves seconds."""

    name: str
    folder: Path
    requirements: tuple[str, ...]
    lazy: bool = False
    lender: "Environment | None" = None

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.program("python")

    def program(self, name: str) -> Path:
        """A program installed in it."""
        return self.folder / SCRIPTS / f"{name}{EXE}"

    @property
    def stamps(self) -> Stamps:
        """What is done in it; gone when it is removed."""
        return Stamps(self.folder / "hearth-setup.json")

    def log(self, what: str) -> Path:
        """Where the output of a step goes."""
        return BUILD / "logs" / f"{self.name}-{what}.log"

    def once(self, what: str, key: str, label: str, action: Callable[[], None]) -> None:
        """Do it unless it was done with this key, with its name and time on the screen."""
        if self.stamps.done(what, key):
            return
        with step(label):
            action()
        self.stamps.finish(what, key)

    def pip(
        self, what: str, doing: str, *arguments: str | Path, env: Mapping[str, str] | None = None
    ) -> None:
        """Run pip for it. The user's pip settings (PIP_*, pip.conf) apply as they are, so that mirrors work."""
        owner = self.lender or self
        command: list[str | Path] = [owner.python, "-m", "pip", "--disable-pip-version-check", "--no-input"]
        command += ["--python", self.python] if self.lender else []
        run_logged([*command, *arguments], self.log(what), doing=doing, env=env)


MAIN = Environment("venv", ROOT / ".venv", ("core.txt", "gui.txt", "test.txt", "dev.txt"))
# The tests import a small part of these two.
WITHOUT_QT = Environment("venv-noqt", BUILD / "venv-noqt", ("core.txt", "test.txt"), lazy=True, lender=MAIN)
CLIENTS = Environment("venv-clients", BUILD / "venv-clients", ("clients.txt",), lazy=True, lender=MAIN)
BUILDER = Environment("venv-build", BUILD / "venv-build", ("build.txt",))
PACKAGER = Environment("venv-package", BUILD / "venv-package", ("core.txt", "gui.txt", "package.txt"))
LOCKER = Environment("venv-lock", BUILD / "venv-lock", ("lock.txt",))


def ensure(environment: Environment) -> None:
    """The environment with its requirements. Both steps repeat safely: pip leaves what is already right."""
    place = _shown(environment.folder)
    made = key_of(1)
    environment.once("made", made, f"Making {place}", lambda: _make(environment))
    files = [REQUIREMENTS / name for name in environment.requirements]
    wanted = files_key(files)
    environment.once(
        "requirements", wanted, f"Installing {', '.join(environment.requirements)} into {place}",
        lambda: wheels.install(environment, files),
    )  # fmt: skip


def ready(environment: Environment) -> bool:
    """Whether ``ensure`` would do nothing."""
    wanted = files_key(REQUIREMENTS / name for name in environment.requirements)
    return environment.stamps.done("requirements", wanted) and environment.python.exists()


def _shown(folder: Path) -> str:
    return str(folder.relative_to(ROOT)) if folder.is_relative_to(ROOT) else str(folder)


def _make(environment: Environment) -> None:
    """A half-made or broken environment is made anew; one that works is kept, whoever made it."""
    if _works(environment):
        return
    if not environment.lender and importlib.util.find_spec("ensurepip") is None:
        _get_venv_module()
    command: list[str | Path] = [sys.executable, "-m", "venv", "--clear", environment.folder]
    command += ["--without-pip"] if environment.lender else []
    run_logged(command, environment.log("made"), doing="making the environment")


def _works(environment: Environment) -> bool:
    """Whether its Python starts, and its pip where it is to have one."""
    if not environment.python.exists():
        return False
    test = ["-c", ""] if environment.lender else ["-m", "pip", "--version"]
    done = subprocess.run([environment.python, *test], capture_output=True, check=False)
    return done.returncode == 0


def _get_venv_module() -> None:
    """Debian and Ubuntu keep half of Python's own venv module in a package of its own."""
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    if not qtlibs.apt_install([package]):
        raise Problem(
            "This Python can't make virtual environments (ensurepip is missing). "
            f"Run:  {qtlibs.apt_command([package])}  and then the same command again."
        )


def child_env() -> dict[str, str]:
    """The environment of the tools we start, with the main environment's programs first on PATH."""
    return {**os.environ, "PATH": f"{MAIN.python.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
