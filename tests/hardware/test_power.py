from pathlib import Path

import pytest

from app.hardware.power import EnergyRate, Rapl
from tests.fakes.sysroot import rapl, write


def test_watts_are_energy_over_time() -> None:
    rate = EnergyRate()
    assert rate.watts(1.0, 5_000_000) is None
    assert rate.watts(3.0, 25_000_000) == 10.0


def test_a_counter_that_wraps_goes_on() -> None:
    rate = EnergyRate(span=1_000_000)
    rate.watts(0.0, 900_000)
    assert rate.watts(1.0, 100_000) == pytest.approx(0.2)


def test_a_counter_of_unknown_span_that_falls_is_unknown_once() -> None:
    rate = EnergyRate()
    rate.watts(0.0, 900_000)
    assert rate.watts(1.0, 100_000) is None
    assert rate.watts(2.0, 1_100_000) == 1.0


def test_packages_are_summed_and_their_parts_are_not(tmp_path: Path) -> None:
    meter = Rapl(rapl(tmp_path))
    assert meter.watts(0.0) is None
    for number in (0, 1):
        write(tmp_path, {f"sys/class/powercap/intel-rapl:{number}/energy_uj": "21000000"})
    assert meter.watts(1.0) == 40.0
    assert meter.problem() is None


def test_the_reason_is_told(tmp_path: Path) -> None:
    assert "no RAPL" in str(Rapl(tmp_path).problem())
    rapl(tmp_path)
    (tmp_path / "sys/class/powercap/intel-rapl:0/energy_uj").unlink()
    meter = Rapl(tmp_path)
    assert meter.watts(0.0) is None
    assert meter.watts(1.0) is None
    assert "does not exist" in str(meter.problem())
