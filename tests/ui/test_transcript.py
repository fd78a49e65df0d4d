"""The transcript: builds only what is near, keeps the reader's place, streams, selects across messages."""

import itertools
import time
from collections.abc import Callable

import msgspec
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QGuiApplication, QMouseEvent, QWheelEvent
from PySide6.QtWidgets import QApplication, QLabel, QPushButton, QToolButton, QWidget
from pytestqt.qtbot import QtBot

from app.core.events import ErrorInfo
from app.core.generate import Timings, Usage
from app.ui import theme
from app.ui.chat_style import make_style
from app.ui.code_block import CodeBlock
from app.ui.entries import Entry
from app.ui.figures import figures_line
from app.ui.message_parts import ErrorCard, ReasoningFold
from app.ui.message_view import MessageView
from app.ui.prose import ProseView
from app.ui.transcript import MAX_BUILT, Transcript

ANSWER = "Some **bold** words.\n\n```python\nprint('hi')\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"


@pytest.fixture
def transcript(qtbot: QtBot) -> Transcript:
    theme.notifier().apply("light")
    made = Transcript()
    qtbot.addWidget(made)
    made.resize(900, 600)
    made.show()
    return made


def chat(count: int) -> list[Entry]:
    return [
        Entry(i, "user" if i % 2 == 0 else "assistant", f"Message {i}\n" + "text " * (i * 37 % 90))
        for i in range(count)
    ]


def view_of(transcript: Transcript, key: int) -> MessageView:
    found = [view for view in transcript.findChildren(MessageView) if view.entry.key == key]
    assert len(found) == 1
    return found[0]


def settle(qtbot: QtBot, transcript: Transcript) -> None:
    qtbot.waitUntil(lambda: not transcript._idle.isActive(), timeout=30_000)


