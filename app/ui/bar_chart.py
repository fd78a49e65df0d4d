"""A bar per day: stacked parts, the largest value at the scale, the day and its values on hover. Painted directly."""

from collections.abc import Callable, Sequence

from msgspec import Struct
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QFontMetrics, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from app.ui import theme


class Bar(Struct, frozen=True):
    """One bar: what it is called, and its parts from the bottom; None: not measured."""

    name: str
    parts: tuple[float | None, ...]

    @property
    def height(self) -> float:
        """All known parts."""
        return sum(part for part in self.parts if part is not None)


class BarChart(QWidget):
    """``tokens``: the palette names of the parts. Arrow keys walk over the bars, as the pointer does."""

    def __init__(self, tokens: Sequence[str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._tokens = tuple(tokens)
        self._bars: tuple[Bar, ...] = ()
        self._names: tuple[str, ...] = ("",) * len(self._tokens)
        self._show: Callable[[float], str] = str
        self._nothing = ""
        self._at: int | None = None
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        return QSize(200, theme.px(132))

    def show_bars(
        self, bars: Sequence[Bar], names: Sequence[str], show: Callable[[float], str], nothing: str = ""
    ) -> None:
        """``names`` of the parts; ``show`` puts a value into words; ``nothing`` says why there is no bar."""
        self._bars, self._names, self._show, self._at = tuple(bars), tuple(names), show, None
        self._nothing = nothing or self.tr("nothing measured")
        spoken = [self.words(at) for at, bar in enumerate(self._bars) if bar.height > 0]
        said = "; ".join(line.replace("\n", ", ") for line in spoken)
        self.setAccessibleDescription(said or self._nothing)
        self.update()

    def words(self, at: int) -> str:
        """What a bar says on hover: the day, then each part on a line."""
        bar = self._bars[at]
        rows = [
            f"{name}: {self._show(part)}" if name else self._show(part)
            for name, part in zip(self._names, bar.parts, strict=False)
            if part is not None
        ]
        return "\n".join([bar.name, *(rows or [self.tr("nothing measured")])])

    # ------------------------------------------------------------------ painting

    def _area(self) -> QRectF:
        line = QFontMetrics(theme.font("secondary")).height()
        return QRectF(0, line + 4, self.width(), self.height() - 2 * line - 8)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter, area = QPainter(self), self._area()
        painter.setFont(theme.font("secondary"))
        top = max((bar.height for bar in self._bars), default=0.0)
        painter.setPen(QPen(theme.color("line"), 1))
        painter.drawLine(QPointF(0, area.top()), QPointF(self.width(), area.top()))
        painter.drawLine(QPointF(0, area.bottom()), QPointF(self.width(), area.bottom()))
        if top > 0:
            for at in range(len(self._bars)):
                self._paint_bar(painter, area, at, top)
        self._paint_words(painter, area, top)

    def _paint_bar(self, painter: QPainter, area: QRectF, at: int, top: float) -> None:
        step = area.width() / len(self._bars)
        gap = 1.0 if step < 6 else min(6.0, step * 0.25)
        bottom = area.bottom()
        if at == self._at:
            painter.fillRect(QRectF(at * step, area.top(), step, area.height()), theme.color("raised"))
        for part, token in zip(self._bars[at].parts, self._tokens, strict=False):
            if part:
                height = max(1.0, area.height() * part / top)
                bottom -= height
                painter.fillRect(QRectF(at * step + gap / 2, bottom, step - gap, height), theme.color(token))

    def _paint_words(self, painter: QPainter, area: QRectF, top: float) -> None:
        painter.setPen(theme.color("text-2"))
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignTop
        if top > 0:
            painter.drawText(QRectF(0, 0, self.width(), area.top()), right, self._show(top))
        else:
            wrapped = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(area, wrapped, self._nothing)
        if self._bars:
            below = QRectF(0, area.bottom() + 3, self.width(), self.height() - area.bottom())
            left = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop
            painter.drawText(below, left, self._bars[0].name)
            painter.drawText(below, right, self._bars[-1].name)
        if self.hasFocus():
            painter.setPen(QPen(theme.color("accent"), 2))
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 4, 4)

    # ------------------------------------------------------------------ looking at one bar

    def _look(self, at: int | None, where: QPointF | None = None) -> None:
        if at is not None and not 0 <= at < len(self._bars):
            return
        if at != self._at:
            self._at = at
            self.update()
        if at is not None:
            step = self.width() / len(self._bars)
            place = where or QPointF((at + 0.5) * step, self.height() / 2)
            QToolTip.showText(self.mapToGlobal(place.toPoint()), self.words(at), self)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._bars:
            where = event.position()
            self._look(int(where.x() / self.width() * len(self._bars)), where)
        super().mouseMoveEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        self._look(None)
        super().leaveEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        step = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(Qt.Key(event.key()))
        if step is None or not self._bars:
            super().keyPressEvent(event)
            return
        last = len(self._bars) - 1
        start = self._at if self._at is not None else last + (1 if step < 0 else -last - 1)
        self._look(min(last, max(0, start + step)))
