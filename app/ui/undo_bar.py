"""A line at the bottom that says what was just done and takes it back; it goes by itself. What was done before can be
taken back after that, the latest first."""

from collections import deque
from collections.abc import Callable

from PySide6.QtCore import QEvent, Qt, QTimer
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QStackedWidget, QWidget

from app.ui import theme

SHOWN_MS = 8000
_KEPT = 50


class UndoBar(QWidget):
    """Floats over the lower edge of its parent."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._parent = parent
        self._words = QLabel(self)
        self._words.setTextFormat(Qt.TextFormat.PlainText)
        self._button = QPushButton(self)
        self._undos: deque[Callable[[], None]] = deque(maxlen=_KEPT)
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 6, 8, 6)
        row.setSpacing(12)
        row.addWidget(self._words)
        row.addWidget(self._button)
        self._timer = QTimer(self, interval=SHOWN_MS, singleShot=True)
        self._timer.timeout.connect(self.hide)
        self._button.clicked.connect(self.take_back)
        parent.installEventFilter(self)
        if isinstance(
            parent, QStackedWidget
        ):  # which raises the page it shows: over us, seen through, not clicked
            parent.currentChanged.connect(lambda _at: self.raise_())
        self.hide()

    def offer(self, words: str, undo: Callable[[], None]) -> None:
        """Say ``words`` and offer to take it back: for eight seconds here, and by the menu for good."""
        self._undos.append(undo)
        self._words.setText(words)
        self._button.setText(self.tr("Undo"))
        self._button.setAccessibleName(self.tr("Undo: {what}").format(what=words))
        self.show()
        self.raise_()
        self._settle()
        self._timer.start()

    def take_back(self) -> None:
        """Undo what was offered last, also when the line has gone; then what came before it."""
        self._timer.stop()
        self.hide()
        if self._undos:
            self._undos.pop()()

    def _settle(self) -> None:
        self.adjustSize()
        parent = self._parent
        self.move((parent.width() - self.width()) // 2, parent.height() - self.height() - 120)

    def eventFilter(self, watched: object, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize and self.isVisible():
            self._settle()
        return False

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(theme.color("line"))
        painter.setBrush(theme.color("surface"))
        painter.drawRoundedRect(self.rect().adjusted(0, 0, -1, -1), 10, 10)
