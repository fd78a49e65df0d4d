from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.planning.outlook import Outlook
from app.planning.rates import Rates, RatesStore, TypeRate, key_of
from tests.cli.conftest import Run
from tests.fakes.hub_data import STARTER_REPO
from tests.fakes.hub_server import LocalHub

Json = Callable[..., Any]
CONTEXT = ("-c", "2048")


def test_a_local_file(hearth: Run, as_json: Json, starter: Path) -> None:
    found = as_json("estimate", str(starter), *CONTEXT)
    assert found["planned"]["plan"]["n_ctx"] == 2048
    assert found["planned"]["memory"][0]["kv"] == 45 << 20
    assert found["kv"]["q8_0"] < found["kv"]["f16"]
    words = hearth("estimate", str(starter), *CONTEXT).stdout
    assert "45.0 MiB" in words
    assert "not been measured yet" in words


def test_another_gpu_is_imagined(as_json: Json, starter: Path) -> None:
    found = as_json("estimate", str(starter), "--what-if-gpu", "8", *CONTEXT)
    assert found["planned"]["fit"] == "full_gpu"
    assert found["marks"]["full_gpu"] == 8192


def test_a_remote_model_is_estimated_from_its_header_alone(
    environ: dict[str, str], hub: LocalHub, as_json: Json, starter: Path, home: Path
) -> None:
    found = as_json("estimate", f"{STARTER_REPO}:Q4_1", *CONTEXT)
    local = as_json("estimate", str(starter), *CONTEXT)
    for name in ("weights", "kv", "compute"):
        assert found["planned"]["memory"][0][name] == local["planned"]["memory"][0][name]
    assert found["name"] == f"{STARTER_REPO}:Q4_1"
    assert hub.url in environ["HF_ENDPOINT"]
    assert not list((home / "models").rglob("*.gguf"))


def test_what_was_measured_is_measured_again_when_asked(
    hearth: Run, starter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(Outlook, "measure", lambda _self, devices=(): asked.append(list(devices)))
    monkeypatch.setattr(Outlook, "missing", lambda _self: ())
    assert hearth("estimate", str(starter), *CONTEXT, "--measure").returncode == 0
    assert asked[0][0] == "CPU"


def test_measured_rates_make_a_forecast(hearth: Run, as_json: Json, starter: Path, home: Path) -> None:
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
    found = as_json("estimate", str(starter), *CONTEXT)
    assert found["empty"]["decode"]["low"] > found["full"]["decode"]["low"] > 1
    assert "tokens/s with an empty context" in hearth("estimate", str(starter), *CONTEXT).stdout
