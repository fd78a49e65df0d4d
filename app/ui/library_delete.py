"""Deleting models from the Library: asked once, into the bin where there is one, and taken back with one click."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget

from app.models.library_care import Removed
from app.ui import tasks, words
from app.ui.library_rows import Row, States

if TYPE_CHECKING:
    from app.compose import Services


def removable(row: Row, states: States) -> bool:
    """Whether we may: not while it is loaded, and never what another program keeps its own books of."""
    return not states.live(row) and row.facts.place != "ollama"


class Deletion(QObject):
    """``undoable`` carries what was done and a callable that takes it back, ``said`` what can't be taken back,
    ``restored`` the id of a model that is there again."""

    undoable = Signal(str, object)
    said = Signal(str)
    restored = Signal(str)
    failed = Signal(object)

    def __init__(self, services: "Services", states: States, parent: QWidget) -> None:
        super().__init__(parent)
        self._services, self._states, self._parent = services, states, parent

    def ask(self, rows: Sequence[Row]) -> None:
        """Ask, then delete; what may not be deleted is left out."""
        from app.ui.dialogs.confirm import ConfirmDialog  # noqa: PLC0415 - rarely asked

        rows = [row for row in rows if removable(row, self._states)]
        if not rows:
            return
        size, count, model = words.size(sum(row.record.bytes for row in rows)), len(rows), rows[0].id
        if count == 1:
            title = self.tr("Delete {model}?").format(model=model)
        else:
            title = self.tr("Delete %n model(s)?", "", count)
        text = self.tr(
            "{size} go to the system's bin, where there is one, and can be taken back from there. The room is free "
            "once the bin is emptied."
        )
        button = self.tr("Delete {size}").format(size=size)
        dialog = ConfirmDialog(title, text.format(size=size), button, self._parent)
        dialog.accepted.connect(lambda: self.delete([row.id for row in rows]))
        dialog.open()

    def delete(self, names: Sequence[str]) -> None:
        """Delete these, one after the other."""
        library = self._services.library
        gone: list[Removed] = []

        def work() -> None:
            for name in names:
                gone.append(library.remove(name))  # noqa: PERF401 - what went before a failure is told

        def failed(error: Exception) -> None:
            self._tell(gone)
            self.failed.emit(error)

        tasks.run(work, lambda _none: self._tell(gone), failed, self)

    def _tell(self, gone: list[Removed]) -> None:
        if not gone:
            return
        count, model = len(gone), gone[0].record.id
        if all(item.in_bin for item in gone):
            if count == 1:
                text = self.tr("{model} is in the bin.").format(model=model)
            else:
                text = self.tr("%n model(s) are in the bin.", "", count)
            self.undoable.emit(text, lambda: self.restore(gone))
            return
        if count == 1:
            text = self.tr("{model} is deleted.").format(model=model)
        else:
            text = self.tr("%n model(s) are deleted.", "", count)
        self.said.emit(text)

    def restore(self, gone: Sequence[Removed]) -> None:
        """Take them back from the bin."""
        library = self._services.library

        def work() -> str:
            return [library.restore(item).id for item in reversed(gone)][-1]

        tasks.run(work, self.restored.emit, self.failed.emit, self)
