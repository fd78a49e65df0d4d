"""A source that is not in the library: a repository on the Hub, or a folder of original weights."""

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from PySide6.QtCore import QEvent, QTimer, Signal
from PySide6.QtWidgets import QCheckBox, QFileDialog, QHBoxLayout, QLineEdit, QWidget

from app.models.hub_address import parse_address
from app.optimize.orders import SourceOrder
from app.optimize.sizes import free_space
from app.ui import tasks, theme, words
from app.ui.dialogs.base import Dialog
from app.ui.errors import describe
from app.ui.lab_before import span
from app.ui.widgets import make_button, make_label, set_property

if TYPE_CHECKING:
    from app.compose import Services
    from app.optimize.converter import Setup


_SETTLE_MS = 400


class Found(Struct, frozen=True):
    """What would be brought: a type, or original weights; bytes to fetch (0: they are here) and free bytes."""

    quant: str
    original: bool
    bytes: int
    free: int


def look(order: SourceOrder, services: "Services") -> Found:
    """Ask the Hub, or look into the folder (pool thread). Raises HearthError, OSError."""
    from app.optimize.originals import check_folder  # noqa: PLC0415 - off the GUI thread
    from app.optimize.sources import best_source  # noqa: PLC0415

    free = free_space(services.paths.models)
    if order.folder:
        check_folder(Path(order.folder))
        return Found("", True, 0, free)
    chosen = best_source(services.hub.repo(order.repo), order.quant)
    return Found(chosen.quant, chosen.quant == "safetensors", sum(part.size for part in chosen.files), free)


class BringDialog(Dialog):
    """``started`` after the job was put into the queue."""

    started = Signal()

    def __init__(self, services: "Services", parent: QWidget | None) -> None:
        super().__init__("", parent)
        self._services = services
        self._setup: Setup | None = None
        self.setMinimumWidth(theme.px(560))
        self.what = make_label(parent=self, wrap=True)
        self.name = QLineEdit(self)
        self.folder = make_button(self._ask_folder, "", self)
        self.set_up = QCheckBox(self)
        self.set_up.hide()
        self.set_up.toggled.connect(lambda _on: self._name_found())
        self.note = make_label("secondary", self, wrap=True)
        self.found = make_label("", self, wrap=True)
        self.found.hide()
        self._found: Found | None = None
        self._task: tasks.Task[Found] | None = None
        self._settle = QTimer(self, singleShot=True, interval=_SETTLE_MS)
        self._settle.timeout.connect(self._ask_what)
        self.cancel = make_button(self.reject, parent=self)
        self.bring = make_button(self._start, "primary", self)
        self.bring.setDefault(True)
        self._lay_out()
        self.name.textChanged.connect(lambda _text: self._enable())
        self.name.textChanged.connect(lambda _text: self._ask_later())
        self._retranslate()
        self._enable()
        tasks.run(self._look, self._show_setup, self._failed, self)

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.name, 1)
        row.addWidget(self.folder)
        self.body.addWidget(self.what)
        self.body.addLayout(row)
        self.body.addWidget(self.found)
        self.body.addWidget(self.set_up)
        self.body.addWidget(self.note)
        self.buttons.addWidget(self.cancel)
        self.buttons.addWidget(self.bring)

    def _look(self) -> "Setup":
        from app.optimize.converter import Converter  # noqa: PLC0415 - off the GUI thread

        return Converter(self._services.paths.data / "lab" / "converter").state()

    def _show_setup(self, found: "Setup") -> None:
        self._setup = found
        self.set_up.setVisible(not found.ready)
        self._name_setup()

    def _name_setup(self) -> None:
        found = self._setup
        if found is None or found.ready:
            return
        self.set_up.setText(self.tr("Set up the converter when it is needed"))
        text = self.tr(
            "Original weights (safetensors) are converted first. That needs Python and PyTorch in a folder of their"
            " own, made once: {download} to fetch, {disk} on the disk, {time}."
        )
        fetched, disk = words.size(found.download), words.size(found.disk)
        self.note.setText(text.format(download=fetched, disk=disk, time=span(*found.seconds)))
        self.grow()

    def order(self) -> SourceOrder | None:
        """What is asked for; None while nothing is entered."""
        text = self.name.text().strip()
        if not text:
            return None
        if Path(text).is_absolute():
            return SourceOrder(folder=text, set_up=self.set_up.isChecked())
        found = parse_address(text, self._services.hub.endpoint)
        if found is None:
            return None
        return SourceOrder(repo=found.repo, quant=found.quant or "", set_up=self.set_up.isChecked())

    def _enable(self) -> None:
        self.bring.setEnabled(self.order() is not None)

    def _ask_later(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._found = None
        self._say("")
        self._settle.start()

    def _ask_what(self) -> None:
        order, services = self.order(), self._services
        if order is not None:
            self._say(self.tr("Looking…"))
            self._task = tasks.run(lambda: look(order, services), self._show_found, self._not_found, self)

    def _show_found(self, found: Found) -> None:
        self._found = found
        self._name_found()
        self.grow()

    def _not_found(self, error: Exception) -> None:
        self._say(describe(error).sentence, "bad")
        self.grow()

    def _say(self, text: str, role: str = "") -> None:
        self.found.setText(text)
        self.found.setVisible(bool(text))
        set_property(self.found, "role", role)

    def _name_found(self) -> None:
        found = self._found
        if found is None:
            return
        kind = self.tr("original weights (safetensors)") if found.original else found.quant
        sizes = {"size": words.size(found.bytes), "free": words.size(found.free)}
        if not found.bytes:
            text = self.tr("A folder of original weights: it is converted, and stays as it is.")
        elif found.bytes > found.free:
            text = self.tr("{kind}: {size} to fetch, but only {free} are free on the disk.")
        else:
            text = self.tr("{kind}: {size} to fetch, {free} free on the disk.")
        role = "bad" if found.bytes > found.free else ""
        if found.original and not self.set_up.isHidden() and not self.set_up.isChecked():
            text += " " + self.tr("It needs the converter, which is not set up yet: tick the box below.")
            role = role or "warn"
        self._say(text.format(kind=kind, **sizes), role)

    def _ask_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, self.tr("A folder of safetensors"), str(Path.home()))
        if folder:
            self.name.setText(folder)

    def _start(self) -> None:
        order, services = self.order(), self._services
        if order is None:
            return
        self.bring.setEnabled(False)

        def done(_items: object) -> None:
            self.started.emit()
            self.accept()

        tasks.run(lambda: services.lab.submit(order), done, self._failed, self)

    def _failed(self, error: Exception) -> None:
        self.note.setText(describe(error).sentence)
        set_property(self.note, "role", "bad")

    def _retranslate(self) -> None:
        self.title.setText(self.tr("Bring a source"))
        self.setWindowTitle(self.title.text())
        self.what.setText(
            self.tr(
                "A repository on the Hub, of which the best source is taken, or a folder of original weights."
            )
        )
        self.name.setPlaceholderText(self.tr("owner/model, an address of the Hub, or a folder"))
        self.name.setAccessibleName(self.tr("Repository or folder"))
        self.folder.setText(self.tr("Folder…"))
        self.cancel.setText(self.tr("Cancel"))
        self.bring.setText(self.tr("Bring it"))
        self._name_setup()
        self._name_found()

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
        super().changeEvent(event)
