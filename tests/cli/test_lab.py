"""The lab's commands: what is said before, what is refused, and a quant with its recipe."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run


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
    done = hearth("quantize", str(starter), "--wish", "105 MB", "-o", str(first))
    assert done.returncode == 0, done.stderr
    assert "Q4_K_M is the finest type that fits" in done.stderr
    assert "bits per weight" in done.stdout
    recipe = first.with_suffix(".recipe.json")
    assert hearth("quantize", str(starter), "Q4_K_M", "-o", str(first)).returncode == 2
    done = hearth("quantize", str(starter), "--recipe", str(recipe), "-o", str(again))
    assert done.returncode == 0, done.stderr
    assert "the same bytes as the recipe's" in done.stdout
    assert again.read_bytes() == first.read_bytes()


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


def test_the_converter_says_what_it_would_take(hearth: Run) -> None:
    assert "is not set up" in hearth("lab", "status").stdout
    assert "MB to fetch" in hearth("lab", "setup").stderr
    assert json.loads(hearth("lab", "remove", "--json").stdout)["ready"] is False


def test_a_folder_needs_the_converter(hearth: Run, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    done = hearth("quantize", str(tmp_path), "Q8_0")
    assert done.returncode == 1
    assert "hearth lab setup makes it" in done.stderr
