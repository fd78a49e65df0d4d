"""The ring around what has the keyboard and can't show it by itself: areas that scroll, texts of messages, tabs."""

from collections.abc import Iterator
from contextlib import contextmanager

from PySide6.QtCore import QEvent, QObject, QPoint, QRect, Qt
from PySide6.QtGui import QGuiApplication, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import (
    QAbstractScrollArea,
    QApplication,
    QPlainTextEdit,
    QScrollArea,
    QTabBar,
    QTextBrowser,
    QWidget,
)
from shiboken6 import isValid

from app.ui import theme

_FOLLOWED = frozenset({QEvent.Type.Move, QEvent.Type.Resize, QEvent.Type.Show, QEvent.Type.Hide})


class _Ring(QWidget):
    def __init__(self, host: QWidget) -> None:
        super().__init__(host)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(theme.color("accent"), 2))
        painter.drawRoundedRect(self.rect().adjusted(1, 1, -1, -1), 6, 6)


class FocusRing(QObject):
    """Follows the keyboard through one window. Who clicks sees no ring, also where the click moves it on."""

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._window = window
        self._ring: _Ring | None = None
        self._watched: list[QWidget] = []
        self._by_keys = self._stepping = False
        """The keyboard was moved by keys last; a step from one widget to the next is being made."""
        application = QApplication.instance()
        assert isinstance(application, QApplication)
        application.focusChanged.connect(self._moved)

    @property
    def shown(self) -> bool:
        """There is a ring somewhere."""
        return self._ring is not None and isValid(self._ring) and self._ring.isVisible()

    @contextmanager
    def step(self) -> Iterator[None]:
        """Around what moves the keyboard because of a key."""
        self._stepping = True
        try:
            yield
        finally:
            self._stepping = False

    def _moved(self, _old: QWidget | None, now: QWidget | None) -> None:
        self._drop()
        if now is None or not self._is_ours(now.window()):
            return
        by_pointer = QGuiApplication.mouseButtons() != Qt.MouseButton.NoButton
        dialog = now.window() is not self._window
        self._by_keys = self._stepping or ((dialog or self._by_keys) and not by_pointer)
        if not self._by_keys:
            return
        reveal(now)
        if bare(now):
            self._surround(now)

    def _is_ours(self, window: QWidget) -> bool:
        """The window itself, or a dialog over it."""
        below = window.parentWidget()
        return self._window in {window, below.window() if below is not None else None}

    def _drop(self) -> None:
        for widget in self._watched:
            if isValid(widget):
                widget.removeEventFilter(self)
        self._watched = []
        if self._ring is not None and isValid(self._ring):
            self._ring.hide()
            self._ring.deleteLater()
        self._ring = None

    def _surround(self, widget: QWidget) -> None:
        host = _host(widget)
        above: QWidget | None = widget
        while above is not None and above is not host:
            above.installEventFilter(self)
            self._watched.append(above)
            above = above.parentWidget()
        self._ring = _Ring(host)
        self._place()
        self._ring.show()

    def _place(self) -> None:
        ring, widget = self._ring, self._watched[0]
        if ring is None or not isValid(ring):
            return
        host = ring.parentWidget()
        if host is None or not host.isAncestorOf(widget):
            ring.hide()  # it was taken out
            return
        rect = QRect(widget.mapTo(host, QPoint(0, 0)), widget.size())
        text = isinstance(widget, QTextBrowser | QPlainTextEdit)
        ring.setGeometry(rect.adjusted(-6, -4, 6, 4) if text else rect)
        ring.raise_()

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:
        if event.type() in _FOLLOWED and self._watched:
            self._place()
        return False


def bare(widget: QWidget) -> bool:
    """Whether neither style sheet nor widget draw a ring around it."""
    if isinstance(widget, QPlainTextEdit):
        return widget.isReadOnly() and widget.property("role") != "field"
    return isinstance(widget, QScrollArea | QTextBrowser | QTabBar) or hasattr(widget, "show_part")


def reveal(widget: QWidget) -> None:
    """Scroll a part that came by Tab into view, where its area does not do so by itself."""
    above = widget.parentWidget()
    while above is not None:
        if hasattr(above, "show_part"):
            above.show_part(widget)
            return
        above = above.parentWidget()


def _host(widget: QWidget) -> QWidget:
    """What clips it: the inside of the area it lies in, or its window."""
    above, window = widget.parentWidget(), widget.window()
    while above is not None and above is not window:
        area = above.parentWidget()
        if isinstance(area, QAbstractScrollArea) and area.viewport() is above:
            return above
        above = area
    return window
