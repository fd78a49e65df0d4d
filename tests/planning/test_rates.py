import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from app.hardware.facts import Cpu, Gpu, Machine, Memory
from app.planning.rates import Rates, RatesStore, TypeRate, key_of, measure

PRINTED = {
    "device": "CPU", "threads": 2, "seconds": 9.5, "token": 1e-5, "layer": 2e-5,
    "types": {"Q4_K": {"bandwidth": 25e9, "row": 3e-9, "prefill": 2e11}}, "attention": {"f16": 8e9},
}  # fmt: skip


def test_the_process_is_asked_and_its_answer_kept(tmp_path: Path) -> None:
    asked: list[Sequence[str]] = []

    def run(arguments: Sequence[str]) -> bytes:
        asked.append(arguments)
        return json.dumps(PRINTED).encode()

    rates = measure(run, "key", "CPU", 2, ["Q4_K"])
    assert asked == [["--device", "CPU", "--threads", "2", "--types", "Q4_K"]]
    assert rates.types["Q4_K"] == TypeRate(25e9, 2e11, 3e-9)
    assert rates.measured_at > 0
    store = RatesStore(tmp_path / "cache" / "rates.json")
    assert store.get("key") is None
    store.put(rates)
    assert RatesStore(tmp_path / "cache" / "rates.json").get("key") == rates


def test_a_damaged_file_is_as_good_as_none(tmp_path: Path) -> None:
    path = tmp_path / "rates.json"
    path.write_text("{nonsense")
    store = RatesStore(path)
    assert store.get("key") is None
    store.put(Rates("CPU", 1, 0, 0, {}, {}, key="key"))
    assert RatesStore(path).get("key") is not None


def test_it_is_measured_again_when_the_hardware_changes() -> None:
    card = Gpu(0, "nvidia", "RTX 3090", driver="570", devices=("CUDA0",))
    machine = Machine(Cpu("Ryzen", 8), Memory(32 << 30), (card,))
    keys = {
        key_of(machine, "CPU", 8, "1"),
        key_of(machine, "CPU", 4, "1"),
        key_of(machine, "CPU", 8, "2"),
        key_of(machine, "CUDA0", 8, "1"),
        key_of(Machine(Cpu("Other", 8), Memory(32 << 30)), "CPU", 8, "1"),
    }
    assert len(keys) == 5
    assert key_of(machine, "CUDA0", 8, "1") == key_of(machine, "CUDA0", 4, "1")


@pytest.mark.slow
def test_the_engine_measures_itself() -> None:
    def run(arguments: Sequence[str]) -> bytes:
        command = [
            sys.executable,
            "-m",
            "app.runtime.llama_rates",
            *arguments,
            "--kv",
            "f16",
            "--megabytes",
            "40",
        ]
        return subprocess.run(
            command, capture_output=True, check=True, timeout=100, env=dict(os.environ)
        ).stdout

    rates = measure(run, "key", "CPU", 1, ["Q4_0"])
    assert 1e8 < rates.types["Q4_0"].bandwidth < 1e12
    assert 1e9 < rates.types["Q4_0"].prefill < 1e13
    assert rates.attention["f16"] > 1e8
    assert 0 <= rates.layer < 0.01
