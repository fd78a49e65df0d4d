"""Texts fit where they stand, in both languages: labels, buttons, tabs, choices, headers, hints in fields, the rail."""

from collections.abc import Iterator
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QApplication,
    QCheckBox,
    QComboBox,
    QDialog,
    QLabel,
    QLineEdit,
    QTabBar,
    QTableView,
    QWidget,
)

from app.chat.prompts import Prompt, PromptLibrary, variables
from app.core.generate import TokenLogprob
from app.ui import look, translate
from app.ui.dialogs.about import AboutDialog
from app.ui.dialogs.confirm import ConfirmDialog
from app.ui.dialogs.prompts import PromptsDialog, SystemDialog, VariablesDialog
from app.ui.dialogs.shortcuts import ShortcutsDialog
from app.ui.dialogs.tokens import TokensDialog
from app.ui.dialogs.update import UpdateDialog
from app.ui.levels import levels
from app.ui.page_list import PAGES
from app.ui.pages.server import TABS
from app.ui.palette import Palette
from app.ui.quick_ask import QuickAsk
from app.ui.rail import RailButton

SLACK = 1
"""Pixels that rounding may take."""


@pytest.fixture(autouse=True)
def everything_shown() -> Iterator[None]:
    """The developer's window has the most in it."""
    levels().set_level("developer")
    yield
    levels().set_level("full")
    translate.install("en")


@pytest.mark.parametrize("language", ["en", "vi"])
@pytest.mark.parametrize("size", [(960, 600), (1280, 800)], ids=str)
def test_nothing_is_cut_on_any_page(qtbot: Any, window: Any, language: str, size: tuple[int, int]) -> None:
    translate.install(language)
    window.panels.fill()
    window.resize(*size)
    cut: list[tuple[str, str]] = []
    for name in [*(name for name, _icon in PAGES), "welcome"]:
        cut += [(name, text) for text in settled(qtbot, window.open_page(name))]
    settings = window.open_page("settings")
    settings.build_all()
    cut += [("settings", text) for text in settled(qtbot, settings)]
    server = window.open_page("server")
    for tab in TABS:
        server.show_tab(tab)
        cut += [(f"server, {tab}", text) for text in settled(qtbot, server)]
    discover = window.open_page("discover")
    discover.filters_button.click()
    cut += [("filters", text) for text in settled(qtbot, discover)]
    for part in (window.rail, window.status, window.panels):
        cut += [(type(part).__name__, text) for text in cut_texts(part)]
    assert not cut, "\n".join(f"{where}: {text}" for where, text in cut)


@pytest.mark.parametrize(("percent", "size"), [(75, (960, 600)), (200, (1920, 1200))])
def test_nothing_is_cut_at_another_zoom(
    qtbot: Any, window: Any, services: Any, percent: int, size: tuple[int, int]
) -> None:
    translate.install("vi")
    services.settings.set("general.zoom", percent)
    look.apply(services.settings.value.general)
    window.resize(*size)
    cut: list[tuple[str, str]] = []
    for name, _icon in PAGES:
        cut += [(name, text) for text in settled(qtbot, window.open_page(name))]
    for part in (window.rail, window.status):
        cut += [(type(part).__name__, text) for text in cut_texts(part)]
    services.settings.reset("general.zoom")
    look.apply(services.settings.value.general)
    assert not cut, "\n".join(f"{where}: {text}" for where, text in cut)


@pytest.mark.parametrize("language", ["en", "vi"])
def test_nothing_is_cut_in_dialogs(qtbot: Any, window: Any, services: Any, language: str) -> None:
    translate.install(language)
    quick, update = QuickAsk(services), UpdateDialog(services, window)
    update.begin()
    library = PromptLibrary(services.paths.config / "prompts")
    library.save(Prompt("Biên tập viên tử tế", "Ngắn gọn.", system=True))
    library.save(Prompt("dịch", "Dịch sang {{ngôn ngữ}}: {{clipboard}}"))
    tokens = (TokenLogprob("Vâng", b"", -0.2), TokenLogprob(" ạ", b"", -3.0))
    dialogs: list[QDialog | QWidget] = [
        AboutDialog(services, window),
        ShortcutsDialog(window.actions_, services.settings, window),
        update,
        quick,
        PromptsDialog(library, window),
        SystemDialog("Be brief.", library, window),
        VariablesDialog("dịch", variables("{{ngôn ngữ}} {{giọng văn}}"), window),
        TokensDialog(tokens, 2, window),
        TokensDialog((), 403, window),
        ConfirmDialog("Xóa hẳn cuộc trò chuyện này?", "Không thể lấy lại được.", "Xóa hẳn", window),
    ]
    for dialog in dialogs:
        dialog.show()
        cut = settled(qtbot, dialog)
        assert not cut, "\n".join([type(dialog).__name__, *cut])
        dialog.close()
    quick.leave()
    palette = Palette(window)
    palette.begin()
    assert settled(qtbot, palette) == []
    palette.close()


