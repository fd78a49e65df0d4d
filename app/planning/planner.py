"""From a model, a machine and wishes to a ``LoadPlan`` with reasons.

In this order: everything on the GPU; a mixture of experts keeps experts in main memory first; else as many layers as
fit; when not even main memory is enough, a smaller KV cache (where allowed), then less context, never below the
user's minimum. What was asked for explicitly (GPU layers, threads, K/V types) is done, and the reasons say what will
happen.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec
from msgspec import Struct

from app.core.rope import stretched
from app.core.types import KvType, LoadPlan, ModelRecord
from app.hardware.facts import Machine
from app.planning.companions import with_companions
from app.planning.fit import Fit, Guardrail, Room, room
from app.planning.memory import DeviceMemory, Placement, cache_bytes, forecast, kv_bytes, place
from app.planning.model_facts import ModelFacts, from_record
from app.planning.reasons import Reason, size

SMALLEST_CTX = 512
SHELF_SHARE = 16
"""Idle conversations may take this part of main memory."""
KV_STEPS: tuple[KvType, ...] = ("q8_0", "q4_0")


class Wishes(Struct, frozen=True, kw_only=True):
    """What the user or the settings ask for."""

    n_ctx: int = 4096
    min_ctx: int | None = None
    """The context is never made shorter than this; None: half of ``n_ctx``, at least 2048 where that is less."""
    n_gpu_layers: int = -1
    """-1: the planner's choice."""
    n_parallel: int = 4
    n_threads: int | None = None
    kv_type: KvType = "f16"
    shrink_kv: bool = False
    """The planner may take a smaller K/V type when nothing else fits."""
    beyond_trained: bool = False
    """A context longer than the model was trained for is meant (RoPE scaling)."""
    guardrail: Guardrail = "balanced"
    guardrail_bytes: int | None = None
    use_mmap: bool = True
    use_mlock: bool = False
    devices: tuple[str, ...] | None = None
    """ggml device names to use; None: the planner's choice."""
    extra: dict[str, object] = {}
    """Further LoadPlan fields, taken as they are (RoPE, batch sizes, adapters)."""

    def without_backends(self, names: Collection[str]) -> "Wishes":
        """Without the devices of these backends (``vulkan``), whose packs are off; none left: the planner's choice."""
        devices = self.devices or ()
        rest = tuple(device for device in devices if device.rstrip("0123456789").lower() not in names)
        if rest == devices:
            return self
        extra = {
            name: value for name, value in self.extra.items() if name != "tensor_split"
        }  # was for all of them
        return msgspec.structs.replace(self, devices=rest or None, extra=extra)


class Planned(Struct, frozen=True):
    """The plan, what it will take, and why. ``verdict``: ``ok``, ``warn`` (tight, slow), ``refuse`` (the guardrail
    forbids it; loading anyway is the user's right)."""

    plan: LoadPlan
    fit: Fit
    memory: tuple[DeviceMemory, ...]
    reasons: tuple[Reason, ...]
    verdict: str = "ok"
    placement: Placement | None = None

    @property
    def needed(self) -> int:
        """Bytes on all devices together."""
        return sum(device.needed for device in self.memory)


def plan(
    record: ModelRecord,
    machine: Machine,
    wishes: Wishes,
    *,
    facts: ModelFacts | None = None,
    freed: Mapping[str, int] | None = None,
    overhead: Mapping[str, int] | None = None,
) -> Planned:
    """Decide how to load ``record``. ``freed``: bytes by device that unloading what would go gives back;
    ``overhead``: bytes a backend was seen to take for itself. Raises OSError or a ModelError when the file can't be
    read and has no summary."""
    known = facts or from_record(record)
    rooms = room(machine, wishes.guardrail, wishes.guardrail_bytes, freed, wishes.devices or ())
    return Planner(known, rooms, overhead).plan(_first_plan(record, known, machine, wishes), wishes)


