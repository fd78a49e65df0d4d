"""A GPU that is there and not used, with the reason."""

import json
from pathlib import Path

import pytest

from app.hardware.detect import default_vendors, detect
from app.hardware.facts import Backend, Device, Gpu
from app.hardware.unused import why_unused
from tests.fakes.sysroot import amd_card, write

VULKAN, CUDA, ROCM = Backend("Vulkan"), Backend("CUDA"), Backend("ROCm")
NVIDIA = Gpu(0, "nvidia", "GeForce GTX 1080", driver="470.256.02")


def test_a_closed_device_file_is_named(tmp_path: Path) -> None:
    root = write(
        amd_card(tmp_path),
        {"sys/class/drm/card1/device/drm/renderD128/dev": "226:128", "dev/dri/renderD128": "", "dev/kfd": ""},
    )
    card = Gpu(0, "amd", "Radeon", key=str(root / "sys/class/drm/card1"))
    said = why_unused(card, [VULKAN], root, lambda _path: False)
    assert "dev/dri/renderD128 is closed to this user" in said
    assert "group render" in said
    assert "dev/kfd" in why_unused(card, [ROCM], root, lambda path: path.name != "kfd")
    assert "dev/kfd" not in why_unused(card, [VULKAN], root, lambda path: path.name != "kfd")


@pytest.mark.parametrize(
    ("gpu", "backends", "words"),
    [
        (NVIDIA, [CUDA], "470.256.02 is too old: CUDA 12 needs 525"),
        (NVIDIA, [], "no backend for it (CUDA or Vulkan)"),
        (NVIDIA, [Backend("CUDA", problem="refused")], "no backend for it"),
        (Gpu(0, "nvidia", "RTX 4090", driver="555.42"), [CUDA], "CUDA 13 needs 580"),
        (Gpu(0, "nvidia", "RTX 4090", driver="590.10"), [CUDA], "CUDA shows no device for it"),
        (Gpu(0, "intel", "Arc"), [VULKAN], "Vulkan shows no device for it"),
        (Gpu(0, "amd", "Radeon", devices=("Vulkan0",)), [VULKAN], ""),
        (Gpu(0, "other", "llvmpipe"), [VULKAN], ""),
    ],
)
def test_what_else_keeps_it_from_being_used(
    tmp_path: Path, gpu: Gpu, backends: list[Backend], words: str
) -> None:
    said = why_unused(gpu, backends, tmp_path)
    assert words in said if words else said == ""


def test_it_is_among_the_machine_s_facts(tmp_path: Path) -> None:
    answer = json.dumps({"backends": [{"name": "CPU", "devices": [{"name": "CPU"}]}]}).encode()
    machine = detect(root=amd_card(tmp_path), vendors=default_vendors(tmp_path)[1:], probe=lambda: answer)
    (gpu,) = machine.gpus
    assert "no backend for it (ROCm or Vulkan)" in gpu.unused
    assert any(gpu.unused in str(fact.value) for fact in machine.facts)
    assert Device("CPU", "CPU") in machine.backends[0].devices
