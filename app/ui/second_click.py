"""A fast second click on a version's arrow: the first has put another version there, and its arrow is elsewhere."""

from PySide6.QtCore import QEvent, QObject, QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QCursor, QMouseEvent
from PySide6.QtWidgets import QApplication, QWidget

_NEAR = 4
"""Pixels that a hand moves between two clicks."""


class SecondClick(QObject):
    """Clicks where an arrow was clicked just now go on meaning that arrow."""

    again = Signal(int, str)
    """Where its message stands among the others, and the arrow's name."""

    def __init__(self, owner: QWidget) -> None:
        super().__init__(owner)
        self._owner = owner
        self._arrow, self._at = (0, ""), QPoint()
        self._watched: QObject | None = None
        self._over = QTimer(self, singleShot=True)
        self._over.timeout.connect(self._stop)

    def begin(self, place: int, name: str) -> None:
        """An arrow was clicked."""
        self._arrow, self._at = (place, name), QCursor.pos()
        self._over.start(QApplication.doubleClickInterval())
        if self._watched is None:
            self._watched = self._owner.window().windowHandle()
            if self._watched is not None:
                self._watched.installEventFilter(self)

    def _stop(self) -> None:
        if self._watched is not None:
            self._watched.removeEventFilter(self)
        self._watched = None

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:
        # Before Qt looks for the widget under the pointer. A double click comes as a press of its own after the press.
        if not isinstance(event, QMouseEvent) or event.button() != Qt.MouseButton.LeftButton:
            return False
        if (event.globalPosition().toPoint() - self._at).manhattanLength() > _NEAR:
            return False
        if event.type() == QEvent.Type.MouseButtonPress:
            self.again.emit(*self._arrow)
        return event.type() in {QEvent.Type.MouseButtonPress, QEvent.Type.MouseButtonDblClick}
