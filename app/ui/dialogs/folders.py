"""The folders in which models are looked for: ours, those the user added, and other programs' stores."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QFileDialog, QFrame, QHBoxLayout, QVBoxLayout, QWidget

from app.core.types import ModelRecord
from app.models.folders import Folder
from app.ui import tasks, words
from app.ui.dialogs.base import Dialog
from app.ui.errors import describe
from app.ui.folder_words import folder_words
from app.ui.widgets import Elided, Hairline, make_button, make_label

if TYPE_CHECKING:
    from app.compose import Services

Found = tuple[tuple[Folder, ...], tuple[Folder, ...], tuple[ModelRecord, ...]]


class FoldersDialog(Dialog):
    """Models are read in place there: nothing is moved, and taking a folder away deletes nothing."""

    opened = Signal(str)

    def __init__(self, services: "Services", parent: QWidget | None) -> None:
        super().__init__("", parent)
        self._services = services
        self.setMinimumWidth(560)
        self.setWindowTitle(self.tr("Folders with models"))
        self.title.setText(self.windowTitle())
        note = make_label("muted", self, wrap=True)
        note.setText(
            self.tr("Models are read where they are, at any depth. Taking a folder away deletes nothing.")
        )
        self.body.addWidget(note)
        self.rows: dict[str, QWidget] = {}
        self._lists = QVBoxLayout()
        self._lists.setSpacing(8)
        self.body.addLayout(self._lists)
        self.problem = make_label("bad", self, wrap=True)
        self.problem.hide()
        self.body.addWidget(self.problem)
        self.body.addStretch(1)
        self.add = make_button(self._choose, "", self)
        self.add.setText(self.tr("Add a folder…"))
        self.done_button = make_button(self.accept, "primary", self)
        self.done_button.setText(self.tr("Done"))
        self.buttons.insertWidget(0, self.add)
        self.buttons.addWidget(self.done_button)
        self.refresh()

    # ------------------------------------------------------------------ content

    def refresh(self) -> None:
        """Read the folders again, off the GUI thread."""
        library = self._services.library

        def find() -> Found:
            return library.folders(), library.suggested_folders(), library.records()

        tasks.run(find, self._show, self._say, self)

    def _show(self, found: Found) -> None:
        folders, suggested, records = found
        self.rows.clear()
        while self._lists.count():
            item = self._lists.takeAt(0)
            if item is not None and (widget := item.widget()) is not None:
                widget.deleteLater()
        self._lists.addWidget(self._card([self._known(folder, records) for folder in folders]))
        if suggested:
            heading = make_label("secondary", self)
            heading.setText(self.tr("Other programs' models on this machine"))
            self._lists.addWidget(heading)
            self._lists.addWidget(self._card([self._offer(folder) for folder in suggested]))
        QTimer.singleShot(0, self, self.adjustSize)  # once the rows have their heights

    def _card(self, rows: list[QWidget]) -> QFrame:
        card = QFrame(self)
        card.setProperty("role", "card")
        column = QVBoxLayout(card)
        column.setContentsMargins(16, 4, 8, 4)
        column.setSpacing(0)
        for at, row in enumerate(rows):
            if at:
                column.addWidget(Hairline(card))
            row.setParent(card)
            column.addWidget(row)
        return card

    def _row(self, folder: Folder, title: str, note: str) -> tuple[QWidget, QHBoxLayout]:
        holder = self.rows[folder.path] = QWidget(self)
        texts = QVBoxLayout()
        texts.setSpacing(1)
        name, where, facts = (
            make_label("", holder),
            Elided("text-2", holder, middle=True),
            make_label("secondary", holder),
        )
        name.setText(title)
        where.setText(folder.path)
        facts.setText(note)
        facts.setVisible(bool(note))
        for label in (name, where, facts):
            texts.addWidget(label)
        row = QHBoxLayout(holder)
        row.setContentsMargins(0, 8, 0, 8)
        row.addLayout(texts, 1)
        return holder, row

    def _known(self, folder: Folder, records: tuple[ModelRecord, ...]) -> QWidget:
        inside = [record for record in records if Path(folder.path) in Path(record.path).parents]
        count = len(inside)
        note = self.tr("%n model(s)", "", count) + f", {words.size(sum(record.bytes for record in inside))}"
        if not Path(folder.path).is_dir():
            note = self.tr("This folder is not there now.")
        holder, row = self._row(folder, folder_words(folder.kind), note)
        show = make_button(partial(self.opened.emit, folder.path), "", holder, compact=True)
        show.setText(self.tr("Open"))
        row.addWidget(show)
        if folder.kind != "own":
            away = make_button(partial(self._remove, folder.path), "", holder, compact=True)
            away.setText(self.tr("Take away"))
            away.setAccessibleName(self.tr("Take away {folder}").format(folder=folder.path))
            row.addWidget(away)
        holder.setMinimumHeight(row.sizeHint().height())
        return holder

    def _offer(self, folder: Folder) -> QWidget:
        holder, row = self._row(folder, folder_words(folder.kind), "")
        add = make_button(partial(self.add_folder, folder), "", holder, compact=True)
        add.setText(self.tr("Add"))
        add.setAccessibleName(self.tr("Add {folder}").format(folder=folder.path))
        row.addWidget(add)
        holder.setMinimumHeight(row.sizeHint().height())
        return holder

    # ------------------------------------------------------------------ changing

    def _choose(self) -> None:
        path = QFileDialog.getExistingDirectory(self, self.tr("Add a folder"), str(Path.home()))
        if path:
            self.add_folder(Path(path))

    def add_folder(self, folder: Folder | Path) -> None:
        """Look there from now on."""
        self._run(partial(self._services.library.add_folder, folder))

    def _remove(self, path: str) -> None:
        self._run(partial(self._services.library.remove_folder, path))

    def _run(self, work: "partial[None]") -> None:
        self.problem.hide()
        self.setEnabled(False)

        def done(_none: object) -> None:
            self.setEnabled(True)
            self.refresh()

        tasks.run(work, done, self._say, self)

    def _say(self, error: Exception) -> None:
        self.setEnabled(True)
        self.problem.setText(describe(error).sentence)
        self.problem.show()
