"""Sums of the usage history in a table: by model, chat, day or month."""

import datetime as dt
from typing import Any

from PySide6.QtCore import QDate, QLocale, Qt
from PySide6.QtWidgets import QTabBar, QVBoxLayout, QWidget

from app.planning.bills import Line
from app.ui import theme, words
from app.ui.table_model import Column, Table, TableModel
from app.ui.usage_report import Report
from app.ui.usage_words import energy, money, per_token

_GROUPS = ("model", "chat", "day", "month")
_WRITTEN = 3
"""Column of the tokens written, by which models and chats are sorted at first."""


class UsageSums(QWidget):
    """Four tabs over one table."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._group = "model"
        self._report: Report | None = None
        self.model: TableModel[Line] = TableModel(self._columns(), lambda line: line.key, self)
        self.table = Table(self.model, self)
        self.groups = QTabBar(self)
        self.groups.setDrawBase(False)
        for group in _GROUPS:
            self.groups.setTabData(self.groups.addTab(""), group)
        self.groups.currentChanged.connect(self._open_group)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(self.groups, 0, Qt.AlignmentFlag.AlignLeft)
        column.addWidget(self.table)

    def show_report(self, report: Report) -> None:
        """Fill the table of the open tab."""
        self._report = report
        self._show_group()

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
            return day_words(line.key, long=True)
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

    def retranslate(self) -> None:
        """Tabs and headers again."""
        tabs = (self.tr("By model"), self.tr("By chat"), self.tr("By day"), self.tr("By month"))
        for at, text in enumerate(tabs):
            self.groups.setTabText(at, text)
        self.groups.setAccessibleName(self.tr("Sums"))
        self.table.setAccessibleName(self.tr("Sums"))
        self.model.refresh()
        self.table.fit_columns()


def day_words(key: str, *, long: bool = False) -> str:
    """A day's name; ``long``: with the year."""
    day = dt.date.fromisoformat(key)
    form = QLocale.FormatType.ShortFormat if long else "d MMM"
    return QLocale().toString(_qdate(day), form)


def _month_words(key: str) -> str:
    return QLocale().toString(_qdate(dt.date.fromisoformat(f"{key}-01")), "MMMM yyyy")


def _qdate(day: dt.date) -> QDate:
    return QDate(day.year, day.month, day.day)
