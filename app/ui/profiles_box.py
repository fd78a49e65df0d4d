"""A model's profiles: its defaults and the named presets it can be loaded with. No profile copies any weights."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, Signal
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QVBoxLayout, QWidget

from app.models.presets import Preset
from app.ui import tasks
from app.ui.errors import describe
from app.ui.preset_words import preset_words
from app.ui.widgets import IconButton, make_button, make_label

if TYPE_CHECKING:
    from app.compose import Services

Found = tuple[Preset | None, tuple[Preset, ...]]


class ProfilesBox(QWidget):
    """``load_asked`` carries (model id, Preset)."""

    load_asked = Signal(str, object)

    def __init__(self, services: "Services", parent: QWidget) -> None:
        super().__init__(parent)
        self._services = services
        self._model = ""
        self._found: Found = (None, ())
        self.default = make_label("muted", self, wrap=True)
        self.change = make_button(self._edit_default, "link", self, compact=True)
        self._list = QVBoxLayout()
        self._list.setSpacing(2)
        self.problem = make_label("bad", self, wrap=True)
        self.problem.hide()
        self.new = make_button(self._new, "", self, compact=True)
        self.take = make_button(self._import, "", self, compact=True)
        self._lay_out()
        self.retranslate()

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.setSpacing(4)
        head.addWidget(self.default, 1)
        head.addWidget(self.change)
        foot = QHBoxLayout()
        foot.setSpacing(8)
        foot.addWidget(self.new)
        foot.addWidget(self.take)
        foot.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addLayout(head)
        column.addLayout(self._list)
        column.addWidget(self.problem)
        column.addLayout(foot)

    # ------------------------------------------------------------------ content

    def show_model(self, model: str) -> None:
        """Read the profiles of a model."""
        if model != self._model:
            self._model, self._found = model, (None, ())
            self.problem.hide()
        self.refresh()

    def refresh(self) -> None:
        """Read them again, off the GUI thread."""
        if not self._model:
            return
        model, presets = self._model, self._services.presets

        def done(found: Found) -> None:
            if model == self._model:
                self._found = found
                self._show()

        read = lambda: (presets.default_for(model), presets.all(model))  # noqa: E731 - one line
        tasks.run(read, done, self._say, self, order=self)

    def _show(self) -> None:
        default, presets = self._found
        self.default.setText(
            self.tr("Usually: {choices}").format(choices=preset_words(default))
            if default is not None
            else self.tr("Usually: as the settings say")
        )
        while self._list.count():
            item = self._list.takeAt(0)
            if item is not None and (widget := item.widget()) is not None:
                widget.deleteLater()
        for preset in presets:
            self._list.addWidget(self._one(preset))

    def _one(self, preset: Preset) -> QWidget:
        holder = QWidget(self)
        row = QHBoxLayout(holder)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        name = make_label("", holder)
        name.setText(preset.name)
        name.setToolTip("\n".join(part for part in (preset.description, preset_words(preset)) if part))
        load = IconButton("load", partial(self.load_asked.emit, self._model, preset), holder)
        load.set_words(self.tr("Load with {preset}").format(preset=preset.name))
        edit = IconButton("edit", partial(self._edit, preset), holder)
        edit.set_words(self.tr("Change {preset}…").format(preset=preset.name))
        row.addWidget(name, 1)
        row.addWidget(load)
        row.addWidget(edit)
        return holder

    # ------------------------------------------------------------------ changing

    def _open(self, preset: Preset, default: bool, known: bool) -> None:
        from app.ui.dialogs.preset import PresetDialog  # noqa: PLC0415 - rarely asked

        dialog = PresetDialog(preset, self._model, self._services, self, default=default, known=known)
        dialog.open()

    def _edit_default(self) -> None:
        default = self._found[0]
        self._open(default or Preset(self._model, model=self._model), True, default is not None)

    def _new(self) -> None:
        base = self._found[0] or Preset("")
        self._open(Preset("", model=self._model, load=base.load, sampling=base.sampling), False, False)

    def _edit(self, preset: Preset) -> None:
        self._open(preset, False, True)

    def _import(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self, self.tr("Import a profile"), str(Path.home()), self.tr("Profiles (*.json)")
        )
        if path:
            self.import_file(Path(path))

    def import_file(self, path: Path) -> None:
        """Take a profile from a file."""
        presets = self._services.presets
        tasks.run(lambda: presets.import_file(path), None, self._say, self)

    def _say(self, error: Exception) -> None:
        self.problem.setText(describe(error).sentence)
        self.problem.show()

    # ------------------------------------------------------------------ words

    def retranslate(self) -> None:
        """Put every text in place again."""
        self.change.setText(self.tr("Change…"))
        self.new.setText(self.tr("New profile…"))
        self.new.setToolTip(self.tr("Another way to load and ask the same file: nothing is copied."))
        self.take.setText(self.tr("Import…"))
        self._show()

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self.retranslate()
        super().changeEvent(event)
