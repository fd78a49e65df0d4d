"""Fonts, colours and measures of the chat view, computed once per theme and zoom."""

from dataclasses import dataclass
from functools import lru_cache

from PySide6.QtGui import QColor, QFont, QFontDatabase, QFontMetricsF

from app.ui import theme

COLUMN = 760
"""Widest text column, in pixels at 100 %."""
LINE_HEIGHT = 1.45
_BODY = 15
"""Pixels of the text at 100 %."""


@dataclass(frozen=True)
class ChatStyle:
    """What a message needs to draw itself."""

    body: QFont
    mono: QFont
    small: QFont
    column: int
    line_percent: float
    """Qt's proportional line height that gives LINE_HEIGHT times the font size."""
    text: QColor
    text_2: QColor
    line: QColor
    raised: QColor
    surface: QColor
    accent: QColor

    def px(self, pixels: float) -> int:
        """A measure at 100 % as pixels in this style's size."""
        return round(pixels * self.body.pixelSize() / _BODY)

    @property
    def gap(self) -> int:
        """Space between paragraphs, in pixels."""
        return round(self.body.pixelSize() * 0.6)


def make_style(zoom: float = 1.0) -> ChatStyle:
    """The style of the current theme; ``zoom`` 1.0 is the size of the rest of the window."""
    zoom *= theme.notifier().zoom
    body, mono, small = QFont(), QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont), QFont()
    body.setPixelSize(round(_BODY * zoom))
    mono.setPixelSize(round(13 * zoom))
    small.setPixelSize(round(12 * zoom))
    return ChatStyle(
        body=body,
        mono=mono,
        small=small,
        column=round(COLUMN * zoom),
        line_percent=_line_percent(body.family(), body.pixelSize()),
        text=theme.color("text"),
        text_2=theme.color("text-2"),
        line=theme.color("line"),
        raised=theme.color("raised"),
        surface=theme.color("surface"),
        accent=theme.color("accent"),
    )


@lru_cache(maxsize=32)
def _line_percent(family: str, pixels: int) -> float:
    font = QFont(family)
    font.setPixelSize(pixels)
    return max(100.0, 100.0 * LINE_HEIGHT * pixels / QFontMetricsF(font).height())
