"""The row over the live panels: pause, zoom, export."""

import csv
import io
import time
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QLocale
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QBoxLayout, QFileDialog, QMenu, QToolButton, QWidget

from app.core.series import SeriesStore
from app.ui.errors import describe
from app.ui.live_plot import SPAN
from app.ui.widgets import IconButton, make_label

if TYPE_CHECKING:
    from app.ui.panels import LivePanels


class PanelTools(QWidget):
    """Works on its panels; what goes wrong is said in the row itself."""

    def __init__(self, panels: "LivePanels") -> None:
        super().__init__(panels)
        self._panels = panels
        self.pause = IconButton("pause", lambda: panels.pause(not panels.paused), self)
        self.closer = IconButton("plus", lambda: panels.zoom(1), self)
        self.wider = IconButton("minus", lambda: panels.zoom(-1), self)
        self.export = IconButton("save", lambda: None, self)
        self.export.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self)
        # Made here, not by the menu: those it makes are sometimes gone for Python while Qt still has them.
        self._csv, self._png = QAction(self), QAction(self)
        for action, kind in ((self._csv, "csv"), (self._png, "png")):
            action.triggered.connect(lambda _on=False, kind=kind: self._ask(kind))
            menu.addAction(action)
        self.export.setMenu(menu)
        self.label = make_label("secondary", self)
        self._span = SPAN
        self._row = QBoxLayout(QBoxLayout.Direction.LeftToRight, self)
        self._row.setContentsMargins(12, 8, 12, 0)
        self._row.setSpacing(4)
        for widget in (self.pause, self.wider, self.label, self.closer):
            self._row.addWidget(widget)
        self._row.addStretch(1)
        self._row.addWidget(self.export)
        self._retranslate()

    def set_strip(self, strip: bool) -> None:
        """One below the other beside the panels of a strip."""
        directions = QBoxLayout.Direction
        self._row.setDirection(directions.TopToBottom if strip else directions.LeftToRight)
        self._row.setContentsMargins(*((8, 4, 0, 4) if strip else (12, 8, 12, 0)))
        for widget in (self.label, self.closer, self.wider):
            widget.setHidden(strip)  # there are no curves to zoom

    def show_paused(self, paused: bool) -> None:
        """The button says what a click will do."""
        self.pause.show_icon("play" if paused else "pause", "accent" if paused else "text-2")
        self._retranslate()

    def show_span(self, seconds: float) -> None:
        """How much time the curves show."""
        self._span = seconds
        self._retranslate()

    def _ask(self, kind: str) -> None:
        start = str(Path.home() / f"hearth-{time.strftime('%Y-%m-%d-%H%M')}.{kind}")
        filters = {"csv": self.tr("Table (*.csv)"), "png": self.tr("Picture (*.png)")}
        path, _ = QFileDialog.getSaveFileName(self, self.export.toolTip(), start, filters[kind])
        if path:
            self.write(Path(path))

    def write(self, path: Path) -> None:
        """By the name's end, a table or a picture."""
        write = self._panels.export_png if path.suffix == ".png" else self._panels.export_csv
        try:
            write(path)
        except OSError as error:
            self.label.setText(describe(error).text)
            self.label.setToolTip(str(error))

    def _retranslate(self) -> None:
        self.pause.set_words(self.tr("Go on") if self._panels_paused() else self.tr("Pause"))
        self.closer.set_words(self.tr("Show less time (Ctrl and wheel)"))
        self.wider.set_words(self.tr("Show more time (Ctrl and wheel)"))
        self.export.set_words(self.tr("Export"))
        self._csv.setText(self.tr("As a table (CSV)…"))
        self._png.setText(self.tr("As a picture (PNG)…"))
        minutes, seconds = divmod(round(self._span), 60)
        text = self.tr("{count} min") if not seconds else self.tr("{count} s")
        self.label.setText(
            text.format(count=QLocale().toString(minutes if not seconds else round(self._span)))
        )

    def _panels_paused(self) -> bool:
        return bool(getattr(self._panels, "paused", False))

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
        super().changeEvent(event)


def series_csv(series: SeriesStore) -> str:
    """Every reading of every source: seconds since the epoch, source, name, value; oldest first."""
    offset = time.time() - time.monotonic()
    rows = []
    for source, name in series.keys():  # noqa: SIM118 - not a mapping
        times, values = series.read(source, name)
        rows += [(offset + t, source, name, value) for t, value in zip(times, values, strict=True)]
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(("time", "source", "name", "value"))
    writer.writerows((f"{at:.3f}", *rest) for at, *rest in sorted(rows))
    return out.getvalue()
