"""What the live panels read: the readings as they come, or as they were when somebody pressed pause."""

from app.core.events import InstanceChanged
from app.core.series import SeriesStore
from app.ui.memory_panel import Instances


class HeldSeries(SeriesStore):
    """Another store's readings, until ``hold``: then those it had at that moment, however long it lasts."""

    def __init__(self, live: SeriesStore) -> None:
        super().__init__(None)
        self._live = self._source = live

    def hold(self) -> None:
        """Keep what there is now."""
        self._source = self._live.copy()

    def release(self) -> None:
        """As they come again."""
        self._source = self._live

    def read(self, source: str, name: str, since: float = 0.0) -> tuple[list[float], list[float]]:
        return self._source.read(source, name, since)

    def newest(self, source: str, name: str) -> tuple[float, float] | None:
        return self._source.newest(source, name)

    def keys(self) -> list[tuple[str, str]]:
        return self._source.keys()


class HeldInstances:
    """The same for what is loaded."""

    def __init__(self, live: Instances) -> None:
        self._live = live
        self._kept: tuple[InstanceChanged, ...] | None = None

    def hold(self) -> None:
        """Keep what there is now."""
        self._kept = self._live.snapshots()

    def release(self) -> None:
        """As it is again."""
        self._kept = None

    def snapshots(self) -> tuple[InstanceChanged, ...]:
        """Every instance that is not stopped."""
        return self._live.snapshots() if self._kept is None else self._kept
