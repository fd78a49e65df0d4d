"""Colour spans: of the right kind, counted as Qt counts, and nothing for what is unknown."""

import pytest

from app.ui.highlight import MAX_CHARACTERS, spans


def test_python_keywords_strings_and_comments_are_found() -> None:
    found = {(s.line, s.start, s.length): s.kind for s in spans("def f():\n    return 'x'  # y\n", "python")}
    assert found[0, 0, 3] == "keyword"
    assert found[0, 4, 1] == "name"
    assert found[1, 4, 6] == "keyword"
    assert "string" in found.values()
    assert "comment" in found.values()


def test_columns_count_utf16_units() -> None:
    found = spans('s = "😀ế"; x = 1', "python")
    number = next(s for s in found if s.kind == "number")
    assert number.start == len('s = "😀ế"; x = '.encode("utf-16-le")) // 2


def test_a_blank_first_line_keeps_the_line_numbers() -> None:
    assert spans("\n\nx = 1", "python")[0].line == 2


@pytest.mark.parametrize("language", ["", "no-such-language", "text"])
def test_unknown_languages_stay_plain(language: str) -> None:
    assert spans("def f(): pass", language) == []


def test_very_long_code_stays_plain() -> None:
    assert spans("x = 1\n" * MAX_CHARACTERS, "python") == []
