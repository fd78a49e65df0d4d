"""Files dropped anywhere on a conversation are attached, not only those that hit the composer."""

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QEvent, QMimeData, QObject
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QWidget


class DropZone(QObject):
    """Watches a widget. ``over`` is told when files hang above it and when they are gone; models and folders are left
    to the window, which takes them into the library."""

    def __init__(
        self, widget: QWidget, take: Callable[[list[Path]], object], over: Callable[[bool], object]
    ) -> None:
        super().__init__(widget)
        self._take, self._over = take, over
        widget.setAcceptDrops(True)
        widget.installEventFilter(self)

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.DragLeave:
            self._over(False)
        if not isinstance(event, QDropEvent) or not (paths := attachable(event.mimeData())):
            return False
        event.acceptProposedAction()
        self._over(event.type() != QEvent.Type.Drop)
        if event.type() == QEvent.Type.Drop:
            self._take(paths)
        return True


def attachable(data: QMimeData) -> list[Path]:
    """The local files among what is dragged, when there is no model and no folder among them."""
    paths = [Path(url.toLocalFile()) for url in data.urls() if url.isLocalFile()]
    return [] if any(path.suffix.lower() == ".gguf" or path.is_dir() for path in paths) else paths
