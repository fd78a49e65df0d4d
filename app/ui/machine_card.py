"""How quick this machine is, as measured, and how good our forecasts were: a card for Usage and for Settings."""

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtGui import QPaintEvent, QShowEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from app.ui import tasks, words
from app.ui.device_bars import device_words
from app.ui.errors import describe
from app.ui.widgets import make_button, make_label, set_property

if TYPE_CHECKING:
    from app.compose import Services
    from app.planning.outlook import Measured, Record


def disturbed_words() -> str:
    """The measuring was not alone."""
    return QCoreApplication.translate(
        "MachineCard", "Other programs were busy then: measure again when they are quiet."
    )


class MachineCard(QFrame):
    """Measures on demand; says when the hardware, a driver or the engine has changed since."""

    def __init__(self, services: "Services", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._devices: tuple[Measured, ...] = ()
        self._record: Record | None = None
        self._running, self._fresh = "", False
        self.setProperty("role", "card")
        self.title, self.devices = make_label("heading", self), make_label(parent=self, wrap=True)
        self.errors, self.problem = make_label("muted", self, wrap=True), make_label("bad", self, wrap=True)
        self.problem.hide()
        self.button = make_button(self.measure, parent=self)
        row = QHBoxLayout()
        row.addWidget(self.title, 1)
        row.addWidget(self.button)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 12, 16, 12)
        column.setSpacing(8)
        column.addLayout(row)
        for label in (self.devices, self.errors, self.problem):
            column.addWidget(label)
        self._retranslate()

    def refresh(self) -> None:
        """Read again what is known."""
        outlook = self._services.make_outlook

        def work() -> tuple[Any, Any]:
            return outlook().devices(), outlook().errors()

        tasks.run(work, self._show, self._failed, self)

    def measure(self) -> None:
        """Measure every device, those that are known already too."""
        self.problem.hide()
        self.button.setEnabled(False)
        self._running = self.tr("Measuring, under a minute for each device…")
        self._say()
        outlook = self._services.make_outlook

        def work() -> None:
            outlook().measure([found.device for found in outlook().devices()])

        tasks.run(work, lambda _none: self._ended(), self._failed, self, long=True)

    def _ended(self) -> None:
        self._running = ""
        self.button.setEnabled(True)
        self.refresh()

    def _failed(self, error: Exception) -> None:
        self._running = ""
        self.button.setEnabled(True)
        self.problem.setText(describe(error).sentence)
        self.problem.show()
        self._say()

    def _show(self, found: tuple[Any, Any]) -> None:
        self._devices, self._record = found
        self._say()

    def _say(self) -> None:
        lines = [self._line(device) for device in self._devices]
        self.devices.setText("\n".join([*lines, self._running] if self._running else lines))
        self.errors.setText(self._error_words())
        missing = any(device.rates is None for device in self._devices)
        self.button.setText(self.tr("Measure") if missing else self.tr("Measure again"))
        set_property(self.button, "role", "primary" if missing else "")

    def _line(self, device: Any) -> str:
        name = f"{device_words(device.device)}, {device.name}" if device.name else device_words(device.device)
        if device.rates is None:
            return self.tr("{device}: not measured as it is now").format(device=name)
        text = self.tr("{device}: reads {speed} GB/s at best, measured {when}")
        speed = words.number((device.bandwidth or 0.0) / 1e9, 1)
        line = text.format(device=name, speed=speed, when=words.ago(device.rates.measured_at))
        return f"{line}. {disturbed_words()}" if device.rates.disturbed else line

    def _error_words(self) -> str:
        record = self._record
        if record is None:
            return self.tr("No answer has been compared with its forecast yet.")
        count = record.count
        text = self.tr(
            "Our forecasts of %n answer(s) were off by {median} % (median), {worst} % at worst.", "", count
        )
        return text.format(median=words.number(100 * record.median), worst=words.number(100 * record.worst))

    def _retranslate(self) -> None:
        self.title.setText(self.tr("Speed of this machine"))
        tip = self.tr("Takes under a minute for each device; other programs should be quiet.")
        self.button.setToolTip(tip)
        self.button.setAccessibleDescription(tip)
        self._say()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._fresh = False

    def paintEvent(self, event: QPaintEvent) -> None:
        # Asking the engine for its devices takes a process: not before someone really looks at this card.
        if not self._fresh:
            self._fresh = True
            self.refresh()
        super().paintEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
        super().changeEvent(event)
