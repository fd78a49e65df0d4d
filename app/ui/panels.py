"""The live panels: tokens per second, memory per device, context of the current chat.

They read the series and the supervisor's snapshots four times a second through one timer that stops while hidden.
"""

import time
from collections.abc import Iterable

from PySide6.QtCore import QEvent, QLocale, Qt, QTimer
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import QBoxLayout, QHBoxLayout, QLabel, QWidget

from app.core.series import SeriesStore
from app.ui import theme
from app.ui.context_use import ContextUse, context_parts
from app.ui.figures import DASH, speed_text
from app.ui.live_plot import SPAN, Curve, LivePlot, StackBar
from app.ui.memory_panel import Instances, MemoryPanel
from app.ui.panel_base import BigNumber, Panel

PERIOD_MS = 250
_BIN = 0.5


class SpeedPanel(Panel):
    """Prefill and decode, never mixed; all loaded models together."""

    def __init__(self, series: SeriesStore, parent: QWidget) -> None:
        super().__init__(parent)
        self._series = series
        self._rows: list[tuple[str, BigNumber, QLabel, LivePlot, Curve]] = []
        for name, token in (("decode_tps", "plot-1"), ("prefill_tps", "plot-2")):
            number, label, plot = BigNumber(self), self.small(), LivePlot(self)
            row = QHBoxLayout()
            row.setSpacing(8)
            row.addWidget(number)
            row.addWidget(label, 1, Qt.AlignmentFlag.AlignBottom)
            self.column.addLayout(row)
            self.column.addWidget(plot)
            self._rows.append((name, number, label, plot, plot.add_curve("", token)))
        self.restyle()
        self.retranslate()

    def retranslate(self) -> None:
        self.title.setText(self.tr("Tokens per second"))
        names = {"decode_tps": self.tr("writing (decode)"), "prefill_tps": self.tr("reading (prefill)")}
        for name, _number, label, plot, curve in self._rows:
            label.setText(names[name])
            curve.name = names[name]
            plot.setAccessibleName(self.tr("{name}, last minute").format(name=names[name]))

    def refresh(self, now: float) -> None:
        known = self._series.keys()
        sources = {source for source, _ in known if source.startswith("instance:")}
        for name, number, label, plot, curve in self._rows:
            curve.times, curve.values = summed(self._series, sources, name, now)
            plot.advance(now)
            current = current_sum(self._series, sources, name, now)
            why = self.tr("No model has been asked yet.") if current is None else ""
            number.show_value(speed_text(current), label.text(), why)


def summed(
    series: SeriesStore, sources: Iterable[str], name: str, now: float
) -> tuple[list[float], list[float]]:
    """One series over several sources: the mean of each in bins of half a second, added up."""
    bins: dict[int, float] = {}
    for source in sources:
        own: dict[int, list[float]] = {}
        for t, value in zip(*series.read(source, name, now - SPAN), strict=True):
            own.setdefault(int(t / _BIN), []).append(value)
        for at, values in own.items():
            bins[at] = bins.get(at, 0.0) + sum(values) / len(values)
    order = sorted(bins)
    return [(at + 0.5) * _BIN for at in order], [bins[at] for at in order]


def current_sum(series: SeriesStore, sources: Iterable[str], name: str, now: float) -> float | None:
    """The newest value of every source added up; a source silent for three seconds counts as idle."""
    total, found = 0.0, False
    for source in sources:
        times, values = series.read(source, name, now - SPAN)
        if series.last(source, name) is not None:
            found = True
        if times and now - times[-1] < 3.0:
            total += values[-1]
    return total if found else None


class ContextPanel(Panel):
    """How full the current chat's context is."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._use = ContextUse()
        self._number, self._rest, self._bar = BigNumber(self), self.small(), StackBar(self)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self._number)
        row.addWidget(self._rest, 1, Qt.AlignmentFlag.AlignBottom)
        self.column.addLayout(row)
        self.column.addWidget(self._bar)
        self.restyle()
        self.retranslate()

    def retranslate(self) -> None:
        self.title.setText(self.tr("Context of this chat"))
        self._bar.setAccessibleName(self.tr("Context"))
        self.show_use(self._use)

    def show_use(self, use: ContextUse) -> None:
        """Show what fills the context now."""
        self._use = use
        locale = QLocale()
        if use.limit is None:
            why = use.why_unknown or self.tr("Known once a model is loaded and has read the chat.")
            self._number.show_value(DASH, self.title.text(), why)
            self._rest.setText(self.tr("no model loaded"))
            self._bar.show_parts([], 1.0)
            return
        self._number.show_value(locale.toString(use.used), self.title.text())
        percent = locale.toString(100.0 * use.used / use.limit, "f", 0)
        text = self.tr("of {limit} tokens, {percent} %")
        self._rest.setText(text.format(limit=locale.toString(use.limit), percent=percent))
        self._bar.show_parts(context_parts(use), float(use.limit))


class LivePanels(QWidget):
    """The dock's content. Give it the series and the supervisor; tell it what fills the chat's context."""

    def __init__(self, series: SeriesStore, instances: Instances, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.speed = SpeedPanel(series, self)
        self.memory = MemoryPanel(series, instances, self)
        self.context = ContextPanel(self)
        self._panels: tuple[Panel, ...] = (self.speed, self.memory, self.context)
        self._layout = QBoxLayout(QBoxLayout.Direction.TopToBottom, self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(0)
        for panel in self._panels:
            self._layout.addWidget(panel, 0, Qt.AlignmentFlag.AlignTop)
        self._layout.addStretch(1)
        self._timer = QTimer(self, interval=PERIOD_MS)
        self._timer.timeout.connect(self.refresh)
        theme.notifier().changed.connect(self._restyle)
        self._retranslate()

    def set_strip(self, strip: bool) -> None:
        """Side by side (a strip above the status bar) instead of one below the other."""
        directions = QBoxLayout.Direction
        self._layout.setDirection(directions.LeftToRight if strip else directions.TopToBottom)
        # A strip is low: the numbers and bars stay, the curves come back with the height.
        for plot in self.findChildren(LivePlot):
            plot.setHidden(strip)
        for panel in self._panels:
            panel.column.setContentsMargins(16, 4 if strip else 12, 16, 4 if strip else 12)
            panel.column.setSpacing(0 if strip else 4)
            self._layout.setStretchFactor(panel, 1 if strip else 0)

    def show_context(self, use: ContextUse) -> None:
        """What fills the current chat's context."""
        self.context.show_use(use)

    def refresh(self) -> None:
        """Read everything once."""
        now = time.monotonic()
        for panel in self._panels:
            panel.refresh(now)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.refresh()
        self._timer.start()

    def hideEvent(self, event: QHideEvent) -> None:
        self._timer.stop()
        super().hideEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
        super().changeEvent(event)

    def _retranslate(self) -> None:
        self.setAccessibleName(self.tr("Live readings"))
        for panel in self._panels:
            panel.retranslate()

    def _restyle(self) -> None:
        for panel in self._panels:
            panel.restyle()
