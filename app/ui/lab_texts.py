"""Texts for the lab: those that come with the program, a file, or the user's own chats when the user says so."""

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from PySide6.QtCore import QCoreApplication, QEvent, Signal
from PySide6.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QWidget

from app.optimize import texts
from app.ui.widgets import make_label

if TYPE_CHECKING:
    from app.compose import Services

CHATS, MIXED = "chats", "mixed"
FILE = "file"
translate = QCoreApplication.translate


class LabText(Struct, frozen=True):
    """A text by key: of the program, ``mixed`` of all of those, ``chats``, or ``file`` with its path."""

    key: str
    name: str
    path: str = ""


def bundled(*, tests: bool = False) -> tuple[LabText, ...]:
    """The texts that come with the program: to compute matrices from, or others of the same kinds to measure on."""
    names = {
        "en": translate("Lab", "English"),
        "vi": translate("Lab", "Vietnamese"),
        "code": translate("Lab", "Program code"),
    }
    keys = texts.TESTS if tests else texts.TEXTS
    return tuple(LabText(key, names[key.removesuffix("-test")], str(texts.path_of(key))) for key in keys)


def file_of(text: LabText, services: "Services") -> Path:
    """The file of a text; the chats, and all texts mixed, are written into one first (pool thread)."""
    folder = services.paths.data / "lab"
    if text.key == CHATS:
        chats = services.chats
        said = (chats.messages(conversation.id) for conversation in chats.conversations())
        return texts.write(texts.of_chats(said), folder, CHATS)
    if text.key == MIXED:
        return texts.find_all(texts.TEXTS, folder)
    return Path(text.path)


class TextPicker(QWidget):
    """One line: which text, and a note on what that means."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._file = ""
        self._before = 0
        self.box = QComboBox(self)
        self.box.setMinimumContentsLength(18)
        self.note = make_label("secondary", self, wrap=True)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(12)
        row.addWidget(self.box)
        row.addWidget(self.note, 1)
        self.box.activated.connect(self._take)
        self._fill()

    def _fill(self) -> None:
        at = max(0, self.box.currentIndex())
        self.box.clear()
        mixed = self.tr("English, Vietnamese and code")
        for text in (LabText(MIXED, mixed), *bundled()):
            self.box.addItem(text.name, text)
        self.box.addItem(self.tr("My own chats"), LabText(CHATS, self.tr("My own chats")))
        name = Path(self._file).name if self._file else self.tr("A text file…")
        self.box.addItem(name, LabText(FILE, Path(self._file).stem, self._file))
        self.box.setCurrentIndex(at)
        self.box.setAccessibleName(self.tr("Text"))
        self._explain()

    def text(self) -> LabText:
        """What is chosen."""
        found = self.box.currentData()
        assert isinstance(found, LabText)
        return found

    def choose(self, key: str, path: str = "") -> None:
        """Choose by key; with a path for a file."""
        self._file = path or self._file
        self._fill()
        at = next((at for at in range(self.box.count()) if self.box.itemData(at).key == key), 0)
        self.box.setCurrentIndex(at)
        self._before = at
        self._explain()
        self.changed.emit()

    def _take(self, at: int) -> None:
        if self.box.itemData(at).key == FILE:
            path, _ = QFileDialog.getOpenFileName(
                self, self.tr("A text file"), str(Path.home()), self.tr("Texts (*.txt *.md);;All files (*)")
            )
            if path:
                self.choose(FILE, path)
            else:
                self.box.setCurrentIndex(self._before)
            return
        self._before = at
        self._explain()
        self.changed.emit()

    def _explain(self) -> None:
        self.note.setText(
            {
                CHATS: self.tr("They stay on this machine; nothing of them goes into a result or a card."),
                FILE: self.tr("Plain text, the kind the model will be used for."),
            }.get(self.text().key, self.tr("Comes with Hearth, under a free licence."))
        )

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._fill()
        super().changeEvent(event)
