"""Tab goes in reading order through the window: rail, message, page, panels, status line; F6 from one area to the next.

Qt's chain is the order in which widgets were made, and pages and panels are made when they are first needed.
"""

import itertools
from collections.abc import Iterator, Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QAbstractItemView, QAbstractScrollArea, QApplication, QLineEdit, QWidget


def order(window: QWidget, parts: Sequence[QWidget]) -> None:
    """Put what Tab reaches in each of ``parts`` behind the part before; inside a part its own order stays. A part of a
    part has its own place."""
    places = {id(part): at for at, part in enumerate(parts)}
    found: list[list[QWidget]] = [[] for _ in parts]
    for widget in _chain(window):
        at = _place(widget, places)
        if at is not None:
            found[at].append(widget)
    flat = [each for group in found for each in group]
    for before, after in itertools.pairwise(flat):
        QWidget.setTabOrder(before, after)


def parts_of(page: QWidget) -> list[QWidget]:
    """A page, and its parts in reading order where it names them."""
    return [page, *(page.tab_parts() if hasattr(page, "tab_parts") else ())]


def areas_of(page: QWidget) -> list[QWidget]:
    """What F6 goes through in a page."""
    return list(page.areas()) if hasattr(page, "areas") else [page]


def go_on(window: QWidget, areas: Sequence[QWidget], step: int) -> None:
    """The keyboard goes to the next (1) or previous (-1) of ``areas`` that takes it."""
    places = {id(area): at for at, area in enumerate(areas)}
    focused = QApplication.focusWidget()
    here = _place(focused, places) if focused is not None else None
    chain = list(_chain(window))
    start = here if here is not None else (-1 if step > 0 else 0)
    for away in range(1, len(areas) + 1):
        area = areas[(start + step * away) % len(areas)]
        inside = [
            each for each in chain if _place(each, places) == areas.index(area) and _takes(each, window)
        ]
        if inside:
            (area if area in inside else inside[0]).setFocus(Qt.FocusReason.TabFocusReason)
            return


def go_down(line: QLineEdit, rows: QAbstractItemView) -> None:
    """From a search the Down key goes into what was found: to the chosen row, or else the first that can be chosen."""

    def enter() -> None:
        model = rows.model()
        places = (model.index(at, 0) for at in range(model.rowCount()))
        first = next((place for place in places if place.flags() & Qt.ItemFlag.ItemIsSelectable), None)
        if first is None:
            return
        rows.setFocus(Qt.FocusReason.TabFocusReason)
        if not rows.selectionModel().hasSelection():
            rows.setCurrentIndex(first)

    down = QShortcut(QKeySequence("Down"), line, context=Qt.ShortcutContext.WidgetShortcut)
    down.activated.connect(enter)


def _takes(widget: QWidget, window: QWidget) -> bool:
    return widget.isVisibleTo(window) and widget.isEnabled()


def _chain(window: QWidget) -> Iterator[QWidget]:
    widget = window.nextInFocusChain()
    while widget is not None and widget is not window:
        if widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
            yield widget
        widget = widget.nextInFocusChain()


def _place(widget: QWidget | None, places: dict[int, int]) -> int | None:
    """The innermost part that a widget is or belongs to."""
    while widget is not None:
        if id(widget) in places:
            return places[id(widget)]
        widget = widget.parentWidget()
    return None


def name_areas(page: QWidget, words: str) -> None:
    """Areas that the keyboard can scroll are called as the page is, unless they have a name of their own."""
    for area in page.findChildren(QAbstractScrollArea):
        if (
            area.accessibleName() in {"", area.property(_GIVEN)}
            and area.focusPolicy() & Qt.FocusPolicy.TabFocus
        ):
            area.setAccessibleName(words)
            area.setProperty(_GIVEN, words)


_GIVEN = "given_name"
