"""How a row of the list of conversations is drawn: title, below it when it was last changed, its tags or the hit."""

import time

from PySide6.QtCore import QDateTime, QLocale, QModelIndex, QPersistentModelIndex, QRect, QSize, Qt
from PySide6.QtGui import QFontMetrics, QPainter, QPen
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from app.ui import theme
from app.ui.chat_rows import ChatRow, Heading
from app.ui.chat_style import make_style

ROW, HEADING = 44, 28
_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
Index = QModelIndex | QPersistentModelIndex


class RowDelegate(QStyledItemDelegate):
    """Conversations and headings of folders. ``editing``: a title is being typed."""

    editing = False

    def createEditor(self, parent: QWidget, option: QStyleOptionViewItem, index: Index) -> QWidget:
        self.editing = True
        return super().createEditor(parent, option, index)

    def destroyEditor(self, editor: QWidget, index: Index) -> None:
        self.editing = False
        super().destroyEditor(editor, index)

    def sizeHint(self, _option: QStyleOptionViewItem, index: Index) -> QSize:
        heading = isinstance(index.data(Qt.ItemDataRole.UserRole), Heading)
        scale = make_style().small.pixelSize() / 12
        return QSize(120, round((HEADING if heading else ROW) * scale))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        item = index.data(Qt.ItemDataRole.UserRole)
        rect, state = QRect(option.rect), option.state
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._paint_ground(painter, rect, state, isinstance(item, ChatRow))
        if isinstance(item, Heading):
            _paint_heading(painter, rect, item, str(index.data()))
        else:
            _paint_row(painter, rect.adjusted(16, 4, -12, -4), item, str(index.data()))
        painter.restore()

    def _paint_ground(self, painter: QPainter, rect: QRect, state: QStyle.StateFlag, is_row: bool) -> None:
        style = make_style()
        painter.setPen(Qt.PenStyle.NoPen)
        if state & (QStyle.StateFlag.State_Selected | QStyle.StateFlag.State_MouseOver):
            painter.setBrush(style.raised)
            painter.drawRoundedRect(rect.adjusted(4, 1, -4, -1), 6, 6)
        if state & QStyle.StateFlag.State_HasFocus:
            painter.setPen(QPen(style.accent, 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(rect.adjusted(5, 2, -5, -2), 6, 6)
            painter.setPen(Qt.PenStyle.NoPen)
        if is_row and state & QStyle.StateFlag.State_Selected:
            painter.setBrush(style.accent)
            painter.drawRoundedRect(QRect(rect.left() + 4, rect.top() + 10, 3, rect.height() - 20), 1.5, 1.5)


def _paint_heading(painter: QPainter, rect: QRect, item: Heading, title: str) -> None:
    style = make_style()
    if item.folder:
        icon = theme.icon("chevron-right" if item.folded else "chevron-down")
        side = theme.px(13)
        icon.paint(painter, QRect(rect.left() + 14, rect.center().y() - side // 2, side, side))
    painter.setPen(style.text_2)
    painter.setFont(style.small)
    where = rect.adjusted(32 if item.folder else 16, 0, -12, 0)
    words = f"{title}  {item.count}"
    painter.drawText(where, _LEFT, _elided(painter, words, where.width()))


def _paint_row(painter: QPainter, rect: QRect, row: ChatRow, title: str) -> None:
    style = make_style()
    upper, lower = QRect(rect), QRect(rect)
    upper.setBottom(rect.center().y())
    lower.setTop(rect.center().y() + 1)
    if row.colour:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.color(row.colour) if row.colour in theme.notifier().tokens else style.text_2)
        painter.drawEllipse(QRect(upper.left(), upper.center().y() - 3, 8, 8))
        upper.setLeft(upper.left() + 14)
    if row.pinned:
        side = theme.px(14)
        theme.icon("pin").paint(painter, QRect(rect.right() - side + 1, upper.top() + 2, side, side))
        upper.setRight(rect.right() - side - 4)
    painter.setPen(style.text)
    painter.setFont(theme.font("text"))
    painter.drawText(upper, _LEFT, _elided(painter, title, upper.width()))
    painter.setPen(style.text_2)
    painter.setFont(style.small)
    painter.drawText(lower, _LEFT, _elided(painter, below(row), lower.width()))


def below(row: ChatRow) -> str:
    """The second line: where it was found, else when it was changed and its tags."""
    tags = " ".join(f"#{tag}" for tag in row.tags)
    return row.snippet or "  ".join(part for part in (when_text(row.changed_at), tags) if part)


def _elided(painter: QPainter, text: str, width: int) -> str:
    return QFontMetrics(painter.font()).elidedText(text, Qt.TextElideMode.ElideRight, width)


def when_text(at: float) -> str:
    """A time of day for today, else a date, in the reader's locale."""
    if not at:
        return ""
    moment = QDateTime.fromSecsSinceEpoch(int(at))
    form = QLocale.FormatType.ShortFormat
    if moment.date() == QDateTime.fromSecsSinceEpoch(int(time.time())).date():
        return QLocale().toString(moment.time(), form)
    return QLocale().toString(moment.date(), form)
