"""Gated models: the licence's page is opened for a download somebody has just asked for, and the way in is shown."""

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from app.core.events import DownloadChanged
from app.models.downloads import ACCESS
from app.ui.bridge import Bridge

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

    from app.compose import Services
    from app.ui.dialogs.sign_in import SignInDialog


class Gate(QObject):
    """One for the window. Downloads that were left waiting by an earlier start open nothing by themselves."""

    def __init__(self, services: "Services", bridge: Bridge, window: "QWidget") -> None:
        super().__init__(window)
        self._services, self._bridge, self._window = services, bridge, window
        self._expected: set[str] = set()
        bridge.on(DownloadChanged, self._on_download, self)

    def expect(self, download: str) -> None:
        """Somebody has just asked for this one."""
        self._expected.add(download)

    def sign_in(self, repo: str = "", download: str = "") -> "SignInDialog":
        """Show the way in: for the Hub, or for what waits for access."""
        from app.ui.dialogs.sign_in import SignInDialog  # noqa: PLC0415 - not before the first paint

        dialog = SignInDialog(self._services, self._bridge, self._window, repo, download)
        dialog.open()
        return dialog

    def _on_download(self, event: DownloadChanged) -> None:
        if event.id not in self._expected or event.state == "queued":
            return
        refused = event.state == "waiting" and event.error is not None and event.error.code in ACCESS
        if refused or event.state in {"verifying", "done", "failed", "cancelled"} or event.done:
            self._expected.discard(event.id)
        if refused:
            from app.ui.dialogs import sign_in  # noqa: PLC0415 - see above

            sign_in.open_url(self._services.hub.page_url(event.repo))
            self.sign_in(event.repo, event.id)
