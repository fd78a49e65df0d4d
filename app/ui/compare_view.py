"""Two answers to one question side by side, as they come; one of them is gone on with."""

from collections.abc import Callable

from PySide6.QtCore import QEvent, QUrl, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from app.ui.entries import Entry
from app.ui.message_view import ErrorWords
from app.ui.transcript import Transcript
from app.ui.widgets import Elided, make_button


class _Column(QWidget):
    """One answer with its model's name above it, and below it the button that goes on with it."""

    kept = Signal()

    def __init__(self, parent: QWidget, words: ErrorWords) -> None:
        super().__init__(parent)
        self.model = Elided(parent=self)
        self.transcript = Transcript(self, words=words, only_copy=True)
        self.transcript.action.connect(self._act)
        self.keep = make_button(self.kept.emit, "primary", self)
        self.answer = 0
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 8, 0, 8)
        for part, stretch in ((self.model, 1), (self.keep, 0)):
            row = QHBoxLayout()
            row.setContentsMargins(24, 0, 24, 0)
            row.addWidget(part, stretch)
            if not stretch:
                row.addStretch(1)
            column.addLayout(row)
        column.insertWidget(1, self.transcript, 1)

    def start(self, question: Entry, answer: Entry, name: str) -> None:
        """Show a question with an answer, perhaps still empty."""
        self.answer = answer.key
        self.model.setText(name)
        self.transcript.set_entries([question, answer])
        self.keep.setEnabled(answer.reason is not None)

    def _act(self, key: int, name: str) -> None:
        if name == "copy":
            found = next((entry.text for entry in self.transcript.entries if entry.key == key), "")
            QGuiApplication.clipboard().setText(found)

    def apply(self, what: str, arguments: tuple[object, ...]) -> None:
        """Something has happened to the answer: a method of the transcript."""
        if what in {"replace", "finish_live"} and isinstance(arguments[1], Entry):
            self.answer = arguments[1].key
        getattr(self.transcript, what)(*arguments)
        if what == "finish_live":
            self.keep.setEnabled(True)


class CompareView(QWidget):
    """Told by ``start`` and ``apply`` what to show; tells which answer was taken."""

    kept = Signal(int)
    """The answer to go on with."""
    link_activated = Signal(QUrl)

    def __init__(self, parent: QWidget, words: ErrorWords, take: Callable[[], str] | None = None) -> None:
        """``take`` says what the buttons say when it is not going on with an answer."""
        super().__init__(parent)
        self._take = take or (lambda: self.tr("Go on with this one"))
        self.columns = [_Column(self, words), _Column(self, words)]
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        line = QFrame(self)
        line.setProperty("role", "vline")
        for column in self.columns:
            row.addWidget(column, 1)
            column.kept.connect(lambda column=column: self.kept.emit(column.answer))
            column.transcript.link_activated.connect(self.link_activated)
        row.insertWidget(1, line)
        self._retranslate()

    def start(self, question: Entry, answers: list[Entry], names: list[str]) -> None:
        """Show two answers to a question."""
        for column, answer, name in zip(self.columns, answers, names, strict=True):
            column.start(question, answer, name)

    def apply(self, column: int, what: str, arguments: tuple[object, ...]) -> None:
        """Something has happened in a column."""
        self.columns[column].apply(what, arguments)

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
        super().changeEvent(event)

    def _retranslate(self) -> None:
        self.setAccessibleName(self.tr("Two answers side by side"))
        for column in self.columns:
            column.keep.setText(self._take())
