"""Parts of a message: the folded reasoning, the error card, the editor of an own message."""

from PySide6.QtCore import QLocale, QSize, Qt, Signal
from PySide6.QtGui import QFontMetrics, QGuiApplication, QKeyEvent, QPainter, QPaintEvent, QPalette
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.core.events import ErrorInfo
from app.ui import theme
from app.ui.chat_style import ChatStyle
from app.ui.prose import ProseView


def tint(label: QWidget, style: ChatStyle, *, secondary: bool = True) -> None:
    """Small secondary text."""
    label.setFont(style.small)
    palette = label.palette()
    palette.setColor(QPalette.ColorRole.WindowText, style.text_2 if secondary else style.text)
    label.setPalette(palette)


class ReasoningFold(QWidget):
    """What the model thought before it answered, folded behind one line that says how long it took."""

    resized = Signal()

    def __init__(self, style: ChatStyle, parent: QWidget) -> None:
        super().__init__(parent)
        self._style, self._text = style, ""
        self._seconds: float | None = None
        self._thinking = False
        self._head = QToolButton(self)
        self._head.setAutoRaise(True)
        self._head.setCheckable(True)
        self._head.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._head.toggled.connect(self._toggle)
        self._body: ProseView | None = None
        self.set_style(style)

    def set_style(self, style: ChatStyle) -> None:
        self._style = style
        self._head.setFont(style.small)
        self._head.setIconSize(QSize(style.px(12), style.px(12)))
        if self._body is not None:
            self._dress_body()
        self._retitle()

    def show_reasoning(self, text: str, seconds: float | None, *, thinking: bool) -> None:
        """``seconds`` None: not measured. ``thinking``: it still goes on."""
        self._text, self._seconds, self._thinking = text, seconds, thinking
        if self._body is not None and self._head.isChecked():
            self._body.set_markdown(text)
        self._retitle()

    def retranslate(self) -> None:
        self._retitle()

    def _retitle(self) -> None:
        locale = QLocale()
        if self._thinking and self._seconds is not None:
            title = self.tr("Thinking for {seconds} s").format(seconds=locale.toString(int(self._seconds)))
        elif self._thinking:
            title = self.tr("Thinking")
        elif self._seconds is not None:
            title = self.tr("Thought for {seconds} s").format(seconds=locale.toString(self._seconds, "f", 1))
        else:
            title = self.tr("Thoughts")
        self._head.setText(title)
        self._head.setIcon(theme.icon("chevron-down" if self._head.isChecked() else "chevron-right"))
        self._head.setGeometry(-5, 0, self._head.sizeHint().width(), self._head.sizeHint().height())

    def _toggle(self, unfolded: bool) -> None:
        if unfolded and self._body is None:
            self._body = ProseView(self._style, self)
            self._body.setAccessibleName(self.tr("Thoughts"))
            self._dress_body()
        if self._body is not None:
            self._body.setVisible(unfolded)
        self._retitle()
        self.resized.emit()

    def _dress_body(self) -> None:
        assert self._body is not None
        self._body.set_style(self._style)
        palette = self._body.palette()
        palette.setColor(QPalette.ColorRole.Text, self._style.text_2)
        self._body.setPalette(palette)
        self._body.set_markdown(self._text)

    def height_for(self, width: int) -> int:
        head = self._head.sizeHint().height()
        if self._body is None or not self._head.isChecked():
            return head
        needed = self._body.height_for(width - 16)
        self._body.setGeometry(16, head + 8, width - 16, needed)
        return head + 8 + needed

    def paintEvent(self, _event: QPaintEvent) -> None:
        if self._body is not None and self._head.isChecked():
            painter = QPainter(self)
            painter.fillRect(4, self._body.y(), 2, self._body.height(), self._style.line)


