"""Everything about this machine, learned once: ``detect``."""

import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from app.hardware.amd import Amd
from app.hardware.apple import Apple
from app.hardware.cpu import detect_cpu, detect_memory
from app.hardware.facts import Backend, Fact, Found, Gpu, Machine, Vendor
from app.hardware.intel import Intel
from app.hardware.nvidia import Nvidia
from app.hardware.probe import merge, read_backends
from app.hardware.sysfs import ROOT, read_int, read_text
from app.hardware.unused import why_unused


def default_vendors(root: Path = ROOT) -> tuple[Vendor, ...]:
    """One reader per vendor. Adding a vendor is a file beside these and a line here."""
    return (Nvidia(), Amd(root), Intel(root), Apple())


def detect(
    *, root: Path = ROOT, vendors: Sequence[Vendor] | None = None, probe: Callable[[], bytes] | None = None
) -> Machine:
    """The machine's facts. Without ``probe`` (the engine's own view, which takes a process and up to seconds) it
    takes well under 100 ms, and the GPUs have no backend devices. Never raises for what is absent."""
    cpu, cpu_facts = detect_cpu(root)
    memory, memory_facts = detect_memory(root)
    facts = [*_system_facts(), *cpu_facts, *memory_facts]
    gpus = _detect_gpus(default_vendors(root) if vendors is None else vendors, facts)
    facts += _undriven(root, gpus)
    backends: tuple[Backend, ...] = ()
    merged = merge(gpus, ())
    if probe is not None:
        backends, more = read_backends(probe)
        merged = tuple(
            msgspec.structs.replace(gpu, unused=why_unused(gpu, backends, root))
            for gpu in merge(gpus, backends)
        )
        facts += [*more, *(_unused(gpu) for gpu in merged if gpu.unused)]
    return Machine(cpu, memory, merged, backends, _os(), platform.python_version(), tuple(facts))


def _unused(gpu: Gpu) -> Fact:
    return Fact(
        f"gpu.{gpu.name}", f"not used: {gpu.unused}", "its device files, its driver and the device probe"
    )


def _detect_gpus(vendors: Sequence[Vendor], facts: list[Fact]) -> list[Gpu]:
    gpus: list[Gpu] = []
    for vendor in vendors:
        try:
            found = vendor.detect()
        except Exception as error:  # noqa: BLE001 - a driver's library may raise anything; the others must go on
            found = Found(facts=(Fact(vendor.name, None, f"its reader failed: {error}"),))
        finally:
            vendor.close()
        gpus += found.gpus
        facts += found.facts
    return gpus


def _os() -> str:
    if sys.platform == "darwin":
        return f"macOS {platform.mac_ver()[0]} {platform.machine()}"
    if sys.platform == "win32":
        return f"Windows {platform.version()} {platform.machine()}"
    try:
        name = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        name = "Linux"
    return f"{name} (Linux {platform.release()}) {platform.machine()}"


def _system_facts() -> list[Fact]:
    return [
        Fact("os", _os(), "the system's own name"),
        Fact("python", platform.python_version(), sys.executable),
    ]


def _undriven(root: Path, gpus: Sequence[Gpu]) -> list[Fact]:
    """Display controllers on the PCI bus that no reader found, with what is missing for them."""
    vendors = {0x10DE: "NVIDIA", 0x1002: "AMD", 0x8086: "Intel"}
    known = {gpu.pci for gpu in gpus}
    facts = []
    for device in sorted((root / "sys/bus/pci/devices").glob("*")):
        kind, maker = read_int(device / "class") or 0, vendors.get(read_int(device / "vendor") or 0)
        if kind >> 16 == 0x03 and maker and device.name not in known:
            driver = _driver(device)
            why = f"its driver is {driver}" if driver else "no driver is bound to it"
            facts.append(Fact(f"gpu.{device.name}", f"{maker} GPU that can't be read: {why}", str(device)))
    return facts


def _driver(device: Path) -> str | None:
    for line in (read_text(device / "uevent") or "").splitlines():
        if line.startswith("DRIVER="):
            return line.removeprefix("DRIVER=")
    return None
