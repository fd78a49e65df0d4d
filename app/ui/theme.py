"""Colours, fonts, icons and measures: the look of the whole window, in one place.

Fusion with our own palette and a small style sheet, because ``QStyleHints.setColorScheme`` changes nothing on several
platforms; "system" follows ``colorSchemeChanged``. Views ask ``color``, ``icon`` and ``font`` when they draw, and
listen to ``notifier().changed``.
"""

from functools import lru_cache
from typing import Literal

from PySide6.QtCore import QObject, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontDatabase, QGuiApplication, QIcon, QPainter, QPalette, QPixmap
from PySide6.QtWidgets import QApplication

from app.ui.resources import resource
from app.ui.stylesheet import stylesheet

Mode = Literal["system", "light", "dark", "contrast-light", "contrast-dark"]
Scheme = Literal["light", "dark"]
Role = Literal["text", "secondary", "chat", "title", "number", "mono"]

PALETTES: dict[Scheme, dict[str, str]] = {
    "light": {
        "window": "#F7F6F3",
        "surface": "#FFFFFF",
        "raised": "#EFEDE8",
        "line": "#DAD6CE",
        "text": "#1F1D1A",
        "text-2": "#5C574F",
        "accent": "#B5471B",
        "on-accent": "#FFFFFF",
        "good": "#2B6E3F",
        "warn": "#8A5A00",
        "bad": "#A92B22",
        "plot-1": "#B5471B",
        "plot-2": "#1F6FB2",
        "plot-3": "#2B6E3F",
        "plot-4": "#7A4FB5",
    },
    "dark": {
        "window": "#1B1A18",
        "surface": "#242320",
        "raised": "#2E2C28",
        "line": "#3A3833",
        "text": "#ECE9E3",
        "text-2": "#B0AAA0",
        "accent": "#F0925F",
        "on-accent": "#1B1A18",
        "good": "#7CC491",
        "warn": "#E3B341",
        "bad": "#F28B82",
        "plot-1": "#F0925F",
        "plot-2": "#6FB3E8",
        "plot-3": "#7CC491",
        "plot-4": "#B79AE8",
    },
}
_SIZES: dict[Role, int] = {"text": 13, "secondary": 12, "chat": 15, "title": 20, "number": 20, "mono": 13}

CONTROL_HEIGHT = 32
ROW_HEIGHT = 36


def high_contrast(scheme: Scheme) -> dict[str, str]:
    """A scheme on plain black or white, with every line as strong as text and no secondary text."""
    ground, ink, accent = (
        ("#FFFFFF", "#000000", "#8A2F0C") if scheme == "light" else ("#000000", "#FFFFFF", "#FFB38A")
    )
    strong = {"good": "#14522A", "warn": "#5F3D00", "bad": "#8B0F0F"} if scheme == "light" else {}
    raised = "#EDEDED" if scheme == "light" else "#161616"
    grounds = {"window": ground, "surface": ground, "on-accent": ground, "raised": raised}
    texts = {"text": ink, "text-2": ink, "line": ink, "accent": accent, "plot-1": accent}
    return {**PALETTES[scheme], **grounds, **texts, **strong}


class Theme(QObject):
    """The colours in force. ``changed`` fires after the application's palette and style sheet were replaced."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.mode: Mode = "system"
        self.scheme: Scheme = "light"
        self.tokens = PALETTES["light"]
        self.zoom = 1.0
        self.reduced_motion = False
        self._following = False
        self._stale = False

    def apply(self, mode: Mode) -> None:
        """Dress the application; "system" goes on following the desktop until another mode is applied."""
        self.mode = mode
        self._follow()
        scheme = self._wanted()
        tokens = high_contrast(scheme) if self._wants_contrast() else PALETTES[scheme]
        application = QApplication.instance()
        if not isinstance(application, QApplication):
            return
        changed = tokens != self.tokens or self._stale or not application.styleSheet()
        self.scheme, self.tokens, self._stale = scheme, tokens, False
        if changed:
            self._dress(application)

    def set_zoom(self, zoom: float) -> None:
        """Everything in another size, 1.0 being 100 %; drawn with the next ``apply``."""
        self._stale = self._stale or zoom != self.zoom
        self.zoom = zoom

    def set_motion(self, reduced: bool) -> None:
        """Nothing moves that the user did not move; the style sheet follows with the next ``apply``."""
        self._stale = self._stale or reduced != self.reduced_motion
        self.reduced_motion = reduced

    def _dress(self, application: QApplication) -> None:
        _tinted.cache_clear()
        if application.style().objectName().lower() != "fusion":
            application.setStyle("Fusion")
        # Replacing a sheet polishes every widget with both; taking it off first costs a third less (1,100 widgets).
        application.setStyleSheet("")
        application.setPalette(make_palette(self.tokens))
        application.setFont(font("text"))
        application.setStyleSheet(
            stylesheet(
                self.tokens,
                resource("icons").as_posix(),
                self.scheme,
                zoom=self.zoom,
                still=self.reduced_motion,
            )
        )
        self.changed.emit()

    def _follow(self) -> None:
        hints = QGuiApplication.styleHints()
        if not self._following:
            hints.colorSchemeChanged.connect(self._on_system)
            hints.accessibility().contrastPreferenceChanged.connect(self._on_system)
            self._following = True

    def _on_system(self) -> None:
        if self.mode == "system":
            self.apply("system")

    def _wanted(self) -> Scheme:
        if self.mode != "system":
            return "dark" if self.mode.endswith("dark") else "light"
        return "dark" if QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Dark else "light"

    def _wants_contrast(self) -> bool:
        return self.mode.startswith("contrast") or (self.mode == "system" and _system_contrast())


@lru_cache(maxsize=1)
def notifier() -> Theme:
    """The one theme of the program."""
    return Theme()


def color(token: str) -> QColor:
    """The colour of a token of the current theme. Raises KeyError for an unknown one."""
    return QColor(notifier().tokens[token])


def icon(name: str, token: str = "text-2") -> QIcon:
    """A line icon of ``resources/icons`` in a token's colour; Qt greys it when disabled."""
    return _tinted(name, token, notifier().tokens[token])


