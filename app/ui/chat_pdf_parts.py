"""Parts of a chat's PDF: a document that fetches nothing, formulas drawn as vectors, fonts and inks of the paper."""

from PySide6.QtCore import QRect, QRectF, QSizeF, Qt
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontDatabase,
    QPainter,
    QPyTextObject,
    QTextDocument,
    QTextFormat,
)
from PySide6.QtSvg import QSvgRenderer

from app.ui import formula, theme

NUMBER = QTextFormat.Property.UserProperty.value + 11
THIN = '<svg stroke="currentColor" stroke-width="0.01" '
"""QtSvg's "no stroke" is a pen without a brush, which a PDF draws a whole pixel wide: a hair's breadth instead."""


class Document(QTextDocument):
    """Fetches nothing."""

    def loadResource(self, _kind: int, _name: object) -> object:
        return None  # nothing is fetched, from the network or the disk


class Formulas(QPyTextObject):
    """Draws what a formula's character stands for, straight from its SVG."""

    def __init__(self, parent: QTextDocument) -> None:
        super().__init__(parent)
        self.drawings: list[formula.Drawing] = []

    def intrinsicSize(self, document: QTextDocument, _position: int, form: QTextFormat) -> QSizeF:
        drawing = self.drawings[int(form.property(NUMBER))]
        scale = self._scale(document, drawing)
        return QSizeF(drawing.width * scale, (drawing.ascent + drawing.descent) * scale)

    @staticmethod
    def _scale(document: QTextDocument, drawing: formula.Drawing) -> float:
        return min(1.0, (document.pageSize().width() - 24) / drawing.width)

    def drawObject(
        self, painter: QPainter, rect: QRectF | QRect, _doc: QTextDocument, _at: int, form: QTextFormat
    ) -> None:
        drawing = self.drawings[int(form.property(NUMBER))]
        svg = drawing.svg.replace("<svg ", THIN, 1).replace("currentColor", ink("text").name())
        painter.save()
        painter.setPen(Qt.PenStyle.NoPen)
        QSvgRenderer(svg.encode()).render(painter, QRectF(rect))
        painter.restore()


def font(pixels: int, *, bold: bool = False, mono: bool = False) -> QFont:
    """The system's font in pixels at 96 to the inch."""
    system = QFontDatabase.SystemFont
    made = QFontDatabase.systemFont(system.FixedFont if mono else system.GeneralFont)
    made.setPixelSize(pixels)
    made.setHintingPreference(QFont.HintingPreference.PreferNoHinting)
    if bold:
        made.setWeight(QFont.Weight.DemiBold)
    return made


def ink(token: str) -> QColor:
    """A token of the light theme: paper is white."""
    return QColor(theme.PALETTES["light"][token])
