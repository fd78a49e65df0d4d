"""Why the engine does not use a GPU that is there: a closed device file, an old driver, no backend for it."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from app.hardware.facts import Backend, Gpu
from app.hardware.sysfs import ROOT

BACKENDS = {
    "nvidia": ("CUDA", "Vulkan"),
    "amd": ("ROCm", "Vulkan"),
    "intel": ("SYCL", "Vulkan"),
    "apple": ("Metal",),
}
"""What drives each vendor's cards, the maker's own first."""
_SAME = {"HIP": "ROCm", "MTL": "Metal"}
OLDEST_NVIDIA = {12: 525, 13: 580}
"""CUDA's version to the first driver that runs programs built with it (NVIDIA's table of minimum versions)."""


def why_unused(
    gpu: Gpu,
    backends: Sequence[Backend],
    root: Path = ROOT,
    may: Callable[[Path], bool] = lambda path: os.access(path, os.R_OK | os.W_OK),
) -> str:
    """The reason, in words; empty when the engine has a device on it, or its vendor is not known. ``may`` says whether
    this user may open a device file."""
    wanted = BACKENDS.get(gpu.vendor, ())
    if gpu.devices or not wanted:
        return ""
    here = [name for backend in backends if not backend.problem for name in _named(backend) if name in wanted]
    for node in _nodes(gpu, root, "ROCm" in here):
        if node.exists() and not may(node):
            group = "render" if "nvidia" not in node.name else "video"
            return f"{node} is closed to this user, who is not in the group {group}"
    if not here:
        return f"the engine has no backend for it ({' or '.join(wanted)}): a pack brings one"
    if "CUDA" in here and (why := _old_driver(gpu.driver or "")):
        return why
    return f"{here[0]} shows no device for it: its driver for {here[0]} is missing"


def _old_driver(driver: str) -> str:
    major = driver.partition(".")[0]
    for cuda, least in OLDEST_NVIDIA.items():
        if major.isdigit() and int(major) < least:
            return f"its driver {driver} is too old: CUDA {cuda} needs {least} or newer"
    return ""


def _named(backend: Backend) -> tuple[str, ...]:
    name = next((known for known in _SAME if backend.name.upper().startswith(known)), "")
    return (_SAME[name],) if name else (backend.name,)


def _nodes(gpu: Gpu, root: Path, kfd: bool) -> Iterator[Path]:
    """The device files that a card is used through."""
    if gpu.vendor == "nvidia":
        yield root / "dev/nvidiactl"
    elif gpu.vendor in ("amd", "intel") and gpu.key:
        for node in sorted((Path(gpu.key) / "device/drm").glob("renderD*")):
            yield root / "dev/dri" / node.name
        if kfd and gpu.vendor == "amd":
            yield root / "dev/kfd"
