"""The Chat page over the real store: ask, stop, edit, regenerate, versions, delete with undo, drafts, errors.

The engine is a stand-in that echoes (``tests.fakes.engine``); ``test_chat_story`` has the real one.
"""

import threading
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QCursor, QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel, QPushButton, QToolButton
from pytestqt.qtbot import QtBot

from app.chat.store_types import Conversation
from app.core.errors import DiskFullError, LoadCancelledError, OutOfMemoryError
from app.core.events import LoadWaits
from app.core.generate import Delta, Failed, Finished, Timings, Usage
from app.ui import theme
from app.ui.message_parts import Editor, ErrorCard
from app.ui.pages.chat import ChatPage
from app.ui.undo_bar import UndoBar
from tests import waiting
from tests.fakes.chat_page import OTHER, ask, until, wait_idle
from tests.fakes.engine import RECORD

pytestmark = pytest.mark.echo


def texts(page: ChatPage) -> list[tuple[str, str]]:
    return [(entry.role, entry.text.strip()) for entry in page.transcript.entries]


def test_a_question_is_answered_and_kept(qtbot: QtBot, page: ChatPage, services: Any) -> None:
    ask(qtbot, page, "hello there")
    assert texts(page) == [("user", "hello there"), ("assistant", "hello there")]
    assert page.composer.text() == ""
    chat = services.chats.conversations()[0]
    assert chat.title == "hello there"
    assert [m.text.strip() for m in services.chats.messages(chat.id)] == ["hello there", "hello there"]
    until(qtbot, lambda: [row.title for row in page.list.model.rows] == ["hello there"])


def test_the_second_question_goes_with_the_first(qtbot: QtBot, page: ChatPage, services: Any) -> None:
    ask(qtbot, page, "one")
    ask(qtbot, page, "two")
    assert [m.text.strip() for m in services.supervisor.requests[-1].messages] == ["one", "one", "two"]
    assert len(services.chats.conversations()) == 1


@pytest.mark.parametrize("where", ["composer", "transcript", "list"])
def test_escape_stops_and_keeps_what_is_there(
    qtbot: QtBot, page: ChatPage, services: Any, where: str
) -> None:
    services.supervisor.delay = 0.05
    page.composer.set_text("word " * 100)
    qtbot.keyClick(page.composer.edit, Qt.Key.Key_Return)
    until(qtbot, lambda: len(page.transcript.entries) == 2 and "word" in page.transcript.entries[1].text)
    focused = {"composer": page.composer.edit, "transcript": page.transcript, "list": page.list.view}[where]
    qtbot.keyClick(focused, Qt.Key.Key_Escape)
    wait_idle(qtbot, page)
    last = page.transcript.entries[-1]
    assert last.reason == "cancelled"
    assert 0 < last.text.count("word") < 100


def test_regenerate_adds_a_version_and_one_can_go_back(qtbot: QtBot, page: ChatPage) -> None:
    ask(qtbot, page, "again")
    page.controller.act(page.transcript.entries[-1].key, "regenerate")
    wait_idle(qtbot, page)
    last = page.transcript.entries[-1]
    assert (last.version, last.versions) == (2, 2)
    page.controller.act(last.key, "previous")
    until(qtbot, lambda: page.transcript.entries[-1].version == 1)
    assert page.transcript.entries[-1].versions == 2


def test_two_fast_clicks_go_two_versions_back(qtbot: QtBot, page: ChatPage) -> None:
    ask(qtbot, page, "again")
    for _ in range(2):
        page.controller.act(page.transcript.entries[-1].key, "regenerate")
        wait_idle(qtbot, page)
    last = page.transcript.entries[-1]
    for step, wanted in (("previous", 1), ("next", 3)):
        page.controller.act(last.key, step)
        page.controller.act(last.key, step)  # before the first is shown
        until(qtbot, lambda wanted=wanted: page.transcript.entries[-1].version == wanted)  # type: ignore[misc]
        last = page.transcript.entries[-1]


def test_editing_a_question_asks_again_beside_it(qtbot: QtBot, page: ChatPage, services: Any) -> None:
    ask(qtbot, page, "first words")
    page.controller.edit(page.transcript.entries[0].key, "other words")
    wait_idle(qtbot, page)
    assert texts(page) == [("user", "other words"), ("assistant", "other words")]
    assert page.transcript.entries[0].versions == 2


