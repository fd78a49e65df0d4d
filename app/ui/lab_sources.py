"""Which model the lab begins with: those in the library, the least quantized first."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QEvent, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QVBoxLayout, QWidget

from app.core.types import ModelRecord
from app.ui import words
from app.ui.widgets import make_button, make_label, set_property

if TYPE_CHECKING:
    from app.compose import Services

GOOD = ("F32", "BF16", "F16", "Q8_0")
translate = QCoreApplication.translate


def sources(services: "Services") -> list[ModelRecord]:
    """Every whole model in one file that runs, the best source first (pool thread)."""
    found = [record for record in services.library.models() if not record.damaged]
    return sorted(found, key=lambda record: (_rank(record), record.name.lower()))


def quant_of(record: ModelRecord) -> str:
    """The record's type."""
    return record.summary.quant if record.summary else ""


def shown(record: ModelRecord) -> str:
    """``SmolLM2-135M F16 · 271 MB``."""
    name = record.name or record.id
    quant = quant_of(record)
    named = name if quant and quant.lower() in name.lower() else f"{name} {quant}".strip()
    return f"{named}  ·  {words.size(record.bytes)}"


def warning(record: ModelRecord) -> str:
    """Why this source is a poor one; empty when it is a good one."""
    quant = quant_of(record)
    if quant in GOOD or not quant:
        return ""
    text = translate(
        "Lab",
        "This one is {quant}: what it lost stays lost. Begin with F16, BF16 or Q8_0 when you can get it.",
    )
    return text.format(quant=quant)


def _rank(record: ModelRecord) -> int:
    quant = quant_of(record)
    return GOOD.index(quant) if quant in GOOD else len(GOOD)


class SourceBox(QWidget):
    """A model of the library, with what speaks against it below."""

    changed = Signal()
    more_asked = Signal()
    """For a source that is not in the library."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.box = QComboBox(self)
        self.note = make_label("secondary", self, wrap=True)
        self.more = make_button(self.more_asked.emit, "", self)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.box, 1)
        row.addWidget(self.more)
        column.addLayout(row)
        column.addWidget(self.note)
        self.box.activated.connect(lambda _at: self._chosen())
        self._name()

    def show_models(self, records: Sequence[ModelRecord]) -> None:
        """Offer these; what was chosen stays when it is still there."""
        before = self.record()
        self.box.blockSignals(True)
        self.box.clear()
        for record in records:
            self.box.addItem(shown(record), record)
        self.box.blockSignals(False)
        if before is not None and self._at(before.id) >= 0:
            self.box.setCurrentIndex(self._at(before.id))
            self._explain()
        else:
            self._chosen()

    def _at(self, model: str) -> int:
        return next((at for at in range(self.box.count()) if self.box.itemData(at).id == model), -1)

    def choose(self, model: str) -> bool:
        """Choose by id; whether it is there."""
        at = self._at(model)
        if at >= 0:
            self.box.setCurrentIndex(at)
            self._chosen()
        return at >= 0

    def record(self) -> ModelRecord | None:
        """What is chosen."""
        found = self.box.currentData()
        return found if isinstance(found, ModelRecord) else None

    def _chosen(self) -> None:
        self._explain()
        self.changed.emit()

    def _explain(self) -> None:
        record = self.record()
        bad = warning(record) if record is not None else ""
        good = self.tr("A good source: nothing or next to nothing is lost in it.") if record else ""
        self.note.setText(bad or good)
        set_property(self.note, "role", "warn" if bad else "secondary")

    def _name(self) -> None:
        self.box.setAccessibleName(self.tr("Source model"))
        self.more.setText(self.tr("Another…"))
        self.more.setToolTip(self.tr("From the Hub, or a folder of original weights"))
        self._explain()

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._name()
        super().changeEvent(event)
