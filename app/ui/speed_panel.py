"""Tokens per second, and how full the engine's steps are."""

from PySide6.QtCore import QLocale, Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QWidget

from app.core.series import SeriesStore
from app.ui.binned import Binned, bin_width, current_sum
from app.ui.figures import DASH, speed_text
from app.ui.live_plot import Curve, LivePlot, StackBar
from app.ui.memory_panel import Instances
from app.ui.panel_base import BigNumber, Panel

_SILENT = 3.0
"""Seconds after which a source that says nothing counts as idle."""


class SpeedPanel(Panel):
    """Prefill and decode, never mixed; all loaded models together, and for each answer."""

    def __init__(self, series: SeriesStore, parent: QWidget) -> None:
        super().__init__(parent)
        self._series, self._clock = series, Clock()
        self._rows: list[tuple[str, BigNumber, QLabel, LivePlot, Curve]] = []
        self._sums = {name: Binned(series, name) for name in ("decode_tps", "prefill_tps", "active")}
        for name, token in (("decode_tps", "plot-1"), ("prefill_tps", "plot-2")):
            number, label, plot = BigNumber(self), self.small(), LivePlot(self)
            label.setWordWrap(True)
            row = QHBoxLayout()
            row.setSpacing(8)
            row.addWidget(number)
            row.addWidget(label, 1, Qt.AlignmentFlag.AlignBottom)
            self.column.addLayout(row)
            self.column.addWidget(plot)
            self._rows.append((name, number, label, plot, plot.add_curve("", token)))
        self.each = self._rows[0][3].add_curve("", "plot-3")
        self.restyle()
        self.retranslate()

    def retranslate(self) -> None:
        self.title.setText(self.tr("Tokens per second"))
        self._names = {"decode_tps": self.tr("writing (decode)"), "prefill_tps": self.tr("reading (prefill)")}
        for name, _number, label, plot, curve in self._rows:
            label.setText(self._names[name])
            curve.name = self._names[name]
            plot.setAccessibleName(self.tr("{name}, last minute").format(name=self._names[name]))
        self.each.name = self.tr("for each answer")

    def refresh(self, now: float) -> None:
        sources = instance_sources(self._series)
        answers = current_sum(self._series, sources, "active", now - _SILENT) or 0.0
        fresh = self._clock.due(now, self._rows[0][3].span)
        for name, number, label, plot, curve in self._rows:
            if fresh:
                self._sums[name].follow(curve, sources, now, plot.span)
            if name == "decode_tps":
                self._show_each(label, answers, curve, sources, now, fresh)
            plot.advance(now)
            current = current_sum(self._series, sources, name, now - _SILENT)
            why = self.tr("No model has been asked yet.") if current is None else ""
            number.show_value(speed_text(current), label.text(), why)

    def _show_each(
        self, label: QLabel, answers: float, curve: Curve, sources: set[str], now: float, fresh: bool
    ) -> None:
        """With several answers at once: what each of them gets."""
        words = self._names["decode_tps"]
        if fresh:
            self.each.times, self.each.values = [], []
        if answers > 1:
            speed = (current_sum(self._series, sources, "decode_tps", now - _SILENT) or 0.0) / answers
            text = self.tr("{name}, {speed} for each of {count} answers")
            words = text.format(name=words, speed=speed_text(speed), count=round(answers))
            if fresh:
                self._divide(curve, sources, now)
        if label.text() != words:
            label.setText(words)

    def _divide(self, curve: Curve, sources: set[str], now: float) -> None:
        active = Curve("", "")
        self._sums["active"].follow(active, sources, now, self._rows[0][3].span)
        running = dict(zip(active.times, active.values, strict=True))
        pairs = zip(curve.times, curve.values, strict=True)
        self.each.times = list(curve.times)
        self.each.values = [value / max(1.0, running.get(at, 1.0)) for at, value in pairs]


class Clock:
    """Curves are made of half seconds: made anew when one has passed, moved along in between."""

    def __init__(self) -> None:
        self._last = (0, 0.0)

    def due(self, now: float, span: float) -> bool:
        """Whether a curve over ``span`` seconds has a new point."""
        key = (int(now / bin_width(span)), span)
        fresh, self._last = key != self._last, key
        return fresh


class BatchPanel(Panel):
    """What one step of the engine computes, who is answered and who waits, and how full the caches are."""

    def __init__(self, series: SeriesStore, instances: Instances, parent: QWidget) -> None:
        super().__init__(parent)
        self._series, self._instances, self._clock = series, instances, Clock()
        self._sum = Binned(series, "batch")
        self._number, self._rest = BigNumber(self), self.small()
        self._plot, self._cells, self._bar = LivePlot(self), self.small(), StackBar(self)
        self._curve = self._plot.add_curve("", "plot-4")
        self._rest.setWordWrap(True)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self._number)
        row.addWidget(self._rest, 1, Qt.AlignmentFlag.AlignBottom)
        self.column.addLayout(row)
        self.column.addWidget(self._plot)
        self.column.addWidget(self._cells)
        self.column.addWidget(self._bar)
        self.restyle()
        self.retranslate()

    def retranslate(self) -> None:
        self.title.setText(self.tr("Batch"))
        self._curve.name = self.tr("tokens in a step")
        self._plot.setAccessibleName(self.tr("Tokens in a step, last minute"))
        self._bar.setAccessibleName(self.tr("KV cache"))

    def refresh(self, now: float) -> None:
        sources = instance_sources(self._series)
        if self._clock.due(now, self._plot.span):
            self._sum.follow(self._curve, sources, now, self._plot.span)
        self._plot.advance(now)
        count = QLocale().toString
        tokens = current_sum(self._series, sources, "batch", now - _SILENT)
        answering = round(current_sum(self._series, sources, "active", now - _SILENT) or 0)
        waiting = round(current_sum(self._series, sources, "waiting", now - _SILENT) or 0)
        most = sum(item.plan.n_batch for item in self._instances.snapshots() if item.plan is not None)
        why = self.tr("No model has been asked yet.") if tokens is None else ""
        self._number.show_value(DASH if tokens is None else count(round(tokens)), self.title.text(), why)
        text = self.tr("of {most} tokens a step; {answering} answering, {waiting} waiting")
        words = text.format(most=count(most), answering=count(answering), waiting=count(waiting))
        self._rest.setText(words if most else self.tr("no model loaded"))
        self._show_cells(sources, now)

    def _show_cells(self, sources: set[str], now: float) -> None:
        used = sum(self._series.last(source, "kv_used") or 0.0 for source in sources)
        whole = sum(self._series.last(source, "kv_total") or 0.0 for source in sources)
        count = QLocale().toString
        free = max(0.0, whole - used)
        self._cells.setText(
            self.tr("{used} of {whole} cells of the KV cache").format(
                used=count(round(used)), whole=count(round(whole))
            )
            if whole
            else ""
        )
        self._bar.setVisible(whole > 0)
        parts = [
            (self.tr("used"), used, count(round(used)), "plot-1"),
            (self.tr("free"), free, count(round(free)), "raised"),
        ]
        self._bar.show_parts(parts, whole or 1.0)


def instance_sources(series: SeriesStore) -> set[str]:
    """The sources of all loaded models."""
    return {source for source, _ in series.keys() if source.startswith("instance:")}  # noqa: SIM118 - not a mapping
