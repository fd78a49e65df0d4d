"""The chat's parts over the real store: folders, bin, import, temporary chats, two models, the window, slashes."""

import json
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QCoreApplication, QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QGuiApplication
from PySide6.QtWidgets import QApplication, QLineEdit, QPushButton
from pytestqt.qtbot import QtBot

from app.chat.prompts import Prompt
from app.chat.store_types import NewAttachment
from app.core.events import ErrorInfo
from app.core.generate import Delta, Finished, Timings, TokenLogprob, ToolCallDelta, Usage
from app.ui import translate
from app.ui.bridge import Bridge
from app.ui.chat_list_menus import filter_menu, row_menu
from app.ui.chat_rows import ChatRow, Heading, arrange
from app.ui.chat_shelf import Narrow
from app.ui.dialogs.confirm import ConfirmDialog
from app.ui.dialogs.prompts import PromptsDialog, SystemDialog, VariablesDialog
from app.ui.dialogs.tokens import TokensDialog
from app.ui.figures import figures_table
from app.ui.long_message import at_once
from app.ui.markdown import split
from app.ui.message_menu import message_menu
from app.ui.pages.chat import ChatPage
from app.ui.tool_card import ToolCard
from tests.fakes.chat_page import OTHER, ask, until, wait_idle
from tests.fakes.engine import RECORD

pytestmark = pytest.mark.echo


def dialog(qtbot: QtBot, kind: type) -> Any:
    def shown() -> list[Any]:
        return [w for w in QApplication.topLevelWidgets() if isinstance(w, kind) and w.isVisible()]

    until(qtbot, shown)
    return shown()[0]


def titles(page: ChatPage) -> list[str]:
    return [row.title for row in page.list.model.rows]


# ------------------------------------------------------------------------------------------- the list


def test_pinned_first_then_folders_then_the_rest() -> None:
    rows = [
        ChatRow(1, "old", 1.0),
        ChatRow(2, "new", 9.0),
        ChatRow(3, "pinned", 2.0, pinned=True, folder="B"),
        ChatRow(4, "in b", 3.0, folder="b"),
        ChatRow(5, "in A", 4.0, folder="A"),
    ]
    shown = arrange(rows, {"b"})
    assert [getattr(item, "title", None) or item for item in shown] == [
        "pinned", Heading("A", 1), "in A", Heading("b", 1, folded=True), Heading("", 2), "new", "old",
    ]  # fmt: skip
    assert arrange(rows[:2], set()) == [rows[1], rows[0]]


def test_folders_tags_and_colours_from_the_menu(qtbot: QtBot, page: ChatPage, services: Any) -> None:
    chat = services.chats.create("Trip").id
    until(qtbot, lambda: titles(page) == ["Trip"])
    page.list.changed.emit(chat, {"folder": "Home", "tags": ("a", "b"), "colour": "plot-2"})
    until(qtbot, lambda: page.list.model.shown[0] == Heading("Home", 1))
    assert page.list.model.rows[0].tags == ("a", "b")
    assert (page.controller.shelf.folders, page.controller.shelf.tags) == (["Home"], ["a", "b"])
    menu = row_menu(page.list, page.list.model.rows[0])
    assert len(menu.actions()) > 6
    menu.deleteLater()
    page.list._open(page.list.model.index(0))
    assert titles(page) == []  # folded
    page.list.folder_renamed.emit("Home", "Away")
    until(qtbot, lambda: page.controller.shelf.folders == ["Away"])
    assert not page.grab().isNull()


def test_a_title_is_typed_in_peace_and_the_keyboard_keeps_its_row(
    qtbot: QtBot, page: ChatPage, services: Any
) -> None:
    one, two = (services.chats.create(title).id for title in ("One", "Two"))
    until(qtbot, lambda: len(titles(page)) == 2)
    page.list.rename_row(one)
    editor = page.list.view.findChild(QLineEdit)
    assert editor is not None
    editor.selectAll()
    qtbot.keyClicks(editor, "Ein")
    services.chats.create("Three")
    until(qtbot, lambda: page.list._later is not None)
    qtbot.keyClicks(editor, "s")
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    until(qtbot, lambda: sorted(titles(page)) == ["Eins", "Three", "Two"])
    page.list.view.setFocus()
    page.list.set_current(two)
    services.chats.create("Four")
    until(qtbot, lambda: len(titles(page)) == 4)
    assert page.list.view.currentIndex() == page.list.model.index_of(two)


