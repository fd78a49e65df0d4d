import json
import subprocess
import sys
from pathlib import Path

from app.planning.rates import Rates, RatesStore, TypeRate, key_of
from tests.fakes.hub_data import STARTER_REPO
from tests.fakes.hub_server import LocalHub

ROOT = Path(__file__).resolve().parents[2]
CODE = """
import sys
from argparse import Namespace
from app.cli.estimate import estimate
from app.core.engine_settings import Engine
flags = dict.fromkeys(Engine.__struct_fields__)
flags |= {"n_ctx": 2048, "target": sys.argv[1], "measure": False, "json": "--json" in sys.argv}
flags |= {"what_if_gpu": 8.0 if "gpu" in sys.argv else None, "what_if_ram": None}
sys.exit(estimate(Namespace(**flags)))
"""


def _estimate(environ: dict[str, str], *args: str) -> str:
    command = [sys.executable, "-c", CODE, *args]
    done = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_local_file(environ: dict[str, str], starter: Path) -> None:
    found = json.loads(_estimate(environ, str(starter), "--json"))
    assert found["planned"]["plan"]["n_ctx"] == 2048
    assert found["planned"]["memory"][0]["kv"] == 45 << 20
    assert found["kv"]["q8_0"] < found["kv"]["f16"]
    words = _estimate(environ, str(starter))
    assert "45.0 MiB" in words
    assert "not been measured yet" in words


def test_another_gpu_is_imagined(environ: dict[str, str], starter: Path) -> None:
    found = json.loads(_estimate(environ, str(starter), "--json", "gpu"))
    assert found["planned"]["fit"] == "full_gpu"
    assert found["marks"]["full_gpu"] == 8192


def test_a_remote_model_is_estimated_from_its_header_alone(
    environ: dict[str, str], hub: LocalHub, starter: Path, home: Path
) -> None:
    found = json.loads(_estimate(environ, f"{STARTER_REPO}:Q4_1", "--json"))
    local = json.loads(_estimate(environ, str(starter), "--json"))
    for name in ("weights", "kv", "compute"):
        assert found["planned"]["memory"][0][name] == local["planned"]["memory"][0][name]
    assert found["name"] == f"{STARTER_REPO}:Q4_1"
    assert hub.url in environ["HF_ENDPOINT"]
    assert not list((home / "models").rglob("*.gguf"))


def test_measured_rates_make_a_forecast(environ: dict[str, str], starter: Path, home: Path) -> None:
    from importlib.metadata import version

    from app.hardware.detect import detect

    machine = detect()
    threads = machine.cpu.best_threads
    rate = TypeRate(25e9, 2e11, 2e-9)
    key = key_of(machine, "CPU", threads, version("llama-cpp-python"))
    kinds = {"Q4_1": rate, "Q8_0": rate}
    RatesStore(home / "cache" / "rates.json").put(
        Rates("CPU", threads, 1e-5, 1e-5, kinds, {"f16": 8e9}, key=key)
    )
    found = json.loads(_estimate(environ, str(starter), "--json"))
    assert found["empty"]["decode"]["low"] > found["full"]["decode"]["low"] > 1
    assert "tokens/s with an empty context" in _estimate(environ, str(starter))
