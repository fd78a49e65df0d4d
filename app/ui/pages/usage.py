"""The Usage page: tokens, energy and money over 7, 30 or 90 days, by model, chat, day and month, beside an API."""

import datetime as dt
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QDate, QLocale, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QFileDialog,
    QFrame,
    QGridLayout,
    QLabel,
    QScrollArea,
    QStackedWidget,
    QTabBar,
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
from app.ui.table_model import Column, Table, TableModel
from app.ui.usage_prices import PriceCard
from app.ui.usage_report import Report, make_report
from app.ui.usage_words import energy, money, per_token
from app.ui.widgets import Banner, make_button, make_label

if TYPE_CHECKING:
    from app.compose import Services

SPANS = (7, 30, 90)
_GROUPS = ("model", "chat", "day", "month")
_WIDTH = 1120
_WRITTEN = 3
"""Column of the tokens written, by which models and chats are sorted at first."""


class UsagePage(Page):
    """Everything is read again whenever the page comes to the front."""

    def __init__(self, services: "Services", bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(services, bridge, parent)
        self._span, self._group = 30, "model"
        self._report: Report | None = None
        self._task: tasks.Task[Any] | None = None
        self.banner = Banner(self)
        self.model: TableModel[Line] = TableModel(self._columns(), lambda line: line.key, self)
        self.table = Table(self.model, self)
        self.spans = QButtonGroup(self)
        self.export = make_button(self._ask_export, parent=self)
        self.header.addStretch(1)
        for span in SPANS:
            button = make_button(partial(self.show_span, span), "", self, compact=True)
            button.setCheckable(True)
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
        self._column.addWidget(self._table_card())
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

    def _table_card(self) -> QWidget:
        holder = QWidget(self)
        self.groups = QTabBar(holder)
        self.groups.setDrawBase(False)
        for group in _GROUPS:
            self.groups.setTabData(self.groups.addTab(""), group)
        self.groups.currentChanged.connect(self._open_group)
        column = QVBoxLayout(holder)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(self.groups, 0, Qt.AlignmentFlag.AlignLeft)
        column.addWidget(self.table)
        return holder

    def _columns(self) -> list[Column[Line]]:
        def numbers(title: Any, text: Any, sort: Any, width: int) -> Column[Line]:
            return Column(title, text, sort=sort, right=True, width=width)

        return [
            Column(self._group_title, self._name, sort=self._sort_key, tip=self._name),
            numbers(lambda: self.tr("Answers"), lambda r: words.number(r.requests), lambda r: r.requests, 60),
            numbers(
                lambda: self.tr("Tokens read"),
                lambda r: words.number(r.prompt_tokens),
                lambda r: r.prompt_tokens,
                84,
            ),
            numbers(
                lambda: self.tr("Written"),
                lambda r: words.number(r.completion_tokens),
                lambda r: r.completion_tokens,
                112,
            ),
            numbers(lambda: self.tr("Energy"), lambda r: energy(r.joules), lambda r: r.joules or -1.0, 84),
            Column(
                lambda: self.tr("J/token"),
                lambda r: per_token(r.decode_per_token),
                sort=lambda r: r.decode_per_token or -1.0,
                right=True,
                width=72,
                tip=self._energy_tip,
            ),
            numbers(lambda: self.tr("Cost"), lambda r: self._money(r.cost), lambda r: r.cost or -1.0, 92),
            numbers(
                lambda: self.tr("Per million"),
                lambda r: self._money(r.per_million),
                lambda r: r.per_million or -1.0,
                100,
            ),
        ]

    def _energy_tip(self, line: Line) -> str:
        text = self.tr("For each token: {read} to read it, {written} to write it.")
        return text.format(read=per_token(line.prefill_per_token), written=per_token(line.decode_per_token))

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
        self._show_group()

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
        names = [_day_words(line.key) for line in report.days]
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
        for chart, values, part, show in zip(self.charts, bars, parts, shows, strict=True):
            chart.show_bars(values, part, show)

    # ------------------------------------------------------------------ the table

    def _open_group(self, at: int) -> None:
        self._group = self.groups.tabData(at)
        self._show_group()

    def _show_group(self) -> None:
        if self._report is None:
            return
        self.model.set_rows([])
        self.model.set_rows(self._report.groups[self._group])
        self.model.refresh()
        by_time = self._group in ("day", "month")
        self.table.sortByColumn(0 if by_time else _WRITTEN, Qt.SortOrder.DescendingOrder)
        rows = min(max(len(self.model.rows), 1), 12)
        header = self.table.horizontalHeader().sizeHint().height()
        self.table.setFixedHeight(rows * theme.ROW_HEIGHT + header + 10)

    def _group_title(self) -> str:
        return {
            "model": self.tr("Model"),
            "chat": self.tr("Chat"),
            "day": self.tr("Day"),
            "month": self.tr("Month"),
        }[self._group]

    def _sort_key(self, line: Line) -> str:
        return line.key if self._group in ("day", "month") else self._name(line).lower()

    def _name(self, line: Line) -> str:
        if self._group == "day":
            return _day_words(line.key, long=True)
        if self._group == "month":
            return _month_words(line.key)
        if self._group == "model" or self._report is None:
            return line.key
        sources = {
            ":server": self.tr("API server"),
            ":cli": self.tr("Terminal"),
            ":chat": self.tr("Other chats"),
        }
        gone = self.tr("A chat that is gone")
        return sources.get(line.key) or self._report.titles.get(line.key) or gone

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
        tabs = (self.tr("By model"), self.tr("By chat"), self.tr("By day"), self.tr("By month"))
        for at, text in enumerate(tabs):
            self.groups.setTabText(at, text)
        self.groups.setAccessibleName(self.tr("Sums"))
        self.table.setAccessibleName(self.tr("Sums"))
        self.empty.show_state(
            self.tr("What your models cost"),
            self.tr(
                "Every answer is counted here: tokens, electricity and money, by model and by chat, beside what a"
                " hosted model would have cost. Ask something, and it begins."
            ),
            self.tr("Open the chat"),
        )
        self.model.refresh()
        self.table.fit_columns()
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


def _day_words(key: str, *, long: bool = False) -> str:
    day = dt.date.fromisoformat(key)
    form = QLocale.FormatType.ShortFormat if long else "d MMM"
    return QLocale().toString(_qdate(day), form)


def _month_words(key: str) -> str:
    return QLocale().toString(_qdate(dt.date.fromisoformat(f"{key}-01")), "MMMM yyyy")


def _qdate(day: dt.date) -> QDate:
    return QDate(day.year, day.month, day.day)
