"""What the live panels share: a titled part of the dock and a large number that does not jump."""

from PySide6.QtCore import Qt
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from app.ui import theme
from app.ui.chat_style import make_style
from app.ui.figures import DASH
from app.ui.message_parts import tint


class BigNumber(QLabel):
    """The current value: 20 px with digits of one width, so that nothing jumps."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(DASH, parent)
        font = QFont(self.font())
        font.setPixelSize(theme.px(20))
        font.setFeature(QFont.Tag("tnum"), 1)
        self.setFont(font)
        self.setTextFormat(Qt.TextFormat.PlainText)

    def show_value(self, text: str, name: str, why: str = "") -> None:
        """``why`` explains a dash, on hover."""
        if text != self.text():
            self.setText(text)
        self.setToolTip(why)
        self.setAccessibleName(f"{name}: {text}" + (f", {why}" if why else ""))


class Panel(QWidget):
    """A titled part of the dock."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.title = QLabel(self)
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(16, 12, 16, 12)
        self.column.setSpacing(4)
        self.column.addWidget(self.title)
        self.labels: list[QLabel] = [self.title]
        self.strip = False
        """Lies low above the status line: no room for curves."""
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)

    def add_headline(self, number: BigNumber, words: QLabel) -> None:
        """A large number and its words beside it; both begin at the top, however many lines the words take."""
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(number, 0, Qt.AlignmentFlag.AlignTop)
        beside = QVBoxLayout()  # a label's own margins are lost when the style is set anew
        beside.setContentsMargins(0, theme.px(7), 0, 0)  # on the number's base line
        beside.addWidget(words)
        beside.addStretch(1)
        row.addLayout(beside, 1)
        self.column.addLayout(row)

    def small(self, parent: QWidget | None = None) -> QLabel:
        """A secondary text that follows the theme."""
        label = QLabel(parent or self)
        label.setTextFormat(Qt.TextFormat.PlainText)
        self.labels.append(label)
        return label

    def restyle(self) -> None:
        """Take the theme's fonts and colours."""
        style = make_style()
        for label in self.labels:
            tint(label, style)
        font = self.title.font()
        font.setWeight(QFont.Weight.DemiBold)
        self.title.setFont(font)

    def retranslate(self) -> None:
        """Set every text in the current language."""

    def refresh(self, now: float) -> None:
        """Read and show what is true at ``now`` (time.monotonic)."""
