"""A key that works in every program: grabbed from the X server, registered with Windows, asked of Wayland's desktop.

X11 is spoken through libX11 (every desktop with X has it) on a connection of our own, so that a refused grab can't
disturb Qt's. Wayland lets no program see keys meant for others: there the desktop's portal asks the user (where it has
one for this). Elsewhere (macOS) there is none, and the tray's menu does the same.
"""

import ctypes
import ctypes.util
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QAbstractNativeEventFilter, QCoreApplication, QObject, QSocketNotifier, Qt, Signal
from PySide6.QtGui import QGuiApplication, QKeySequence

if TYPE_CHECKING:
    from app.ui.desktop_bus import DesktopBus
    from app.ui.portal_key import PortalKey

log = logging.getLogger(__name__)

_KEY_PRESS = 2
_ASYNC = 1
_LOCKS = (0, 2, 16, 18)
"""Nothing, CapsLock, NumLock, both: a grab counts for exactly one state of them."""
_X_MODIFIERS = (
    (Qt.KeyboardModifier.ShiftModifier, 1),
    (Qt.KeyboardModifier.ControlModifier, 4),
    (Qt.KeyboardModifier.AltModifier, 8),
    (Qt.KeyboardModifier.MetaModifier, 64),
)
_PORTAL_MODIFIERS = (("CTRL", 4), ("ALT", 8), ("SHIFT", 1), ("LOGO", 64))
_WIN_MODIFIERS = (
    (Qt.KeyboardModifier.AltModifier, 1),
    (Qt.KeyboardModifier.ControlModifier, 2),
    (Qt.KeyboardModifier.ShiftModifier, 4),
    (Qt.KeyboardModifier.MetaModifier, 8),
)
_NAMES = {
    "Space": "space",
    "Enter": "KP_Enter",
    "PgUp": "Prior",
    "PgDown": "Next",
    "Ins": "Insert",
    "Del": "Delete",
}
_WM_HOTKEY = 0x0312


class GlobalKey(QObject):
    """``pressed`` fires wherever the keyboard is. ``problem`` says why there is none: "" while there is one, "asked"
    while the desktop asks its user. ``settled`` fires when that is known; ``words`` is the key as the desktop says it.
    """

    pressed = Signal()
    settled = Signal()

    def __init__(self, parent: QObject | None = None, bus: "DesktopBus | None" = None) -> None:
        super().__init__(parent)
        self.problem, self.words = "off", ""
        self._bus = bus
        self._grab: XGrab | WindowsGrab | PortalKey | None = None
        self._keys = ""

    @property
    def asks(self) -> bool:
        """The desktop asks its user before it gives a key."""
        return _under_wayland() and self._bus is not None and self._bus.there

    @property
    def possible(self) -> bool:
        """Whether this desktop gives programs such keys at all."""
        return QGuiApplication.platformName() == "xcb" or sys.platform == "win32" or self.asks

    def take(self, keys: str) -> None:
        """Claim a key (portable text, "" gives it back); ``settled`` fires, at once or when the user has answered."""
        if keys == self._keys and self.problem in {"", "asked"}:
            return
        self.close()
        self._keys = keys
        sequence = sequence_of(keys)
        if sequence.isEmpty():
            self._settle("off", "")
            return
        self.problem = ""
        try:
            self._grab = self._claim(sequence)
        except OSError as error:
            self._settle(str(error), "")
            return
        if not self.problem:
            self._settle("", sequence.toString())

    def _claim(self, sequence: QKeySequence) -> "XGrab | WindowsGrab | PortalKey":
        if self.asks:
            from app.ui.portal_key import PortalKey  # noqa: PLC0415 - Wayland only

            assert self._bus is not None
            self.problem = "asked"
            words = self.tr("Ask a quick question")
            return PortalKey(self._bus, portal_trigger(sequence), words, self.pressed.emit, self._settle)
        if QGuiApplication.platformName() == "xcb":
            return XGrab(sequence, self.pressed.emit)
        if sys.platform == "win32":
            return WindowsGrab(sequence, self.pressed.emit)
        raise OSError(f"{QGuiApplication.platformName()} does not give programs a key everywhere")

    def _settle(self, problem: str, words: str) -> None:
        if problem not in {"", "off"}:
            log.info("no global key: %s", problem)
        self.problem, self.words = problem, words or self._keys
        self.settled.emit()

    def close(self) -> None:
        """Give the key back."""
        if self._grab is not None:
            self._grab.close()
            self._grab = None
        self.problem = "off"


def _under_wayland() -> bool:
    """Also with Qt on Xwayland: a grab there is heard only while some X program has the keyboard."""
    return QGuiApplication.platformName() == "wayland" or os.environ.get("XDG_SESSION_TYPE") == "wayland"


def sequence_of(keys: str) -> QKeySequence:
    """A key from portable text; empty for what is none."""
    return QKeySequence.fromString(keys, QKeySequence.SequenceFormat.PortableText)


def portal_trigger(sequence: QKeySequence) -> str:
    """A key as the desktops' shortcuts specification writes it: ``CTRL+ALT+space``."""
    name, bits = key_parts(sequence, _X_MODIFIERS)
    return "+".join([*(word for word, bit in _PORTAL_MODIFIERS if bits & bit), name])


