"""Energy counters: RAPL of the processor, and the difference over time that turns any counter into watts."""

from pathlib import Path

from app.hardware.sysfs import ROOT, read_int, read_text, why_missing


class EnergyRate:
    """Watts from a counter of microjoules that only grows and wraps at ``span``."""

    def __init__(self, span: int | None = None) -> None:
        self._span = span
        self._last: tuple[float, int] | None = None

    def watts(self, now: float, microjoules: int | None) -> float | None:
        """Mean power since the last call; None at the first, or when the counter can't be read."""
        before, self._last = self._last, None if microjoules is None else (now, microjoules)
        if before is None or microjoules is None or now <= before[0]:
            return None
        used = microjoules - before[1]
        if used < 0:
            if self._span is None:
                return None
            used += self._span
        return used / 1e6 / (now - before[0])


class Rapl:
    """Energy of the processor packages (``/sys/class/powercap/intel-rapl:N``, also on AMD)."""

    def __init__(self, root: Path = ROOT) -> None:
        self._folder = root / "sys/class/powercap"
        self.packages = [path for path in sorted(self._folder.glob("intel-rapl:*")) if _is_package(path)]
        self._rates = {path: EnergyRate(read_int(path / "max_energy_range_uj")) for path in self.packages}

    def watts(self, now: float) -> float | None:
        """Mean power of all packages since the last call; None when any can't be read."""
        found = [rate.watts(now, read_int(path / "energy_uj")) for path, rate in self._rates.items()]
        known = [value for value in found if value is not None]
        return sum(known) if known and len(known) == len(found) else None

    def problem(self) -> str | None:
        """Why no power is known, or None when it is."""
        if not self.packages:
            return f"this system has no RAPL counters in {self._folder}"
        path = self.packages[0] / "energy_uj"
        return None if read_int(path) is not None else why_missing(path)


def _is_package(path: Path) -> bool:
    # intel-rapl:0:0 are parts of a package; psys is a superset of it on laptops.
    return path.name.count(":") == 1 and (read_text(path / "name") or "").startswith("package")
