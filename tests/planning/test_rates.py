import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from app.hardware.facts import Cpu, Gpu, Machine, Memory
from app.planning.rates import Rates, RatesStore, Raw, RawType, key_of, measure, merge, solve

TOKEN, LAYER, ROW, MATRIX = 1e-5, 2e-5, 3e-9, 4e-6
BANDWIDTH = {"Q4_K": 25e9, "Q8_0": 40e9, "F16": 50e9}


def _point(kind: str, size: float, rows: float, layers: float) -> list[float]:
    matrices = 7 * layers + 1
    work = size / BANDWIDTH[kind] + rows * ROW + matrices * MATRIX
    return [size, rows, layers, matrices, TOKEN + layers * LAYER + work]


def _raw(slower: float = 1.0) -> Raw:
    shapes = ((120e6, 40_000, 8), (120e6, 180_000, 60), (120e6, 220_000, 1))
    types = {
        kind: RawType([_point(kind, *shape) for shape in shapes], [1e8, 1e8 / 2e11]) for kind in BANDWIDTH
    }
    overhead = [[4.0, (TOKEN + 4 * LAYER) * slower], [44.0, (TOKEN + 44 * LAYER) * slower]]
    return Raw("CPU", 2, 9.5, overhead, types, {"f16": [8e6, 1e6, 1e-3, 2e-3]})


def test_the_process_is_asked_and_its_answer_kept(tmp_path: Path) -> None:
    asked: list[Sequence[str]] = []

    def run(arguments: Sequence[str]) -> bytes:
        asked.append(arguments)
        return msgspec.json.encode(_raw(3.0 - len(asked)))

    rates = measure(run, "key", "CPU", 2, ["Q4_K"])
    assert asked == [["--device", "CPU", "--threads", "2", "--types", "Q4_K"]] * 2
    assert rates.types["Q4_K"].bandwidth == pytest.approx(25e9)
    assert rates.types["Q4_K"].prefill == pytest.approx(2e11)
    assert rates.types["Q4_K"].row == pytest.approx(3e-9)
    assert rates.types["Q4_K"].matrix == pytest.approx(4e-6)
    assert (rates.token, rates.layer) == pytest.approx((TOKEN, LAYER))
    assert rates.attention == {"f16": pytest.approx(8e6 / (1e-3 - 1e6 / rates.read))}
    assert rates.measured_at > 0
    store = RatesStore(tmp_path / "cache" / "rates.json")
    assert store.get("key") is None
    store.put(rates)
    assert RatesStore(tmp_path / "cache" / "rates.json").get("key") == rates


def test_a_slow_device_is_measured_once() -> None:
    asked: list[Sequence[str]] = []

    def run(arguments: Sequence[str]) -> bytes:
        asked.append(arguments)
        return msgspec.json.encode(msgspec.structs.replace(_raw(), seconds=40.0))

    measure(run, "key", "CPU", 2)
    assert len(asked) == 1


def test_a_disturbed_point_of_one_type_spoils_no_other_and_promises_no_speed_that_was_not_seen() -> None:
    raw = _raw()
    for at in range(3):
        points = [list(point) for point in raw.types["Q4_K"].points]
        points[at][-1] *= 3
        raw.types["Q4_K"] = RawType(points, [1e8, 1.0])
        rates = solve(raw)
        assert rates.types["Q8_0"].row == pytest.approx(ROW)
        assert rates.types["Q8_0"].bandwidth == pytest.approx(40e9)
        seen = max(point[0] / point[-1] for point in points)
        found = rates.types["Q4_K"]
        assert 0.5 * seen < found.bandwidth < 2 * seen
        assert found.row >= 0
        assert found.matrix >= 0


def test_a_kind_of_processor_that_pays_for_matrices_only_is_known() -> None:
    raw = _raw()
    for point in raw.types["F16"].points:
        point[-1] = TOKEN + point[2] * LAYER + point[0] / 50e9 + point[3] * 8e-6
    found = solve(raw).types["F16"]
    assert found.matrix == pytest.approx(8e-6)
    assert found.row == pytest.approx(0, abs=1e-12)
    assert found.bandwidth == pytest.approx(50e9)


def test_of_two_measurements_the_quicker_counts() -> None:
    disturbed = _raw(slower=3.0)
    disturbed.types["F16"].points[0][-1] *= 2
    disturbed.attention["f16"][3] = 9.0
    merged = merge(disturbed, _raw())
    assert solve(merged).types["F16"].bandwidth == pytest.approx(50e9)
    assert solve(merged).layer == pytest.approx(LAYER)
    assert solve(merged).attention["f16"] == pytest.approx(solve(_raw()).attention["f16"])
    assert merge(_raw(), disturbed).types == merged.types


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
def test_the_engine_measures_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.planning.rates.ROUNDS", 1)  # how often is another test's

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


def test_what_was_really_read_has_nothing_taken_off() -> None:
    raw = _raw()
    seen = max(point[0] / point[-1] for one in raw.types.values() for point in one.points)
    assert solve(raw).read == seen
    assert seen <= max(rate.bandwidth for rate in solve(raw).types.values())


def test_a_context_that_noise_made_free_still_costs_something() -> None:
    raw = _raw()
    raw.attention["f16"] = [8e6, 0.0, 2e-3, 1.9e-3]
    assert solve(raw).attention["f16"] == pytest.approx(8e6 / (0.02 * 2e-3))
