"""What a job takes before it starts: sizes by dry run, times that are learned, and the order of the real work."""

import threading
from pathlib import Path

import pytest
from msgspec.structs import replace

from app.core.errors import LabRefusedError
from app.core.events import Bus
from app.core.lab import LabProgress, QuantizeJob, slab_bytes
from app.core.paths import Paths
from app.models.gguf import read_header
from app.models.hub import Hub
from app.models.library import Library
from app.optimize import sizes
from app.optimize.orders import MeasureOrder, QuantOrder, Speed
from app.optimize.process import CPU
from app.optimize.queue import Step
from app.optimize.rates import Rates, cost
from app.optimize.work import Work
from tests.fakes.gguf_writer import write_model
from tests.fakes.tiny_models import write_windowed

WORDS = "The river ran past the mill, and the miller's daughter counted {} boats before the rain came back. "


@pytest.fixture(scope="module")
def tiny(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with full weights that llama.cpp really runs."""
    return write_windowed(tmp_path_factory.mktemp("tiny") / "Tiny-F32.gguf", starter)


def test_every_type_that_llama_cpp_writes_is_offered() -> None:
    from app.runtime.llama_quantize import FILE_TYPES, TENSOR_TYPES

    assert set(sizes.WRITABLE) == FILE_TYPES.keys() - {"GUESSED"}
    assert set(sizes.USUAL) < set(sizes.WRITABLE)
    assert set(sizes.TENSOR_TYPES) <= TENSOR_TYPES.keys()
    assert not TENSOR_TYPES.keys() & {"COUNT", "I8", "I32", "F64", "Q8_1", "Q8_K"}, "llama.cpp aborts on them"


def test_a_pattern_that_stands_for_nothing_is_refused(tmp_path: Path) -> None:
    source = write_model(tmp_path / "m-F16.gguf", kind="F16")
    job = QuantizeJob(source=str(source), target=str(tmp_path / "x.gguf"), type="Q8_0")
    sizes.refuse_patterns(replace(job, overrides=(("ffn_(up|down)", "Q4_0"), ("[[:alpha:]]_k", "Q4_0"))))
    for pattern, why in (
        ("nosuch", "no tensor of m-F16.gguf is called like nosuch"),
        ("a(", "is no pattern"),
    ):
        with pytest.raises(LabRefusedError, match=why):
            sizes.dry_run(replace(job, overrides=((pattern, "Q4_0"),)))


def test_a_layer_that_is_not_there_is_refused_before_the_start(tmp_path: Path) -> None:
    source = write_model(tmp_path / "m-F16.gguf", kind="F16")
    with pytest.raises(LabRefusedError, match=r"no layer 99 to prune: m-F16\.gguf has \d"):
        sizes.dry_run(QuantizeJob(source=str(source), target="x", type="Q8_0", prune=(99,)))


def test_a_disk_that_lacks_little_does_not_lack_nothing() -> None:
    assert [sizes.short_of(missing) for missing in (1, 10**6, 1_600_000)] == ["1 MB", "1 MB", "2 MB"]


def test_a_dry_run_is_kept(tiny: Path) -> None:
    job = QuantizeJob(source=str(tiny), target="x", type="Q8_0")
    found = sizes.dry_run(job)
    assert 0 < found.bytes < tiny.stat().st_size / 2
    assert sizes.dry_run(job) is found


def test_memory_and_disk_are_counted(tiny: Path, tmp_path: Path) -> None:
    header = read_header(tiny)
    assert sizes.quantizing_memory(header) == 12 * 64 * 49152
    huge = replace(header.tensors[0], shape=(8192, 128_256), bytes=2 * 8192 * 128_256)
    worked_on = sizes.quantizing_memory(replace(header, tensors=(huge,))) - huge.bytes
    assert worked_on == slab_bytes(0) < 2 * huge.bytes
    assert slab_bytes(16) == 8 * slab_bytes(1)
    some, every = (sizes.computing_memory(tiny, header, every=whole) for whole in (False, True))
    assert every - some == sizes.AT_ONCE // 2 * 49152 * 4
    assert sizes.reference_bytes(header, 2) == 2 * 256 * (8192 * 6 + 8)
    text = tmp_path / "t.txt"
    text.write_text("x" * 36_000)
    assert sizes.pieces_of(text, 0) == 19
    assert sizes.pieces_of(text, 4) == 4
    assert sizes.free_space(tmp_path / "not" / "there") > 0


def test_times_are_learned_from_what_was_done(tmp_path: Path) -> None:
    rates = Rates(tmp_path / "lab" / "rates.json")
    low, high = rates.quantizing("Q4_K_M", 1_000_000)
    rates.learn("quantize:Q4_K_M", 1_000_000, 2.0)
    assert rates.quantizing("Q4_K_M", 1_000_000) == pytest.approx((1.5, 2.7))
    assert rates.quantizing("IQ2_XXS", 1_000_000)[0] / 0.4 == pytest.approx(2.0 * cost("IQ2") / cost("Q4_K"))
    assert high / low > 5
    with rates.timed("tokens", lambda: 1000) as timing:
        timing.counted(lambda _progress: None)(LabProgress(2, 4))
    assert rates.read()["tokens"] > 0
    (tmp_path / "lab" / "rates.json").write_text("{")
    assert rates.read() == {}


def test_orders_become_models_and_measurements(tiny: Path, paths: Paths, tmp_path: Path) -> None:
    text = tmp_path / "boats.txt"
    text.write_text("".join(WORDS.format(number * 37 % 101) for number in range(60)))
    steps: list[Step] = []
    asked: list[Path] = []

    def speed(model: Path, _cancel: threading.Event) -> Speed:
        asked.append(model)
        return Speed(decode=12.5)

    library, hub = Library(paths, Bus()), Hub(None, lambda: None)
    work = Work(paths, (library, hub), Rates(paths.cache / "r.json"), lambda: CPU, speed)
    target = paths.models / "lab" / "Tiny-Q4_0" / "Tiny-Q4_0.gguf"
    quant = QuantOrder(
        source=str(tiny), target=str(target), type="Q4_0", text=str(text), text_name="boats", chunks=1
    )
    made = work(quant, steps.append, threading.Event())
    assert library.get(made.model).path == str(target)
    assert Path(made.matrix).name.startswith("Tiny-F32.boats.")
    assert {step.stage for step in steps} == {"size", "matrix", "quantize"}
    order = MeasureOrder(
        models=(str(target),),
        reference=str(tiny),
        texts=(str(text),),
        names=("boats",),
        chunks=1,
        speed=True,
    )
    (lost,) = work(order, steps.append, threading.Event()).points
    assert (lost.quant, lost.text, lost.speed) == ("Q4_0", "boats", Speed(decode=12.5))
    assert lost.figures["kl"] > 0
    assert asked == [target]
    assert steps[-1].stage == "speed"
    library.close()
