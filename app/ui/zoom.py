"""The window in another size: fonts and the style sheet follow the theme, the measures that code has set follow here.

``resize_all`` runs before the theme dresses the application again: what a view then takes from the theme is already
right, and what it never asks for again (a fixed height, a margin, its own font) has been multiplied.
"""

from collections.abc import Iterator

from PySide6.QtCore import QMargins, QSize, Qt
from PySide6.QtGui import QFont
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QBoxLayout,
    QFormLayout,
    QGridLayout,
    QHeaderView,
    QLayout,
    QTableView,
    QWidget,
)

LARGEST = 16777215
STEPS = (75, 80, 90, 100, 110, 125, 150, 175, 200)
_DONE = "zoomed"
_FONT = "zoomed_font"


def step(percent: int, direction: int) -> int:
    """The next of the usual sizes, larger for 1 and smaller for -1."""
    further = [size for size in STEPS if (size - percent) * direction > 0]
    return (min(further) if direction > 0 else max(further)) if further else percent


def resize_all(old: float, new: float) -> None:
    """Every window that is there goes from one zoom to another."""
    for window in QApplication.topLevelWidgets():
        resize_tree(window, new, old)


def resize_tree(root: QWidget, zoom: float, fonts_at: float | None = None) -> None:
    """Bring what code has set in ``root`` to a zoom. Fonts too if ``fonts_at`` says at which zoom they were made;
    those of widgets just built came from the theme as they should be. Idempotent."""
    for widget in (root, *root.findChildren(QWidget)):
        if fonts_at is not None:
            _font(widget, fonts_at, zoom)
        done = widget.property(_DONE) or 1.0
        if done != zoom:
            widget.setProperty(_DONE, zoom)
            _measures(widget, zoom / done)


def _font(widget: QWidget, old: float, new: float) -> None:
    font, base = widget.font(), widget.property(_FONT)
    if base is None and widget.testAttribute(Qt.WidgetAttribute.WA_SetFont) and font.pixelSize() > 0:
        # Kept, because a new style sheet takes the mark of a font of one's own away.
        base = font.pixelSize() / old
        widget.setProperty(_FONT, base)
    if base is not None:
        made = QFont(font)
        made.setPixelSize(max(1, round(base * new)))
        widget.setFont(made)


def _measures(widget: QWidget, ratio: float) -> None:
    low, high = widget.minimumSize(), widget.maximumSize()
    if not widget.isWindow():
        widget.setMaximumSize(_side(high.width(), ratio), _side(high.height(), ratio))
        widget.setMinimumSize(_side(low.width(), ratio), _side(low.height(), ratio))
    if isinstance(widget, QAbstractButton):
        size = widget.iconSize()
        widget.setIconSize(QSize(round(size.width() * ratio), round(size.height() * ratio)))
    if isinstance(widget, QTableView):
        _table(widget, ratio)
    layout = widget.layout()
    if layout is not None:
        for each in _layouts(layout):
            _space(each, ratio)


def _side(length: int, ratio: float) -> int:
    # One or two pixels are lines; 0 and the largest mean "not set".
    return length if length <= 2 or length >= LARGEST else min(LARGEST, round(length * ratio))


def _table(table: QTableView, ratio: float) -> None:
    rows, columns = table.verticalHeader(), table.horizontalHeader()
    rows.setDefaultSectionSize(round(rows.defaultSectionSize() * ratio))
    for at in range(columns.count()):
        if columns.sectionResizeMode(at) in {
            QHeaderView.ResizeMode.Interactive,
            QHeaderView.ResizeMode.Fixed,
        }:
            columns.resizeSection(at, round(columns.sectionSize(at) * ratio))


def _layouts(layout: QLayout) -> Iterator[QLayout]:
    yield layout
    for at in range(layout.count()):
        item = layout.itemAt(at)
        inner = item.layout() if item is not None else None
        if inner is not None:
            yield from _layouts(inner)


def _space(layout: QLayout, ratio: float) -> None:
    box = layout.contentsMargins()
    layout.setContentsMargins(
        QMargins(*(round(side * ratio) for side in (box.left(), box.top(), box.right(), box.bottom())))
    )
    if isinstance(layout, QGridLayout | QFormLayout):
        layout.setHorizontalSpacing(round(layout.horizontalSpacing() * ratio))
        layout.setVerticalSpacing(round(layout.verticalSpacing() * ratio))
    elif isinstance(layout, QBoxLayout):
        layout.setSpacing(round(layout.spacing() * ratio))
