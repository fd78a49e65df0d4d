"""What one wishes instead of types: a size, a speed, or a loss. Sizes and speeds are answered at once; a loss, and a
mix by measuring, is a job."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct
from PySide6.QtCore import QCoreApplication, QEvent, QLocale, Qt, Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QHBoxLayout, QVBoxLayout, QWidget

from app.core.types import ModelRecord
from app.ui import tasks
from app.ui.errors import describe
from app.ui.lab_texts import LabText, bundled
from app.ui.widgets import make_button, make_label, pad_spin, set_property

if TYPE_CHECKING:
    from app.compose import Services
    from app.optimize.orders import Why
    from app.optimize.wishes import Reason, WishPlan

translate = QCoreApplication.translate
Kind = Literal["bytes", "speed", "loss"]
KINDS: tuple[Kind, ...] = ("bytes", "speed", "loss")


class Measured(Struct, frozen=True):
    """A wish that needs measuring: bytes or nats, on a text."""

    wish: Literal["bytes", "loss"]
    value: float
    text: LabText


class NotMeasuredError(Exception):
    """A wish for a speed on a machine whose speed nobody measured."""


def reason_words(reason: "Reason | Why") -> str:
    """A plan's reason in the language in force."""
    params = dict(reason.params)
    for name in ("note", "loss"):
        if name in params:
            params[name] = translate("Quants", str(params[name]))
    shown = {name: _local(value) for name, value in params.items()}
    return translate("Lab", reason.template).format_map(shown)


def _local(value: str | float) -> str:
    """A figure (``5.68``, ``110.3 MB``) with the locale's decimal sign; anything else as it is."""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    figure = re.fullmatch(r"(\d+)\.(\d+)( \wi?B)?", text)
    return f"{figure[1]}{QLocale().decimalPoint()}{figure[2]}{figure[3] or ''}" if figure else text


def plan(record: ModelRecord, kind: Kind, value: float, services: "Services", *, matrix: bool) -> "WishPlan":
    """Types for a wish, without measuring (pool thread). Raises HearthError, NotMeasuredError."""
    from app.hardware.sampler import refresh  # noqa: PLC0415 - off the GUI thread
    from app.optimize.wishes import AtLeastSpeed, AtMostBytes, plan_wish, speed_here  # noqa: PLC0415

    source = Path(record.path)
    if kind == "bytes":
        return plan_wish(source, AtMostBytes(round(value)), has_matrix=matrix)
    if services.outlook.missing():
        raise NotMeasuredError
    machine = refresh(services.machine())
    speed = speed_here(services.outlook, machine, record, services.planner.wishes(record.id))
    return plan_wish(source, AtLeastSpeed(value), speed=speed, has_matrix=matrix)