def test_correcting_an_answer_changes_it_in_place(qtbot: QtBot, page: ChatPage) -> None:
    ask(qtbot, page, "hello")
    page.controller.edit(page.transcript.entries[1].key, "corrected")
    until(qtbot, lambda: texts(page)[-1] == ("assistant", "corrected"))
    undo = page.findChild(UndoBar)
    assert isinstance(undo, UndoBar)
    until(qtbot, undo.isVisible)
    qtbot.mouseClick(undo.findChild(QPushButton), Qt.MouseButton.LeftButton)
    until(qtbot, lambda: texts(page)[-1] == ("assistant", "hello"))


def test_a_change_begun_in_a_message_is_there_when_one_comes_back(qtbot: QtBot, page: ChatPage) -> None:
    ask(qtbot, page, "one")
    chat = page.controller.chat
    assert chat is not None

    def editor() -> Editor | None:
        return page.transcript.findChild(Editor)

    page.transcript.built_views()[0].start_edit()
    begun = editor()
    assert begun is not None
    qtbot.keyClicks(begun.text, " changed")
    page.new_chat()
    assert not page.transcript.built_views()
    page.open_chat(chat)
    until(qtbot, page.transcript.built_views)
    theme.notifier().apply("dark")  # every message is built anew
    again = editor()
    assert again is not None
    assert again.text.toPlainText() == "one changed"
    again.cancelled.emit()
    page.new_chat()
    page.open_chat(chat)
    until(qtbot, page.transcript.built_views)
    assert page.transcript.built_views()[0].begun_edit() is None


def test_a_change_is_not_lost_to_an_answer_on_its_way(qtbot: QtBot, page: ChatPage, services: Any) -> None:
    ask(qtbot, page, "one")
    services.supervisor.delay = 0.05
    page.composer.set_text("word " * 200)
    qtbot.keyClick(page.composer.edit, Qt.Key.Key_Return)
    until(qtbot, lambda: page.controller.turns.here() is not None)
    view = page.transcript.built_views()[0]
    view.start_edit()
    view._accept_edit("one changed")
    assert view.begun_edit() == "one changed"
    page.controller.stop()
    wait_idle(qtbot, page)


def test_every_act_can_be_taken_back_the_latest_first(qtbot: QtBot, page: ChatPage, services: Any) -> None:
    ask(qtbot, page, "one")
    chat = page.controller.chat
    assert chat is not None
    services.chats.update(chat, folder="Home")
    until(qtbot, lambda: page.controller.shelf.folders == ["Home"])
    page.list.folder_renamed.emit("Home", "")
    until(qtbot, lambda: len(page._undo._undos) == 1)
    page.controller.act(page.transcript.entries[0].key, "delete")
    until(qtbot, lambda: len(page._undo._undos) == 2)
    page.new_chat()
    page.controller.shelf.delete(chat)
    until(qtbot, lambda: len(page._undo._undos) == 3)
    for _ in range(3):
        page._undo.take_back()
        until(qtbot, lambda: not page._undo.isVisible())
    until(qtbot, lambda: services.chats.conversation(chat).folder == "Home")
    until(qtbot, lambda: services.chats.conversation(chat).deleted_at is None)
    until(qtbot, lambda: page.controller.chat == chat and len(page.transcript.entries) == 2)


def test_a_deleted_message_comes_back(qtbot: QtBot, page: ChatPage) -> None:
    ask(qtbot, page, "one")
    ask(qtbot, page, "two")
    page.controller.act(page.transcript.entries[2].key, "delete")
    until(qtbot, lambda: len(page.transcript.entries) == 2)
    undo = page.findChild(UndoBar)
    assert isinstance(undo, UndoBar)
    until(qtbot, undo.isVisible)
    qtbot.mouseClick(undo.findChild(QPushButton), Qt.MouseButton.LeftButton)
    until(qtbot, lambda: len(page.transcript.entries) == 4)


def test_ctrl_z_brings_a_message_back_when_the_line_has_gone(qtbot: QtBot, page: ChatPage) -> None:
    ask(qtbot, page, "one")
    page.controller.act(page.transcript.entries[0].key, "delete")
    until(qtbot, page._undo.isVisible)
    page._undo.hide()
    page.composer.edit.insertPlainText("typed")
    control = Qt.KeyboardModifier.ControlModifier
    qtbot.keyClick(page.composer.edit, Qt.Key.Key_Z, control)
    assert page.composer.text() == ""  # the text's own first
    assert not page.transcript.entries
    qtbot.keyClick(page.composer.edit, Qt.Key.Key_Z, control)
    until(qtbot, lambda: len(page.transcript.entries) == 2)


