"""Offers to measure this machine at first use, and again when its hardware, a driver or the engine has changed."""

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer

from app.core.events import SettingChanged
from app.ui import tasks, words
from app.ui.machine_card import disturbed_words

if TYPE_CHECKING:
    from app.planning.outlook import Measured, Offer
    from app.ui.main_window import MainWindow
    from app.ui.windows import Windows

AFTER_MS = 3000
"""The program is in the user's hands first."""


class MeasureOffer(QObject):
    """One line above the page; it is offered once for each state of the machine, and always in the settings."""

    def __init__(self, windows: "Windows") -> None:
        super().__init__(windows)
        self._windows, self._services = windows, windows.services
        self._window: MainWindow | None = None
        self._offer: Offer | None = None
        self._best, self._disturbed = 0.0, False
        self._timer = QTimer(self, singleShot=True, interval=AFTER_MS)
        self._timer.timeout.connect(self.look)
        windows.bridge.on(SettingChanged, self._on_setting, self)
        self.begin()

    def begin(self) -> None:
        """Look in a while, once the first page was left."""
        if self._services.settings.value.general.welcomed:
            self._timer.start()

    def _on_setting(self, event: SettingChanged) -> None:
        if event.key == "general.welcomed":
            self.begin()

    def look(self) -> None:
        """Ask for what was never measured as it is (it takes a process: in the background)."""
        window = self._windows.front()
        if window.banner.isHidden():  # else there is something more important: next time
            services = self._services
            tasks.run(lambda: services.make_outlook().offer(), self._show, owner=self)

    def _show(self, offer: "Offer | None") -> None:
        window = self._windows.front()
        if offer is None:
            return
        self._offer, self._window = offer, window
        window.say(self._words, "", lambda: self.tr("Measure now"), "measure_machine")
        window.banner.triggered.connect(self._obey)

    def _words(self) -> str:
        if self._offer is not None and self._offer.changed:
            return self.tr(
                "The hardware, a driver or the engine has changed since this machine was measured. Measuring again "
                "takes under a minute."
            )
        return self.tr(
            "Hearth can measure how fast this machine is, in under a minute: every model then shows its speed before "
            "a download."
        )

    def _obey(self, action: str) -> None:
        window, offer = self._window, self._offer
        if action != "measure_machine" or window is None or offer is None:
            return
        window.say(lambda: self.tr("Measuring this machine, under a minute for each device…"))
        outlook = self._services.outlook

        def work() -> "tuple[Measured, ...]":
            outlook.measure(offer.devices)
            return outlook.devices()

        tasks.run(
            work, self._measured, lambda error: window.say_error(error, again=self._again), self, long=True
        )

    def _again(self) -> None:
        self._obey("measure_machine")

    def _measured(self, devices: "tuple[Measured, ...]") -> None:
        self._best = max((device.bandwidth or 0.0 for device in devices), default=0.0)
        self._disturbed = any(device.rates is not None and device.rates.disturbed for device in devices)
        if self._window is not None:
            again = (lambda: self.tr("Measure again"), "measure_machine") if self._disturbed else ("", "")
            self._window.say(self._result, "warn" if self._disturbed else "good", *again)

    def _result(self) -> str:
        text = self.tr("Measured: this machine reads {speed} GB/s at best.")
        text = text.format(speed=words.number(self._best / 1e9, 1))
        return f"{text} {disturbed_words()}" if self._disturbed else text

    def close(self) -> None:
        """Offer nothing more; idempotent."""
        self._timer.stop()
