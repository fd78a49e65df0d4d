"""The window in another size: fonts and the style sheet follow the theme, the measures that code has set follow here.

``resize_all`` runs before the theme dresses the application again, ``renew_fonts`` after it: what a view takes from the
theme is right by itself, and what it never asks for again (a fixed height, a margin, its own font) is multiplied here.
"""

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
    QSplitter,
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
    """Every window that is there goes from one zoom to another; ``renew_fonts`` follows once the theme is in place."""
    for window in QApplication.topLevelWidgets():
        for widget in (window, *window.findChildren(QWidget)):
            _note_font(widget, old)
        resize_tree(window, new)


def renew_fonts(zoom: float) -> None:
    """Give widgets with a font of their own that font in the new size: a new style sheet takes it away."""
    for window in QApplication.topLevelWidgets():
        for widget in (window, *window.findChildren(QWidget)):
            base = widget.property(_FONT)
            if base is not None:
                made = QFont(widget.font())
                made.setPixelSize(max(1, round(base * zoom)))
                widget.setFont(made)


def resize_tree(root: QWidget, zoom: float) -> None:
    """Bring the measures that code has set in ``root`` to a zoom; idempotent. Fonts of widgets just built came from
    the theme as they should be."""
    for widget in (root, *root.findChildren(QWidget)):
        if ratio := _todo(widget, zoom):
            _measures(widget, ratio)
    # Not through QLayout.itemAt: the wrappers it makes of spacers may turn up later in a layout's place.
    for layout in root.findChildren(QLayout):
        if ratio := _todo(layout, zoom):
            _space(layout, ratio)


def _todo(item: QWidget | QLayout, zoom: float) -> float:
    """By how much an item must grow, 0 when it has; it is marked as done."""
    done = item.property(_DONE) or 1.0
    if done == zoom:
        return 0.0
    item.setProperty(_DONE, zoom)
    return float(zoom / done)


def _note_font(widget: QWidget, zoom: float) -> None:
    size = widget.font().pixelSize()
    if widget.testAttribute(Qt.WidgetAttribute.WA_SetFont) and size > 0 and widget.property(_FONT) is None:
        widget.setProperty(_FONT, size / zoom)


def _measures(widget: QWidget, ratio: float) -> None:
    low, high = widget.minimumSize(), widget.maximumSize()
    if not widget.isWindow():
        largest, smallest = (high.width(), high.height()), (low.width(), low.height())
        widget.setMaximumSize(
            *(_own(widget, f"max{name}", side, ratio) for name, side in zip("wh", largest, strict=True))
        )
        widget.setMinimumSize(
            *(_own(widget, f"min{name}", side, ratio) for name, side in zip("wh", smallest, strict=True))
        )
    if isinstance(widget, QAbstractButton):
        size = widget.iconSize()
        widget.setIconSize(QSize(round(size.width() * ratio), round(size.height() * ratio)))
    if isinstance(widget, QTableView):
        _table(widget, ratio)
    if isinstance(widget, QSplitter) and widget.isVisible():
        _split(widget, ratio)


def _own(widget: QWidget, name: str, length: int, ratio: float) -> int:
    """A limit of the widget's own in the new size; one that the style sheet has given is in it already."""
    return length if widget.property(f"_q_stylesheet_{name}") is not None else _side(length, ratio)


def _side(length: int, ratio: float) -> int:
    # One or two pixels are lines; 0 and the largest mean "not set".
    return length if length <= 2 or length >= LARGEST else min(LARGEST, round(length * ratio))


def _split(splitter: QSplitter, ratio: float) -> None:
    """The last part takes what is left."""
    sizes = [round(size * ratio) for size in splitter.sizes()]
    over = sum(sizes) - sum(splitter.sizes())
    splitter.setSizes([*sizes[:-1], max(1, sizes[-1] - over)])


def _table(table: QTableView, ratio: float) -> None:
    rows, columns = table.verticalHeader(), table.horizontalHeader()
    rows.setDefaultSectionSize(round(rows.defaultSectionSize() * ratio))
    for at in range(columns.count()):
        if columns.sectionResizeMode(at) in {
            QHeaderView.ResizeMode.Interactive,
            QHeaderView.ResizeMode.Fixed,
        }:
            columns.resizeSection(at, round(columns.sectionSize(at) * ratio))


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