@lru_cache(maxsize=256)
def _tinted(name: str, _token: str, tint: str) -> QIcon:
    from PySide6.QtSvg import QSvgRenderer  # noqa: PLC0415 - 5 ms that only a window with icons pays

    source = resource("icons", f"{name}.svg").read_text("utf-8").replace("currentColor", tint)
    renderer = QSvgRenderer(source.encode())
    made = QIcon()
    for side in (16, 20, 24, *({px(16), px(24)} - {16, 20, 24})):
        for ratio in _ratios():
            made.addPixmap(_draw(renderer, side, ratio))
    return made


def _ratios() -> set[float]:
    """Pixels per point of the screens there are; what a later screen needs is scaled."""
    return {1.0, *(screen.devicePixelRatio() for screen in QGuiApplication.screens())}


def _draw(renderer: object, side: int, ratio: float) -> QPixmap:
    pixmap = QPixmap(QSize(round(side * ratio), round(side * ratio)))
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    renderer.render(painter)  # type: ignore[attr-defined]
    painter.end()
    pixmap.setDevicePixelRatio(ratio)
    return pixmap


def px(size: int) -> int:
    """A measure at 100 % in the zoom in force."""
    return round(size * notifier().zoom)


def reduced_motion() -> bool:
    """Whoever moves something asks this first."""
    return notifier().reduced_motion


def font(role: Role) -> QFont:
    """The system's font in the size of a role; numbers are tabular, titles semi-bold."""
    made = QFontDatabase.systemFont(
        QFontDatabase.SystemFont.FixedFont if role == "mono" else QFontDatabase.SystemFont.GeneralFont
    )
    made.setPixelSize(px(_SIZES[role]))
    if role == "title":
        made.setWeight(QFont.Weight.DemiBold)
    return tabular(made) if role == "number" else made


def tabular(base: QFont) -> QFont:
    """The font with digits of one width, so that a changing number does not move."""
    made = QFont(base)
    made.setFeature(QFont.Tag("tnum"), 1)
    return made


def _system_contrast() -> bool:
    hints = QGuiApplication.styleHints()  # kept in a name: its parts die with the wrapper
    return bool(hints.accessibility().contrastPreference() == Qt.ContrastPreference.HighContrast)


def make_palette(tokens: dict[str, str]) -> QPalette:
    """Qt's roles from our tokens."""
    role = QPalette.ColorRole
    names = {
        role.Window: "window",
        role.WindowText: "text",
        role.Base: "surface",
        role.AlternateBase: "raised",
        role.Text: "text",
        role.Button: "surface",
        role.ButtonText: "text",
        role.BrightText: "bad",
        role.ToolTipBase: "raised",
        role.ToolTipText: "text",
        role.PlaceholderText: "text-2",
        role.Highlight: "accent",
        role.HighlightedText: "on-accent",
        role.Link: "accent",
        role.LinkVisited: "accent",
        role.Accent: "accent",
        role.Light: "raised",
        role.Midlight: "raised",
        role.Mid: "line",
        role.Dark: "line",
        role.Shadow: "line",
    }
    palette = QPalette()
    for key, token in names.items():
        palette.setColor(key, QColor(tokens[token]))
    for key in (role.WindowText, role.Text, role.ButtonText):
        faded = QColor(tokens["text-2"])
        faded.setAlphaF(0.6)
        palette.setColor(QPalette.ColorGroup.Disabled, key, faded)
    palette.setColor(QPalette.ColorGroup.Disabled, role.Highlight, QColor(tokens["line"]))
    return palette
