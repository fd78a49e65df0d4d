"""A tool call in a message, or what came back: one line that says what was called, the rest folded behind it."""

import json

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import QToolButton, QWidget

from app.ui import theme
from app.ui.chat_style import ChatStyle
from app.ui.code_block import CodeBlock

_PAD = 8
_SHORT = 80


class ToolCard(QWidget):
    """``call``: what the model asked for; otherwise what the tool answered."""

    resized = Signal()

    def __init__(self, style: ChatStyle, name: str, text: str, parent: QWidget, *, call: bool) -> None:
        super().__init__(parent)
        self._style, self._name, self._call = style, name, call
        self._text, self._language = _pretty(text)
        self._head = QToolButton(self)
        self._head.setAutoRaise(True)
        self._head.setCheckable(True)
        self._head.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._head.setIconSize(QSize(style.px(14), style.px(14)))
        self._head.setFont(style.small)
        self._head.toggled.connect(self._fold)
        self._body: CodeBlock | None = None
        self._words = ""
        self.kept_free = 0
        """Pixels at the right of its line for others' buttons."""
        self.retranslate()

    @property
    def line(self) -> int:
        """Pixels from its top to the end of its line."""
        return self._head.height() + 8

    def retranslate(self) -> None:
        """Say it in the current language."""
        words = self.tr("Called {name}") if self._call else self.tr("Result of {name}")
        title = words.format(name=self._name or self.tr("a tool"))
        one_line = " ".join(self._text.split())[:_SHORT]
        self._words = title if self._head.isChecked() else f"{title}   {one_line}"
        self._head.setAccessibleName(title)
        self._head.setIcon(theme.icon("chevron-down" if self._head.isChecked() else "chevron-right"))
        self._place_head()

    def _fold(self, open_: bool) -> None:
        if open_ and self._body is None:
            self._body = CodeBlock(self._style, self)
            self._body.set_code(self._text, self._language, closed=True)
            self._body.resized.connect(self.resized)
        if self._body is not None:
            self._body.setVisible(open_)
        self.retranslate()
        self.resized.emit()

    def _place_head(self) -> None:
        room = max(60, self.width() - 2 * _PAD - self.kept_free)
        metrics = QFontMetrics(self._style.small)
        self._head.setText(
            metrics.elidedText(self._words, Qt.TextElideMode.ElideRight, room - self._style.px(40))
        )
        wide = min(room, self._head.sizeHint().width())
        self._head.setGeometry(_PAD, 4, wide, metrics.height() + 12)

    def height_for(self, width: int) -> int:
        """Pixels needed at this width."""
        self.resize(width, self.height())
        self._place_head()
        height = self.line
        if self._body is None or not self._head.isChecked():
            return height
        inner = width - 2 * _PAD
        needed = self._body.height_for(inner)
        self._body.setGeometry(_PAD, height, inner, needed)
        return height + needed + _PAD

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(self._style.line)
        painter.setBrush(self._style.surface)
        painter.drawRoundedRect(self.rect().adjusted(0, 0, -1, -1), 8, 8)


def _pretty(text: str) -> tuple[str, str]:
    """JSON indented, with its language; anything else as it is."""
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, indent=2), "json"
    except (ValueError, RecursionError):
        return text, ""
