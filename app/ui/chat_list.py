"""The list of conversations: search, new, pinned first; rename in place, pin and delete from the menu."""

import time
from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from PySide6.QtCore import (
    QAbstractListModel,
    QDateTime,
    QEvent,
    QLocale,
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QRect,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QFontMetrics, QKeyEvent, QPainter
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListView,
    QMenu,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.ui import theme
from app.ui.chat_style import make_style
from app.ui.message_parts import tint

_ROW = 44
Index = QModelIndex | QPersistentModelIndex


class ChatRow(Struct, frozen=True):
    """One conversation as the list shows it. ``changed_at`` is seconds since the epoch."""

    id: int
    title: str
    changed_at: float = 0.0
    pinned: bool = False
    snippet: str = ""
    """Where a search hit, in plain text."""


class ChatListModel(QAbstractListModel):
    """Rows as given, pinned ones first."""

    renamed = Signal(int, str)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.rows: list[ChatRow] = []

    def set_rows(self, rows: Sequence[ChatRow]) -> None:
        """Replace what is listed."""
        ordered = sorted(rows, key=lambda row: (not row.pinned, -row.changed_at))
        if ordered == self.rows:
            return
        self.beginResetModel()
        self.rows = ordered
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(self.rows)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row = self.rows[index.row()]
        if role in {Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole}:
            return row.title or (self.tr("New chat") if role == Qt.ItemDataRole.DisplayRole else "")
        if role == Qt.ItemDataRole.ToolTipRole:
            return row.title
        if role == Qt.ItemDataRole.AccessibleTextRole:
            title = row.title or self.tr("New chat")
            return self.tr("{title}, pinned").format(title=title) if row.pinned else title
        return row if role == Qt.ItemDataRole.UserRole else None

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        title = str(value).strip()
        if role == Qt.ItemDataRole.EditRole and title and title != self.rows[index.row()].title:
            self.renamed.emit(self.rows[index.row()].id, title)
        return True

    def flags(self, index: Index) -> Qt.ItemFlag:
        return super().flags(index) | Qt.ItemFlag.ItemIsEditable

    def index_of(self, chat: int | None) -> QModelIndex:
        """Where a conversation stands; invalid when it is not listed."""
        for number, row in enumerate(self.rows):
            if row.id == chat:
                return self.index(number)
        return QModelIndex()


class _Delegate(QStyledItemDelegate):
    """Title, and below it when it was last changed or where the search hit."""

    def sizeHint(self, _option: QStyleOptionViewItem, _index: Index) -> QSize:
        return QSize(120, _ROW)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        row: ChatRow = index.data(Qt.ItemDataRole.UserRole)
        style, rect = make_style(), QRect(option.rect)
        state = option.state
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if state & (QStyle.StateFlag.State_Selected | QStyle.StateFlag.State_MouseOver):
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(style.raised)
            painter.drawRoundedRect(rect.adjusted(4, 1, -4, -1), 6, 6)
        if state & QStyle.StateFlag.State_Selected:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(style.accent)
            painter.drawRoundedRect(QRect(rect.left() + 4, rect.top() + 10, 3, rect.height() - 20), 1.5, 1.5)
        self._paint_text(painter, rect.adjusted(16, 4, -12, -4), row, str(index.data()))
        painter.restore()

    def _paint_text(self, painter: QPainter, rect: QRect, row: ChatRow, title: str) -> None:
        style = make_style()
        flags = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        upper, lower = QRect(rect), QRect(rect)
        upper.setBottom(rect.center().y())
        lower.setTop(rect.center().y() + 1)
        if row.pinned:
            theme.icon("pin").paint(painter, QRect(rect.right() - 13, upper.top() + 2, 14, 14))
            upper.setRight(rect.right() - 18)
        painter.setPen(style.text)
        font = painter.font()
        font.setPixelSize(13)
        painter.setFont(font)
        elided = QFontMetrics(font).elidedText(title, Qt.TextElideMode.ElideRight, upper.width())
        painter.drawText(upper, flags, elided)
        painter.setPen(style.text_2)
        painter.setFont(style.small)
        below = row.snippet or when_text(row.changed_at)
        painter.drawText(
            lower,
            flags,
            QFontMetrics(style.small).elidedText(below, Qt.TextElideMode.ElideRight, lower.width()),
        )


def when_text(at: float) -> str:
    """A time of day for today, else a date, in the reader's locale."""
    if not at:
        return ""
    moment = QDateTime.fromSecsSinceEpoch(int(at))
    form = QLocale.FormatType.ShortFormat
    if moment.date() == QDateTime.fromSecsSinceEpoch(int(time.time())).date():
        return QLocale().toString(moment.time(), form)
    return QLocale().toString(moment.date(), form)


class _View(QListView):
    """Del deletes, F2 renames, Return opens."""

    delete_pressed = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Delete:
            self.delete_pressed.emit()
        else:
            super().keyPressEvent(event)


class ChatList(QWidget):
    """Tells what was asked; the page does it."""

    opened = Signal(int)
    new_requested = Signal()
    search_changed = Signal(str)
    renamed = Signal(int, str)
    pin_requested = Signal(int, bool)
    delete_requested = Signal(int)
    export_requested = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.search = QLineEdit(self)
        self.search.setClearButtonEnabled(True)
        self._new = QToolButton(self)
        self._new.setIcon(theme.icon("plus"))
        self._new.setFixedSize(32, 32)
        self.model = ChatListModel(self)
        self.view = _View(self)
        self._empty = QLabel(self)
        self._prepare_view()
        self._arrange()
        self._connect()
        self._retranslate()

    def _prepare_view(self) -> None:
        self.view.setModel(self.model)
        self.view.setItemDelegate(_Delegate(self.view))
        self.view.setUniformItemSizes(True)
        self.view.setMouseTracking(True)
        self.view.setFrameShape(QListView.Shape.NoFrame)
        self.view.setObjectName("chatList")
        self.view.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.view.setEditTriggers(QAbstractItemView.EditTrigger.EditKeyPressed)
        self.view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.view.viewport().setAutoFillBackground(False)
        # The style sheet frames lists; this one is a part of the window.
        self.view.setStyleSheet("QListView { background: transparent; border: none; border-radius: 0; }")

    def _arrange(self) -> None:
        top = QHBoxLayout()
        top.setContentsMargins(8, 8, 8, 8)
        top.setSpacing(8)
        top.addWidget(self.search, 1)
        top.addWidget(self._new)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(top)
        column.addWidget(self._empty)
        column.addWidget(self.view, 1)
        self._empty.setContentsMargins(16, 8, 16, 8)
        self._empty.setWordWrap(True)
        tint(self._empty, make_style())

    def _connect(self) -> None:
        self._new.clicked.connect(self.new_requested)
        self.search.textChanged.connect(self.search_changed)
        self.model.renamed.connect(self.renamed)
        self.view.clicked.connect(self._open)
        self.view.activated.connect(self._open)
        self.view.delete_pressed.connect(self._delete_current)
        self.view.customContextMenuRequested.connect(self._menu)
        theme.notifier().changed.connect(self._restyle)

    def set_rows(self, rows: Sequence[ChatRow], current: int | None) -> None:
        """List these and mark the one that is open."""
        self.model.set_rows(rows)
        self.set_current(current)
        searching = bool(self.search.text())
        self._empty.setText(
            self.tr("Nothing found.") if searching else self.tr("Your chats will be listed here.")
        )
        self._empty.setVisible(not rows)

    def set_current(self, chat: int | None) -> None:
        """Mark the open conversation without opening it again."""
        index = self.model.index_of(chat)
        if index != self.view.currentIndex():
            self.view.setCurrentIndex(index)

    def _open(self, index: QModelIndex) -> None:
        self.opened.emit(self.model.rows[index.row()].id)

    def _delete_current(self) -> None:
        if self.view.currentIndex().isValid():
            self.delete_requested.emit(self.model.rows[self.view.currentIndex().row()].id)

    def _menu(self, at: QPoint) -> None:
        index = self.view.indexAt(at)
        if not index.isValid():
            return
        row = self.model.rows[index.row()]
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction(self.tr("Rename"), lambda: self.view.edit(index))
        menu.addAction(
            self.tr("Unpin") if row.pinned else self.tr("Pin"),
            lambda: self.pin_requested.emit(row.id, not row.pinned),
        )
        menu.addAction(self.tr("Export…"), lambda: self.export_requested.emit(row.id))
        menu.addSeparator()
        menu.addAction(self.tr("Delete"), lambda: self.delete_requested.emit(row.id))
        menu.popup(self.view.viewport().mapToGlobal(at))

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
        super().changeEvent(event)

    def _retranslate(self) -> None:
        self.search.setPlaceholderText(self.tr("Search chats"))
        self.search.setAccessibleName(self.tr("Search chats"))
        self._new.setToolTip(self.tr("New chat (Ctrl+N)"))
        self._new.setAccessibleName(self.tr("New chat"))
        self.view.setAccessibleName(self.tr("Chats"))
        self.view.viewport().update()

    def _restyle(self) -> None:
        self._new.setIcon(theme.icon("plus"))
        tint(self._empty, make_style())
        self.view.viewport().update()
