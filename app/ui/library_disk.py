"""Disk use: what fills it, as a picture, and what could go first."""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtWidgets import QAbstractItemView, QHBoxLayout, QVBoxLayout, QWidget

from app.models.library_care import Idle, idle
from app.ui import tasks, theme, words
from app.ui.cells import TwoLineDelegate
from app.ui.library_parts import Dot
from app.ui.library_rows import Row, States, shown_name, times_used, used
from app.ui.table_model import Column, Table, TableModel
from app.ui.treemap import Tile, Treemap
from app.ui.widgets import make_button, make_label

if TYPE_CHECKING:
    from app.compose import Services

_DAY = 86_400.0
_AGES = ((7, "good"), (60, "plot-2"))
MOST = 12
"""Suggestions; more are no help."""


class DiskUse(QWidget):
    """``chosen`` a model to look at; ``delete_asked`` carries the ids that shall go."""

    chosen = Signal(str)
    delete_asked = Signal(list)

    def __init__(self, services: "Services", states: States, parent: QWidget) -> None:
        super().__init__(parent)
        self._services, self._states = services, states
        self._rows: dict[str, Row] = {}
        self._free: int | None = None
        self.summary = make_label("muted", self, wrap=True)
        self._legend = [make_label("secondary", self) for _ in range(3)]
        self.map = Treemap(self)
        self.map.chosen.connect(self.chosen)
        self.heading = make_label("heading", self)
        self.model: TableModel[Idle] = TableModel(self._columns(), lambda item: item.id, self)
        self.table = Table(self.model, self, sortable=False)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.table.verticalHeader().setDefaultSectionSize(theme.ROW_HEIGHT + 6)
        self.table.setItemDelegateForColumn(0, TwoLineDelegate(self.table))
        self.table.selectionModel().selectionChanged.connect(lambda *_: self._show_button())
        self.delete = make_button(self._ask, "danger", self)
        self._lay_out()
        self.retranslate()

    def _columns(self) -> list[Column[Idle]]:
        return [
            Column(
                lambda: self.tr("Model"),
                lambda item: shown_name(self._rows[item.id].record),
                note=lambda item: item.id,
                tip=lambda item: self._rows[item.id].record.path,
            ),
            Column(
                lambda: self.tr("Size (GB)"), lambda item: words.gigabytes(item.bytes), right=True, width=90
            ),
            Column(lambda: self.tr("Used"), lambda item: used(self._rows[item.id]), width=140),
            Column(
                lambda: self.tr("Times used"),
                lambda item: words.number(item.times_used),
                right=True,
                width=100,
            ),
        ]

    def _lay_out(self) -> None:
        foot = QHBoxLayout()
        foot.addWidget(self.heading, 1, Qt.AlignmentFlag.AlignVCenter)
        foot.addWidget(self.delete)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        legend = QHBoxLayout()
        legend.setSpacing(6)
        for token, label in zip((*(token for _, token in _AGES), "warn"), self._legend, strict=True):
            legend.addWidget(Dot(self, token))
            legend.addWidget(label)
            legend.addSpacing(10)
        legend.addStretch(1)
        column.addWidget(self.summary)
        column.addLayout(legend)
        column.addWidget(self.map, 3)
        column.addLayout(foot)
        column.addWidget(self.table, 2)

    # ------------------------------------------------------------------ content

    def show_rows(self, rows: Sequence[Row]) -> None:
        """Show what these models take."""
        self._rows = {row.id: row for row in rows}
        self.map.show_tiles([self._tile(row) for row in rows])
        keep = [row.id for row in rows if self._stays(row)]
        found = idle((row.record for row in rows), keep)[:MOST]
        self.model.set_rows(())
        self.model.set_rows(found)
        self._show_words()
        self._show_button()
        folder = self._services.paths.models
        tasks.run(lambda: _free(folder), self._show_free, lambda _error: None, self)

    def _stays(self, row: Row) -> bool:
        """Favourites, what is loaded, and what another program must remove itself."""
        return row.facts.favourite or self._states.live(row) or row.facts.place == "ollama"

    def _tile(self, row: Row) -> Tile:
        record = row.record
        note = f"{words.size(record.bytes)}  ·  {used(row)}"
        tip = "\n".join((record.id, words.size(record.bytes), times_used(row), record.path))
        return Tile(row.id, float(record.bytes), shown_name(record), note, _age_token(row), tip)

    def _show_free(self, free: int | None) -> None:
        self._free = free
        self._show_words()

    def _show_words(self) -> None:
        total = sum(row.record.bytes for row in self._rows.values())
        parts = [self.tr("Models take {size}").format(size=words.size(total))]
        if self._free is not None:
            parts.append(self.tr("{size} are free on this disk").format(size=words.size(self._free)))
        self.summary.setText("  ·  ".join(parts))

    def select(self, model: str) -> None:
        """Mark a model in the picture."""
        self.map.choose(model)

    def selected(self) -> list[str]:
        """Ids chosen among the suggestions."""
        rows = self.table.selectionModel().selectedRows()
        return [self.model.rows[index.row()].id for index in rows]

    def _show_button(self) -> None:
        names = self.selected()
        size = sum(self._rows[name].record.bytes for name in names if name in self._rows)
        self.delete.setEnabled(bool(names))
        text = self.tr("Delete {size}…").format(size=words.size(size)) if names else self.tr("Delete…")
        self.delete.setText(text)

    def _ask(self) -> None:
        if names := self.selected():
            self.delete_asked.emit(names)

    # ------------------------------------------------------------------ words

    def retranslate(self) -> None:
        """Put every text in place again."""
        ages = (self.tr("used this week"), self.tr("in the last two months"), self.tr("longer ago or never"))
        for label, text in zip(self._legend, ages, strict=True):
            label.setText(text)
        self.heading.setText(self.tr("What to delete first"))
        self.heading.setToolTip(
            self.tr("Large and long unused comes first; favourites and loaded models stay.")
        )
        self.map.setAccessibleName(self.tr("Models by size"))
        self.table.setAccessibleName(self.heading.text())
        self.model.refresh()
        self.table.fit_columns()
        if self._rows:
            self.map.show_tiles([self._tile(row) for row in self._rows.values()])
        self._show_words()
        self._show_button()

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self.retranslate()
        super().changeEvent(event)


def _age_token(row: Row) -> str:
    last = row.record.last_used_at
    days = (time.time() - last) / _DAY if last else None
    return next((token for limit, token in _AGES if days is not None and days < limit), "warn")


def _free(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
