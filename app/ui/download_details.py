"""Where the bytes of a download are: its folder, its files and how far each is, with their hashes once verified."""

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from app.core.events import DownloadChanged
from app.models.downloads_job import Place
from app.ui import tasks, words
from app.ui.widgets import Elided, make_button

if TYPE_CHECKING:
    from app.compose import Services

_SHOWN = 4


class DownloadDetails(QFrame):
    """A card below the table about the selected download."""

    def __init__(self, services: "Services", parent: QWidget) -> None:
        super().__init__(parent)
        self.setProperty("role", "card")
        self._services = services
        self._row: DownloadChanged | None = None
        self._places: tuple[Place, ...] = ()
        self.folder = Elided("text", self, middle=True)
        self.reveal = make_button(self._reveal, "", self, compact=True)
        self.lines = [Elided("text-2", self, middle=True) for _ in range(_SHOWN)]
        head = QHBoxLayout()
        head.addWidget(self.folder, 1)
        head.addWidget(self.reveal)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 8, 12, 10)
        column.setSpacing(2)
        column.addLayout(head)
        for line in self.lines:
            column.addWidget(line)
        self.hide()

    def show_download(self, row: DownloadChanged | None) -> None:
        """Another row, or the same further on; None hides the card."""
        self._row = row
        if row is None:
            self.hide()
            return
        downloads = self._services.downloads
        tasks.run(lambda: (row.id, downloads.places(row.id)), self._show_places, lambda _error: None, self)

    def _show_places(self, found: tuple[str, tuple[Place, ...]]) -> None:
        key, places = found
        if self._row is None or key != self._row.id:
            return
        self._places = places
        self._fill()
        self.setVisible(bool(places))

    def _fill(self) -> None:
        if not self._places:
            return
        self.folder.setText(str(self._places[0].path.parent))
        texts = [self._line(place, self._done(place)) for place in self._places]
        if len(texts) > _SHOWN:
            more = len(texts) - _SHOWN + 1
            texts = [*texts[: _SHOWN - 1], self.tr("and %n further file(s)", "", more)]
        for line, text in zip(self.lines, texts + [""] * _SHOWN, strict=False):
            line.setText(text)
            line.setVisible(bool(text))
        self.reveal.setText(self.tr("Show in the folder"))

    def _done(self, place: Place) -> int:
        """Bytes of a file; of the one under way those that nobody has noted on the disk yet, too."""
        going = next((item for item in self._places if not item.ready), None)
        if place is not going or self._row is None:
            return place.done
        before = sum(item.bytes for item in self._places if item.ready)
        return max(place.done, self._row.done - before)

    def _line(self, place: Place, done: int) -> str:
        if place.sha256:
            text = self.tr("{name}: verified, sha256 {digest}")
            return text.format(name=place.path.name, digest=place.sha256)
        if not done:
            return self.tr("{name}: not begun").format(name=place.path.name)
        text = self.tr("{name}: {done} of {total} are here")
        return text.format(name=place.part.name, done=words.size(done), total=words.size(place.bytes))

    def _reveal(self) -> None:
        folder = next((item for item in self._folders() if item.is_dir()), None)
        if folder is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))

    def _folders(self) -> list[Path]:
        first = self._places[0].path.parent if self._places else self._services.paths.models
        return [first, *first.parents]

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._fill()
        super().changeEvent(event)
