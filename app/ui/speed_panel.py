"""Tokens per second, and how full the engine's steps are."""

import html

from PySide6.QtCore import QCoreApplication, QLocale, Qt
from PySide6.QtWidgets import QLabel, QWidget

from app.core.series import SeriesStore
from app.ui import theme
from app.ui.binned import Binned, bin_width, current_sum
from app.ui.figures import DASH, speed_text
from app.ui.live_plot import Curve, LivePlot, StackBar
from app.ui.memory_panel import Instances
from app.ui.panel_base import BigNumber, Panel

_SILENT = 3.0
"""Seconds after which a source that says nothing counts as idle."""
MOST_LINES = 8
"""Answers that get a line of their own."""
_COLOURS = ("plot-3", "plot-4", "text-2", "warn")
"""Of the answers' lines, again from the start beyond four; the first two are those of the sums."""


class SpeedPanel(Panel):
    """Prefill and decode, never mixed: all loaded models together, and each open answer by itself."""

    def __init__(self, series: SeriesStore, parent: QWidget) -> None:
        super().__init__(parent)
        self._series, self._clock, self._slow_clock = series, Clock(), Clock(2)
        self._rows: list[tuple[str, BigNumber, QLabel, LivePlot, Curve]] = []
        self._sums = {name: Binned(series, name) for name in ("decode_tps", "prefill_tps")}
        for name, token in (("decode_tps", "plot-1"), ("prefill_tps", "plot-2")):
            number, label, plot = BigNumber(self), self.small(), LivePlot(self)
            label.setWordWrap(True)
            self.add_headline(number, label)
            self.column.addWidget(plot)
            self._rows.append((name, number, label, plot, plot.add_curve("", token)))
        self.answers = {name: AnswerLines(series, name, plot) for name, _, _, plot, _ in self._rows}
        self.legend = self.small()
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.legend.setWordWrap(True)
        self.legend.hide()
        self.column.insertWidget(self.column.indexOf(self._rows[0][3]) + 1, self.legend)
        self.restyle()
        self.retranslate()

    def retranslate(self) -> None:
        self.title.setText(self.tr("Tokens per second"))
        self._names = {"decode_tps": self.tr("writing (decode)"), "prefill_tps": self.tr("reading (prefill)")}
        for name, _number, label, plot, curve in self._rows:
            label.setText(self._names[name])
            curve.name = self._names[name]
            plot.setAccessibleName(self.tr("{name}, last minute").format(name=self._names[name]))

    def refresh(self, now: float) -> None:
        sources = instance_sources(self._series)
        span = self._rows[0][3].span
        fresh, anew = self._clock.due(now, span), self._slow_clock.due(now, span)
        for name, number, label, plot, curve in self._rows:
            if fresh:
                self._sums[name].follow(curve, sources, now, plot.span)
            if anew:  # there may be many of these: half as often
                self.answers[name].follow(now)
                alone = not self.answers[name].lines
                curve.name = self._names[name] if alone else self.tr("all together")
            plot.advance(now)
            current = current_sum(self._series, sources, name, now - _SILENT)
            why = self.tr("No model has been asked yet.") if current is None else ""
            number.show_value(speed_text(current), label.text(), why)
        self._show_legend(now)

    def _show_legend(self, now: float) -> None:
        """The lines of the answers being written, with what each gets now."""
        shown = self.answers["decode_tps"].open(now)
        parts: list[tuple[str, str, float | None]] = []
        if len(shown) > 1:
            parts = [("plot-1", self.tr("all together"), None), *shown]
        squares = []
        for token, name, speed in parts[: MOST_LINES + 1]:
            text = html.escape(name if speed is None else f"{name} {speed_text(speed)}").replace(
                " ", "&nbsp;"
            )
            squares.append(f'<span style="color:{theme.color(token).name()}">■</span>&nbsp;{text}')
        if len(shown) > MOST_LINES:
            squares.append(self.tr("and %n more", "", len(shown) - MOST_LINES))
        legend = "&nbsp; ".join(squares)
        if legend != self.legend.text():
            self.legend.setText(legend)
        self.legend.setVisible(bool(parts) and not self.strip)


class AnswerLines:
    """A line for each answer, in the plot of all together; none while there was only one answer at a time."""

    def __init__(self, series: SeriesStore, name: str, plot: LivePlot) -> None:
        self._series, self._name, self._plot = series, name, plot
        self._binned: dict[tuple[str, str], tuple[Binned, Curve]] = {}
        self.lines: list[Curve] = []

    def follow(self, now: float) -> None:
        """Bring the lines up to ``now``."""
        known = [key for key in self._series.keys() if key[1].startswith(f"{self._name}/")]  # noqa: SIM118
        begin = now - self._plot.span
        recent = [key for key in known if (self._series.newest(*key) or (0.0,))[0] >= begin]
        self._binned = {key: self._binned.get(key) or self._make(key) for key in sorted(recent, key=_order)}
        several = len({source for source, _ in self._binned}) > 1
        for at, (key, (binned, curve)) in enumerate(self._binned.items()):
            number = int(key[1].partition("/")[2])
            curve.name = _words(key[0], number, several)
            curve.token = _COLOURS[(at if several else number - 1) % len(_COLOURS)]
            binned.follow(curve, [key[0]], now, self._plot.span)
        found = [curve for _, curve in self._binned.values()] if len(self._binned) > 1 else []
        self.lines = [curve for curve in found if any(curve.values)][:MOST_LINES]
        self._plot.curves[1:] = self.lines

    def _make(self, key: tuple[str, str]) -> tuple[Binned, Curve]:
        return Binned(self._series, key[1]), Curve("", "")

    def open(self, now: float) -> list[tuple[str, str, float]]:
        """(colour, name, tokens per second) of the answers that are being written."""
        found = []
        for key, (_, curve) in self._binned.items():
            t, speed = self._series.newest(*key) or (0.0, 0.0)
            if speed and t >= now - _SILENT:
                found.append((curve.token, curve.name, speed))
        return found


def _order(key: tuple[str, str]) -> tuple[str, int]:
    return key[0], int(key[1].partition("/")[2])


def _words(source: str, number: int, several: bool) -> str:
    """An answer's name; with the model's when several are at work."""
    text = QCoreApplication.translate("SpeedPanel", "answer {number}").format(number=number)
    return f"{text}, {source.partition(':')[2].rpartition('/')[2]}" if several else text


class Clock:
    """Curves are made of half seconds: made anew when ``count`` have passed, moved along in between."""

    def __init__(self, count: int = 1) -> None:
        self._count, self._last = count, (0, 0.0)

    def due(self, now: float, span: float) -> bool:
        """Whether a curve over ``span`` seconds has a new point."""
        key = (int(now / bin_width(span) / self._count), span)
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
        self.add_headline(self._number, self._rest)
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
