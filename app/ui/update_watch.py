"""Looks for a newer version now and then, where that was allowed; asks once whether it may."""

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer

from app.core.events import SettingChanged
from app.ui import tasks

if TYPE_CHECKING:
    from app.ui.windows import Windows
    from app.updates.service import Offer

_HOUR_MS = 3_600_000
STATE = "updates.json"
"""``app.updates.state.FILE``, whose package is not imported where there is nothing to look for."""


class UpdateWatch(QObject):
    """One for the program; what it finds is said above the page of the window in front."""

    def __init__(self, windows: "Windows") -> None:
        super().__init__(windows)
        self._windows = windows
        self._timer = QTimer(self, interval=_HOUR_MS)
        self._timer.timeout.connect(self.look)
        self._timer.start()
        windows.bridge.on(SettingChanged, self._on_setting, self)

    def close(self) -> None:
        """Look no more; idempotent."""
        self._timer.stop()

    def _on_setting(self, event: SettingChanged) -> None:
        if event.key == "updates.address":
            self.look()

    def look(self) -> None:
        """If it is due; and say what is to be said. Costs nothing where no address is set and nothing was installed."""
        services = self._windows.services
        if not services.settings.value.updates.address and not (services.paths.data / STATE).exists():
            return

        def work() -> "tuple[str, bool, Offer | None]":
            updates = services.updates
            ask = updates.should_ask()
            if ask:
                updates.asked()
            return updates.host if ask else "", updates.just_updated(), updates.look_by_itself()

        tasks.run(work, self._told, owner=self)

    def _told(self, found: Any) -> None:
        host, updated, offer = found
        if not self._windows.open_ones:
            return
        window = self._windows.front()
        if offer is not None:
            said = self.tr("Hearth {version} is there.")
            window.say(
                lambda: said.format(version=offer.version), "", lambda: self.tr("See what is new"), "update"
            )
        elif host:
            asks = lambda: self.tr("May Hearth look for new versions at {host}?").format(host=host)  # noqa: E731
            window.say(asks, "", lambda: self.tr("Decide…"), "update")
        elif updated:
            window.say(self._updated, "good")

    def _updated(self) -> str:
        words = self.tr("This is Hearth {version} now. Settings > Updates goes back to the one before.")
        return words.format(version=self._windows.services.updates.version)
