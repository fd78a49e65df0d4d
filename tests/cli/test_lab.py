"""The lab's commands: what is said before, what is refused, and a quant with its recipe."""

import json
from argparse import ArgumentTypeError, Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.cli import lab, lab_sources
from app.cli.lab_args import kv_types
from app.core.errors import BadRequestError, ConverterMissingError, HubNotFoundError
from app.core.lab import QuantizeJob
from app.core.paths import find_paths
from app.core.types import GgufSummary, ModelFile, ModelRecord, Source
from app.models.hub_types import QuantFile, RepoDetail
from app.optimize.cards import Measurements, Prices
from app.optimize.process import CPU, run_job
from tests.cli.conftest import Run
from tests.fakes.hf_folder import NO_TENSORS
from tests.fakes.hub_server import FakeFile, FakeRepo, LocalHub
from tests.fakes.tiny_models import write_windowed


def test_sizes_are_told_before(hearth: Run, starter: Path) -> None:
    done = hearth("quantize", str(starter), "IQ2_XXS", "--dry-run", "--json")
    (sized,) = json.loads(done.stdout)
    assert (sized["type"], sized["needs_matrix"]) == ("IQ2_XXS", True)
    assert 50e6 < sized["bytes"] < 100e6
    assert any("iq2_xxs -> iq4_nl" in note for note in sized["fallbacks"])
    assert "is Q4_1: what it lost is lost" in done.stderr


def test_a_wish_says_why_and_its_recipe_makes_it_again(hearth: Run, starter: Path, tmp_path: Path) -> None:
    first, again = tmp_path / "first.gguf", tmp_path / "again.gguf"
    done = hearth("quantize", str(starter), "--wish", "1kb", "-o", str(first))
    assert done.returncode == 1
    assert "is no wish" in done.stderr
    done = hearth("quantize", str(starter), "--wish", "1 MB", "-o", str(first))
    assert (done.returncode, done.stdout, first.exists()) == (2, "", False)
    assert "Nothing fits into 1.0 MB" in done.stderr
    assert "Nothing was made" in done.stderr
    done = hearth("quantize", str(starter), "--wish", "106 MB", "-o", str(first))
    assert done.returncode == 0, done.stderr
    assert "Q4_K_M is the finest type that fits" in done.stderr
    assert first.stat().st_size <= 106_000_000
    assert "bits per weight" in done.stdout
    recipe = first.with_suffix(".recipe.json")
    assert hearth("quantize", str(starter), "Q4_K_M", "-o", str(first)).returncode == 2
    done = hearth("quantize", str(starter), "--recipe", str(recipe), "-o", str(again))
    assert done.returncode == 0, done.stderr
    assert "the same bytes as the recipe's" in done.stdout
    assert again.read_bytes() == first.read_bytes()


def test_what_was_made_is_told_though_the_next_one_fails(hearth: Run, starter: Path, tmp_path: Path) -> None:
    source = str(write_windowed(tmp_path / "Tiny-F32.gguf", starter))
    done = hearth("quantize", source, "Q8_0", "Q1_0")
    assert done.returncode == 1
    assert "Tiny-Q8_0.gguf: " in done.stdout
    assert "fallback is defined for type q1_0" in done.stderr
    done = hearth("quantize", source, "F16", "Q8_0")
    assert (done.returncode, done.stdout) == (2, ""), "before the first one begins"
    assert "Tiny-Q8_0.gguf is there already" in done.stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("quantize", "nothing.gguf"), "either types as Q4_K_M or a --wish"),
        (("quantize", "--recipe", "nothing.json"), "There is no file"),
        (("lab", "setup"), "Add --yes"),
    ],
)
def test_wrong_usage_is_said(hearth: Run, args: tuple[str, ...], said: str) -> None:
    done = hearth(*args)
    assert done.returncode == 2
    assert said in done.stderr


