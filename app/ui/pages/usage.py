"""The Usage page: tokens, energy and money over 7, 30 or 90 days, by model, chat, day and month, beside an API."""

import datetime as dt
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QFileDialog,
    QFrame,
    QGridLayout,
    QLabel,
    QScrollArea,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from app.planning.bills import Line
from app.ui import tasks, theme, words
from app.ui.bar_chart import Bar, BarChart
from app.ui.bridge import Bridge
from app.ui.empty_state import EmptyState
from app.ui.errors import describe
from app.ui.figures import DASH
from app.ui.machine_card import MachineCard
from app.ui.page import Page
from app.ui.usage_prices import PriceCard
from app.ui.usage_report import Report, make_report
from app.ui.usage_sums import UsageSums, day_words
from app.ui.usage_words import energy, money
from app.ui.widgets import Banner, make_button, make_label

if TYPE_CHECKING:
    from app.compose import Services

SPANS = (7, 30, 90)
_WIDTH = 1120


class UsagePage(Page):
    """Everything is read again whenever the page comes to the front."""

    def __init__(self, services: "Services", bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(services, bridge, parent)
        self._span = 30
        self._report: Report | None = None
        self._task: tasks.Task[Any] | None = None
        self.banner = Banner(self)
        self.sums = UsageSums(self)
        self.spans = QButtonGroup(self)
        self.export = make_button(self._ask_export, parent=self)
        self.header.addStretch(1)
        for span in SPANS:
            button = make_button(partial(self.show_span, span), "", self, compact=True)
            button.setCheckable(True)
            button.setAutoExclusive(True)  # so screen readers call it one of several, not a check box
            self.spans.addButton(button, span)
            self.header.addWidget(button)
        self.spans.button(self._span).setChecked(True)
        self.header.addSpacing(8)
        self.header.addWidget(self.export)
        self._make_body()
        self.retranslate()

    # ------------------------------------------------------------------ building

    def _make_body(self) -> None:
        self.empty = EmptyState(self)
        self.empty.primary.connect(lambda: self.asked.emit("open", "chat"))
        self.machine, self.prices = MachineCard(self.services, self), PriceCard(self.services, self)
        self.prices.changed.connect(self.read)
        self.prices.settings_asked.connect(lambda: self.asked.emit("settings", "energy"))
        content = QWidget(self)
        self._column = QVBoxLayout(content)
        self._column.setSpacing(16)
        self._column.addLayout(self._tiles())
        self._column.addLayout(self._charts())
        self._column.addWidget(self.prices)
        self._column.addWidget(self.sums)
        self._column.addWidget(self.machine)
        self._column.addStretch(1)
        self._scroll = QScrollArea(self)
        self._scroll.setWidgetResizable(True)
        self._scroll.setWidget(content)
        self.stack = QStackedWidget(self)
        self.stack.addWidget(self._scroll)
        self.stack.addWidget(self.empty)
        self.body.setContentsMargins(0, 0, 0, 0)
        self.body.addWidget(self.banner)
        self.body.addWidget(self.stack, 1)

    def _tiles(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        self._numbers: list[QLabel] = []
        self._notes: list[QLabel] = []
        for at in range(4):
            card, number, note = (
                QFrame(self),
                make_label(parent=self),
                make_label("secondary", self, wrap=True),
            )
            card.setProperty("role", "card")
            font = theme.tabular(theme.font("text"))
            font.setPixelSize(theme.px(20))
            number.setFont(font)
            column = QVBoxLayout(card)
            column.setContentsMargins(16, 12, 16, 12)
            column.setSpacing(2)
            column.addWidget(number)
            column.addWidget(note)
            grid.addWidget(card, 0, at)
            grid.setColumnStretch(at, 1)
            self._numbers.append(number)
            self._notes.append(note)
        return grid

    def _charts(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        self._chart_names: list[QLabel] = []
        self.charts: list[BarChart] = []
        for at, parts in enumerate((("plot-2", "plot-1"), ("plot-3", "plot-4", "text-2"), ("plot-1",))):
            card, name, chart = QFrame(self), make_label("secondary", self), BarChart(parts, self)
            card.setProperty("role", "card")
            column = QVBoxLayout(card)
            column.setContentsMargins(16, 10, 16, 10)
            column.addWidget(name)
            column.addWidget(chart)
            grid.addWidget(card, 0, at)
            grid.setColumnStretch(at, 1)
            self._chart_names.append(name)
            self.charts.append(chart)
        return grid

    # ------------------------------------------------------------------ reading

    def entered(self) -> None:
        self.read()

    def show_span(self, days: int) -> None:
        """7, 30 or 90 days up to today."""
        self._span = days
        self.spans.button(days).setChecked(True)
        self.read()

    def read(self) -> None:
        """Gather the report anew."""
        if self._task is not None:
            self._task.cancel()
        services, span = self.services, self._span
        self._task = tasks.run(lambda: make_report(services, span), self.show_report, self._failed, self)

    def _failed(self, error: Exception) -> None:
        self.banner.show_error(describe(error))

    def show_report(self, report: Report) -> None:
        """Put everything in place."""
        self._report = report
        self.stack.setCurrentWidget(self._scroll if report.ever else self.empty)
        self.export.setEnabled(report.ever)
        self._show_tiles(report)
        self._show_charts(report)
        self.prices.show_report(report)
        self.sums.show_report(report)

    def _show_tiles(self, report: Report) -> None:
        line = report.total
        tokens = line.prompt_tokens + line.completion_tokens
        read, written = words.number(line.prompt_tokens), words.number(line.completion_tokens)
        unmeasured = line.requests - line.measured
        some = self.tr("{count} of {total} answers measured")
        measured = some.format(count=words.number(line.measured), total=words.number(line.requests))
        why = self.tr("power can't be read here: enter watts in the settings")
        texts = (
            (
                words.number(tokens),
                self.tr("tokens: {read} read, {written} written").format(read=read, written=written),
            ),
            (energy(line.joules), measured if unmeasured else self.tr("energy of all answers")),
            (self._money(line.cost), self._cost_note(line)),
            (self._money(line.per_million), self.tr("for a million tokens")),
        )
        for number, note, (value, text) in zip(self._numbers, self._notes, texts, strict=True):
            number.setText(value)
            number.setAccessibleName(f"{value} {text}")
            note.setText(
                text if value != DASH or not line.requests else why if report.prices.currency else text
            )

    def _cost_note(self, line: Line) -> str:
        if line.cost is None or not line.hardware:
            return self.tr("electricity")
        text = self.tr("electricity {electricity}, hardware {hardware}")
        return text.format(electricity=self._money(line.electricity), hardware=self._money(line.hardware))

    def _show_charts(self, report: Report) -> None:
        names = [day_words(line.key) for line in report.days]
        bars = (
            [
                Bar(n, (float(d.prompt_tokens), float(d.completion_tokens)))
                for n, d in zip(names, report.days, strict=True)
            ],
            [
                Bar(n, (d.prefill, d.decode, d.idle) if d.measured else (None, None, None))
                for n, d in zip(names, report.days, strict=True)
            ],
            [Bar(n, (d.cost,)) for n, d in zip(names, report.days, strict=True)],
        )
        parts = (
            (self.tr("read"), self.tr("written")),
            (self.tr("reading"), self.tr("writing"), self.tr("idle share")),
            ("",),
        )
        shows: tuple[Any, ...] = (_count, energy, self._money)
        priced = any(day.cost is not None for day in report.days)
        nothing = ("", "", "" if priced else self.tr("No price for electricity is chosen: see below."))
        for chart, values, part, show, why in zip(self.charts, bars, parts, shows, nothing, strict=True):
            chart.show_bars(values, part, show, why)

    def _money(self, value: float | None) -> str:
        return money(value, self._report.prices.currency if self._report else "")

    # ------------------------------------------------------------------ export

    def _ask_export(self) -> None:
        name = f"hearth-usage-{dt.date.today().isoformat()}.csv"
        start = str(Path.home() / name)
        path, _ = QFileDialog.getSaveFileName(self, self.tr("Export as CSV"), start, self.tr("Table (*.csv)"))
        if path:
            self.export_to(Path(path))

    def export_to(self, path: Path) -> None:
        """Write every request of the span as CSV."""
        today = dt.datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
        since = (today - dt.timedelta(days=self._span - 1)).timestamp()

        def work() -> None:
            path.write_text(self.services.usage.csv(since), "utf-8", newline="")

        def done(_none: object) -> None:
            self.banner.show_words(self.tr("Written to {path}.").format(path=path), "good")

        tasks.run(work, done, self._failed, self)

    # ------------------------------------------------------------------ words

    def retranslate(self) -> None:
        self.title.setText(self.tr("Usage"))
        for span in SPANS:
            days = span
            self.spans.button(span).setText(self.tr("%n day(s)", "", days))
        self.export.setText(self.tr("Export CSV"))
        titles = (self.tr("Tokens a day"), self.tr("Energy a day"), self.tr("Money a day"))
        for name, chart, title in zip(self._chart_names, self.charts, titles, strict=True):
            name.setText(title)
            chart.setAccessibleName(title)
        self.sums.retranslate()
        self.empty.show_state(
            self.tr("What your models cost"),
            self.tr(
                "Every answer is counted here: tokens, electricity and money, by model and by chat, beside what a"
                " hosted model would have cost. Ask something, and it begins."
            ),
            self.tr("Open the chat"),
        )
        if self._report is not None:
            self.show_report(self._report)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        side = max(24, (self.width() - theme.px(_WIDTH)) // 2)
        self._column.setContentsMargins(side, 16, side, 24)
        inset = max(24, (self.width() - theme.px(560)) // 2)
        self.empty.setContentsMargins(inset, 0, inset, 0)

    def focus(self) -> None:
        self.spans.button(self._span).setFocus()


def _count(value: float) -> str:
    return words.short_count(round(value))