def test_a_deleted_chat_comes_back(qtbot: QtBot, page: ChatPage, services: Any) -> None:
    ask(qtbot, page, "keep me")
    chat = page.controller.chat
    assert chat is not None
    page.controller.shelf.delete(chat)
    until(qtbot, lambda: not page.list.model.rows)
    assert page.controller.chat is None
    undo = page.findChild(UndoBar)
    assert isinstance(undo, UndoBar)
    until(qtbot, undo.isVisible)
    qtbot.mouseClick(undo.findChild(QPushButton), Qt.MouseButton.LeftButton)
    until(qtbot, lambda: len(page.list.model.rows) == 1 and len(page.transcript.entries) == 2)


def test_drafts_stay_with_their_chat(qtbot: QtBot, page: ChatPage, services: Any) -> None:
    ask(qtbot, page, "a chat")
    first = page.controller.chat
    assert first is not None
    qtbot.keyClicks(page.composer.edit, "half a thought")
    page.new_chat()
    until(qtbot, lambda: page.composer.text() == "")
    page.open_chat(first)
    until(qtbot, lambda: page.composer.text() == "half a thought")


def test_a_draft_is_written_a_moment_after_the_last_key_and_when_the_page_closes(
    qtbot: QtBot, page: ChatPage, services: Any
) -> None:
    ask(qtbot, page, "a chat")
    first = page.controller.chat
    assert first is not None

    def kept() -> str:
        return str(services.chats.conversation(first).draft)

    qtbot.keyClicks(page.composer.edit, "half")
    until(qtbot, lambda: kept() == "half")
    page.composer.edit.clear()
    until(qtbot, lambda: kept() == "")
    qtbot.keyClicks(page.composer.edit, "half a thought")
    until(qtbot, lambda: kept() == "half a thought")
    qtbot.keyClicks(page.composer.edit, " more")
    page.controller.drafts.close()
    until(qtbot, lambda: kept() == "half a thought more")


