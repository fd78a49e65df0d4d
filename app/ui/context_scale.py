"""The scale under the context slider: where it is quick, where it still fits, where the model was trained."""

import math

from msgspec import Struct
from PySide6.QtCore import QPointF, QRectF, QSize
from PySide6.QtGui import QFontMetrics, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.ui import theme, words

_INSET = 8
"""Half a slider's handle: its groove begins and ends there."""


class Mark(Struct, frozen=True):
    """A position worth knowing: tokens, its name, and the palette name of its colour."""

    n_ctx: int
    name: str
    token: str


class ContextScale(QWidget):
    """Painted to the same positions as a slider of the same width whose steps are even in the logarithm."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._low, self._high = 512, 32768
        self._marks: list[Mark] = []
        self._good: int | None = None
        self._fits: int | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def set_range(self, low: int, high: int) -> None:
        """The slider's ends, in tokens."""
        self._low, self._high = low, max(high, low + 1)
        self.update()

    def show_marks(self, marks: list[Mark], good: int | None, fits: int | None) -> None:
        """``good``: quick up to there (None: nowhere); ``fits``: too large from there on (None: nowhere)."""
        self._marks, self._good, self._fits = sorted(marks, key=lambda mark: mark.n_ctx), good, fits
        spoken = ", ".join(f"{mark.name}: {words.tokens(mark.n_ctx)}" for mark in self._marks)
        self.setAccessibleDescription(spoken)
        self.setToolTip(spoken.replace(", ", "\n"))
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(200, theme.px(8) + 2 * self._line_height())

    def position(self, n_ctx: int) -> float:
        """Pixels from the left."""
        share = math.log(max(n_ctx, 1) / self._low) / math.log(self._high / self._low)
        return _INSET + min(1.0, max(0.0, share)) * (self.width() - 2 * _INSET)

    def _line_height(self) -> int:
        return QFontMetrics(theme.font("secondary")).height() + 2

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        self._paint_band(painter)
        painter.setFont(theme.font("secondary"))
        metrics, height = QFontMetrics(painter.font()), self._line_height()
        ends = [-1.0, -1.0]
        for mark in self._marks:
            x, text = self.position(mark.n_ctx), f"{words.tokens(mark.n_ctx)} {mark.name}"
            width = metrics.horizontalAdvance(text)
            left = min(max(0.0, x - width / 2), max(0.0, self.width() - width))
            row = 0 if left > ends[0] else 1
            ends[row] = left + width + 12
            painter.setPen(QPen(theme.color(mark.token), 2))
            painter.drawLine(QPointF(x, 0), QPointF(x, theme.px(6)))
            painter.setPen(theme.color("text-2" if mark.token == "text-2" else mark.token))
            painter.drawText(QPointF(left, theme.px(6) + row * height + metrics.ascent() + 2), text)

    def _paint_band(self, painter: QPainter) -> None:
        left, right = float(_INSET), float(self.width() - _INSET)
        good = self.position(self._good) if self._good else left
        bad = self.position(self._fits) if self._fits else right
        parts = ((left, min(good, bad), "good"), (min(good, bad), bad, "warn"), (bad, right, "bad"))
        for start, end, token in parts:
            if end > start:
                painter.fillRect(QRectF(start, 0, end - start, theme.px(3)), theme.color(token))
