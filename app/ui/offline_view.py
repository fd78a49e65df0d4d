"""What the Discover page shows while the Hub can't be reached: why, what still works here, and what has to wait."""

from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import QWidget

from app.core.errors import HearthError
from app.ui import tasks
from app.ui.empty_state import EmptyState
from app.ui.errors import describe

if TYPE_CHECKING:
    from app.compose import Services

_AGAIN_MS = 15_000


class OfflineView(EmptyState):
    """``again``: try now (a button, and every 15 s while it is shown); ``library_asked``: go to what is here."""

    again = Signal()
    library_asked = Signal()

    def __init__(self, services: "Services", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._error: HearthError | None = None
        self._models = -1
        self.primary.connect(self.again)
        self.secondary.connect(self.library_asked)
        self._timer = QTimer(self, interval=_AGAIN_MS)
        self._timer.timeout.connect(self.again)

    def show_reason(self, error: HearthError) -> None:
        """Why the Hub can't be reached."""
        self._error = error
        self.retranslate()
        library = self._services.library
        tasks.run(lambda: len(library.records()), self._show_models, lambda _error: None, self)

    def _show_models(self, count: int) -> None:
        self._models = count
        self.retranslate()

    def retranslate(self) -> None:
        """Put the texts in place again."""
        described = describe(self._error) if self._error else None
        why = described.text if described else ""
        if self._models > 0:
            here = self.tr(
                "%n model(s) on this machine, your chats and the local server work as always.",
                "",
                self._models,
            )
        else:
            here = self.tr("Chats, files you import and the local server work as always.")
        wait = self.tr(
            "Search, model pages and new downloads wait until it is back; downloads go on by themselves."
        )
        self.show_state(
            self.tr("The Hub can't be reached"),
            "\n\n".join(part for part in (why, here, wait) if part),
            self.tr("Try again"),
            self.tr("Go to the library"),
        )
        self.show_details(described.details if described else "")

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._timer.start()

    def hideEvent(self, event: QHideEvent) -> None:
        self._timer.stop()
        super().hideEvent(event)