def _first_plan(record: ModelRecord, facts: ModelFacts, machine: Machine, wishes: Wishes) -> LoadPlan:
    base = LoadPlan(
        model_path=record.path,
        n_ctx=wishes.n_ctx,
        n_parallel=wishes.n_parallel,
        n_idle=0 if facts.window or facts.recurrent else 8,
        cache_ram_mb=_shelf_mb(machine),
        n_gpu_layers=wishes.n_gpu_layers,
        type_k=wishes.kv_type,
        type_v=wishes.kv_type,
        n_threads=wishes.n_threads,
        use_mmap=wishes.use_mmap,
        use_mlock=wishes.use_mlock,
        projector=record.projector,
    )
    kind = record.summary.kind if record.summary else "text"
    if kind in ("embedding", "reranker"):
        # An encoder sees a text in one piece: the micro-batch must hold it.
        longest = min(wishes.n_ctx, facts.n_ctx_train or wishes.n_ctx)
        base = msgspec.structs.replace(
            base, embeddings=True, n_ctx=longest, n_batch=max(512, longest), n_ubatch=max(512, longest)
        )
    return msgspec.structs.replace(base, **wishes.extra)


def _shelf_mb(machine: Machine) -> int:
    """MiB for idle conversations when nobody says how many. Not a part of the forecast: the worker takes them as they
    are needed, and never more than half of what is free then."""
    usual, total = LoadPlan("").cache_ram_mb, machine.memory.total
    return usual if total is None else min(usual, total // SHELF_SHARE >> 20)


class Planner:
    """Searches plans for one model in the given rooms (main memory first)."""

    def __init__(
        self, facts: ModelFacts, rooms: Sequence[Room], overhead: Mapping[str, int] | None = None
    ) -> None:
        self.facts, self._overhead = facts, overhead
        self._rooms = {room.device: room for room in rooms}
        self.gpus = tuple(room.device for room in rooms[1:])

    def plan(self, first: LoadPlan, wishes: Wishes) -> Planned:
        """The best plan that grants the wishes."""
        reasons: list[Reason] = [] if self.facts.exact else [Reason("guessed")]
        wanted = self._within_training(first, wishes, reasons)
        chosen = self._place(wanted, wishes, [])
        if wishes.n_gpu_layers <= 0 and not self._fits(chosen):
            wanted = self._shrink(wanted, wishes, reasons)
            chosen = self._place(wanted, wishes, [])
        notes: list[Reason] = []
        chosen = self._place(wanted, wishes, notes)
        chosen = stretched(chosen, self.facts.n_ctx_train or 0, self.facts.rope_scale)
        return self._finish(chosen, [*notes, *reasons], wishes)

    def memory(self, plan: LoadPlan) -> tuple[DeviceMemory, ...]:
        """The forecast of a plan, with each device's total and what others hold."""
        found = forecast(self.facts, plan, place(self.facts, plan, plan.devices), self._overhead)
        whole = with_companions(found, plan, self._overhead)
        return tuple(self._with_room(device) for device in whole)

    def _with_room(self, device: DeviceMemory) -> DeviceMemory:
        here = self._rooms.get(device.device)
        return (
            device if here is None else msgspec.structs.replace(device, total=here.total, others=here.others)
        )

    def _within_training(self, plan: LoadPlan, wishes: Wishes, reasons: list[Reason]) -> LoadPlan:
        trained = self.facts.n_ctx_train
        if trained is None or plan.n_ctx <= trained:
            return plan
        if wishes.beyond_trained:
            reasons.append(Reason("ctx_beyond", {"n_ctx": plan.n_ctx, "trained": trained}))
            return plan
        reasons.append(Reason("ctx_trained", {"n_ctx": trained, "wanted": plan.n_ctx}))
        return msgspec.structs.replace(plan, n_ctx=trained)

    def _place(self, plan: LoadPlan, wishes: Wishes, reasons: list[Reason]) -> LoadPlan:
        """Put layers on devices, as asked or as they fit."""
        devices = self.gpus if wishes.devices is None else wishes.devices
        total = len(self.facts.layers) + 1
        if not devices or wishes.n_gpu_layers == 0:
            reasons.append(Reason("cpu_asked" if devices or self.gpus else "no_gpu"))
            return msgspec.structs.replace(plan, n_gpu_layers=0)  # a software device may be there, left out
        plan = msgspec.structs.replace(
            plan, devices=devices, tensor_split=plan.tensor_split or self._shares(devices)
        )
        if wishes.n_gpu_layers > 0:
            layers = min(wishes.n_gpu_layers, total)
            reasons.append(Reason("layers_asked", {"layers": layers, "total": total}))
            return msgspec.structs.replace(plan, n_gpu_layers=layers)
        return self._place_by_room(plan, devices, total, reasons)

    def _place_by_room(
        self, plan: LoadPlan, devices: Sequence[str], total: int, reasons: list[Reason]
    ) -> LoadPlan:
        if len(devices) > 1:
            reasons.append(Reason("split", {"count": len(devices)}))
        full = msgspec.structs.replace(plan, n_gpu_layers=-1)
        if self._fits_gpu(full):
            reasons.append(Reason("all_on_gpu", {"device": ", ".join(devices)}))
            return full
        layers = total - 1
        if self.facts.experts:
            count = _first(
                range(max(1, plan.n_cpu_moe), layers + 1),
                lambda n: self._fits_gpu(_replace(full, n_cpu_moe=n)),
            )
            if count is not None:
                reasons.append(Reason("experts_in_memory", {"layers": count, "total": layers}))
                return _replace(full, n_cpu_moe=count)
        moe = layers if self.facts.experts else 0
        fewer = _first(
            range(layers, 0, -1), lambda n: self._fits_gpu(_replace(plan, n_gpu_layers=n, n_cpu_moe=moe))
        )
        if fewer is None:
            reasons.append(Reason("some_layers", {"layers": 0, "total": total}))
            return _replace(plan, n_gpu_layers=0)
        reasons.append(Reason("some_layers", {"layers": fewer, "total": total}))
        return _replace(plan, n_gpu_layers=fewer, n_cpu_moe=moe)

    def _shares(self, devices: Sequence[str]) -> tuple[float, ...]:
        if len(devices) < 2:
            return ()
        budgets = [self._budget(device) or 1 for device in devices]
        return tuple(round(budget / sum(budgets), 4) for budget in budgets)

    def _budget(self, device: str) -> int | None:
        here = self._rooms.get(device)
        return None if here is None else here.budget

    def _fits_gpu(self, plan: LoadPlan) -> bool:
        return all(self._fits_device(device) for device in self.memory(plan) if device.device != "CPU")

    def _fits_device(self, device: DeviceMemory) -> bool:
        budget = self._budget(device.device)
        return budget is None or device.needed <= budget

    def _fits(self, plan: LoadPlan) -> bool:
        memory = self.memory(plan)
        return all(self._fits_device(device) for device in memory) and self._fits_together(memory)

    def _fits_together(self, memory: Sequence[DeviceMemory]) -> bool:
        """Where a GPU works in main memory, both together must fit into it."""
        budget = self._budget("CPU")
        if budget is None or not any(here.unified for here in self._rooms.values()):
            return True
        return sum(device.needed for device in memory) <= budget

    def _shrink(self, plan: LoadPlan, wishes: Wishes, reasons: list[Reason]) -> LoadPlan:
        """A smaller cache: other K/V types where allowed, then less context down to the minimum."""
        smallest = min(plan.n_ctx, wishes.min_ctx or min(2048, max(SMALLEST_CTX, plan.n_ctx // 2)))
        smaller = _replace(plan, n_ctx=smallest)
        for kind in [plan.type_k, *(KV_STEPS if wishes.shrink_kv else ())]:
            attempt = _replace(plan, type_k=kind, type_v=kind)
            if kind != plan.type_k and self._fits_placed(attempt, wishes):
                reasons.append(self._saved(plan, attempt))
                return attempt
            smaller = _replace(smaller, type_k=kind, type_v=kind)
            if self._fits_placed(smaller, wishes):
                if kind != plan.type_k:
                    reasons.append(self._saved(plan, attempt))
                n_ctx = self._longest(attempt, wishes, smallest)
                reasons.append(Reason("ctx_smaller", {"n_ctx": n_ctx, "wanted": plan.n_ctx}))
                return _replace(attempt, n_ctx=n_ctx)
        return plan

    def _saved(self, plan: LoadPlan, attempt: LoadPlan) -> Reason:
        saved = kv_bytes(self.facts, plan) - kv_bytes(self.facts, attempt)
        return Reason("kv_smaller", {"kind": attempt.type_k, "wanted": plan.type_k, "saved": size(saved)})

    def _fits_placed(self, plan: LoadPlan, wishes: Wishes) -> bool:
        return self._fits(self._place(plan, wishes, []))

    def _longest(self, plan: LoadPlan, wishes: Wishes, smallest: int) -> int:
        """The longest context in steps of 256 that fits, between ``smallest`` and the plan's."""
        low, high = smallest, plan.n_ctx
        while high - low > 256:
            middle = (low + high) // 2 // 256 * 256
            if middle <= low:
                break
            low, high = (
                (middle, high) if self._fits_placed(_replace(plan, n_ctx=middle), wishes) else (low, middle)
            )
        return low

    def _finish(self, chosen: LoadPlan, reasons: list[Reason], wishes: Wishes) -> Planned:
        placement = place(self.facts, chosen, chosen.devices)
        memory = self.memory(chosen)
        fit, verdict = self._judge(chosen, placement, memory, reasons, wishes)
        if self.facts.recurrent or self.facts.window:
            each = sum(layer.state for layer in self.facts.layers) or _window_bytes(self.facts, chosen)
            reasons.append(Reason("sequences_cost", {"each": size(each)}))
        return Planned(chosen, fit, memory, tuple(reasons), verdict, placement)

    def _judge(
        self,
        plan: LoadPlan,
        placement: Placement,
        memory: Sequence[DeviceMemory],
        reasons: list[Reason],
        wishes: Wishes,
    ) -> tuple[Fit, str]:
        on_gpu = [where != "CPU" for where in (*placement.layers, placement.output)]
        fit: Fit = "fits_in_memory"
        if all(on_gpu) and not placement.n_cpu_moe:
            fit = "full_gpu"
        elif any(on_gpu):
            fit = "partly"
        verdict = "ok"
        for device in memory:
            if self._budget(device.device) is None:
                reasons.append(Reason("memory_unknown", {"device": device.device}))
            elif not self._fits_device(device):
                verdict = "warn"
                fit = "too_large" if device.device == "CPU" else fit
                reasons.append(self._overfull(device, plan, wishes.guardrail))
        if verdict == "ok" and not self._fits_together(memory):
            verdict, fit = "warn", "too_large"
            params = {
                "needed": size(sum(device.needed for device in memory)),
                "free": size(self._budget("CPU") or 0),
            }
            reasons.append(Reason("does_not_fit", {**params}))
        if verdict == "warn" and wishes.guardrail in ("balanced", "strict", "custom"):
            verdict = "refuse"
        return fit, verdict

    def _overfull(self, device: DeviceMemory, plan: LoadPlan, guardrail: Guardrail) -> Reason:
        here = self._rooms[device.device]
        free = max(0, (here.total or 0) - (here.others or 0))
        params: dict[str, str | int | float] = {"needed": size(device.needed), "free": size(free)}
        forbidden = here.total is not None and device.needed <= free
        if forbidden and (guardrail == "custom" or device.device == "CPU"):
            allowed = size(here.budget or 0)
            return Reason(
                "guardrail", {"device": device.device, "needed": params["needed"], "allowed": allowed}
            )
        if device.device != "CPU":
            return Reason("gpu_tight", {**params, "device": device.device})
        held = device.kv + device.compute + device.overhead
        return Reason("from_disk") if plan.use_mmap and held <= free else Reason("does_not_fit", params)


def _window_bytes(facts: ModelFacts, plan: LoadPlan) -> int:
    one, two = (_replace(plan, n_parallel=count, n_idle=0) for count in (1, 2))
    windowed = [layer for layer in facts.layers if layer.windowed]
    return sum(cache_bytes(layer, facts, two) - cache_bytes(layer, facts, one) for layer in windowed)


def _replace(plan: LoadPlan, **changes: object) -> LoadPlan:
    return msgspec.structs.replace(plan, **changes)


def _first(candidates: Sequence[int], good: Callable[[int], bool]) -> int | None:
    """The first good candidate, by bisection: once good, all later ones are."""
    if not candidates or not good(candidates[-1]):
        return None
    low, high = 0, len(candidates) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if good(candidates[middle]) else (middle + 1, high)
    return candidates[low]
