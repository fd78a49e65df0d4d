"""Intel's Sysman over a library that behaves as the specification says."""

import ctypes
from pathlib import Path
from typing import Any

from app.hardware.intel import Intel
from app.hardware.sysman import Address, Sysman
from tests.fakes.sysroot import intel_xe

GIB = 1 << 30


class Library:
    """One driver with one card at 0000:03:00.0: 12 GiB of its own memory, and a view of main memory."""

    def __init__(self, failure: int = 0) -> None:
        self.failure, self.active, self.now, self.free = failure, 0, 0, 9 * GIB

    def zesInit(self, _flags: Any) -> int:
        return self.failure

    def _give(self, count: Any, places: Any, *handles: int) -> int:
        count._obj.value = len(handles)
        for at, handle in enumerate(handles if places is not None else ()):
            places[at] = handle
        return 0

    def zesDriverGet(self, count: Any, places: Any) -> int:
        return self._give(count, places, 1)

    def zesDeviceGet(self, _driver: Any, count: Any, places: Any) -> int:
        return self._give(count, places, 2)

    def zesDeviceEnumMemoryModules(self, _card: Any, count: Any, places: Any) -> int:
        return self._give(count, places, 3, 4)

    def zesDeviceEnumEngineGroups(self, _card: Any, count: Any, places: Any) -> int:
        return self._give(count, places, 5, 6)

    def zesDevicePciGetProperties(self, _card: Any, result: Any) -> int:
        assert result._obj.stype == 2
        result._obj.address = Address(0, 3, 0, 0)
        return 0

    def zesMemoryGetProperties(self, module: Any, result: Any) -> int:
        result._obj.location = 1 if module.value == 3 else 0
        return 0

    def zesMemoryGetState(self, _module: Any, result: Any) -> int:
        result._obj.free, result._obj.size = self.free, 12 * GIB
        return 0

    def zesEngineGetProperties(self, engine: Any, result: Any) -> int:
        result._obj.type = 0 if engine.value == 6 else 3
        return 0

    def zesEngineGetActivity(self, _engine: Any, result: Any) -> int:
        result._obj.active, result._obj.timestamp = self.active, self.now
        return 0


def test_a_card_tells_its_memory_and_how_busy_it_is(tmp_path: Path) -> None:
    library = Library()
    reader = Intel(intel_xe(tmp_path), sysman=Sysman(lambda: library))
    (gpu,) = reader.detect().gpus
    library.now = 1_000_000
    first = reader.read(gpu, [])
    assert (first.memory_used, first.memory_total) == (3 * GIB, 12 * GIB)
    assert first.utilization is None
    assert "second reading" in first.missing["utilization"]
    library.active, library.now = 250_000, 2_000_000
    assert reader.read(gpu, []).utilization == 25.0


def test_without_it_the_reason_is_said(tmp_path: Path) -> None:
    def none() -> Any:
        raise OSError("no such library")

    for load, words in ((none, "not installed"), (lambda: Library(0x78000001), "0x78000001")):
        reader = Intel(intel_xe(tmp_path), sysman=Sysman(load))
        reading = reader.read(reader.detect().gpus[0], [])
        assert reading.memory_used is None
        assert reading.utilization is None
        assert words in reading.missing["memory_used"]
        assert words in reading.missing["utilization"]


def test_the_structures_have_the_specification_s_sizes() -> None:
    from app.hardware import sysman

    sizes = {
        name: ctypes.sizeof(getattr(sysman, name))
        for name in ("PciProperties", "MemoryProperties", "MemoryState")
    }
    assert sizes == {"PciProperties": 56, "MemoryProperties": 48, "MemoryState": 40}
