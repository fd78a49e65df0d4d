from pathlib import Path

from app.hardware.facts import Throttle
from app.hardware.intel import Intel
from tests.fakes.sysroot import drm_client, intel_i915, intel_xe, write


def test_integrated_graphics_share_main_memory(tmp_path: Path) -> None:
    (gpu,) = Intel(intel_i915(tmp_path)).detect().gpus
    assert gpu.unified
    assert gpu.driver == "i915"
    assert gpu.memory_total is None


def test_power_is_the_difference_of_the_energy_counter(tmp_path: Path) -> None:
    now = [10.0]
    reader = Intel(intel_i915(tmp_path), lambda: now[0])
    gpu = reader.detect().gpus[0]
    first = reader.read(gpu, [])
    assert first.power is None
    assert "second reading" in first.missing["power"]
    now[0] = 12.0
    write(tmp_path, {"sys/class/drm/card0/device/hwmon/hwmon2/energy1_input": "31000000"})
    assert reader.read(gpu, []).power == 15.0


def test_both_drivers_tell_clock_and_throttle(tmp_path: Path) -> None:
    reader = Intel(intel_xe(intel_i915(tmp_path)))
    i915, xe = (reader.read(gpu, []) for gpu in reader.detect().gpus)
    assert (i915.clock, i915.throttle) == (1450.0, Throttle.THERMAL)
    assert (xe.clock, xe.throttle, xe.temperature) == (2850.0, Throttle.POWER, 58.0)


def test_our_memory_comes_from_fdinfo(tmp_path: Path) -> None:
    reader = Intel(intel_xe(tmp_path))
    drm_client(tmp_path, 77, "0000:03:00.0", "vram0", 4096)
    assert reader.read(reader.detect().gpus[0], [77]).memory_us == 4096 * 1024


def test_what_the_driver_keeps_to_itself_has_a_reason(tmp_path: Path) -> None:
    reader = Intel(intel_xe(tmp_path))
    reading = reader.read(reader.detect().gpus[0], [])
    assert reading.utilization is None
    assert reading.missing["utilization"]
