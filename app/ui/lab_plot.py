"""The picture of a comparison: size across, divergence up (logarithmic), the circle's area for tokens per second. The
edge of what is worth choosing is drawn through; published values of another model stand dotted beside it."""

import itertools
import math
from collections.abc import Sequence

from msgspec import Struct
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QFontMetrics,
    QHelpEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from app.optimize.cards import pareto
from app.ui import theme, words

_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 34, 46
_LEAST, _MOST = 3.5, 10.0
"""Radius of the slowest and the quickest; those without a speed get the first."""
_NEAR = 14.0


class Dot(Struct, frozen=True):
    """One measured model, or a published value. ``size`` in bytes, ``loss`` in nats above 0."""

    name: str
    size: float
    loss: float
    error: float = 0.0
    speed: float | None = None
    published: bool = False
    key: str = ""


class LabPlot(QWidget):
    """Arrow keys walk over the measured points, as the pointer does. ``chosen`` tells the key of the one clicked."""

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.dots: tuple[Dot, ...] = ()
        self.edge: frozenset[int] = frozenset()
        self._source = ""
        self._floor: float | None = None
        self._at: int | None = None
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumHeight(theme.px(240))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        theme.notifier().changed.connect(self.update)

    def sizeHint(self) -> QSize:
        return QSize(560, 300)

    def show_dots(self, dots: Sequence[Dot], source: str = "", floor: float | None = None) -> None:
        """``source`` says whose the published values are; below ``floor`` a divergence is the backend's noise."""
        measured = [dot for dot in dots if not dot.published]
        self.dots = (*measured, *(dot for dot in dots if dot.published))
        self.edge = pareto([(dot.size, dot.loss) for dot in measured])
        self._source, self._floor, self._at = source, floor, None
        lines = [self.words(at).replace("\n", ", ") for at in range(len(measured))]
        self.setAccessibleDescription("; ".join(lines))
        self.update()

    def measured(self) -> list[Dot]:
        """Those of this machine."""
        return [dot for dot in self.dots if not dot.published]

    def words(self, at: int) -> str:
        """What a point says on hover."""
        dot = self.dots[at]
        lines = [dot.name, words.size(round(dot.size)), self._loss(dot)]
        if dot.speed is not None:
            lines.append(self.tr("{rate} tokens/s").format(rate=_rate(dot.speed)))
        if dot.published:
            lines.append(self.tr("published, not measured here"))
        elif at in self.edge:
            lines.append(self.tr("none is as small and as good"))
        return "\n".join(lines)

    def _loss(self, dot: Dot) -> str:
        text = self.tr("KL divergence {value}").format(value=words.number(dot.loss, 4))
        return f"{text} ± {words.number(dot.error, 4)}" if dot.error else text

    # ------------------------------------------------------------------ places

    def _area(self, size: QSize) -> QRectF:
        return QRectF(_LEFT, _TOP, size.width() - _LEFT - _RIGHT, size.height() - _TOP - _BOTTOM)

    def _scales(self) -> tuple[float, float, float, float]:
        """(smallest and largest size, log10 of the least and of the greatest loss), with some room around."""
        sizes = [dot.size for dot in self.dots] or [0.0, 1e9]
        losses = [max(dot.loss, 1e-5) for dot in self.dots] or [0.001, 1.0]
        room = max(max(sizes) - min(sizes), 0.1 * max(sizes)) * 0.06
        low, high = math.log10(min(losses)) - 0.3, math.log10(max(losses)) + 0.3
        return max(0.0, min(sizes) - room), max(sizes) + room, low, max(high, low + 1)

    def _place(self, dot: Dot, area: QRectF) -> QPointF:
        smallest, largest, low, high = self._scales()
        across = (dot.size - smallest) / (largest - smallest)
        up = (math.log10(max(dot.loss, 1e-5)) - low) / (high - low)
        return QPointF(area.left() + across * area.width(), area.bottom() - up * area.height())

    def _circle(self, dot: Dot, area: QRectF) -> QRectF:
        place, radius = self._place(dot, area), self._radius(dot)
        return QRectF(place.x() - radius, place.y() - radius, 2 * radius, 2 * radius)

    def _radius(self, dot: Dot) -> float:
        speeds = [each.speed for each in self.dots if each.speed]
        if dot.speed is None or not speeds:
            return _LEAST if dot.published else _LEAST + 1
        return max(_LEAST + 1, _MOST * math.sqrt(dot.speed / max(speeds)))

    # ------------------------------------------------------------------ painting

    def picture(self, width: int = 1600, height: int = 960) -> QImage:
        """The same as an image, twice as sharp as the screen's."""
        image = QImage(width, height, QImage.Format.Format_RGB32)
        image.fill(theme.color("surface"))
        painter = QPainter(image)
        painter.scale(2, 2)
        self._paint(painter, QSize(width // 2, height // 2))
        painter.end()
        return image

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        self._paint(painter, self.size())
        if self.hasFocus():
            painter.setPen(QPen(theme.color("accent"), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 6, 6)

    def _paint(self, painter: QPainter, size: QSize) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(theme.tabular(theme.font("secondary")))
        area = self._area(size)
        self._paint_grid(painter, area)
        self._paint_floor(painter, area)
        self._paint_edge(painter, area)
        for at, dot in enumerate(self.dots):
            self._paint_dot(painter, area, at, dot)
        self._paint_names(painter, area)
        self._paint_key(painter, area)

    def _paint_grid(self, painter: QPainter, area: QRectF) -> None:
        smallest, largest, low, high = self._scales()
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for power in range(math.ceil(low), math.floor(high) + 1):
            y = area.bottom() - (power - low) / (high - low) * area.height()
            painter.setPen(QPen(theme.color("line"), 1))
            painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
            painter.setPen(theme.color("text-2"))
            label = words.number(10.0**power, max(0, -power))
            painter.drawText(QRectF(0, y - 9, _LEFT - 8, 18), right, label)
        step = _step(largest - smallest)
        for number in range(math.ceil(smallest / step), int(largest / step) + 1):
            x = area.left() + (number * step - smallest) / (largest - smallest) * area.width()
            box = QRectF(x - 40, area.bottom() + 4, 80, 16)
            painter.drawText(
                box, Qt.AlignmentFlag.AlignHCenter, words.number(number * step / 1e9, _digits(step))
            )
        below = QRectF(area.left(), area.bottom() + 22, area.width(), 18)
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, self.tr("Size (GB)"))
        painter.drawText(QRectF(8, 6, area.width(), 18), Qt.AlignmentFlag.AlignLeft, self.tr("KL divergence"))

    def _paint_floor(self, painter: QPainter, area: QRectF) -> None:
        if self._floor is None or not self.dots:
            return
        y = self._place(Dot("", 0.0, self._floor), area).y()
        if not area.top() <= y <= area.bottom():
            return
        painter.setPen(QPen(theme.color("text-2"), 1, Qt.PenStyle.DashLine))
        painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
        painter.drawText(
            QRectF(area.left() + 6, y - 18, area.width(), 16),
            Qt.AlignmentFlag.AlignLeft,
            self.tr("noise floor"),
        )

    def _paint_edge(self, painter: QPainter, area: QRectF) -> None:
        edge = sorted((self.dots[at] for at in self.edge), key=lambda dot: dot.size)
        painter.setPen(QPen(theme.color("accent"), 1.5))
        places = [self._place(dot, area) for dot in edge]
        for first, second in itertools.pairwise(places):
            painter.drawLine(first, second)
        published = sorted((dot for dot in self.dots if dot.published), key=lambda dot: dot.size)
        painter.setPen(QPen(theme.color("plot-2"), 1, Qt.PenStyle.DotLine))
        places = [self._place(dot, area) for dot in published]
        for first, second in itertools.pairwise(places):
            painter.drawLine(first, second)

    def _paint_dot(self, painter: QPainter, area: QRectF, at: int, dot: Dot) -> None:
        place, radius = self._place(dot, area), self._radius(dot)
        shade = theme.color("plot-2" if dot.published else "accent" if at in self.edge else "text-2")
        if dot.error and dot.loss > dot.error and not dot.published:
            painter.setPen(QPen(shade, 1))
            for loss in ((dot.loss - dot.error, dot.loss), (dot.loss, dot.loss + dot.error)):
                ends = [self._place(Dot("", dot.size, value), area) for value in loss]
                painter.drawLine(*ends)
        painter.setPen(QPen(shade, 1.5, Qt.PenStyle.DotLine if dot.published else Qt.PenStyle.SolidLine))
        fill = theme.color("surface")
        if at in self.edge and not dot.published:
            fill = shade
            fill.setAlphaF(0.28)
        painter.setBrush(fill)
        painter.drawEllipse(place, radius, radius)
        if at == self._at:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(theme.color("text"), 2))
            painter.drawEllipse(place, radius + 3, radius + 3)

    def _paint_names(self, painter: QPainter, area: QRectF) -> None:
        """Each name where no other one stands; those without room are told on hover."""
        metrics, taken = QFontMetrics(painter.font()), [self._circle(dot, area) for dot in self.dots]
        for at, dot in enumerate(self.dots):
            text, own = dot.name, self._circle(dot, area)
            place, radius = self._place(dot, area), self._radius(dot)
            width, height = metrics.horizontalAdvance(text) + 2, metrics.height()
            for box in (
                QRectF(place.x() + radius + 4, place.y() - height / 2, width, height),
                QRectF(place.x() - radius - 4 - width, place.y() - height / 2, width, height),
                QRectF(place.x() - width / 2, place.y() - radius - height - 2, width, height),
                QRectF(place.x() - width / 2, place.y() + radius + 2, width, height),
            ):
                inside = box.left() > area.left() and box.right() < area.right() + _RIGHT
                if (
                    inside
                    and box.top() > 0
                    and not any(box.intersects(other) for other in taken if other != own)
                ):
                    taken.append(box)
                    painter.setPen(
                        theme.color("plot-2" if dot.published else "text" if at in self.edge else "text-2")
                    )
                    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)
                    break

    def _paint_key(self, painter: QPainter, area: QRectF) -> None:
        parts = []
        if any(dot.speed for dot in self.dots):
            parts.append(self.tr("area: tokens/s measured here"))
        if self._source:
            parts.append(self.tr("dotted: published for {model}").format(model=self._source))
        painter.setPen(theme.color("text-2"))
        text = "   ".join(parts)
        painter.drawText(QRectF(area.left(), 6, area.width(), 18), Qt.AlignmentFlag.AlignRight, text)

    # ------------------------------------------------------------------ looking at one

    def near(self, where: QPointF) -> int | None:
        """The point below the pointer."""
        area = self._area(self.size())
        far = [
            (QPointF(self._place(dot, area) - where).manhattanLength(), at)
            for at, dot in enumerate(self.dots)
        ]
        distance, at = min(far, default=(math.inf, 0))
        return at if distance <= _NEAR + _MOST else None

    def _look(self, at: int | None) -> None:
        if at != self._at:
            self._at = at
            self.update()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._look(self.near(event.position()))
        super().mouseMoveEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        at = self.near(event.position())
        if at is not None and self.dots[at].key:
            self.chosen.emit(self.dots[at].key)
        super().mousePressEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        self._look(None)
        super().leaveEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        step = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(Qt.Key(event.key()))
        order = sorted(range(len(self.measured())), key=lambda at: self.dots[at].size)
        if step is None or not order:
            super().keyPressEvent(event)
            return
        now = order.index(self._at) + step if self._at in order else 0 if step > 0 else len(order) - 1
        at = order[min(max(now, 0), len(order) - 1)]
        self._look(at)
        self.chosen.emit(self.dots[at].key)
        place = self._place(self.dots[at], self._area(self.size())).toPoint()
        QToolTip.showText(self.mapToGlobal(place), self.words(at), self)

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            at = self.near(QPointF(event.pos()))
            if at is not None:
                QToolTip.showText(event.globalPos(), self.words(at), self)
                return True
        return super().event(event)


def _rate(speed: float) -> str:
    return words.number(speed, 1 if speed < 100 else 0)


def _step(largest: float) -> float:
    """1, 2 or 5 times a power of ten, so that there are some five marks."""
    rough = largest / 5
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)


def _digits(step: float) -> int:
    return max(0, -math.floor(math.log10(step / 1e9)))