def test_the_measure_sees_what_is_cut(qtbot: Any) -> None:
    root = QWidget()
    qtbot.addWidget(root)
    label, box, field, tick = QLabel(root), QComboBox(root), QLineEdit(root), QCheckBox(root)
    for widget in (label, tick):
        widget.setText("Ngữ cảnh của cuộc trò chuyện")
    box.addItem("Ngữ cảnh của cuộc trò chuyện")
    field.setPlaceholderText("Ngữ cảnh của cuộc trò chuyện")
    for at, widget in enumerate((label, box, field, tick)):
        widget.setGeometry(0, 40 * at, 60, 30)
    root.show()
    assert len(cut_texts(root)) == 4
    for widget in (label, box, field, tick):
        widget.setFixedWidth(400)
    assert cut_texts(root) == []


def settled(qtbot: Any, root: QWidget) -> list[str]:
    """What is still cut once the layout has come to rest; pages build themselves bit by bit."""
    qtbot.wait(20)
    for _ in range(40):
        if not cut_texts(root):
            break
        qtbot.wait(50)
    return cut_texts(root)


def cut_texts(root: QWidget) -> list[str]:
    """One line for each text that has less room than it takes."""
    found = []
    for widget in root.findChildren(QWidget):
        if widget.isVisible():  # what has to be scrolled to also counts
            found += _cut(widget)
    return found


def _cut(widget: QWidget) -> list[str]:
    if isinstance(widget, QLabel):
        return _label(widget)
    if isinstance(widget, RailButton):
        return _wide(widget, widget.text(), widget.sizeHint().width())
    if isinstance(widget, QCheckBox):
        return _wide(widget, widget.text(), widget.sizeHint().width())
    if isinstance(widget, QAbstractButton):
        return _button(widget)
    if isinstance(widget, QTabBar):
        return _tabs(widget)
    if isinstance(widget, QComboBox):
        return _choice(widget)
    if isinstance(widget, QLineEdit):
        return _hint(widget)
    return _headers(widget) if isinstance(widget, QTableView) else []


def _wide(widget: QWidget, text: str, needed: int) -> list[str]:
    if not text or widget.width() + SLACK >= needed:
        return []
    return [f"{type(widget).__name__} {text!r}: {widget.width()} px, needs {needed}"]


def _label(label: QLabel) -> list[str]:
    hint = label.sizeHint()
    if not label.text() or label.sizePolicy().horizontalPolicy().name == "Ignored":
        return []
    needed = label.heightForWidth(label.width()) if label.wordWrap() else hint.height()
    wide = label.wordWrap() or label.width() + SLACK >= hint.width()
    if wide and label.height() + SLACK >= needed:
        return []
    return [f"label {label.text()!r}: {label.size().toTuple()}, needs {hint.toTuple()} or {needed} high"]


def _button(button: QAbstractButton) -> list[str]:
    return _wide(button, button.text(), button.minimumSizeHint().width()) if button.text() else []


def _tabs(bar: QTabBar) -> list[str]:
    metrics, found = QFontMetrics(bar.font()), []
    for at in range(bar.count()):
        needed = metrics.horizontalAdvance(bar.tabText(at))
        if bar.tabRect(at).width() < needed:
            found.append(f"tab {bar.tabText(at)!r}: {bar.tabRect(at).width()} px, needs {needed}")
    last = bar.tabRect(bar.count() - 1).right() if bar.count() else 0
    return [*found, f"tabs: {bar.width()} px, need {last}"] if last > bar.width() + SLACK else found


def _choice(box: QComboBox) -> list[str]:
    text = box.currentText()
    if box.isEditable() or not text:
        return []
    needed = QFontMetrics(box.font()).horizontalAdvance(text)
    room = (
        box.width()
        - 8
        - 22
        - (box.iconSize().width() if not box.itemIcon(box.currentIndex()).isNull() else 0)
    )
    return [f"choice {text!r}: {room} px, needs {needed}"] if room + SLACK < needed else []


def _hint(field: QLineEdit) -> list[str]:
    if isinstance(field.parent(), QAbstractSpinBox | QComboBox) or field.text():
        return []
    text = field.placeholderText()
    needed = QFontMetrics(field.font()).horizontalAdvance(text)
    room = field.contentsRect().width() - 16
    return [f"hint {text!r}: {room} px, needs {needed}"] if text and room + SLACK < needed else []


def _headers(table: QTableView) -> list[str]:
    header, model, found = table.horizontalHeader(), table.model(), []
    metrics = QFontMetrics(header.font())
    if model is None or header.isHidden():
        return []
    for at in range(header.count()):
        text = str(model.headerData(at, Qt.Orientation.Horizontal) or "")
        needed = metrics.horizontalAdvance(text) + 16
        if not header.isSectionHidden(at) and header.sectionSize(at) + SLACK < needed:
            found.append(f"header {text!r}: {header.sectionSize(at)} px, needs {needed}")
    return found


def test_settings_are_never_squeezed_while_they_are_built(qtbot: Any, window: Any) -> None:
    window.resize(1280, 800)
    window.panels.fill()
    page = window.open_page("settings")
    seen = 0
    while list(page._waiting()):
        QApplication.processEvents()
        rows = [row for card in page.cards.values() for row in card.rows.values() if row.isVisible()]
        squeezed = [row.title.text() for row in rows[:-1] if row.height() < row.heightForWidth(row.width())]
        assert not squeezed
        seen += 1
    assert seen > 5
