"""A block of code in a message: language, wrap, save, copy; coloured off the GUI thread once it is closed."""

from PySide6.QtCore import QEvent, QObject, QRunnable, QSize, Qt, QThreadPool, Signal
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontMetricsF,
    QGuiApplication,
    QPainter,
    QPaintEvent,
    QPalette,
    QTextCharFormat,
    QTextCursor,
    QTextLayout,
    QWheelEvent,
)
from PySide6.QtWidgets import QFrame, QLabel, QPlainTextEdit, QToolButton, QWidget

from app.ui import highlight, save_file, theme
from app.ui.chat_style import ChatStyle

_HEADER = 32
_PAD = 12
_TOKENS: dict[highlight.SpanKind, str] = {
    "keyword": "plot-4",
    "name": "plot-2",
    "builtin": "accent",
    "string": "good",
    "number": "plot-2",
    "comment": "text-2",
    "inserted": "good",
    "deleted": "bad",
}
_EXTENSIONS = {
    "python": "py",
    "py": "py",
    "bash": "sh",
    "sh": "sh",
    "javascript": "js",
    "typescript": "ts",
    "rust": "rs",
}


class _Done(QObject):
    spans = Signal(object)


class _Colouring(QRunnable):
    """Finds the spans of one block on a pool thread."""

    def __init__(self, code: str, language: str, done: _Done) -> None:
        super().__init__()
        self._code, self._language, self._done = code, language, done

    def run(self) -> None:
        found = highlight.spans(self._code, self._language)
        try:
            self._done.spans.emit(found)
        except RuntimeError:  # the block was closed while we worked
            return


class _CodeText(QPlainTextEdit):
    def wheelEvent(self, event: QWheelEvent) -> None:
        sideways = abs(event.angleDelta().x()) > abs(event.angleDelta().y())
        if sideways or event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            super().wheelEvent(event)
        else:
            event.ignore()


