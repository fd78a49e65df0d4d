"""A repository's files with what each takes: name in plain words, size, how it would run here, and its download."""

from collections.abc import Mapping
from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import QWidget

from app.core.events import DownloadChanged
from app.core.types import Forecast
from app.ui import theme, words
from app.ui.cells import TwoLineDelegate
from app.ui.figures import DASH, speed_text
from app.ui.prospects import MODELS
from app.ui.quant_cell import QuantCell, QuantRow, cell_width
from app.ui.table_model import Column, Table, TableModel

_ROW, _NAME, _SIZE, _HERE, _ACTION = 46, 0, 1, 2, 3
_ICON = 52
"""Pixels of the icon before a text, and of the cell's margins."""


class QuantTable(Table):
    """``pressed`` carries a quant's id and what its button asks for."""

    pressed = Signal(str, str)

    def __init__(self, parent: QWidget) -> None:
        self.model_: TableModel[QuantRow] = TableModel(self._columns(), lambda row: row.quant.id, parent)
        super().__init__(self.model_, parent, sortable=False)
        self._cells: dict[str, QuantCell] = {}
        self.verticalHeader().setDefaultSectionSize(_ROW)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        for column in (_NAME, _SIZE, _HERE):
            self.setItemDelegateForColumn(column, TwoLineDelegate(self))
        self.activated.connect(lambda index: self._press(index.row()))

    def _columns(self) -> list[Column[QuantRow]]:
        return [
            Column(
                lambda: self.tr("Quant"),
                self._name,
                note=_plain,
                tip=_tip,
                icon=lambda row: "check" if row.here else "",
                token=lambda _row: "text",
            ),
            Column(
                lambda: self.tr("Size (GB)"),
                lambda row: words.gigabytes(row.quant.bytes),
                note=self._bits,
                tip=self._bits_tip,
                right=True,
                width=76,
            ),
            Column(
                lambda: self.tr("On this machine"),
                lambda row: words.fit_words(row.fit),
                note=lambda row: speed_words(row.prospect.speed),
                width=152,
                token=lambda row: words.FIT_TOKENS.get(row.fit, "text-2"),
                icon=lambda row: words.FIT_ICONS.get(row.fit, ""),
                tip=self._here_tip,
            ),
            Column(lambda: "", lambda _row: "", width=150),
        ]

    # ------------------------------------------------------------------ content

    def show_rows(self, rows: list[QuantRow], downloads: Mapping[str, DownloadChanged]) -> None:
        """Show these; cells of kept rows stay."""
        self.model_.set_rows(rows)
        known = {row.quant.id for row in self.model_.rows}
        self._cells = {key: cell for key, cell in self._cells.items() if key in known}
        for at, row in enumerate(self.model_.rows):
            self._place(at, row, downloads.get(row.quant.id))
        self._fit_here()
        self._fit_height()

    def show_download(self, event: DownloadChanged) -> bool:
        """A download moved; False when it is none of these."""
        at = self.model_.find(event.id)
        if at is not None:
            self._place(at, self.model_.rows[at], event)
        return at is not None

    def cell(self, key: str) -> QuantCell | None:
        """The widgets at the end of a row."""
        return self._cells.get(key)

    def _place(self, at: int, row: QuantRow, download: DownloadChanged | None) -> None:
        index, key = self.model_.index(at, _ACTION), row.quant.id
        cell = self._cells.get(key)
        if cell is None or self.indexWidget(index) is not cell:
            cell = QuantCell(row, self)
            cell.pressed.connect(partial(self.pressed.emit, key))
            self._cells[key] = cell
            self.setIndexWidget(index, cell)
        cell.show_row(row, download)

    def _press(self, at: int) -> None:
        cell = self._cells.get(self.model_.rows[at].quant.id)
        if cell is not None:
            cell.press()

    def point_at(self, name: str) -> bool:
        """Select the row of a quant's name or a file's path."""
        for row in self.model_.rows:
            if name.lower() == row.quant.quant.lower() or any(part.name == name for part in row.quant.files):
                return self.select(row.quant.id)
        return False

    def fit_columns(self) -> None:
        super().fit_columns()
        self.setColumnWidth(_ACTION, cell_width())
        self._fit_here()

    def _fit_here(self) -> None:
        texts = [words.fit_words(fit) for fit in words.FIT_TOKENS]
        widest = max(QFontMetrics(theme.font("text")).horizontalAdvance(text) for text in texts)
        if any(row.prospect.speed for row in self.model_.rows):
            speed = QFontMetrics(theme.font("secondary")).horizontalAdvance(_speed_text("88.8", "88.8"))
            widest = max(widest, speed)
        self.setColumnWidth(_HERE, widest + _ICON)

    def _fit_height(self) -> None:
        # All rows, so that the page scrolls as one.
        rows = self.verticalHeader().length()
        self.setFixedHeight(max(80, rows + self.horizontalHeader().sizeHint().height() + 6))

    # ------------------------------------------------------------------ words

    def _name(self, row: QuantRow) -> str:
        if row.recommended:
            return self.tr("{quant} (recommended)").format(quant=row.quant.quant)
        return row.quant.quant

    def _bits(self, row: QuantRow) -> str:
        bits = row.quant.bits_per_weight
        return self.tr("{bits} bits").format(bits=words.number(bits, 1)) if bits else ""

    def _bits_tip(self, row: QuantRow) -> str:
        bits, files = row.quant.bits_per_weight, len(row.quant.files)
        lines = []
        if bits:
            lines.append(
                self.tr("{bits} bits per weight, all weights counted").format(bits=words.number(bits, 2))
            )
        if files > 1:
            lines.append(self.tr("In %n file(s), downloaded as one", "", files))
        return "\n".join(lines)

    def _here_tip(self, row: QuantRow) -> str:
        if row.quant.kind not in MODELS:
            return ""
        if not row.fit:
            return self.tr("Not known yet.")
        lines = []
        if row.prospect.needed:
            lines.append(
                self.tr("Needs about {size} of memory.").format(size=words.memory(row.prospect.needed))
            )
        if row.prospect.speed:
            lines.append(words.forecast_words(row.prospect.speed))
        return "\n".join(lines)


def _plain(row: QuantRow) -> str:
    return words.quant_note(row.quant.quant) if row.quant.kind in MODELS else words.kind_words(row.quant.kind)


def _tip(row: QuantRow) -> str:
    return words.quant_tip(row.quant.quant) if row.quant.kind in MODELS else words.kind_tip(row.quant.kind)


def speed_words(speed: Forecast | None) -> str:
    """A forecast as a range: ``about 12 to 18 tokens/s``."""
    if speed is None:
        return ""
    return _speed_text(speed_text(speed.low), speed_text(speed.high))


def _speed_text(low: str, high: str) -> str:
    text = words.translate("QuantTable", "about {low}{dash}{high} tokens/s")
    return text.format(low=low, dash=DASH, high=high)
