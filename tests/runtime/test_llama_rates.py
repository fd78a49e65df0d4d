import time
from pathlib import Path
from typing import Self

import msgspec
import pytest

from app.models.gguf import read_header
from app.planning.model_facts import from_header
from app.planning.rates import Raw, solve
from app.runtime.alone import Clock, waited
from app.runtime.llama_rates import PREFILL, SMALL_BATCH, measure
from app.runtime.rate_models import TYPES, Shape, matrices, parameters, rows, weight_bytes, write

SHAPE = Shape(3, 512, 8, 2, 1536)
TIED = SHAPE._replace(vocabulary=4096)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("shape", [SHAPE, TIED])
def test_the_models_it_measures_are_what_it_says(shape: Shape, kind: str, tmp_path: Path) -> None:
    header = read_header(write(tmp_path / "m.gguf", shape, kind))
    facts = from_header(header)
    assert facts.tied == (shape is TIED)
    work = [*facts.body_mix.values(), *facts.output_mix.values()]
    assert {*facts.body_mix, *facts.output_mix} == {kind}
    assert sum(item.rows for item in work) == rows(shape)
    assert sum(item.matrices for item in work) == matrices(shape)
    assert sum(item.elements for item in facts.body_mix.values()) == parameters(shape)
    norms = (2 * shape.layers + 1) * shape.width * 4
    assert sum(item.bytes for item in work) + norms == weight_bytes(shape, kind)
    assert [layer.k_width for layer in facts.layers] == [128] * 3


class SlowBench:
    """A device that takes ``cost`` seconds of a pretended clock for each model, and ``token`` for a token of one that
    has weights."""

    def __init__(self, seconds: float, cost: float, token: float = 1e-4) -> None:
        self.left, self.cost, self.token = seconds, cost, token
        self.sizes: list[int] = []

    def open(self, shape: Shape, kind: str, n_ctx: int, kv: str = "f16") -> "SlowSession":
        self.left -= self.cost
        if shape.width == 2048:
            self.sizes.append(weight_bytes(shape, kind) // 10**6)
        return SlowSession(self.token if shape.width > 128 else min(self.token, 1e-3))


class SlowSession:
    def __init__(self, token: float) -> None:
        self.position, self.token = 0, token

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def step(self, *_: object) -> float:
        return self.token

    def fill(self, count: int, seconds: float, batch: int) -> float:
        assert batch == (PREFILL if self.token < 0.1 else SMALL_BATCH)  # a batch must not take the whole time
        self.position += count
        return 1e-3


def test_a_slow_device_is_measured_with_fewer_types_and_smaller_models() -> None:
    quick, slow = SlowBench(50, 0.5), SlowBench(50, 6, token=0.06)
    assert list(measure(quick, list(TYPES), ["f16", "q8_0"], 120)["types"])[:2] == ["Q4_K", "Q8_0"]
    assert len(measure(quick, list(TYPES), ["f16", "q8_0"], 120)["types"]) >= 1
    found = measure(slow, list(TYPES), ["f16", "q8_0"], 120)
    assert (list(found["types"]), list(found["attention"])) == (["Q4_K", "Q8_0"], ["f16"])
    assert slow.sizes[1] < slow.sizes[0]


def test_a_quick_device_without_time_leaves_types_out_but_shrinks_no_model_into_a_cache() -> None:
    busy = SlowBench(50, 6)
    found = measure(busy, list(TYPES), ["f16"], 120)
    assert 1 < len(found["types"]) < len(TYPES)
    assert min(busy.sizes) > 100


def test_steps_that_another_program_took_time_from_are_told_apart() -> None:
    def spin() -> float:
        began = time.process_time()
        while time.process_time() - began < 0.002:
            pass
        return time.process_time() - began

    alone, halved = Clock(1, Path("/none")), Clock(2, Path("/none"))
    assert alone.timed(spin)[1]
    assert not halved.timed(spin)[1]  # one thread's time where two were asked for
    assert Clock(0).timed(lambda: 1.0)[1]
    assert halved.timed(lambda: 0.0)[1]
    alone.note(clean=True)
    alone.note(clean=False)
    assert (alone.share, Clock(1).share) == (0.5, 1.0)


def test_a_device_out_of_time_answers_all_the_same() -> None:
    found = measure(SlowBench(1, 9, token=0.2), list(TYPES), ["f16"], 120)
    assert (list(found["types"]), list(found["attention"])) == (["Q4_K"], ["f16"])
    raw = msgspec.convert({"device": "Vulkan0", "threads": 1, "seconds": 40.0, **found}, Raw)
    assert solve(raw).of("Q6_K") is not None


def test_linux_tells_how_long_threads_waited(tmp_path: Path) -> None:
    def wait(more: int) -> float:
        (tmp_path / "2" / "schedstat").write_text(f"900 {2_000_000 + more} 5\n")
        return 0.01

    for name, waited_ns in (("1", 0), ("2", 2_000_000)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "schedstat").write_text(f"1000 {waited_ns} 5\n")
    (tmp_path / "3").mkdir()  # ends while it is looked at
    assert waited(tmp_path) == pytest.approx(0.002)
    clock = Clock(2, tmp_path)
    assert clock.timed(lambda: wait(100_000)) == (0.01, True)
    assert clock.timed(lambda: wait(3_100_000)) == (0.01, False)
    assert waited(tmp_path / "none") is None
