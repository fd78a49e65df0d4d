"""Power and temperature of each device; what can't be measured says why."""

from collections.abc import Callable, Mapping

from PySide6.QtCore import QLocale
from PySide6.QtWidgets import QLabel, QWidget

from app.core.series import SeriesStore
from app.hardware.facts import Throttle
from app.ui.binned import Binned
from app.ui.figures import DASH
from app.ui.hardware_words import why_words
from app.ui.live_plot import Curve, LivePlot
from app.ui.memory_panel import device_order, is_device, source_words
from app.ui.panel_base import BigNumber, Panel

Reasons = Callable[[str], Mapping[str, str]]


class _Row:
    """One device: watts large, the rest small, a curve."""

    def __init__(self, panel: Panel, watts: Binned) -> None:
        self.watts = watts
        self.number, self.rest, self.plot = BigNumber(panel), panel.small(), LivePlot(panel)
        self.curve: Curve = self.plot.add_curve("", "plot-3")
        self.rest.setWordWrap(True)
        panel.add_headline(self.number, self.rest)
        panel.column.addWidget(self.plot)


class PowerPanel(Panel):
    """The processor by RAPL, GPUs by their drivers."""

    def __init__(self, series: SeriesStore, reasons: Reasons, parent: QWidget) -> None:
        super().__init__(parent)
        self._series, self._reasons = series, reasons
        self._rows: dict[str, _Row] = {}
        self._none: QLabel = self.small()
        self._none.setWordWrap(True)
        self.column.addWidget(self._none)
        self.restyle()
        self.retranslate()

    def retranslate(self) -> None:
        self.title.setText(self.tr("Power and temperature"))
        self._none.setText(self.tr("Not measured yet."))

    def refresh(self, now: float) -> None:
        known = self._series.keys()
        sources = sorted({source for source, _ in known if is_device(source)}, key=device_order)
        self._none.setVisible(not sources)
        for source in sources:
            self._show(source, now)

    def _show(self, source: str, now: float) -> None:
        name = "cpu_power" if source == "host" else "power"
        if source not in self._rows:
            self._rows[source] = _Row(self, Binned(self._series, name))
            self.restyle()
        row = self._rows[source]
        watts, reasons = self._series.last(source, name), self._reasons(source)
        why = (
            ""
            if watts is not None
            else why_words(reasons.get(name) or reasons.get("all") or "")
            or self.tr("its driver does not say")
        )
        locale = QLocale()
        text = DASH if watts is None else f"{locale.toString(watts, 'f', 1 if watts < 100 else 0)} W"
        device = self.tr("processor") if source == "host" else source_words(source)
        row.number.show_value(text, device, why)
        row.rest.setText(self._rest(source, device, why))
        row.rest.setToolTip(self._more(source))
        row.plot.setVisible(watts is not None and not self.strip)
        row.curve.name = self.tr("{device}, W").format(device=device)
        row.plot.setAccessibleName(row.curve.name)
        row.watts.follow(row.curve, [source], now, row.plot.span)
        row.plot.advance(now)

    def _rest(self, source: str, device: str, why: str) -> str:
        locale, parts = QLocale(), [device]
        temperature = self._series.last(source, "temperature")
        if temperature is not None:
            parts.append(f"{locale.toString(temperature, 'f', 0)} °C")
        use = self._series.last(source, "cpu_percent" if source == "host" else "utilization")
        if use is not None:
            parts.append(self.tr("{percent} % busy").format(percent=locale.toString(use, "f", 0)))
        parts += self._held(int(self._series.last(source, "throttle") or 0))
        if why and not self.strip:
            parts.append(self.tr("not measurable: {why}").format(why=why))
        return ", ".join(parts)

    def _more(self, source: str) -> str:
        """Clock and link, on hover."""
        locale, lines = QLocale(), []
        clock = self._series.last(source, "clock")
        if clock is not None:
            lines.append(self.tr("clock {clock} MHz").format(clock=locale.toString(clock, "f", 0)))
        generation, width = (self._series.last(source, f"pcie_{name}") for name in ("generation", "width"))
        if generation and width:
            lines.append(
                self.tr("PCIe {generation}, {width} lanes").format(
                    generation=int(generation), width=int(width)
                )
            )
        return "\n".join(lines)

    def _held(self, flags: int) -> list[str]:
        found = []
        if flags & Throttle.THERMAL:
            found.append(self.tr("slowed by heat"))
        if flags & Throttle.POWER:
            found.append(self.tr("at its power limit"))
        return found
