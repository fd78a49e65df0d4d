"""What the Library does with one model beside loading and deleting it: show its file, its page, what it says of itself,
call it otherwise; and the dialog of the folders."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QInputDialog, QLineEdit, QWidget

from app.ui import tasks
from app.ui.library_rows import Row, shown_name

if TYPE_CHECKING:
    from app.compose import Services


class LibraryActions(QObject):
    """``folder_asked`` carries a path whose folder the window shall open."""

    failed = Signal(object)
    folder_asked = Signal(str)

    def __init__(self, services: "Services", parent: QWidget) -> None:
        super().__init__(parent)
        self._services, self._parent = services, parent

    def do(self, action: str, row: Row) -> bool:
        """Do it, if it is one of ours."""
        own = {
            "reveal": self._reveal,
            "hub": self._open_hub,
            "rename": self._ask_name,
            "file": self._open_file,
        }
        if action not in own:
            return False
        own[action](row)
        return True

    def _reveal(self, row: Row) -> None:
        from app.ui.reveal import reveal  # noqa: PLC0415 - asks the desktop

        path = row.record.path

        def done(shown: bool) -> None:
            if not shown:
                self.folder_asked.emit(path)

        tasks.run(partial(reveal, Path(path)), done, self.failed.emit, self)

    def _open_hub(self, row: Row) -> None:
        if row.record.source is not None:
            QDesktopServices.openUrl(QUrl(self._services.hub.page_url(row.record.source.repo)))

    def _open_file(self, row: Row) -> None:
        from app.ui.dialogs.model_file import ModelFileDialog  # noqa: PLC0415 - rarely asked

        ModelFileDialog(row.record, self._parent).open()

    def open_folders(self) -> None:
        """The folders in which models are looked for."""
        from app.ui.dialogs.folders import FoldersDialog  # noqa: PLC0415 - rarely asked

        dialog = FoldersDialog(self._services, self._parent)
        dialog.opened.connect(self.folder_asked)
        dialog.open()

    def _ask_name(self, row: Row) -> None:
        question = self.tr("Name of {model}; empty gives its own back").format(model=row.id)
        usual, plain = QLineEdit.EchoMode.Normal, shown_name(row.record)
        name, agreed = QInputDialog.getText(self._parent, self.tr("Rename"), question, usual, plain)
        if agreed:
            self.rename(row.id, name)

    def rename(self, model: str, name: str) -> None:
        """Call a model otherwise here; its id and its file stay as they are."""
        library = self._services.library
        note = partial(library.annotate, model, title=name)
        tasks.run(note, None, self.failed.emit, self, order=library)
