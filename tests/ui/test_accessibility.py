"""For those who hear or feel the window: every control has a name and is reached by Tab; finished answers are said."""

from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAccessible
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QButtonGroup,
    QComboBox,
    QDialog,
    QDockWidget,
    QHeaderView,
    QKeySequenceEdit,
    QLineEdit,
    QMenu,
    QPlainTextEdit,
    QPushButton,
    QScrollBar,
    QTabBar,
    QTextEdit,
    QWidget,
)

from app.core.errors import WorkerCrashedError
from app.core.events import ErrorInfo
from app.ui.dialogs.shortcuts import ShortcutsDialog
from app.ui.dialogs.update import UpdateDialog
from app.ui.entries import Entry
from app.ui.page_list import PAGES
from app.ui.quick_ask import QuickAsk

CONTROLS = (
    QAbstractButton,
    QLineEdit,
    QAbstractSpinBox,
    QComboBox,
    QAbstractItemView,
    QAbstractSlider,
    QPlainTextEdit,
    QTextEdit,
    QKeySequenceEdit,
    QTabBar,
)
EVERY_PAGE = [*(name for name, _icon in PAGES), "welcome"]


def controls(root: QWidget) -> list[QWidget]:
    """What a person can operate, without the parts Qt makes of it."""
    found = [widget for widget in root.findChildren(QWidget) if isinstance(widget, CONTROLS)]
    return [widget for widget in found if widget.isVisibleTo(root) and not _is_part(widget)]


def _is_part(widget: QWidget) -> bool:
    parents = (QLineEdit, QAbstractSpinBox, QComboBox, QKeySequenceEdit, QHeaderView, QDockWidget, QMenu)
    above = widget.parentWidget()
    while above is not None and not above.isWindow():
        if isinstance(above, parents):
            return True
        if isinstance(above, QAbstractItemView):
            return True
        above = above.parentWidget()
    return isinstance(widget, QScrollBar | QHeaderView) or widget.objectName().startswith("qt_")


def spoken_name(widget: QWidget) -> str:
    """What a screen reader would say it is."""
    interface = QAccessible.queryAccessibleInterface(widget)
    return str(interface.text(QAccessible.Text.Name)).strip() if interface else ""


def walk(qtbot: Any, window: QWidget) -> list[QWidget]:
    """Press Tab until it has been everywhere; what had the keyboard, in order."""
    seen: list[QWidget] = []
    for _ in range(400):
        qtbot.keyClick(QApplication.focusWidget() or window, Qt.Key.Key_Tab)
        now = QApplication.focusWidget()
        if now is None or now in seen:
            break
        seen.append(now)
    return seen


def problems(root: QWidget, walked: list[QWidget]) -> list[str]:
    """One line for each control that has no name or that Tab does not come to."""
    reached = {id(widget) for widget in walked}
    reached |= {id(widget.focusProxy()) for widget in walked if widget.focusProxy() is not None}
    found = [f"no name: {type(w).__name__}" for w in walked if root.isAncestorOf(w) and not spoken_name(w)]
    for widget in controls(root):
        about = f"{type(widget).__name__} {spoken_name(widget)!r} in {type(widget.parentWidget()).__name__}"
        if not spoken_name(widget):
            found.append(f"no name: {about}")
        if widget.isEnabled() and id(widget) not in reached and not _one_of_a_group(widget, reached):
            found.append(f"no Tab: {about}")
    return found


def _one_of_a_group(widget: QWidget, reached: set[int]) -> bool:
    """Tab comes to one of a group, arrows to the others."""
    group = widget.group() if isinstance(widget, QAbstractButton) else None
    return bool(group and group.exclusive() and any(id(each) in reached for each in group.buttons()))


@pytest.mark.parametrize("page", ["chat", "usage", "lab"])
def test_one_of_several_is_said_to_be_that(window: Any, page: str) -> None:
    window.open_page(page)
    found = [button for group in window.findChildren(QButtonGroup) for button in group.buttons()]
    for button in (button for button in found if button.isCheckable() and button.group().exclusive()):
        interface = QAccessible.queryAccessibleInterface(button)
        assert interface is not None
        assert interface.role() == QAccessible.Role.RadioButton, spoken_name(button)


@pytest.mark.parametrize("page", EVERY_PAGE)
def test_every_control_of_a_page_has_a_name_and_is_reached_by_tab(qtbot: Any, window: Any, page: str) -> None:
    window.panels.fill()
    shown = window.open_page(page)
    qtbot.wait(50)
    assert controls(shown), "a page without anything to operate"
    walked = walk(qtbot, window)
    for part in (shown, window.rail, window.status, window.panels):
        assert problems(part, walked) == []
    parts = [_part(window, shown, widget) for widget in walked]
    start = parts.index("rail")
    order = [part for at, part in enumerate(parts[start:] + parts[:start]) if part]
    assert sorted(order, key=["rail", "page", "panels", "status"].index) == order, "not in reading order"


