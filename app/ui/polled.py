"""A part of a page whose figures change without telling: it reads them anew while it is seen."""

from abc import abstractmethod

from PySide6.QtCore import QTimer
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import QWidget


class Polled(QWidget):
    """``refresh`` is called when it comes into view and every ``every_ms`` milliseconds as long as it is there."""

    def __init__(self, every_ms: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._poll = QTimer(self, interval=every_ms)
        self._poll.timeout.connect(self.refresh)

    @abstractmethod
    def refresh(self) -> None:
        """Read anew."""

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.refresh()
        self._poll.start()

    def hideEvent(self, event: QHideEvent) -> None:
        self._poll.stop()
        super().hideEvent(event)
