"""Formulas are found in prose, and prices are not."""

import pytest

from app.ui.markdown import math_source, split
from app.ui.math_text import LONGEST, put_back, take_out


@pytest.mark.parametrize(
    ("text", "tex"),
    [
        (r"so \(a+b\) it is", ["a+b"]),
        ("so $x$, and $y_1$.", ["x", "y_1"]),
        (r"time $O(n \log n)$", [r"O(n \log n)"]),
        (r"velocity $v = \frac{d}{t}$", [r"v = \frac{d}{t}"]),
        (r"with $x \text{ if it is so}$ here", [r"x \text{ if it is so}"]),
        (r"in line \[ 1+1 \] here and $$2$$", ["1+1", "2"]),
        ("$5$ apples", ["5"]),
        ("giá $5 và $10", []),
        ("costs $5 and $10 a month", []),
        ("between $5-$10, or US$3", []),
        ("it is 5$ and 10$ there", []),
        ("$ 5 $ with spaces", []),
        ("`$x$` and ``$y$``", []),
        (r"escaped \$x\$ stays", []),
        ("$HOME and $PATH", []),
        ("pay $20 for two$ things", []),
        ("a $" + "x" * (LONGEST + 1) + "$ b", []),
    ],
)
def test_formulas_are_told_from_prices(text: str, tex: list[str]) -> None:
    marked, found = take_out(text)
    assert [formula.tex for formula in found] == tex
    assert put_back(marked, found) == text


def test_marks_of_the_texts_own_are_no_formulas() -> None:
    marked, found = take_out("\ue0000\ue001 and $x$")
    assert marked == "0 and \ue0000\ue001"
    assert len(found) == 1


def test_an_environment_is_one_segment() -> None:
    text = "Here:\n\\begin{align}\na &= b \\\\\nc &= d\n\\end{align}\nDone."
    kinds = [(segment.kind, segment.text) for segment in split(text)]
    assert kinds == [("prose", "Here:"), ("math", text[6:-6]), ("prose", "Done.")]


@pytest.mark.parametrize("text", ["$$\nx\n$$", "\\[\nx\n\\]", "\\begin{align*}\nx\n\\end{align*}"])
def test_a_formulas_source_is_as_it_was_written(text: str) -> None:
    assert math_source(split(text)[0]) == text


@pytest.mark.parametrize("unit", [r"\(", r"\[", r"\(a", "`"])
def test_marks_without_an_end_are_soon_read(unit: str) -> None:
    """A model that repeats itself; each mark was sought an end for, over the whole text (17 s for 100,000 letters)."""
    text = unit * 50_000 + " $x$"
    assert [formula.tex for formula in take_out(text)[1]] == ["x"]


def test_a_formula_begins_at_its_last_mark() -> None:
    found = take_out(r"a \( b \(c\) and \[ x \\[4pt] y \]")[1]
    assert [formula.tex for formula in found] == ["c", r"x \\[4pt] y"]
