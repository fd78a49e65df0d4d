"""Prompt templates and the library of prompts."""

import datetime as dt
from pathlib import Path

import pytest

from app.chat.prompts import (
    Prompt,
    PromptLibrary,
    Variable,
    command,
    fill_in,
    missing,
    read_text,
    standard_sources,
    variables,
)
from app.core.errors import ReadOnlyError, UsageError

NOW = dt.datetime(2026, 3, 4, 15, 6, tzinfo=dt.UTC)


def test_variables_are_found_once_each() -> None:
    assert variables("{{ Date }} {{name:Lan}} {{name}} {{file:a b.txt}} {x} {{1}} {{ngôn_ngữ}}") == (
        Variable("date"),
        Variable("name"),
        Variable("file", "a b.txt"),
        Variable("ngôn_ngữ"),
    )


def test_values_come_from_the_user_then_sources_then_defaults() -> None:
    sources = standard_sources(lambda: "copied {{date}}", "m", lambda: NOW)
    text = "{{date}} {{date:%d.%m.}} {{time}} {{weekday}} {{model}} {{clipboard}} {{who:you}} {{name}}"
    assert (
        fill_in(text, {"name": "Lan"}, sources)
        == "2026-03-04 04.03. 15:06 Wednesday m copied {{date}} you Lan"
    )
    assert missing(text, sources) == (Variable("who", "you"), Variable("name"))
    assert fill_in("{{nothing}}", {}) == ""


def test_files_can_be_put_in(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("nội dung", "utf-8")
    assert fill_in(f"<{{{{file:{tmp_path / 'a.txt'}}}}}>", {}, standard_sources(str)) == "<nội dung>"
    (tmp_path / "b.bin").write_bytes(b"\xff\xfe\x00")
    for name in ("b.bin", "nothing.txt", "\0"):
        with pytest.raises(UsageError):
            read_text(str(tmp_path / name))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("/translate Hello\nworld", ("translate", "Hello\nworld")),
        ("/Sum", ("sum", "")),
        ("/dịch", ("dịch", "")),
        ("no /command", None),
        ("/", None),
        ("/usr/bin/env", None),
    ],
)
def test_slash_commands(text: str, found: tuple[str, str] | None) -> None:
    assert command(text) == found


def test_the_library(tmp_path: Path) -> None:
    library = PromptLibrary(tmp_path / "prompts")
    assert library.all() == ()
    library.save(Prompt("Dịch sang Anh", "Translate: {{text}}"))
    library.save(Prompt("Coder", "You write Python.", system=True))
    assert [prompt.name for prompt in library.all()] == ["Coder", "Dịch sang Anh"]
    assert library.all(system=True) == (Prompt("Coder", "You write Python.", system=True),)
    assert library.find("dịch-sang-anh") == Prompt("Dịch sang Anh", "Translate: {{text}}")
    assert library.find("coder") is None
    library.remove(Prompt("Coder", "", system=True))
    library.remove(Prompt("Coder", "", system=True))
    assert len(library.all()) == 1
    (tmp_path / "prompts" / "bad.md").write_bytes(b"\xff")
    assert len(library.all()) == 1


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "x" * 61, "a.system"])
def test_names_that_cannot_be_files(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        PromptLibrary(tmp_path).save(Prompt(name, "x"))


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ReadOnlyError):
        PromptLibrary(tmp_path / "file" / "p").save(Prompt("x", "y"))
