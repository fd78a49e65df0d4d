from pathlib import Path

import pytest

from app.hardware.amd import Amd, gfx_name
from app.hardware.facts import Throttle
from tests.fakes.sysroot import amd_card, drm_client, gpu_metrics, write


def test_detects_a_card_with_its_memory(tmp_path: Path) -> None:
    (gpu,) = Amd(amd_card(tmp_path)).detect().gpus
    assert gpu.name == "AMD GPU 744c"
    assert gpu.memory_total == 25753026560
    assert gpu.memory_free == 25753026560 - 8589934592
    assert gpu.pci == "0000:03:00.0"
    assert gpu.uuid == "4dd2a61c3f2b0c11"
    assert gpu.target == "gfx1100"
    assert not gpu.unified


@pytest.mark.parametrize(
    ("number", "name"), [(110003, "gfx1103"), (90010, "gfx90a"), (90402, "gfx942"), (0, "")]
)
def test_the_kernel_s_number_of_a_gpu_is_the_compiler_s_name(number: int, name: str) -> None:
    assert gfx_name(number) == name


def test_the_name_comes_from_pci_ids_when_the_card_has_none(tmp_path: Path) -> None:
    ids = "1001  Other\n\t744c  Wrong\n1002  AMD\n\t73df  Navi 22\n\t744c  Navi 31 [Radeon RX 7900 XT/XTX]\n"
    write(amd_card(tmp_path), {"usr/share/misc/pci.ids": ids})
    assert Amd(tmp_path).detect().gpus[0].name == "Navi 31 [Radeon RX 7900 XT/XTX]"


def test_reads_sensors_in_their_units(tmp_path: Path) -> None:
    reader = Amd(amd_card(tmp_path))
    drm_client(tmp_path, 4242, "0000:03:00.0", "vram", 2 * 1024 * 1024)
    reading = reader.read(reader.detect().gpus[0], [4242])
    assert reading.memory_used == 8589934592
    assert reading.memory_us == 2 << 30  # two descriptors of one client count once
    assert reading.memory_shared == 104857600
    assert (reading.power, reading.temperature, reading.clock, reading.utilization) == (
        214.0,
        61.0,
        2371.0,
        87.0,
    )
    assert reading.throttle == Throttle.NONE
    assert (reading.pcie_generation, reading.pcie_width) == (4, 16)


def test_memory_on_another_card_is_not_ours_here(tmp_path: Path) -> None:
    reader = Amd(amd_card(tmp_path))
    drm_client(tmp_path, 4242, "0000:0a:00.0", "vram", 1024)
    assert reader.read(reader.detect().gpus[0], [4242]).memory_us == 0


def test_throttling_is_read_from_gpu_metrics(tmp_path: Path) -> None:
    amd_card(tmp_path, gpu_metrics=gpu_metrics(1 << 36 | 1 << 0))
    reader = Amd(tmp_path)
    assert reader.read(reader.detect().gpus[0], []).throttle == Throttle.THERMAL | Throttle.POWER


def test_another_version_of_gpu_metrics_is_not_guessed(tmp_path: Path) -> None:
    amd_card(tmp_path, gpu_metrics=bytes([120, 0, 2, 2]) + bytes(116))
    reader = Amd(tmp_path)
    reading = reader.read(reader.detect().gpus[0], [])
    assert reading.throttle is None
    assert "1.3" in reading.missing["throttle"]


def test_missing_sensors_have_reasons(tmp_path: Path) -> None:
    amd_card(tmp_path)
    for name in ("power1_average", "temp1_input"):
        (tmp_path / "sys/class/drm/card1/device/hwmon/hwmon4" / name).unlink()
    reader = Amd(tmp_path)
    reading = reader.read(reader.detect().gpus[0], [])
    assert reading.power is None
    assert "does not exist" in reading.missing["power"]
    assert "temp1_input" in reading.missing["temperature"]


def test_power1_input_serves_cards_without_an_average(tmp_path: Path) -> None:
    amd_card(tmp_path, **{"hwmon/hwmon4/power1_input": "30000000"})
    (tmp_path / "sys/class/drm/card1/device/hwmon/hwmon4/power1_average").unlink()
    reader = Amd(tmp_path)
    assert reader.read(reader.detect().gpus[0], []).power == 30.0


def test_an_apu_shares_main_memory(tmp_path: Path) -> None:
    amd_card(tmp_path)
    node = "sys/class/kfd/kfd/topology/nodes/1/properties"
    write(tmp_path, {node: "cpu_cores_count 16\nsimd_count 80\nlocation_id 768\ndomain 0"})
    assert Amd(tmp_path).detect().gpus[0].unified


def test_nominal_bandwidth_comes_from_kfd(tmp_path: Path) -> None:
    assert Amd(amd_card(tmp_path)).bandwidth("0000:03:00.0") == 384 / 8 * 1249e6 * 2
    assert Amd(tmp_path).bandwidth("0000:99:00.0") is None


def test_without_kfd_doctor_says_what_that_means(tmp_path: Path) -> None:
    amd_card(tmp_path)
    (tmp_path / "dev/kfd").unlink()
    assert any("Vulkan can" in fact.how for fact in Amd(tmp_path).detect().facts)


def test_no_card_is_no_error(tmp_path: Path) -> None:
    assert Amd(tmp_path).detect().gpus == ()
