"""The icon in the tray: a quick question, the server's state and switch, the window, the end."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QAction, QIcon
from PySide6.QtWidgets import QMenu, QSystemTrayIcon

from app.core.events import ServerChanged
from app.ui.resources import resource
from app.ui.server_switch import ServerSwitch

if TYPE_CHECKING:
    from app.ui.windows import Windows


class Tray(QObject):
    """There is one only where the desktop has a tray; elsewhere this does nothing."""

    message_clicked = Signal()

    def __init__(self, windows: "Windows") -> None:
        super().__init__(windows)
        self._windows = windows
        self.server = ServerSwitch(windows.services, windows.bridge, self)
        self.server.changed.connect(self._on_server)
        self.menu = QMenu()
        self.menu.aboutToShow.connect(self.retranslate)
        self.ask, self.open = self._action(windows.ask_quickly), self._action(self._show_window)
        self.new = self._action(windows.open)
        self.menu.addSeparator()
        self.serve = self._action(lambda: self.server.turn(self.serve.isChecked()))
        self.serve.setCheckable(True)
        self.menu.addSeparator()
        self.quit = self._action(windows.quit)
        self.icon: QSystemTrayIcon | None = None
        self.retranslate()

    def _action(self, run: Callable[[], object]) -> QAction:
        action = self.menu.addAction("")
        action.triggered.connect(lambda: run())  # noqa: PLW0108 - drops Qt's argument
        return action

    @property
    def shown(self) -> bool:
        """Whether the icon is really there."""
        return self.icon is not None and self.icon.isVisible()

    def show(self, wanted: bool) -> None:
        """Put the icon into the tray, if there is one, or take it out."""
        if not wanted or not QSystemTrayIcon.isSystemTrayAvailable():
            if self.icon is not None:
                self.icon.hide()
            return
        if self.icon is None:
            self.icon = QSystemTrayIcon(QIcon(str(resource("icons", "app", "hearth.svg"))), self)
            self.icon.setContextMenu(self.menu)
            self.icon.activated.connect(self._activated)
            self.icon.messageClicked.connect(self.message_clicked)
        self.icon.show()
        self.retranslate()

    def _activated(self, reason: QSystemTrayIcon.ActivationReason) -> None:
        if reason in {QSystemTrayIcon.ActivationReason.Trigger, QSystemTrayIcon.ActivationReason.DoubleClick}:
            self._show_window()

    def _show_window(self) -> None:
        self._windows.front().come_forward()

    def _on_server(self, _state: ServerChanged) -> None:
        self.retranslate()

    def server_words(self) -> str:
        """The server's state in a few words."""
        state = self.server.state
        if state.state == "on":
            return self.tr("Server: {address}").format(address=state.address.removeprefix("http://"))
        return self.tr("Server: off") if state.state == "off" else self.tr("Server: not answering")

    def retranslate(self) -> None:
        """Say everything again; the menu does before it opens."""
        self.ask.setText(self.tr("Quick ask…"))
        self.open.setText(self.tr("Show Hearth"))
        self.new.setText(self.tr("New window"))
        self.serve.setText(self.server_words())
        self.serve.setChecked(self.server.on)
        self.quit.setText(self.tr("Quit"))
        if self.icon is not None:
            self.icon.setToolTip(f"Hearth\n{self.server_words()}")

    def tell(self, title: str, text: str) -> bool:
        """Show a message beside the icon; False where that can't be done."""
        if not self.shown or not QSystemTrayIcon.supportsMessages():
            return False
        assert self.icon is not None
        self.icon.showMessage(title, text, self.icon.icon())
        return True

    def close(self) -> None:
        """Take the icon away."""
        if self.icon is not None:
            self.icon.hide()
        self.menu.close()
        self.menu.deleteLater()
