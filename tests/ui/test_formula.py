"""Formulas in the transcript: drawn as vectors, copied as TeX, and plain text where they can't be drawn."""

import pytest
from PySide6.QtGui import QTextCursor
from pytestqt.qtbot import QtBot

from app.ui import theme
from app.ui.chat_style import make_style
from app.ui.formula import draw, formulas
from app.ui.prose import ProseView
from app.ui.prose_formulas import STANDS_FOR, selected_text


@pytest.fixture
def view(qtbot: QtBot) -> ProseView:
    theme.notifier().apply("light")
    made = ProseView(make_style())
    qtbot.addWidget(made)
    made.resize(400, 300)
    made.show()
    return made


def show(qtbot: QtBot, view: ProseView, text: str) -> str:
    view.set_markdown(text)
    assert formulas().settle()
    qtbot.waitUntil(lambda: not view._awaited, timeout=30_000)
    view.height_for(400)
    return view.toPlainText()


def test_a_formula_stands_in_the_line(qtbot: QtBot, view: ProseView) -> None:
    assert show(qtbot, view, "😀 so **it** is $x^2$ here") == f"😀 so it is {STANDS_FOR} here"
    plain = view.height_for(400)
    show(qtbot, view, r"so it is \[ \frac{a}{\frac{b}{c}} \] here")
    assert view.height_for(400) > plain
    assert not view.grab().isNull()


def test_copying_gives_the_tex(qtbot: QtBot, view: ProseView) -> None:
    show(qtbot, view, r"**a** $x^2$ b \(y\) c")
    cursor = view.textCursor()
    cursor.select(QTextCursor.SelectionType.Document)
    assert selected_text(cursor) == r"a $x^2$ b \(y\) c"
    view.setTextCursor(cursor)
    assert view.createMimeDataFromSelection().text() == r"a $x^2$ b \(y\) c"


def test_what_is_no_tex_stays_as_it_was(qtbot: QtBot, view: ProseView) -> None:
    assert show(qtbot, view, r"broken $\frac{a$ and $5 of $6") == r"broken $\frac{a$ and $5 of $6"


def test_a_display_formula_shrinks_to_the_column(qtbot: QtBot, view: ProseView) -> None:
    tex = "+".join(f"a_{{{n}}}" for n in range(40))
    view.set_display(tex, f"$${tex}$$")
    assert view.toPlainText() == f"$${tex}$$"
    with qtbot.waitSignal(view.resized, timeout=30_000):
        assert formulas().settle()
    view.height_for(300)
    assert view.toPlainText() == STANDS_FOR
    assert view.document().idealWidth() <= 300


@pytest.mark.parametrize("tex", [r"\frac{a", r"\end{x}", "{" * 1500, "", "x" * 3000])
def test_nothing_a_model_writes_breaks_the_drawing(tex: str) -> None:
    made = draw(tex, 18, False)
    assert made is None or made.width >= 0


def test_a_drawing_knows_its_baseline() -> None:
    made = draw(r"\begin{align}y_1\\y_2\end{align}", 18, True)
    assert made is not None
    assert made.ascent > 0
    assert made.descent > 5
    assert "currentColor" in made.svg
