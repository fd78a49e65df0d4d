"""Ask where to save something, and write it beside the GUI thread, whole or not at all."""

from functools import partial
from pathlib import Path

from PySide6.QtCore import QStandardPaths, Qt
from PySide6.QtWidgets import QFileDialog, QWidget
from shiboken6 import isValid

from app.ui import tasks


def documents() -> Path:
    """Where people keep what they write; their home where there is no such folder."""
    found = Path(QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation))
    return found if found.is_dir() else Path.home()


def ask(parent: QWidget, title: str, name: str, data: bytes) -> None:
    """Save ``data`` where the reader says; ``name`` is proposed."""
    dialog = QFileDialog(parent, title, str(documents() / name))
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.fileSelected.connect(lambda path: write(parent, Path(path), data))
    dialog.open()


def write(parent: QWidget, path: Path, data: bytes) -> None:
    """Write now; what goes wrong is said above the page of the window that ``parent`` belongs to."""
    from app.chat import transfer  # noqa: PLC0415 - only when something is saved

    tasks.run(lambda: transfer.write(path, data), failed=partial(_say, parent))


def _say(parent: QWidget, error: Exception) -> None:
    above: QWidget | None = parent if isValid(parent) else None
    while above is not None:
        if hasattr(above, "say_error"):
            above.say_error(error)
            return
        above = above.parentWidget()
