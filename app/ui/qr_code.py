"""A QR code, drawn with whole pixels on white, so that any phone reads it in any theme."""

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

QUIET = 4  # modules of white around it, as readers want
MODULE = 4  # pixels of one
DARK, LIGHT = QColor(Qt.GlobalColor.black), QColor(Qt.GlobalColor.white)
"""Not the theme's: readers want dark on light."""


class QrCode(QWidget):
    """Shows a text as a QR code; nothing while the text is empty."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._text = ""
        self._rows: list[bytes] = []
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def show_text(self, text: str) -> None:
        """Show another text."""
        if text == self._text:
            return
        self._text = text
        self._rows = _modules(text) if text else []
        self.updateGeometry()
        self.update()

    def text(self) -> str:
        """What it says."""
        return self._text

    def sizeHint(self) -> QSize:
        side = (len(self._rows) + 2 * QUIET) * MODULE
        return QSize(side, side)

    def paintEvent(self, _event: QPaintEvent) -> None:
        if not self._rows:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(LIGHT)
        painter.drawRoundedRect(self.rect(), 6, 6)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        for y, row in enumerate(self._rows):
            for x, dark in enumerate(row):
                if dark:
                    left, top = (x + QUIET) * MODULE, (y + QUIET) * MODULE
                    painter.fillRect(QRect(left, top, MODULE, MODULE), DARK)


def _modules(text: str) -> list[bytes]:
    import segno  # noqa: PLC0415 - not before a code is shown

    return [bytes(row) for row in segno.make(text, error="m", micro=False).matrix]
