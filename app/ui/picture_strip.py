"""The pictures of a question in the transcript: small ones in rows at the right, opened by a click."""

from collections.abc import Callable, Sequence

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QImage, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QWidget

from app.ui import picture_files, tasks, theme
from app.ui.entries import Shown

Fetch = Callable[[int], bytes]
"""The bytes of a kept attachment, by its id; called beside the GUI thread."""
_ONE, _MANY, _GAP = QSize(320, 240), QSize(160, 120), 8


class PictureStrip(QWidget):
    """Keeps its height whatever the pictures turn out to be; without ``fetch`` only those with bytes are drawn."""

    def __init__(self, parent: QWidget, pictures: Sequence[Shown], fetch: Fetch | None) -> None:
        super().__init__(parent)
        self._tile = _ONE if len(pictures) == 1 else _MANY
        self._tiles = [PictureTile(self, shown, fetch, self._tile) for shown in pictures]

    def retranslate(self) -> None:
        """Say the names again."""
        for tile in self._tiles:
            tile.tell()

    def height_for(self, width: int) -> int:
        """Place the tiles, the last row at the right; returns the height they take."""
        tile = self._tile.boundedTo(QSize(max(80, width), self._tile.height()))
        per_row = max(1, (width + _GAP) // (tile.width() + _GAP))
        for at, button in enumerate(self._tiles):
            row, column = divmod(at, per_row)
            in_row = min(per_row, len(self._tiles) - row * per_row)
            left = width - (in_row - column) * (tile.width() + _GAP) + _GAP
            button.setGeometry(left, row * (tile.height() + _GAP), tile.width(), tile.height())
        rows = -(-len(self._tiles) // per_row)
        return rows * (tile.height() + _GAP) - _GAP


class PictureTile(QAbstractButton):
    """One picture, fitted into its place; Enter, Space or a click shows it large."""

    def __init__(self, parent: QWidget, shown: Shown, fetch: Fetch | None, most: QSize) -> None:
        super().__init__(parent)
        self.shown, self._fetch = shown, fetch
        self.image = QImage()
        self._bad = False
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.clicked.connect(self.open)
        self.tell()
        most = most * self.devicePixelRatioF()
        tasks.run(lambda: picture_files.small(self.data(), most), self._drawn, self._failed, self)

    def data(self) -> bytes:
        """The picture's file; may read the disk."""
        if self.shown.data or self._fetch is None:
            return self.shown.data
        return self._fetch(self.shown.id)

    def _drawn(self, image: QImage) -> None:
        self.image, self._bad = image, image.isNull()
        self.update()

    def _failed(self, _error: Exception) -> None:
        self._drawn(QImage())

    def tell(self) -> None:
        """What it is, for the screen reader and the pointer."""
        self.setAccessibleName(self.tr("Picture {name}").format(name=self.shown.name))
        self.setToolTip(self.tr("{name}: click to see it large").format(name=self.shown.name))

    def open(self) -> None:
        """Show it large."""
        from app.ui.dialogs.picture import show_picture  # noqa: PLC0415 - only when one is looked at

        show_picture(self.window(), self.shown.name, self.data)

    def sizeHint(self) -> QSize:
        return _MANY

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        place = self.rect()
        if not self.image.isNull():
            size = self.image.size().scaled(place.size(), Qt.AspectRatioMode.KeepAspectRatio)
            left, top = place.width() - size.width(), place.height() - size.height()
            place = QRect(left, top, size.width(), size.height())
        path = QPainterPath()
        path.addRoundedRect(place.adjusted(1, 1, -1, -1), 8, 8)
        painter.save()
        painter.setClipPath(path)
        painter.fillRect(place, theme.color("raised"))
        if not self.image.isNull():
            painter.drawImage(place, self.image)
        painter.restore()
        painter.setPen(
            QPen(theme.color("accent" if self.hasFocus() else "line"), 2 if self.hasFocus() else 1)
        )
        painter.drawPath(path)
        if self._bad:
            painter.setPen(theme.color("text-2"))
            words = self.tr("{name} can't be shown").format(name=self.shown.name)
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(place.adjusted(8, 8, -8, -8), int(flags), words)
