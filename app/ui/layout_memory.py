"""What a window remembers of its layout: place and size, docks, the page in front, where splitters stand.

Qt's INI loses types across processes, so only texts and byte arrays are kept here; settings have their own file.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QByteArray, QDataStream, QSettings, QSize, Qt
from PySide6.QtWidgets import QSplitter, QWidget

if TYPE_CHECKING:
    from app.ui.main_window import MainWindow

_VERSION = 1
_FIRST_SIZE = (1280, 800)
_MOST = 6
_APART = 32
"""Pixels between one window and the next when nothing is remembered."""
FRAME = 40
"""Pixels that a window's title and frame take of the screen's height: not known before it is shown."""


def first_size(room: QSize, least: QSize) -> QSize:
    """The usual size, or what the screen has room for; a screen too small for the smallest window does not count."""
    if room.width() < least.width() or room.height() < least.height():
        return QSize(*_FIRST_SIZE)
    return QSize(*_FIRST_SIZE).boundedTo(QSize(room.width(), room.height() - FRAME)).expandedTo(least)


def restore_splitter(splitter: QSplitter, state: QByteArray) -> None:
    """As it stood. What was kept at a larger zoom may be more than a part takes now: Qt would leave a gap beside it."""
    if not splitter.restoreState(state):
        return
    kept, across = _sizes_in(state), splitter.orientation() == Qt.Orientation.Horizontal
    parts = [splitter.widget(at) for at in range(splitter.count())]
    most = [part.maximumWidth() if across else part.maximumHeight() for part in parts if part is not None]
    clipped = [min(size, limit) for size, limit in zip(kept, most, strict=False)]
    if clipped != kept:
        splitter.setSizes(clipped)


def _sizes_in(state: QByteArray) -> list[int]:
    """The sizes in what ``QSplitter.saveState`` gave: before it is shown a splitter does not say its own."""
    stream = QDataStream(state)
    _magic, _version, count = (stream.readInt32() for _ in range(3))
    return [stream.readInt32() for _ in range(min(count, 16))]


class LayoutMemory:
    """One window's part of ``window.ini``."""

    def __init__(self, file: Path, number: int) -> None:
        self._number = number
        self._prefix = "" if number == 1 else f"window{number}/"
        self._store = QSettings(str(file), QSettings.Format.IniFormat)

    def restore_window(self, window: "MainWindow") -> None:
        """Place, size and docks as they were; the usual size the first time."""
        geometry, state = self._bytes("geometry"), self._bytes("layout")
        if geometry is not None and window.restoreGeometry(geometry):
            if state is not None:
                window.restoreState(state, _VERSION)
            window.panels.lay_as(self._store.value(self._prefix + "strip") != "no")
            return
        self._place_first(window)

    def _place_first(self, window: "MainWindow") -> None:
        room = window.screen().availableGeometry()
        size = first_size(room.size(), window.minimumSize())
        window.resize(size)
        if self._number > 1:
            aside = _APART * (self._number - 1)
            right = min(aside, max(0, room.width() - size.width()))
            down = min(aside, max(0, room.height() - FRAME - size.height()))
            window.move(room.left() + right, room.top() + down)

    def page(self) -> str:
        """The page that was in front, or ""."""
        return str(self._store.value(self._prefix + "page") or "")

    def restore_page(self, name: str, page: QWidget) -> None:
        """Put a page's splitters where they stood."""
        for at, splitter in enumerate(page.findChildren(QSplitter)):
            state = self._bytes(f"splitters/{name}{at}")
            if state is not None:
                restore_splitter(splitter, state)

    def keep(self, window: "MainWindow") -> None:
        """Write everything down."""
        self._put("geometry", window.saveGeometry())
        if not window.panels.kept_away:  # the simple window must not teach the full one to hide them
            self._put("layout", window.saveState(_VERSION))
            self._put("strip", "yes" if window.panels.strip else "no")
        self._put("page", window.page_shown())
        for name, page in window.pages.items():
            for at, splitter in enumerate(page.findChildren(QSplitter)):
                self._put(f"splitters/{name}{at}", splitter.saveState())
        self._store.sync()

    def _put(self, name: str, value: object) -> None:
        self._store.setValue(self._prefix + name, value)

    def _bytes(self, name: str) -> QByteArray | None:
        value = self._store.value(self._prefix + name)
        return value if isinstance(value, QByteArray) else None

    @property
    def number(self) -> int:
        """Which window this is, from 1."""
        return self._number

    def count(self) -> int:
        """How many windows were open when Hearth was quit."""
        return max(1, min(_MOST, int(str(self._store.value("windows") or 1))))

    def keep_count(self, count: int) -> None:
        """Remember how many windows are open."""
        self._store.setValue("windows", str(count))
        self._store.sync()