class CodeBlock(QWidget):
    """Grows with its text; ``height_for`` tells its owner what it needs."""

    resized = Signal()
    """The height it needs has changed by itself (wrap was switched)."""

    def __init__(self, style: ChatStyle, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._style = style
        self._code = self._language = ""
        self._done: _Done | None = None
        self._spans: list[highlight.Span] = []
        self._label = QLabel(self)
        self._label.setTextFormat(Qt.TextFormat.PlainText)
        self.text = _CodeText(self)
        self._prepare_text()
        self._copy = self._button("copy", self.copy)
        self._save = self._button("save", self.save)
        self._wrap = self._button("wrap", self._toggle_wrap)
        self._wrap.setCheckable(True)
        self.set_style(style)
        self.retranslate()

    def _prepare_text(self) -> None:
        self.text.setReadOnly(True)
        self.text.setUndoRedoEnabled(False)
        self.text.setFrameShape(QFrame.Shape.NoFrame)
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.text.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.text.setTabChangesFocus(True)
        self.text.setContextMenuPolicy(Qt.ContextMenuPolicy.NoContextMenu)
        flags = Qt.TextInteractionFlag
        self.text.setTextInteractionFlags(flags.TextSelectableByMouse | flags.TextSelectableByKeyboard)
        self.text.viewport().setAutoFillBackground(False)
        self.text.document().setDocumentMargin(0)
        self.text.setCenterOnScroll(False)

    def _button(self, icon: str, slot: object) -> QToolButton:
        button = QToolButton(self)
        button.setIcon(theme.icon(icon))
        button.setAutoRaise(True)
        button.clicked.connect(slot)
        return button

    def retranslate(self) -> None:
        """Set every text again in the current language."""
        names = (
            (self._copy, self.tr("Copy the code")),
            (self._save, self.tr("Save the code to a file")),
            (self._wrap, self.tr("Wrap long lines")),
        )
        for button, name in names:
            button.setToolTip(name)
            button.setAccessibleName(name)
        self._show_language()

    def _show_language(self) -> None:
        self._label.setText(self._language or self.tr("text"))
        self.text.setAccessibleName(
            self.tr("Code, {language}").format(language=self._language or self.tr("text"))
        )

    def set_style(self, style: ChatStyle) -> None:
        """Take new fonts and colours."""
        self._style = style
        self.text.setFont(style.mono)
        self.text.setTabStopDistance(4 * QFontMetricsF(style.mono).horizontalAdvance(" "))
        self._label.setFont(style.small)
        palette = self._label.palette()
        palette.setColor(QPalette.ColorRole.WindowText, style.text_2)
        self._label.setPalette(palette)
        for button, icon in ((self._copy, "copy"), (self._save, "save"), (self._wrap, "wrap")):
            button.setIconSize(QSize(style.px(16), style.px(16)))
            button.setIcon(theme.icon(icon))
        self._apply_spans()
        self.update()

    @property
    def code(self) -> str:
        """The code as it stands."""
        return self._code

    def set_code(self, code: str, language: str, *, closed: bool) -> None:
        """Show this code; text that only grew is appended. A closed block is then coloured."""
        if language != self._language:
            self._language = language
            self._show_language()
        if code != self._code:
            self._replace(code)
        if closed and self._done is None:
            self._colour()

    def _replace(self, code: str) -> None:
        if self._code and code.startswith(self._code):
            cursor = QTextCursor(self.text.document())
            cursor.movePosition(QTextCursor.MoveOperation.End)
            cursor.insertText(code[len(self._code) :])
        else:
            self.text.setPlainText(code)
        self._code = code

    def _colour(self) -> None:
        if not self._language:
            return
        self._done = _Done(self)
        self._done.spans.connect(self._take_spans)
        QThreadPool.globalInstance().start(_Colouring(self._code, self._language, self._done))

    def _take_spans(self, spans: list[highlight.Span]) -> None:
        self._spans = spans
        self._apply_spans()

    def _apply_spans(self) -> None:
        if not self._spans:
            return
        document, formats = self.text.document(), {kind: _format(kind) for kind in _TOKENS}
        by_line: dict[int, list[QTextLayout.FormatRange]] = {}
        for span in self._spans:
            part = QTextLayout.FormatRange()
            part.start, part.length, part.format = span.start, span.length, formats[span.kind]
            by_line.setdefault(span.line, []).append(part)
        for line, ranges in by_line.items():
            block = document.findBlockByNumber(line)
            block.layout().setFormats(ranges)
            document.markContentsDirty(block.position(), block.length())

    def height_for(self, width: int) -> int:
        """Pixels needed at this width."""
        metrics = QFontMetricsF(self._style.mono)
        inner = width - 2 * _PAD
        bar = 0
        if self._wrap.isChecked():
            self.text.resize(inner, 10)
            lines = int(self.text.document().size().height())
        else:
            lines = self.text.document().blockCount()
            if self.text.document().size().width() > inner:
                bar = self.text.horizontalScrollBar().sizeHint().height()
        return int(self._style.px(_HEADER) + lines * metrics.lineSpacing() + bar + _PAD + 2)

    def resizeEvent(self, _event: object) -> None:
        right, head = self.width() - 8, self._style.px(_HEADER)
        side, gap = self._style.px(24), self._style.px(4)
        for button in (self._copy, self._save, self._wrap):
            button.setGeometry(right - side, gap, side, side)
            right -= side + gap
        self._label.setGeometry(_PAD, 0, max(0, right - _PAD), head)
        self.text.setGeometry(_PAD, head, self.width() - 2 * _PAD, self.height() - head - 2)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(self._style.line)
        painter.setBrush(self._style.surface)
        painter.drawRoundedRect(self.rect().adjusted(0, 0, -1, -1), 6, 6)
        line = self._style.px(_HEADER) - 3
        painter.drawLine(1, line, self.width() - 2, line)

    def copy(self) -> None:
        """Put the code on the clipboard."""
        QGuiApplication.clipboard().setText(self._code)
        self._copy.setIcon(theme.icon("check"))

    def leaveEvent(self, event: QEvent) -> None:
        self._copy.setIcon(theme.icon("copy"))
        super().leaveEvent(event)

    def save(self) -> None:
        """Ask for a file and write the code to it."""
        told = "".join(letter for letter in self._language.lower() if letter.isalnum())
        name = f"code.{_EXTENSIONS.get(self._language.lower(), told or 'txt')}"
        save_file.ask(self, self.tr("Save the code"), name, f"{self._code}\n".encode())

    def _toggle_wrap(self) -> None:
        modes = QPlainTextEdit.LineWrapMode
        self.text.setLineWrapMode(modes.WidgetWidth if self._wrap.isChecked() else modes.NoWrap)
        self.resized.emit()


def _format(kind: highlight.SpanKind) -> QTextCharFormat:
    form = QTextCharFormat()
    form.setForeground(QColor(theme.color(_TOKENS[kind])))
    if kind == "comment":
        form.setFontItalic(True)
    if kind == "name":
        form.setFontWeight(QFont.Weight.Medium)
    return form