class WishBox(QWidget):
    """``found`` carries a WishPlan; ``changed`` when the wish did."""

    found = Signal(object)
    changed = Signal()

    def __init__(self, services: "Services", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._record: ModelRecord | None = None
        self._plan: WishPlan | None = None
        self._error: Exception | None = None
        self._matrix = False
        self._task: tasks.Task[Any] | None = None
        self.kind, self.value = QComboBox(self), QDoubleSpinBox(self)
        self.kind.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        for kind in KINDS:
            self.kind.addItem("", kind)
        pad_spin(self.value)
        self.look = make_button(self.ask, "", self)
        self.mix = QCheckBox(self)
        self.text, self.text_name = QComboBox(self), make_label("secondary", self)
        self.reasons = make_label("secondary", self, wrap=True)
        self.measure = make_button(self._measure, "link", self, compact=True)
        self.measure.hide()
        self._lay_out()
        self.kind.activated.connect(lambda _at: self._set_kind())
        self.value.valueChanged.connect(lambda _value: self._forget())
        self.mix.toggled.connect(lambda _on: self._show())
        self.text.activated.connect(lambda _at: self.changed.emit())
        self._retranslate()
        self._set_kind()

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.setSpacing(8)
        for widget in (self.kind, self.value, self.look):
            row.addWidget(widget)
        row.addStretch(1)
        measure = QHBoxLayout()
        measure.setSpacing(12)
        for part in (self.mix, self.text_name, self.text):
            measure.addWidget(part)
        measure.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addLayout(row)
        column.addLayout(measure)
        column.addWidget(self.reasons)
        column.addWidget(self.measure, 0, Qt.AlignmentFlag.AlignLeft)

    # ------------------------------------------------------------------ content

    def show_source(self, record: ModelRecord | None, *, matrix: bool) -> None:
        """For which model; ``matrix``: one will be used."""
        if record is not None and (self._record is None or record.id != self._record.id):
            self._record = record
            self._forget()
            if self.kind.currentData() == "bytes":
                self.value.setValue(round(record.bytes * 0.4 / 1e9, 2))
        self._matrix = matrix

    def wish(self) -> tuple[Kind, float]:
        """What is wished: bytes, tokens a second, or nats."""
        kind: Kind = self.kind.currentData()
        value = self.value.value()
        return kind, value * 1e9 if kind == "bytes" else value

    def measured(self) -> Measured | None:
        """The wish when it needs measuring."""
        kind, value = self.wish()
        if kind == "speed" or (kind == "bytes" and not self.mix.isChecked()):
            return None
        return Measured(kind, value, self.text.currentData())

    def choose(self, kind: Kind, value: float) -> None:
        """As if it had been entered: gigabytes, tokens a second, or nats."""
        self.kind.setCurrentIndex(KINDS.index(kind))
        self._set_kind()
        self.value.setValue(value)

    def ask(self) -> None:
        """Find types for the wish."""
        record, services, matrix = self._record, self._services, self._matrix
        if record is None or self.measured() is not None:
            return
        kind, value = self.wish()
        self.look.setEnabled(False)
        self._say(self.tr("Looking for types…"))
        self._task = tasks.run(
            lambda: plan(record, kind, value, services, matrix=matrix), self._take, self._failed, self
        )

    def _take(self, plan: "WishPlan") -> None:
        self.look.setEnabled(True)
        self._plan, self._error = plan, None
        self._explain()
        self.found.emit(plan)

    def _explain(self) -> None:
        if self._plan is not None:
            lines = dict.fromkeys(reason_words(reason) for reason in self._plan.reasons)
            self._say("\n".join(lines), "secondary" if self._plan.reached else "warn")

    def _failed(self, error: Exception) -> None:
        self.look.setEnabled(True)
        self._error = error
        self._tell(error)

    def _tell(self, error: Exception) -> None:
        if isinstance(error, NotMeasuredError):
            self._say(self.tr("How quick this machine is was not measured yet."), "warn")
            self.measure.show()
        else:
            self._say(describe(error).sentence, "bad")

    def _measure(self) -> None:
        self.look.setEnabled(False)
        self._say(self.tr("Measuring, under a minute…"))
        self._task = tasks.run(
            self._services.outlook.measure, lambda _none: self.ask(), self._failed, self, long=True
        )

    def _say(self, text: str, role: str = "secondary") -> None:
        self.reasons.setText(text)
        self.reasons.setVisible(bool(text))
        self.measure.hide()
        set_property(self.reasons, "role", role)

    def _forget(self) -> None:
        self._plan = self._error = None
        if self._task is not None:
            self._task.cancel()
        self.look.setEnabled(True)
        self._say("")
        self._show()

    # ------------------------------------------------------------------ fields

    def _set_kind(self) -> None:
        kind: Kind = self.kind.currentData()
        digits, step, most, start = {
            "bytes": (2, 0.5, 9999.0, round((self._record.bytes if self._record else 0) * 0.4 / 1e9, 2)),
            "speed": (1, 5.0, 99999.0, 30.0),
            "loss": (3, 0.01, 10.0, 0.05),
        }[kind]
        self.value.setDecimals(digits)
        self.value.setSingleStep(step)
        self.value.setRange(10.0**-digits, most)
        self.value.setValue(start)
        self._name_fields()
        self._forget()

    def _show(self) -> None:
        kind = self.kind.currentData()
        needs = self.measured() is not None
        self.mix.setVisible(kind == "bytes")
        self.text.setVisible(needs)
        self.text_name.setVisible(needs)
        self.look.setVisible(not needs)
        if needs:
            self._say(
                self.tr(
                    "Each part of the model is made smaller alone and measured on the text; then the parts that lose"
                    " least get the smallest types. This takes a while."
                )
            )
        elif self._error is not None:
            self._tell(self._error)
        elif self._plan is None:
            self._say("")
        self.changed.emit()

    def _name_fields(self) -> None:
        suffix = {"bytes": " GB", "speed": self.tr(" tokens/s"), "loss": ""}[self.kind.currentData()]
        self.value.setSuffix(suffix)

    def _retranslate(self) -> None:
        kinds = (
            self.tr("At most this large"),
            self.tr("At least this quick here"),
            self.tr("A KL divergence of at most"),
        )
        for place, words in enumerate(kinds):
            self.kind.setItemText(place, words)
        self.kind.setAccessibleName(self.tr("Wish"))
        self.value.setAccessibleName(self.tr("How much"))
        self.look.setText(self.tr("Find types"))
        self.measure.setText(self.tr("Measure this machine's speed"))
        self.measure.setToolTip(self.tr("Takes under a minute; other programs should be quiet."))
        self.mix.setText(self.tr("A mix of types by measuring each part"))
        at = max(0, self.text.currentIndex())
        self.text.clear()
        for text in bundled(tests=True):
            self.text.addItem(text.name, text)
        self.text.setCurrentIndex(at)
        self.text_name.setText(self.tr("Text to measure on"))
        self.text.setAccessibleName(self.text_name.text())
        self.value.setLocale(QLocale())
        self._name_fields()
        self._explain()

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
            self._show()
            self._explain()
        super().changeEvent(event)
