"""Does it fit? Labels for a list of quants at once, and the room each device has under the user's guardrail."""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from app.hardware.facts import Gpu, Machine
from app.planning.memory import BACKEND_OVERHEAD, PROCESS_OVERHEAD

Fit = Literal["full_gpu", "partly", "fits_in_memory", "too_large"]
Guardrail = Literal["off", "relaxed", "balanced", "strict", "custom"]

# Share of a device's memory that stays free. Nothing is refused when off.
_MARGIN: dict[Guardrail, float] = {
    "off": 0.0,
    "relaxed": 0.02,
    "balanced": 0.06,
    "strict": 0.15,
    "custom": 0.0,
}


class Room(Struct, frozen=True):
    """Bytes a plan may take on one device, and what it is made of."""

    device: str
    budget: int | None
    """None: the device does not tell its memory."""
    total: int | None = None
    others: int | None = None
    unified: bool = False
    """Part of main memory: what is taken here is taken there."""


def room(
    machine: Machine,
    guardrail: Guardrail = "balanced",
    custom: int | None = None,
    freed: Mapping[str, int] | None = None,
    devices: Sequence[str] = (),
) -> tuple[Room, ...]:
    """Main memory first, then each GPU by the name of its preferred backend device.

    ``freed`` is what unloading the models that would go gives back, by device; ``custom`` the bytes the user lets us
    have on a GPU (in main memory without one). ``devices`` are those the user has named; without them software
    devices are never taken, and graphics inside the processor only where there is no card."""
    freed = freed or {}
    gpus = _usable(machine, devices)
    margin = _MARGIN[guardrail]
    memory = machine.memory
    cap = custom if guardrail == "custom" else None
    host = _room("CPU", memory.total, memory.available, freed.get("CPU", 0), margin, None if gpus else cap)
    found = [host]
    for gpu in gpus:
        device = next((name for name in devices if name in gpu.devices), preferred_device(gpu))
        shared = gpu.unified
        total = gpu.memory_total if gpu.memory_total is not None or not shared else memory.total
        free = gpu.memory_free if gpu.memory_free is not None or not shared else memory.available
        here = _room(device, total, free, freed.get(device, 0), margin, cap)
        found.append(msgspec.structs.replace(here, unified=gpu.unified))
    return tuple(found)


def _usable(machine: Machine, devices: Sequence[str]) -> list[Gpu]:
    if devices:
        return [gpu for gpu in machine.offload if any(name in gpu.devices for name in devices)]
    real = [gpu for gpu in machine.offload if not gpu.software]
    return [gpu for gpu in real if not gpu.unified] or real


def _room(
    device: str, total: int | None, free: int | None, freed: int, margin: float, cap: int | None
) -> Room:
    if free is None:
        return Room(device, cap, total, None)
    budget = free + freed - int(margin * (total or free))
    others = None if total is None else max(0, total - free - freed)
    return Room(device, max(0, budget if cap is None else min(cap, free + freed)), total, others)


def preferred_device(gpu: Gpu) -> str:
    """The vendor's own backend before Vulkan (measured faster where both are known; the user can override)."""
    order = ("CUDA", "ROCm", "MTL", "SYCL", "Vulkan")
    return min(
        gpu.devices, key=lambda name: next((i for i, kind in enumerate(order) if name.startswith(kind)), 9)
    )


class Fitter:
    """Labels quants quickly: a thousand in well under 50 ms. Built once for a machine and a context."""

    def __init__(self, machine: Machine, n_ctx: int = 4096, guardrail: Guardrail = "balanced") -> None:
        rooms = room(machine, guardrail)
        overhead = sum(BACKEND_OVERHEAD.get(r.device.rstrip("0123456789"), 0) for r in rooms[1:])
        self._gpu = sum(r.budget or 0 for r in rooms[1:]) - overhead
        self._host = (rooms[0].budget or 0) - PROCESS_OVERHEAD
        self._unified = any(r.unified for r in rooms)
        self._gpus = len(rooms) - 1
        self._n_ctx = n_ctx

    def label(self, total: int, parameters: int | None = None, kv_per_token: int | None = None) -> Fit:
        """The label of ``total`` bytes of weights. Without ``kv_per_token`` (bytes of f16 K and V) the cache is
        guessed from the number of parameters."""
        needed = total + self.extra(total, parameters, kv_per_token)
        if self._gpus and needed <= self._gpu:
            return "full_gpu"
        if needed > self._host + (0 if self._unified else max(0, self._gpu)):
            return "too_large"
        return "partly" if self._gpus and self._gpu > needed // 20 else "fits_in_memory"

    def extra(self, total: int, parameters: int | None = None, kv_per_token: int | None = None) -> int:
        """KV cache and compute buffers beside the weights."""
        count = parameters or total * 8 // 5
        per_token = kv_per_token if kv_per_token is not None else guess_kv_per_token(count)
        return per_token * self._n_ctx + (96 << 20) + total // 50

    def recommend(self, sizes: Sequence[int], parameters: int | None = None) -> int | None:
        """Index of the largest that runs wholly on the GPU, else in memory; None when none fits."""
        for wanted in ("full_gpu", "partly", "fits_in_memory"):
            fitting = [i for i, size in enumerate(sizes) if self.label(size, parameters) == wanted]
            if fitting:
                return max(fitting, key=lambda i: sizes[i])
        return None


def guess_kv_per_token(parameters: int) -> int:
    """Bytes of f16 K and V for one token of a usual dense model with grouped-query attention: 128 KiB at 8 billion
    parameters, growing with the root (Llama 3, Qwen 2.5 and 3 lie within a factor of 1.6)."""
    return int(45 * 1024 * max(parameters / 1e9, 0.02) ** 0.5)


def fit_label(total: int, machine: Machine, n_ctx: int = 4096, parameters: int | None = None) -> Fit:
    """One label; for many rows build a Fitter once."""
    return Fitter(machine, n_ctx).label(total, parameters)
