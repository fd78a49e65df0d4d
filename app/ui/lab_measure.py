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
from app.optimize.sizes import computing_memory, computing_memory_far, free_space, pieces_of, reference_bytes
from app.ui import tasks, theme, words
from app.ui.dialogs.base import Dialog
from app.ui.errors import describe
from app.ui.lab_before import span
from app.ui.lab_check import CheckModel, CheckTable
from app.ui.lab_draft import current_free
from app.ui.lab_repo import RepoChoice
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
    fetch: tuple[ModelRecord, ...] = ()


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
        fetch=tuple(record.id for record in asked.fetch),
    )


class Takes(Struct, frozen=True):
    """Seconds as (least, most), bytes of disk and memory, and what is free; ``fetch`` is downloaded before, into a
    folder with ``fetch_free``."""

    seconds: tuple[float, float]
    disk: int
    disk_free: int
    memory: int
    memory_free: int | None
    fetch: int = 0
    fetch_free: int = 0

    @property
    def fits(self) -> bool:
        """Whether the disk has room for all of it: both may be the same one."""
        return self.fetch + self.disk <= min(self.disk_free, self.fetch_free or self.disk_free)


def takes(order: MeasureOrder, records: Sequence[ModelRecord], services: "Services", fetch: int = 0) -> Takes:
    """What an order takes, ``fetch`` bytes being downloaded for it (pool thread). Raises HearthError, OSError."""
    rates = Rates(services.paths.cache / "lab" / "rates.json")
    weights = {r.path: (r.summary.parameters if r.summary else 0) or 0 for r in records}
    sizes = {r.path: r.bytes for r in records}
    header = read_header(Path(order.reference)) if Path(order.reference).is_file() else None
    times, disk = [], 0
    for text in order.texts:
        pieces = pieces_of(Path(text), order.chunks)
        disk += reference_bytes(header, pieces)
        runs = [order.reference, *(model for model in order.models for _ in order.caches)]
        times += [rates.computing(weights.get(model, 0), pieces * 512) for model in runs]
    memory = max(_memory(Path(m), sizes.get(m, 0)) for m in (order.reference, *order.models))
    seconds = (sum(low for low, _ in times), sum(high for _, high in times))
    free = free_space(services.paths.cache)
    return Takes(
        seconds, disk, free, memory, current_free(services), fetch, free_space(services.paths.models)
    )


def _memory(model: Path, size: int) -> int:
    if not model.is_file():
        return computing_memory_far(size)
    return computing_memory(model, read_header(model), every=False)


class MeasureDialog(Dialog):
    """``started`` after the job was put into the queue."""

    started = Signal()

    def __init__(
        self, records: Sequence[ModelRecord], services: "Services", parent: QWidget | None,
        repo: RepoChoice | None = None,
    ) -> None:  # fmt: skip
        super().__init__("", parent)
        self._records, self._services, self._repo = list(records), services, repo
        self._task: tasks.Task[Takes] | None = None
        self._texts: list[tuple[QCheckBox, LabText]] = []
        self.setMinimumWidth(theme.px(680 if repo is None else 780))
        self.reference = QComboBox(self)
        for record in self._records:
            self.reference.addItem(shown(record), record)
        self.model: CheckModel[ModelRecord] = CheckModel(_columns(repo), lambda record: record.id, self)
        self.table = CheckTable(self.model, self)
        self.table.setMinimumHeight(theme.px(180))
        self._make_texts()  # Tab goes through the fields in the order in which they are made
        self.pieces = QComboBox(self)
        for count in PIECES:
            self.pieces.addItem("", count)
        self.pieces.setCurrentIndex(1)
        self.speed, self.caches = QCheckBox(self), QCheckBox(self)
        self.speed.setChecked(True)
        self.note = make_label("secondary", self, wrap=True)
        self._lay_out()
        self._retranslate()
        self._connect()
        self._show_related() if repo is None else self._show_repo(repo)

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
        if self._repo is not None:
            self._changed()
            return
        found = related(record, self._records)
        self.model.set_rows([])
        self.model.set_rows(found)
        self.model.check({each.id for each in found})
        self._changed()

    def _show_repo(self, repo: RepoChoice) -> None:
        """All that a repository has, whether it is here or not."""
        self.model.set_rows(list(repo.records))
        self.reference.setCurrentIndex(repo.records.index(repo.reference()))
        self.tick(repo.ticked())

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
        needed = [record, *(each for each in chosen if each.id != record.id)]
        return Asked(
            models=tuple(each.path for each in chosen),
            reference=record.path,
            texts=tuple(replace(text, name=text.name or self.tr("Own chats")) for text in wanted),
            chunks=int(self.pieces.currentData()),
            caches=CACHES if self.caches.isChecked() else CACHES[:1],
            speed=self.speed.isChecked(),
            fetch=self._repo.fetched(needed) if self._repo is not None else (),
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
        missing = self._repo.missing if self._repo is not None else {}
        fetch = sum(missing[record.id] for record in asked.fetch)
        self._task = tasks.run(
            lambda: takes(order_of(asked, services), records, services, fetch),
            self._show_takes,
            self._failed,
            self,
        )

    def _show_takes(self, found: Takes) -> None:
        text = self.tr("{time}; {disk} of {free} free on the disk for the reference; {memory} of memory.")
        self.note.setText(
            text.format(
                time=span(*found.seconds), disk=words.size(found.disk), free=words.size(found.disk_free),
                memory=words.fine_memory(found.memory),
            )
        )  # fmt: skip
        if found.fetch:
            first = self.tr("{size} to download first, {free} free on their disk; then {rest}")
            size, free = words.size(found.fetch), words.size(found.fetch_free)
            self.note.setText(first.format(size=size, free=free, rest=self.note.text()))
        tight = found.memory_free is not None and found.memory > found.memory_free
        set_property(self.note, "role", "bad" if not found.fits else "warn" if tight else "secondary")
        self.start.setEnabled(found.fits)
        self.grow()

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
            self.grow()
        super().changeEvent(event)


def _columns(repo: RepoChoice | None) -> list[Column[ModelRecord]]:
    def where(record: ModelRecord) -> str:
        missing = repo is not None and repo.missing.get(record.id)
        return translate("Lab", "to download") if missing else translate("Lab", "on this machine")

    places = [Column(lambda: translate("Lab", "Where"), where, width=150)] if repo is not None else []
    return [
        Column(lambda: translate("Lab", "Model"), lambda record: record.name or record.id),
        Column(lambda: translate("Lab", "Type"), quant_of, width=110),
        Column(
            lambda: translate("Lab", "Size (GB)"),
            lambda record: words.gigabytes(record.bytes),
            right=True,
            width=90,
        ),
        *places,
    ]
