"""macOS tells a program of a double click on its file by an event, often before there is a window."""

import sys
from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject
from PySide6.QtGui import QFileOpenEvent
from PySide6.QtWidgets import QApplication


class FileEvents(QObject):
    """Watches the application from its beginning; what comes before ``open_with`` waits for it."""

    def __init__(self, application: QApplication) -> None:
        super().__init__(application)
        self._open: Callable[[str], object] | None = None
        self._waiting: list[str] = []
        application.installEventFilter(self)

    def open_with(self, act: Callable[[str], object]) -> None:
        """From now on ``act`` gets each file's path."""
        self._open = act
        waiting, self._waiting = self._waiting, []
        for path in waiting:
            act(path)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() != QEvent.Type.FileOpen or not isinstance(event, QFileOpenEvent) or not event.file():
            return False
        if self._open is None:
            self._waiting.append(event.file())
        else:
            self._open(event.file())
        return True


def watch(application: QApplication) -> FileEvents | None:
    """Where files come so; elsewhere they come as arguments, and a filter would cost each event a call."""
    return FileEvents(application) if sys.platform == "darwin" else None
