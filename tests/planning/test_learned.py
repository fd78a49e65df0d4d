from pathlib import Path

from app.core.events import MemoryUse
from app.planning.learned import Overheads

USE = (MemoryUse("CUDA0", 100, 20, 5), MemoryUse("CPU", 7))


def test_the_difference_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "overheads.json"
    seen = Overheads(path)
    for held in (425, 525, 325):
        seen.note("CUDA0", held, USE)
    assert seen.get() == {"CUDA": 300}
    assert Overheads(path).get() == {"CUDA": 300}


def test_nonsense_is_left_out(tmp_path: Path) -> None:
    seen = Overheads(tmp_path / "o.json")
    seen.note("CUDA0", 50, USE)
    seen.note("CUDA0", 50 << 30, USE)
    seen.note("Vulkan0", 500, USE)
    assert seen.get() == {}


def test_a_damaged_file_is_as_good_as_none(tmp_path: Path) -> None:
    path = tmp_path / "o.json"
    path.write_text("[")
    seen = Overheads(path)
    seen.note("CUDA0", 425, USE)
    assert seen.get() == {"CUDA": 300}
