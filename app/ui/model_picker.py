"""The model picker in the title row of Chat: what is loaded, what is on disk, and a way to search for more."""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct
from PySide6.QtCore import (
    QEvent,
    QLocale,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QPoint,
    QRect,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QFontMetrics, QKeyEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.ui import keys, theme
from app.ui.chat_style import make_style

State = Literal["loaded", "loading", "disk", "damaged"]
Index = QModelIndex | QPersistentModelIndex
_DATA = Qt.ItemDataRole.UserRole
_ROW, _HEADER = 44, 28
_BUTTON = """
QToolButton {{ background: {surface}; color: {text}; border: 1px solid {line}; border-radius: 6px;
  padding: 0 {right}px 0 8px; min-height: {high}px; }}
QToolButton:hover {{ background: {raised}; }}
QToolButton:focus {{ border: 2px solid {accent}; padding: 0 {inner_right}px 0 7px;
  min-height: {inner_high}px; }}
"""
_SIZES = {"right": 30, "high": 30, "inner_right": 29, "inner_high": 28}


class ModelChoice(Struct, frozen=True):
    """One model as the picker shows it; ``note`` is the second line (quant in words, size, fit, speed)."""

    id: str
    name: str
    note: str = ""
    state: State = "disk"


class _Delegate(QStyledItemDelegate):
    """Headings, models on two lines, and the search line."""

    def sizeHint(self, _option: QStyleOptionViewItem, index: Index) -> QSize:
        choice = index.data(_DATA)
        high = _ROW if isinstance(choice, ModelChoice) else _HEADER if choice is None else 36
        return QSize(200, theme.px(high))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        choice = index.data(_DATA)
        style, rect = make_style(), QRect(option.rect)
        state = option.state
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        chosen = state & (QStyle.StateFlag.State_Selected | QStyle.StateFlag.State_MouseOver)
        if chosen and choice is not None:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(style.raised)
            painter.drawRoundedRect(rect.adjusted(4, 1, -4, -1), 6, 6)
        inner = rect.adjusted(16, 2, -16, -2)
        if isinstance(choice, ModelChoice):
            self._paint_model(painter, inner, choice)
        else:
            painter.setPen(style.text_2 if choice is None else style.text)
            painter.setFont(style.small)
            painter.drawText(inner, Qt.AlignmentFlag.AlignVCenter, str(index.data()))
        painter.restore()

    def _paint_model(self, painter: QPainter, rect: QRect, choice: ModelChoice) -> None:
        style = make_style()
        font = theme.font("text")
        upper = QRect(rect.left(), rect.top() + 2, rect.width(), rect.height() // 2 - 1)
        lower = QRect(rect.left(), upper.bottom() + 1, rect.width(), rect.height() // 2 - 2)
        painter.setFont(font)
        painter.setPen(theme.color("bad") if choice.state == "damaged" else style.text)
        middle = Qt.TextElideMode.ElideMiddle
        painter.drawText(
            upper,
            Qt.AlignmentFlag.AlignVCenter,
            QFontMetrics(font).elidedText(choice.name, middle, rect.width()),
        )
        painter.setFont(style.small)
        painter.setPen(style.text_2)
        right = Qt.TextElideMode.ElideRight
        elided = QFontMetrics(style.small).elidedText(choice.note, right, rect.width())
        painter.drawText(lower, Qt.AlignmentFlag.AlignVCenter, elided)


class _Popup(QFrame):
    """The opened picker: a search line over a list; arrow keys and Return work from the line."""

    chosen = Signal(str)
    search_requested = Signal(str)

    def __init__(self, parent: QWidget, choices: Sequence[ModelChoice]) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setObjectName("modelPopup")
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self._choices = choices
        self.line = QLineEdit(self)
        self.line.setPlaceholderText(self.tr("Filter, or search the Hub"))
        self.line.setAccessibleName(self.tr("Filter models"))
        self.list = QListWidget(self)
        self.list.setItemDelegate(_Delegate(self.list))
        self.list.setMouseTracking(True)
        self.list.setStyleSheet("QListView { background: transparent; border: none; border-radius: 0; }")
        self.list.setAccessibleName(self.tr("Models"))
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(8)
        column.addWidget(self.line)
        column.addWidget(self.list, 1)
        self.line.textChanged.connect(self._fill)
        self.list.itemClicked.connect(self._take)
        self.list.itemActivated.connect(self._take)
        self._fill("")

    def _fill(self, wanted: str) -> None:
        self.list.clear()
        words = wanted.lower().split()
        fitting = [c for c in self._choices if all(word in f"{c.name} {c.note}".lower() for word in words)]
        loaded = [c for c in fitting if c.state in {"loaded", "loading"}]
        self._section(self.tr("Loaded"), loaded)
        self._section(self.tr("On this machine"), [c for c in fitting if c not in loaded])
        text = (
            self.tr("Search the Hub for “{words}”").format(words=wanted)
            if words
            else self.tr("Search the Hub")
        )
        item = QListWidgetItem(text, self.list)
        item.setData(_DATA, wanted)
        first = next((i for i in range(self.list.count()) if self.list.item(i).data(_DATA) is not None), 0)
        self.list.setCurrentRow(first)

    def _section(self, title: str, choices: Sequence[ModelChoice]) -> None:
        if not choices:
            return
        heading = QListWidgetItem(title, self.list)
        heading.setFlags(Qt.ItemFlag.NoItemFlags)
        for choice in choices:
            item = QListWidgetItem(choice.name, self.list)
            item.setData(_DATA, choice)
            item.setToolTip(f"{choice.name}\n{choice.note}")
            item.setData(Qt.ItemDataRole.AccessibleTextRole, f"{choice.name}, {choice.note}")

    def _take(self, item: QListWidgetItem) -> None:
        data = item.data(_DATA)
        if data is None:
            return
        self.close()
        if isinstance(data, ModelChoice):
            self.chosen.emit(data.id)
        else:
            self.search_requested.emit(data)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in {Qt.Key.Key_Up, Qt.Key.Key_Down} and self.line.hasFocus():
            self._step(1 if event.key() == Qt.Key.Key_Down else -1)
        elif event.key() in {Qt.Key.Key_Return, Qt.Key.Key_Enter} and self.list.currentItem() is not None:
            self._take(self.list.currentItem())
        else:
            super().keyPressEvent(event)

    def _step(self, step: int) -> None:
        row = self.list.currentRow() + step
        while 0 <= row < self.list.count() and self.list.item(row).data(_DATA) is None:
            row += step
        if 0 <= row < self.list.count():
            self.list.setCurrentRow(row)


class ModelPicker(QWidget):
    """The button with the current model; while it loads, how far and a way to stop."""

    chosen = Signal(str)
    search_requested = Signal(str)
    cancel_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._choices: Sequence[ModelChoice] = ()
        self._current: ModelChoice | None = None
        self._progress: float | None = None
        self.button = QToolButton(self)
        self.button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.button.setObjectName("modelPicker")
        self.button.setMaximumWidth(420)
        self._fold = QLabel(self.button)
        self._cancel = QToolButton(self)
        self._cancel.setAutoRaise(True)
        self._cancel.hide()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(self.button)
        row.addWidget(self._cancel)
        self.button.clicked.connect(self.open)
        self.button.installEventFilter(self)
        self._cancel.clicked.connect(self.cancel_requested)
        theme.notifier().changed.connect(self._show)
        self._show()

    def set_choices(self, choices: Sequence[ModelChoice], current: str) -> None:
        """What can be picked, and the id of what is."""
        self._choices = choices
        self._current = next((choice for choice in choices if choice.id == current), None)
        self._show()

    def set_progress(self, progress: float | None) -> None:
        """0 to 1 while the current model loads, else None."""
        self._progress = progress
        self._cancel.setVisible(progress is not None)
        self._show()

    def open(self) -> None:
        """Unfold the list under the button."""
        popup = _Popup(self, self._choices)
        popup.chosen.connect(self.chosen)
        popup.search_requested.connect(self.search_requested)
        rows = len(self._choices)
        wide = min(theme.px(420), self.window().width())
        popup.resize(wide, min(theme.px(480), theme.px(150 + rows * _ROW)))
        corner = self.button.mapToGlobal(QPoint(self.button.width() - wide, self.button.height() + 4))
        popup.move(max(0, corner.x()), corner.y())
        popup.show()
        popup.line.setFocus()

    def _show(self) -> None:
        name = self._current.name if self._current else self.tr("Choose a model")
        if self._progress is not None:
            percent = QLocale().toString(self._progress * 100, "f", 0)
            name = self.tr("Loading {model}: {percent} %").format(model=name, percent=percent)
        self.button.setText(QFontMetrics(self.font()).elidedText(name, Qt.TextElideMode.ElideMiddle, 380))
        self._dress()
        loaded = self._current is not None and self._current.state == "loaded"
        self.button.setIcon(theme.icon("model", "good" if loaded else "text-2"))
        note = self._current.note if self._current else self.tr("Pick what answers you")
        self.button.setToolTip(f"{name}\n{note}\n{keys.page_key_text('chat_model')}".strip())
        self.button.setAccessibleName(self.tr("Model: {name}").format(name=name))
        self.button.setAccessibleDescription(note)
        self._cancel.setIcon(theme.icon("close"))
        self._cancel.setToolTip(self.tr("Stop loading"))
        self._cancel.setAccessibleName(self.tr("Stop loading"))
        self.update()

    def _dress(self) -> None:
        named = {
            token: theme.color(token).name() for token in ("surface", "line", "raised", "accent", "text")
        }
        sizes = {name: theme.px(size) for name, size in _SIZES.items()}
        self.button.setStyleSheet(_BUTTON.format(**named, **sizes))
        side = theme.px(14)
        self._fold.setPixmap(theme.icon("chevron-down").pixmap(side, side))
        self._fold.resize(side, side)
        self._place_fold()

    def _place_fold(self) -> None:
        left = self.button.width() - theme.px(24)
        self._fold.move(left, (self.button.height() - self._fold.height()) // 2)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self.button and event.type() == QEvent.Type.Resize:
            self._place_fold()
        return False

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._show()
        super().changeEvent(event)

    def paintEvent(self, _event: QPaintEvent) -> None:
        if self._progress is None:
            return
        painter = QPainter(self)
        width = int(self.button.width() * self._progress)
        painter.fillRect(self.button.x(), self.height() - 3, width, 3, theme.color("accent"))
