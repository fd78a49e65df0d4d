"""The lab through its real process and the real small model: quants, matrices, figures, and what goes wrong."""

import math
import os
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import numpy as np
import pytest

from app.core.errors import (
    BadRequestError,
    HearthError,
    LabDiskFullError,
    LabStoppedError,
    PackCrashedError,
    QuantizeFailedError,
    TextTooShortError,
    TruncatedModelError,
    UnsupportedModelError,
)
from app.core.lab import LabProgress, MatrixJob, QuantizeJob, ScoreJob
from app.core.types import LoadPlan
from app.models.gguf import read_header
from app.models.transfer_sidecar import FileLock
from app.optimize import matrix_file, quantize, recipes
from app.optimize.measure import Measured, Measurer, price_sentence, sentence
from app.optimize.process import Devices, LabCancelledError, run_job
from app.optimize.sizes import dry_run
from app.runtime.pack_store import PackStore
from tests.fakes.gguf_writer import Tensor, write_gguf
from tests.fakes.moe import EXPERTS, write_moe
from tests.fakes.packs import make_pack
from tests.fakes.tiny_models import write_windowed
from tests.lab_proof import Proof, find_peers

ROOT = Path(__file__).resolve().parents[2]
WORDS = "The river ran past the mill, and the miller's daughter counted {} boats before the rain came back. "


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("".join(WORDS.format(number * 37 % 101) for number in range(60)))
    return path


