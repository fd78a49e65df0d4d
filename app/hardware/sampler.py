"""Live readings once a second: a thread that publishes a Sample for the host and one for each GPU.

``host``: memory_total, memory_used, memory_us, cpu_percent, cpu_us (our part of it), cpu_power,
temperature, clock, throttle. memory_us is the
resident memory of this process and its workers, with the pages of memory-mapped models in it; memory_used is what
other programs can't have plus those pages (the system counts them as free because it may drop them and read them
again).
``gpu:<i>``: memory_total, memory_used, memory_us, memory_shared, utilization, power, temperature, clock, throttle,
pcie_generation, pcie_width. Bytes, percent, W, degrees C, MHz; None where it can't be measured, ``reasons`` says why.
"""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from app.core.events import Bus
from app.core.types import Sample
from app.hardware.cpu import detect_memory, main_memory
from app.hardware.cpu_live import CpuSensors
from app.hardware.detect import default_vendors
from app.hardware.facts import Gpu, Machine, Reading, Vendor
from app.hardware.mapped import mapped_by_children
from app.hardware.power import Rapl
from app.hardware.sysfs import ROOT

if TYPE_CHECKING:
    import psutil

log = logging.getLogger(__name__)

PERIOD = 1.0
GPU_VALUES = tuple(name for name in Reading.__struct_fields__ if name != "missing")


class Host:
    """Memory, processor use and power of the machine as a whole."""

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root
        self._rapl, self._sensors = Rapl(root), CpuSensors(root)
        self._processes: dict[int, psutil.Process] = {}
        self.missing: dict[str, str] = self._sensors.missing()

    def read(self, pids: Sequence[int]) -> dict[str, float | None]:
        """One reading; ``pids`` are our workers."""
        import psutil  # noqa: PLC0415 - not before the first paint

        ours, mapped = self._ours({os.getpid(), *pids})
        total, available, _limit = main_memory(self._root, mapped)
        power, throttle = self._rapl.watts(time.monotonic()), self._sensors.throttle()
        self._note("cpu_power", power, self._rapl.problem() or "known from the second reading on")
        return {
            "memory_total": float(total),
            "memory_used": float(total - available),
            "memory_us": float(ours),
            "memory_us_mapped": float(mapped),
            "cpu_percent": psutil.cpu_percent(interval=None),
            "cpu_us": self._busy(),
            "cpu_power": power,
            "temperature": self._sensors.temperature(),
            "clock": self._sensors.clock(),
            "throttle": None if throttle is None else float(throttle),
        }

    def _ours(self, pids: set[int]) -> tuple[int, int]:
        """(resident bytes, of which backed by files) of our processes; one that has ended counts nothing."""
        import psutil  # noqa: PLC0415

        self._processes = {pid: self._processes[pid] for pid in pids if pid in self._processes}
        resident = mapped = 0
        for pid in pids:
            try:
                process = self._processes.get(pid) or psutil.Process(pid)
                info = process.memory_info()
            except psutil.Error:
                continue
            self._processes[pid] = process
            resident += int(info.rss)
            mapped += int(getattr(info, "shared", 0))
        return resident, mapped

    def _busy(self) -> float:
        """Percent of all processors that our processes take since the last call."""
        import psutil  # noqa: PLC0415

        total = 0.0
        for process in self._processes.values():
            with contextlib.suppress(psutil.Error):
                total += process.cpu_percent(interval=None)
        return total / (psutil.cpu_count() or 1)

    def _note(self, name: str, value: float | None, why: str) -> None:
        if value is None:
            self.missing[name] = why
        else:
            self.missing.pop(name, None)


class Sampler:
    """The sampler thread. ``machine`` may be a callable: it is then asked on the thread, at its first tick."""

    def __init__(
        self,
        bus: Bus,
        machine: Machine | Callable[[], Machine],
        pids: Callable[[], list[int]],
        *,
        vendors: Sequence[Vendor] | None = None,
        host: Host | None = None,
        period: float = PERIOD,
    ) -> None:
        self._bus, self._machine, self._pids, self._period = bus, machine, pids, period
        self._given = vendors
        self._vendors: dict[str, Vendor] = {}
        self._host = host
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._reasons: dict[str, dict[str, str]] = {}

    def start(self) -> None:
        """Begin publishing; calling it again does nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop and join the thread. Idempotent."""
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def reasons(self, source: str) -> dict[str, str]:
        """Why values of a source are None, by name, in words; ``all`` when nothing can be read."""
        return dict(self._reasons.get(source, {}))

    def _run(self) -> None:
        machine = self._machine() if callable(self._machine) else self._machine
        vendors = default_vendors() if self._given is None else self._given
        self._vendors = {vendor.name: vendor for vendor in vendors}
        self._host = self._host or Host()
        try:
            while not self._wake.is_set():
                begun = time.monotonic()
                try:
                    self.tick(machine)
                except OSError as error:  # no more files may be open just now
                    log.info("a reading failed: %s", error)
                self._wake.wait(max(0.0, begun + self._period - time.monotonic()))
        finally:
            for vendor in vendors:
                vendor.close()

    def tick(self, machine: Machine) -> None:
        """Read and publish once; a reader that fails is named in ``reasons`` and the rest goes on."""
        pids = self._pids()
        assert self._host is not None
        self._publish("host", self._host.read(pids))
        self._reasons["host"] = dict(self._host.missing)
        for gpu in machine.gpus:
            reading = self._read(gpu, pids)
            self._reasons[f"gpu:{gpu.index}"] = dict(reading.missing)
            self._publish(f"gpu:{gpu.index}", {name: _number(getattr(reading, name)) for name in GPU_VALUES})

    def _read(self, gpu: Gpu, pids: Sequence[int]) -> Reading:
        vendor = self._vendors.get(gpu.vendor)
        if vendor is None or not gpu.key:
            return Reading(memory_total=gpu.memory_total, missing={"all": "its driver offers no readings"})
        try:
            return vendor.read(gpu, [os.getpid(), *pids])
        except Exception as error:  # noqa: BLE001 - a driver's library may raise anything; the others must go on
            log.info("reading %s failed: %s", gpu.name, error)
            return Reading(memory_total=gpu.memory_total, missing={"all": f"reading failed: {error}"})

    def _publish(self, source: str, values: dict[str, float | None]) -> None:
        self._bus.publish(Sample(source, time.monotonic(), values))


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)


def snapshot(machine: Machine, vendors: Sequence[Vendor]) -> dict[int, Reading]:
    """One reading of every GPU now, for ``doctor`` and the planner's free memory."""
    by_name = {vendor.name: vendor for vendor in vendors}
    found = {}
    for gpu in machine.gpus:
        if gpu.vendor in by_name and gpu.key:
            found[gpu.index] = by_name[gpu.vendor].read(gpu, [os.getpid()])
    return found


def refresh(machine: Machine, vendors: Sequence[Vendor] | None = None) -> Machine:
    """The same machine with memory as it is free now: what a plan should be made from."""
    readers = default_vendors() if vendors is None else vendors
    try:
        readings = snapshot(machine, readers)
    finally:
        if vendors is None:
            for reader in readers:
                reader.close()
    gpus = tuple(_refreshed(gpu, readings.get(gpu.index, Reading())) for gpu in machine.gpus)
    return msgspec.structs.replace(machine, memory=detect_memory(mapped=mapped_by_children())[0], gpus=gpus)


def _refreshed(gpu: Gpu, reading: Reading) -> Gpu:
    if reading.memory_total is None or reading.memory_used is None:
        return gpu
    return msgspec.structs.replace(gpu, memory_free=reading.memory_total - reading.memory_used)
