"""Pictures for the chat: from the clipboard, made ready for the engine, and drawn small. Free of widgets: what takes
long may run beside the GUI thread."""

import itertools
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace
from PySide6.QtCore import QByteArray, QCoreApplication, QSize, Qt
from PySide6.QtGui import QImage, QImageIOHandler, QImageReader, QImageWriter

from app.chat import attachments
from app.chat.store_types import NewAttachment
from app.core.errors import UsageError
from app.core.pictures import DECODED, kind_of, orientation

log = logging.getLogger(__name__)

_numbers = itertools.count(1)
_QUALITY = {"png": -1, "jpeg": 95}


def from_paths(paths: Sequence[Path]) -> list[NewAttachment]:
    """Files, as the engine can take them. Raises UsageError."""
    return ready([attachments.from_file(path) for path in paths])


def from_clipboard(image: QImage | bytes) -> NewAttachment:
    """A pasted image: the file that was offered as the engine can take it, or pixels as a PNG. Raises UsageError and
    OSError."""
    name = QCoreApplication.translate("Pictures", "pasted image {number}").format(number=next(_numbers))
    if isinstance(image, QImage):
        return attachments.from_bytes(f"{name}.png", as_png(image))
    kind = (kind_of(image) or "image/png").removeprefix("image/")
    return _ready(attachments.from_bytes(f"{name}.{kind}", image))


def as_png(image: QImage) -> bytes:
    """The image's pixels, without loss. Raises OSError."""
    return _encoded(image, "png")


def _encoded(image: QImage, kind: str) -> bytes:
    with tempfile.TemporaryDirectory(prefix="hearth-") as folder:
        path = Path(folder, "picture")
        writer = QImageWriter(str(path), QByteArray(kind.encode()))
        writer.setQuality(_QUALITY[kind])
        if not writer.write(image):
            raise OSError(writer.errorString())
        return path.read_bytes()


def ready(files: Sequence[NewAttachment]) -> list[NewAttachment]:
    """Attachments as the engine can take them: a format that it can't decode becomes a PNG, and a photo stands upright
    (the engine knows nothing of EXIF). Raises UsageError and OSError."""
    return [_ready(file) for file in files]


def _ready(file: NewAttachment) -> NewAttachment:
    if file.kind != "image" or (file.mime in DECODED and orientation(file.data) == 1):
        return file
    image = _read(file.data, None)
    if image.isNull():
        raise UsageError(detail=f"{file.name} is damaged.")
    kind = "jpeg" if file.mime == "image/jpeg" else "png"
    return replace(file, mime=f"image/{kind}", data=_encoded(image, kind))


def small(data: bytes, most: QSize | None) -> QImage:
    """The picture scaled down to fit, upright as its camera says; null when it can't be read. For any thread: what
    takes long (50 million pixels take a second) is done without Python's lock."""
    try:
        return _read(data, most)
    except OSError:
        log.info("a picture could not be decoded", exc_info=True)
        return QImage()


def fitted(data: bytes, room: QSize) -> tuple[QImage, QSize]:
    """The picture, and how large it is drawn in a room: never larger than it is; twice as fine where it has more."""
    image = small(data, room * 2)
    fits = image.width() <= room.width() and image.height() <= room.height()
    return image, image.size() if fits else image.size().scaled(room, Qt.AspectRatioMode.KeepAspectRatio)


def _read(data: bytes, most: QSize | None) -> QImage:
    """By way of a file: of all that decodes, PySide gives Python's lock away only for QImageReader, which must not read
    a device of Python's (it asks that one while it holds a lock of Qt's). The format is told, so that no plugin is
    asked to guess at bytes of nobody's."""
    kind = kind_of(data)
    if kind is None:
        return QImage()
    with tempfile.TemporaryDirectory(prefix="hearth-") as folder:
        path = Path(folder, "picture")
        path.write_bytes(data)
        reader = QImageReader(str(path), QByteArray(kind.removeprefix("image/").encode()))
        reader.setAutoTransform(True)
        if most is not None:
            _scale(reader, most)
        return reader.read()


def _scale(reader: QImageReader, most: QSize) -> None:
    size, turned = (
        reader.size(),
        reader.transformation() & QImageIOHandler.Transformation.TransformationRotate90,
    )
    room = most.transposed() if turned else most
    if size.isValid() and (size.width() > room.width() or size.height() > room.height()):
        reader.setScaledSize(size.scaled(room, Qt.AspectRatioMode.KeepAspectRatio).expandedTo(QSize(1, 1)))
