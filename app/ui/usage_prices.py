"""Beside an API: the verdict in words over an editable table of prices, and the tariff that counts."""

import datetime as dt
from functools import partial
from typing import TYPE_CHECKING

import msgspec
from PySide6.QtCore import QCoreApplication, QEvent, Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.core.errors import fill
from app.planning.costs import VERDICTS, ApiPrice, Verdict, cheapest, compare
from app.planning.price_tables import OWN, PriceTables, rate_to
from app.ui import tasks, theme, words
from app.ui.dialogs import confirm
from app.ui.errors import describe
from app.ui.figures import DASH
from app.ui.usage_report import Report
from app.ui.usage_words import amount, money
from app.ui.widgets import make_button, make_label

if TYPE_CHECKING:
    from app.compose import Services

translate = QCoreApplication.translate
_NAME, _INPUT, _OUTPUT, _THERE, _TIMES = range(5)


def verdict_words(found: Verdict) -> str:
    """The comparison in the language in force."""
    params = dict(found.params)
    if "ratio" in params:
        ratio = float(params["ratio"])
        params["local"], params["api"] = amount(float(params["here"])), amount(float(params["there"]))
        params["times"] = words.number(ratio, 1 if ratio < 10 else 0)
    return fill(translate("Planning", VERDICTS[found.code]), params)


class ApiTable(QTableWidget):
    """Prices for a million tokens, changed in place; what our tokens would have cost there."""

    changed = Signal(tuple)
    """The whole table after an edit."""
    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, 5, parent)
        self._apis: list[ApiPrice] = []
        self._filling = False
        self.setShowGrid(False)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setTabKeyNavigation(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(theme.ROW_HEIGHT)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(_NAME, QHeaderView.ResizeMode.Stretch)
        self.itemChanged.connect(self._edited)
        self.itemSelectionChanged.connect(self._selected)

    def show_report(self, report: Report, chosen: str, rate: float | None) -> None:
        """Fill every row; ``rate``: units of our currency for a dollar."""
        self._filling = True
        self._apis = list(report.apis)
        self.setRowCount(len(self._apis))
        for at, api in enumerate(self._apis):
            self._fill_row(at, api, report, rate)
        row = next((at for at, api in enumerate(self._apis) if api.id == chosen), 0)
        self.selectRow(row)
        self._filling = False
        rows = len(self._apis) * theme.ROW_HEIGHT
        self.setFixedHeight(
            min(rows, 10 * theme.ROW_HEIGHT) + self.horizontalHeader().sizeHint().height() + 10
        )

    def _fill_row(self, at: int, api: ApiPrice, report: Report, rate: float | None) -> None:
        line = report.total
        there = api.cost(line.prompt_tokens, line.completion_tokens)
        currency = report.prices.currency if rate else api.currency
        cost = line.cost
        times = DASH
        if cost and rate:
            same = api.cost(line.measured_prompt, line.measured_completion) * rate
            times = f"{words.number(same / cost, 1 if same < 10 * cost else 0)}×" if cost else DASH
        texts = (
            api.name,
            words.number(api.input, 3),
            words.number(api.output, 3),
            money(there * (rate or 1), currency),
        )
        tip = self.tr("{provider}, prices of {date}: {source}. Double-click to change.").format(
            provider=api.provider, date=api.as_of, source=translate("Tariffs", api.source)
        )
        for column, text in enumerate((*texts, times)):
            item = QTableWidgetItem(text)
            item.setToolTip(tip)
            if column in (_THERE, _TIMES):
                item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEditable)
            if column:
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                item.setFont(theme.tabular(theme.font("text")))
            self.setItem(at, column, item)

    def _edited(self, item: QTableWidgetItem) -> None:
        if self._filling or item.row() >= len(self._apis):
            return
        api, text = self._apis[item.row()], item.text().strip()
        if item.column() == _NAME:
            api = msgspec.structs.replace(api, name=text or api.name)
        else:
            value, good = self.locale().toDouble(text)
            if good and value >= 0:
                field = "input" if item.column() == _INPUT else "output"
                source = self.tr("entered by you")
                api = msgspec.structs.replace(api, source=source, as_of=_today(), **{field: value})
        self._apis[item.row()] = api
        self.changed.emit(tuple(self._apis))

    def _selected(self) -> None:
        if not self._filling and 0 <= self.currentRow() < len(self._apis):
            self.chosen.emit(self._apis[self.currentRow()].id)

    def add(self, name: str) -> None:
        """A row to fill in."""
        taken = {api.id for api in self._apis}
        key = next(f"own/{n}" for n in range(1, 10_000) if f"own/{n}" not in taken)
        made = ApiPrice(key, name, "", 1.0, 1.0, as_of=_today(), source=self.tr("entered by you"))
        self.changed.emit((*self._apis, made))

    def remove(self) -> None:
        """Drop the selected row; the last one stays."""
        if len(self._apis) > 1 and self.currentRow() >= 0:
            self.changed.emit(tuple(api for at, api in enumerate(self._apis) if at != self.currentRow()))

    def retranslate(self) -> None:
        """The header."""
        self.setAccessibleName(self.tr("Prices of hosted models"))
        titles = (
            self.tr("Hosted model"),
            self.tr("Read ($/M tokens)"),
            self.tr("Written ($/M tokens)"),
            self.tr("These tokens there"),
            self.tr("Against here"),
        )
        self.setHorizontalHeaderLabels(list(titles))
        for column in range(1, 5):
            head = self.horizontalHeaderItem(column)
            if head is not None:
                head.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)


