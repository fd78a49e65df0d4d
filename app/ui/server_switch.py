"""The local API server's switch, shared by the menu, the page and the status line."""

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QGuiApplication

from app.core.events import ServerChanged
from app.ui import tasks
from app.ui.bridge import Bridge

if TYPE_CHECKING:
    from app.compose import Services


class ServerSwitch(QObject):
    """Starts and stops off the GUI thread. ``changed`` carries each ServerChanged."""

    changed = Signal(object)

    def __init__(self, services: "Services", bridge: Bridge, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._host, self.state = services.server, services.server.state()
        self._wish = False
        bridge.on(ServerChanged, self._on_state, self)

    def _on_state(self, state: ServerChanged) -> None:
        self.state = state
        self.changed.emit(state)

    @property
    def on(self) -> bool:
        """Running, or about to."""
        return self.state.state in {"on", "starting"}

    def turn(self, on: bool, port: int | None = None) -> None:
        """Switch; what goes wrong arrives as a state "failed" with its error."""
        self._wish = on

        def obey() -> None:  # the newest wish: of two clicks the second may come to its turn first
            if self._wish:
                self._host.start(port=port)
            else:
                self._host.stop()

        # The host has published what went wrong as its state: nothing to do twice.
        tasks.run(obey, failed=(lambda _error: None) if on else None, owner=self, order=self._host)

    def restart(self) -> None:
        """Stop, then start on the settings' address."""

        def again() -> None:
            self._host.stop()
            self._host.start()

        tasks.run(again, failed=lambda _error: None, owner=self, order=self._host)

    def copy_address(self) -> str:
        """Put the base address of the API on the clipboard; "" while the server is off."""
        address = self.state.address
        if address:
            QGuiApplication.clipboard().setText(f"{address}/v1")
        return address
