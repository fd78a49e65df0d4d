"""A picture that goes with the next question: small, with its name, its size and what it costs in tokens."""

from PySide6.QtCore import QCoreApplication, QLocale, QRect, QSize, Qt
from PySide6.QtGui import QFontMetrics, QImage, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QToolButton, QWidget

from app.chat.store_types import NewAttachment
from app.core.pictures import measure
from app.ui import picture_files, tasks, theme
from app.ui.chat_style import make_style

translate = QCoreApplication.translate
_SIDE, _PAD, _CLOSE, _WIDEST = 40, 6, 16, 180


class PictureChip(QToolButton):
    """Click (or Delete) takes the picture out; the owner connects ``clicked``."""

    def __init__(self, item: NewAttachment, parent: QWidget) -> None:
        super().__init__(parent)
        self.item = item
        self._image, self._bad = QImage(), False
        self._tokens: int | None = None
        self._pixels = _pixels(item.data)
        most = QSize(_SIDE, _SIDE) * self.devicePixelRatioF()
        tasks.run(lambda: picture_files.small(item.data, most), self._drawn, None, self)
        self._tell()

    def _drawn(self, image: QImage) -> None:
        self._image, self._bad = image, image.isNull()
        self._tell()
        self.update()

    def set_tokens(self, tokens: int | None) -> None:
        """What it takes of the context; None: nobody knows (or the model does not see)."""
        if tokens != self._tokens:
            self._tokens = tokens
            self._tell()
            self.updateGeometry()
            self.update()

    def facts(self) -> str:
        """Pixels, and tokens where they are known."""
        locale = QLocale()
        parts = [f"{locale.toString(self._pixels[0])} × {locale.toString(self._pixels[1])}"]
        if self._tokens is not None:
            parts.append(self.tr("%n token(s)", "", self._tokens))
        return "  ·  ".join(parts)

    def _tell(self) -> None:
        size = QLocale().formattedDataSize(len(self.item.data))
        words = self.tr("Take out the picture {name} ({facts}, {size})")
        text = words.format(name=self.item.name, facts=self.facts(), size=size)
        if self._bad:
            text += "\n" + translate("PictureTile", "{name} can't be shown").format(name=self.item.name)
        self.setToolTip(text)
        self.setAccessibleName(text)

    def sizeHint(self) -> QSize:
        metrics = QFontMetrics(make_style().small)
        text = max(metrics.horizontalAdvance(self.item.name), metrics.horizontalAdvance(self.facts()))
        return QSize(_SIDE + min(text, _WIDEST) + 2 + _CLOSE + 4 * _PAD, _SIDE + 2 * _PAD)

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def paintEvent(self, _event: QPaintEvent) -> None:
        style, painter = make_style(), QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        edge = "accent" if self.hasFocus() else "text-2" if self.underMouse() else "line"
        painter.setPen(QPen(theme.color(edge), 2 if self.hasFocus() else 1))
        painter.setBrush(theme.color("raised"))
        painter.drawRoundedRect(self.rect().adjusted(1, 1, -2, -2), 6, 6)
        self._paint_picture(painter)
        left = _SIDE + 2 * _PAD
        width = self.width() - left - _CLOSE - 2 * _PAD
        painter.setFont(style.small)
        metrics = QFontMetrics(style.small)
        name = metrics.elidedText(self.item.name, Qt.TextElideMode.ElideMiddle, width)
        half = self.height() // 2
        painter.setPen(style.text)
        painter.drawText(QRect(left, 0, width, half - 1), Qt.AlignmentFlag.AlignBottom, name)
        painter.setPen(style.text_2)
        facts = metrics.elidedText(self.facts(), Qt.TextElideMode.ElideRight, width)
        painter.drawText(QRect(left, half + 1, width, half), Qt.AlignmentFlag.AlignTop, facts)
        theme.icon("close").paint(painter, self.width() - _CLOSE - _PAD, half - 6, 12, 12)

    def _paint_picture(self, painter: QPainter) -> None:
        if self._bad:
            left, top = _PAD + (_SIDE - 20) // 2, (self.height() - 20) // 2
            theme.icon("error", "bad").paint(painter, left, top, 20, 20)
        if self._image.isNull():
            return
        room = QSize(_SIDE, _SIDE)
        size = self._image.size().scaled(room, Qt.AspectRatioMode.KeepAspectRatio)
        x, y = _PAD + (_SIDE - size.width()) // 2, _PAD + (_SIDE - size.height()) // 2
        painter.drawImage(QRect(x, y, size.width(), size.height()), self._image)


def _pixels(data: bytes) -> tuple[int, int]:
    try:
        found = measure(data)
    except ValueError:
        return 0, 0
    return found.width, found.height
