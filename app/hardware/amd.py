"""AMD on Linux through sysfs, hwmon and KFD: no library needed. Elsewhere the backend probe finds them.

Kernel documents: ``gpu/amdgpu/driver-misc``, ``gpu/amdgpu/thermal``; ``gpu_metrics`` as in ``kgd_pp_interface.h``.
"""

import struct
from collections.abc import Sequence
from pathlib import Path

from app.hardware import sysfs
from app.hardware.facts import Fact, Found, Gpu, Reading, Throttle, VendorName, memory_words

PCI_VENDOR = 0x1002

# Bits of indep_throttle_status (amdgpu_smu.h): power and current limits, then temperatures and PROCHOT.
_POWER_BITS = (1 << 24) - 1
_THERMAL_BITS = ((1 << 48) - 1) & ~((1 << 32) - 1)


class Amd:
    """Reader of AMD GPUs under a system root."""

    name: VendorName = "amd"

    def __init__(self, root: Path = sysfs.ROOT) -> None:
        self._root = root

    def detect(self) -> Found:
        """Every card of the amdgpu driver."""
        cards = sysfs.cards(self._root, PCI_VENDOR)
        gpus = tuple(self._detect_one(index, card) for index, card in enumerate(cards))
        facts = [Fact(f"gpu.{gpu.name}", memory_words(gpu.memory_total), f"{gpu.key}/device") for gpu in gpus]
        if cards and not (self._root / "dev/kfd").exists():
            facts.append(
                Fact("amd.kfd", None, f"there is no {self._root / 'dev/kfd'}: ROCm can't be used, Vulkan can")
            )
        return Found(gpus, tuple(facts))

    def read(self, gpu: Gpu, pids: Sequence[int]) -> Reading:
        """Memory, use, power, temperature, clock, throttle, PCIe link."""
        card = Path(gpu.key)
        device, monitor = card / "device", sysfs.hwmon(card)
        missing: dict[str, str] = {}
        generation, width = sysfs.link(card)
        return Reading(
            memory_total=_int(device / "mem_info_vram_total", "memory_total", missing),
            memory_used=_int(device / "mem_info_vram_used", "memory_used", missing),
            memory_us=self._ours(gpu, pids, missing),
            memory_shared=_int(device / "mem_info_gtt_used", "memory_shared", missing),
            utilization=_float(_int(device / "gpu_busy_percent", "utilization", missing)),
            power=_power(monitor, missing),
            temperature=_scaled(monitor, "temp1_input", 1000, "temperature", missing),
            clock=_scaled(monitor, "freq1_input", 1_000_000, "clock", missing),
            throttle=_throttle(device / "gpu_metrics", missing),
            pcie_generation=generation,
            pcie_width=width,
            missing=missing,
        )

    def close(self) -> None:
        """Nothing is held."""

    def _detect_one(self, index: int, card: Path) -> Gpu:
        device = card / "device"
        total = sysfs.read_int(device / "mem_info_vram_total")
        used = sysfs.read_int(device / "mem_info_vram_used")
        identity = sysfs.read_int(device / "device") or 0
        name = sysfs.read_text(device / "product_name") or sysfs.pci_name(self._root, PCI_VENDOR, identity)
        pci = sysfs.pci_slot(card)
        return Gpu(
            index,
            "amd",
            name or f"AMD GPU {identity:04x}",
            memory_total=total,
            memory_free=None if total is None or used is None else total - used,
            pci=pci,
            driver=_driver(self._root),
            uuid=sysfs.read_text(device / "unique_id") or None,
            unified=self._integrated(pci),
            key=str(card),
            target=gfx_name(self._kfd_node(pci).get("gfx_target_version", 0)),
        )

    def _integrated(self, pci: str | None) -> bool:
        """KFD lists an APU's node with processor cores beside its SIMDs."""
        node = self._kfd_node(pci)
        return node.get("cpu_cores_count", 0) > 0

    def _kfd_node(self, pci: str | None) -> dict[str, int]:
        for path in (self._root / "sys/class/kfd/kfd/topology/nodes").glob("*/properties"):
            values = properties(path)
            if values.get("simd_count", 0) > 0 and pci and _location(values) == pci:
                return values
        return {}

    def bandwidth(self, pci: str | None) -> float | None:
        """Nominal memory bandwidth in bytes per second from KFD's bank (width in bits, clock in MHz; two transfers a
        clock), or None."""
        for path in (self._root / "sys/class/kfd/kfd/topology/nodes").glob("*"):
            node = properties(path / "properties")
            if node.get("simd_count", 0) > 0 and _location(node) == pci:
                bank = properties(path / "mem_banks/0/properties")
                width, clock = bank.get("width", 0), bank.get("mem_clk_max", 0)
                return width / 8 * clock * 1e6 * 2 if width and clock else None
        return None

    def _ours(self, gpu: Gpu, pids: Sequence[int], missing: dict[str, str]) -> int | None:
        found = sysfs.drm_memory(self._root, tuple(pids), gpu.pci, "vram")
        if found is None:
            missing["memory_us"] = "/proc/<pid>/fdinfo can't be read"
        return found