def test_a_draft_is_not_lost_to_a_reading_that_began_before_it_was_written(
    qtbot: QtBot, page: ChatPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(qtbot, page, "a chat")
    first, drafts, store = page.controller.chat, page.controller.drafts, page.controller.place.store
    assert first is not None
    qtbot.keyClicks(page.composer.edit, "half a thought")
    plain = store.conversation

    def early(chat: int) -> Conversation:
        found = replace(plain(chat), draft="")
        waiting.until(
            lambda: drafts.on_its_way(chat) is None
        )  # written, and the window knows it, before this is shown
        return found

    monkeypatch.setattr(store, "conversation", early)
    page.new_chat()
    page.open_chat(first)
    until(qtbot, lambda: page.composer.text() == "half a thought")


def test_a_crash_stands_in_its_place_and_can_be_retried(qtbot: QtBot, page: ChatPage, services: Any) -> None:
    services.supervisor.failure = Failed("worker_crashed", "died", {"model": "m", "why": "signal SIGKILL"})
    ask(qtbot, page, "hello you")
    last = page.transcript.entries[-1]
    assert last.error is not None
    assert last.text.strip() == "hello"
    card = page.transcript.findChild(ErrorCard)
    assert isinstance(card, ErrorCard)
    words = " ".join(label.text() for label in card.findChildren(QLabel))
    assert "SIGKILL" in words
    services.supervisor.failure = None
    qtbot.mouseClick(card.findChild(QPushButton), Qt.MouseButton.LeftButton)
    wait_idle(qtbot, page)
    assert page.transcript.entries[-1].error is None
    assert (
        page.transcript.findChild(ErrorCard) is None or not page.transcript.findChild(ErrorCard).isVisible()
    )


def test_a_failed_load_keeps_the_question(qtbot: QtBot, page: ChatPage, services: Any) -> None:
    services.supervisor.load_error = OutOfMemoryError(model="m", detail="3 GB are missing")
    ask(qtbot, page, "still here")
    assert texts(page)[0] == ("user", "still here")
    assert page.transcript.entries[1].error is not None
    assert page.transcript.entries[1].error.code == "out_of_memory"


def test_two_chats_answer_at_the_same_time(qtbot: QtBot, page: ChatPage, services: Any) -> None:
    services.supervisor.delay = 0.03
    page.composer.set_text("slow " * 30)
    qtbot.keyClick(page.composer.edit, Qt.Key.Key_Return)
    until(qtbot, lambda: len(page.transcript.entries) == 2 and "slow" in page.transcript.entries[1].text)
    first = page.controller.chat
    assert first is not None
    page.new_chat()
    assert page.transcript.entries == [] or page._stack.currentWidget() is page._empty
    ask(qtbot, page, "quick")
    assert texts(page) == [("user", "quick"), ("assistant", "quick")]
    page.open_chat(first)
    until(qtbot, lambda: len(page.transcript.entries) == 2 and "slow" in page.transcript.entries[0].text)
    wait_idle(qtbot, page)
    assert page.transcript.entries[1].text.count("slow") == 30


def test_reasoning_and_prefill_are_shown(qtbot: QtBot, page: ChatPage, services: Any) -> None:
    services.supervisor.script = [
        Delta(prefilled=50, prompt_tokens=100),
        Delta(reasoning="Let me think. ", tokens=3),
        Delta(text="Yes.", tokens=1),
        Finished("stop", Usage(100, 4), Timings(0, 0.1, 0.2, 0.1, 100, 3)),
    ]
    services.supervisor.delay = 0.1
    page.composer.set_text("hm?")
    qtbot.keyClick(page.composer.edit, Qt.Key.Key_Return)
    until(qtbot, lambda: any("50" in label.text() for label in page.transcript.findChildren(QLabel)))
    wait_idle(qtbot, page)
    last = page.transcript.entries[-1]
    assert (last.reasoning.strip(), last.text) == ("Let me think.", "Yes.")
    assert last.reasoning_seconds is not None
    assert 0.05 < last.reasoning_seconds < 2


def test_context_is_told(qtbot: QtBot, page: ChatPage) -> None:
    found: list[Any] = []
    page.context_changed.connect(found.append)
    ask(qtbot, page, "count me in")
    assert found[-1].limit == 4096
    assert (found[-1].history, found[-1].answer) == (0, 10)
    ask(qtbot, page, "count me in again")
    assert found[-1].history > 0
    assert found[-1].answer > 0


def test_searching_lists_what_holds_the_words(qtbot: QtBot, page: ChatPage) -> None:
    ask(qtbot, page, "tiếng Việt rất hay")
    page.new_chat()
    ask(qtbot, page, "something else")
    page.list.search.setText("tieng viet")
    until(qtbot, lambda: [row.title for row in page.list.model.rows] == ["tiếng Việt rất hay"])
    page.list.search.setText("")
    until(qtbot, lambda: len(page.list.model.rows) == 2)


def test_rename_and_pin(qtbot: QtBot, page: ChatPage) -> None:
    ask(qtbot, page, "old name")
    chat = page.controller.chat
    assert chat is not None
    page.controller.shelf.rename(chat, "new name")
    page.controller.shelf.change(chat, pinned=True)
    until(qtbot, lambda: [(r.title, r.pinned) for r in page.list.model.rows] == [("new name", True)])
    until(qtbot, lambda: page.head.title.text() == "new name")


def test_copy_puts_the_markdown_on_the_clipboard(qtbot: QtBot, page: ChatPage) -> None:
    ask(qtbot, page, "some **bold**")
    page.controller.act(page.transcript.entries[0].key, "copy")
    assert QGuiApplication.clipboard().text() == "some **bold**"


def test_without_a_model_the_page_offers_one(qtbot: QtBot, page: ChatPage, services: Any) -> None:
    services.library._records = ()
    page.controller.models.load()
    until(qtbot, lambda: not page.controller.models.there_are)
    assert page._empty.button.isVisible()
    with qtbot.waitSignal(page.starter_requested):
        qtbot.mouseClick(page._empty.button, Qt.MouseButton.LeftButton)


def test_a_question_is_kept_while_its_model_waits_for_room(
    qtbot: QtBot, page: ChatPage, services: Any
) -> None:
    given_up = []

    def wait(model: str, over: threading.Event) -> Any:
        services.bus.publish(LoadWaits(model, (OTHER.id,)))
        assert over.wait(60)
        given_up.append(model)
        raise LoadCancelledError(model=model)

    services.load = wait
    page.controller.ask("are you there")
    until(qtbot, lambda: page.controller.turns.here() and "Other" in page.controller.turns.here().status)
    until(qtbot, lambda: len(services.chats.conversations()) == 1)
    (chat,) = services.chats.conversations()
    until(qtbot, lambda: [m.text for m in services.chats.messages(chat.id)] == ["are you there", ""])
    until(qtbot, lambda: page.controller.chat == chat.id)
    page.controller.turns.stop()
    until(qtbot, lambda: page.controller.turns.here() is None)
    until(qtbot, lambda: given_up == [RECORD.id])
    assert not services.supervisor.requests


def test_picking_another_model_ends_the_wait_for_the_first(
    qtbot: QtBot, page: ChatPage, services: Any
) -> None:
    waits: dict[str, threading.Event] = {}
    ended, shown = [], []
    page.controller.failed.connect(shown.append)

    def wait(model: str, over: threading.Event) -> Any:
        waits[model] = over
        assert over.wait(60)
        ended.append(model)
        raise LoadCancelledError(model=model)

    services.load = wait
    page.controller.models.choose(RECORD.id)
    until(qtbot, lambda: RECORD.id in waits)
    page.controller.models.choose(OTHER.id)
    until(qtbot, lambda: ended == [RECORD.id] and OTHER.id in waits)
    waits[OTHER.id].set()
    until(qtbot, lambda: ended == [RECORD.id, OTHER.id])
    assert shown == []


def test_an_error_goes_with_the_chat_it_is_about(
    qtbot: QtBot, page: ChatPage, services: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(qtbot, page, "one")
    first = page.controller.chat
    assert first is not None
    page.new_chat()
    ask(qtbot, page, "two")

    def full(*_what: object, **_more: object) -> None:
        raise DiskFullError(path="chats.sqlite", missing="1 kB")

    monkeypatch.setattr(services.chats, "rewrite", full)
    page.controller.edit(page.transcript.entries[1].key, "corrected")
    until(qtbot, page._banner.isVisible)
    page.open_chat(first)
    until(qtbot, lambda: texts(page)[0] == ("user", "one"))
    assert page._banner.isHidden()


def test_a_model_that_can_t_be_loaded_is_told_of_until_another_is_chosen(
    qtbot: QtBot, page: ChatPage, services: Any
) -> None:
    ask(qtbot, page, "one")
    load = services.load

    def crash(model: str, **more: object) -> Any:
        if model == OTHER.id:
            raise OutOfMemoryError(model=model, detail="2 GiB more are needed")
        return load(model, **more)

    services.load = crash
    page.choose_model(OTHER.id)
    until(qtbot, page._banner.isVisible)
    page.new_chat()
    assert page._banner.isVisible()  # it is to answer here, too
    page.choose_model(RECORD.id)
    until(qtbot, page._banner.isHidden)


def test_changes_of_a_chat_are_made_in_their_order(
    qtbot: QtBot, page: ChatPage, services: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(qtbot, page, "one")
    chat, update = services.chats.conversations()[0].id, services.chats.update
    gate = threading.Event()

    def slow(number: int, **changes: object) -> None:
        if changes.get("pinned"):
            assert gate.wait(60)
        update(number, **changes)

    monkeypatch.setattr(services.chats, "update", slow)
    page.controller.shelf.change(chat, pinned=True)
    page.controller.shelf.change(chat, pinned=False)
    done: list[object] = []
    page.controller.run(lambda: services.chats.conversation(chat).pinned, done.append)
    until(qtbot, lambda: done)
    gate.set()
    page.controller.change(lambda: None, done.append)
    until(qtbot, lambda: len(done) == 2)
    assert not services.chats.conversation(chat).pinned


def test_picking_a_model_loads_and_remembers_it(qtbot: QtBot, page: ChatPage, services: Any) -> None:
    page.choose_model(RECORD.id)
    until(qtbot, lambda: RECORD.id in services.supervisor.loaded)
    until(qtbot, lambda: services.settings.value.general.last_model == RECORD.id)


def test_every_control_has_an_accessible_name(qtbot: QtBot, page: ChatPage) -> None:
    ask(qtbot, page, "hello")
    nameless = [
        b for b in page.findChildren(QToolButton) if b.isVisible() and not (b.accessibleName() or b.text())
    ]
    assert nameless == []


def test_files_go_with_the_question(qtbot: QtBot, page: ChatPage, services: Any, tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("the secret word is bamboo " * 20, "utf-8")
    page.desk.attach([notes])
    until(qtbot, page.composer.attachments.isVisible)
    until(qtbot, lambda: "tokens" in page.composer._hint.text())
    ask(qtbot, page, "what is it?")
    assert "bamboo" in services.supervisor.requests[-1].messages[-1].text
    assert page.transcript.entries[0].files == ("notes.txt",)
    assert not page.composer.attachments.isVisible()
    assert any("notes.txt" in label.text() for label in page.transcript.findChildren(QLabel))


def test_a_question_longer_than_the_context_is_told_before(qtbot: QtBot, page: ChatPage) -> None:
    ask(qtbot, page, "q")
    until(qtbot, lambda: page.controller.window.use().limit)
    limit = page.controller.window.use().limit or 0
    page.controller.sized.emit(limit + 1, True)
    assert "more context" in page.composer._note.text()
    assert page.composer._note.isVisible()
    page.controller.sized.emit(limit, True)
    assert not page.composer._note.isVisible()


def test_a_file_that_is_no_text_is_refused_in_words(qtbot: QtBot, page: ChatPage, tmp_path: Path) -> None:
    binary = tmp_path / "data.bin"
    binary.write_bytes(bytes(range(256)) * 8)
    page.desk.attach([binary])
    until(qtbot, page._banner.isVisible)
    assert "data.bin" in page._banner.words.text()


def test_an_attached_file_can_be_taken_out(qtbot: QtBot, page: ChatPage) -> None:
    page.composer.long_paste.emit("a long paste " * 600)
    bar = page.composer.attachments
    assert bar.isVisible()
    qtbot.mouseClick(bar._chips[0], Qt.MouseButton.LeftButton)
    assert bar.items == []
    assert not bar.isVisible()


@pytest.mark.parametrize("suffix", [".md", ".html", ".json"])
def test_a_chat_is_exported(qtbot: QtBot, page: ChatPage, services: Any, suffix: str) -> None:
    from app.ui import chat_export

    ask(qtbot, page, "xin chào bạn")
    assert page.controller.chat is not None
    assert "xin chào bạn" in chat_export.content(services.chats, page.controller.chat, suffix)
    assert chat_export.safe_name('a/b: "c"?') == "a b c"


def test_a_hit_opens_at_its_message(qtbot: QtBot, page: ChatPage, services: Any) -> None:
    chat = services.chats.create("long")
    parent = None
    for number in range(60):
        role = "user" if number % 2 == 0 else "assistant"
        text = f"message {number} " + ("kỳ lân " if number == 20 else "filler words ") * 30
        parent = services.chats.append(chat.id, parent, role, text).id
    page.list.search.setText("ky lan")
    until(qtbot, lambda: [row.id for row in page.list.model.rows] == [chat.id])
    page.open_chat(chat.id)
    until(qtbot, lambda: len(page.transcript.entries) == 60)
    index, view = page.transcript.view_at(60)
    assert index == 20
    assert view is not None


def test_a_second_click_where_an_arrow_was_means_that_arrow(qtbot: QtBot, page: ChatPage) -> None:
    ask(qtbot, page, "again")
    for _ in range(2):
        page.controller.act(page.transcript.entries[-1].key, "regenerate")
        wait_idle(qtbot, page)
    QCursor.setPos(page.mapToGlobal(QPoint(300, 300)))
    window = page.windowHandle()
    page.messages.act(page.transcript.entries[-1].key, "previous")
    QTest.mouseClick(window, Qt.MouseButton.LeftButton, pos=QPoint(300, 300))  # the arrow is elsewhere
    until(qtbot, lambda: page.transcript.entries[-1].version == 1)
    page.messages.act(page.transcript.entries[-1].key, "next")
    QTest.mouseClick(window, Qt.MouseButton.LeftButton, pos=QPoint(340, 300))
    until(qtbot, lambda: page.transcript.entries[-1].version == 2)
    wait_idle(qtbot, page)
    assert page.transcript.entries[-1].version == 2
