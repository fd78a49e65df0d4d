import json
import subprocess
import sys
import time
from pathlib import Path

from app.hardware.detect import default_vendors, detect
from app.hardware.facts import Fact, Found
from app.hardware.nvidia import Nvidia
from tests.fakes.nvml import FakeNvml
from tests.fakes.sysroot import amd_card, intel_i915, write


def test_this_machine_has_a_processor_and_memory() -> None:
    machine = detect()
    assert machine.cpu.threads
    assert machine.memory.total
    assert machine.memory.available
    assert machine.os
    assert all(fact.how for fact in machine.facts)


def test_detection_without_the_probe_is_fast() -> None:
    detect()
    begun = time.thread_time()
    detect()
    assert time.thread_time() - begun < 1


def test_gpus_of_all_vendors_are_numbered_together(tmp_path: Path) -> None:
    amd_card(intel_i915(tmp_path))
    vendors = [Nvidia(FakeNvml()), *default_vendors(tmp_path)[1:]]
    machine = detect(root=tmp_path, vendors=vendors)
    assert [(gpu.index, gpu.vendor) for gpu in machine.gpus] == [
        (0, "nvidia"),
        (1, "nvidia"),
        (2, "amd"),
        (3, "intel"),
    ]
    assert machine.offload == ()


def test_a_reader_that_breaks_does_not_take_the_others_along(tmp_path: Path) -> None:
    class Broken(Nvidia):
        def detect(self) -> Found:
            raise OSError("libnvidia-ml.so.1: version mismatch")

    machine = detect(root=amd_card(tmp_path), vendors=[Broken(FakeNvml()), *default_vendors(tmp_path)[1:]])
    assert [gpu.vendor for gpu in machine.gpus] == ["amd"]
    assert Fact("nvidia", None, "its reader failed: libnvidia-ml.so.1: version mismatch") in machine.facts


def test_the_probe_decides_what_the_engine_can_use(tmp_path: Path) -> None:
    device = {
        "name": "Vulkan0",
        "type": "gpu",
        "pci": "0000:03:00.0",
        "description": "AMD Radeon RX 7900 XTX",
    }
    answer = json.dumps({"backends": [{"name": "Vulkan", "devices": [device]}]}).encode()
    machine = detect(root=amd_card(tmp_path), vendors=default_vendors(tmp_path)[1:], probe=lambda: answer)
    (gpu,) = machine.offload
    assert gpu.devices == ("Vulkan0",)
    assert gpu.name == "AMD Radeon RX 7900 XTX"


def test_a_card_without_a_driver_is_mentioned(tmp_path: Path) -> None:
    base = "sys/bus/pci/devices/0000:01:00.0"
    write(
        tmp_path,
        {f"{base}/class": "0x030000", f"{base}/vendor": "0x10de", f"{base}/uevent": "PCI_ID=10DE:2204"},
    )
    machine = detect(root=tmp_path, vendors=[])
    (text,) = [fact.value for fact in machine.facts if fact.name == "gpu.0000:01:00.0"]
    assert text == "NVIDIA GPU that can't be read: no driver is bound to it"


def test_importing_it_imports_nothing_heavy() -> None:
    code = "import sys, app.hardware.sampler; print([n for n in ('psutil', 'pynvml', 'numpy') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
