"""Profiles on the command line: the same files as the window's."""

import json
from pathlib import Path

import pytest

from app.cli.main import main
from app.core.generate import SamplingParams
from app.core.paths import Paths
from app.models.presets import LoadChoices, Preset, Presets, write_preset

SHARP = Preset(
    "Sharp", "short and sure", load=LoadChoices(n_ctx=512, extra={"n_batch": 128}),
    sampling=SamplingParams(temperature=0.0, max_tokens=3), system="Answer in one word.",
)  # fmt: skip


@pytest.fixture
def presets(paths: Paths) -> Presets:
    found = Presets(paths.config / "presets")
    found.save(SHARP)
    return found


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert main(list(words)) == code
    printed = capsys.readouterr()
    return printed.out if code == 0 else printed.err


def test_they_are_listed_shown_exported_removed_and_taken_again(presets, capsys, tmp_path: Path) -> None:
    assert "short and sure" in said(capsys, "presets")
    shown = said(capsys, "presets", "show", "sharp")
    assert all(word in shown for word in ("n_ctx", "512", "n_batch", "temperature", "one word"))
    file = tmp_path / "sharp.json"
    said(capsys, "presets", "export", "Sharp", str(file))
    assert said(capsys, "presets", "remove", "Sharp") == "Sharp is removed.\n"
    assert "no presets" in said(capsys, "presets", "list")
    taken = json.loads(said(capsys, "presets", "import", str(file), "--json"))
    assert (taken["name"], taken["load"]["n_ctx"]) == ("Sharp", 512)
    assert presets.get("Sharp") == SHARP


def test_what_is_wrong_is_named(presets, capsys, tmp_path: Path) -> None:
    assert "NAME" in said(capsys, "presets", "show", code=2)
    assert "no preset called Blunt" in said(capsys, "presets", "show", "Blunt", code=2)
    assert "can't be read" in said(capsys, "presets", "import", str(tmp_path / "none.json"), code=2)
    assert "name the model too" in said(capsys, "serve", "--preset", "Sharp", code=2)


def test_a_preset_changes_an_estimate_and_only_its_own_models(
    presets, with_starter, capsys, tmp_path
) -> None:
    estimate = json.loads(said(capsys, "estimate", "SmolLM2", "--preset", "Sharp", "--json"))
    assert estimate["planned"]["plan"]["n_ctx"] == 512
    file = tmp_path / "other.json"
    write_preset(file, Preset("Other", model="somebody/else:Q8_0"))
    said(capsys, "presets", "import", str(file))
    assert "not for" in said(capsys, "estimate", "SmolLM2", "--preset", "Other", code=2)


def test_a_chat_answers_as_its_preset_says(presets, with_starter, capsys) -> None:
    words = ("chat", "SmolLM2", "-p", "What is the capital of France?", "--preset", "Sharp", "--json")
    answer = json.loads(said(capsys, *words))
    assert answer["usage"]["completion"] <= 3
    assert answer["usage"]["prompt"] > 15  # its system prompt too
