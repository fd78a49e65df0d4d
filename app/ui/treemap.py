"""A picture of sizes: each model a rectangle whose area is its bytes, so that what fills the disk is seen at once.

Placing is ``squarify``, pure and after Bruls, Huizing and van Wijk, "Squarified treemaps" (2000).
"""

from collections.abc import Sequence

from msgspec import Struct
from PySide6.QtCore import QEvent, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFocusEvent,
    QFontMetrics,
    QHelpEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
)
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from app.ui import theme

_GAP = 2
_ROOM_FOR_WORDS = (64, 34)


class Tile(Struct, frozen=True):
    """One rectangle. ``note`` says in words what the colour says."""

    key: str
    size: float
    name: str
    note: str
    token: str
    tip: str = ""


def squarify(sizes: Sequence[float], width: float, height: float) -> list[tuple[float, float, float, float]]:
    """(x, y, width, height) for each size, the largest first; areas are in the ratio of the sizes, shapes near a
    square. Sizes must be positive and in falling order."""
    total = sum(sizes)
    if not sizes or width <= 0 or height <= 0 or total <= 0:
        return []
    scale = width * height / total
    areas, placed = [size * scale for size in sizes], []
    x, y = 0.0, 0.0
    while areas:
        short = min(width, height)
        count = _row_length(areas, short)
        row, areas = areas[:count], areas[count:]
        thick = sum(row) / short
        at = 0.0
        for area in row:
            long = area / thick
            placed.append((x, y + at, thick, long) if width >= height else (x + at, y, long, thick))
            at += long
        if width >= height:
            x, width = x + thick, width - thick
        else:
            y, height = y + thick, height - thick
    return placed


def _row_length(areas: Sequence[float], short: float) -> int:
    """So many of the next areas go into one row that its worst shape is best."""
    best, count, total = float("inf"), 0, 0.0
    for area in areas:
        total += area
        worst = max((short * areas[0]) * short / total**2, total**2 / (short * area * short))
        if worst > best:
            break
        best, count = worst, count + 1
    return max(count, 1)


def _mixed(first: QColor, second: QColor, share: float) -> QColor:
    """``share`` of the first colour over the second."""
    rest = 1 - share
    return QColor.fromRgbF(
        first.redF() * share + second.redF() * rest,
        first.greenF() * share + second.greenF() * rest,
        first.blueF() * share + second.blueF() * rest,
    )


class Treemap(QWidget):
    """``chosen`` when a tile is clicked or reached with the arrow keys, ``opened`` on a double click or Enter."""

    chosen = Signal(str)
    opened = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.tiles: list[Tile] = []
        self.current = ""
        self._places: list[QRectF] = []
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumHeight(140)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        theme.notifier().changed.connect(self.update)

    def sizeHint(self) -> QSize:
        return QSize(640, 320)

    def show_tiles(self, tiles: Sequence[Tile]) -> None:
        """Show these; what has no size is left out."""
        self.tiles = sorted((tile for tile in tiles if tile.size > 0), key=lambda tile: -tile.size)
        self._place()
        self.choose(self.current if any(tile.key == self.current for tile in self.tiles) else "")

    def choose(self, key: str) -> None:
        """Mark a tile."""
        self.current = key
        found = next((tile for tile in self.tiles if tile.key == key), None)
        self.setAccessibleDescription(f"{found.name}, {found.note}" if found else "")
        self.update()

    def _place(self) -> None:
        rects = squarify([tile.size for tile in self.tiles], float(self.width()), float(self.height()))
        self._places = [QRectF(*rect) for rect in rects]
        self.update()

    def tile_at(self, x: float, y: float) -> Tile | None:
        """The tile below a point."""
        for tile, rect in zip(self.tiles, self._places, strict=False):
            if rect.contains(x, y):
                return tile
        return None

    # ------------------------------------------------------------------ Qt's events

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        tile = self.tile_at(event.position().x(), event.position().y())
        if tile is not None:
            self._take(tile)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        tile = self.tile_at(event.position().x(), event.position().y())
        if tile is not None:
            self.opened.emit(tile.key)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        steps = {Qt.Key.Key_Right: 1, Qt.Key.Key_Down: 1, Qt.Key.Key_Left: -1, Qt.Key.Key_Up: -1}
        step = steps.get(Qt.Key(event.key()))
        if step is not None and self.tiles:
            keys = [tile.key for tile in self.tiles]
            at = keys.index(self.current) + step if self.current in keys else 0
            self._take(self.tiles[min(max(at, 0), len(keys) - 1)])
        elif event.key() in {Qt.Key.Key_Return, Qt.Key.Key_Enter} and self.current:
            self.opened.emit(self.current)
        else:
            super().keyPressEvent(event)

    def _take(self, tile: Tile) -> None:
        self.choose(tile.key)
        self.chosen.emit(tile.key)

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self.update()

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            tile = self.tile_at(event.pos().x(), event.pos().y())
            if tile is not None:
                QToolTip.showText(event.globalPos(), tile.tip or f"{tile.name}\n{tile.note}", self)
                return True
        return super().event(event)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for tile, place in zip(self.tiles, self._places, strict=False):
            self._paint_tile(painter, tile, place.adjusted(_GAP / 2, _GAP / 2, -_GAP / 2, -_GAP / 2))

    def _paint_tile(self, painter: QPainter, tile: Tile, rect: QRectF) -> None:
        shade, marked = theme.color(tile.token), tile.key == self.current
        edge = theme.color("accent") if self.hasFocus() else theme.color("text")
        painter.setPen(edge if marked else shade)
        painter.setBrush(_mixed(shade, theme.color("surface"), 0.22))
        painter.drawRoundedRect(rect, 4, 4)
        if marked:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(rect.adjusted(1, 1, -1, -1), 3, 3)
        if rect.width() < _ROOM_FOR_WORDS[0] or rect.height() < _ROOM_FOR_WORDS[1]:
            return
        inner = rect.adjusted(8, 6, -8, -6)
        self._write(painter, inner, tile.name, "text", "text")
        if inner.height() >= 34:
            self._write(painter, inner.adjusted(0, 18, 0, 0), tile.note, "secondary", "text-2")

    @staticmethod
    def _write(painter: QPainter, rect: QRectF, text: str, role: theme.Role, token: str) -> None:
        font = theme.font(role)
        painter.setFont(font)
        painter.setPen(theme.color(token))
        shown = QFontMetrics(font).elidedText(text, Qt.TextElideMode.ElideRight, int(rect.width()))
        painter.drawText(rect, Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft, shown)
