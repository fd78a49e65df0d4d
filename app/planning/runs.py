"""A past forecast beside what came. Apart from the forecasts themselves, so that the history loads quickly."""

from msgspec import Struct


class Run(Struct, frozen=True):
    """A forecast and what came: tokens per second."""

    forecast: float
    measured: float
    uncorrected: float | None = None
    """The forecast before past runs corrected it; corrections are learned from this one, or they would undo each
    other."""

    @property
    def ratio(self) -> float:
        """Above 1: faster than the measured rates alone promised."""
        return self.measured / (self.uncorrected or self.forecast)
