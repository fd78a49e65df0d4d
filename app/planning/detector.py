"""Watches loaded models at work and names the cause when one is slower than forecast: ``watch`` over live readings.

No clock of its own: ``check`` is asked every few seconds while something is loaded.
"""

import logging
import statistics
import time
from collections.abc import Callable

import msgspec
from msgspec import Struct

from app.core.errors import HearthError
from app.core.events import InstanceChanged
from app.core.series import SeriesStore
from app.core.types import Forecast
from app.hardware.facts import Machine
from app.planning.memory import HOST
from app.planning.outlook import Instances, Outlook, engine_version
from app.planning.watch import MEDIANS, Finding, Gauge, diagnose, gauge, regression

log = logging.getLogger(__name__)

WINDOW = 8.0
"""Seconds over which a speed is judged."""
LEAST = 20
"""Readings of decode (ten a second) before one is."""
GPU_NAMES = (*MEDIANS, "throttle")
HOST_NAMES = ("memory_total", "memory_used", "temperature", "throttle")


class Told(Struct, frozen=True):
    """A finding about a model."""

    model: str
    finding: Finding


class Detector:
    """Tells each cause once for a load; a model that is loaded again is watched anew."""

    def __init__(
        self,
        series: SeriesStore,
        instances: Instances,
        outlook: Callable[[], Outlook],
        machine: Callable[[], Machine],
    ) -> None:
        self._series, self._instances, self._outlook, self._machine = series, instances, outlook, machine
        self._seen: dict[str, tuple[int | None, float, set[str]]] = {}
        """Model to (process, when it was first seen ready, codes that were told)."""

    def check(self, now: float | None = None) -> Told | None:
        """The likeliest cause of what is wrong now, or None. May read files: not on the GUI thread."""
        at = time.monotonic() if now is None else now
        ready = [item for item in self._instances.snapshots() if item.state == "ready"]
        self._seen = {item.model: self._entry(item, at) for item in ready}
        for item in ready:
            found = self._look(item, at)
            told = self._seen[item.model][2]
            if found is not None and found.code not in told:
                told.add(found.code)
                return Told(item.model, found)
        return None

    def _entry(self, item: InstanceChanged, now: float) -> tuple[int | None, float, set[str]]:
        known = self._seen.get(item.model)
        return known if known is not None and known[0] == item.pid else (item.pid, now, set())

    def _look(self, item: InstanceChanged, now: float) -> Finding | None:
        gpus, host = self._gauges(item, now)
        speed = self._speed(item.model, now)
        if speed is None:
            found = diagnose(0.0, None, gpus, host)  # spill and swapping are told without a speed
            return found or self._regression(item)
        return diagnose(speed, self._forecast(item.model), gpus, host)

    def _speed(self, model: str, now: float) -> float | None:
        """Median decode speed while one answer alone was being written; None when there is too little to judge."""
        source = f"instance:{model}"
        _, active = self._series.read(source, "active", now - WINDOW)
        _, speeds = self._series.read(source, "decode_tps", now - WINDOW)
        _, prefill = self._series.read(source, "prefill_tps", now - WINDOW)
        busy = [value for value in speeds if value > 0]
        alone = active and max(active) <= 1 and not any(prefill)
        return statistics.median(busy) if alone and len(busy) >= LEAST else None

    def _forecast(self, model: str) -> Forecast | None:
        used = self._series.last(f"instance:{model}", "kv_used") or 0.0
        try:
            return self._outlook().forecast(model, int(used))
        except (HearthError, OSError) as error:
            log.info("no forecast for %s: %s", model, error)
            return None

    def _gauges(self, item: InstanceChanged, now: float) -> tuple[list[Gauge], Gauge]:
        plan, since, first = item.plan, now - WINDOW, self._seen[item.model][1]
        used = set(plan.devices) if plan is not None and plan.n_gpu_layers else set()
        gpus = []
        for gpu in self._machine().gpus:
            if used & set(gpu.devices):
                source = f"gpu:{gpu.index}"
                reader = {name: self._series.read(source, name) for name in GPU_NAMES}
                gpus.append(gauge(gpu.name, reader, since, first))
        return gpus, self._host(since)

    def _host(self, since: float) -> Gauge:
        def middle(name: str) -> float | None:
            _, values = self._series.read("host", name, since)
            return statistics.median(values) if values else None

        reader = {name: self._series.read("host", name) for name in HOST_NAMES}
        found = gauge(self._machine().cpu.name or HOST, reader, since)
        shares = {"utilization": middle("cpu_percent"), "our_utilization": middle("cpu_us")}
        return msgspec.structs.replace(found, **shares)

    def _regression(self, item: InstanceChanged) -> Finding | None:
        """Once for a load, and only where the newest runs are this engine's."""
        if "regression" in self._seen[item.model][2]:
            return None
        try:
            runs = self._outlook().usage.speeds(item.model)
        except (HearthError, OSError) as error:
            log.info("past speeds can't be read: %s", error)
            return None
        return regression(item.model, runs) if runs and runs[-1][0] == engine_version() else None
