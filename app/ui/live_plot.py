"""A curve over the last seconds, painted directly: lines are made anew only when their points are.

A plotting library would cost 0.4 s on the GUI thread to import, 40 MB, and more for each frame.
"""

import bisect
import itertools
import statistics

from PySide6.QtCore import QEvent, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF, QWheelEvent
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from app.ui import theme

SPAN = 60.0
"""Seconds shown unless zoomed."""
SPANS = (15.0, 30.0, SPAN, 120.0, 300.0, 1200.0)
GAP = 3.0
"""Seconds without a reading that end a line: nothing is known of what lies between."""
_NICE = (1.0, 2.0, 5.0, 10.0)


class Curve:
    """One line: the points it shows and its colour's name in the palette."""

    def __init__(self, name: str, token: str) -> None:
        self.name, self.token = name, token
        self.times: list[float] = []
        self.values: list[float] = []
        self._drawn: tuple[list[float], list[float], float, float] | None = None
        self._lines: list[QPolygonF] = []

    def lines(self, across: float, up: float, gap: float) -> list[QPolygonF]:
        """The points from the first one on, ``across`` pixels a second and ``up`` pixels a unit, apart where nothing
        was read for ``gap`` seconds; kept until other lists of points or another scale come: making points is what a
        picture costs."""
        drawn = self._drawn
        known = drawn and drawn[0] is self.times and drawn[1] is self.values and drawn[2:] == (across, up)
        if not known:
            self._drawn, first = (self.times, self.values, across, up), self.times[0] if self.times else 0.0
            pairs = zip(self.times, self.values, strict=False)
            points = [QPointF((t - first) * across, -v * up) for t, v in pairs]
            cuts = itertools.pairwise((0, *_gaps(self.times, gap), len(points)))
            self._lines = [_polygon(points, begin, end) for begin, end in cuts if end > begin]
        return self._lines

    def at(self, t: float, near: float) -> float | None:
        """The value nearest to a time, None when there is none within ``near`` seconds."""
        right = bisect.bisect_left(self.times, t)
        found = [i for i in (right - 1, right) if 0 <= i < len(self.times) and abs(self.times[i] - t) <= near]
        return self.values[min(found, key=lambda i: abs(self.times[i] - t))] if found else None


def _gaps(times: list[float], gap: float) -> list[int]:
    """Where the time since the point before is longer than ``gap``."""
    if len(times) > 1 and times[-1] - times[0] < (len(times) - 1) * min(gap, 1.001 * (times[1] - times[0])):
        return []  # evenly spaced, as nearly always
    return [at for at, (before, t) in enumerate(itertools.pairwise(times), 1) if t - before > gap]


def _polygon(points: list[QPointF], begin: int, end: int) -> QPolygonF:
    piece = points if end - begin == len(points) else points[begin:end]
    if len(piece) == 1:  # seen all the same
        piece = [*piece, piece[0] + QPointF(1, 0)]
    return QPolygonF(piece)


