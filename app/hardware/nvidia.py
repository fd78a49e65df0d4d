"""NVIDIA through NVML (``pynvml``). A missing library or driver is not an error: there are no NVIDIA GPUs then."""

import logging
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from app.hardware.facts import Fact, Found, Gpu, Reading, Throttle, VendorName, memory_words

log = logging.getLogger(__name__)

# nvml.h, nvmlClocksEventReasons
_POWER = 0x4 | 0x80  # software power cap, hardware power brake
_THERMAL = 0x20 | 0x40  # software and hardware thermal slowdown
_HARDWARE = 0x8  # hardware slowdown, whatever the cause


class Nvidia:
    """Reader of NVIDIA GPUs. ``nvml`` replaces the library in tests."""

    name: VendorName = "nvidia"

    def __init__(self, nvml: ModuleType | Any = None) -> None:
        self._nvml = nvml
        self._open = False
        self._handles: dict[str, Any] = {}

    def detect(self) -> Found:
        """All GPUs NVML lists, with driver version and UUID."""
        problem = self._start()
        if problem is not None:
            return Found((), (Fact("nvidia", None, problem),))
        driver = _text(self._ask("nvmlSystemGetDriverVersion"))
        count = self._ask("nvmlDeviceGetCount") or 0
        gpus = [gpu for gpu in (self._detect_one(index, driver) for index in range(count)) if gpu]
        facts = [Fact("nvidia.driver", driver, "NVML")]
        return Found(tuple(gpus), (*facts, *(Fact(f"gpu.{gpu.name}", _size(gpu), "NVML") for gpu in gpus)))

    def read(self, gpu: Gpu, pids: Sequence[int]) -> Reading:
        """Memory, use, power, temperature, clock, throttle reasons, PCIe link."""
        missing: dict[str, str] = {}
        handle = self._handle(gpu, missing)
        if handle is None:
            return Reading(missing=missing)
        ask = _Asker(self._ask_or_why, handle, missing)
        memory = ask("memory_used", "nvmlDeviceGetMemoryInfo")
        power = ask("power", "nvmlDeviceGetPowerUsage")
        rates = ask("utilization", "nvmlDeviceGetUtilizationRates")
        reasons = ask("throttle", "nvmlDeviceGetCurrentClocksThrottleReasons")
        return Reading(
            memory_total=None if memory is None else int(memory.total),
            memory_used=None if memory is None else int(memory.used),
            memory_us=self._ours(handle, pids, missing),
            utilization=None if rates is None else float(rates.gpu),
            power=None if power is None else power / 1000,
            temperature=ask("temperature", "nvmlDeviceGetTemperature", 0),
            clock=ask("clock", "nvmlDeviceGetClockInfo", 0),
            throttle=None if reasons is None else throttle(reasons),
            pcie_generation=ask("pcie_generation", "nvmlDeviceGetCurrPcieLinkGeneration"),
            pcie_width=ask("pcie_width", "nvmlDeviceGetCurrPcieLinkWidth"),
            missing=missing,
        )

    def close(self) -> None:
        """Shut NVML down."""
        if self._open:
            self._open = False
            self._handles.clear()
            self._ask("nvmlShutdown")

    def _start(self) -> str | None:
        """Load and initialize; the reason when there is nothing to talk to."""
        if self._open:
            return None
        if self._nvml is None:
            try:
                import pynvml  # noqa: PLC0415 - not before the first paint
            except ImportError:
                return "the package nvidia-ml-py is not installed"
            self._nvml = pynvml
        try:
            self._nvml.nvmlInit()
        except self._nvml.NVMLError as error:
            return f"NVML: {error}"
        self._open = True
        return None

    def _detect_one(self, index: int, driver: str | None) -> Gpu | None:
        handle = self._ask("nvmlDeviceGetHandleByIndex", index)
        if handle is None:
            return None
        memory = self._ask("nvmlDeviceGetMemoryInfo", handle)
        pci = self._ask("nvmlDeviceGetPciInfo", handle)
        uuid = _text(self._ask("nvmlDeviceGetUUID", handle))
        capability = self._ask("nvmlDeviceGetCudaComputeCapability", handle)
        self._handles[uuid or str(index)] = handle
        return Gpu(
            index,
            "nvidia",
            _text(self._ask("nvmlDeviceGetName", handle)) or "NVIDIA GPU",
            memory_total=None if memory is None else int(memory.total),
            memory_free=None if memory is None else int(memory.free),
            pci=None if pci is None else normal_pci(_text(pci.busId) or ""),
            driver=driver,
            uuid=uuid,
            key=uuid or str(index),
            target="sm_{}{}".format(*capability) if capability else "",
        )

    def _handle(self, gpu: Gpu, missing: dict[str, str]) -> Any:
        problem = self._start()
        if problem is not None:
            missing["all"] = problem
            return None
        if gpu.key not in self._handles:
            by_index = gpu.key.isdigit()
            name = "nvmlDeviceGetHandleByIndex" if by_index else "nvmlDeviceGetHandleByUUID"
            handle, why = self._ask_or_why(name, int(gpu.key) if by_index else gpu.key)
            if handle is None:
                missing["all"] = why
                return None
            self._handles[gpu.key] = handle
        return self._handles[gpu.key]

    def _ours(self, handle: Any, pids: Sequence[int], missing: dict[str, str]) -> int | None:
        total = 0
        for name in ("nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetGraphicsRunningProcesses"):
            processes, why = self._ask_or_why(name, handle)
            if processes is None:
                missing["memory_us"] = why
                return None
            for process in processes:
                if process.pid in pids:
                    if process.usedGpuMemory is None:  # Windows (WDDM) does not tell
                        missing["memory_us"] = "the driver does not say which process holds how much"
                        return None
                    total += int(process.usedGpuMemory)
        return total

    def _ask(self, name: str, *arguments: Any) -> Any:
        value, why = self._ask_or_why(name, *arguments)
        if why:
            log.debug("%s: %s", name, why)
        return value

    def _ask_or_why(self, name: str, *arguments: Any) -> tuple[Any, str]:
        nvml: Any = self._nvml
        try:
            return getattr(nvml, name)(*arguments), ""
        except nvml.NVMLError as error:
            return None, f"NVML: {error}"


class _Asker:
    """Asks about one handle and notes the reason of each refusal."""

    def __init__(self, ask: Callable[..., tuple[Any, str]], handle: Any, missing: dict[str, str]) -> None:
        self._ask, self._handle, self._missing = ask, handle, missing

    def __call__(self, what: str, name: str, *arguments: Any) -> Any:
        value, why = self._ask(name, self._handle, *arguments)
        if why:
            self._missing[what] = why
        return value


def throttle(reasons: int) -> Throttle:
    """NVML's reasons as ours; idle and clocks the user has set are no throttling."""
    found = Throttle.NONE
    if reasons & _POWER:
        found |= Throttle.POWER
    if reasons & _THERMAL:
        found |= Throttle.THERMAL
    if reasons & _HARDWARE:
        found |= Throttle.HARDWARE
    return found


def normal_pci(text: str) -> str | None:
    """``00000000:65:00.0`` (NVML) and ``0000:65:00.0`` (everyone else) as the latter, in lower case."""
    domain, found, rest = text.strip().lower().partition(":")
    return f"{domain[-4:].zfill(4)}:{rest}" if found else None


def _text(value: Any) -> str | None:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _size(gpu: Gpu) -> str:
    return ", ".join(text for text in (memory_words(gpu.memory_total), gpu.pci) if text)
