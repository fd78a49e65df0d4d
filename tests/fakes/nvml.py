"""A stand-in for the ``pynvml`` module: same names, same units, same exception class."""

from types import SimpleNamespace
from typing import Any


class NVMLError(Exception):
    """What every call raises."""


class FakeNvml:
    """Two RTX 3090 unless told otherwise. ``fail`` names functions that raise; ``available`` False: no driver."""

    NVMLError = NVMLError

    def __init__(
        self, count: int = 2, available: bool = True, fail: tuple[str, ...] = (), reasons: int = 0
    ) -> None:
        self.count, self.available, self.fail, self.reasons = count, available, fail, reasons
        self.open = 0
        self.processes = [
            SimpleNamespace(pid=100, usedGpuMemory=3 << 30),
            SimpleNamespace(pid=200, usedGpuMemory=1 << 30),
        ]

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("nvml") and name in object.__getattribute__(self, "fail"):
            return self._refuse
        return object.__getattribute__(self, name)

    def _refuse(self, *_: Any) -> None:
        raise NVMLError("Not Supported")

    def nvmlInit(self) -> None:
        if not self.available:
            raise NVMLError("NVML Shared Library Not Found")
        self.open += 1

    def nvmlShutdown(self) -> None:
        self.open -= 1

    def nvmlSystemGetDriverVersion(self) -> str:
        return "570.124"

    def nvmlDeviceGetCount(self) -> int:
        return self.count

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> int:
        return int(uuid[-1])

    def nvmlDeviceGetName(self, _: int) -> bytes:
        return b"NVIDIA GeForce RTX 3090"

    def nvmlDeviceGetCudaComputeCapability(self, _: int) -> list[int]:
        return [8, 6]

    def nvmlDeviceGetUUID(self, handle: int) -> str:
        return f"GPU-0000000{handle}"

    def nvmlDeviceGetPciInfo(self, handle: int) -> SimpleNamespace:
        return SimpleNamespace(busId=f"00000000:{handle + 1:02X}:00.0")

    def nvmlDeviceGetMemoryInfo(self, _: int) -> SimpleNamespace:
        return SimpleNamespace(total=24 << 30, used=6 << 30, free=18 << 30)

    def nvmlDeviceGetPowerUsage(self, _: int) -> int:
        return 287_500

    def nvmlDeviceGetUtilizationRates(self, _: int) -> SimpleNamespace:
        return SimpleNamespace(gpu=93, memory=61)

    def nvmlDeviceGetTemperature(self, _: int, __: int) -> int:
        return 71

    def nvmlDeviceGetClockInfo(self, _: int, __: int) -> int:
        return 1695

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, _: int) -> int:
        return self.reasons

    def nvmlDeviceGetCurrPcieLinkGeneration(self, _: int) -> int:
        return 4

    def nvmlDeviceGetCurrPcieLinkWidth(self, _: int) -> int:
        return 16

    def nvmlDeviceGetComputeRunningProcesses(self, _: int) -> list[SimpleNamespace]:
        return self.processes

    def nvmlDeviceGetGraphicsRunningProcesses(self, _: int) -> list[SimpleNamespace]:
        return []
