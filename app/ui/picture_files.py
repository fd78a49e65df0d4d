"""Pictures for the chat: from the clipboard, made ready for the engine, and drawn small. Free of widgets: what takes
long may run beside the GUI thread."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from msgspec.structs import replace
from PySide6.QtCore import QBuffer, QByteArray, QCoreApplication, QIODevice, QSize, Qt
from PySide6.QtGui import QImage, QImageWriter, QTransform

from app.chat import attachments
from app.chat.store_types import NewAttachment
from app.core.errors import UsageError
from app.core.pictures import DECODED, kind_of, orientation

_numbers = itertools.count(1)


def from_paths(paths: Sequence[Path]) -> list[NewAttachment]:
    """Files, as the engine can take them. Raises UsageError."""
    return ready([attachments.from_file(path) for path in paths])


def from_image(image: QImage) -> NewAttachment:
    """A pasted image as a PNG file."""
    name = QCoreApplication.translate("Pictures", "pasted image {number}").format(number=next(_numbers))
    return attachments.from_bytes(f"{name}.png", as_png(image))


def as_png(image: QImage) -> bytes:
    """The image's pixels, without loss."""
    data = QByteArray()
    buffer = QBuffer(data)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    QImageWriter(buffer, QByteArray(b"png")).write(image)
    buffer.close()
    return bytes(data.data())


def ready(files: Sequence[NewAttachment]) -> list[NewAttachment]:
    """Attachments as the engine can take them: a format that it can't decode becomes a PNG. Raises UsageError."""
    return [_ready(file) for file in files]


def _ready(file: NewAttachment) -> NewAttachment:
    if file.kind != "image" or file.mime in DECODED:
        return file
    image = _read(file.data, None)
    if image.isNull():
        raise UsageError(detail=f"{file.name} is damaged.")
    return replace(file, mime="image/png", data=as_png(image))


def small(data: bytes, most: QSize) -> QImage:
    """The picture scaled down to fit, upright as its camera says; null when it can't be read."""
    return _read(data, most)


def fitted(data: bytes, room: QSize) -> tuple[QImage, QSize]:
    """The picture, and how large it is drawn in a room: never larger than it is; twice as fine where it has more."""
    image = small(data, room * 2)
    fits = image.width() <= room.width() and image.height() <= room.height()
    return image, image.size() if fits else image.size().scaled(room, Qt.AspectRatioMode.KeepAspectRatio)


def decoded(data: bytes) -> QImage:
    """The pixels, upright as the camera says; null when they can't be read. On any thread, and never by QImageReader
    over a device of Python's: it asks that one while it holds a lock of Qt's, and the GUI thread, which has Python's
    lock, waits for Qt's when it shows an icon. The format is told for the same reason: a plugin of Qt's that is asked
    whether the bytes are its own translates why not, which our translator does in Python."""
    kind = (kind_of(data) or "").removeprefix("image/")
    image = QImage.fromData(data, cast(Any, kind or None))  # a str, whatever PySide's stubs say
    turn, mirror = _TURNS[orientation(data)]
    if not (turn or mirror):
        return image
    return image.transformed(QTransform().rotate(turn).scale(-1 if mirror else 1, 1))


_TURNS = {
    1: (0, False), 2: (0, True), 3: (180, False), 4: (180, True),
    5: (270, True), 6: (90, False), 7: (90, True), 8: (270, False),
}  # fmt: skip
"""EXIF's orientation -> degrees clockwise, after the picture was mirrored from left to right."""


def _read(data: bytes, most: QSize | None) -> QImage:
    image = decoded(data)
    if most is None or (image.width() <= most.width() and image.height() <= most.height()):
        return image
    return image.scaled(most, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation)
