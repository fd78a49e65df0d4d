"""What to measure, asked before it begins: a reference, quants of the same model, texts, and how much of them."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace
from PySide6.QtCore import QCoreApplication, QEvent, Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QFileDialog, QGridLayout, QWidget

from app.core.types import ModelRecord
from app.models.gguf import read_header
from app.optimize.orders import FULL_CACHE, MeasureOrder
from app.optimize.rates import Rates
from app.optimize.references import related
from app.optimize.sizes import computing_memory, free_space, pieces_of, reference_bytes
from app.ui import tasks, theme, words
from app.ui.dialogs.base import Dialog
from app.ui.errors import describe
from app.ui.lab_before import span
from app.ui.lab_check import CheckModel, CheckTable
from app.ui.lab_draft import current_free
from app.ui.lab_sources import quant_of, shown
from app.ui.lab_texts import CHATS, FILE, LabText, bundled, file_of
from app.ui.table_model import Column
from app.ui.widgets import make_button, make_label, set_property

if TYPE_CHECKING:
    from app.compose import Services

translate = QCoreApplication.translate
PIECES = (8, 32, 0)
"""How much of each text: quick, usual, all of it."""
CACHES = (FULL_CACHE, ("q8_0", "q8_0"), ("q4_0", "q4_0"))


class Asked(Struct, frozen=True):
    """The dialog's fields; see ``optimize.orders.MeasureOrder``."""

    models: tuple[str, ...]
    reference: str
    texts: tuple[LabText, ...]
    chunks: int
    caches: tuple[tuple[str, str], ...]
    speed: bool


def order_of(asked: Asked, services: "Services") -> MeasureOrder:
    """The order, with the texts as files (pool thread)."""
    return MeasureOrder(
        models=asked.models,
        reference=asked.reference,
        texts=tuple(str(file_of(text, services)) for text in asked.texts),
        names=tuple(text.name for text in asked.texts),
        chunks=asked.chunks,
        caches=asked.caches,
        speed=asked.speed,
    )


class Takes(Struct, frozen=True):
    """Seconds as (least, most), bytes of disk and memory, and what is free."""

    seconds: tuple[float, float]
    disk: int
    disk_free: int
    memory: int
    memory_free: int | None


def takes(order: MeasureOrder, records: Sequence[ModelRecord], services: "Services") -> Takes:
    """What an order takes (pool thread). Raises HearthError, OSError."""
    rates = Rates(services.paths.cache / "lab" / "rates.json")
    weights = {r.path: (r.summary.parameters if r.summary else 0) or 0 for r in records}
    header = read_header(Path(order.reference))
    times, disk = [], 0
    for text in order.texts:
        pieces = pieces_of(Path(text), order.chunks)
        disk += reference_bytes(header, pieces)
        runs = [order.reference, *(model for model in order.models for _ in order.caches)]
        times += [rates.computing(weights.get(model, 0), pieces * 512) for model in runs]
    memory = max(
        computing_memory(Path(m), read_header(Path(m)), every=False) for m in (order.reference, *order.models)
    )
    seconds = (sum(low for low, _ in times), sum(high for _, high in times))
    return Takes(seconds, disk, free_space(services.paths.cache), memory, current_free(services))


