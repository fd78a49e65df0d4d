"""The program as a process, a home of its own, and a local Hub that serves the starter model."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes.hub_data import starter_repo
from tests.fakes.hub_server import LocalHub

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def environ(home: Path) -> dict[str, str]:
    return {**os.environ, "HEARTH_HOME": str(home), "PYTHONIOENCODING": "utf-8"}


@pytest.fixture
def hearth(environ: dict[str, str]) -> Run:
    """Run ``hearth ARGS`` and wait for its end."""

    def run(*args: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "app", *args],
            cwd=ROOT, env={**environ, **env}, input=stdin, capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip

    return run


@pytest.fixture
def as_json(hearth: Run) -> Callable[..., object]:
    """Run with --json; fails unless the program did well."""

    def run(*args: str, **env: str) -> object:
        done = hearth(*args, "--json", **env)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture
def hub(environ: dict[str, str], starter: Path) -> Iterator[LocalHub]:
    with LocalHub([starter_repo(starter)]) as local:
        environ["HF_ENDPOINT"] = local.url
        yield local


@pytest.fixture
def with_starter(home: Path, starter: Path) -> Path:
    """The starter model in the model folder."""
    folder = home / "models" / "starter"
    folder.mkdir(parents=True)
    os.link(starter, folder / starter.name)
    return folder / starter.name