def test_the_list_is_narrowed(qtbot: QtBot, page: ChatPage, services: Any) -> None:
    one = services.chats.create("One", model="m/a:Q4", folder="F").id
    services.chats.update(services.chats.create("Two", model="m/b:Q4").id, tags=("x",))
    services.chats.append(one, None, "user", "lua vang")
    until(qtbot, lambda: len(titles(page)) == 2)
    for narrow, left in (
        (Narrow(model="m/b:Q4"), ["Two"]),
        (Narrow(folder="F"), ["One"]),
        (Narrow(tag="x"), ["Two"]),
        (Narrow(since=4e9), []),
    ):
        page.list.narrowed.emit(narrow)
        until(qtbot, lambda left=left: titles(page) == left)
        assert page.list._narrowed.isVisible() or narrow.since
    page.list.narrowed.emit(Narrow(model="m/b:Q4"))
    page.list.search.setText("lua")
    until(qtbot, lambda: titles(page) == [])
    page.list.narrowed.emit(Narrow())
    until(qtbot, lambda: titles(page) == ["One"])
    menu = filter_menu(page.list, Narrow())
    assert len(menu.actions()) >= 5
    menu.deleteLater()


def test_the_bin_gives_back_and_is_emptied(qtbot: QtBot, page: ChatPage, services: Any) -> None:
    kept, gone = services.chats.create("kept").id, services.chats.create("gone").id
    for chat in (kept, gone):
        services.chats.delete(chat)
    page.list.narrowed.emit(Narrow(bin=True))
    until(qtbot, lambda: len(titles(page)) == 2)
    assert page.list.in_bin
    page.list.restored.emit(kept)
    until(qtbot, lambda: titles(page) == ["gone"])
    page.list.purge_requested.emit(0)
    confirm = dialog(qtbot, ConfirmDialog)
    confirm.act.click()
    until(qtbot, lambda: titles(page) == [])
    assert services.chats.conversations(deleted=True) == ()
    assert [chat.title for chat in services.chats.conversations()] == ["kept"]


def test_dropped_exports_are_imported_and_told(
    qtbot: QtBot, page: ChatPage, services: Any, tmp_path: Path
) -> None:
    good, bad = tmp_path / "chat.json", tmp_path / "bad.json"
    messages = [{"role": "user", "content": "xin chào"}, {"role": "assistant", "content": "chào bạn"}]
    good.write_text(json.dumps({"title": "Imported", "messages": messages}), "utf-8")
    bad.write_text("{", "utf-8")
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in (good, bad, tmp_path / "no.gguf")])
    buttons, no_keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    page.list.dropEvent(QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, data, buttons, no_keys))
    until(qtbot, page._banner.isVisible)
    words = page._banner.words.text()
    assert "1 chat" in words
    assert "2 message" in words
    assert "1 file" in words
    assert "bad.json" in page._banner.details.toPlainText()
    until(qtbot, lambda: len(titles(page)) == 1)
    undo = page._undo.findChild(QPushButton)
    assert isinstance(undo, QPushButton)
    undo.click()
    until(qtbot, lambda: titles(page) == [])


