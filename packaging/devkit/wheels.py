"""The locked packages' files, kept in the cache: the next environment is made of them without asking the registry.

Most of pip's time goes into the registry's lists of every version that there ever was, one list for each package. Which
files are needed is known: they are fetched once for a lock, and pip checks each against its hash whenever it is used.
"""

import os
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from devkit.folders import REQUIREMENTS, cache_dir
from devkit.say import Problem, tell
from devkit.shell import run_logged
from devkit.stamps import Stamps, files_key, key_of, locked, remove, sha256_of

if TYPE_CHECKING:
    from devkit.venvs import Environment

HASHES = "--require-hashes"
INSTALL = ("requirements", "installing", "install", HASHES, "--no-compile")
COMPILE = """
import compileall, sysconfig
compileall.compile_dir(sysconfig.get_path("purelib"), quiet=2, workers=0)
"""
"""By as many processes as there are cores, where pip compiles with one."""


def folder() -> Path:
    """Where the cache keeps them."""
    return cache_dir() / "wheels"


def install(environment: "Environment", files: Sequence[Path]) -> None:
    """What the requirement files list, from the cache; what it lacks is fetched into it first."""
    _install(environment, files)
    if not environment.lazy:
        run_logged([environment.python, "-c", COMPILE], environment.log("compiled"), doing="compiling")


def _install(environment: "Environment", files: Sequence[Path]) -> None:
    listed = [part for file in files for part in ("-r", str(file))]
    key = key_of(files_key(files), sys.version_info[:2], sysconfig.get_platform())
    if _stamps().done(environment.name, key) and _from_kept(environment, listed):
        return
    with locked(cache_dir() / "locks" / "wheels.lock", "fetching packages"):
        _fetch(environment, listed)
        _stamps().finish(environment.name, key)
    if not _from_kept(environment, listed):
        tell("not as they are: from the registry, building what has no file for this system")
        environment.pip(*INSTALL, *listed)


def _stamps() -> Stamps:
    return Stamps(folder() / "kept.json")


def _from_kept(environment: "Environment", listed: Sequence[str]) -> bool:
    """Whether all that is listed is there and could be installed. What pip said is in the log: the next step says what
    to do about it, if it's still so."""
    try:
        environment.pip(*INSTALL, "--no-index", "--find-links", folder(), *listed)
    except Problem:
        return False
    return True


def _fetch(environment: "Environment", listed: Sequence[str]) -> None:
    """All that is listed into the cache, each file whole or not there; what no lock names any more goes."""
    part = folder() / f"fetched.{os.getpid()}.part"
    try:
        environment.pip("fetched", "fetching", "download", HASHES, *listed, "--dest", part)
        for file in part.iterdir():
            file.replace(folder() / file.name)
    finally:
        remove(part)
    named = "".join(file.read_text(encoding="utf-8") for file in REQUIREMENTS.glob("*.txt"))
    for file in folder().glob("*-*"):
        if sha256_of(file) not in named:
            remove(file)
