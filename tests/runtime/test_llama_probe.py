import os
import sys
from pathlib import Path

from app.hardware.probe import read_backends, run_probe

COMMAND = [sys.executable, "-m", "app.runtime.llama_probe"]


def test_the_engine_tells_its_devices() -> None:
    backends, facts = read_backends(lambda: run_probe(COMMAND, environ=dict(os.environ)))
    cpu = next(backend for backend in backends if backend.name == "CPU")
    (device,) = cpu.devices
    assert device.type == "cpu"
    assert device.total
    assert device.description
    assert facts[0].value


def test_a_library_that_is_none_is_refused_and_the_rest_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "libggml-broken.so"
    path.write_bytes(b"not a library")
    backends, _ = read_backends(lambda: run_probe([*COMMAND, str(path)], environ=dict(os.environ)))
    problems = {backend.name: backend.problem for backend in backends}
    assert problems[str(path)] == "ggml refused to load it"
    assert problems["CPU"] is None
