"""The program, in this process or in one of its own, a home, and a local Hub that serves the starter model."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from app.__main__ import main
from tests.fakes.gguf_writer import Tensor, model_metadata, model_tensors, write_gguf
from tests.fakes.hub_data import starter_repo
from tests.fakes.hub_server import FakeFile, FakeRepo, LocalHub

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def environ(home: Path) -> dict[str, str]:
    return {**os.environ, "HEARTH_HOME": str(home), "PYTHONIOENCODING": "utf-8"}


@pytest.fixture
def hearth(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run ``hearth ARGS`` in this process: the same without the second that the start of another takes."""

    def run(*args: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        out, err = io.StringIO(), io.StringIO()
        with monkeypatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            for name, value in {**environ, **env}.items():
                patch.setenv(name, value)
            patch.setattr(sys, "stdin", io.StringIO(stdin))
            code = main(list(args))
        return subprocess.CompletedProcess(args, code, out.getvalue(), err.getvalue())

    return run


@pytest.fixture
def process(environ: dict[str, str]) -> Run:
    """Run ``hearth ARGS`` as a person does, as a process, and wait for its end."""

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
def tiny(hub: LocalHub, tmp_path: Path) -> str:
    """A repository of 8 MB (Q4_0) on the hub, where the bytes need not answer; its name."""
    noise = Tensor("noise.weight", (2_000_000,), "F32", os.urandom(8_000_000))
    path = write_gguf(tmp_path / "tiny-Q4_0.gguf", model_metadata(), [*model_tensors(), noise])
    other = FakeFile.promised(9_000_000, "tiny-Q8_0.gguf")
    hub.add(FakeRepo("me/tiny-GGUF", {path.name: FakeFile.of(path), "tiny-Q8_0.gguf": other}))
    return "me/tiny-GGUF"


@pytest.fixture
def with_starter(home: Path, starter: Path) -> Path:
    """The starter model in the model folder."""
    folder = home / "models" / "starter"
    folder.mkdir(parents=True)
    os.link(starter, folder / starter.name)
    return folder / starter.name
