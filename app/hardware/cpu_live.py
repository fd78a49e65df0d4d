"""The processor's temperature, clock and throttling, from Linux's sysfs; None elsewhere, with the reason."""

from pathlib import Path

from app.hardware.facts import Throttle
from app.hardware.sysfs import ROOT, read_int, read_text

SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal")
"""hwmon drivers of processors: Intel, AMD, AMD (out of tree), ARM boards."""


class CpuSensors:
    """Where the values are is looked up once."""

    def __init__(self, root: Path = ROOT) -> None:
        folders = sorted((root / "sys/class/hwmon").glob("hwmon*"))
        self._sensors = [folder for folder in folders if read_text(folder / "name") in SENSORS]
        cores = root / "sys/devices/system/cpu"
        self._clocks = sorted(cores.glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))
        self._counts = sorted(cores.glob("cpu[0-9]*/thermal_throttle/*_throttle_count"))
        self._counted: int | None = None

    def temperature(self) -> float | None:
        """Degrees C of the hottest package: ``temp1_input`` is the package or the control value."""
        found = [read_int(folder / "temp1_input") for folder in self._sensors]
        known = [value for value in found if value is not None]
        return max(known) / 1000 if known else None

    def clock(self) -> float | None:
        """MHz, the mean over all cores."""
        found = [value for path in self._clocks if (value := read_int(path)) is not None]
        return sum(found) / len(found) / 1000 if found else None

    def throttle(self) -> Throttle | None:
        """Whether heat slowed a core since the last call: the counters of Intel's driver."""
        found = [value for path in self._counts if (value := read_int(path)) is not None]
        if not found:
            return None
        before, self._counted = self._counted, sum(found)
        return Throttle.THERMAL if before is not None and self._counted > before else Throttle.NONE

    def missing(self) -> dict[str, str]:
        """Why a value is not there."""
        reasons = {}
        if not self._sensors:
            reasons["temperature"] = "this system has no temperature sensor of the processor"
        if not self._clocks:
            reasons["clock"] = "this system does not tell the processor's clock"
        if not self._counts:
            reasons["throttle"] = "this system does not count how often heat slows the processor"
        return reasons
