"""A 60-second curve, painted directly: no plotting library to import, nothing allocated per frame but the line.

(pyqtgraph draws the pages that compare; importing it costs 0.4 s on the GUI thread and 40 MB, too much for a panel.)
"""

import statistics

from PySide6.QtCore import QEvent, QPointF, QRectF, Qt
from PySide6.QtGui import QHelpEvent, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from app.ui import theme

SPAN = 60.0
"""Seconds shown."""
_NICE = (1.0, 2.0, 5.0, 10.0)


class Curve:
    """One line: the points it shows and its colour's name in the palette."""

    def __init__(self, name: str, token: str) -> None:
        self.name, self.token = name, token
        self.times: list[float] = []
        self.values: list[float] = []


class LivePlot(QWidget):
    """Curves over the last minute, newest at the right edge; on hover minimum, median and maximum."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.curves: list[Curve] = []
        self._now = 0.0
        self._top = 1.0
        self._fixed_top: float | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(48)

    def add_curve(self, name: str, token: str) -> Curve:
        """A new line; ``token`` is a palette name such as ``plot-1``."""
        self.curves.append(Curve(name, token))
        return self.curves[-1]

    def set_top(self, top: float | None) -> None:
        """A fixed upper end of the scale (a total), or None to follow the values."""
        self._fixed_top = top

    def advance(self, now: float) -> None:
        """Show the minute that ends at ``now`` (the clock of the points)."""
        self._now = now
        peak = max((max(curve.values) for curve in self.curves if curve.values), default=0.0)
        self._top = self._fixed_top or _scale(peak, self._top)
        self.update()

    def summary(self, curve: Curve) -> tuple[float, float, float] | None:
        """(minimum, median, maximum) of what is shown, or None without points."""
        if not curve.values:
            return None
        return min(curve.values), statistics.median(curve.values), max(curve.values)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setPen(QPen(theme.color("line"), 1))
        painter.drawLine(0, self.height() - 1, self.width(), self.height() - 1)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = QRectF(0, 2, self.width(), self.height() - 4)
        for curve in self.curves:
            painter.setPen(QPen(theme.color(curve.token), 1.5))
            painter.drawPolyline(self._line(curve, area))

    def _line(self, curve: Curve, area: QRectF) -> QPolygonF:
        across, up = area.width() / SPAN, area.height() / self._top
        right, bottom, now = area.right(), area.bottom(), self._now
        points = zip(curve.times, curve.values, strict=False)
        return QPolygonF([QPointF(right - (now - t) * across, bottom - v * up) for t, v in points])

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            lines = [self._line_of(curve) for curve in self.curves]
            QToolTip.showText(event.globalPos(), "\n".join(line for line in lines if line), self)
            return True
        return super().event(event)

    def _line_of(self, curve: Curve) -> str:
        found = self.summary(curve)
        if found is None:
            return self.tr("{name}: nothing measured in the last minute").format(name=curve.name)
        low, middle, high = (self.locale().toString(value, "f", 1 if value < 100 else 0) for value in found)
        text = self.tr("{name}, last minute: lowest {low}, median {middle}, highest {high}")
        return text.format(name=curve.name, low=low, middle=middle, high=high)


def _scale(peak: float, before: float) -> float:
    """An upper end that is a round number and shrinks only when the curve has become small."""
    if before * 0.4 <= peak <= before:
        return before
    magnitude = 1.0
    while magnitude * 10 < peak:
        magnitude *= 10
    while magnitude > peak > 0:
        magnitude /= 10
    return (
        next((magnitude * step for step in _NICE if magnitude * step >= peak), magnitude * 10)
        if peak
        else 1.0
    )


class StackBar(QWidget):
    """A horizontal bar of named parts of a whole; each part's name and size on hover and for screen readers."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._parts: list[tuple[str, float, str, str]] = []
        self._whole = 0.0
        self.setFixedHeight(12)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_parts(self, parts: list[tuple[str, float, str, str]], whole: float) -> None:
        """``parts``: (name, size, size as text, palette name); ``whole`` is what the full width stands for."""
        self._parts, self._whole = parts, whole
        words = ", ".join(f"{name} {text}" for name, _, text, _ in parts)
        self.setAccessibleDescription(words)
        self.setToolTip("\n".join(f"{name}: {text}" for name, _, text, _ in parts))
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.color("raised"))
        painter.drawRoundedRect(self.rect(), 3, 3)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        x = 0.0
        for _name, size, _text, token in self._parts:
            width = self.width() * size / self._whole if self._whole > 0 else 0.0
            if size > 0:  # however small, it can be seen
                painter.fillRect(QRectF(x, 0, max(1.5, width - 1), self.height()), theme.color(token))
            x += width
        painter.setPen(theme.color("line"))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