@pytest.fixture(scope="module")
def full(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The starter model with its weights as F16."""
    target = tmp_path_factory.mktemp("full") / "SmolLM2-F16.gguf"
    run_job(QuantizeJob(source=str(starter), target=str(target), type="F16", requantize=True))
    return target


@pytest.fixture(scope="module")
def small(full: Path, tmp_path_factory: pytest.TempPathFactory) -> quantize.Made:
    target = quantize.target_for(tmp_path_factory.mktemp("small"), full, "q4_k_m")
    seen: list[LabProgress] = []
    job = QuantizeJob(source=str(full), target=str(target), type="Q4_K_M", overrides=(("ffn_down", "Q8_0"),))
    made = quantize.make(job, engine="test", tell=seen.append)
    assert seen[-1].total == len(read_header(full).tensors)
    return made


def test_a_quant_has_its_types_its_size_and_its_recipe(full: Path, small: quantize.Made) -> None:
    header = read_header(Path(small.path))
    assert Path(small.path).name == "SmolLM2-Q4_K_M.gguf"
    assert {t.type for t in header.tensors if "ffn_down" in t.name} == {"Q8_0"}
    assert 4 < small.bits < 9
    assert any("q4_K -> q5_0" in note for note in small.fallbacks)
    assert Path(small.path).with_suffix(".recipe.json").read_bytes()
    assert small.recipe.source == full.name


def test_the_recipe_makes_the_same_bytes_again(full: Path, small: quantize.Made, tmp_path: Path) -> None:
    recipe = recipes.read_recipe(Path(small.path))
    assert recipe == small.recipe
    assert len(recipe.source_sha256) == len(recipe.result_sha256) == 64
    assert recipe.commit
    made = quantize.repeat(recipe, full, tmp_path / "again.gguf", engine="test")
    assert Path(made.path).read_bytes() == Path(small.path).read_bytes()
    with pytest.raises(BadRequestError, match="is not the source of the recipe"):
        quantize.repeat(recipe, Path(small.path), tmp_path / "other.gguf", engine="test")
    with pytest.raises(BadRequestError, match="no recipe of a quant"):
        recipes.read_recipe(tmp_path / "other.gguf")


def test_pruned_layers_are_gone(full: Path, tmp_path: Path) -> None:
    target = tmp_path / "two.gguf"
    job = QuantizeJob(source=str(full), target=str(target), type="Q8_0", prune=tuple(range(1, 29)))
    made = quantize.make(job, engine="test")
    sized = dry_run(job)
    assert 8.4 < sized.bits < 8.6
    assert 8.4 < made.bits < 8.6, "of the weights that are left"
    assert sized.bytes == pytest.approx(made.bytes, abs=20_000), "with the vocabulary, which is 1.8 MB here"
    header = read_header(target)
    assert header.metadata["llama.block_count"] == 2
    assert {t.name.split(".")[1] for t in header.tensors if t.name.startswith("blk")} == {"0", "1"}
    job = QuantizeJob(source=str(full), target=str(target), type="Q8_0", prune=(30,))
    with pytest.raises(BadRequestError, match="no layer 30"):
        quantize.make(job, engine="test")


def test_two_jobs_never_write_one_file(full: Path, tmp_path: Path) -> None:
    lock = FileLock(tmp_path / ".out.gguf.lock")
    job = QuantizeJob(source=str(full), target=str(tmp_path / "out.gguf"), type="Q8_0")
    with pytest.raises(BadRequestError, match="another job"):
        quantize.make(job, engine="test")
    lock.release()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on a file's size")
def test_a_disk_that_fills_is_named(full: Path, tmp_path: Path) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20 << 20, before[1]))
    try:
        with pytest.raises(QuantizeFailedError, match="could not be written after"):
            run_job(QuantizeJob(source=str(full), target=str(tmp_path / "out.gguf"), type="Q8_0"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


def test_a_disk_with_too_little_room_is_named_before_anything_is_written(
    full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_disk = (
        "import shutil, sys; shutil.disk_usage = lambda _: shutil._ntuple_diskusage(1, 1, 100 << 20);"
    )
    code = f"{small_disk} from app.__main__ import main; sys.exit(main())"
    monkeypatch.setattr("app.optimize.process.program", lambda: [sys.executable, "-c", code])
    seen: list[LabProgress] = []
    job = QuantizeJob(source=str(full), target=str(tmp_path / "out.gguf"), type="Q8_0")
    with pytest.raises(LabDiskFullError) as caught:
        run_job(job, seen.append)
    missing = int(str(caught.value.params["missing"]).removesuffix(" MB"))
    assert missing == pytest.approx(144.8 - 105 + 67, abs=3)
    assert (seen, list(tmp_path.iterdir())) == ([], [])


def test_a_reference_that_has_no_room_is_not_begun(
    full: Path, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.optimize.measure.free_space", lambda _folder: 20_000_000)
    with pytest.raises(LabDiskFullError, match=r"5 MB more are needed"):
        Measurer(tmp_path, chunks=2).reference(full, text)
    assert not list(tmp_path.iterdir())


def test_a_foreign_architecture_is_named(text: Path, tmp_path: Path) -> None:
    source = tmp_path / "strange.gguf"
    write_gguf(source, {"general.architecture": "never-heard-of"}, [Tensor("x.weight", (64, 64))])
    with pytest.raises(QuantizeFailedError, match="never-heard-of"):
        quantize.make(
            QuantizeJob(source=str(source), target=str(tmp_path / "out.gguf"), type="Q8_0"), engine="test"
        )
    with pytest.raises(UnsupportedModelError, match="never-heard-of"):
        run_job(ScoreJob(model=str(source), text=str(text)))
    assert [path.name for path in tmp_path.iterdir()] == ["strange.gguf"]


def test_a_matrix_is_computed_written_and_used(full: Path, text: Path, tmp_path: Path) -> None:
    target = tmp_path / "m.gguf"
    done = quantize.make_matrix(full, text, target, chunks=1)
    matrix = matrix_file.read(target)
    assert done.figures["chunks"] == matrix.chunks == 1
    assert len(matrix.sums) == 210
    assert all(counts.tolist() == [512] for counts in matrix.counts.values())
    assert [path.name for path in tmp_path.iterdir()] == ["m.gguf"]
    job = QuantizeJob(source=str(full), target=str(tmp_path / "iq2" / "iq2.gguf"), type="IQ2_XXS")
    with pytest.raises(BadRequestError, match="importance matrix"):
        quantize.make(job, engine="test")
    assert not (tmp_path / "iq2").exists()
    job = QuantizeJob(source=str(full), target=str(tmp_path / "q4_0.gguf"), type="Q4_0")
    made = quantize.make(job, engine="test", matrix=target)
    header = read_header(Path(made.path))
    assert header.metadata["quantize.imatrix.entries_count"] == 210
    assert header.metadata["quantize.imatrix.file"] == "m.gguf"


def test_a_matrix_that_got_further_is_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = list[str]()

    def stop(job: MatrixJob, *_more: object) -> None:
        parts.append(job.target)
        raise LabCancelledError

    monkeypatch.setattr(quantize, "run_job", stop)
    (tmp_path / "m.gguf").write_bytes(b"m")
    (tmp_path / "t.txt").write_bytes(b"t")
    for chunks in (64, 16, 64):
        with pytest.raises(LabCancelledError):
            quantize.make_matrix(tmp_path / "m.gguf", tmp_path / "t.txt", tmp_path / "x.gguf", chunks=chunks)
    assert parts[0] == parts[2] != parts[1]


def test_experts_have_their_own_rows_in_a_matrix(starter: Path, text: Path, tmp_path: Path) -> None:
    moe = write_moe(starter, tmp_path / "moe.gguf", used=2, spread=0.3)
    matrix, small = tmp_path / "m.gguf", tmp_path / "small.gguf"
    quantize.make_matrix(moe, text, matrix, chunks=1)
    found = matrix_file.read(matrix)
    counts = found.counts["blk.3.ffn_up_exps.weight"]
    assert found.sums["blk.3.ffn_up_exps.weight"].shape == (EXPERTS, 576)
    assert counts.sum() == 2 * 512
    assert len(set(counts.tolist())) > 1
    assert found.counts["blk.3.attn_q.weight"].tolist() == [512]
    made = quantize.make(
        QuantizeJob(source=str(moe), target=str(small), type="Q4_0", requantize=True),
        engine="test",
        matrix=matrix,
    )
    kinds = {tensor.type for tensor in read_header(small).tensors if "_exps" in tensor.name}
    assert kinds == {"Q4_0", "Q4_1"}  # llama.cpp keeps the first layers' down matrices finer
    assert made.bits < 5.5
    figures = run_job(ScoreJob(model=str(small), text=str(text), chunks=1)).figures
    assert math.isfinite(figures["ppl"])


@pytest.mark.skipif(find_peers() is None, reason="llama.cpp's own tools are not built here: make lab-proof")
def test_the_very_bytes_of_llama_quantize(full: Path, text: Path, tmp_path: Path) -> None:
    peers = find_peers()
    assert peers
    proof = Proof(peers, tmp_path, told=lambda _line: None)
    proof.full = full
    proof.quant("Q4_0", None)
    assert [check.what for check in proof.checks if not check.good] == []
    assert len(proof.checks) == 2


def test_a_long_context_has_a_price(starter: Path, text: Path, tmp_path: Path) -> None:
    plan = LoadPlan(str(starter), n_ctx=768, type_k="q8_0", type_v="q8_0")
    figures = Measurer(tmp_path).price(plan, text, trained=512)
    assert figures["tokens"] == 768
    assert {"ppl_inside", "ppl_past", "ppl_within", "ln_price_error"} <= figures.keys()
    # It was trained for more: the longer context must help here, or at least not hurt.
    assert figures["ln_price"] < 0.1
    assert "past the trained 512 tokens" in price_sentence("m", figures)
    with pytest.raises(TextTooShortError):
        Measurer(tmp_path).price(LoadPlan(str(starter), n_ctx=100_000), text)


def test_a_short_trained_length_has_a_price_too_and_is_stretched(
    starter: Path, text: Path, tmp_path: Path
) -> None:
    measurer, tiny = Measurer(tmp_path), str(write_windowed(tmp_path / "tiny.gguf", starter))
    plain = measurer.price(LoadPlan(tiny, n_ctx=384), text, trained=256)
    assert all(map(math.isfinite, plain.values()))
    assert {"ppl_inside", "ppl_past", "ppl_within"} <= plain.keys()
    assert plain["rope_freq_scale"] == 0
    yarn = measurer.price(LoadPlan(tiny, n_ctx=384, rope_scaling="yarn"), text, trained=256)
    assert yarn["rope_freq_scale"] == pytest.approx(2 / 3)
    assert yarn["ppl_past"] != plain["ppl_past"]
    assert yarn["ppl_within"] == pytest.approx(plain["ppl_within"], rel=1e-6)
    with pytest.raises(BadRequestError, match="8 tokens or more"):
        measurer.price(LoadPlan(tiny, n_ctx=384), text, trained=3)


def test_what_is_lost_is_measured_and_kept(
    full: Path, small: quantize.Made, text: Path, tmp_path: Path
) -> None:
    measurer = Measurer(tmp_path / "kept", chunks=1)
    lost = measurer.measure(Path(small.path), text, full)
    none = measurer.measure(full, text, full)
    assert 0 < lost.figures["kl"] < 0.5
    assert none.figures["kl"] < 0.002
    assert none.figures["same_top"] > 0.99
    assert lost.figures["same_top"] < 1
    assert lost.figures["tail"] < 0.02
    assert math.isclose(none.figures["ppl"], lost.figures["reference_ppl"], rel_tol=1e-4)
    assert "tokens would differ" in sentence(lost)
    assert lost.figures["truncation"] < 0.02
    assert 0 <= lost.figures["noise"] < lost.figures["kl"]
    errors = {name for name in lost.figures if name.endswith("_error")}
    assert errors >= {f"{name}_error" for name in ("ppl", "kl", "kl_p99", "kl_max", "same_top", "rms_change")}
    again = Measurer(tmp_path / "kept", chunks=1, tell=lambda *_: pytest.fail("measured again"))
    assert again.measure(Path(small.path), text, full) == lost


def test_a_divergence_by_top_and_rest_is_the_whole_one() -> None:
    from app.runtime.llama_score import best, divergence, log_softmax

    random = np.random.default_rng(0)
    theirs = log_softmax(random.normal(0, 3, (4, 500)).astype(np.float32))
    ours = log_softmax((theirs + random.normal(0, 0.3, theirs.shape)).astype(np.float32))
    whole = (np.exp(theirs) * (theirs - ours)).sum(1)
    ids, logs = best(theirs, 400)
    assert (ids[:, 0] == theirs.argmax(1)).all()
    rest = 1 - np.exp(logs).sum(1)
    found = divergence(logs, rest, np.take_along_axis(ours, ids, 1))
    assert np.allclose(found, whole, rtol=0.02)
    assert (found <= whole + 1e-5).all()


def test_a_reference_that_was_cut_short_is_gone_on_with(tmp_path: Path) -> None:
    from app.runtime.llama_score import SCORED, Head, Rows, go_on_writing, read_reference, write_rows

    head, top = Head("m.gguf", 50, 20), (SCORED, 20)
    rows = Rows(
        np.arange(512, dtype=np.int32), np.full(SCORED, -1, np.float32), np.full(SCORED, 0.1, np.float32),
        np.zeros(top, np.uint32), np.zeros(top, np.float16),
    )  # fmt: skip
    path = tmp_path / "reference.part"
    with path.open("w+b") as file:
        assert not list(go_on_writing(file, head))
        write_rows(file, rows)
        write_rows(file, rows)
        file.truncate(file.tell() - 1)
    with path.open("r+b") as file:
        assert len(list(go_on_writing(file, head))) == 1
        write_rows(file, rows)
    with path.open("rb") as file:
        found = read_reference(file, 50, skip=1)
        assert next(found).tokens.tolist() == list(range(512))
        with pytest.raises(BadRequestError, match="ends too soon"):
            next(found)
    with path.open("r+b") as file:
        assert not list(go_on_writing(file, Head("other.gguf", 50, 20)))


def test_slow_batches_are_kept_one_by_one_and_large_sums_seldom() -> None:
    from app.runtime.llama_pieces import Due

    now, kept = [0.0], list[float]()

    def write() -> None:
        kept.append(now[0])
        now[0] += 2  # as the sums of many experts take

    due = Due(32, lambda: now[0])
    for _ in range(8):
        now[0] += 6
        due(write)
    assert kept == [12], "after two batches; then not before forty seconds have gone"
    for _ in range(32):
        due(write)
    assert len(kept) == 2, "quick ones are counted"


def test_a_comparison_is_gone_on_with(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from app.runtime.llama_score import _Scoring

    class Texts:
        """The arithmetic alone: logits from dice instead of a model."""

        count, tokens = 3, [7] * 1536
        model = type("Model", (), {"n_vocab": 50})

        def piece(self, index: int) -> list[int]:
            return [7] * 512

        def run(self, start: int = 0) -> list[range]:
            return [range(at, at + 1) for at in range(start, self.count)]

        def logits(self, _at: int) -> np.ndarray:
            return np.random.default_rng(1).normal(0, 1, (256, 50)).astype(np.float32)

    job = ScoreJob(model="m", text="t", keep=str(tmp_path / "kept.npz"), keep_every=1)
    with ThreadPoolExecutor(1) as pool:

        def stop(progress: LabProgress) -> None:
            if progress.done == 3:
                raise LabCancelledError

        with pytest.raises(LabCancelledError):
            _Scoring(job, Texts(), pool, stop).run()  # type: ignore[arg-type]
        seen: list[LabProgress] = []
        done = _Scoring(job, Texts(), pool, seen.append).run()  # type: ignore[arg-type]
    assert [progress.done for progress in seen] == [3]
    assert done.figures["chunks"] == 3
    assert not list(tmp_path.iterdir())


def test_a_short_text_a_wrong_type_and_a_foreign_reference_are_named(
    full: Path, starter: Path, text: Path, tmp_path: Path
) -> None:
    short = tmp_path / "short.txt"
    short.write_text("Too short.")
    with pytest.raises(TextTooShortError, match=r"short.txt has \d+ tokens; at least 1024"):
        run_job(ScoreJob(model=str(full), text=str(short)))
    with pytest.raises(BadRequestError, match="Q4_K_Z is not a type"):
        run_job(QuantizeJob(source=str(full), target=str(tmp_path / "x.gguf"), type="Q4_K_Z"))
    (tmp_path / "ref").write_bytes(b"nothing like it")
    with pytest.raises(BadRequestError, match="no file of log-probabilities"):
        run_job(ScoreJob(model=str(starter), text=str(text), against=str(tmp_path / "ref"), chunks=1))
    with pytest.raises(BadRequestError, match="PATTERN=TYPE"):
        quantize.types_of(["ffn_down"])


def test_a_damaged_source_leaves_nothing(full: Path, text: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(full.read_bytes()[:5_000_000])
    with pytest.raises(HearthError) as caught:
        run_job(QuantizeJob(source=str(cut), target=str(tmp_path / "out.gguf"), type="Q8_0"))
    assert caught.value.code == "quantize_failed"
    with pytest.raises(TruncatedModelError):
        run_job(MatrixJob(model=str(cut), text=str(text), target=str(tmp_path / "m.npz")))
    assert {path.name for path in tmp_path.iterdir()} == {"cut.gguf"}


def test_cancelling_leaves_nothing_half(full: Path, tmp_path: Path) -> None:
    cancel = threading.Event()
    job = QuantizeJob(source=str(full), target=str(tmp_path / "out.gguf"), type="IQ4_XS")
    with pytest.raises(LabCancelledError):
        run_job(job, lambda _progress: cancel.set(), cancel)
    assert not list(tmp_path.iterdir())


def test_ctrl_c_leaves_nothing_half(full: Path, tmp_path: Path) -> None:
    def interrupt(_progress: LabProgress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_job(QuantizeJob(source=str(full), target=str(tmp_path / "out.gguf"), type="IQ4_XS"), interrupt)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps a file that is open")
def test_a_program_that_is_killed_leaves_nothing_half(full: Path, tmp_path: Path) -> None:
    job = QuantizeJob(source=str(full), target=str(tmp_path / "out.gguf"), type="IQ4_XS")
    command = [sys.executable, "-m", "app", "lab"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdin
    assert process.stdout
    with process.stdout as lines:
        process.stdin.write(msgspec.json.encode(job) + b"\n")
        process.stdin.flush()
        assert b'"progress"' in lines.readline()
        assert [path.name for path in tmp_path.iterdir()] == ["out.gguf.part"]
        process.stdin.close()  # as when its parent is gone
        assert process.wait(60) == 3
    assert not list(tmp_path.iterdir())


def test_a_process_that_dies_says_how(full: Path, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A stand-in for a crash inside llama.cpp: the child is the shell, which kills itself.
    monkeypatch.setattr("app.optimize.process.program", lambda: ["/bin/sh", "-c", "kill -SEGV $$"])
    seen: list[LabProgress] = []
    with pytest.raises(LabStoppedError, match="SIGSEGV"):
        run_job(ScoreJob(model=str(full), text=str(text)), seen.append)
    assert [progress.crashed for progress in seen] == ["SIGSEGV"]


def test_a_sentence_without_a_reference() -> None:
    assert sentence(Measured("m.gguf", 1, "t", "", {"ppl": 12.345})) == "m.gguf: perplexity 12.35."


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_crash_on_a_packs_device_counts_for_the_pack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_pack(tmp_path / "packs" / "vulkan-1", b"x", backend="vulkan")
    packs = PackStore(tmp_path, str, lambda _pack: "", environ={}, bundled=tmp_path / "none")
    trace = "/source/ggml/src/ggml-vulkan/ggml-vulkan.cpp:98: GGML_ASSERT(device) failed"
    child = ["/bin/sh", "-c", f"echo '{trace}' >&2; echo '  File \"run.py\", line 1' >&2; kill -ABRT $$"]
    monkeypatch.setattr("app.optimize.process.program", lambda: child)
    job, told = MatrixJob(model="m.gguf", text="t.txt", target="m.npz", n_gpu_layers=99), list[LabProgress]()
    with pytest.raises(LabStoppedError, match="SIGABRT"):
        run_job(msgspec.structs.replace(job, n_gpu_layers=0), on=Devices(99, ("Vulkan0",), judge=packs))
    assert not packs.packs()[0].crashes, "it computed on the processor"
    with pytest.raises(PackCrashedError, match=r"m\.gguf died .*GGML_ASSERT\(device\).* on the pack"):
        run_job(job, told.append, on=Devices(99, ("Vulkan0",), judge=packs))
    assert [progress.crashed for progress in told] == [f"SIGABRT: {trace}"]
    assert packs.off() == {"vulkan"}


@pytest.mark.skipif(sys.platform == "win32", reason="a shell")
def test_what_computes_on_a_device_is_given_the_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    child = ["/bin/sh", "-c", 'echo "packs: $HEARTH_PACKS" >&2; exit 4']
    monkeypatch.setattr("app.optimize.process.program", lambda: child)
    on = Devices(99, ("CUDA0",), {**os.environ, "HEARTH_PACKS": "/packs/cuda-1"})
    for layers, packs in ((99, "packs: /packs/cuda-1"), (0, r"packs:\.")):
        with pytest.raises(LabStoppedError, match=rf"exit code 4: {packs}"):
            run_job(ScoreJob(model="m.gguf", text="t.txt", n_gpu_layers=layers), on=on)
