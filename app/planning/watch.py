"""Why is it slow? Pure functions over readings: memory spill, throttling, another program, a regression.

``diagnose`` returns at most one finding, the likeliest cause first, in one line that names a fix.
"""

import statistics
from collections.abc import Mapping, Sequence

from msgspec import Struct

from app.core.errors import fill
from app.core.types import Forecast

FINDINGS = {
    "spill": "{device} is full and {spilled} of the model lie in main memory. Use fewer GPU layers or less context.",
    "throttle_thermal": "{device} is {temperature} °C hot and slows itself down. Improve its cooling, or use it less.",
    "throttle_heat": "{device} is too hot and slows itself down. Improve its cooling, or use it less.",
    "throttle_power": "{device} is held at its power limit of {power} W. Raise the limit, or use another "
    "device.",
    "gpu_shared": "Another program uses {device} ({others} of its memory, {share} % busy). Close it, or "
    "use another device.",
    "cpu_shared": "Other programs keep the processor busy ({share} %). Close them, or use fewer threads.",
    "swapping": "Main memory is full: {free} are free. Close programs, or load a smaller quant.",
    "regression": "{model} wrote {before} tokens/s with {old} and writes {now} with {new}. Go back, or report it.",
    "slow": "It writes {now} tokens/s; {low} to {high} were forecast, and no cause was found.",
}

ACTIONS = {
    "spill": "load_options",
    "throttle_thermal": "load_options",
    "throttle_heat": "load_options",
    "throttle_power": "load_options",
    "gpu_shared": "load_options",
    "cpu_shared": "load_options",
    "swapping": "load_options",
    "regression": "roll_back",
    "slow": "machine",
}


class Finding(Struct, frozen=True):
    """One cause."""

    code: str
    params: dict[str, str | int | float] = {}

    @property
    def text(self) -> str:
        """The English sentence."""
        return fill(FINDINGS[self.code], self.params)

    @property
    def action(self) -> str:
        """The command that does the next step, or empty."""
        return ACTIONS.get(self.code, "")


class Gauge(Struct, frozen=True, omit_defaults=True):
    """Medians over the last seconds of one device. ``throttle`` as in ``hardware.facts.Throttle``."""

    device: str
    memory_total: float | None = None
    memory_used: float | None = None
    memory_us: float | None = None
    memory_shared: float | None = None
    memory_shared_before: float | None = None
    """Before the model was loaded."""
    utilization: float | None = None
    our_utilization: float | None = None
    power: float | None = None
    temperature: float | None = None
    throttle: int | None = None


MEDIANS = ("memory_total", "memory_used", "memory_us", "memory_shared", "utilization", "power", "temperature")
"""Series of a device of which a gauge has the median."""
Reader = Mapping[str, tuple[Sequence[float], Sequence[float]]]
"""A source's series by name: (times, values), as ``core.series`` gives them."""


def gauge(device: str, series: Reader, since: float, loaded_at: float | None = None) -> Gauge:
    """Medians of every known series since a time; flags of ``throttle`` count when seen in half of the readings."""
    values: dict[str, float | None] = {name: _median(series, name, since) for name in MEDIANS}
    before = None if loaded_at is None else _median(series, "memory_shared", loaded_at - 30, loaded_at)
    return Gauge(device, memory_shared_before=before, throttle=_flags(series, since), **values)


def _median(series: Reader, name: str, since: float, until: float = float("inf")) -> float | None:
    times, values = series.get(name, ((), ()))
    found = [value for t, value in zip(times, values, strict=True) if since <= t < until]
    return statistics.median(found) if found else None


def _flags(series: Reader, since: float) -> int | None:
    times, values = series.get("throttle", ((), ()))
    found = [int(value) for t, value in zip(times, values, strict=True) if t >= since]
    if not found:
        return None
    return sum(bit for bit in (1, 2, 4) if sum(bool(value & bit) for value in found) * 2 >= len(found))


