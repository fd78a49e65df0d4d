"""Clients with requirements of their own (tests/clients), in an environment and a process of their own."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import httpx2 as httpx
import pytest

from app.core.settings import SettingsStore
from app.core.types import LoadPlan
from app.hardware.facts import Cpu, Machine, Memory
from app.models.downloads import Downloads
from app.models.hub import Hub
from app.models.library import Library
from app.planning.fit import Fitter
from app.server.host import ServerHost
from tests.fakes.engine import FakeSupervisor
from tests.fakes.gguf_writer import Tensor, model_metadata, model_tensors, write_gguf
from tests.fakes.hub_server import FakeFile, FakeRepo, LocalHub
from tests.fakes.minilm import needs_minilm

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = ROOT / "tests" / "clients"
PYTHON = ROOT / "build" / "venv-clients" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
PLUGINS = {
    "test_langchain.py": ("asyncio", "timeout", "benchmark", "recording"),
    "test_schemathesis.py": ("timeout", "hypothesispytest", "schemathesis"),
}
"""What of the environment's pytest plugins a file needs, where not the usual two: to import them all takes seconds."""
pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="the clients are set up by `make test`")


def run(name: str, cache: Path, **given: str) -> None:
    """A file of tests/clients; what it says is shown when it fails. What failed is asked once more: where two tokens
    are equally likely, a small model's answer depends on what was computed beside it."""
    local = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_PROXY": "127.0.0.1"}
    local["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    environ = {**os.environ, **local, **{f"HEARTH_{key.upper()}": value for key, value in given.items()}}
    command = [PYTHON, "-m", "pytest", "-c", CLIENTS / "pytest.ini", "--rootdir", CLIENTS, "-q"]
    command += ["-o", f"cache_dir={cache}", CLIENTS / name]
    for plugin in PLUGINS.get(name, ("asyncio", "timeout")):
        command += ["-p", plugin]
    # Rewritten asserts say more, but pytest rewrites all of its plugins too, which takes longer than some files' tests.
    for more in (["--assert=plain"], ["--last-failed"]):
        done = subprocess.run(
            [*command, *more], env=environ, cwd=CLIENTS, capture_output=True, text=True, check=False
        )
        if done.returncode != 1:
            break
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}"
    assert " passed" in done.stdout


@pytest.fixture(scope="module")
def warm(real) -> object:
    """The embedding model is loaded by a request before the tests' own checks begin."""
    body = {"model": real.minilm, "input": "x"}
    httpx.post(f"{real.address}/v1/embeddings", json=body, trust_env=False, timeout=60).raise_for_status()
    yield real
    real.supervisor.unload(real.minilm).result(60)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["test_litellm.py", "test_langchain.py", "test_lmstudio.py"])
@needs_minilm
def test_a_client_is_content(warm, tmp_path, name) -> None:
    run(name, tmp_path, address=warm.address, model=warm.model, vectors=warm.minilm)


@pytest.mark.timeout(300)
def test_lm_studio_s_client_downloads_from_the_hub(paths, bus, tmp_path) -> None:
    """Over the Hub's client, the queue and the library; nothing of it is a stand-in but the Hub."""
    files = {f"tiny-{quant}.gguf": FakeFile.of(_gguf(tmp_path / f"{quant}.gguf", size))
             for quant, size in (("Q4_0", 1_200_000), ("Q8_0", 2_000_000))}  # fmt: skip
    settings, library = SettingsStore(paths.settings_file, bus), Library(paths, bus)
    supervisor = FakeSupervisor()
    machine = Machine(Cpu(), Memory(8 << 30, 6 << 30))
    with LocalHub([FakeRepo("me/tiny-GGUF", files, parameters=1_000_000)]) as local:
        hub = Hub(local.url, lambda: None)
        downloads = Downloads(paths, hub, library, bus, settings)
        plan = lambda record, *_more: SimpleNamespace(plan=LoadPlan(record.path))  # noqa: E731
        host = ServerHost(
            library,
            supervisor,
            plan,
            bus,
            settings,
            hub=hub,
            downloads=downloads,
            fitter=lambda: Fitter(machine),
        )
        try:
            run(
                "test_lmstudio_hub.py",
                tmp_path,
                address=host.start("127.0.0.1", 0).address,
                repo="me/tiny-GGUF",
            )
        finally:
            for service in (host, downloads, library, supervisor):
                service.close()


def _gguf(path: Path, size: int) -> Path:
    noise = Tensor("noise.weight", (size // 4,), "F32", bytes(size // 4 * 4))
    return write_gguf(path, model_metadata(), [*model_tensors(), noise])


@pytest.mark.timeout(300)
def test_schemathesis_finds_nothing(served, tmp_path) -> None:
    run("test_schemathesis.py", tmp_path, address=served.address)
    codes = {line.status for line in served.host.log()}
    assert {200, 400} <= codes
    assert max(codes) < 500
