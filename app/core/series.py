"""Short time series of the live readings: what plots and /metrics read.

Each (source, name) pair has a ring of the newest readings. Writers are the sampler and the runtime thread, through
the Bus; readers get copies. A reading of ``None`` (not measurable) ends a curve and is not stored as 0.
"""

import statistics
import threading
from collections import deque

from app.core.events import Bus, Subscription
from app.core.types import Sample

CAPACITY = 1200  # two minutes at 10 Hz, twenty at 1 Hz


class SeriesStore:
    """All rings of the program. Thread-safe."""

    def __init__(self, bus: Bus | None, capacity: int = CAPACITY) -> None:
        """``bus`` None: only what is added by hand."""
        self._capacity = capacity
        self._lock = threading.Lock()
        self._rings: dict[tuple[str, str], deque[tuple[float, float]]] = {}
        self._subscription: Subscription | None = bus.subscribe(Sample, self.add) if bus else None

    def add(self, sample: Sample) -> None:
        """Append every known value of a sample to its ring."""
        with self._lock:
            for name, value in sample.values.items():
                if value is not None:
                    self._ring(sample.source, name).append((sample.t, value))

    def _ring(self, source: str, name: str) -> deque[tuple[float, float]]:
        return self._rings.setdefault((source, name), deque(maxlen=self._capacity))

    def read(self, source: str, name: str, since: float = 0.0) -> tuple[list[float], list[float]]:
        """Times (``time.monotonic`` seconds) and values not older than ``since``."""
        points: list[tuple[float, float]] = []
        with self._lock:
            for point in reversed(self._rings.get((source, name), ())):  # times ascend: from the newest back
                if point[0] < since:
                    break
                points.append(point)
        points.reverse()
        return [t for t, _ in points], [v for _, v in points]

    def newest(self, source: str, name: str) -> tuple[float, float] | None:
        """Time and value of the newest reading, or None when nothing was read."""
        with self._lock:
            ring = self._rings.get((source, name))
            return ring[-1] if ring else None

    def last(self, source: str, name: str) -> float | None:
        """The newest value, or None when nothing was read."""
        point = self.newest(source, name)
        return point[1] if point else None

    def summary(self, source: str, name: str, since: float = 0.0) -> tuple[float, float, float] | None:
        """(minimum, median, maximum) since a time, or None without readings."""
        _, values = self.read(source, name, since)
        return (min(values), statistics.median(values), max(values)) if values else None

    def keys(self) -> list[tuple[str, str]]:
        """Every (source, name) that has readings, sorted."""
        with self._lock:
            return sorted(key for key, ring in self._rings.items() if ring)

    def copy(self) -> "SeriesStore":
        """What there is now, in a store that gets nothing more."""
        made = SeriesStore(None, self._capacity)
        with self._lock:
            made._rings = {key: ring.copy() for key, ring in self._rings.items()}
        return made

    def drop(self, source: str) -> None:
        """Forget a source that is gone (an unloaded instance)."""
        with self._lock:
            for key in [key for key in self._rings if key[0] == source]:
                del self._rings[key]

    def close(self) -> None:
        """Stop listening to the Bus."""
        if self._subscription is not None:
            self._subscription.close()