def gfx_name(number: int) -> str:
    """The compiler's name for KFD's ``gfx_target_version``: 110003 is gfx1103, 90010 is gfx90a; nothing for 0."""
    return f"gfx{number // 10000}{number // 100 % 100:x}{number % 100:x}" if number else ""


def properties(path: Path) -> dict[str, int]:
    """A KFD properties file (``name number`` lines)."""
    pairs = (line.split(" ", 1) for line in (sysfs.read_text(path) or "").splitlines() if " " in line)
    return {key: int(value) for key, value in pairs if value.strip().isdigit()}


def _location(node: dict[str, int]) -> str:
    where = node.get("location_id", 0)
    return f"{node.get('domain', 0):04x}:{where >> 8 & 0xFF:02x}:{where >> 3 & 0x1F:02x}.{where & 7}"


def _driver(root: Path) -> str | None:
    version = sysfs.read_text(root / "sys/module/amdgpu/version")
    kernel = sysfs.read_text(root / "proc/sys/kernel/osrelease")
    return f"amdgpu {version}" if version else f"amdgpu (Linux {kernel})" if kernel else None


def _int(path: Path, what: str, missing: dict[str, str]) -> int | None:
    value = sysfs.read_int(path)
    if value is None:
        missing[what] = sysfs.why_missing(path)
    return value


def _float(value: int | None) -> float | None:
    return None if value is None else float(value)


def _scaled(monitor: Path | None, name: str, unit: int, what: str, missing: dict[str, str]) -> float | None:
    if monitor is None:
        missing[what] = "the driver offers no hwmon folder"
        return None
    value = _int(monitor / name, what, missing)
    return None if value is None else value / unit


def _power(monitor: Path | None, missing: dict[str, str]) -> float | None:
    """Microwatts: newer drivers have power1_average, some cards only power1_input."""
    average = sysfs.read_int(monitor / "power1_average") if monitor else None
    if average is not None:
        return average / 1e6
    return _scaled(monitor, "power1_input", 1_000_000, "power", missing)


def _throttle(path: Path, missing: dict[str, str]) -> Throttle | None:
    """From ``gpu_metrics`` version 1.3, the one discrete cards since RDNA 1 have had since Linux 5.14."""
    try:
        data = path.read_bytes()
    except OSError:
        missing["throttle"] = sysfs.why_missing(path)
        return None
    if len(data) < 120 or data[2:4] != b"\x01\x03":
        missing["throttle"] = "this card's gpu_metrics has another version than 1.3"
        return None
    (status,) = struct.unpack_from("<Q", data, 112)
    if status == (1 << 64) - 1:  # the driver fills what the card does not tell with ones
        missing["throttle"] = "this card does not tell"
        return None
    power = Throttle.POWER if status & _POWER_BITS else Throttle.NONE
    return power | (Throttle.THERMAL if status & _THERMAL_BITS else Throttle.NONE)
