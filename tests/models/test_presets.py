"""Presets: one readable file each."""

import json
from pathlib import Path

import pytest

from app.core.errors import ReadOnlyError, UsageError
from app.core.generate import SamplingParams
from app.models.presets import LoadChoices, Preset, Presets

CAREFUL = Preset(
    "Careful",
    "Slow and exact",
    load=LoadChoices(n_ctx=8192, kv_type="q8_0", extra={"n_batch": 512}),
    sampling=SamplingParams(temperature=0.2),
    system="Think twice.",
    context_policy="rolling",
)


@pytest.fixture
def presets(tmp_path: Path) -> Presets:
    return Presets(tmp_path / "presets")


def test_presets_are_kept_and_read_back(presets: Presets) -> None:
    assert presets.all() == ()
    presets.save(CAREFUL)
    presets.save(Preset("bold", model="o/m:Q4"))
    assert [preset.name for preset in presets.all()] == ["bold", "Careful"]
    assert presets.get("careful") == CAREFUL
    assert [preset.name for preset in presets.all("other")] == ["Careful"]
    presets.remove("Careful")
    with pytest.raises(UsageError):
        presets.get("Careful")


def test_only_what_was_chosen_is_passed_on() -> None:
    assert CAREFUL.load.chosen() == {"n_ctx": 8192, "kv_type": "q8_0", "extra": {"n_batch": 512}}
    assert LoadChoices().chosen() == {}
    assert LoadChoices(use_mmap=False, n_gpu_layers=0).chosen() == {"use_mmap": False, "n_gpu_layers": 0}


def test_a_preset_travels_as_one_readable_file(presets: Presets, tmp_path: Path) -> None:
    presets.save(CAREFUL)
    presets.export_file("Careful", tmp_path / "careful.json")
    text = (tmp_path / "careful.json").read_text()
    assert json.loads(text)["preset"]["load"] == {"n_ctx": 8192, "kv_type": "q8_0", "extra": {"n_batch": 512}}
    assert "\n  " in text
    other = Presets(tmp_path / "other")
    assert other.import_file(tmp_path / "careful.json") == CAREFUL
    assert other.import_file(tmp_path / "careful.json").name == "Careful 2"


def test_defaults_of_a_model(presets: Presets) -> None:
    assert presets.default_for("o/m:Q4") is None
    presets.set_default("o/m:Q4", CAREFUL)
    presets.set_default("o/m_Q4", Preset("Other"))
    found = presets.default_for("o/m:Q4")
    assert found is not None
    assert (found.model, found.load) == ("o/m:Q4", CAREFUL.load)
    assert presets.all() == ()
    presets.set_default("o/m:Q4", None)
    assert presets.default_for("o/m:Q4") is None
    assert presets.default_for("o/m_Q4") is not None


def test_what_is_no_preset_is_reported_and_left(presets: Presets, tmp_path: Path) -> None:
    presets.save(CAREFUL)
    for name, text in {
        "a": "{",
        "b": '{"format": "x", "version": 1, "preset": {"name": "n"}}',
        "c": "[]",
    }.items():
        (tmp_path / "presets" / f"{name}.json").write_text(text)
    (tmp_path / "presets" / "d.json").write_text(
        '{"format": "hearth-preset", "version": 9, "preset": {"name": "n"}}'
    )
    assert presets.all() == (CAREFUL,)
    assert presets.all() == (CAREFUL,)
    assert len(presets.problems) == 4
    with pytest.raises(UsageError):
        presets.import_file(tmp_path / "presets" / "a.json")
    with pytest.raises(UsageError):
        presets.import_file(tmp_path / "nothing.json")
    with pytest.raises(UsageError):
        presets.save(Preset(" "))


def test_names_never_leave_the_folder(presets: Presets, tmp_path: Path) -> None:
    for name in ("../../evil", "CON", "a/b\\c:d", "x" * 300, "...", "ấẫ"):
        presets.save(Preset(name))
        assert presets.get(name).name == name
    assert all(path.parent == tmp_path / "presets" for path in tmp_path.rglob("*.json"))


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ReadOnlyError):
        Presets(tmp_path / "file" / "presets").save(CAREFUL)