class LivePlot(QWidget):
    """Curves, newest at the right edge. Under the pointer the values of that moment, and minimum, median and maximum;
    the wheel zooms."""

    zoomed = Signal(int)
    """+1: closer, -1: further away."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.curves: list[Curve] = []
        self.span = SPAN
        self._now = 0.0
        self._top = 1.0
        self._fixed_top: float | None = None
        self._pointer: float | None = None
        self._shown: tuple[int, list[bool]] = (-1, [])
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(48)

    def add_curve(self, name: str, token: str) -> Curve:
        """A new line; ``token`` is a palette name such as ``plot-1``."""
        self.curves.append(Curve(name, token))
        return self.curves[-1]

    def set_top(self, top: float | None) -> None:
        """A fixed upper end of the scale (a total), or None to follow the values."""
        self._fixed_top = top

    def set_span(self, seconds: float) -> None:
        """How much time the width stands for."""
        self.span = seconds
        self.update()

    def advance(self, now: float) -> None:
        """Show the time that ends at ``now`` (the clock of the points). Painted again when that moves it by a pixel,
        in which the newest points lie, or a curve begins or ends."""
        step = self.span / max(1, self.width())
        shown = (int(now / step), [bool(curve.times) for curve in self.curves])
        if shown == self._shown:
            return
        self._shown, self._now = shown, now
        peak = max((max(curve.values) for curve in self.curves if curve.values), default=0.0)
        self._top = self._fixed_top or _scale(peak, self._top)
        self.update()
        if self._pointer is not None and self.underMouse():
            self._tell()

    def summary(self, curve: Curve) -> tuple[float, float, float] | None:
        """(minimum, median, maximum) of what is shown, or None without points."""
        if not curve.values:
            return None
        return min(curve.values), statistics.median(curve.values), max(curve.values)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setPen(QPen(theme.color("line"), 1))
        painter.drawLine(0, self.height() - 1, self.width(), self.height() - 1)
        if self._pointer is not None:
            painter.setPen(QPen(theme.color("text-2"), 1))
            painter.drawLine(QPointF(self._pointer, 0), QPointF(self._pointer, self.height()))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for curve in reversed(self.curves):  # the first one lies on top
            if curve.times:
                self._draw(painter, curve)

    def _draw(self, painter: QPainter, curve: Curve) -> None:
        """Two lines of one pixel: one of 1.5 pixels takes the painter twenty times as long."""
        across, up = self.width() / self.span, (self.height() - 4) / self._top
        lines = curve.lines(across, up, max(GAP, self.span / 80))
        painter.setPen(QPen(theme.color(curve.token), 1))
        painter.resetTransform()
        painter.translate(self.width() - (self._now - curve.times[0]) * across, self.height() - 2)
        for _ in range(2):
            for line in lines:
                painter.drawPolyline(line)
            painter.translate(0, 0.6)

    # ------------------------------------------------------------------ under the pointer

    def words(self, x: float) -> str:
        """The values at a place, and what is lowest, middle and highest."""
        ago = (self.width() - x) / max(1, self.width()) * self.span
        seconds = self.locale().toString(ago, "f", 0)
        lines = [self.tr("{seconds} s ago").format(seconds=seconds)]
        for curve in self.curves:
            value = curve.at(self._now - ago, max(1.0, self.span / 60))
            if value is not None:
                lines.append(f"{curve.name}: {self._number(value)}")
        return "\n".join([*lines, *(line for line in map(self._line_of, self.curves) if line)])

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._pointer = event.position().x()
        self.update()
        self._tell()
        super().mouseMoveEvent(event)

    def _tell(self) -> None:
        assert self._pointer is not None
        place = QPointF(self._pointer + 12, self.height())
        QToolTip.showText(self.mapToGlobal(place.toPoint()), self.words(self._pointer), self)

    def leaveEvent(self, event: QEvent) -> None:
        self._pointer = None
        self.update()
        super().leaveEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        # Without Ctrl the wheel scrolls the panels.
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier and event.angleDelta().y():
            self.zoomed.emit(1 if event.angleDelta().y() > 0 else -1)
            event.accept()
        else:
            event.ignore()

    def _number(self, value: float) -> str:
        return self.locale().toString(value, "f", 1 if value < 100 else 0)

    def _line_of(self, curve: Curve) -> str:
        found = self.summary(curve)
        if found is None:
            return self.tr("{name}: nothing measured in this time").format(name=curve.name)
        low, middle, high = (self._number(value) for value in found)
        text = self.tr("{name}: lowest {low}, median {middle}, highest {high}")
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
        self._mark: float | None = None
        self.setFixedHeight(12)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_parts(
        self,
        parts: list[tuple[str, float, str, str]],
        whole: float,
        mark: tuple[str, float, str] | None = None,
    ) -> None:
        """``parts``: (name, size, size as text, palette name); ``whole`` is what the full width stands for; ``mark``:
        a line across the bar (name, place, place as text)."""
        place = mark[1] if mark else None
        if (self._parts, self._whole, self._mark) == (parts, whole, place):
            return
        self._parts, self._whole, self._mark = parts, whole, place
        named = [(name, text) for name, _, text, _ in parts] + ([(mark[0], mark[2])] if mark else [])
        self.setAccessibleDescription(", ".join(f"{name} {text}" for name, text in named))
        self.setToolTip("\n".join(f"{name}: {text}" for name, text in named))
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
        if self._mark is not None and self._whole > 0:
            x = min(self.width() - 2.0, self.width() * self._mark / self._whole)
            painter.fillRect(QRectF(x, 0, 2, self.height()), theme.color("text"))
