"""Tab goes in reading order through the window: rail, message, page, panels, status line.

Qt's chain is the order in which widgets were made, and pages and panels are made when they are first needed.
"""

import itertools
from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractScrollArea, QWidget


def order(window: QWidget, parts: Sequence[QWidget]) -> None:
    """Put what Tab reaches in each of ``parts`` behind the part before; inside a part its own order stays."""
    found: list[list[QWidget]] = [[] for _ in parts]
    widget = window.nextInFocusChain()
    while widget is not None and widget is not window:
        if widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
            for at, part in enumerate(parts):
                if part.isAncestorOf(widget):
                    found[at].append(widget)
                    break
        widget = widget.nextInFocusChain()
    flat = [each for group in found for each in group]
    for before, after in itertools.pairwise(flat):
        QWidget.setTabOrder(before, after)


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
