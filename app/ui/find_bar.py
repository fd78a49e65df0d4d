"""Find in the open conversation: every message, built or not; matches are marked, the current one selected."""

import re
import unicodedata

from PySide6.QtCore import QEvent, QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QKeyEvent, QPainter, QPaintEvent, QTextCursor, QTextDocument
from PySide6.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QTextEdit, QToolButton, QWidget

from app.ui import theme
from app.ui.chat_style import make_style
from app.ui.message_parts import tint
from app.ui.message_view import MessageView
from app.ui.selection import TextWidget
from app.ui.transcript import Transcript

_COMBINING = re.compile("[\u0300-\u036f]")
_MARKS = str.maketrans("", "", "*_`~")


def plain(text: str) -> str:
    """Lower case, without diacritics and markdown's marks: "Tiếng *Việt*" is found by "tieng viet"."""
    folded = text.translate(_MARKS).casefold()
    if folded.isascii():
        return folded
    return _COMBINING.sub("", unicodedata.normalize("NFD", folded.replace("đ", "d")))


def matches(document: QTextDocument, wanted: str) -> list[tuple[int, int]]:
    """(start, end) of every match in a document, compared as ``plain`` does, in characters of the document."""
    found = []
    block = document.begin()
    while block.isValid():
        text, starts = _folded(block.text(), wanted)
        at = text.find(wanted)
        while at >= 0:
            end = at + len(wanted)
            found.append((block.position() + starts[at], block.position() + starts[end]))
            at = text.find(wanted, end)
        block = block.next()
    return found


def _folded(text: str, wanted: str) -> tuple[str, list[int]]:
    """The text folded letter by letter, and for each of its characters where it began (UTF-16 units); nothing for
    ASCII without the wanted, which is soon known."""
    if text.isascii() and wanted not in plain(text):
        return "", []
    letters, starts, at = [], [], 0
    for letter in text:
        for part in plain(letter) or ("" if unicodedata.combining(letter) else letter):
            letters.append(part)
            starts.append(at)
        at += 2 if ord(letter) > 0xFFFF else 1
    return "".join(letters), [*starts, at]


