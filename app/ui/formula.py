"""Formulas as vector drawings: TeX to SVG by ziamath on one pool thread, kept, and drawn in a text by Qt.

ziamath (MIT, pure Python, with STIX Two Math) takes 0.3 s to import and about 10 ms a formula: neither happens on the
GUI thread. Until a formula is drawn, and where its TeX can't be, its source is shown as text.
"""

import logging
import re
import warnings
from collections import OrderedDict
from functools import lru_cache
from typing import TYPE_CHECKING

from msgspec import Struct
from PySide6.QtCore import QObject, QRect, QRectF, QRunnable, QSizeF, QThreadPool, Signal
from PySide6.QtGui import QFontMetricsF, QPainter, QPyTextObject, QTextDocument, QTextFormat
from PySide6.QtSvg import QSvgRenderer

from app.ui import theme
from app.ui.math_text import LONGEST, Formula

if TYPE_CHECKING:
    from ziamath.zmath import Latex

log = logging.getLogger(__name__)

OBJECT = QTextFormat.ObjectTypes.UserObject.value + 1
TEX, DISPLAY, SOURCE, SIZE, TOKEN = (QTextFormat.Property.UserProperty.value + n for n in range(1, 6))
"""Properties of the character format that stands for a formula."""
MOST_KEPT = 600
_BOX = re.compile(r'viewBox="(\S+) (\S+) (\S+) (\S+)"')
_INK = "currentColor"
_NUMBERED = re.compile(r"\\(begin|end)\{(equation|align|gather|multline|eqnarray)\}")


class Drawing(Struct, frozen=True):
    """An SVG whose ink is ``currentColor``. Measures in pixels: whole width, above and below the baseline."""

    svg: str
    width: float
    ascent: float
    descent: float


def draw(tex: str, size: int, display: bool) -> Drawing | None:
    """TeX as SVG, or None when it is none. Any thread but the GUI's; one at a time."""
    if len(tex) > LONGEST:
        return None
    try:
        # A number beside each formula would count from 1 in every one of them.
        svg = _typesetter()(_NUMBERED.sub(r"\\\1{\2*}", tex), size=size, color=_INK, inline=not display).svg()
        box = _BOX.search(svg)
        assert box is not None
        top, width, height = (float(part) for part in box.groups()[1:])
    except (Exception, RecursionError) as error:  # noqa: BLE001 - anything a model wrote may end up here
        log.info("not a formula that can be drawn (%s): %.80s", type(error).__name__, tex)
        return None
    return Drawing(svg, width, -top, height + top)


@lru_cache(maxsize=1)
def _typesetter() -> "type[Latex]":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of importlib, for how it opens its font
        from ziamath.config import config  # noqa: PLC0415 - 0.3 s that only a formula pays
        from ziamath.zmath import Latex  # noqa: PLC0415

    config.svg2 = False  # QtSvg knows no symbols
    return Latex


class _Work(QRunnable):
    def __init__(self, formulas: "Formulas", key: tuple[str, int, bool]) -> None:
        super().__init__()
        self._formulas, self._key = formulas, key

    def run(self) -> None:
        drawing = draw(*self._key)
        try:
            self._formulas.drawn.emit(self._key, drawing)
        except RuntimeError:  # the program ends
            return


class Formulas(QObject):
    """Every drawing there is. ``ready`` fires, at most once for each turn of the event loop, when some were added."""

    drawn = Signal(object, object)
    ready = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._kept: OrderedDict[tuple[str, int, bool], Drawing | None] = OrderedDict()
        self._waiting: set[tuple[str, int, bool]] = set()
        self._inks: OrderedDict[tuple[tuple[str, int, bool], str], QSvgRenderer] = OrderedDict()
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self.drawn.connect(self._keep)

    def find(self, formula: Formula, size: int) -> tuple[Drawing | None, bool]:
        """(the drawing or None, whether that is final). What is missing is drawn in the background."""
        key = formula.tex, size, formula.display
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key], True
        if key not in self._waiting:
            self._waiting.add(key)
            self._pool.start(_Work(self, key))
        return None, False

    def _keep(self, key: tuple[str, int, bool], drawing: Drawing | None) -> None:
        self._waiting.discard(key)
        self._kept[key] = drawing
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        if not self._waiting:
            self.ready.emit()

    def paint(self, painter: QPainter, formula: Formula, size: int, token: str, where: QRectF) -> None:
        """Draw a formula that is there into a rectangle, in a colour of the theme."""
        key = formula.tex, size, formula.display
        drawing, ink = self._kept.get(key), theme.color(token).name()
        if drawing is None:
            return
        renderer = self._inks.get((key, ink))
        if renderer is None:
            renderer = QSvgRenderer(drawing.svg.replace(_INK, ink).encode())
            self._inks[key, ink] = renderer
            if len(self._inks) > MOST_KEPT:
                self._inks.popitem(last=False)
        renderer.render(painter, where)

    def settle(self, milliseconds: int = 10_000) -> bool:
        """Wait until nothing is being drawn (tests)."""
        return self._pool.waitForDone(milliseconds)


@lru_cache(maxsize=1)
def formulas() -> Formulas:
    """The one store of drawings."""
    return Formulas()


class FormulaObject(QPyTextObject):
    """Stands for a formula in a text document: as wide as its drawing, or as the text where that is too wide."""

    def intrinsicSize(self, document: QTextDocument, _position: int, form: QTextFormat) -> QSizeF:
        drawing = _drawing(form)
        if drawing is None:
            return QSizeF(0, 0)
        scale = _scale(document, drawing)
        if _hangs(drawing, form):
            return QSizeF(drawing.width * scale, drawing.ascent * scale)
        return QSizeF(drawing.width * scale, (drawing.ascent + drawing.descent) * scale)

    def drawObject(
        self,
        painter: QPainter,
        rect: QRectF | QRect,
        document: QTextDocument,
        _position: int,
        form: QTextFormat,
    ) -> None:
        drawing = _drawing(form)
        if drawing is None:
            return
        scale, rect = _scale(document, drawing), QRectF(rect)
        height = (drawing.ascent + drawing.descent) * scale
        top = rect.top() if _hangs(drawing, form) else _baseline(rect, form) - drawing.ascent * scale
        if form.property(DISPLAY):
            top = rect.top()
        where = QRectF(rect.left(), top, drawing.width * scale, height)
        formulas().paint(
            painter, formula_of(form), int(form.property(SIZE)), str(form.property(TOKEN)), where
        )


def formula_of(form: QTextFormat) -> Formula:
    """What a character format stands for."""
    return Formula(str(form.property(TEX)), bool(form.property(DISPLAY)), str(form.property(SOURCE)))


def _drawing(form: QTextFormat) -> Drawing | None:
    return formulas().find(formula_of(form), int(form.property(SIZE)))[0]


def hangs(drawing: Drawing, size: int) -> bool:
    """What hangs below the baseline is so little that the space between lines has room for it."""
    return drawing.descent <= 0.4 * size


def _hangs(drawing: Drawing, form: QTextFormat) -> bool:
    return not form.property(DISPLAY) and hangs(drawing, int(form.property(SIZE)))


def _scale(document: QTextDocument, drawing: Drawing) -> float:
    room = document.textWidth() - 4
    return min(1.0, room / drawing.width) if room > 50 else 1.0


def _baseline(rect: QRectF, form: QTextFormat) -> float:
    """Qt puts half of an object that is aligned in the middle above half the height of an x."""
    half = QFontMetricsF(form.toCharFormat().font()).xHeight() / 2
    return rect.bottom() - (rect.height() - half) / 2
