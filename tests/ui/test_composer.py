"""Writing a question: Enter, input methods, history, growth, drops."""

import pytest
from PySide6.QtCore import QMimeData, Qt, QUrl
from PySide6.QtGui import QInputMethodEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.ui.composer import MAX_LINES, Composer

# What ibus-unikey sends while "việt" is typed in Telex: the word grows in the preedit and is committed at its end.
TELEX = ("v", "vi", "vie", "viê", "viêt", "việt")
RETURN = Qt.Key.Key_Return


@pytest.fixture
def composer(qtbot: QtBot) -> Composer:
    made = Composer()
    qtbot.addWidget(made)
    made.resize(600, 100)
    made.show()
    return made


@pytest.fixture
def sent(composer: Composer) -> list[str]:
    found: list[str] = []
    composer.submitted.connect(found.append)
    return found


def preedit(composer: Composer, text: str, commit: str = "") -> None:
    event = QInputMethodEvent(text, [])
    if commit:
        event.setCommitString(commit)
    QApplication.sendEvent(composer.edit, event)


def test_enter_sends_and_shift_enter_starts_a_line(qtbot: QtBot, composer: Composer, sent: list[str]) -> None:
    qtbot.keyClicks(composer.edit, "one")
    qtbot.keyClick(composer.edit, RETURN, Qt.KeyboardModifier.ShiftModifier)
    qtbot.keyClicks(composer.edit, "two")
    assert sent == []
    qtbot.keyClick(composer.edit, RETURN)
    assert sent == ["one\ntwo"]


def test_the_setting_swaps_the_two(qtbot: QtBot, composer: Composer, sent: list[str]) -> None:
    composer.set_enter_sends(False)
    qtbot.keyClicks(composer.edit, "one")
    qtbot.keyClick(composer.edit, RETURN)
    assert (sent, composer.text()) == ([], "one\n")
    qtbot.keyClick(composer.edit, RETURN, Qt.KeyboardModifier.ShiftModifier)
    assert sent == ["one"]


def test_enter_while_composing_never_sends(qtbot: QtBot, composer: Composer, sent: list[str]) -> None:
    for step in TELEX:
        preedit(composer, step)
        qtbot.keyClick(composer.edit, RETURN)
    assert sent == []
    assert composer.text() == ""


def test_the_enter_that_commits_a_telex_word_does_not_send(
    qtbot: QtBot, composer: Composer, sent: list[str]
) -> None:
    for step in TELEX:
        preedit(composer, step)
    preedit(composer, "", commit="việt")
    qtbot.keyClick(composer.edit, RETURN)
    assert sent == []
    assert composer.text() == "việt"
    qtbot.wait(80)
    qtbot.keyClick(composer.edit, RETURN)
    assert sent == ["việt"]


def test_telex_without_preedit_sends_at_once(qtbot: QtBot, composer: Composer, sent: list[str]) -> None:
    # ibus-bamboo commits each letter and replaces what stands before the caret.
    preedit(composer, "", commit="vie")
    event = QInputMethodEvent("", [])
    event.setCommitString("iê", -2, 2)
    QApplication.sendEvent(composer.edit, event)
    preedit(composer, "", commit="t")
    qtbot.keyClick(composer.edit, RETURN)
    assert sent == ["viêt"]


def test_nothing_is_sent_while_an_answer_is_written(
    qtbot: QtBot, composer: Composer, sent: list[str]
) -> None:
    composer.set_busy(True)
    qtbot.keyClicks(composer.edit, "next question")
    qtbot.keyClick(composer.edit, RETURN)
    assert sent == []
    assert composer.text() == "next question"


def test_escape_and_the_button_stop_an_answer(qtbot: QtBot, composer: Composer) -> None:
    composer.set_busy(True)
    with qtbot.waitSignal(composer.stop_requested):
        qtbot.keyClick(composer.edit, Qt.Key.Key_Escape)
    with qtbot.waitSignal(composer.stop_requested):
        qtbot.mouseClick(composer._button, Qt.MouseButton.LeftButton)


def test_blank_text_is_not_sent(qtbot: QtBot, composer: Composer, sent: list[str]) -> None:
    qtbot.keyClicks(composer.edit, "  ")
    qtbot.keyClick(composer.edit, RETURN)
    assert sent == []


def test_arrow_up_brings_back_what_was_asked(qtbot: QtBot, composer: Composer) -> None:
    composer.edit.set_history(["first", "second"])
    texts = []
    for key in (Qt.Key.Key_Up, Qt.Key.Key_Up, Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_Down):
        qtbot.keyClick(composer.edit, key)
        texts.append(composer.text())
    assert texts == ["second", "first", "first", "second", ""]


def test_arrow_up_in_own_text_moves_the_caret(qtbot: QtBot, composer: Composer) -> None:
    composer.edit.set_history(["first"])
    qtbot.keyClicks(composer.edit, "mine")
    qtbot.keyClick(composer.edit, Qt.Key.Key_Up)
    assert composer.text() == "mine"


def test_it_grows_with_its_text_to_a_maximum(composer: Composer) -> None:
    heights = []
    for count in (1, 3, MAX_LINES, MAX_LINES * 3):
        composer.set_text("\n".join(["line"] * count))
        heights.append(composer.edit.height())
    assert heights[0] < heights[1] < heights[2] == heights[3]


def test_dropped_files_are_told_and_not_pasted(qtbot: QtBot, composer: Composer) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile("/tmp/notes.txt")])
    with qtbot.waitSignal(composer.files_dropped) as caught:
        composer.edit.insertFromMimeData(data)
    assert [str(path) for path in caught.args[0]] == ["/tmp/notes.txt"]
    assert composer.text() == ""
