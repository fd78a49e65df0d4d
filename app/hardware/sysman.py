"""Intel's Sysman (Level Zero), where its loader is installed: memory in use and how busy a card is.

Structures and numbers are those of the Level Zero specification's zes_api.h. The library is the system's own; without
it, or without Sysman in the driver, every value is None and ``problem`` says why.
"""

import ctypes
import sys
from collections.abc import Callable, Sequence
from ctypes import c_int32, c_uint8, c_uint32, c_uint64, c_void_p
from typing import Any

LIBRARY = "ze_loader.dll" if sys.platform == "win32" else "libze_loader.so.1"
_PCI, _MEM_PROPERTIES, _MEM_STATE, _ENGINE = 0x2, 0xB, 0x1E, 0x5  # zes_structure_type_t
_ON_DEVICE = 1  # zes_mem_loc_t
_ALL_ENGINES = 0  # zes_engine_group_t

Fields = Sequence[tuple[str, Any]]


def _structure(name: str, fields: Fields) -> Any:
    return type(name, (ctypes.Structure,), {"_fields_": [("stype", c_int32), ("pNext", c_void_p), *fields]})


class Address(ctypes.Structure):
    """zes_pci_address_t."""

    _fields_ = [(name, c_uint32) for name in ("domain", "bus", "device", "function")]


PciProperties = _structure(
    "PciProperties",
    [
        ("address", Address), ("gen", c_int32), ("width", c_int32), ("bandwidth", ctypes.c_int64),
        ("have_bandwidth", c_uint8), ("have_packets", c_uint8), ("have_replays", c_uint8),
    ],
)  # fmt: skip
MemoryProperties = _structure(
    "MemoryProperties",
    [
        ("type", c_int32), ("on_subdevice", c_uint8), ("subdevice", c_uint32), ("location", c_int32),
        ("size", c_uint64), ("bus_width", c_int32), ("channels", c_int32),
    ],
)  # fmt: skip
MemoryState = _structure("MemoryState", [("health", c_int32), ("free", c_uint64), ("size", c_uint64)])
EngineProperties = _structure(
    "EngineProperties", [("type", c_int32), ("on_subdevice", c_uint8), ("subdevice", c_uint32)]
)


class EngineStats(ctypes.Structure):
    """zes_engine_stats_t: microseconds."""

    _fields_ = [("active", c_uint64), ("timestamp", c_uint64)]


class Sysman:
    """Cards by PCI address (``0000:03:00.0``). ``load`` brings another library in tests."""

    def __init__(self, load: Callable[[], Any] = lambda: ctypes.CDLL(LIBRARY)) -> None:
        self._load = load
        self._library: Any = None
        self._started = False
        self._cards: dict[str, int] = {}
        self._engines: dict[str, tuple[int, int]] = {}
        self.problem = ""
        """Why nothing can be read, in words."""

    def memory(self, pci: str | None) -> tuple[int, int] | None:
        """(bytes in use, bytes there are) of a card's own memory."""
        card = self._card(pci)
        if card is None:
            return None
        used = total = 0
        for module in self._handles("zesDeviceEnumMemoryModules", card):
            kind = self._ask("zesMemoryGetProperties", module, MemoryProperties(stype=_MEM_PROPERTIES))
            state = self._ask("zesMemoryGetState", module, MemoryState(stype=_MEM_STATE))
            if kind is not None and state is not None and kind.location == _ON_DEVICE:
                used, total = used + max(0, state.size - state.free), total + state.size
        return (used, total) if total else None

    def busy(self, pci: str | None) -> float | None:
        """Percent of the time since the last call in which any engine worked; None at the first."""
        card = self._card(pci)
        for engine in self._handles("zesDeviceEnumEngineGroups", card) if card is not None else ():
            kind = self._ask("zesEngineGetProperties", engine, EngineProperties(stype=_ENGINE))
            if kind is None or kind.type != _ALL_ENGINES:
                continue
            stats = self._ask("zesEngineGetActivity", engine, EngineStats())
            if stats is not None:
                return self._share(str(pci), stats.active, stats.timestamp)
        return None

    def _share(self, pci: str, active: int, timestamp: int) -> float | None:
        before, self._engines[pci] = self._engines.get(pci), (active, timestamp)
        if before is None or timestamp <= before[1]:
            return None
        return min(100.0, 100.0 * max(0, active - before[0]) / (timestamp - before[1]))

    # ------------------------------------------------------------------ the library

    def _card(self, pci: str | None) -> int | None:
        if not self._started:
            self._started = True
            self._start()
        return self._cards.get(pci or "")

    def _start(self) -> None:
        try:
            self._library = self._load()
            failed = self._library.zesInit(c_uint32(0))
        except (OSError, AttributeError):
            self.problem = "Level Zero with Sysman is not installed"
            return
        if failed:
            self.problem = f"Level Zero's Sysman can't be started (0x{failed & 0xFFFFFFFF:x})"
            return
        for driver in self._handles("zesDriverGet"):
            for card in self._handles("zesDeviceGet", driver):
                found = self._ask("zesDevicePciGetProperties", card, PciProperties(stype=_PCI))
                if found is not None:
                    self._cards[_slot(found.address)] = card
        if not self._cards:
            self.problem = "Level Zero's Sysman shows no card"

    def _handles(self, name: str, of: int | None = None) -> list[int]:
        """All handles that an enumerating function gives."""
        call, first = getattr(self._library, name), () if of is None else (c_void_p(of),)
        count = c_uint32(0)
        if call(*first, ctypes.byref(count), None) or not count.value:
            return []
        found = (c_void_p * count.value)()
        if call(*first, ctypes.byref(count), found):
            return []
        return [handle for handle in found[: count.value] if handle]

    def _ask(self, name: str, handle: int, result: Any) -> Any:
        """The filled structure, or None when the driver refuses."""
        return None if getattr(self._library, name)(c_void_p(handle), ctypes.byref(result)) else result


def _slot(address: Any) -> str:
    return f"{address.domain:04x}:{address.bus:02x}:{address.device:02x}.{address.function:x}"
