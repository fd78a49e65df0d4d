"""Makes the load dialog's forecasts, on the pool: the planner's modules and the header are read there."""

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from app.core.engine_settings import Engine
from app.core.types import LoadPlan, ModelRecord

if TYPE_CHECKING:
    from app.compose import Services
    from app.hardware.facts import Machine
    from app.planning.estimate import Estimator, Point
    from app.ui.dialogs.load_outcome import Outcome

# ruff: noqa: PLC0415 - all of it runs off the GUI thread, where imports may take their time


class Forecaster:
    """One model on this machine as it was when the dialog opened. Thread-safe."""

    def __init__(self, record: ModelRecord, services: "Services") -> None:
        self._record, self._services = record, services
        self._lock = threading.Lock()
        self._machine: Machine | None = None

    def make(self, engine: Engine, imagine: "Callable[[Machine], Machine] | None") -> "Callable[[], Outcome]":
        """The work that forecasts a load with these settings, on the machine that ``imagine`` makes of this one."""
        return lambda: self._make(engine, imagine)

    def _make(self, engine: Engine, imagine: "Callable[[Machine], Machine] | None") -> "Outcome":
        from app.planning.wishes import from_settings
        from app.ui.dialogs.load_outcome import Outcome

        machine, wishes = self._here(), from_settings(engine)
        own, others = self._services.residency.gives(self._record.id)
        estimator = self._estimator(imagine(machine) if imagine else machine, own)
        unloads: tuple[str, ...] = ()
        if others and _tight(estimator.plan(wishes)):
            roomy = self._estimator(imagine(machine) if imagine else machine, _sum([own, *others.values()]))
            if not _tight(roomy.plan(wishes)) or estimator.plan(wishes).verdict != "ok":
                estimator, unloads = roomy, tuple(others)
        # What is set or loaded is on this machine, whatever is imagined.
        before, loaded = self._before(self._estimator(machine, own) if imagine else estimator)
        return Outcome(estimator.estimate(wishes), before, loaded, unloads)

    def _here(self) -> "Machine":
        from app.hardware.sampler import refresh

        with self._lock:
            if self._machine is None:
                self._machine = refresh(self._services.machine())
            return self._machine

    def _estimator(self, machine: "Machine", freed: Mapping[str, int]) -> "Estimator":
        return self._services.outlook.estimator(self._record, machine, freed=freed)

    def _before(self, estimator: "Estimator") -> "tuple[Point, bool]":
        """What is loaded now, else what the settings and the model's defaults would load."""
        known = self._services.supervisor.snapshot(self._record.id)
        if known is not None and known.state == "ready" and known.plan is not None:
            return _point(estimator, known.plan), True
        planned = estimator.plan(self._services.planner.wishes(self._record.id))
        return _point(estimator, planned.plan), False


def _point(estimator: "Estimator", plan: LoadPlan) -> "Point":
    from app.planning.estimate import Point, bars

    memory = bars(estimator.facts, plan, estimator.machine)
    return Point(plan.n_ctx, "partly", memory, estimator.speed(plan, 0), estimator.speed(plan, plan.n_ctx))


def _tight(planned: Any) -> bool:
    codes = {
        "some_layers",
        "experts_in_memory",
        "kv_smaller",
        "ctx_smaller",
        "ctx_beyond",
        "does_not_fit",
        "from_disk",
    }
    return planned.verdict != "ok" or any(reason.code in codes for reason in planned.reasons)


def _sum(parts: list[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for part in parts:
        for device, count in part.items():
            total[device] = total.get(device, 0) + count
    return total
