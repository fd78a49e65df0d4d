"""How long the server keeps a model loaded that a request loaded: Ollama's ``keep_alive``."""

import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.runtime.supervisor import Supervisor


class Keeper:
    """Unloads models whose time is over. Only models that were given a time are ever unloaded."""

    def __init__(self, supervisor: "Supervisor") -> None:
        self._supervisor = supervisor
        self._seconds: dict[str, float] = {}
        self._until: dict[str, float] = {}

    def keep(self, model: str, seconds: float | None) -> None:
        """Keep it this long after each use; negative: for ever; None: as before."""
        if seconds is None:
            return
        self._seconds[model] = seconds if seconds >= 0 else math.inf
        self.used(model)

    def loaded(self, model: str) -> None:
        """It begins a new life."""
        self.used(model)

    def forget(self, model: str) -> None:
        """It was unloaded on request."""
        self._seconds.pop(model, None)
        self._until.pop(model, None)

    def used(self, model: str) -> None:
        """A request of it has ended."""
        if model in self._seconds:
            self._until[model] = time.monotonic() + self._seconds[model]

    def left(self, model: str) -> float | None:
        """Seconds until it is unloaded, or None for never."""
        until = self._until.get(model, math.inf)
        return None if until == math.inf else max(0.0, until - time.monotonic())

    def wanted(self, model: str) -> bool:
        """A time was asked for that is not over."""
        return self._until.get(model, 0.0) > time.monotonic()

    def sweep(self, busy: "frozenset[str] | set[str]") -> list[str]:
        """Unload what is over and not busy; returns the models."""
        now = time.monotonic()
        over = [model for model, until in self._until.items() if until <= now and model not in busy]
        for model in over:
            del self._until[model], self._seconds[model]
            self._supervisor.unload(model)
        return over