def key_parts(sequence: QKeySequence, table: tuple[tuple[Qt.KeyboardModifier, int], ...]) -> tuple[str, int]:
    """The key's X name and its modifiers as bits of ``table``."""
    combination = sequence[0]  # type: ignore[index]
    modifiers = sum(bit for modifier, bit in table if modifier in combination.keyboardModifiers())
    name = QKeySequence(combination.key()).toString(QKeySequence.SequenceFormat.PortableText)
    return _NAMES.get(name, name.lower() if len(name) == 1 else name), modifiers


class XGrab:
    """A passive grab on the root window."""

    def __init__(self, sequence: QKeySequence, pressed: Any) -> None:
        """Raises OSError when the display, the key or the grab can't be had."""
        name, self._modifiers = key_parts(sequence, _X_MODIFIERS)
        self._pressed = pressed
        self._x = _libx11()
        self._display = self._x.XOpenDisplay(None)
        if not self._display:
            raise OSError("the X server does not answer")
        self._code = self._x.XKeysymToKeycode(self._display, self._x.XStringToKeysym(name.encode()))
        self._root = self._x.XDefaultRootWindow(self._display)
        if not self._code or not self._claim():
            self._x.XCloseDisplay(self._display)
            raise OSError(f"{sequence.toString()} is taken by another program, or not on this keyboard")
        self._notifier = QSocketNotifier(
            self._x.XConnectionNumber(self._display), QSocketNotifier.Type.Read, None
        )
        self._notifier.activated.connect(self._read)

    def _claim(self) -> bool:
        refused: list[int] = []

        def note(_display: object, _event: object) -> int:
            refused.append(1)
            return 0

        # The handler is the process's: ours is in place only until the server has answered.
        handler = _HANDLER(note)
        before = self._x.XSetErrorHandler(ctypes.cast(handler, ctypes.c_void_p))
        for lock in _LOCKS:
            self._x.XGrabKey(self._display, self._code, self._modifiers | lock, self._root, 1, _ASYNC, _ASYNC)
        self._x.XSync(self._display, 0)
        self._x.XSetErrorHandler(before)
        return not refused

    def _read(self) -> None:
        event = (ctypes.c_long * 24)()
        while self._x.XPending(self._display):
            self._x.XNextEvent(self._display, event)
            if ctypes.cast(event, ctypes.POINTER(ctypes.c_int))[0] == _KEY_PRESS:
                self._pressed()

    def close(self) -> None:
        """Ungrab and hang up."""
        self._notifier.setEnabled(False)
        self._notifier.deleteLater()
        self._x.XCloseDisplay(self._display)  # its grabs end with it


_HANDLER = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


def _libx11() -> Any:
    """libX11 with the types of what is called. Raises OSError when it is not there."""
    library = ctypes.CDLL(ctypes.util.find_library("X11") or "libX11.so.6")
    pointer, number, long = ctypes.c_void_p, ctypes.c_int, ctypes.c_ulong
    signatures = {
        "XOpenDisplay": (pointer, [ctypes.c_char_p]),
        "XCloseDisplay": (number, [pointer]),
        "XStringToKeysym": (long, [ctypes.c_char_p]),
        "XKeysymToKeycode": (ctypes.c_ubyte, [pointer, long]),
        "XDefaultRootWindow": (long, [pointer]),
        "XGrabKey": (number, [pointer, number, ctypes.c_uint, long, number, number, number]),
        "XSync": (number, [pointer, number]),
        "XPending": (number, [pointer]),
        "XNextEvent": (number, [pointer, pointer]),
        "XConnectionNumber": (number, [pointer]),
        "XSetErrorHandler": (pointer, [pointer]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class WindowsGrab(QAbstractNativeEventFilter):
    """RegisterHotKey; the message comes with the thread's own."""

    def __init__(self, sequence: QKeySequence, pressed: Any) -> None:
        """Raises OSError when another program has the key."""
        super().__init__()
        name, modifiers = key_parts(sequence, _WIN_MODIFIERS)
        self._pressed, self._user = pressed, ctypes.WinDLL("user32")  # type: ignore[attr-defined]
        code = _windows_code(name)
        if not code or not self._user.RegisterHotKey(None, 1, modifiers | 0x4000, code):
            raise OSError(f"{sequence.toString()} is taken by another program, or not on this keyboard")
        QCoreApplication.instance().installNativeEventFilter(self)  # type: ignore[union-attr]

    def nativeEventFilter(self, _kind: object, message: Any) -> tuple[bool, int]:
        number = ctypes.c_uint.from_address(int(message) + ctypes.sizeof(ctypes.c_void_p)).value
        if number == _WM_HOTKEY:
            self._pressed()
            return True, 0
        return False, 0

    def close(self) -> None:
        """Unregister."""
        QCoreApplication.instance().removeNativeEventFilter(self)  # type: ignore[union-attr]
        self._user.UnregisterHotKey(None, 1)


def _windows_code(name: str) -> int:
    """Windows' virtual key of an X name; 0 for what has none here."""
    if len(name) == 1 and name.isalnum():
        return ord(name.upper())
    if name[:1] == "F" and name[1:].isdigit():
        return 0x6F + int(name[1:])
    return {"space": 0x20, "Home": 0x24, "End": 0x23, "Insert": 0x2D, "Delete": 0x2E}.get(name, 0)
