"""The live panels: tokens per second, memory, context, power, batch; with pause, zoom and export.

They read the series and the supervisor's snapshots ten times a second through one timer that stops while hidden.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from PySide6.QtCore import QEvent, QLocale, Qt, QTimer
from PySide6.QtGui import QHideEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QBoxLayout, QWidget

from app.core.series import SeriesStore
from app.ui import theme
from app.ui.context_use import ContextUse, context_parts, reused_words
from app.ui.figures import DASH
from app.ui.held import HeldInstances, HeldSeries
from app.ui.live_plot import SPAN, SPANS, LivePlot, StackBar
from app.ui.memory_panel import Devices, Forecast, Instances, MemoryPanel
from app.ui.panel_base import BigNumber, Panel
from app.ui.panel_tools import PanelTools, series_csv
from app.ui.power_panel import PowerPanel
from app.ui.speed_panel import BatchPanel, SpeedPanel

PERIOD_MS = 100
SLOW_EVERY = 5
"""Panels whose readings come once a second are read on every fifth tick."""
_SPARE = 24
"""Pixels a strip must have to spare before a panel comes back."""


class ContextPanel(Panel):
    """How full the current chat's context is."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._use = ContextUse()
        self._number, self._rest, self._bar = BigNumber(self), self.small(), StackBar(self)
        self._reused, self._parts = self.small(), self.small()
        self._reused.setWordWrap(True)
        self._parts.setTextFormat(Qt.TextFormat.RichText)
        self._parts.setWordWrap(True)
        self.add_headline(self._number, self._rest)
        for widget in (self._bar, self._parts, self._reused):
            self.column.addWidget(widget)
        self.restyle()
        self.retranslate()

    def restyle(self) -> None:
        super().restyle()
        self.show_use(self._use)

    def retranslate(self) -> None:
        self.title.setText(self.tr("Context of this chat"))
        self._bar.setAccessibleName(self.tr("Context"))
        self.show_use(self._use)

    def show_use(self, use: ContextUse) -> None:
        """Show what fills the context now."""
        self._use = use
        locale = QLocale()
        self._reused.setText(reused_words(use))
        self._reused.setVisible(bool(use.reused) and not self.strip)
        if use.limit is None:
            why = use.why_unknown or self.tr("Known once a model is loaded and has read the chat.")
            self._number.show_value(DASH, self.title.text(), why)
            self._rest.setText(self.tr("no model loaded"))
            self._bar.show_parts([], 1.0)
            self._parts.hide()
            return
        self._number.show_value(locale.toString(use.used), self.title.text())
        percent = locale.toString(100.0 * use.used / use.limit, "f", 0)
        text = self.tr("of {limit} tokens, {percent} %")
        self._rest.setText(text.format(limit=locale.toString(use.limit), percent=percent))
        parts = context_parts(use)
        self._bar.show_parts(parts, float(use.limit))
        squares = [
            f'<span style="color:{theme.color(token).name()}">■</span>&nbsp;'
            + f"{name} {text}".replace(" ", "&nbsp;")
            for name, size, text, token in parts[:-1]
            if size
        ]
        self._parts.setText("&nbsp; ".join(squares))
        self._parts.setVisible(bool(squares) and not self.strip)


