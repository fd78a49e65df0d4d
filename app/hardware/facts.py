"""The machine as data, and what a vendor's reader must offer. Unknown is None and comes with the reason.

Bytes, watts, degrees Celsius, megahertz, percent (0 to 100).
"""

import enum
from collections.abc import Sequence
from typing import Literal, Protocol

from msgspec import Struct

VendorName = Literal["nvidia", "amd", "intel", "apple", "other"]


class Fact(Struct, frozen=True):
    """One line of ``hearth doctor``: a name, its value in words (None: unknown), and how it was learned, or why not."""

    name: str
    value: str | None
    how: str


def memory_words(count: int | None) -> str | None:
    """Bytes for a Fact: ``24.0 GiB``, ``32.0 MiB``."""
    if count is None:
        return None
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"


class Cpu(Struct, frozen=True, omit_defaults=True):
    """The processor. ``features`` are instruction sets llama.cpp can use, in the system's spelling."""

    name: str | None = None
    physical_cores: int | None = None
    threads: int | None = None
    features: tuple[str, ...] | None = None
    l3: int | None = None
    """Bytes of last-level cache, all of them together."""
    performance_cores: int | None = None
    """Physical fast cores of a hybrid processor; None when all cores are alike or it can't be told."""
    usable_threads: int | None = None
    """What affinity and the container's quota leave to this process."""

    @property
    def best_threads(self) -> int:
        """Threads to compute with before anything was measured: fast physical cores this process may use."""
        cores = self.performance_cores or self.physical_cores or self.threads or 1
        return max(1, min(cores, self.usable_threads or cores))


class Memory(Struct, frozen=True, omit_defaults=True):
    """Main memory this process may use: the machine's, or the container's limit when that is less."""

    total: int | None = None
    available: int | None = None
    limit: int | None = None
    """The container's limit, when there is one below the machine's memory."""


class Gpu(Struct, frozen=True, omit_defaults=True):
    """One graphics processor, whoever reported it first; ``devices`` are its names in ggml's backends."""

    index: int
    vendor: VendorName
    name: str
    memory_total: int | None = None
    memory_free: int | None = None
    pci: str | None = None
    """``domain:bus:device.function`` in lower case, for example ``0000:65:00.0``."""
    driver: str | None = None
    uuid: str | None = None
    unified: bool = False
    """Shares main memory (integrated graphics, Apple): its memory is not on top of the machine's."""
    devices: tuple[str, ...] = ()
    software: bool = False
    """A processor imitating a GPU (lavapipe); never worth choosing by itself."""
    key: str = ""
    """What its vendor's reader finds it by (a sysfs folder, an NVML UUID)."""
    unused: str = ""
    """Why the engine has no device on it, in words."""
    target: str = ""
    """What code for it is compiled for: ``sm_90`` (CUDA's compute capability), ``gfx1100`` (ROCm)."""


class Device(Struct, frozen=True, omit_defaults=True):
    """One device as a ggml backend reports it."""

    backend: str
    name: str
    description: str = ""
    type: str = "cpu"
    """``cpu``, ``gpu``, ``igpu`` or ``accel``."""
    free: int | None = None
    total: int | None = None
    pci: str | None = None


class Backend(Struct, frozen=True, omit_defaults=True):
    """One compute backend of the engine, or the reason it can't be used."""

    name: str
    devices: tuple[Device, ...] = ()
    problem: str | None = None


class Machine(Struct, frozen=True):
    """Everything learned at once; ``facts`` tells how."""

    cpu: Cpu
    memory: Memory
    gpus: tuple[Gpu, ...] = ()
    backends: tuple[Backend, ...] = ()
    os: str = ""
    python: str = ""
    facts: tuple[Fact, ...] = ()

    @property
    def offload(self) -> tuple[Gpu, ...]:
        """The GPUs the engine can really use: a backend has a device on them."""
        return tuple(gpu for gpu in self.gpus if gpu.devices)


class Throttle(enum.IntFlag):
    """Why a processor runs below its clock; published as a number."""

    NONE = 0
    POWER = 1
    THERMAL = 2
    HARDWARE = 4


class Reading(Struct, frozen=True, omit_defaults=True):
    """One live reading of one GPU. ``missing`` names what could not be read, and why, in words."""

    memory_total: int | None = None
    memory_used: int | None = None
    memory_us: int | None = None
    """Of which this program and its workers."""
    memory_shared: int | None = None
    """Main memory the driver lends the GPU right now (a spill when VRAM is full)."""
    utilization: float | None = None
    power: float | None = None
    temperature: float | None = None
    clock: float | None = None
    throttle: Throttle | None = None
    pcie_generation: int | None = None
    pcie_width: int | None = None
    missing: dict[str, str] = {}


class Found(Struct, frozen=True):
    """What a vendor's reader saw."""

    gpus: tuple[Gpu, ...] = ()
    facts: tuple[Fact, ...] = ()


class Vendor(Protocol):
    """One file per vendor implements this; ``detect`` and ``read`` never raise for what is merely absent."""

    name: VendorName

    def detect(self) -> Found:
        """The GPUs of this vendor and how each fact was learned."""
        ...

    def read(self, gpu: Gpu, pids: Sequence[int]) -> Reading:
        """One live reading; ``pids`` are the processes counted as ours."""
        ...

    def close(self) -> None:
        """Give back what the library holds."""
        ...