def test_types_of_a_cache_are_known_before_anything_is_loaded() -> None:
    assert kv_types("q8_0,q4_0") == ("q8_0", "q4_0")
    assert kv_types("q8_0") == ("q8_0", "q8_0")
    with pytest.raises(ArgumentTypeError, match="q4_K is no type of a K/V cache; there are f32, f16"):
        kv_types("q8_0,q4_K")


def test_the_converter_says_what_it_would_take(hearth: Run) -> None:
    assert "is not set up" in hearth("lab", "status").stdout
    assert "MB to fetch" in hearth("lab", "setup").stderr
    assert json.loads(hearth("lab", "remove", "--json").stdout)["ready"] is False


def test_a_folder_needs_the_converter(hearth: Run, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(NO_TENSORS)
    done = hearth("quantize", str(tmp_path), "Q8_0")
    assert done.returncode == 1
    assert "hearth lab setup makes it" in done.stderr


def test_nothing_is_fetched_for_what_can_not_be_made(tmp_path: Path) -> None:
    weights = QuantFile("w", "me/m", "r", "safetensors", (), 9)
    hub: Any = SimpleNamespace(
        repo=lambda name: RepoDetail(name, "r", (), weights=weights), endpoint="http://x"
    )
    running: Any = SimpleNamespace(hub=hub, paths=SimpleNamespace(data=tmp_path, models=tmp_path))
    with pytest.raises(ConverterMissingError):
        lab_sources._downloaded(running, "me/m", "", True)
    wrong = (
        ({"types": ["Q9_9"]}, "Q9_9 is not a type"),
        ({"override": ["Q6_K"]}, "is not PATTERN=TYPE"),
        ({"wish": "1kb"}, "is no wish"),
        ({"imatrix": "nosuch"}, "there is no text nosuch"),
    )
    for given, why in wrong:
        args = {"types": ["q8_0"], "override": [], "wish": "", "imatrix": "", **given}
        with pytest.raises(BadRequestError, match=why):
            lab._refuse_words(running, Namespace(**args))


def test_the_price_of_a_context_is_kept_for_the_load_dialog(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, figures = tmp_path / "m.gguf", {"ppl_inside": 9.0, "ppl_past": 12.0, "trained": 8192.0}
    figures |= {"ppl_within": 10.0, "ln_price": 0.2}
    model.write_bytes(bytes(64))
    paths = SimpleNamespace(data=tmp_path, cache=tmp_path)
    running: Any = SimpleNamespace(paths=paths, lab_devices=lambda: CPU)
    monkeypatch.setattr("app.optimize.measure.Measurer.price", lambda *_what: figures)
    how = {"ctx": 16384, "rope_scaling": "yarn", "rope_freq_scale": 0.5, "kv": ("f16", "f16"), "text": ["en"]}
    lab._price(running, Namespace(json=True, chunks=0, threads=0, **how), model)
    (kept,) = Prices(tmp_path / "lab" / "prices.json").all()
    assert (kept.n_ctx, kept.trained, kept.rope, kept.figures) == (16384, 8192, "yarn", figures)


@pytest.fixture
def family(hub: LocalHub, starter: Path, tmp_path: Path) -> str:
    """A repository with a tiny model in two types; its name."""
    full, small = write_windowed(tmp_path / "Tiny-F32.gguf", starter), tmp_path / "Tiny-Q8_0.gguf"
    run_job(QuantizeJob(source=str(full), target=str(small), type="Q8_0"))
    hub.add(FakeRepo("me/Tiny-GGUF", {path.name: FakeFile.of(path) for path in (full, small)}))
    return "me/Tiny-GGUF"


def test_a_repository_is_fetched_and_compared_once_its_size_was_told(
    hearth: Run, environ: dict[str, str], hub: LocalHub, family: str, tmp_path: Path
) -> None:
    text = tmp_path / "boats.txt"
    text.write_text(
        "".join(f"The miller counted {number * 37 % 101} boats on the river. " for number in range(160))
    )
    how = ("--text", str(text), "--chunks", "1")
    done = hearth("compare", family, *how)
    assert done.returncode == 2
    assert f"{family}:F32 (" in done.stderr
    assert "free on the disk" in done.stderr
    assert "Add --yes" in done.stderr
    done = hearth("compare", f"{family}:Q8_0,Q5_K_M", "--yes", *how)
    assert "There is: F32, Q8_0" in done.stderr
    done = hearth("compare", family, "--yes", "--json", *how)
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)
    assert (found["model"], found["reference"]) == ("Tiny-Q8_0.gguf", "Tiny-F32.gguf")
    (kept,) = Measurements(find_paths(environ).data / "lab" / "measurements.json").all()
    assert (kept.model, kept.text, kept.figures) == ("Tiny-Q8_0.gguf", "boats", found["figures"])
    # Both are here now: nothing is asked, of the Hub neither, and the best one is found.
    asked = len(hub.asked("api"))
    done = hearth("compare", f"{family}:F32,Q8_0", "--json", *how)
    assert json.loads(done.stdout) == [found], done.stderr
    done = hearth("measure", f"{family}:Q8_0", "--json", *how)
    assert json.loads(done.stdout) == found, done.stderr
    assert "measured against Tiny-F32.gguf (F32" in done.stderr
    assert len(hub.asked("api")) == asked


def test_a_quant_made_here_is_no_repository(tmp_path: Path) -> None:
    def repo(name: str) -> Any:
        raise HubNotFoundError(repo=name)

    file = ModelFile(str(tmp_path / "m-Q4_0.gguf"), 9)
    record = ModelRecord("lab/m-Q4_0:Q4_0", "m-Q4_0", (file,), 9, source=Source("lab/m-Q4_0"))
    hub = SimpleNamespace(endpoint="http://127.0.0.1:9", repo=repo)
    paths, library = SimpleNamespace(models=tmp_path), SimpleNamespace(records=lambda: (record,))
    running: Any = SimpleNamespace(hub=hub, library=library, paths=paths)
    assert lab_sources._named(running, "lab/m-Q4_0") == [record.id]
    with pytest.raises(HubNotFoundError):
        lab_sources._named(running, "me/m")


@pytest.mark.parametrize(
    ("options", "reference", "said"),
    [
        ({}, "m-F16.gguf", "against m-F16.gguf (F16, 320.0 MB), the finest version of it in the library"),
        ({"model": "m-F16.gguf"}, None, "perplexity alone: --against me/m fetches the best one there"),
        ({"against": "none"}, None, ""),
        ({"kv": ("q8_0", "q4_0")}, "m-Q4_K_M.gguf", "against m-Q4_K_M.gguf itself with a full K/V cache"),
    ],
)
def test_what_a_model_is_measured_against_is_found_and_told(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    options: dict[str, Any],
    reference: str | None,
    said: str,
) -> None:
    records = []
    for quant, bits in (("Q4_K_M", 4.8), ("F16", 16.0)):
        path = tmp_path / f"m-{quant}.gguf"
        path.write_bytes(b"")
        summary = GgufSummary("llama", quant=quant, parameters=1000, bits_per_weight=bits, vocab_size=9)
        file = ModelFile(str(path), int(bits * 20_000_000))
        records.append(ModelRecord(path.stem, path.stem, (file,), file.bytes, summary, Source("me/m")))
    running: Any = SimpleNamespace(library=SimpleNamespace(records=lambda: tuple(records)))
    args = Namespace(**{"against": None, "kv": ("f16", "f16"), "json": False, **options})
    found = lab._against(running, args, tmp_path / options.get("model", "m-Q4_K_M.gguf"))
    assert (found.name if found else None) == reference
    assert said in capsys.readouterr().err


def test_a_comparison_needs_two(hearth: Run, with_starter: Path) -> None:
    done = hearth("compare", with_starter.stem)
    assert done.returncode == 2
    assert "Name two models or more" in done.stderr