def test_a_file_dropped_on_the_conversation_is_attached(qtbot: QtBot, page: ChatPage, tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("x = 1")
    zone = page.composer.parentWidget()
    assert zone is not None
    assert zone.isAncestorOf(page.transcript)

    def drag(kind: type[QDropEvent], *names: str) -> bool:
        data = QMimeData()
        data.setUrls([QUrl.fromLocalFile(str(tmp_path / name)) for name in names])
        buttons, no_keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        place = QPoint(5, 5) if kind is QDragEnterEvent else QPointF(5, 5)
        event = kind(place, Qt.DropAction.CopyAction, data, buttons, no_keys)  # type: ignore[arg-type]
        event.ignore()
        QApplication.sendEvent(zone, event)
        return event.isAccepted()

    assert drag(QDragEnterEvent, "code.py")
    assert "attach" in page.composer._note.text()
    assert drag(QDropEvent, "code.py")
    assert page.composer._note.text() == ""
    until(qtbot, lambda: [item.name for item in page.composer.attachments.items] == ["code.py"])
    assert not drag(QDragEnterEvent, "model.gguf")  # the window's


def test_all_chats_are_exported(services: Any, tmp_path: Path) -> None:
    from app.ui import chat_export

    for _ in range(2):
        chat = services.chats.create("Same: title")
        services.chats.append(chat.id, None, "user", "hello")
    folder = tmp_path / "out"
    folder.mkdir()
    assert chat_export.write_all(services.chats, folder) == 2
    assert len(list(folder.glob("*.md"))) == 2
    assert len(json.loads((folder / "hearth-chats.json").read_text("utf-8"))["chats"]) == 2


def test_an_export_says_where_it_went_and_why_not(
    qtbot: QtBot, page: ChatPage, services: Any, tmp_path: Path
) -> None:
    from app.ui import chat_export

    chat = services.chats.create("One")
    asked: list[tuple[str, object]] = []
    page.asked.connect(lambda name, about: asked.append((name, about)))
    archive = page.archive
    archive._write(
        lambda: chat_export.write_one(services.chats, chat.id, tmp_path / "one.html"), tmp_path / "one.html"
    )
    until(qtbot, lambda: page._banner.words.text().endswith(f"exported to {tmp_path / 'one.html'}."))
    page._banner.button.click()
    missing = tmp_path / "no" / "one.md"
    archive._write(lambda: chat_export.write_one(services.chats, chat.id, missing), missing)
    until(qtbot, lambda: "Nothing can be written" in page._banner.words.text())
    page._banner.button.click()
    assert asked == [("open_folder", str(tmp_path)), ("choose_folder", str(missing.parent))]


def test_the_button_of_an_answer_s_error_reaches_the_window(
    qtbot: QtBot, page: ChatPage, services: Any
) -> None:
    asked: list[tuple[str, object]] = []
    page.asked.connect(lambda name, about: asked.append((name, about)))
    chat = services.chats.create("Broken")
    question = services.chats.append(chat.id, None, "user", "hello")
    answer = services.chats.append(chat.id, question.id, "assistant", writing=True)
    broken = ErrorInfo("bad_header", "No.", {"path": "/m/a.gguf", "detail": "x"}, "")
    services.chats.finish(answer.id, "failed", error=broken).result()
    page.open_chat(chat.id)
    until(qtbot, lambda: len(page.transcript.entries) == 2)
    key = page.transcript.entries[-1].key
    page.messages.act(key, "download_again")
    assert asked == [("download_again", "/m/a.gguf")]


def test_exports_speak_the_window_s_language(services: Any) -> None:
    from app.chat.transfer_words import WORDS
    from app.ui import chat_export

    chat = services.chats.create(model="tiny")
    asked = services.chats.append(chat.id, None, "user", "hello")
    answer = services.chats.append(chat.id, asked.id, "assistant", model="tiny", writing=True)
    timings = Timings(prefill=0.5, decode=2.0, ttft=0.5, prefill_tokens=40, decode_tokens=9)
    services.chats.finish(answer.id, "length", Usage(40, 9), timings).result()
    try:
        translate.install("vi")
        text = str(chat_export.content(services.chats, chat.id, ".md"))
        page = str(chat_export.content(services.chats, chat.id, ".html"))
        kept = [words for words in WORDS if QCoreApplication.translate("Export", words) == words]
    finally:
        translate.install("en")
    assert "## Người dùng" in text
    assert "## Trợ lý: tiny" in text
    assert "đọc (prefill) 80,0 token/giây" in text
    assert "đạt độ dài tối đa" in text
    assert "<h2>Trợ lý: tiny</h2>" in page
    assert kept == []


# ------------------------------------------------------------------------------------------- places


def test_a_temporary_chat_is_never_written(qtbot: QtBot, page: ChatPage, services: Any) -> None:
    page.new_temporary()
    ask(qtbot, page, "between us")
    assert [entry.text.strip() for entry in page.transcript.entries] == ["between us", "between us"]
    assert services.chats.conversations() == ()
    assert services.supervisor.requests[-1].conversation == ""
    assert page.head.leave.isVisible()
    page.new_chat()
    assert not page.head.leave.isVisible()
    undo = page._undo.findChild(QPushButton)
    assert isinstance(undo, QPushButton)
    undo.click()
    until(qtbot, lambda: len(page.transcript.entries) == 2 and page.head.leave.isVisible())


def test_a_chat_open_twice_stays_one(qtbot: QtBot, page: ChatPage, services: Any) -> None:
    ask(qtbot, page, "first")
    bridge = Bridge(services.bus)
    second = ChatPage(services, bridge)
    qtbot.addWidget(second)
    second.show()
    until(qtbot, lambda: second.controller.model)
    second.open_chat(page.controller.chat or 0)
    until(qtbot, lambda: len(second.transcript.entries) == 2)
    services.supervisor.delay = 0.03
    page.composer.set_text("slow " * 40)
    qtbot.keyClick(page.composer.edit, Qt.Key.Key_Return)
    until(qtbot, lambda: len(second.transcript.entries) == 4 and "slow" in second.transcript.entries[3].text)
    assert second.composer._busy
    second.controller.stop()  # the other window's answer
    wait_idle(qtbot, page)
    assert page.transcript.entries[-1].reason == "cancelled"
    until(qtbot, lambda: second.transcript.entries[-1].text == page.transcript.entries[-1].text)
    until(qtbot, lambda: not second.composer._busy)
    second.controller.close()
    bridge.close()


def test_the_model_writes_the_title(qtbot: QtBot, page: ChatPage, services: Any) -> None:
    services.settings.set("chat.write_titles", True)
    services.supervisor.script = [
        Delta(text="Hà Nội mùa thu", tokens=3),
        Finished("stop", Usage(5, 3), Timings()),
    ]
    ask(qtbot, page, "kể chuyện dài dòng về một nơi nào đó")
    until(qtbot, lambda: page.head.title.text() == "Hà Nội mùa thu")
    assert len(services.supervisor.requests) == 2


# ------------------------------------------------------------------------------------------- two models


def test_two_models_answer_side_by_side(qtbot: QtBot, page: ChatPage, services: Any) -> None:
    page.head.second.take(OTHER.id)
    page.composer.set_text("who is better")
    qtbot.keyClick(page.composer.edit, Qt.Key.Key_Return)
    until(qtbot, lambda: page._stack.currentWidget() is page.compare)
    until(qtbot, lambda: all(column.keep.isEnabled() for column in page.compare.columns))
    assert {column.model.text() for column in page.compare.columns} == {RECORD.name, OTHER.name}
    assert all(c.transcript.entries[1].text.strip() == "who is better" for c in page.compare.columns)
    qtbot.wait(200)
    assert page._stack.currentWidget() is page.compare  # until one is chosen
    page.compare.columns[0].keep.click()
    until(qtbot, lambda: len(page.transcript.entries) == 2)
    until(qtbot, lambda: page._stack.currentWidget() is page.transcript)
    assert page.transcript.entries[1].model == RECORD.id
    assert page.transcript.entries[1].versions == 2
    until(qtbot, lambda: page.controller.model == RECORD.id)
    until(qtbot, lambda: not page.composer._busy)


def test_an_answer_again_by_another_model(qtbot: QtBot, page: ChatPage) -> None:
    ask(qtbot, page, "hello")
    page.messages.act(page.transcript.entries[1].key, f"regenerate:{OTHER.id}")
    wait_idle(qtbot, page)
    until(qtbot, lambda: page.transcript.entries[1].model == OTHER.id)
    assert page.transcript.entries[1].versions == 2


def test_comparing_an_answer_that_is_there_and_going_on(qtbot: QtBot, page: ChatPage) -> None:
    ask(qtbot, page, "hello")
    page.messages.act(page.transcript.entries[1].key, f"compare:{OTHER.id}")
    until(qtbot, lambda: page._stack.currentWidget() is page.compare)
    until(qtbot, page.compare.columns[1].keep.isEnabled)
    page.compare.columns[0].transcript.action.emit(page.compare.columns[0].answer, "copy")
    assert QGuiApplication.clipboard().text().strip() == "hello"
    wait_idle(qtbot, page)
    ask(qtbot, page, "next")  # without choosing: the newest answer stays
    until(qtbot, lambda: [e.text.strip() for e in page.transcript.entries][-2:] == ["next", "next"])
    assert page.transcript.entries[1].model == OTHER.id


# ------------------------------------------------------------------------------------------- messages


def test_the_menu_of_a_message_offers_what_there_is(qtbot: QtBot, page: ChatPage) -> None:
    ask(qtbot, page, "**bold** words")
    asked: list[str] = []
    menu = message_menu(page, page.transcript.entries[1], {OTHER.id: "Other"}, asked.append)
    for action in menu.actions():
        action.trigger()
    menu.deleteLater()
    assert {"copy", "copy_plain", "tokens", "fork", "pinned", "dropped", "summarise", "delete"} <= set(asked)
    page.messages.act(page.transcript.entries[1].key, "copy_plain")
    assert QGuiApplication.clipboard().text().strip() == "bold words"
    page.messages.act(page.transcript.entries[1].key, "raw")
    assert "**bold**" in page.transcript.row_view(1).text_widgets()[0].toPlainText()  # type: ignore[union-attr]


def test_a_branch_is_a_chat_of_its_own(qtbot: QtBot, page: ChatPage, services: Any) -> None:
    ask(qtbot, page, "root")
    page.controller.act(page.transcript.entries[1].key, "fork")
    until(qtbot, lambda: len(services.chats.conversations()) == 2)
    until(qtbot, lambda: "branch" in page.head.title.text())
    assert [entry.text for entry in page.transcript.entries] == ["root", "root "]
    assert len({chat.key for chat in services.chats.conversations()}) == 2


def test_tokens_are_coloured_and_told(qtbot: QtBot, page: ChatPage, services: Any) -> None:
    services.settings.set("chat.logprobs", 2)
    tokens = (TokenLogprob("Yes", b"Yes", -0.01), TokenLogprob(" so", b" so", -3.0, ((" no", b" no", -0.1),)))
    services.supervisor.script = [
        Delta(text="Yes so", tokens=2, logprobs=tokens),
        Finished("stop", Usage(3, 2), Timings()),
    ]
    ask(qtbot, page, "sure?")
    assert services.supervisor.requests[-1].sampling.logprobs == 2
    page.messages.act(page.transcript.entries[1].key, "tokens")
    shown = dialog(qtbot, TokensDialog)
    assert shown.text.toPlainText() == "Yes so"
    shown.text.moveCursor(shown.text.textCursor().MoveOperation.End)
    assert shown.token_at(4) == tokens[1]
    cursor = shown.text.textCursor()
    cursor.setPosition(4)
    shown.text.setTextCursor(cursor)
    assert "·no" in shown.one.text()
    shown.accept()


def test_without_probabilities_the_way_to_them_is_offered(
    qtbot: QtBot, page: ChatPage, services: Any
) -> None:
    ask(qtbot, page, "sure?")
    page.messages.act(page.transcript.entries[1].key, "tokens")
    shown = dialog(qtbot, TokensDialog)
    shown._again()
    until(qtbot, lambda: services.settings.value.chat.logprobs == 5)
    wait_idle(qtbot, page)
    until(qtbot, lambda: services.supervisor.requests[-1].sampling.logprobs == 5)
    until(qtbot, lambda: page.transcript.entries[1].versions == 2)
    wait_idle(qtbot, page)


def test_a_tool_call_is_a_card(qtbot: QtBot, page: ChatPage, services: Any) -> None:
    services.supervisor.script = [
        Delta(text="Let me see.", tokens=1, tool_calls=(ToolCallDelta(0, "1", "sum", '{"a": '),)),
        Delta(tokens=1, tool_calls=(ToolCallDelta(0, arguments="1}"),)),
        Finished("tool_calls", Usage(3, 2), Timings()),
    ]
    ask(qtbot, page, "add")
    card = page.transcript.findChild(ToolCard)
    assert isinstance(card, ToolCard)
    assert "sum" in card._head.text()
    low = card.height_for(600)
    card._head.setChecked(True)
    assert card._body is not None
    assert card._body.code == '{\n  "a": 1\n}'
    assert card.height_for(600) > low
    chat = page.controller.chat
    assert chat is not None
    answer = page.transcript.entries[1].key
    services.chats.append(chat, answer, "tool", '{"value": 3}', tool_call_id="1", name="sum")
    until(qtbot, lambda: len(page.transcript.entries) == 3)
    heads = [card._head.text() for card in page.transcript.findChildren(ToolCard)]
    assert any("Result of sum" in head for head in heads)
    result = page.transcript.row_view(2)
    assert result is not None
    assert result._footer is not None
    assert result._footer.geometry().bottom() < result._tools[0].geometry().bottom()  # in the card's own line
    page.transcript.toggle_raw(result.entry.key)
    assert result._footer.y() > result.pieces.text_widgets()[0].geometry().bottom()


def test_a_very_long_answer_is_built_bit_by_bit(qtbot: QtBot, page: ChatPage, services: Any) -> None:
    chat = services.chats.create("long")
    asked = services.chats.append(chat.id, None, "user", "go")
    text = "\n\n".join(f"Paragraph {n} " + "word " * 200 for n in range(80))
    services.chats.append(chat.id, asked.id, "assistant", text)
    page.open_chat(chat.id)
    until(qtbot, lambda: len(page.transcript.entries) == 2)
    view = page.transcript.row_view(1)
    assert view is not None
    segments = len(view.pieces.all)
    assert len(at_once(split(text))) < segments // 2
    before = page.transcript.verticalScrollBar().maximum()
    until(qtbot, lambda: not view.pieces.building)
    assert len(view.text_widgets()) == segments
    after = page.transcript.verticalScrollBar()
    assert after.value() == after.maximum()  # the end was in view and stays
    assert abs(after.maximum() - before) < 0.25 * after.maximum()  # the gaps were about right


# ------------------------------------------------------------------------------------------- the window


def test_the_window_is_pictured_and_changed(qtbot: QtBot, page: ChatPage, services: Any) -> None:
    services.supervisor.script = [
        Delta(text="long words " * 300, tokens=600),
        Finished("stop", Usage(700, 600), Timings(0, 0.1, 0.2, 0.1, 700, 599)),
    ]
    ask(qtbot, page, "one question " * 40)
    bar = page._context._bar
    until(qtbot, lambda: len(bar.spans()) == 2)
    assert page._context.isVisible()
    question, answer = (part for _, _, part in bar.spans())
    assert (question.role, answer.role) == ("user", "assistant")
    page._context.act_requested.emit(question.message, "pinned")
    until(qtbot, lambda: [p.mark for _, _, p in bar.spans()] == ["pinned", ""])
    page._context.act_requested.emit(answer.message, "dropped")
    until(qtbot, lambda: [p.mark for _, _, p in bar.spans()] == ["pinned", "dropped"])
    found: list[Any] = []
    bar.asked.connect(lambda part, _at: found.append(part.message))
    qtbot.mouseClick(bar, Qt.MouseButton.LeftButton, pos=QPoint(2, 6))
    bar.setFocus()
    qtbot.keyClick(bar, Qt.Key.Key_Right)
    qtbot.keyClick(bar, Qt.Key.Key_Return)
    assert found == [question.message, answer.message]
    popup = QApplication.activePopupWidget()
    while popup is not None:
        popup.close()
        popup = QApplication.activePopupWidget()
    assert not page.grab().isNull()


def test_the_policy_is_of_this_chat(qtbot: QtBot, page: ChatPage, services: Any) -> None:
    page._context.policy_chosen.emit("stop")
    ask(qtbot, page, "hello")
    until(qtbot, lambda: services.chats.conversations()[0].policy == "stop")
    page._context.policy_chosen.emit("drop_middle")
    until(qtbot, lambda: page.controller.how.policy == "drop_middle")
    ask(qtbot, page, "again")
    assert services.supervisor.requests[-1].context_policy == "drop_middle"


def test_it_says_what_the_next_question_pushes_out(qtbot: QtBot, page: ChatPage, services: Any) -> None:
    chat, parent = services.chats.create("full", model=RECORD.id), None
    for number in range(6):
        role = "user" if number % 2 == 0 else "assistant"
        parent = services.chats.append(chat.id, parent, role, f"part {number} " + "x" * 380).id
    services.load(RECORD.id)
    page.open_chat(chat.id)
    until(qtbot, lambda: len(page.transcript.entries) == 6)
    page.composer.set_text("y" * 2000)
    until(qtbot, lambda: "pushes" in page._context._next.text())
    assert "part 0" in page._context._next.text()


def test_a_model_without_eyes_says_so(qtbot: QtBot, page: ChatPage, services: Any) -> None:
    page.composer.attachments.add([NewAttachment("cat.png", "image", "image/png", data=b"\x89PNG")])
    assert "can't see images" in page.composer._note.text()
    ask(qtbot, page, "what is it?")
    assert services.supervisor.requests[-1].messages[-1].content == "what is it?"
    assert services.chats.messages(page.controller.chat or 0)[0].attachments[0].name == "cat.png"
    assert page.composer._note.text() == ""


# ------------------------------------------------------------------------------------------- prompts


def test_a_slash_fills_in_a_prompt(qtbot: QtBot, page: ChatPage) -> None:
    page.prompts.library.save(Prompt("dich", "Dịch sang {{tiếng:Anh}}: {{clipboard}}"))
    page.prompts.load()
    until(qtbot, lambda: "dich" in page.prompts._found)
    QGuiApplication.clipboard().setText("xin chào")
    page.composer.edit.setFocus()
    qtbot.keyClicks(page.composer.edit, "/di")
    assert page.prompts.list.isVisible()
    qtbot.keyClick(page.composer.edit, Qt.Key.Key_Return)
    asked = dialog(qtbot, VariablesDialog)
    asked._fields["tiếng"].setText("Pháp")
    asked._take()
    until(qtbot, lambda: page.composer.text() == "Dịch sang Pháp: xin chào")


def test_the_slash_s_list_stays_above_the_composer(qtbot: QtBot, page: ChatPage) -> None:
    page.resize(1000, 700)
    page.composer.edit.setFocus()
    qtbot.keyClicks(page.composer.edit, "/")
    until(qtbot, page.prompts.list.isVisible)
    page.resize(800, 500)

    def bottom() -> int:
        return page.prompts.list.geometry().bottom()

    until(qtbot, lambda: 0 < page.composer.mapTo(page, QPoint(0, 0)).y() - bottom() < 20)


def test_a_slash_runs_a_command(qtbot: QtBot, page: ChatPage) -> None:
    page.composer.edit.setFocus()
    qtbot.keyClicks(page.composer.edit, "/temp")
    qtbot.keyClick(page.composer.edit, Qt.Key.Key_Tab)
    assert page.head.leave.isVisible()
    page.composer.set_text("/usr/bin is a path")
    page._submit(page.composer.text())
    wait_idle(qtbot, page)
    assert page.transcript.entries[0].text == "/usr/bin is a path"


def test_the_library_is_kept_and_a_system_prompt_used(qtbot: QtBot, page: ChatPage, services: Any) -> None:
    page.prompts.manage()
    library = dialog(qtbot, PromptsDialog)
    library.name.setText("my teacher")
    library.text.setPlainText("Teach slowly.")
    library.system.setChecked(True)
    library._save()
    until(qtbot, lambda: library.list.count() == 1)
    library.name.setText("../evil")
    library._save()
    until(qtbot, library.problem.isVisible)
    library.accept()
    dialog(qtbot, ConfirmDialog).act.click()  # closing asks: "../evil" was not saved
    until(qtbot, lambda: not library.isVisible())
    page.prompts.ask_system()
    system = dialog(qtbot, SystemDialog)
    until(qtbot, lambda: system.list.count() == 1)
    system._take(system.list.item(0))
    system._use()
    ask(qtbot, page, "hello")
    assert services.supervisor.requests[-1].messages[0].text == "Teach slowly."
    page.controller.how.set_system("Be quick.")
    until(qtbot, lambda: page.controller.how.system_prompt() == "Be quick.")


def test_what_is_typed_into_a_prompt_is_not_lost(qtbot: QtBot, page: ChatPage) -> None:
    for name in ("one", "two"):
        page.prompts.library.save(Prompt(name, f"Text of {name}."))
    page.prompts.manage()
    library = dialog(qtbot, PromptsDialog)
    until(qtbot, lambda: library.name.text() == "one")
    library.text.setPlainText("Changed.")
    library.list.setCurrentRow(1)
    assert library.text.toPlainText() == "Text of two."
    library.list.setCurrentRow(0)
    assert library.text.toPlainText() == "Changed."
    library.name.setText("two")
    library._save()
    asked = dialog(qtbot, ConfirmDialog)
    assert "two" in asked.title.text()
    asked.reject()
    assert page.prompts.library.all()[1].text == "Text of two."
    library.name.setText("one")
    library._save()
    until(qtbot, lambda: page.prompts.library.all()[0].text == "Changed.")
    until(qtbot, lambda: not library._typed() and not library._edits)
    library.accept()
    assert not library.isVisible()


def test_an_answer_says_how_it_was_asked(qtbot: QtBot, page: ChatPage, services: Any) -> None:
    services.settings.set("chat.temperature", 0.25)
    services.settings.set("chat.max_tokens", 77)
    ask(qtbot, page, "hello")
    until(qtbot, lambda: services.chats.messages(page.controller.chat or 0)[1].state == "done")
    page.controller.reload()
    until(qtbot, lambda: page.transcript.entries[1].sampling is not None)
    table = figures_table(page.transcript.entries[1])
    assert "temperature 0.25" in table
    assert "max_tokens 77" in table
