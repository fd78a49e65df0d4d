from types import SimpleNamespace

from app.hardware.facts import Throttle
from app.hardware.nvidia import Nvidia, normal_pci, throttle
from tests.fakes.nvml import FakeNvml


def test_detects_every_gpu_with_its_identity() -> None:
    found = Nvidia(FakeNvml()).detect()
    assert [gpu.uuid for gpu in found.gpus] == ["GPU-00000000", "GPU-00000001"]
    first = found.gpus[0]
    assert first.name == "NVIDIA GeForce RTX 3090"
    assert first.memory_total == 24 << 30
    assert first.memory_free == 18 << 30
    assert first.pci == "0000:01:00.0"
    assert first.driver == "570.124"
    assert first.target == "sm_86"


def test_reads_what_the_card_does_now() -> None:
    reader = Nvidia(FakeNvml(reasons=0x4))
    gpu = reader.detect().gpus[1]
    reading = reader.read(gpu, [100])
    assert reading.memory_used == 6 << 30
    assert reading.memory_us == 3 << 30
    assert (reading.power, reading.temperature, reading.clock, reading.utilization) == (287.5, 71, 1695, 93)
    assert (reading.pcie_generation, reading.pcie_width) == (4, 16)
    assert reading.throttle == Throttle.POWER
    assert reading.missing == {}


def test_a_missing_library_is_no_error() -> None:
    found = Nvidia(FakeNvml(available=False)).detect()
    assert found.gpus == ()
    assert found.facts[0].value is None
    assert "Not Found" in found.facts[0].how


def test_what_the_card_refuses_is_none_with_the_reason() -> None:
    reader = Nvidia(FakeNvml(fail=("nvmlDeviceGetPowerUsage", "nvmlDeviceGetCurrentClocksThrottleReasons")))
    reading = reader.read(reader.detect().gpus[0], [])
    assert reading.power is None
    assert reading.throttle is None
    assert reading.missing["power"] == "NVML: Not Supported"
    assert reading.temperature == 71


def test_windows_does_not_tell_who_holds_memory() -> None:
    nvml = FakeNvml()
    nvml.processes = [SimpleNamespace(pid=100, usedGpuMemory=None)]
    reader = Nvidia(nvml)
    reading = reader.read(reader.detect().gpus[0], [100])
    assert reading.memory_us is None
    assert "memory_us" in reading.missing


def test_reading_works_again_after_close() -> None:
    nvml = FakeNvml()
    reader = Nvidia(nvml)
    gpu = reader.detect().gpus[1]
    reader.close()
    assert nvml.open == 0
    assert reader.read(gpu, []).temperature == 71
    reader.close()
    reader.close()
    assert nvml.open == 0


def test_throttle_reasons_are_told_apart() -> None:
    assert throttle(0) == Throttle.NONE
    assert throttle(0x1) == Throttle.NONE  # idle
    assert throttle(0x20) == Throttle.THERMAL
    assert throttle(0x48) == Throttle.THERMAL | Throttle.HARDWARE


def test_pci_addresses_are_normalized() -> None:
    assert normal_pci("00000000:65:00.0") == "0000:65:00.0"
    assert normal_pci("0000:C1:00.0") == "0000:c1:00.0"
    assert normal_pci("") is None