def scroll(transcript: Transcript, steps: int) -> None:
    at = QPointF(400, 300)
    event = QWheelEvent(
        at,
        transcript.mapToGlobal(at),
        QPoint(),
        QPoint(0, 120 * steps),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(transcript.viewport(), event)


# ------------------------------------------------------------------ long chats


def test_a_long_chat_builds_only_what_is_near(qtbot: QtBot, transcript: Transcript) -> None:
    transcript.set_entries(chat(1000))
    assert transcript.built < 30
    bar = transcript.verticalScrollBar()
    assert bar.value() == bar.maximum()
    for value in range(bar.maximum(), 0, -bar.maximum() // 40):
        bar.setValue(value)
        settle(qtbot, transcript)
    assert transcript.built <= MAX_BUILT


def test_every_message_is_reached_by_scrolling_up(qtbot: QtBot, transcript: Transcript) -> None:
    transcript.set_entries(chat(60))
    seen: set[int] = set()
    bar = transcript.verticalScrollBar()
    for _ in range(400):
        seen |= {view.entry.key for view in transcript.findChildren(MessageView) if view.isVisible()}
        if bar.value() == 0:
            break
        bar.setValue(bar.value() - 150)
    assert seen == set(range(60))


def test_messages_never_overlap(qtbot: QtBot, transcript: Transcript) -> None:
    transcript.set_entries(chat(80))
    bar = transcript.verticalScrollBar()
    for value in (bar.maximum(), bar.maximum() // 2, 0):
        bar.setValue(value)
        settle(qtbot, transcript)
        views = sorted(transcript.findChildren(MessageView), key=lambda view: view.y())
        bottoms = [(a.geometry().bottom(), b.y()) for a, b in itertools.pairwise(views)]
        assert all(bottom < top for bottom, top in bottoms)


def test_a_wide_table_keeps_its_words_and_scrolls(qtbot: QtBot, transcript: Transcript) -> None:
    head = "| " + " | ".join(f"Wordwithoutanyspace{n}" for n in range(9)) + " |"
    text = f"Before\n\n{head}\n{'|---' * 9}|\n{'| x ' * 9}|\n\nAfter {'word ' * 90}"
    transcript.set_entries([Entry(1, "assistant", text)])
    views = transcript.findChildren(ProseView)
    bars = [view.horizontalScrollBar().maximum() > 0 for view in views]
    assert bars == [False, True, False]
    wide = views[1]
    assert wide.verticalScrollBar().maximum() == 0
    assert wide.horizontalScrollBar().value() == 0
    block = wide.document().begin()
    while block.isValid():
        assert block.layout().lineCount() <= 1
        block = block.next()


# ------------------------------------------------------------------ streaming


def start_answer(transcript: Transcript, key: int = -1) -> Entry:
    entry = Entry(key, "assistant")
    transcript.append(Entry(key - 100, "user", "go"))
    transcript.append(entry)
    transcript.start_live(key)
    return entry


def stream(transcript: Transcript, entry: Entry, text: str, step: int = 7) -> Entry:
    for at in range(0, len(text), step):
        piece = text[at : at + step]
        entry = msgspec.structs.replace(entry, text=entry.text + piece)
        transcript.feed(entry, piece)
    return entry


def test_the_end_is_followed_while_the_reader_is_there(transcript: Transcript) -> None:
    transcript.set_entries(chat(10))
    entry = start_answer(transcript)
    stream(transcript, entry, "word " * 2000, 50)
    bar = transcript.verticalScrollBar()
    assert bar.value() == bar.maximum()
    assert transcript.following


def test_a_reader_who_scrolled_up_is_left_alone(qtbot: QtBot, transcript: Transcript) -> None:
    transcript.set_entries(chat(30))
    entry = start_answer(transcript)
    entry = stream(transcript, entry, "word " * 500, 50)
    scroll(transcript, 5)
    settle(qtbot, transcript)
    key = next(v.entry.key for v in transcript.findChildren(MessageView) if -50 < v.y() < 500)
    before = view_of(transcript, key).y()
    stream(transcript, entry, "more words\n\n" * 300, 50)
    assert view_of(transcript, key).y() == before
    assert not transcript.following
    jump = transcript.findChild(QToolButton, "jumpToEnd")
    assert isinstance(jump, QToolButton)
    assert jump.isVisible()
    qtbot.mouseClick(jump, Qt.MouseButton.LeftButton)
    assert transcript.following
    assert not jump.isVisible()


def test_streamed_and_stored_answers_look_the_same(qtbot: QtBot, transcript: Transcript) -> None:
    text = (ANSWER + "\n\n") * 12
    transcript.set_entries([])
    entry = stream(transcript, start_answer(transcript), text, 5)
    transcript.finish_live(-1, msgspec.structs.replace(entry, key=5, reason="stop"))
    streamed = [(type(p), p.toPlainText()) for p in view_of(transcript, 5).text_widgets()]
    height = view_of(transcript, 5).height()
    transcript.set_entries([Entry(4, "user", "go"), Entry(5, "assistant", text, reason="stop")])
    stored = [(type(p), p.toPlainText()) for p in view_of(transcript, 5).text_widgets()]
    assert streamed == stored
    assert view_of(transcript, 5).height() == height


def test_finished_blocks_are_not_parsed_again(
    transcript: Transcript, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = stream(transcript, start_answer(transcript), "A paragraph of words. " * 80 + "\n\nNext" * 3, 40)
    parsed: list[int] = []
    original: Callable[[ProseView, str], None] = ProseView.set_markdown
    monkeypatch.setattr(
        ProseView, "set_markdown", lambda self, text, **_: (parsed.append(len(text)), original(self, text))[0]
    )
    stream(transcript, entry, " the end", 8)
    assert parsed
    assert max(parsed) < 100


def test_a_selection_survives_new_text(transcript: Transcript) -> None:
    entry = stream(transcript, start_answer(transcript), "First words here.")
    view = view_of(transcript, -1).text_widgets()[0]
    cursor = view.textCursor()
    cursor.setPosition(0)
    cursor.setPosition(5, cursor.MoveMode.KeepAnchor)
    view.setTextCursor(cursor)
    stream(transcript, entry, " And then some more.")
    assert view.textCursor().selectedText() == "First"


def test_status_shows_while_waiting_and_goes(transcript: Transcript) -> None:
    entry = start_answer(transcript)
    transcript.set_status(-1, "Loading the model")
    labels = [label.text() for label in view_of(transcript, -1).findChildren(QLabel) if label.isVisible()]
    assert "Loading the model" in labels
    transcript.finish_live(-1, msgspec.structs.replace(entry, key=9, text="x", reason="stop"))
    labels = [label.text() for label in view_of(transcript, 9).findChildren(QLabel) if label.isVisible()]
    assert "Loading the model" not in labels


# ------------------------------------------------------------------ parts of a message


def test_code_is_coloured_off_the_gui_thread_and_can_be_copied(qtbot: QtBot, transcript: Transcript) -> None:
    transcript.set_entries([Entry(1, "assistant", ANSWER)])
    block = transcript.findChild(CodeBlock)
    assert isinstance(block, CodeBlock)
    qtbot.waitUntil(lambda: bool(block.text.document().firstBlock().layout().formats()), timeout=30_000)
    block.copy()
    assert QGuiApplication.clipboard().text() == "print('hi')"


def test_nothing_remote_or_local_is_fetched(transcript: Transcript, tmp_path: object) -> None:
    transcript.set_entries(
        [Entry(1, "assistant", "![x](file:///etc/passwd) <img src='http://127.0.0.1:9/x.png'> <b>t</b>")]
    )
    view = view_of(transcript, 1).text_widgets()[0]
    assert isinstance(view, ProseView)
    assert "<img" in view.toPlainText()
    assert "\ufffc" not in view.toPlainText()


def test_links_are_told_and_not_opened(qtbot: QtBot, transcript: Transcript) -> None:
    transcript.set_entries([Entry(1, "assistant", "[docs](https://example.org/)")])
    view = view_of(transcript, 1).text_widgets()[0]
    assert isinstance(view, ProseView)
    with qtbot.waitSignal(transcript.link_activated, timeout=30_000) as caught:
        qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(10, 10))
    assert caught.args[0].toString() == "https://example.org/"


def test_thoughts_are_folded_with_their_duration(qtbot: QtBot, transcript: Transcript) -> None:
    transcript.set_entries(
        [Entry(1, "assistant", "Yes.", reasoning="Let me **see**.", reasoning_seconds=3.21)]
    )
    fold = transcript.findChild(ReasoningFold)
    assert isinstance(fold, ReasoningFold)
    button = fold.findChild(QToolButton)
    assert isinstance(button, QToolButton)
    assert "3.2" in button.text()
    before = view_of(transcript, 1).height()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert view_of(transcript, 1).height() > before


def test_raw_think_tags_are_folded_too(transcript: Transcript) -> None:
    transcript.set_entries([Entry(1, "assistant", "<think>hm</think>\n\nYes.")])
    assert transcript.findChild(ReasoningFold) is not None
    assert view_of(transcript, 1).text_widgets()[0].toPlainText() == "Yes."


def test_an_error_stands_in_its_place_with_its_button(qtbot: QtBot, qapp: QApplication) -> None:
    made = Transcript(words=lambda error: (f"It died: {error.code}", "Load again", "load_again"))
    qtbot.addWidget(made)
    made.resize(800, 600)
    made.show()
    error = ErrorInfo("worker_crashed", "died", {}, details="line 1\nline 2")
    made.set_entries([Entry(1, "assistant", "partial", error=error)])
    card = made.findChild(ErrorCard)
    assert isinstance(card, ErrorCard)
    with qtbot.waitSignal(made.action) as caught:
        qtbot.mouseClick(card.findChild(QPushButton), Qt.MouseButton.LeftButton)
    assert caught.args == [1, "load_again"]


def test_figures_stand_under_an_answer(transcript: Transcript) -> None:
    timings = Timings(prefill=0.1, decode=2.0, ttft=0.25, prefill_tokens=50, decode_tokens=85)
    entry = Entry(
        1, "assistant", "Hi", model="o/m:Q4_K_M", reason="length", usage=Usage(50, 86), timings=timings
    )
    transcript.set_entries([entry])
    texts = " ".join(label.text() for label in transcript.findChildren(QLabel))
    for part in ("m Q4_K_M", "42.5 tokens/s", "86 token", "0.25 s", "longest answer"):
        assert part in texts


def test_figures_without_room_go_whole_and_why_it_ended_stays(qapp: object) -> None:
    timings = Timings(prefill=0.1, decode=2.0, ttft=0.25, prefill_tokens=50, decode_tokens=85)
    entry = Entry(
        1,
        "assistant",
        "Hi",
        model="o/m:Q4_K_M",
        reason="length",
        usage=Usage(50, 86),
        timings=timings,
        mark="pinned",
    )
    whole = figures_line(entry).split("  ·  ")
    assert (whole[0], len(whole)) == ("always kept", 6)
    for room in range(100):
        shown = figures_line(entry, lambda words, room=room: len(words) <= room).split("  ·  ")  # type: ignore[misc]
        assert shown == [*whole[: len(shown) - 1], whole[-1]]


@pytest.mark.parametrize("name", ["copy", "regenerate", "delete", "previous", "next"])
def test_actions_are_told(qtbot: QtBot, transcript: Transcript, name: str) -> None:
    transcript.set_entries([Entry(1, "assistant", "Hi", reason="stop", version=2, versions=3)])
    footer = view_of(transcript, 1)._footer
    assert footer is not None
    with qtbot.waitSignal(transcript.action) as caught:
        footer._buttons[name].click()  # type: ignore[index]
    assert caught.args == [1, name]


def test_editing_in_place_tells_the_new_text(qtbot: QtBot, transcript: Transcript) -> None:
    transcript.set_entries([Entry(1, "user", "old"), Entry(2, "assistant", "x")])
    view = view_of(transcript, 1)
    view.start_edit()
    assert view._editor is not None
    view._editor.text.setPlainText("new")
    with qtbot.waitSignal(transcript.edited) as caught:
        qtbot.keyClick(view._editor.text, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert caught.args == [1, "new"]
    assert not view.editing


def test_escape_gives_an_edit_up(qtbot: QtBot, transcript: Transcript) -> None:
    transcript.set_entries([Entry(1, "user", "old")])
    view = view_of(transcript, 1)
    view.start_edit()
    assert view._editor is not None
    qtbot.keyClick(view._editor.text, Qt.Key.Key_Escape)
    assert not view.editing
    assert view.text_widgets()[0].isVisible()


# ------------------------------------------------------------------ selection across messages


def mouse(kind: QMouseEvent.Type, widget: QWidget, target: QPoint, buttons: Qt.MouseButton) -> None:
    local = widget.mapFromGlobal(target)
    button = Qt.MouseButton.NoButton if kind == QMouseEvent.Type.MouseMove else Qt.MouseButton.LeftButton
    event = QMouseEvent(
        kind, QPointF(local), QPointF(target), button, buttons, Qt.KeyboardModifier.NoModifier
    )
    QApplication.sendEvent(widget, event)


def test_text_as_it_was_written_is_in_a_fixed_width(transcript: Transcript) -> None:
    transcript.set_entries([Entry(1, "assistant", "Some **bold** words.")])
    view = view_of(transcript, 1)
    view.toggle_raw()
    (raw,) = view.text_widgets()
    assert raw.toPlainText() == "Some **bold** words."
    assert raw.document().defaultFont() == transcript._style.mono
    view.toggle_raw()
    assert view.text_widgets()[0].document().defaultFont() == transcript._style.body


def test_the_keyboard_stays_in_the_conversation(qtbot: QtBot, transcript: Transcript) -> None:
    transcript.set_entries(chat(4))
    beside = QPushButton()
    qtbot.addWidget(beside)
    with qtbot.waitExposed(transcript):
        transcript.activateWindow()
    view = view_of(transcript, 2)
    view.start_edit()
    view.end_edit()
    qtbot.waitUntil(transcript.hasFocus, timeout=30_000)
    button = next(b for b in view.findChildren(QToolButton) if b.accessibleName() == "Delete")
    button.setFocus()
    transcript.truncate(2)
    qtbot.waitUntil(transcript.hasFocus, timeout=30_000)


def test_a_drag_selects_across_messages_and_copies(qtbot: QtBot, transcript: Transcript) -> None:
    transcript.set_entries(
        [
            Entry(1, "assistant", "First message"),
            Entry(2, "user", "Second *one*"),
            Entry(3, "assistant", "Third here"),
        ]
    )
    first, third = (view_of(transcript, key).text_widgets()[0].viewport() for key in (1, 3))
    start = first.mapToGlobal(QPoint(0, 8))
    end = third.mapToGlobal(QPoint(third.width() - 2, 10))
    mouse(QMouseEvent.Type.MouseButtonPress, first, start, Qt.MouseButton.LeftButton)
    mouse(QMouseEvent.Type.MouseMove, first, end, Qt.MouseButton.LeftButton)
    mouse(QMouseEvent.Type.MouseButtonRelease, first, end, Qt.MouseButton.NoButton)
    transcript.copy()
    assert QGuiApplication.clipboard().text() == "First message\n\nSecond *one*\n\nThird here"


# ------------------------------------------------------------------ the rest


def test_jumping_to_questions(qtbot: QtBot, transcript: Transcript) -> None:
    transcript.set_entries(chat(40))
    transcript.jump_question(-1)
    settle(qtbot, transcript)
    first = [v.entry.key for v in transcript.findChildren(MessageView) if 0 <= v.y() < 60]
    transcript.jump_question(-1)
    settle(qtbot, transcript)
    second = [v.entry.key for v in transcript.findChildren(MessageView) if 0 <= v.y() < 60]
    assert len(first) == len(second) == 1
    assert first[0] % 2 == second[0] % 2 == 0
    assert second[0] == first[0] - 2


def test_zoom_and_theme_change_rebuild_in_place(qtbot: QtBot, transcript: Transcript) -> None:
    transcript.set_entries(chat(20))
    entry = stream(transcript, start_answer(transcript), "streaming text")
    transcript.set_zoom(1.5)
    theme.notifier().apply("dark")
    assert view_of(transcript, -1).live
    stream(transcript, entry, " goes on")
    assert view_of(transcript, -1).text_widgets()[0].toPlainText() == "streaming text goes on"
    theme.notifier().apply("light")


def test_nothing_runs_while_nothing_happens(qtbot: QtBot, transcript: Transcript) -> None:
    transcript.set_entries(chat(50))
    settle(qtbot, transcript)
    time.sleep(0.01)
    QApplication.processEvents()
    assert not transcript._idle.isActive()


def test_another_state_of_the_same_chat_keeps_the_place(qtbot: QtBot, transcript: Transcript) -> None:
    entries = chat(80)
    transcript.set_entries(entries)
    transcript.jump_to(30)
    settle(qtbot, transcript)
    before = view_of(transcript, 30).y()
    entries[30] = msgspec.structs.replace(entries[30], text="another version", version=2, versions=2)
    transcript.set_entries(entries[:60], keep_place=True)
    settle(qtbot, transcript)
    assert abs(view_of(transcript, 30).y() - before) <= 2
    assert not transcript.following


def test_an_error_button_acts_once_however_often_it_was_shown(qtbot: QtBot, transcript: Transcript) -> None:
    error = ErrorInfo("worker_crashed", "died", {})
    transcript._words = lambda _error: ("It died.", "Load again", "load_again")
    transcript.set_entries([Entry(1, "assistant", "partial", error=error)])
    view_of(transcript, 1).show_entry(Entry(1, "assistant", "partial", error=error, seed=3), is_last=True)
    told: list[str] = []
    transcript.action.connect(lambda _key, name: told.append(name))
    card = transcript.findChild(ErrorCard)
    assert isinstance(card, ErrorCard)
    qtbot.mouseClick(card.findChild(QPushButton), Qt.MouseButton.LeftButton)
    assert told == ["load_again"]


def test_headings_stand_out_by_their_level(qtbot: QtBot) -> None:
    view = ProseView(make_style())
    qtbot.addWidget(view)

    def high(text: str) -> int:
        view.set_markdown(text)
        return view.height_for(600)

    heights = [high(f"{mark} A **bold** heading") for mark in ("#", "##", "###", "")]
    assert heights == sorted(set(heights), reverse=True)
