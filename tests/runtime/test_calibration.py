"""Choosing the number of threads by trying."""

from pathlib import Path

import pytest

from app.core.types import LoadPlan
from app.runtime.calibration import FILE, ThreadMemory, candidates, fastest, key_of


class Machine:
    """A clock that runs as long as each number of threads takes."""

    def __init__(self, seconds: dict[int, float]) -> None:
        self.seconds, self.now = seconds, 0.0
        self.tried: list[int] = []

    def step(self, threads: int) -> None:
        self.tried.append(threads)
        self.now += self.seconds[threads]

    def clock(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("cores", "expected"), [(1, [1]), (2, [2, 1]), (4, [4, 3, 2]), (8, [8, 6, 4]), (16, [16, 12, 8])]
)
def test_candidates(cores: int, expected: list[int]) -> None:
    assert candidates(cores) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ({8: 0.010, 6: 0.009, 4: 0.012}, 6),
        ({8: 0.010, 6: 0.0101, 4: 0.02}, 6),
        ({8: 0.010, 6: 0.02, 4: 0.03}, 8),
        ({8: 0.010, 6: 0.01, 4: 0.01}, 4),
    ],
)
def test_the_fastest_wins_and_fewer_if_equal(seconds: dict[int, float], expected: int) -> None:
    machine = Machine(seconds)
    found, measured = fastest(8, machine.step, machine.clock)
    assert found == expected
    assert set(measured) == {8, 6, 4}


def test_a_slow_model_is_not_tried_for_long() -> None:
    machine = Machine(dict.fromkeys((8, 6, 4), 2.0))
    assert fastest(8, machine.step, machine.clock)[0] == 8
    assert machine.tried == [8, 8]


def test_it_is_remembered(tmp_path: Path) -> None:
    memory = ThreadMemory(tmp_path / "cache")
    assert memory.recall("a") is None
    memory.remember("a", 3)
    memory.remember("b", 4)
    assert (ThreadMemory(tmp_path / "cache").recall("a"), memory.recall("b")) == (3, 4)
    (tmp_path / "cache" / FILE).write_bytes(b"{\xff")
    assert memory.recall("a") is None
    (tmp_path / "file").write_bytes(b"")
    ThreadMemory(tmp_path / "file").remember("a", 1)


def test_the_key_is_of_the_model_and_the_placement(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"x")
    plan = LoadPlan(str(path))
    assert key_of(plan, 4) == key_of(LoadPlan(str(path), n_ctx=1), 4)
    assert key_of(plan, 4) != key_of(plan, 2)
    assert key_of(plan, 4) != key_of(LoadPlan(str(path), n_gpu_layers=0), 4)