class FindBar(QWidget):
    """At the upper right of the transcript. Return and Shift+Return step, Esc closes."""

    closed = Signal()

    def __init__(self, transcript: Transcript) -> None:
        super().__init__(transcript)
        self._transcript = transcript
        self._rows: list[int] = []
        self._row, self._match = -1, -1
        self._marked: list[TextWidget] = []
        self.line = QLineEdit(self)
        self.line.setClearButtonEnabled(True)
        self._count = QLabel(self)
        self._buttons = {name: QToolButton(self) for name in ("chevron-up", "chevron-down", "close")}
        self._wait = QTimer(self, interval=120, singleShot=True)
        self._wait.timeout.connect(self._search)
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 6, 8, 6)
        row.setSpacing(4)
        for widget in (self.line, self._count, *self._buttons.values()):
            row.addWidget(widget)
        self.line.setMinimumWidth(200)
        self.line.textChanged.connect(self._typed)
        self._buttons["chevron-up"].clicked.connect(lambda: self.step(-1))
        self._buttons["chevron-down"].clicked.connect(lambda: self.step(1))
        self._buttons["close"].clicked.connect(self.finish)
        transcript.installEventFilter(self)
        theme.notifier().changed.connect(self._restyle)
        self._restyle()
        self._retranslate()
        self.hide()

    def begin(self) -> None:
        """Show the bar and put the caret into it."""
        self.show()
        self._settle()
        self.raise_()
        self.line.setFocus()
        self.line.selectAll()

    def finish(self) -> None:
        """Take the marks away and hide."""
        self._unmark()
        self._wait.stop()
        self.hide()
        self.closed.emit()

    def _typed(self, _text: str) -> None:
        self._wait.start()

    def _search(self) -> None:
        wanted = plain(self.line.text())
        entries = self._transcript.entries
        self._rows = [i for i, entry in enumerate(entries) if wanted and wanted in plain(entry.text)]
        self._row = self._match = -1
        self._unmark()
        if self._rows:
            self.step(-1)  # the newest first: that is where the reader is
        self._tell()

    def step(self, step: int) -> None:
        """To the next (1) or previous (-1) match; round at the ends."""
        if self._wait.isActive():
            self._wait.stop()
            self._search()
            return
        for _ in range(len(self._rows) + 1):
            places = self._places()
            target = self._match + step
            if self._row >= 0 and 0 <= target < len(places):
                self._show(places, target)
                return
            self._go_to_row(step)

    def _go_to_row(self, step: int) -> None:
        if not self._rows:
            return
        self._row = (
            (self._row + step) % len(self._rows)
            if self._row >= 0
            else (0 if step > 0 else len(self._rows) - 1)
        )
        self._transcript.jump_to(self._transcript.entries[self._rows[self._row]].key)
        if (view := self._view()) is not None:
            view.pieces.build_all()
        self._match = -1 if step > 0 else len(self._places())

    def _view(self) -> MessageView | None:
        return self._transcript.row_view(self._rows[self._row]) if 0 <= self._row < len(self._rows) else None

    def _places(self) -> list[tuple[TextWidget, int, int]]:
        view, wanted = self._view(), plain(self.line.text())
        widgets = view.text_widgets() if view is not None else []
        return [
            (widget, start, end) for widget in widgets for start, end in matches(widget.document(), wanted)
        ]

    def _show(self, places: list[tuple[TextWidget, int, int]], target: int) -> None:
        self._match = target
        self._unmark()
        marks: dict[TextWidget, list[QTextEdit.ExtraSelection]] = {}
        for widget, start, end in places:
            marks.setdefault(widget, []).append(_mark(widget, start, end))
        for widget, found in marks.items():
            widget.setExtraSelections(found)
            self._marked.append(widget)
        widget, start, end = places[target]
        cursor = widget.textCursor()
        cursor.setPosition(start)
        cursor.setPosition(end, QTextCursor.MoveMode.KeepAnchor)
        widget.setTextCursor(cursor)
        y = widget.viewport().mapTo(self._transcript.viewport(), widget.cursorRect().topLeft()).y()
        height = self._transcript.viewport().height()
        if not 60 <= y <= height - 60:
            bar = self._transcript.verticalScrollBar()
            bar.setValue(bar.value() + y - height // 3)
        self._tell()

    def _unmark(self) -> None:
        for widget in self._marked:
            try:
                widget.setExtraSelections([])
            except RuntimeError:  # scrolled far away and freed
                continue
        self._marked = []

    def _tell(self) -> None:
        if not self.line.text():
            self._count.setText("")
        elif not self._rows:
            self._count.setText(self.tr("Nothing found"))
        else:
            words = self.tr("message {number} of {count}")
            self._count.setText(words.format(number=self._row + 1, count=len(self._rows)))
        self._settle()

    def _settle(self) -> None:
        self.adjustSize()
        self.move(QPoint(self._transcript.width() - self.width() - 24, 8))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.finish()
        elif event.key() in {Qt.Key.Key_Return, Qt.Key.Key_Enter}:
            self.step(-1 if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1)
        else:
            super().keyPressEvent(event)

    def eventFilter(self, _watched: object, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize and self.isVisible():
            self._settle()
        return False

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
        super().changeEvent(event)

    def _retranslate(self) -> None:
        self.line.setPlaceholderText(self.tr("Find in this chat"))
        self.line.setAccessibleName(self.tr("Find in this chat"))
        for name, words in (
            ("chevron-up", self.tr("Previous match (Shift+Enter)")),
            ("chevron-down", self.tr("Next match (Enter)")),
            ("close", self.tr("Close (Esc)")),
        ):
            self._buttons[name].setToolTip(words)
            self._buttons[name].setAccessibleName(words)

    def _restyle(self) -> None:
        tint(self._count, make_style())
        for name, button in self._buttons.items():
            button.setIcon(theme.icon(name))
        if self.isVisible() and (view := self._view()) is not None:
            view.pieces.build_all()  # the transcript made it anew in the other colours
            if places := self._places():
                self._show(places, min(self._match, len(places) - 1))

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(theme.color("line"))
        painter.setBrush(theme.color("surface"))
        painter.drawRoundedRect(self.rect().adjusted(0, 0, -1, -1), 10, 10)


def _mark(widget: TextWidget, start: int, end: int) -> QTextEdit.ExtraSelection:
    mark = QTextEdit.ExtraSelection()
    cursor = QTextCursor(widget.document())
    cursor.setPosition(start)
    cursor.setPosition(end, QTextCursor.MoveMode.KeepAnchor)
    tone = QColor(theme.color("warn"))
    tone.setAlphaF(0.3)
    mark.cursor = cursor
    mark.format.setBackground(tone)
    return mark