def _today() -> str:
    return dt.datetime.now().astimezone().date().isoformat()


class PriceCard(QFrame):
    """The tariff, the verdict and the table."""

    changed = Signal()
    """A price was changed: read the report again."""
    settings_asked = Signal()

    def __init__(self, services: "Services", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services, self._tables = services, PriceTables(services.paths.config)
        self._report: Report | None = None
        self._filling = False
        self.setProperty("role", "card")
        self.title, self.verdict = make_label("heading", self), make_label(parent=self, wrap=True)
        self.source, self.problem = (
            make_label("secondary", self, wrap=True),
            make_label("bad", self, wrap=True),
        )
        self.problem.hide()
        self.tariff_label, self.tariff = make_label("muted", self), QComboBox(self)
        self.tariff.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.tariff.activated.connect(lambda _at: self._choose_tariff())
        self.table = ApiTable(self)
        self.table.changed.connect(self._save)
        self.table.chosen.connect(lambda key: self._set("energy.api", key))
        self.own = make_button(self.settings_asked.emit, "link", self, compact=True)
        self.edit = make_button(self._edit_tariffs, "link", self, compact=True)
        self.add = make_button(lambda: self.table.add(self.tr("My model")), "quiet", self, compact=True)
        self.remove = make_button(self.table.remove, "quiet", self, compact=True)
        self.reset = make_button(self._reset, "quiet", self, compact=True)
        self._lay_out()
        self.retranslate()

    def _lay_out(self) -> None:
        tariff = QHBoxLayout()
        tariff.setSpacing(8)
        for widget in (self.tariff_label, self.tariff, self.own, self.edit):
            tariff.addWidget(widget)
        tariff.addStretch(1)
        rows = QHBoxLayout()
        rows.setSpacing(4)
        for widget in (self.add, self.remove, self.reset):
            rows.addWidget(widget)
        rows.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 12, 16, 12)
        column.setSpacing(8)
        column.addWidget(self.title)
        column.addWidget(self.verdict)
        column.addLayout(tariff)
        column.addWidget(self.source)
        column.addWidget(self.table)
        column.addLayout(rows)
        column.addWidget(self.problem)

    # ------------------------------------------------------------------ showing

    def show_report(self, report: Report) -> None:
        """Compare."""
        self._report = report
        self._fill_tariffs(report)
        currency, settings = report.prices.currency, self._services.settings.value.energy
        rate = rate_to(currency, "USD", settings, report.exchange) if currency else None
        self.table.show_report(report, settings.api, rate)
        api = next((one for one in report.apis if one.id == settings.api), report.apis[0])
        self.verdict.setText(self._verdict(report, api, rate))
        self.source.setText(self._sources(report, rate, api))

    def _verdict(self, report: Report, api: ApiPrice, rate: float | None) -> str:
        line, currency = report.total, report.prices.currency
        if not line.requests:
            return self.tr("Nothing was asked in this time.")
        if not currency:
            return self.tr("Choose what you pay for electricity, and this says whether an API is cheaper.")
        local = line.local(currency)
        found = compare(local, line.measured_prompt, line.measured_completion, api, rate)
        text = verdict_words(found)
        if local is None or rate is None or found.code in ("api_cheaper", "api_free"):
            return text
        under = cheapest(local, line.measured_prompt, line.measured_completion, report.apis, rate)
        if under is None:
            return text + " " + self.tr("No model of this table is cheaper.")
        return (
            text
            + " "
            + self.tr("The cheapest of this table, {name}, is below the cost here.").format(name=under.name)
        )

    def _sources(self, report: Report, rate: float | None, api: ApiPrice) -> str:
        tariff, parts = report.prices.tariff, []
        if tariff is not None and tariff.id != OWN:
            text = self.tr("Tariff of {date}: {source}.")
            parts.append(text.format(date=tariff.as_of, source=translate("Tariffs", tariff.source)))
        if rate and report.prices.currency != "USD":
            own = self._services.settings.value.energy.exchange
            text = (
                self.tr("1 USD = {rate} {currency}, as you entered it.")
                if own
                else self.tr("1 USD = {rate} {currency}, rounded, of {date}: enter today's rate.")
            )
            shown = words.number(rate, 0 if rate > 100 else 3)
            parts.append(text.format(rate=shown, currency=report.prices.currency, date=report.exchange.as_of))
        if report.total.entered:
            parts.append(self.tr("Power is an estimate from the watts you entered."))
        text = self.tr("{name}, prices of {date}: {source}.")
        parts.append(
            text.format(
                name=api.name, date=api.as_of or DASH, source=translate("Tariffs", api.source) or DASH
            )
        )
        parts.append(self.tr("Prices change: check them, and change them here."))
        return " ".join(parts)

    def _fill_tariffs(self, report: Report) -> None:
        self._filling = True
        self.tariff.clear()
        self.tariff.addItem(self.tr("Count no money"), "none")
        if self._services.settings.value.energy.price:
            self.tariff.addItem(self.tr("My own price (Settings)"), OWN)
        for tariff in report.tariffs:
            self.tariff.addItem(f"{translate('Tariffs', tariff.name)} ({tariff.currency})", tariff.id)
        chosen = report.prices.tariff
        self.tariff.setCurrentIndex(max(0, self.tariff.findData(chosen.id if chosen else "none")))
        self._filling = False

    # ------------------------------------------------------------------ changing

    def _choose_tariff(self) -> None:
        if not self._filling:
            chosen = self.tariff.currentData()
            own = self._services.settings.value.energy.own_tariff
            self._set("energy.tariff", own if chosen == OWN else chosen)

    def _set(self, key: str, value: object) -> None:
        tasks.run(
            lambda: self._services.settings.set(key, value),
            lambda _none: self.changed.emit(),
            self._failed,
            self,
            order=self._services.settings,
        )

    def _save(self, apis: tuple[ApiPrice, ...]) -> None:
        save = partial(self._tables.save_apis, apis)
        tasks.run(save, lambda _none: self.changed.emit(), self._failed, self, order=self)

    def _reset(self) -> None:
        def reset() -> None:
            done = lambda _none: self.changed.emit()  # noqa: E731 - one line
            tasks.run(self._tables.reset_apis, done, self._failed, self, order=self)

        confirm.ask(
            self,
            self.tr("Go back to our table of prices?"),
            self.tr("The prices and rows that you entered are gone then."),
            self.tr("Back to our table"),
            reset,
        )

    def _edit_tariffs(self) -> None:
        def opened(path: object) -> None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(path)))

        tasks.run(self._tables.copy_tariffs, opened, self._failed, self)

    def _failed(self, error: Exception) -> None:
        self.problem.setText(describe(error).sentence)
        self.problem.show()

    def retranslate(self) -> None:
        """Every text again."""
        self.title.setText(self.tr("Beside an API"))
        self.tariff_label.setText(self.tr("Electricity"))
        self.tariff.setAccessibleName(self.tr("Electricity tariff"))
        self.own.setText(self.tr("Own price, watts, hardware…"))
        self.edit.setText(self.tr("Edit the tariffs…"))
        self.add.setText(self.tr("Add a model"))
        self.remove.setText(self.tr("Remove"))
        self.reset.setText(self.tr("Back to our table"))
        self.table.retranslate()
        if self._report is not None:
            self.show_report(self._report)

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self.retranslate()
        super().changeEvent(event)