class ErrorCard(QWidget):
    """An error where it happened: words, cause, the button that does the next step, details to fold out."""

    resized = Signal()
    action = Signal(str)

    def __init__(self, style: ChatStyle, parent: QWidget) -> None:
        super().__init__(parent)
        self._style = style
        self._icon = QLabel(self)
        self._words = QLabel(self)
        self._words.setWordWrap(True)
        self._words.setTextFormat(Qt.TextFormat.PlainText)
        self._words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._button = QPushButton(self)
        self._more = QToolButton(self)
        self._more.setCheckable(True)
        self._more.setAutoRaise(True)
        self._copy = QToolButton(self)
        self._copy.setAutoRaise(True)
        self._details = QPlainTextEdit(self)
        self._details.setReadOnly(True)
        self._details.setVisible(False)
        self._arrange()
        self._action = ""
        self._button.clicked.connect(lambda: self.action.emit(self._action))
        self._more.toggled.connect(self._fold)
        self._copy.clicked.connect(self._copy_all)
        self.set_style(style)

    def _arrange(self) -> None:
        buttons = QHBoxLayout()
        for widget in (self._button, self._more, self._copy):
            buttons.addWidget(widget)
        buttons.addStretch(1)
        column = QVBoxLayout()
        column.setSpacing(8)
        column.addWidget(self._words)
        column.addLayout(buttons)
        column.addWidget(self._details)
        whole = QHBoxLayout(self)
        whole.setContentsMargins(12, 12, 12, 12)
        whole.setSpacing(8)
        whole.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignTop)
        whole.addLayout(column, 1)

    def set_style(self, style: ChatStyle) -> None:
        self._style = style
        self._icon.setPixmap(theme.icon("error", "bad").pixmap(style.px(18), style.px(18)))
        self._details.setFont(style.mono)
        self.update()

    def show_error(self, error: ErrorInfo, words: str, button: str, action: str) -> None:
        """``words`` are translated already; ``button`` empty: there is no next step."""
        self._words.setText(words)
        self._words.setAccessibleName(words)
        self._button.setText(button)
        self._button.setVisible(bool(button))
        self._action = action
        raw = str(error.params.get("detail", ""))  # the words may say it in another language
        details = "\n\n".join(part for part in ("" if raw in words else raw, error.details) if part)
        self._more.setText(self.tr("Details"))
        self._copy.setText(self.tr("Copy details") if details else self.tr("Copy"))
        self._more.setVisible(bool(details))
        self._details.setPlainText(details)
        self._details.setAccessibleName(self.tr("Details"))

    def _copy_all(self) -> None:
        text = f"{self._words.text()}\n\n{self._details.toPlainText()}".strip()
        QGuiApplication.clipboard().setText(text)

    def _fold(self, unfolded: bool) -> None:
        self._details.setVisible(unfolded)
        lines = min(12, self._details.blockCount()) + 1
        self._details.setFixedHeight(lines * QFontMetrics(self._style.mono).lineSpacing() + 12)
        self.resized.emit()

    def height_for(self, width: int) -> int:
        return self.heightForWidth(width) if self.hasHeightForWidth() else self.sizeHint().height()

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(theme.color("bad"))
        painter.setBrush(self._style.surface)
        painter.drawRoundedRect(self.rect().adjusted(0, 0, -1, -1), 10, 10)


class Editor(QWidget):
    """Edits a message in place. Esc gives up, Ctrl+Enter accepts."""

    accepted = Signal(str)
    cancelled = Signal()
    resized = Signal()

    def __init__(self, style: ChatStyle, text: str, ask_again: bool, parent: QWidget) -> None:
        super().__init__(parent)
        self._style = style
        self.text = QPlainTextEdit(text, self)
        self.text.setFont(style.body)
        self.text.setProperty("role", "field")
        self.text.setTabChangesFocus(True)
        self.text.setAccessibleName(self.tr("Edit the message"))
        accept = QPushButton(self.tr("Send again") if ask_again else self.tr("Keep the change"), self)
        accept.setProperty("role", "primary")
        accept.setToolTip(self.tr("Ctrl+Enter"))
        cancel = QPushButton(self.tr("Cancel"), self)
        cancel.setToolTip(self.tr("Esc"))
        accept.clicked.connect(self._accept)
        cancel.clicked.connect(self.cancelled)
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(cancel)
        buttons.addWidget(accept)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(self.text)
        column.addLayout(buttons)
        self.text.textChanged.connect(self.resized)

    def _accept(self) -> None:
        self.accepted.emit(self.text.toPlainText().strip())

    def height_for(self, width: int) -> int:
        self.text.document().setTextWidth(width - 24)
        lines = min(16, max(2, int(self.text.document().size().height())))
        self.text.setFixedHeight(lines * QFontMetrics(self._style.body).lineSpacing() + 20)
        return self.sizeHint().height()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        enter = event.key() in {Qt.Key.Key_Return, Qt.Key.Key_Enter}
        if event.key() == Qt.Key.Key_Escape:
            self.cancelled.emit()
        elif enter and event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self._accept()
        else:
            super().keyPressEvent(event)
