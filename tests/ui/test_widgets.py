"""Banners follow the language and close with Esc, the innermost first."""

from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLineEdit, QStackedWidget, QStyleOptionHeader, QVBoxLayout, QWidget

from app.core.errors import DiskFullError
from app.ui import translate
from app.ui.errors import describe
from app.ui.table_model import Column, Table, TableModel
from app.ui.undo_bar import UndoBar
from app.ui.widgets import Banner


@pytest.fixture
def place(qtbot: Any) -> Any:
    holder = QWidget()
    qtbot.addWidget(holder)
    QVBoxLayout(holder)
    holder.line = QLineEdit(holder)
    holder.layout().addWidget(holder.line)
    yield holder
    translate.install("en")


def banner_in(place: Any, **more: Any) -> Banner:
    banner = Banner(place, **more)
    place.layout().addWidget(banner)
    return banner


def test_a_banner_speaks_the_language_in_force(qtbot: Any, place: Any) -> None:
    error, made, plain = (banner_in(place) for _ in range(3))
    error.show_error(describe(DiskFullError(path="/x", missing="1 GB")))
    made.show_words(lambda: "x", "good", lambda: made.tr("Details"))
    plain.show_words("as it is")
    english = error.words.text()
    translate.install("vi")
    qtbot.waitUntil(lambda: error.words.text() != english)
    assert "/x" in error.words.text()
    assert error.button.text() != "Open the folder"
    assert made.button.text() == made.tr("Details") != "Details"
    assert plain.words.text() == "as it is"
    translate.install("en")
    qtbot.waitUntil(lambda: error.words.text() == english)


def test_in_a_narrow_place_the_buttons_stand_under_the_words(qtbot: Any, place: Any) -> None:
    banner = banner_in(place)
    banner.show_words("The Hub asks us to wait 7 s before the next request.", "bad", "Try again", "retry")
    place.resize(280, 300)
    place.show()
    qtbot.waitUntil(lambda: banner.button.y() > banner.words.geometry().bottom())
    assert banner.words.width() > 180
    place.resize(700, 300)
    qtbot.waitUntil(lambda: banner.button.x() > banner.words.geometry().right())
    assert banner.close_button.x() > banner.button.x()


def test_escape_closes_the_last_banner_first(qtbot: Any, place: Any) -> None:
    first, second, fixed = banner_in(place), banner_in(place), banner_in(place, closable=False)
    place.show()
    for banner in (first, fixed, second):
        banner.show_words("something")
    place.line.setFocus()
    qtbot.keyClick(place.line, Qt.Key.Key_Escape)
    assert (first.isVisible(), second.isVisible()) == (True, False)
    qtbot.keyClick(place.line, Qt.Key.Key_Escape)
    assert (first.isVisible(), fixed.isVisible()) == (False, True)
    qtbot.keyClick(place.line, Qt.Key.Key_Escape)
    assert fixed.isVisible()


def test_a_sorted_column_keeps_its_words(place: Any) -> None:
    columns = [
        Column[str](lambda: "Model", str, width=90),
        Column[str](lambda: "Written", str, right=True, width=90),
    ]
    table = Table(TableModel(columns, str, place), place)
    header = table.horizontalHeader()

    def words(at: int) -> tuple[str, bool]:
        option = QStyleOptionHeader()
        header.initStyleOptionForIndex(option, at)
        return option.text, option.sortIndicator == QStyleOptionHeader.SortIndicator.None_

    table.sortByColumn(1, Qt.SortOrder.DescendingOrder)
    assert [words(0), words(1)] == [("Model", True), ("↓ Written", True)]
    table.sortByColumn(0, Qt.SortOrder.AscendingOrder)
    assert [words(0), words(1)] == [("Model ↑", True), ("Written", True)]


def test_undo_can_be_clicked_when_another_page_came_to_the_front(qtbot: Any) -> None:
    stack = QStackedWidget()
    qtbot.addWidget(stack)
    for _page in range(2):
        stack.addWidget(QWidget())
    stack.resize(600, 400)
    stack.show()
    taken: list[str] = []
    bar = UndoBar(stack)
    bar.offer("The last one is in the bin.", lambda: taken.append("back"))
    stack.setCurrentIndex(1)
    at = bar._button.mapTo(stack, bar._button.rect().center())
    assert stack.childAt(at) is bar._button
    qtbot.mouseClick(bar._button, Qt.MouseButton.LeftButton)
    assert taken == ["back"]
