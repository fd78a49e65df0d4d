"""What a load would take and how quick it would be: verdict, bars, now and after, in the load dialog."""

from typing import Any

from msgspec import Struct
from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtWidgets import QGridLayout, QLabel, QVBoxLayout, QWidget

from app.core.errors import fill
from app.core.types import Forecast
from app.planning.estimate import Estimate, Point
from app.ui import theme, words
from app.ui.device_bars import DeviceBars
from app.ui.figures import DASH, seconds_text, speed_text
from app.ui.widgets import make_label, set_property


class Outcome(Struct, frozen=True):
    """An estimate of what is chosen, beside ``before``: what is loaded, or what the settings ask for."""

    after: Estimate
    before: Point
    loaded: bool = False
    unloads: tuple[str, ...] = ()
    """Models that would go to make room."""


class OutcomeView(QWidget):
    """Shows an ``Outcome``; until then dashes."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.verdict = make_label(parent=self, wrap=True)
        font = theme.font("text")
        font.setBold(True)
        self.verdict.setFont(font)
        self.bars = DeviceBars(self)
        self.reasons = make_label("muted", self, wrap=True)
        self.origin = make_label("secondary", self, wrap=True)
        self._cells: dict[tuple[int, int], QLabel] = {}
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(24)
        self._grid.setVerticalSpacing(4)
        self._grid.setColumnStretch(3, 1)
        for row in range(5):
            for column in range(3):
                self._make_cell(row, column)
        column_layout = QVBoxLayout(self)
        column_layout.setContentsMargins(0, 0, 0, 0)
        column_layout.setSpacing(8)
        column_layout.addWidget(self.verdict)
        column_layout.addWidget(self.bars)
        column_layout.addLayout(self._grid)
        column_layout.addWidget(self.origin)
        column_layout.addWidget(self.reasons)

    def _make_cell(self, row: int, column: int) -> None:
        cell = make_label("secondary" if row == 0 else "muted" if column == 0 else "", self)
        if row and column:
            cell.setFont(theme.tabular(theme.font("text")))
        side = Qt.AlignmentFlag.AlignLeft if column == 0 else Qt.AlignmentFlag.AlignRight
        self._grid.addWidget(cell, row, column, side)
        self._cells[row, column] = cell

    def set_brief(self, brief: bool) -> None:
        """Verdict and bars alone: the room is the options'."""
        for widget in (*self._cells.values(), self.origin, self.reasons):
            widget.setVisible(not brief)

    def show_outcome(self, found: Outcome) -> None:
        """Everything of it."""
        planned = found.after.planned
        template = self.tr("{fit}: about {needed} of memory")
        text = template.format(fit=words.fit_words(planned.fit), needed=words.fine_memory(planned.needed))
        self.verdict.setText(text)
        set_property(self.verdict, "role", words.FIT_TOKENS.get(planned.fit, "muted"))
        self.bars.show_memory(planned.memory)
        lines = [reason_words(reason) for reason in planned.reasons]
        if found.unloads:
            names = ", ".join(found.unloads)
            lines.append(self.tr("{models} will be unloaded to make room.").format(models=names))
        self.reasons.setText("\n".join(lines))
        self._show_grid(found)
        decode = found.after.empty.decode
        self.origin.setText(words.forecast_words(decode) if decode is not None else self._why_unknown())

    def show_failure(self, sentence: str) -> None:
        """Why there is no estimate."""
        self.verdict.setText(sentence)
        set_property(self.verdict, "role", "bad")
        self.reasons.setText("")

    def _why_unknown(self) -> str:
        return self.tr("The speed of a device this uses has not been measured.")

    def _show_grid(self, found: Outcome) -> None:
        before, after = found.before, found.after
        first = self.tr("Loaded now, {count}") if found.loaded else self.tr("As it is set, {count}")
        heads = (
            "",
            first.format(count=words.tokens(before.n_ctx)),
            self.tr("With these choices, {count}").format(count=words.tokens(after.planned.plan.n_ctx)),
        )
        for column, text in enumerate(heads):
            self._cells[0, column].setText(text)
        needed = sum(device.needed for device in before.memory)
        rows = (
            (self.tr("Memory"), words.fine_memory(needed), words.fine_memory(after.planned.needed)),
            (self.tr("Tokens/s, empty context"), _speed(before.empty.decode), _speed(after.empty.decode)),
            (self.tr("Tokens/s, full context"), _speed(before.full.decode), _speed(after.full.decode)),
            (
                self.tr("First token of a prompt that fills it"),
                _seconds(before.full.first_token),
                _seconds(after.full.first_token),
            ),
        )
        why = self._why_unknown()
        for row, texts in enumerate(rows, 1):
            for column, text in enumerate(texts):
                self._cells[row, column].setText(text)
                self._cells[row, column].setToolTip(why if text == DASH else "")


def reason_words(reason: Any) -> str:
    """A planner's reason in the language in force."""
    from app.planning.reasons import REASONS  # noqa: PLC0415 - the dialog alone needs it

    return fill(QCoreApplication.translate("Planning", REASONS[reason.code]), reason.params)


def _speed(found: Forecast | None) -> str:
    return _range(found, speed_text)


def _seconds(found: Forecast | None) -> str:
    text = _range(found, seconds_text)
    return text if found is None else f"{text} s"


def _range(found: Forecast | None, show: Any) -> str:
    if found is None:
        return DASH
    about = QCoreApplication.translate("Words", "about {low} to {high}")
    return about.format(low=show(found.low), high=show(found.high))