def test_messages_are_read_between_the_list_and_the_composer_and_f6_goes_by_areas(
    qtbot: Any, window: Any, services: Any
) -> None:
    chat = services.chats.create("Chat")
    question = services.chats.append(chat.id, None, "user", "why " * 300)
    services.chats.append(chat.id, question.id, "assistant", "because " * 300)
    page = window.open_page("chat")
    page.open_chat(chat.id)
    qtbot.waitUntil(lambda: len(page.transcript.built_views()) == 2)
    qtbot.keyClick(window, Qt.Key.Key_F6)
    seen = [QApplication.focusWidget()]
    while len(seen) < 12 and not (len(seen) > 1 and seen[-1] is seen[0]):
        qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_F6)
        seen.append(QApplication.focusWidget())
    owners = (window.rail, page.list, page.head, page.transcript, page.composer, window.status)
    areas = [next((a for a in owners if a is w or a.isAncestorOf(w)), None) for w in seen]
    assert set(owners) <= set(areas), "F6 comes to every area"
    qtbot.keyClick(page.composer.edit, Qt.Key.Key_F6, Qt.KeyboardModifier.ShiftModifier)
    while QApplication.focusWidget() is not page.transcript:
        qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_F6)
    assert window.focus_ring.shown
    first, second = page.transcript.built_views()
    qtbot.keyClick(page.transcript, Qt.Key.Key_Tab)
    assert first.isAncestorOf(QApplication.focusWidget())
    assert window.focus_ring.shown
    for _ in range(20):
        now = QApplication.focusWidget()
        if second.isAncestorOf(now) and now not in second.text_widgets():
            break
        qtbot.keyClick(now, Qt.Key.Key_Tab)
    top = now.mapTo(page.transcript.viewport(), now.rect().topLeft()).y()
    assert second.isAncestorOf(now)
    assert 0 <= top < page.transcript.viewport().height(), "what has the keyboard is in view"
    first.start_edit()
    cancel = next(b for b in first.findChildren(QPushButton) if b.text() == "Cancel")
    window.focus_ring._by_keys = False  # as a press of the mouse does
    cancel.click()
    assert QApplication.focusWidget() is page.transcript
    assert not window.focus_ring.shown, "a click moved the keyboard on"


def _part(window: Any, page: QWidget, widget: QWidget) -> str:
    parts = {"rail": window.rail, "page": page, "panels": window.panels, "status": window.status}
    return next((name for name, part in parts.items() if part.isAncestorOf(widget)), "")


def test_dialogs_and_the_small_window_too(qtbot: Any, window: Any, services: Any) -> None:
    window.actions_.by_name["about"].trigger()
    dialogs: list[QWidget] = [w for w in QApplication.topLevelWidgets() if isinstance(w, QDialog)]
    dialogs += [ShortcutsDialog(window.actions_, services.settings, window)]
    dialogs += [UpdateDialog(services, window), QuickAsk(services)]
    for dialog in dialogs:
        dialog.show()
        dialog.activateWindow()
        qtbot.waitUntil(dialog.isActiveWindow)
        assert problems(dialog, walk(qtbot, dialog)) == []
        dialog.close()
    dialogs[-1].leave()  # type: ignore[attr-defined]


# ---------------------------------------------------------------------- announcements


def test_a_finished_answer_is_announced(qtbot: Any, window: Any, monkeypatch: Any) -> None:
    said: list[str] = []
    window.announced.connect(said.append)
    monkeypatch.setattr(window, "isActiveWindow", lambda: True)
    window.answered.emit(1, Entry(5, "assistant", "Because it is. " * 100))
    assert said[0].startswith("Answer finished. Because it is.")
    assert len(said[0]) < 450
    window.answered.emit(1, Entry(6, "assistant", "Half", error=_crash()))
    assert said[1].startswith("The answer broke off: The engine of m died")


def test_another_program_in_front_is_not_talked_over(qtbot: Any, window: Any, monkeypatch: Any) -> None:
    said: list[str] = []
    window.announced.connect(said.append)
    monkeypatch.setattr(window, "isActiveWindow", lambda: False)
    window.answered.emit(1, Entry(5, "assistant", "Because."))
    assert said == []


def _crash() -> ErrorInfo:
    error = WorkerCrashedError(model="m", why="signal 9")
    return ErrorInfo(error.code, str(error), error.params)


def test_down_goes_from_a_search_into_what_was_found(qtbot: Any, local_hub: Any, window: Any) -> None:
    page = window.open_page("discover")
    qtbot.waitUntil(lambda: len(page.results.items) > 1)
    page.search_line.setFocus()
    qtbot.keyClick(page.search_line, Qt.Key.Key_Down)
    assert QApplication.focusWidget() is page.list
    qtbot.waitUntil(lambda: page.repo.head.name.text() == page.results.items[0].id)
    qtbot.keyClick(page.list, Qt.Key.Key_F6)
    qtbot.waitUntil(lambda: page.right.isAncestorOf(QApplication.focusWidget()))


def test_down_goes_from_the_search_of_chats_to_the_first(qtbot: Any, window: Any, services: Any) -> None:
    services.chats.update(services.chats.create("Chat").id, folder="Home")
    chats = window.open_page("chat").list
    qtbot.waitUntil(lambda: len(chats.model.shown) == 2)  # a heading, and the chat
    chats.search.setFocus()
    qtbot.keyClick(chats.search, Qt.Key.Key_Down)
    assert QApplication.focusWidget() is chats.view
    assert chats.view.currentIndex().row() == 1
