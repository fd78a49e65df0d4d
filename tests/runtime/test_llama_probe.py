import os
import sys
from pathlib import Path

from app.hardware.probe import read_backends, run_probe
from tests.fakes.packs import make_pack

COMMAND = [sys.executable, "-m", "app.runtime.llama_probe"]


def test_the_engine_tells_its_devices() -> None:
    backends, facts = read_backends(lambda: run_probe(COMMAND, environ=dict(os.environ)))
    cpu = next(backend for backend in backends if backend.name == "CPU")
    (device,) = cpu.devices
    assert device.type == "cpu"
    assert device.total
    assert device.description
    assert facts[0].value


def test_packs_that_cannot_be_used_are_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    broken = make_pack(tmp_path / "broken", b"not a library")
    absent = tmp_path / "absent"
    backends, _ = read_backends(
        lambda: run_probe([*COMMAND, str(broken), str(absent)], environ=dict(os.environ))
    )
    problems = {backend.name: backend.problem or "" for backend in backends}
    assert "ggml refused libggml-broken.so" in problems[str(broken)]
    assert "manifest.json can't be read" in problems[str(absent)]
    assert not problems["CPU"]


def test_a_pack_of_a_backend_that_is_there_is_not_loaded_again(tmp_path: Path) -> None:
    again = make_pack(tmp_path / "cpu", b"", backend="cpu")
    backends, _ = read_backends(lambda: run_probe([*COMMAND, str(again)], environ=dict(os.environ)))
    assert "listed twice" in (backends[-1].problem or "")
    assert [backend.name for backend in backends].count("CPU") == 1
