"""Drafts: of new chats over a restart, with what is attached, in several windows, and of questions on their way."""

import threading
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from app.chat.store_types import Draft, NewAttachment
from app.core.errors import DiskFullError
from app.ui import chat_drafts, picture_files
from app.ui.pages.chat import ChatPage
from tests.fakes.chat_page import ask, chat_page, until, wait_idle

pytestmark = pytest.mark.echo

FILE = NewAttachment("notes.txt", text="inside")
OTHER_FILE = NewAttachment("more.txt", text="more")


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drafts are written a little after a key rather than half a second."""
    monkeypatch.setattr(chat_drafts, "_SAVE_MS", 20)


@pytest.fixture
def page(qtbot: QtBot, page: ChatPage) -> ChatPage:
    """What was kept is read."""
    until(qtbot, lambda: page.controller.drafts._place)
    return page


def shown(page: ChatPage) -> Draft:
    return Draft(page.composer.text(), tuple(page.composer.attachments.items))


def test_the_draft_of_a_new_chat_is_there_after_a_restart(qtbot: QtBot, services: Any) -> None:
    with chat_page(qtbot, services) as first:
        until(qtbot, lambda: first.controller.drafts._place)
        qtbot.keyClicks(first.composer.edit, "half a thought")
        first.composer.attachments.add([FILE])
        until(qtbot, lambda: services.chats.new_drafts() == {1: Draft("half a thought", (FILE,))})
    with chat_page(qtbot, services) as second:
        until(qtbot, lambda: shown(second) == Draft("half a thought", (FILE,)))
        qtbot.keyClick(second.composer.edit, Qt.Key.Key_Return)
        wait_idle(qtbot, second)
        assert not shown(second)
        until(qtbot, lambda: services.chats.new_drafts() == {})
        assert not services.chats.conversation(second.controller.chat).draft


def test_how_a_new_chat_is_to_be_asked_is_there_after_a_restart(qtbot: QtBot, services: Any) -> None:
    with chat_page(qtbot, services) as first:
        until(qtbot, lambda: first.controller.drafts._place)
        assert not first.head.system.toolTip().endswith("Be brief.")
        first.controller.how.set_system("Be brief.")
        assert first.head.system.toolTip().endswith("Be brief.")
        first.controller.how.set_policy("rolling")
        ask_elsewhere = services.chats.create("another").id
        first.open_chat(ask_elsewhere)
        until(qtbot, lambda: first.controller.how.system_prompt() == "")
        first.new_chat()
        assert first.controller.how.system_prompt() == "Be brief."
    until(qtbot, lambda: services.chats.new_drafts() == {1: Draft("", (), "Be brief.", "rolling")})
    with chat_page(qtbot, services) as second:
        until(qtbot, lambda: second.controller.how.system_prompt() == "Be brief.")
        assert second.head.system.toolTip().endswith("Be brief.")
        assert second.controller.how.policy == "rolling"
        ask(qtbot, second, "a question")
        chat = second.controller.chat
        assert services.chats.conversation(chat).system == "Be brief."
        until(qtbot, lambda: services.chats.conversation(chat).policy == "rolling")
        until(qtbot, lambda: services.chats.new_drafts() == {})
        second.new_chat()
        assert second.controller.how.system_prompt() == ""  # what was chosen was for that one


def test_what_is_typed_before_the_draft_was_read_follows_it(qtbot: QtBot, services: Any) -> None:
    services.chats.save_new_draft(1, Draft("kept")).result()
    reading, plain = threading.Event(), services.chats.new_drafts
    services.chats.new_drafts = lambda: (reading.wait(30), plain())[1]
    with chat_page(qtbot, services) as page:
        qtbot.keyClicks(page.composer.edit, "typed")
        page.controller.drafts.save()
        reading.set()
        until(qtbot, lambda: page.composer.text() == "kept\ntyped")
        until(qtbot, lambda: plain() == {1: Draft("kept\ntyped")})


def test_a_temporary_chat_leaves_no_draft(qtbot: QtBot, page: ChatPage, services: Any) -> None:
    page.new_temporary()
    qtbot.keyClicks(page.composer.edit, "secret")
    page.composer.attachments.add([FILE])
    page.controller.drafts.save()
    page.new_chat()
    assert not shown(page)
    assert services.chats.new_drafts() == {}


def test_each_window_keeps_its_own(qtbot: QtBot, page: ChatPage, services: Any) -> None:
    qtbot.keyClicks(page.composer.edit, "one")
    with chat_page(qtbot, services) as second:
        until(qtbot, lambda: second.controller.drafts._place == 2)
        assert not shown(second)
        qtbot.keyClicks(second.composer.edit, "two")
        until(qtbot, lambda: services.chats.new_drafts() == {1: Draft("one"), 2: Draft("two")})
    with chat_page(qtbot, services) as third:  # the place that nobody writes to any more, and what is in it
        until(qtbot, lambda: third.composer.text() == "two")


def test_drafts_of_windows_that_are_no_more_come_one_after_the_other(qtbot: QtBot, services: Any) -> None:
    for place, text in ((1, "one"), (2, "two")):
        services.chats.save_new_draft(place, Draft(text)).result()
    with chat_page(qtbot, services) as page:
        until(qtbot, lambda: page.composer.text() == "one")
        qtbot.keyClick(page.composer.edit, Qt.Key.Key_Return)
        wait_idle(qtbot, page)
        until(qtbot, lambda: page.controller.drafts._place == 2)
        page.new_chat()
        assert page.composer.text() == "two"


def test_files_stay_with_their_chat(qtbot: QtBot, page: ChatPage) -> None:
    ask(qtbot, page, "a chat")
    first = page.controller.chat
    assert first is not None
    page.composer.attachments.add([FILE])
    page.new_chat()
    assert not shown(page)
    page.composer.attachments.add([OTHER_FILE])
    page.open_chat(first)
    until(qtbot, lambda: shown(page) == Draft("", (FILE,)))
    until(qtbot, lambda: page.controller.drafts.on_its_way(first) is None)
    page.new_chat()
    assert shown(page) == Draft("", (OTHER_FILE,))
    page.open_chat(first)  # now from the disk
    until(qtbot, lambda: shown(page) == Draft("", (FILE,)))
    qtbot.keyClick(page.composer.edit, Qt.Key.Key_Return)
    wait_idle(qtbot, page)
    assert page.controller.place.store.draft_files(first) == ()


def test_a_file_goes_where_it_was_attached(
    qtbot: QtBot, page: ChatPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(qtbot, page, "a chat")
    first, store = page.controller.chat, page.controller.place.store
    assert first is not None
    notes, going_on, plain = tmp_path / "notes.txt", threading.Event(), picture_files.from_paths
    notes.write_text("inside", encoding="utf-8")
    monkeypatch.setattr(picture_files, "from_paths", lambda paths: (going_on.wait(30), plain(paths))[1])
    qtbot.keyClicks(page.composer.edit, "with this")
    page.desk.attach([notes])
    page.new_chat()
    going_on.set()
    until(qtbot, lambda: [file.name for file in store.draft_files(first)] == ["notes.txt"])
    assert not shown(page)
    page.open_chat(first)
    until(qtbot, lambda: [file.name for file in shown(page).files] == ["notes.txt"])
    assert page.composer.text() == "with this"


def test_a_refused_file_takes_no_other_away(qtbot: QtBot, page: ChatPage, tmp_path: Path) -> None:
    names = [f"{number}.txt" for number in range(6)]
    for name in names:
        (tmp_path / name).write_bytes(b"\0\1\2" if name == "2.txt" else b"words")
    told: list[Any] = []
    page.controller.failed.connect(told.append)
    page.desk.attach([tmp_path / name for name in names])
    until(qtbot, lambda: len(shown(page).files) == 5 and told)
    assert [file.name for file in shown(page).files] == [name for name in names if name != "2.txt"]
    assert "2.txt" in told[0].text


def test_a_chat_read_again_keeps_what_is_typed_since(qtbot: QtBot, page: ChatPage) -> None:
    """Another window's answer in the same chat makes this one read it every moment."""
    ask(qtbot, page, "a chat")
    qtbot.keyClicks(page.composer.edit, "half")
    read: list[bool] = []
    page.controller.reload(then=lambda: read.append(True))
    qtbot.keyClicks(page.composer.edit, " a thought")
    until(qtbot, lambda: read)
    assert page.composer.text() == "half a thought"


