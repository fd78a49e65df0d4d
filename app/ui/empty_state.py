"""What an empty page says: what it is for, and the one button that fills it."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFont, QPalette
from PySide6.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from app.ui import theme
from app.ui.chat_style import make_style


class EmptyState(QWidget):
    """Title, a sentence or two, a primary button and perhaps a plain one below it."""

    primary = Signal()
    secondary = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title, self._text = QLabel(self), QLabel(self)
        self.button, self.other = QPushButton(self), QPushButton(self)
        self.button.setProperty("role", "primary")
        self.other.setProperty("role", "link")
        self.button.clicked.connect(self.primary)
        self.other.clicked.connect(self.secondary)
        column = QVBoxLayout(self)
        column.setSpacing(12)
        column.addStretch(2)
        for label in (self._title, self._text):
            label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setWordWrap(True)
            column.addWidget(label)
        column.addSpacing(4)
        column.addWidget(self.button, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addWidget(self.other, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addStretch(3)
        theme.notifier().changed.connect(self._restyle)
        self._restyle()

    def show_state(self, title: str, text: str, button: str = "", other: str = "") -> None:
        """Empty button texts hide the buttons."""
        self._title.setText(title)
        self._text.setText(text)
        for widget, words in ((self.button, button), (self.other, other)):
            widget.setText(words)
            widget.setVisible(bool(words))

    def _restyle(self) -> None:
        font = QFont(self.font())
        font.setPixelSize(20)
        font.setWeight(QFont.Weight.DemiBold)
        self._title.setFont(font)
        palette = self._text.palette()
        palette.setColor(QPalette.ColorRole.WindowText, make_style().text_2)
        self._text.setPalette(palette)
