"""Intel on Linux through sysfs and hwmon, for the i915 and xe drivers, and through Sysman where it is installed.

Memory and use of discrete cards are in the driver's private interface only: Sysman tells them, or the backend probe the
total and nothing the rest.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from app.hardware import sysfs
from app.hardware.facts import Fact, Found, Gpu, Reading, Throttle, VendorName
from app.hardware.power import EnergyRate
from app.hardware.sysman import Sysman

PCI_VENDOR = 0x8086

_CLOCKS = (
    "gt/gt0/rps_act_freq_mhz",  # i915
    "gt_act_freq_mhz",  # i915 before Linux 5.18
    "device/tile0/gt0/freq0/act_freq",  # xe
)
_THROTTLES = ("gt/gt0/throttle_reason_", "device/tile0/gt0/freq0/throttle/reason_")  # i915, xe


class Intel:
    """Reader of Intel GPUs under a system root; power is the difference of an energy counter between two readings."""

    name: VendorName = "intel"

    def __init__(
        self,
        root: Path = sysfs.ROOT,
        clock: Callable[[], float] = time.monotonic,
        sysman: Sysman | None = None,
    ) -> None:
        self._root, self._clock, self._sysman = root, clock, sysman or Sysman()
        self._rates: dict[str, EnergyRate] = {}

    def detect(self) -> Found:
        """Every card of the i915 or xe driver."""
        cards = sysfs.cards(self._root, PCI_VENDOR)
        gpus = tuple(self._detect_one(index, card) for index, card in enumerate(cards))
        return Found(gpus, tuple(Fact(f"gpu.{gpu.name}", gpu.driver, f"{gpu.key}/device") for gpu in gpus))

    def read(self, gpu: Gpu, pids: Sequence[int]) -> Reading:
        """Power, temperature, clock, throttle, our own memory; with Sysman memory and use as well."""
        card, missing = Path(gpu.key), dict[str, str]()
        memory, busy = self._sysman.memory(gpu.pci), self._sysman.busy(gpu.pci)
        if memory is None and not gpu.unified:
            missing["memory_used"] = self._sysman.problem or "its driver offers no readings"
        elif gpu.unified:
            missing["memory_used"] = "it shares main memory"
        if busy is None:
            missing["utilization"] = self._sysman.problem or "known from the second reading on"
        generation, width = sysfs.link(card)
        return Reading(
            memory_total=memory[1] if memory else gpu.memory_total,
            memory_used=memory[0] if memory else None,
            utilization=busy,
            memory_us=self._ours(gpu, pids, missing),
            power=self._power(gpu, sysfs.hwmon(card), missing),
            temperature=_temperature(sysfs.hwmon(card), missing),
            clock=_clock(card, missing),
            throttle=_throttle(card, missing),
            pcie_generation=generation,
            pcie_width=width,
            missing=missing,
        )

    def close(self) -> None:
        """Nothing is held."""

    def _detect_one(self, index: int, card: Path) -> Gpu:
        identity = sysfs.read_int(card / "device/device") or 0
        name = sysfs.pci_name(self._root, PCI_VENDOR, identity)
        pci = sysfs.pci_slot(card)
        total = sysfs.read_int(card / "lmem_total_bytes")
        return Gpu(
            index,
            "intel",
            name or f"Intel GPU {identity:04x}",
            memory_total=total,
            memory_free=sysfs.read_int(card / "lmem_avail_bytes"),
            pci=pci,
            driver=sysfs.uevent(card).get("DRIVER"),
            unified=(pci or "").endswith("00:02.0"),  # the processor's own graphics always sits there
            key=str(card),
        )

    def _power(self, gpu: Gpu, monitor: Path | None, missing: dict[str, str]) -> float | None:
        counter = None if monitor is None else sysfs.read_int(monitor / "energy1_input")
        rate = self._rates.setdefault(gpu.key, EnergyRate())
        watts = rate.watts(self._clock(), counter)
        if counter is None:
            none = "the driver offers no hwmon folder"
            missing["power"] = sysfs.why_missing(monitor / "energy1_input") if monitor else none
        elif watts is None:
            missing["power"] = "known from the second reading on"
        return watts

    def _ours(self, gpu: Gpu, pids: Sequence[int], missing: dict[str, str]) -> int | None:
        found = None
        for region in ("vram0", "local0", "system0"):
            amount = sysfs.drm_memory(self._root, tuple(pids), gpu.pci, region)
            found = amount if found is None else max(found, amount or 0)
        if found is None:
            missing["memory_us"] = "/proc/<pid>/fdinfo can't be read"
        return found


def _temperature(monitor: Path | None, missing: dict[str, str]) -> float | None:
    """xe names its sensors temp2 (package) and temp3 (VRAM); i915 has temp1."""
    for name in ("temp1_input", "temp2_input"):
        value = sysfs.read_int(monitor / name) if monitor else None
        if value is not None:
            return value / 1000
    missing["temperature"] = "the driver offers no temperature"
    return None


def _clock(card: Path, missing: dict[str, str]) -> float | None:
    for name in _CLOCKS:
        value = sysfs.read_int(card / name)
        if value is not None:
            return float(value)
    missing["clock"] = "the driver offers no clock"
    return None


def _throttle(card: Path, missing: dict[str, str]) -> Throttle | None:
    for prefix in _THROTTLES:
        if sysfs.read_int(card / f"{prefix}pl1") is not None:
            return _throttle_reasons(card, prefix)
    missing["throttle"] = "the driver offers no throttle reasons"
    return None


def _throttle_reasons(card: Path, prefix: str) -> Throttle:
    groups = {
        Throttle.POWER: ("pl1", "pl2", "pl4", "vr_tdc"),
        Throttle.THERMAL: ("thermal", "vr_thermalert", "ratl"),
        Throttle.HARDWARE: ("prochot",),
    }
    found = Throttle.NONE
    for kind, names in groups.items():
        if any(sysfs.read_int(card / f"{prefix}{name}") for name in names):
            found |= kind
    return found
