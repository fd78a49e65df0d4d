"""Apple silicon: one GPU that shares main memory. Its sensors need the administrator's ``powermetrics``."""

import platform
import sys
from collections.abc import Callable, Sequence

from app.hardware.cpu import sysctl as system_sysctl
from app.hardware.facts import Fact, Found, Gpu, Reading, VendorName

WHY = "macOS tells it to the administrator's powermetrics only"


class Apple:
    """Reader of an Apple GPU. ``sysctl`` replaces the system's command in tests."""

    name: VendorName = "apple"

    def __init__(self, sysctl: Callable[[str], str | None] | None = None) -> None:
        self._here = sysctl is not None or (sys.platform == "darwin" and platform.machine() == "arm64")
        self._sysctl = sysctl or system_sysctl

    def detect(self) -> Found:
        """The chip's GPU; how much memory Metal gives it comes from the backend probe."""
        if not self._here:
            return Found()
        chip = self._sysctl("machdep.cpu.brand_string") or "Apple"
        limit = int(self._sysctl("iogpu.wired_limit_mb") or 0) * 1024**2
        gpu = Gpu(0, "apple", f"{chip} GPU", memory_total=limit or None, unified=True, key="apple")
        return Found((gpu,), (Fact(f"gpu.{gpu.name}", "shares main memory", "sysctl"),))

    def read(self, gpu: Gpu, pids: Sequence[int]) -> Reading:
        """Nothing can be read without administrator rights; the reasons say so."""
        names = ("memory_used", "memory_us", "utilization", "power", "temperature", "clock", "throttle")
        return Reading(memory_total=gpu.memory_total, missing=dict.fromkeys(names, WHY))

    def close(self) -> None:
        """Nothing is held."""