def diagnose(
    speed: float, forecast: Forecast | None, gpus: Sequence[Gauge], host: Gauge | None = None
) -> Finding | None:
    """The cause of a decode speed below its forecast, or None when it is as fast as forecast. Spill and a full main
    memory are told even without a forecast: they are never wanted."""
    for found in (_spill(gpus), _swapping(host)):
        if found is not None:
            return found
    if forecast is None or speed >= forecast.low:
        return None
    for gpu in gpus:
        found = _throttled(gpu) or _shared(gpu)
        if found is not None:
            return found
    if not gpus and host is not None and (found := _throttled(host) or _busy_host(host)) is not None:
        return found
    params: dict[str, str | int | float] = {"now": f"{speed:.1f}", "low": f"{forecast.low:.1f}"}
    return Finding("slow", {**params, "high": f"{forecast.high:.1f}"})


def _spill(gpus: Sequence[Gauge]) -> Finding | None:
    for gpu in gpus:
        if gpu.memory_total is None or gpu.memory_used is None or gpu.memory_shared is None:
            continue
        grown = gpu.memory_shared - (gpu.memory_shared_before or 0.0)
        if gpu.memory_used > 0.94 * gpu.memory_total and grown > 256 * 2**20:
            return Finding("spill", {"device": gpu.device, "spilled": _size(grown)})
    return None


def _swapping(host: Gauge | None) -> Finding | None:
    if host is None or host.memory_total is None or host.memory_used is None:
        return None
    free = host.memory_total - host.memory_used
    return Finding("swapping", {"free": _size(free)}) if free < 0.02 * host.memory_total else None


def _throttled(gpu: Gauge) -> Finding | None:
    flags = gpu.throttle or 0
    if flags & 2 and gpu.temperature is None:
        return Finding("throttle_heat", {"device": gpu.device})
    if flags & 2:
        return Finding("throttle_thermal", {"device": gpu.device, "temperature": f"{gpu.temperature:.0f}"})
    if flags & 1 and gpu.power is not None:
        return Finding("throttle_power", {"device": gpu.device, "power": f"{gpu.power:.0f}"})
    return None


def _shared(gpu: Gauge) -> Finding | None:
    if gpu.memory_used is None or gpu.memory_us is None or gpu.memory_total is None:
        return None
    others = gpu.memory_used - gpu.memory_us
    if others < 0.1 * gpu.memory_total or gpu.utilization is None or gpu.utilization < 90:
        return None
    return Finding(
        "gpu_shared", {"device": gpu.device, "others": _size(others), "share": f"{gpu.utilization:.0f}"}
    )


def _busy_host(host: Gauge) -> Finding | None:
    if host.utilization is None or host.our_utilization is None:
        return None
    others = host.utilization - host.our_utilization
    return Finding("cpu_shared", {"share": f"{others:.0f}"}) if others > 15 else None


def regression(
    model: str, runs: Sequence[tuple[str, float, int]], *, least: int = 5, drop: float = 0.1
) -> Finding | None:
    """Whether the newest engine writes slower than the one before it. ``runs``: (engine, tokens per second, context),
    oldest first; only runs of like context are compared (within a factor of two), ``least`` of each."""
    if not runs:
        return None
    new = runs[-1][0]
    older = [engine for engine, _, _ in runs if engine != new]
    if not older:
        return None
    old = older[-1]
    now = [(speed, context) for engine, speed, context in runs if engine == new]
    middle = statistics.median(context for _, context in now)
    alike = [speed for e, speed, c in runs if e == old and middle / 2 <= max(c, 1) <= max(middle, 1) * 2]
    if len(now) < least or len(alike) < least:
        return None
    before, after = statistics.median(alike), statistics.median(speed for speed, _ in now)
    if after >= before * (1 - drop):
        return None
    params: dict[str, str | int | float] = {"model": model, "before": f"{before:.1f}", "now": f"{after:.1f}"}
    return Finding("regression", {**params, "old": old, "new": new})


def _size(count: float) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
