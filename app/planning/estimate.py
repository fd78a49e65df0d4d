"""What loading would mean, before a download or a load: memory, fit, speed, and the cost of context.

``hearth estimate`` prints it and the load dialog draws it; both from a local file's header or a remote one's.
"""

import math
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from app.core.types import KvType, LoadPlan, ModelFile, ModelRecord
from app.hardware.facts import Gpu, Machine
from app.planning.companions import with_companions
from app.planning.fit import Fit, room
from app.planning.memory import KV_TYPES, DeviceMemory, forecast, kv_bytes, place
from app.planning.model_facts import ModelFacts
from app.planning.planner import Planned, Planner, Wishes, plan
from app.planning.rates import Rates
from app.planning.runs import Run
from app.planning.speed import Speed, main_device
from app.planning.speed import forecast as forecast_speed

STEP = 256  # contexts are rounded to what the cache is padded to


class Point(Struct, frozen=True, omit_defaults=True):
    """One position of the context slider."""

    n_ctx: int
    fit: Fit
    memory: tuple[DeviceMemory, ...]
    empty: Speed
    """With an empty context."""
    full: Speed
    """With the context full."""


class Marks(Struct, frozen=True, omit_defaults=True):
    """Positions worth a mark on the slider; None: it does not exist."""

    full_gpu: int | None = None
    """Largest context with everything on the GPU."""
    trained: int | None = None
    too_large: int | None = None
    """Smallest context that does not fit at all."""


class Estimate(Struct, frozen=True, omit_defaults=True):
    """Everything about one model on one machine with these wishes."""

    name: str
    bytes: int
    planned: Planned
    empty: Speed
    full: Speed
    marks: Marks
    kv: dict[KvType, int]
    """Bytes of the whole cache by K/V type."""
    exact: bool = True
    """False: guessed from a summary, not read from the header."""


class Estimator:
    """Estimates for one model on one machine; keep it while the slider moves. ``history``: past runs by device."""

    def __init__(
        self,
        facts: ModelFacts,
        machine: Machine,
        *,
        record: ModelRecord | None = None,
        rates: Mapping[str, Rates] | None = None,
        history: Mapping[str, Sequence[Run]] | None = None,
        freed: Mapping[str, int] | None = None,
        overhead: Mapping[str, int] | None = None,
    ) -> None:
        self.facts, self.machine = facts, machine
        self._record = record or ModelRecord("", "", (ModelFile("", facts.bytes),), facts.bytes)
        self._rates, self._history = rates or {}, history or {}
        self._freed, self._overhead = freed, overhead

    def plan(self, wishes: Wishes) -> Planned:
        """The plan for these wishes."""
        more = {"freed": self._freed, "overhead": self._overhead}
        return plan(self._record, self.machine, wishes, facts=self.facts, **more)

    def speed(self, chosen: LoadPlan, context: int) -> Speed:
        """Forecasts with this much of the context in use."""
        history = self._history.get(main_device(self.facts, chosen), ()) if self._history else ()
        return forecast_speed(self.facts, chosen, self._rates, context, history)

    def estimate(self, wishes: Wishes, name: str = "") -> Estimate:
        """All of it."""
        planned = self.plan(wishes)
        chosen = planned.plan
        sizes = {kind: kv_bytes(self.facts, _with_kv(chosen, kind)) for kind in KV_TYPES}
        return Estimate(
            name or self._record.name,
            self.facts.bytes,
            planned,
            self.speed(chosen, 0),
            self.speed(chosen, chosen.n_ctx),
            self.marks(wishes),
            sizes,
            self.facts.exact,
        )

    def point(self, wishes: Wishes, n_ctx: int) -> Point:
        """The slider at ``n_ctx``: that context exactly, however little else then fits."""
        planned = self.plan(msgspec.structs.replace(wishes, n_ctx=n_ctx, min_ctx=n_ctx))
        chosen = planned.plan
        return Point(
            n_ctx, planned.fit, planned.memory, self.speed(chosen, 0), self.speed(chosen, chosen.n_ctx)
        )

    def curve(self, wishes: Wishes, count: int = 16) -> tuple[Point, ...]:
        """``count`` positions from 512 to the trained length (32,768 where unknown), closer together at the start."""
        return tuple(self.point(wishes, n_ctx) for n_ctx in contexts(self.facts.n_ctx_train or 32768, count))

    def marks(self, wishes: Wishes) -> Marks:
        """Where the slider gets its marks. Everything else as wished."""
        longest = self.facts.n_ctx_train or 1 << 20
        whole = msgspec.structs.replace(wishes, n_gpu_layers=-1)
        best = _largest(longest, lambda n_ctx: self.point(whole, n_ctx).fit == "full_gpu")
        fitting = _largest(longest, lambda n_ctx: self._fits(wishes, n_ctx))
        too_large = None if fitting == longest else (fitting or 0) + STEP
        return Marks(best, self.facts.n_ctx_train, too_large)

    def _fits(self, wishes: Wishes, n_ctx: int) -> bool:
        asked = msgspec.structs.replace(wishes, n_ctx=n_ctx, min_ctx=n_ctx)
        return self.plan(asked).verdict == "ok"


def _with_kv(chosen: LoadPlan, kind: KvType) -> LoadPlan:
    return msgspec.structs.replace(chosen, type_k=kind, type_v=kind)


def contexts(longest: int, count: int) -> list[int]:
    """About ``count`` context lengths from 512 to ``longest``, each a constant factor from the next."""
    if longest <= 512:
        return [longest]
    factor = (longest / 512) ** (1 / max(1, count - 1))
    found = [round(512 * factor**i / STEP) * STEP for i in range(count - 1)]
    return sorted({*found, longest})


def _largest(longest: int, good: object) -> int | None:
    """The largest multiple of STEP up to ``longest`` for which ``good`` holds; it holds below a point and not above."""
    assert callable(good)
    if good(longest):
        return longest
    low, high = 0, math.ceil(longest / STEP)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if good(middle * STEP) else (low, middle)
    return low * STEP or None


def what_if(machine: Machine, *, gpu: int | None = None, memory: int | None = None) -> Machine:
    """The machine with another GPU of ``gpu`` free bytes beside those it has, and with ``memory`` bytes more RAM."""
    gpus, here = machine.gpus, machine.memory
    if gpu is not None:
        device = "GPU" + str(len(gpus))
        gpus = (*gpus, Gpu(len(gpus), "other", "another GPU", gpu, gpu, devices=(device,)))
    if memory is not None:
        here = msgspec.structs.replace(
            here, total=(here.total or 0) + memory, available=(here.available or 0) + memory
        )
    return msgspec.structs.replace(machine, gpus=gpus, memory=here)


def bars(facts: ModelFacts, chosen: LoadPlan, machine: Machine) -> tuple[DeviceMemory, ...]:
    """Memory of an existing plan with each device's total and what others hold."""
    return Planner(facts, room(machine)).memory(chosen)


def total_needed(facts: ModelFacts, chosen: LoadPlan) -> int:
    """Bytes of a plan over all devices, without the room's totals."""
    found = forecast(facts, chosen, place(facts, chosen, chosen.devices))
    return sum(device.needed for device in with_companions(found, chosen))
