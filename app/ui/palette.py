"""Ctrl+K: every command, page, chat, model and setting, found by a few letters and done with Enter.

Commands and pages are there at once; chats and models are read on the task pool and join the list when they come.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import (
    QAbstractListModel,
    QEvent,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRect,
    QSize,
    Qt,
)
from PySide6.QtGui import QKeyEvent, QPainter
from PySide6.QtWidgets import (
    QFrame,
    QLineEdit,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
)

from app.ui import tasks, theme
from app.ui.fuzzy import score
from app.ui.widgets import make_label

if TYPE_CHECKING:
    from app.ui.main_window import MainWindow

Index = QModelIndex | QPersistentModelIndex
_WIDTH, _SHOWN, _ROW = 620, 9, 40
_MOST = 60
_FAR = 4
_STEP_KEYS = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1, Qt.Key.Key_PageDown: _SHOWN, Qt.Key.Key_PageUp: -_SHOWN}


@dataclass(frozen=True)
class Found:
    """One thing that can be done. ``weight`` orders equal matches."""

    words: str
    kind: str
    run: Callable[[], object]
    keys: str = ""
    icon: str = "chevron-right"
    also: str = ""
    """Further words it is found by."""
    weight: int = 0


def rank(items: Sequence[Found], query: str) -> list[Found]:
    """Those that fit, best first; everything in its order for an empty query."""
    if not query.strip():
        return list(items)[:_MOST]
    scored = [(max(score(query, item.words) * 2, score(query, f"{item.words} {item.kind} {item.also}")), item)
              for item in items]  # fmt: skip
    best = max((pair[0] for pair in scored), default=0)
    fits = [pair for pair in scored if pair[0] * _FAR > best]  # letters strewn about don't stand beside words
    fits.sort(key=lambda pair: (-pair[0] - pair[1].weight, len(pair[1].words)))
    return [item for _score, item in fits[:_MOST]]


class _List(QAbstractListModel):
    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.items: list[Found] = []

    def show_items(self, items: list[Found]) -> None:
        self.beginResetModel()
        self.items = items
        self.endResetModel()

    def rowCount(self, _parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own default
        return len(self.items)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        item = self.items[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return item.words
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return ", ".join(filter(None, (item.words, item.kind, item.keys)))
        return item if role == Qt.ItemDataRole.UserRole else None


class _Draw(QStyledItemDelegate):
    def sizeHint(self, _option: QStyleOptionViewItem, _index: Index) -> QSize:
        return QSize(0, theme.px(_ROW))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        item, box = index.data(Qt.ItemDataRole.UserRole), QRect(option.rect)
        painter.save()
        if option.state & QStyle.StateFlag.State_Selected:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.color("raised"))
            painter.drawRoundedRect(box.adjusted(4, 1, -4, -1), 6, 6)
            painter.setBrush(theme.color("accent"))
            painter.drawRoundedRect(QRect(box.left() + 4, box.top() + 8, 3, box.height() - 16), 1.5, 1.5)
        side, gap = theme.px(18), theme.px(12)
        theme.icon(item.icon).paint(
            painter, QRect(box.left() + gap + 4, box.center().y() - side // 2, side, side)
        )
        box.adjust(gap * 2 + side + 4, 0, -gap - 4, 0)
        self._texts(painter, box, item)
        painter.restore()

    @staticmethod
    def _texts(painter: QPainter, box: QRect, item: Found) -> None:
        small = theme.font("secondary")
        middle = Qt.AlignmentFlag.AlignVCenter
        right = f"{item.kind}   {item.keys}".rstrip()
        painter.setFont(small)
        painter.setPen(theme.color("text-2"))
        wide = painter.fontMetrics().horizontalAdvance(right)
        painter.drawText(box, middle | Qt.AlignmentFlag.AlignRight, right)
        painter.setFont(theme.font("text"))
        painter.setPen(theme.color("text"))
        room = box.width() - wide - 16
        words = painter.fontMetrics().elidedText(item.words, Qt.TextElideMode.ElideRight, room)
        painter.drawText(box, middle | Qt.AlignmentFlag.AlignLeft, words)


class Palette(QFrame):
    """A list over the window. Enter does the chosen thing, Esc goes back to where the keyboard was."""

    def __init__(self, window: "MainWindow") -> None:
        super().__init__(window, Qt.WindowType.Popup)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setProperty("role", "card")
        self._window = window
        self._items: list[Found] = []
        self.line = QLineEdit(self)
        self.line.setFont(theme.font("chat"))
        self.line.setPlaceholderText(self.tr("Find a command, page, chat, model or setting"))
        self.line.setAccessibleName(self.line.placeholderText())
        self.model = _List(self)
        self.view = QListView(self)
        self.view.setProperty("role", "flat")
        self.view.setModel(self.model)
        self.view.setItemDelegate(_Draw(self.view))
        self.view.setUniformItemSizes(True)
        self.view.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.view.setAccessibleName(self.tr("What was found"))
        self.nothing = make_label("muted", self)
        self.nothing.setText(self.tr("Nothing has these letters."))
        self._lay_out()
        self.line.textChanged.connect(self._find)
        self.line.installEventFilter(self)
        self.view.clicked.connect(lambda index: self._do(index.row()))

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(8)
        for widget in (self.line, self.view, self.nothing):
            column.addWidget(widget)
        self.nothing.setContentsMargins(12, 8, 12, 12)

    def begin(self) -> None:
        """Open it over the window's upper half."""
        from app.ui import palette_items  # noqa: PLC0415 - a module of its own for what there is to find

        self._items = palette_items.at_once(self._window)
        self._find("")
        width = min(theme.px(_WIDTH), self._window.width() - 32)
        self.setFixedWidth(width)
        self.view.setFixedHeight(theme.px(_ROW) * _SHOWN + 4)
        corner = self._window.mapToGlobal(self._window.rect().topLeft())
        self.move(corner.x() + (self._window.width() - width) // 2, corner.y() + theme.px(72))
        self.show()
        self.line.setFocus()
        window = self._window
        tasks.run(lambda: palette_items.later(window.services), self._add, None, self)

    def _add(self, made: "Callable[[MainWindow], list[Found]]") -> None:
        self._items += made(self._window)
        self._find(self.line.text())

    def _find(self, text: str) -> None:
        self.model.show_items(rank(self._items, text))
        if self.model.items:
            self.view.setCurrentIndex(self.model.index(0))
        self.view.setVisible(bool(self.model.items))
        self.nothing.setVisible(not self.model.items)
        self.adjustSize()

    def _do(self, row: int) -> None:
        if 0 <= row < len(self.model.items):
            item = self.model.items[row]
            self.close()
            item.run()

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:
        if not isinstance(event, QKeyEvent) or event.type() != QEvent.Type.KeyPress:
            return False
        key = Qt.Key(event.key())
        if key in {Qt.Key.Key_Return, Qt.Key.Key_Enter}:
            self._do(self.view.currentIndex().row())
            return True
        if key in _STEP_KEYS:
            last = len(self.model.items) - 1
            row = self.view.currentIndex().row() + _STEP_KEYS[key]
            single = abs(_STEP_KEYS[key]) == 1
            row = row % (last + 1) if single and last >= 0 else max(0, min(last, row))
            self.view.setCurrentIndex(self.model.index(row))
            return True
        return False