def test_a_question_stays_a_draft_until_it_is_kept(qtbot: QtBot, page: ChatPage, services: Any) -> None:
    plain, going_on = services.chats.create, threading.Event()
    services.chats.create = lambda **more: (going_on.wait(30), plain(**more))[1]
    qtbot.keyClicks(page.composer.edit, "a question")
    until(qtbot, lambda: services.chats.new_drafts() == {1: Draft("a question")})
    qtbot.keyClick(page.composer.edit, Qt.Key.Key_Return)
    qtbot.keyClicks(page.composer.edit, "next")
    page.controller.drafts.save()
    assert services.chats.new_drafts() == {1: Draft("a question")}
    going_on.set()
    wait_idle(qtbot, page)
    until(qtbot, lambda: services.chats.new_drafts() == {})
    chat = page.controller.chat
    assert page.composer.text() == "next"
    until(qtbot, lambda: services.chats.conversation(chat).draft == "next")


def test_a_question_that_could_not_be_asked_comes_back_with_its_files(
    qtbot: QtBot, page: ChatPage, services: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(**_more: object) -> None:
        raise DiskFullError(path="chats.sqlite", missing="some kB")

    monkeypatch.setattr(services.chats, "create", full)
    page.composer.attachments.add([FILE])
    qtbot.keyClicks(page.composer.edit, "a question")
    qtbot.keyClick(page.composer.edit, Qt.Key.Key_Return)
    until(qtbot, lambda: shown(page) == Draft("a question", (FILE,)))
    assert not page.transcript.entries
    until(qtbot, lambda: services.chats.new_drafts() == {1: Draft("a question", (FILE,))})


def test_another_window_s_answer_leaves_what_is_open_here(
    qtbot: QtBot, page: ChatPage, services: Any
) -> None:
    ask(qtbot, page, "a chat")
    chat = page.controller.chat
    assert chat is not None
    with chat_page(qtbot, services) as second:
        second.open_chat(chat)
        until(qtbot, lambda: len(second.transcript.entries) == 2)
        view = second.transcript.row_view(0)
        assert view is not None
        view.start_edit()
        services.supervisor.delay = 0.02
        page.composer.set_text("word " * 200)
        qtbot.keyClick(page.composer.edit, Qt.Key.Key_Return)
        until(
            qtbot, lambda: len(second.transcript.entries) == 4 and "word" in second.transcript.entries[3].text
        )
        answer = second.transcript.row_view(3)
        assert answer is not None
        assert answer._footer is None
        assert answer._status is not None
        assert answer._status.text()
        qtbot.keyClicks(second.composer.edit, "typed meanwhile")
        so_far = len(second.transcript.entries[3].text)
        until(qtbot, lambda: len(second.transcript.entries[3].text) > so_far)
        assert second.transcript.row_view(3) is answer
        assert second.composer.text() == "typed meanwhile"
        second.controller.stop()
        wait_idle(qtbot, page)
        until(qtbot, lambda: answer._footer is not None and answer._status is None)


def test_who_asks_in_a_chat_that_another_window_deleted_has_it_back(
    qtbot: QtBot, page: ChatPage, services: Any
) -> None:
    ask(qtbot, page, "a chat")
    chat = page.controller.chat
    assert chat is not None
    services.chats.delete(chat)
    until(qtbot, lambda: not page.list.model.rows)
    ask(qtbot, page, "and on")
    assert services.chats.conversation(chat).deleted_at is None
    until(qtbot, lambda: page.list.model.rows)


def test_an_answer_goes_on_when_its_window_is_closed_beside_another(
    qtbot: QtBot, page: ChatPage, services: Any
) -> None:
    with chat_page(qtbot, services) as second:
        services.supervisor.delay = 0.02
        second.composer.set_text("word " * 30)
        qtbot.keyClick(second.composer.edit, Qt.Key.Key_Return)
        until(
            qtbot, lambda: len(second.transcript.entries) == 2 and "word" in second.transcript.entries[1].text
        )
        chat = second.controller.chat
        assert chat is not None
        second.controller.close()
    page.open_chat(chat)
    until(qtbot, lambda: services.chats.messages(chat)[-1].reason == "stop")
    assert services.chats.messages(chat)[-1].text.count("word") == 30
    until(qtbot, lambda: page.transcript.entries and page.transcript.entries[-1].reason == "stop")
