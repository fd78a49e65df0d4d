"""What stands inside table cells: a progress bar painted, a few buttons as real widgets."""

from collections.abc import Callable
from functools import partial
from typing import Any

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QFontMetrics, QIcon, QPainter
from PySide6.QtWidgets import QHBoxLayout, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from app.ui import theme
from app.ui.table_model import NOTE_ROLE, ROW_ROLE
from app.ui.widgets import IconButton

_TONES = {"done": "good", "failed": "bad", "paused": "text-2", "cancelled": "text-2", "waiting": "text-2"}


class ProgressDelegate(QStyledItemDelegate):
    """A thin bar and its percentage; the row's ``state`` gives the colour."""

    def __init__(self, share: Callable[[Any], float], parent: QWidget) -> None:
        super().__init__(parent)
        self._share = share

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        row = index.data(ROW_ROLE)
        self.initStyleOption(option, index)
        text, option.text = option.text, ""
        option.widget.style().drawControl(
            option.widget.style().ControlElement.CE_ItemViewItem, option, painter, option.widget
        )
        rect: QRect = option.rect.adjusted(8, 0, -8, 0)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = theme.tabular(theme.font("secondary"))
        width = QFontMetrics(font).horizontalAdvance("100 %") + 6
        bar = QRectF(rect.left(), rect.center().y() - 2, rect.width() - width, 5)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.color("line"))
        painter.drawRoundedRect(bar, 2.5, 2.5)
        bar.setWidth(bar.width() * self._share(row))
        painter.setBrush(theme.color(_TONES.get(row.state, "accent")))
        painter.drawRoundedRect(bar, 2.5, 2.5)
        painter.setFont(font)
        painter.setPen(theme.color("text-2"))
        painter.drawText(rect, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, text)
        painter.restore()


class TwoLineDelegate(QStyledItemDelegate):
    """The text over the column's note in smaller, secondary letters."""

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        self.initStyleOption(option, index)
        text, option.text = option.text, ""
        icon, option.icon = QIcon(option.icon), QIcon()
        style = option.widget.style()
        style.drawControl(style.ControlElement.CE_ItemViewItem, option, painter, option.widget)
        rect: QRect = option.rect.adjusted(11, 0, -8, 0)
        painter.save()
        if not icon.isNull():
            side = theme.px(18)
            icon.paint(painter, QRect(rect.left(), rect.center().y() - side // 2 + 1, side, side))
            rect.setLeft(rect.left() + theme.px(28))
        note = str(index.data(NOTE_ROLE) or "")
        across = Qt.AlignmentFlag(index.data(Qt.ItemDataRole.TextAlignmentRole) or 0)
        across &= Qt.AlignmentFlag.AlignHorizontal_Mask
        upper, lower = QRect(rect), QRect(rect)
        if note:
            upper.setBottom(rect.center().y() + 1)
            lower.setTop(rect.center().y() + 1)
            self._line(
                painter, lower, "secondary", theme.color("text-2"), note, Qt.AlignmentFlag.AlignTop | across
            )
        side = Qt.AlignmentFlag.AlignBottom if note else Qt.AlignmentFlag.AlignVCenter
        side |= across
        shade = index.data(Qt.ItemDataRole.ForegroundRole) or theme.color("text")
        self._line(painter, upper, "text", shade, text, side)
        painter.restore()

    @staticmethod
    def _line(
        painter: QPainter, rect: QRect, role: theme.Role, shade: QColor, text: str, side: Qt.AlignmentFlag
    ) -> None:
        font = theme.font(role)
        painter.setFont(font)
        painter.setPen(shade)
        shown = QFontMetrics(font).elidedText(text, Qt.TextElideMode.ElideRight, rect.width())
        painter.drawText(rect, side, shown)


class ActionCell(QWidget):
    """Up to three icon buttons, right-aligned."""

    pressed = Signal(str)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._shown: list[tuple[str, str, str]] = []
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(4, 0, 8, 0)
        self._row.setSpacing(2)
        self._row.addStretch(1)

    def show_actions(self, actions: list[tuple[str, str, str]]) -> None:
        """(name, icon, words) of each; the same ones again change nothing."""
        if actions == self._shown:
            return
        self._shown = actions
        while self._row.count() > 1:
            item = self._row.takeAt(1)
            if item is not None and (widget := item.widget()) is not None:
                widget.deleteLater()
        for name, icon, words in actions:
            button = IconButton(icon, partial(self.pressed.emit, name), self)
            button.set_words(words)
            self._row.addWidget(button)
            button.show()  # a layout shows what is added only when it comes to it

    def button(self, name: str) -> IconButton | None:
        """The button of an action that is shown."""
        for at, (shown, _icon, _words) in enumerate(self._shown):
            if shown == name:
                item = self._row.itemAt(at + 1)
                widget = item.widget() if item else None
                return widget if isinstance(widget, IconButton) else None
        return None
