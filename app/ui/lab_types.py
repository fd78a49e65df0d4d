"""The types a model can be made into: each with its plain words, its size once a dry run has told it, and its time."""

from collections.abc import Mapping

from msgspec import Struct
from PySide6.QtCore import QCoreApplication, QEvent, Signal
from PySide6.QtWidgets import QAbstractScrollArea, QVBoxLayout, QWidget

from app.models.quants import explain
from app.optimize.sizes import USUAL, WRITABLE, Sized
from app.ui import theme, words
from app.ui.figures import DASH
from app.ui.lab_check import CheckModel, CheckTable
from app.ui.table_model import Column
from app.ui.widgets import make_button

translate = QCoreApplication.translate
_ROW = 32


class TypeRow(Struct, frozen=True):
    """One type; ``sized`` once it is known for the source at hand."""

    type: str
    sized: Sized | None = None


def columns() -> list[Column[TypeRow]]:
    """Type, words, bits and size."""
    return [
        Column(lambda: translate("Lab", "Type"), lambda row: row.type, width=116, tip=_tip),
        Column(lambda: translate("Lab", "In plain words"), _words, tip=_tip),
        Column(lambda: translate("Lab", "Bits"), _bits, right=True, width=72, tip=_bits_tip),
        Column(lambda: translate("Lab", "Size (GB)"), _size, right=True, width=84),
    ]


def _words(row: TypeRow) -> str:
    return words.quant_note(row.type)


def _tip(row: TypeRow) -> str:
    return words.quant_tip(row.type)


def _bits(row: TypeRow) -> str:
    if row.sized is not None:
        return words.number(row.sized.bits, 2)
    bits = explain(row.type).bits
    return f"~{words.number(bits, 1)}" if bits else DASH


def _bits_tip(row: TypeRow) -> str:
    if row.sized is None:
        return translate("Lab", "Bits per weight of a large model; the real ones are known after a dry run.")
    if row.sized.fallbacks:
        count = len(row.sized.fallbacks)
        text = translate("Lab", "%n tensor(s) can't take this type and get another one.", "", count)
        return text + "\n" + "\n".join(row.sized.fallbacks[:6])
    return translate("Lab", "Bits per weight, as a dry run says.")


def _size(row: TypeRow) -> str:
    return words.gigabytes(row.sized.bytes) if row.sized is not None else DASH


class TypeTable(QWidget):
    """Several types can be ticked. ``changed`` when a tick changed, ``wanted`` when other rows are shown."""

    changed = Signal()
    wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._all = False
        self.model: CheckModel[TypeRow] = CheckModel(columns(), lambda row: row.type, self)
        self.table = CheckTable(self.model, self)
        self.table.verticalHeader().setDefaultSectionSize(theme.px(_ROW))
        self.table.setSizeAdjustPolicy(QAbstractScrollArea.SizeAdjustPolicy.AdjustToContents)
        self.more = make_button(self._toggle, "link", self, compact=True)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.table)
        column.addWidget(self.more)
        self.model.ticked.connect(self.changed)
        self.model.set_rows([TypeRow(kind) for kind in USUAL])
        self.model.check({"Q4_K_M"})
        self._retranslate()

    def types(self) -> tuple[str, ...]:
        """The ticked ones, the finest first."""
        return tuple(kind for kind in WRITABLE if kind in self.model.checked)

    def check(self, *types: str) -> None:
        """Tick these and no others."""
        self.model.check(types)
        if set(types) - set(USUAL) and not self._all:
            self._toggle()
        self.changed.emit()

    def listed(self) -> tuple[str, ...]:
        """The rows there are."""
        return tuple(row.type for row in self.model.rows)

    def show_sizes(self, sizes: Mapping[str, Sized]) -> None:
        """What dry runs have told so far."""
        kinds = WRITABLE if self._all else tuple(k for k in WRITABLE if k in USUAL or k in self.model.checked)
        self.model.set_rows([TypeRow(kind, sizes.get(kind)) for kind in kinds])
        self._fit()

    def _toggle(self) -> None:
        self._all = not self._all
        known = {row.type: row.sized for row in self.model.rows if row.sized is not None}
        self.model.set_rows([])
        self.show_sizes(known)
        self._retranslate()
        self.wanted.emit()

    def _fit(self) -> None:
        rows = min(len(self.model.rows), 16)
        header = self.table.horizontalHeader().sizeHint().height()
        self.table.setFixedHeight(header + rows * self.table.verticalHeader().defaultSectionSize() + 3)

    def _retranslate(self) -> None:
        self.table.setAccessibleName(self.tr("Types to make"))
        count = len(WRITABLE)
        self.more.setText(
            self.tr("Show the usual ones") if self._all else self.tr("Show all {count}").format(count=count)
        )
        self.model.refresh()
        self.table.fit_columns()
        self._fit()

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
        super().changeEvent(event)
