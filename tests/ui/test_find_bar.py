"""Find in the open chat: unbuilt messages too, diacritics and case aside, markdown's marks ignored."""

from collections.abc import Iterator

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QTextDocument
from pytestqt.qtbot import QtBot

from app.ui import theme
from app.ui.entries import Entry
from app.ui.find_bar import FindBar, matches, plain
from app.ui.transcript import Transcript


@pytest.fixture
def bar(qtbot: QtBot) -> Iterator[FindBar]:
    theme.notifier().apply("light")
    transcript = Transcript()
    qtbot.addWidget(transcript)
    transcript.resize(900, 600)
    transcript.show()
    entries = [Entry(i, "assistant", f"Message {i} " + "filler text " * 40) for i in range(300)]
    entries[7] = Entry(7, "assistant", "Here is **tiếng** Việt, and again Tiếng Việt.")
    entries[250] = Entry(250, "user", "something in TIENG VIET")
    transcript.set_entries(entries)
    found = FindBar(transcript)
    yield found
    found._wait.stop()


@pytest.mark.parametrize(
    ("text", "folded"),
    [("Tiếng *Việt*", "tieng viet"), ("ĐÀ NẴNG", "da nang"), ("`Code`", "code"), ("STRASSE", "strasse")],
)
def test_plain_folds(text: str, folded: str) -> None:
    assert plain(text) == folded


def test_positions_are_those_of_the_document() -> None:
    document = QTextDocument("😀 tiếng\nTIẾNG")
    assert matches(document, "tieng") == [(3, 8), (9, 14)]


def selected(bar: FindBar) -> str:
    places = bar._places()
    return places[bar._match][0].textCursor().selectedText() if places else ""


def test_the_newest_is_found_first_and_one_steps_back(qtbot: QtBot, bar: FindBar) -> None:
    bar.begin()
    qtbot.keyClicks(bar.line, "tieng viet")
    qtbot.waitUntil(lambda: selected(bar) == "TIENG VIET", timeout=30_000)
    assert bar._count.text() == "message 2 of 2"
    seen = []
    for _ in range(3):
        qtbot.keyClick(bar.line, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
        seen.append(selected(bar))
    assert seen == ["Tiếng Việt", "tiếng Việt", "TIENG VIET"]


def test_what_is_found_is_in_view(qtbot: QtBot, bar: FindBar) -> None:
    bar.begin()
    bar.line.setText("Message 42 ")
    qtbot.waitUntil(lambda: selected(bar) == "Message 42 ", timeout=30_000)
    widget = bar._places()[0][0]
    y = widget.viewport().mapTo(bar._transcript.viewport(), widget.cursorRect().topLeft()).y()
    assert 0 <= y <= bar._transcript.viewport().height()


def test_nothing_found_is_said_and_escape_closes(qtbot: QtBot, bar: FindBar) -> None:
    bar.begin()
    bar.line.setText("no such words")
    qtbot.waitUntil(lambda: bar._count.text() == "Nothing found", timeout=30_000)
    with qtbot.waitSignal(bar.closed):
        qtbot.keyClick(bar.line, Qt.Key.Key_Escape)
    assert not bar.isVisible()
