"""What an empty page says: what it is for, and the one button that fills it."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFont, QPalette
from PySide6.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from app.ui import theme
from app.ui.chat_style import make_style
from app.ui.widgets import make_button


class EmptyState(QWidget):
    """Title, a sentence or two, a primary button and perhaps a plain one below it. ``show_details`` adds technical
    words that fold out."""

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
        column.setContentsMargins(12, 4, 12, 4)  # the smallest window has little room for the longest
        column.setSpacing(8)
        column.addStretch(2)
        for label in (self._title, self._text):
            label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setWordWrap(True)
            column.addWidget(label)
        column.addSpacing(4)
        column.addWidget(self.button, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addWidget(self.other, 0, Qt.AlignmentFlag.AlignHCenter)
        self.more = make_button(self._unfold, "link", self, compact=True)
        self.details = QLabel(self)
        self.details.setTextFormat(Qt.TextFormat.PlainText)
        self.details.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.details.setWordWrap(True)
        self.details.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        column.addWidget(self.more, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addWidget(self.details)
        self.more.hide()
        self.details.hide()
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

    def show_details(self, text: str) -> None:
        """Technical words behind a button; "" takes both away."""
        self.more.setText(self.tr("Details"))
        self.more.setVisible(bool(text))
        self.details.setText(text)
        self.details.setVisible(bool(text) and not self.details.isHidden())

    def _unfold(self) -> None:
        self.details.setVisible(self.details.isHidden())

    def _restyle(self) -> None:
        font = QFont(self.font())
        font.setPixelSize(theme.px(20))
        font.setWeight(QFont.Weight.DemiBold)
        self._title.setFont(font)
        palette = self._text.palette()
        palette.setColor(QPalette.ColorRole.WindowText, make_style().text_2)
        self._text.setPalette(palette)
        self.details.setPalette(palette)
        self.details.setFont(theme.font("mono"))