class MeasureDialog(Dialog):
    """``started`` after the job was put into the queue."""

    started = Signal()

    def __init__(self, records: Sequence[ModelRecord], services: "Services", parent: QWidget | None) -> None:
        super().__init__("", parent)
        self._records, self._services = list(records), services
        self._task: tasks.Task[Takes] | None = None
        self._texts: list[tuple[QCheckBox, LabText]] = []
        self.setMinimumWidth(theme.px(680))
        self.reference = QComboBox(self)
        for record in self._records:
            self.reference.addItem(shown(record), record)
        self.model: CheckModel[ModelRecord] = CheckModel(_columns(), lambda record: record.id, self)
        self.table = CheckTable(self.model, self)
        self.table.setMinimumHeight(theme.px(180))
        self.pieces = QComboBox(self)
        for count in PIECES:
            self.pieces.addItem("", count)
        self.pieces.setCurrentIndex(1)
        self.caches, self.speed = QCheckBox(self), QCheckBox(self)
        self.speed.setChecked(True)
        self.note = make_label("secondary", self, wrap=True)
        self._make_texts()
        self._lay_out()
        self._retranslate()
        self._connect()
        self._show_related()

    # ------------------------------------------------------------------ building

    def _make_texts(self) -> None:
        self.texts = QWidget(self)
        grid = QGridLayout(self.texts)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(16)
        for at, text in enumerate((*bundled(tests=True), LabText(CHATS, ""), LabText(FILE, ""))):
            box = QCheckBox(text.name, self.texts)
            box.setChecked(text.key in {"en-test", "vi-test"})
            grid.addWidget(box, at // 3, at % 3)
            self._texts.append((box, text))
        grid.setColumnStretch(3, 1)

    def _lay_out(self) -> None:
        grid = QGridLayout()
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(10)
        grid.setColumnStretch(1, 1)
        self._labels = [make_label(parent=self) for _ in range(4)]
        for at, (label, field) in enumerate(
            zip(self._labels, (self.reference, self.table, self.texts, self.pieces), strict=True)
        ):
            grid.addWidget(label, at, 0)
            grid.addWidget(field, at, 1)
        grid.addWidget(self.speed, 4, 1)
        grid.addWidget(self.caches, 5, 1)
        self.body.addLayout(grid)
        self.body.addWidget(self.note)
        self.cancel = make_button(self.reject, parent=self)
        self.start = make_button(self._start, "primary", self)
        self.start.setDefault(True)
        self.buttons.addWidget(self.cancel)
        self.buttons.addWidget(self.start)

    def _connect(self) -> None:
        self.reference.activated.connect(lambda _at: self._show_related())
        self.model.ticked.connect(self._changed)
        self.pieces.activated.connect(lambda _at: self._changed())
        for box in (self.caches, self.speed):
            box.toggled.connect(lambda _on: self._changed())
        for box, text in self._texts:
            box.clicked.connect(lambda on, key=text.key: self._ticked(key, on))

    # ------------------------------------------------------------------ content

    def choose(self, model: str) -> None:
        """Tick this one; a better one of its kind is the reference."""
        for at, record in enumerate(self._records):
            family = related(record, self._records)
            if any(each.id == model for each in family):
                self.reference.setCurrentIndex(at)
                break
        self._show_related()
        self.tick({model})

    def tick(self, models: Iterable[str]) -> None:
        """Tick these (ids) and no others."""
        self.model.check(models)
        self._changed()

    def _show_related(self) -> None:
        record = self.reference.currentData()
        if record is None:
            return
        found = related(record, self._records)
        self.model.set_rows([])
        self.model.set_rows(found)
        self.model.check({each.id for each in found})
        self._changed()

    def _ticked(self, key: str, on: bool) -> None:
        if key == FILE and on:
            path, _ = QFileDialog.getOpenFileName(
                self, self.tr("A text file"), str(Path.home()), self.tr("Texts (*.txt *.md);;All files (*)")
            )
            self.take_file(path)
        self._changed()

    def take_file(self, path: str) -> None:
        """Measure on this text too; nothing takes it off."""
        for at, (box, text) in enumerate(self._texts):
            if text.key == FILE:
                box.setChecked(bool(path))
                self._texts[at] = (box, LabText(FILE, Path(path).stem if path else "", path))
                box.setText(Path(path).name if path else self.tr("A text file…"))

    def chosen_texts(self) -> list[LabText]:
        """The ticked ones."""
        return [text for box, text in self._texts if box.isChecked()]

    def asked(self) -> Asked | None:
        """What the fields say; None while something is missing."""
        record, chosen, wanted = self.reference.currentData(), self.model.chosen(), self.chosen_texts()
        if record is None or not chosen or not wanted:
            return None
        return Asked(
            models=tuple(each.path for each in chosen),
            reference=record.path,
            texts=tuple(replace(text, name=text.name or self.tr("Own chats")) for text in wanted),
            chunks=int(self.pieces.currentData()),
            caches=CACHES if self.caches.isChecked() else CACHES[:1],
            speed=self.speed.isChecked(),
        )

    def _changed(self) -> None:
        if self._task is not None:
            self._task.cancel()
        asked = self.asked()
        self.start.setEnabled(asked is not None)
        if asked is None:
            self.note.setText(self.tr("Tick a model and a text."))
            return
        self.note.setText(self.tr("Working out what it takes…"))
        records, services = self._records, self._services

        self._task = tasks.run(
            lambda: takes(order_of(asked, services), records, services), self._show_takes, self._failed, self
        )

    def _show_takes(self, found: Takes) -> None:
        text = self.tr("{time}; {disk} of {free} free on the disk for the reference; {memory} of memory.")
        self.note.setText(
            text.format(
                time=span(*found.seconds), disk=words.size(found.disk), free=words.size(found.disk_free),
                memory=words.fine_memory(found.memory),
            )
        )  # fmt: skip
        tight = found.memory_free is not None and found.memory > found.memory_free
        set_property(
            self.note, "role", "bad" if found.disk > found.disk_free else "warn" if tight else "secondary"
        )
        self.start.setEnabled(found.disk <= found.disk_free)

    def _failed(self, error: Exception) -> None:
        self.note.setText(describe(error).sentence)
        set_property(self.note, "role", "bad")

    def _start(self) -> None:
        asked, services = self.asked(), self._services
        if asked is None:
            return
        self.start.setEnabled(False)

        def work() -> None:
            services.lab.submit(order_of(asked, services))

        def done(_none: object) -> None:
            self.started.emit()
            self.accept()

        tasks.run(work, done, self._failed, self)

    # ------------------------------------------------------------------ words

    def _retranslate(self) -> None:
        self.title.setText(self.tr("Measure what was lost"))
        self.setWindowTitle(self.title.text())
        titles = (self.tr("Reference"), self.tr("Models"), self.tr("Texts"), self.tr("How much"))
        fields = (self.reference, self.table, self.texts, self.pieces)
        for label, field, title in zip(self._labels, fields, titles, strict=True):
            label.setText(title)
            field.setAccessibleName(title)
        amounts = (
            self.tr("Quick: 4,000 tokens of each text"),
            self.tr("Usual: 16,000 tokens of each text"),
            self.tr("Each text whole"),
        )
        for at, text in enumerate(amounts):
            self.pieces.setItemText(at, text)
        self.speed.setText(self.tr("Measure tokens per second too"))
        self.caches.setText(self.tr("With q8_0 and q4_0 caches too: what a smaller K/V cache costs"))
        names = {text.key: text.name for text in bundled(tests=True)}
        for box, each in self._texts:
            if each.key in names:
                box.setText(names[each.key])
            elif each.key == CHATS:
                box.setText(self.tr("Own chats"))
            elif each.key == FILE and not each.path:
                box.setText(self.tr("A text file…"))
        self.cancel.setText(self.tr("Cancel"))
        self.start.setText(self.tr("Measure"))

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
            self.model.refresh()
            self.table.fit_columns()
            self._changed()
        super().changeEvent(event)


def _columns() -> list[Column[ModelRecord]]:
    return [
        Column(lambda: translate("Lab", "Model"), lambda record: record.name or record.id),
        Column(lambda: translate("Lab", "Type"), quant_of, width=110),
        Column(
            lambda: translate("Lab", "Size (GB)"),
            lambda record: words.gigabytes(record.bytes),
            right=True,
            width=90,
        ),
    ]
