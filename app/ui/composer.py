"""Where a question is written: grows with its text, safe for input methods, with history and drafts."""

from pathlib import Path

from PySide6.QtCore import QElapsedTimer, QEvent, QMimeData, QObject, QSize, Qt, Signal
from PySide6.QtGui import (
    QFontMetrics,
    QIcon,
    QImage,
    QInputMethodEvent,
    QKeyEvent,
    QKeySequence,
    QPainter,
    QPaintEvent,
    QPalette,
    QPen,
    QTextCursor,
)
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.chat.attachments import is_long_paste
from app.chat.store_types import Draft
from app.ui import theme
from app.ui.attachment_bar import AttachmentBar
from app.ui.chat_style import COLUMN, make_style
from app.ui.drop_zone import attachable

MAX_LINES = 12
_COMMIT_MS = 50
"""An Enter this soon after an input method committed its text is the one that committed it."""
_BUTTON = """
QToolButton {{ background: {accent}; border: 2px solid {accent}; border-radius: {radius}px; }}
QToolButton:disabled {{ background: {raised}; border: 1px solid {line}; }}
QToolButton:focus {{ border-color: {text}; }}
"""
_ENTER = frozenset({Qt.Key.Key_Return, Qt.Key.Key_Enter})


class ComposerEdit(QPlainTextEdit):
    """The text field: knows when Enter sends and when it belongs to an input method."""

    send = Signal()
    escaped = Signal()
    undo_asked = Signal()
    """Ctrl+Z, and there is nothing of its own to undo."""
    dropped = Signal(list)
    pasted = Signal(str)
    """A text too long for the field: better an attachment."""
    image_pasted = Signal(object)
    """A QImage, or the bytes of its file."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.enter_sends = True
        self._composing = False
        self._committed = QElapsedTimer()
        self._history: list[str] = []
        self._at = 0
        self._own = ""
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setTabChangesFocus(True)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.viewport().setAutoFillBackground(False)

    # ---------------------------------------------------------------- input methods and Enter

    def inputMethodEvent(self, event: QInputMethodEvent) -> None:
        if self._composing and event.commitString():
            self._committed.start()
        self._composing = bool(event.preeditString())
        super().inputMethodEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in _ENTER:
            self._enter(event)
        elif event.key() == Qt.Key.Key_Escape and not self._composing:
            self.escaped.emit()
        elif event.matches(QKeySequence.StandardKey.Undo) and not self.document().isUndoAvailable():
            self.undo_asked.emit()
        elif not self._recall_by(event.key()):
            super().keyPressEvent(event)

    def _enter(self, event: QKeyEvent) -> None:
        if self._composing or self._just_committed():
            event.accept()
            return
        control = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        if control or shift != self.enter_sends:
            self.send.emit()
        else:
            self.insertPlainText("\n")
            self.ensureCursorVisible()

    def _just_committed(self) -> bool:
        return self._committed.isValid() and self._committed.elapsed() < _COMMIT_MS

    # ---------------------------------------------------------------- history

    def set_history(self, texts: list[str]) -> None:
        """What was asked before, oldest first."""
        self._history, self._at = texts, len(texts)

    def _recall_by(self, key: int) -> bool:
        if key == Qt.Key.Key_Up and self._may_recall():
            return self._recall(-1)
        return key == Qt.Key.Key_Down and self._recalling() and self._recall(1)

    def _recalling(self) -> bool:
        return self._at < len(self._history) and self.toPlainText() == self._history[self._at]

    def _may_recall(self) -> bool:
        return bool(self._history) and (not self.toPlainText() or self._recalling())

    def _recall(self, step: int) -> bool:
        target = self._at + step
        if not 0 <= target <= len(self._history):
            return False
        self._at = target
        self.setPlainText(self._history[target] if target < len(self._history) else "")
        self.moveCursor(QTextCursor.MoveOperation.End)
        return True

    # ---------------------------------------------------------------- dropped files

    def canInsertFromMimeData(self, source: QMimeData) -> bool:
        if source.hasUrls():
            return not any(url.isLocalFile() for url in source.urls()) or bool(attachable(source))
        return source.hasImage() or super().canInsertFromMimeData(source)

    def insertFromMimeData(self, source: QMimeData) -> None:
        paths = [Path(url.toLocalFile()) for url in source.urls() if url.isLocalFile()]
        # A spreadsheet's cells come as a picture, too: who copied words means them.
        image = None if paths or source.text().strip() else _picture(source)
        if paths:
            self.dropped.emit(paths)
        elif image is not None:
            self.image_pasted.emit(image)
        elif source.hasText() and is_long_paste(source.text()):
            self.pasted.emit(source.text())
        else:
            super().insertFromMimeData(source)


def _picture(source: QMimeData) -> QImage | bytes | None:
    """A pasted picture: the file where one is offered, since Qt would decode it here, while the window stands still,
    and forget which way is up."""
    for kind in ("png", "jpeg", "webp", "gif"):
        if raw := source.data(f"image/{kind}").data():
            return bytes(raw)
    image = source.imageData() if source.hasImage() else None
    return image if isinstance(image, QImage) and not image.isNull() else None


class Composer(QWidget):
    """The field with its button. ``submitted`` carries trimmed text; the owner clears it once it is taken."""

    submitted = Signal(str)
    attach_requested = Signal()
    long_paste = Signal(str)
    image_pasted = Signal(object)
    """A QImage, or the bytes of its file."""
    stop_requested = Signal()
    text_changed = Signal()
    files_dropped = Signal(list)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._busy = False
        self.edit = ComposerEdit(self)
        self._button = QToolButton(self)
        self._button.setObjectName("send")
        self._button.setFixedSize(32, 32)
        self._button.setIconSize(QSize(18, 18))
        self._attach = QToolButton(self)
        self._attach.setFixedSize(32, 32)
        self.attachments = AttachmentBar(self)
        self._hint = QLabel(self)
        self._hint.setTextFormat(Qt.TextFormat.PlainText)
        self._note = QLabel(self)
        self._note.setTextFormat(Qt.TextFormat.PlainText)
        self._note.setWordWrap(True)
        self._arrange()
        self._connect()
        self.restyle()
        self._retranslate()

    def _arrange(self) -> None:
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self._attach, 0, Qt.AlignmentFlag.AlignBottom)
        row.addWidget(self.edit, 1, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self._hint, 0, Qt.AlignmentFlag.AlignBottom)
        row.addWidget(self._button, 0, Qt.AlignmentFlag.AlignBottom)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(4)
        column.addWidget(self.attachments)
        column.addLayout(row)
        QWidget.setTabOrder(self.edit, self._button)
        QWidget.setTabOrder(self._button, self._attach)
        column.addWidget(self._note)
        self._note.hide()
        self._hint.setMinimumHeight(32)
        self._hint.hide()
        self.setMaximumWidth(COLUMN)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def _connect(self) -> None:
        self.edit.send.connect(self._submit)
        self.edit.escaped.connect(self.stop)
        self.edit.dropped.connect(self.files_dropped)
        self.edit.pasted.connect(self.long_paste)
        self.edit.image_pasted.connect(self.image_pasted)
        self._attach.clicked.connect(self.attach_requested)
        self.attachments.changed.connect(self._text_changed)
        self.edit.textChanged.connect(self._text_changed)
        self.edit.installEventFilter(self)
        self._button.clicked.connect(self._pressed)
        theme.notifier().changed.connect(self.restyle)

    # ---------------------------------------------------------------- what its owner uses

    def text(self) -> str:
        """What is written, as it is."""
        return self.edit.toPlainText()

    def set_text(self, text: str) -> None:
        """Replace what is written (a draft)."""
        if text != self.text():
            self.edit.setPlainText(text)
            self.edit.moveCursor(QTextCursor.MoveOperation.End)

    def set_draft(self, draft: Draft) -> None:
        """Replace what is written and attached."""
        self.attachments.put(draft.files)
        if draft.text != self.text():
            self.set_text(draft.text)
        else:
            self._text_changed()

    def set_busy(self, busy: bool) -> None:
        """While an answer is written the button stops it."""
        self._busy = busy
        self._retranslate()
        self.restyle()

    def set_enter_sends(self, enter_sends: bool) -> None:
        """False: Shift+Enter (and Ctrl+Enter) send and Enter starts a line."""
        self.edit.enter_sends = enter_sends
        self._retranslate()

    def set_hint(self, text: str, *, why: str = "") -> None:
        """A line beside the button: tokens, what happens on sending."""
        self._hint.setText(text)
        self._hint.setVisible(bool(text))
        self._hint.setToolTip(why)

    def set_note(self, text: str) -> None:
        """A sentence below the field on what will happen; empty: nothing to say."""
        self._note.setText(text)
        self._note.setVisible(bool(text))

    # ---------------------------------------------------------------- behaviour

    def _pressed(self) -> None:
        self.stop() if self._busy else self._submit()

    def _submit(self) -> None:
        text = self.text().strip()
        if (text or self.attachments.items) and not self._busy:
            self.submitted.emit(text)

    def stop(self) -> None:
        """Stop the answer that is written, if one is."""
        if self._busy:
            self.stop_requested.emit()

    def _text_changed(self) -> None:
        self._fit()
        self._button.setEnabled(self._busy or bool(self.text().strip() or self.attachments.items))
        self.text_changed.emit()

    def _fit(self) -> None:
        lines = min(MAX_LINES, max(1, int(self.edit.document().size().height())))
        spacing = QFontMetrics(self.edit.font()).lineSpacing()
        margin = 2 * int(self.edit.document().documentMargin())
        policy = Qt.ScrollBarPolicy
        self.edit.setVerticalScrollBarPolicy(
            policy.ScrollBarAsNeeded if lines == MAX_LINES else policy.ScrollBarAlwaysOff
        )
        if self.edit.height() != lines * spacing + margin:
            self.edit.setFixedHeight(lines * spacing + margin)

    def restyle(self) -> None:
        """Take the theme's fonts, colours and icons."""
        style = make_style()
        self.edit.setFont(style.body)
        for label in (self._hint, self._note):
            palette = label.palette()
            palette.setColor(QPalette.ColorRole.WindowText, style.text_2)
            label.setPalette(palette)
            label.setFont(style.small)
        self._button.setIcon(self._icon())
        colours = {token: theme.color(token).name() for token in ("accent", "text", "line", "raised")}
        self._button.setStyleSheet(_BUTTON.format(**colours, radius=theme.px(16)))
        self._attach.setIcon(theme.icon("attach"))
        self._text_changed()
        self.update()

    def _icon(self) -> QIcon:
        name, size = "stop" if self._busy else "send", self._button.iconSize()
        made = QIcon(theme.icon(name, "on-accent"))
        # Qt's own grey on the waiting button's grey could hardly be seen.
        # Large enough for any zoom: the button is often dressed before it is grown.
        made.addPixmap(theme.icon(name, "text-2").pixmap(size * 2), QIcon.Mode.Disabled)
        return made

    def _retranslate(self) -> None:
        keys = self.tr("Enter sends, Shift+Enter starts a line")
        if not self.edit.enter_sends:
            keys = self.tr("Shift+Enter sends, Enter starts a line")
        self.edit.setPlaceholderText(self.tr("Ask something"))
        self.edit.setAccessibleName(self.tr("Your message"))
        self.edit.setAccessibleDescription(keys)
        name = self.tr("Stop the answer (Esc)") if self._busy else self.tr("Send ({keys})").format(keys=keys)
        self._button.setToolTip(name)
        self._attach.setToolTip(self.tr("Attach text, code or images"))
        self._attach.setAccessibleName(self.tr("Attach files"))
        self._button.setAccessibleName(self.tr("Stop the answer") if self._busy else self.tr("Send"))

    # ---------------------------------------------------------------- Qt

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self.edit and event.type() in {QEvent.Type.FocusIn, QEvent.Type.FocusOut}:
            self.update()
        if watched is self.edit and event.type() == QEvent.Type.Resize:
            self._fit()
        return False

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
        super().changeEvent(event)

    def paintEvent(self, _event: QPaintEvent) -> None:
        focused = self.edit.hasFocus()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(theme.color("accent" if focused else "line"), 2 if focused else 1))
        painter.setBrush(theme.color("surface"))
        painter.drawRoundedRect(self.rect().adjusted(1, 1, -2, -2), 10, 10)

    def mousePressEvent(self, _event: object) -> None:
        self.edit.setFocus()
