"""One picture, as large as the window allows; it can be copied or saved."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QMimeData, QSize, Qt
from PySide6.QtGui import QGuiApplication, QImage, QPixmap
from PySide6.QtWidgets import QLabel, QWidget

from app.core.pictures import kind_of
from app.ui import picture_files, save_file, tasks
from app.ui.dialogs.base import Dialog
from app.ui.widgets import make_button

_SHARE = 0.8


class PictureDialog(Dialog):
    """Shows what fits; the file itself is what is saved."""

    def __init__(self, parent: QWidget, name: str, data: bytes, image: QImage) -> None:
        super().__init__(name, parent)
        self._name, self._data, self.image = name, data, image
        label = QLabel(self)
        label.setAlignment(Qt.AlignmentFlag.AlignCenter)
        label.setAccessibleName(self.tr("Picture {name}").format(name=name))
        pixmap = QPixmap.fromImage(self.image)
        pixmap.setDevicePixelRatio(self.devicePixelRatioF())
        label.setPixmap(pixmap)
        if self.image.isNull():
            label.setText(self.tr("{name} can't be shown").format(name=name))
        self.body.addWidget(label, 1)
        self.copy = make_button(self._copy, "", self)
        self.copy.setEnabled(not image.isNull())
        self.copy.setText(self.tr("Copy"))
        self.keep = make_button(self._save, "", self)
        self.keep.setText(self.tr("Save…"))
        self.shut = make_button(self.accept, "primary", self)
        self.shut.setText(self.tr("Close"))
        for button in (self.copy, self.keep, self.shut):
            self.buttons.addWidget(button)
        self.shut.setDefault(True)
        self.shut.setFocus()

    def _copy(self) -> None:
        """All of the picture, not the part of its pixels that the window has room for; its file for who takes that."""
        data = self._data
        tasks.run(lambda: picture_files.small(data, None), partial(_put, data), owner=self.parent())

    def _save(self) -> None:
        save_file.ask(self, self.tr("Save the picture"), Path(self._name).name, self._data)


def _put(data: bytes, image: QImage) -> None:
    offered = QMimeData()
    offered.setImageData(image)
    if kind := kind_of(data):
        offered.setData(kind, data)
    QGuiApplication.clipboard().setMimeData(offered)


def show_picture(parent: QWidget, name: str, read: Callable[[], bytes]) -> None:
    """Open it over a window, once it is read and decoded."""
    room = (
        QSize(int(parent.width() * _SHARE), int(parent.height() * _SHARE) - 80) * parent.devicePixelRatioF()
    )

    def fetch() -> tuple[bytes, QImage]:
        data = read()
        return data, picture_files.small(data, room)

    tasks.run(fetch, lambda found: _open(parent, name, *found), None, parent)


def _open(parent: QWidget, name: str, data: bytes, image: QImage) -> None:
    dialog = PictureDialog(parent, name, data, image)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.open()
