"""What a person does in the window, with synthetic input, and what they then see."""

from types import SimpleNamespace

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton

from app.core.types import ModelRecord
from tests.fakes.hub_data import STARTER_REPO


def press(widget_holder, qtbot, words: str) -> None:
    """Click the visible button whose accessible name begins with ``words``."""
    found = [
        b
        for b in widget_holder.findChildren(QAbstractButton)
        if b.isVisible() and b.accessibleName().startswith(words)
    ]
    assert found, [b.accessibleName() for b in widget_holder.findChildren(QAbstractButton) if b.isVisible()]
    qtbot.mouseClick(found[0], Qt.MouseButton.LeftButton)


def download_the_starter(program: SimpleNamespace, qtbot) -> ModelRecord:
    """Type into the search line, open the repository, press the download button, wait for the library."""
    page = program.window.open_page("discover")
    qtbot.keyClicks(page.search_line, "smollm2")
    qtbot.keyClick(page.search_line, Qt.Key.Key_Return)
    program.until(lambda: page.results.rowCount() >= 1)
    page.list.setCurrentIndex(page.results.index(0, 0))
    qtbot.keyClick(page.list, Qt.Key.Key_Return)
    program.until(lambda: page.repo.isVisible() and len(page.repo.table.model_.rows) >= 2)
    buttons = lambda: [  # noqa: E731
        b for b in page.repo.findChildren(QAbstractButton)
        if b.isVisible() and b.accessibleName().endswith(f"{STARTER_REPO}:Q4_1")
    ]  # fmt: skip
    program.until(buttons)
    qtbot.mouseClick(buttons()[0], Qt.MouseButton.LeftButton)
    program.until(lambda: [r for r in program.services.library.models() if r.damaged is None])
    program.until(lambda: all(item.state == "done" for item in program.services.downloads.snapshots()))
    (record,) = program.services.library.models()
    return record


def load(program: SimpleNamespace, record: ModelRecord) -> None:
    """Load it from the library and wait until it is ready."""
    program.window.obey("load_again", record.id)
    program.until(lambda: _state(program, record) == "ready")


def _state(program: SimpleNamespace, record: ModelRecord) -> str:
    snapshot = program.services.supervisor.snapshot(record.id)
    return snapshot.state if snapshot else "stopped"


def start_asking(program: SimpleNamespace, qtbot, text: str) -> None:
    """Open the chat page, write, press Enter."""
    page = program.window.open_page("chat")
    program.until(lambda: page.controller.model)
    page.composer.edit.setFocus()
    qtbot.keyClicks(page.composer.edit, text)
    qtbot.keyClick(page.composer.edit, Qt.Key.Key_Return)


def ask(program: SimpleNamespace, qtbot, text: str) -> str:
    """Ask and wait for the whole answer, as it is shown."""
    page = program.window.open_page("chat")
    before = len(page.transcript.entries)
    start_asking(program, qtbot, text)
    program.until(lambda: len(page.transcript.entries) >= before + 2 and _finished(page), 90)
    return page.transcript.entries[-1].text


def _finished(page) -> bool:
    last = page.transcript.entries[-1]
    return last.role == "assistant" and last.key > 0 and not page.composer._busy


def stored_answer(program: SimpleNamespace) -> str:
    """The newest answer in the store, as far as it is written."""
    last = _last_message(program)
    return last.text if last is not None and last.role == "assistant" else ""


def stored_error(program: SimpleNamespace):
    """The newest answer's error, or None."""
    last = _last_message(program)
    return last.error if last is not None else None


def _last_message(program: SimpleNamespace):
    chats = program.services.chats.conversations()
    messages = program.services.chats.messages(chats[0].id) if chats else ()
    return messages[-1] if messages else None


def shown_error(program: SimpleNamespace) -> str:
    """The newest answer's error with its details, as the reader can unfold it."""
    entry = program.window.page("chat").transcript.entries[-1]
    return f"{entry.error.message} {entry.error.details}" if entry.error else ""


def expect_readings(program: SimpleNamespace, record: ModelRecord) -> None:
    """The panels have something to show: speed of this instance, memory of the host."""
    series = program.services.series
    source = f"instance:{record.id}"
    program.until(lambda: series.read(source, "decode_tps")[1])
    program.until(lambda: series.read("host", "memory_used")[1])
    assert max(series.read(source, "decode_tps")[1]) > 0


def switch_server_on(program: SimpleNamespace) -> str:
    """Through the menu; the address."""
    program.services.settings.set("server.port", 0)
    _menu(program).trigger()
    program.until(lambda: program.services.server.state().state == "on")
    program.until(lambda: _menu(program).isChecked())
    return program.services.server.state().address


def switch_server_off(program: SimpleNamespace) -> None:
    """Through the menu, once it shows that the server is on: a click means what the menu showed."""
    program.until(lambda: _menu(program).isChecked())
    _menu(program).trigger()
    program.until(lambda: program.services.server.state().state == "off")


def _menu(program: SimpleNamespace):
    return program.window.actions_.by_name["server_on"]
