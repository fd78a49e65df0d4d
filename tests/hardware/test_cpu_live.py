from pathlib import Path

from app.hardware.cpu_live import CpuSensors
from app.hardware.facts import Throttle
from app.hardware.sampler import Host
from tests.fakes.sysroot import write


def test_the_hottest_package_and_the_mean_clock(tmp_path: Path) -> None:
    hwmon, cpus = "sys/class/hwmon", "sys/devices/system/cpu"
    write(
        tmp_path,
        {
            f"{hwmon}/hwmon0/name": "nvme",
            f"{hwmon}/hwmon0/temp1_input": "90000",
            f"{hwmon}/hwmon1/name": "k10temp",
            f"{hwmon}/hwmon1/temp1_input": "61250",
            f"{hwmon}/hwmon2/name": "k10temp",
            f"{hwmon}/hwmon2/temp1_input": "58000",
            f"{cpus}/cpu0/cpufreq/scaling_cur_freq": "3000000",
            f"{cpus}/cpu1/cpufreq/scaling_cur_freq": "4000000",
            f"{cpus}/cpufreq/policy0/scaling_cur_freq": "1",
        },
    )
    sensors = CpuSensors(tmp_path)
    assert (sensors.temperature(), sensors.clock()) == (61.25, 3500.0)
    assert set(sensors.missing()) == {"throttle"}
    values = Host(tmp_path).read([])
    assert (values["temperature"], values["clock"]) == (61.25, 3500.0)


def test_heat_that_slows_a_core_is_told_while_it_does(tmp_path: Path) -> None:
    cores = "sys/devices/system/cpu"
    names = [f"cpu{n}/thermal_throttle/{part}_throttle_count" for n in (0, 1) for part in ("core", "package")]
    write(tmp_path, {f"{cores}/{name}": "7" for name in names})
    host = Host(tmp_path)
    assert host.read([])["throttle"] == Throttle.NONE
    (tmp_path / cores / "cpu1/thermal_throttle/core_throttle_count").write_text("9")
    assert host.read([])["throttle"] == Throttle.THERMAL
    assert host.read([])["throttle"] == Throttle.NONE
    assert "throttle" not in host.missing


def test_what_is_not_there_has_a_reason(tmp_path: Path) -> None:
    host = Host(tmp_path)
    values = host.read([])
    assert (values["temperature"], values["clock"]) == (None, None)
    assert "no temperature sensor" in host.missing["temperature"]
    assert "clock" in host.missing["clock"]
    assert values["throttle"] is None
    assert "heat" in host.missing["throttle"]