class LivePanels(QWidget):
    """The dock's content. Give it the series and the supervisor; tell it what fills the chat's context. ``reasons``
    says why a source's values are unknown, ``forecast`` what plans were forecast to take, ``devices`` which card
    each of ggml's devices is."""

    def __init__(
        self,
        series: SeriesStore,
        instances: Instances,
        parent: QWidget | None = None,
        *,
        reasons: Callable[[str], Mapping[str, str]] = lambda _source: {},
        forecast: Forecast | None = None,
        devices: Devices | None = None,
    ) -> None:
        super().__init__(parent)
        self._series, self._ticks, self.span = series, 0, SPAN
        self.paused, self._paused_at = False, 0.0
        self._use = ContextUse()
        self._held = (HeldSeries(series), HeldInstances(instances))
        shown, loaded = self._held
        self.tools = PanelTools(self)
        self.speed = SpeedPanel(shown, self)
        self.memory = MemoryPanel(shown, loaded, self, forecast, devices)
        self.context = ContextPanel(self)
        self.power = PowerPanel(shown, reasons, self)
        self.batch = BatchPanel(shown, loaded, self)
        self._panels: tuple[Panel, ...] = (self.speed, self.memory, self.context, self.power, self.batch)
        self._slow: tuple[Panel, ...] = (self.memory, self.power)
        self._layout = QBoxLayout(QBoxLayout.Direction.TopToBottom, self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(0)
        self._layout.addWidget(self.tools, 0, Qt.AlignmentFlag.AlignTop)
        for panel in self._panels:
            self._layout.addWidget(panel, 0, Qt.AlignmentFlag.AlignTop)
        self._layout.addStretch(1)
        self._timer = QTimer(self, interval=PERIOD_MS)
        self._timer.timeout.connect(self._tick)
        theme.notifier().changed.connect(self._restyle)
        self._retranslate()

    def set_strip(self, strip: bool) -> None:
        """Side by side (a strip above the status bar) instead of one below the other."""
        directions = QBoxLayout.Direction
        self._layout.setDirection(directions.LeftToRight if strip else directions.TopToBottom)
        self.tools.set_strip(strip)
        # A strip is low: the numbers and bars stay, the curves come back with the height.
        for plot in self.findChildren(LivePlot):
            plot.setHidden(strip)
        for panel in self._panels:
            panel.strip = strip
            panel.column.setContentsMargins(16, 4 if strip else 12, 16, 4 if strip else 12)
            panel.column.setSpacing(0 if strip else 4)
            self._layout.setStretchFactor(panel, 1 if strip else 0)
        self.fit_strip()
        self.context.retranslate()
        self._take_height()

    def fit_strip(self) -> None:
        """Show the panels that a strip has room for, the first of them in any case; a column has room for all."""
        holder = self.parentWidget()
        room, strip = holder.width() if holder is not None else self.width(), self.speed.strip
        needed = self.tools.minimumSizeHint().width()
        for panel in self._panels:
            needed += panel.minimumSizeHint().width()
            spare = _SPARE if panel.isHidden() else 0  # what went for a digit more does not come back at once
            fits = needed + spare <= room or panel is self.speed
            panel.setHidden(strip and (panel is self.batch or not fits))

    def show_context(self, use: ContextUse) -> None:
        """What fills the current chat's context; while it is paused, shown afterwards."""
        self._use = use
        if not self.paused:
            self.context.show_use(use)

    # ------------------------------------------------------------------ reading

    def refresh(self) -> None:
        """Read everything once: as it is, or as it was when it was paused."""
        now = self._paused_at if self.paused else time.monotonic()
        for panel in self._panels:
            panel.refresh(now)
        self._follow_plots()

    def _tick(self) -> None:
        self._ticks += 1
        now = time.monotonic()
        for panel in self._panels:
            due = panel not in self._slow or self._ticks % SLOW_EVERY == 0
            if due and not panel.isHidden():
                panel.refresh(now)
        if self._ticks % SLOW_EVERY == 0:
            self._follow_plots()

    def _follow_plots(self) -> None:
        """Plots come with the devices: new ones get the span in force."""
        for plot in self.findChildren(LivePlot):
            if plot.span != self.span:
                plot.set_span(self.span)
            if not plot.property("followed"):
                plot.setProperty("followed", True)
                plot.zoomed.connect(self.zoom)
        if self.speed.strip:
            self.fit_strip()
        self._take_height()

    def _take_height(self) -> None:
        """What the words need in this width: a scroll area only asks for the least height, and would squeeze them."""
        strip = self._layout.direction() == QBoxLayout.Direction.LeftToRight
        self.setMinimumHeight(0 if strip else self._layout.totalHeightForWidth(self.width()))

    def pause(self, on: bool) -> None:
        """Hold what is shown, and what was before it; readings go on being kept."""
        self.paused, self._paused_at = on, time.monotonic()
        for held in self._held:
            if on:
                held.hold()
            else:
                held.release()
        self.tools.show_paused(on)
        self.show_context(self._use)
        if on:
            self._timer.stop()
        elif self.isVisible():
            self.refresh()
            self._timer.start()

    def zoom(self, steps: int) -> None:
        """+1 shows less time, -1 more."""
        at = SPANS.index(self.span) - steps
        self.span = SPANS[min(len(SPANS) - 1, max(0, at))]
        self.tools.show_span(self.span)
        self._follow_plots()
        self.refresh()

    # ------------------------------------------------------------------ export

    def export_csv(self, path: Path) -> None:
        """Every reading that is kept. Raises OSError."""
        path.write_text(series_csv(self._series), "utf-8", newline="")

    def export_png(self, path: Path) -> None:
        """A picture of the panels as they are. Raises OSError."""
        if not self.grab().save(str(path), "PNG"):
            raise OSError(f"{path} could not be written")

    # ------------------------------------------------------------------ Qt's events

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if not self.paused:
            self.refresh()
            self._timer.start()

    def hideEvent(self, event: QHideEvent) -> None:
        self._timer.stop()
        super().hideEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._take_height()

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
            if self.isVisible():
                self.refresh()  # what readings are missing, and why, is said anew
        super().changeEvent(event)

    def _retranslate(self) -> None:
        self.setAccessibleName(self.tr("Live readings"))
        for panel in self._panels:
            panel.retranslate()

    def _restyle(self) -> None:
        for panel in self._panels:
            panel.restyle()
