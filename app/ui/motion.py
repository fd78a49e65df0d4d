"""Whether the system asks programs for less motion: Linux desktops through their portal, Windows and macOS directly."""

import logging
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from app.ui.desktop_bus import PORTAL, PORTAL_PATH, DesktopBus, variant

log = logging.getLogger(__name__)

_SETTINGS = "org.freedesktop.portal.Settings"
_WANTED: dict[tuple[str, str], Callable[[Any], bool]] = {
    ("org.freedesktop.appearance", "reduced-motion"): lambda value: value == 1,
    ("org.gnome.desktop.interface", "enable-animations"): lambda value: value is False,
    ("org.kde.kdeglobals.KDE", "AnimationDurationFactor"): lambda value: str(value) in {"0", "0.0"},
}
"""Where a desktop says it, newest first, and what means less motion."""
_SPI_GETCLIENTAREAANIMATION = 0x1042


class _Linux:
    """What the portal said last."""

    def __init__(self) -> None:
        self.said: dict[tuple[str, str], bool] = {}

    def take(self, group: str, name: str, value: Any) -> bool:
        """Note a value; True when it is one of those that count."""
        means = _WANTED.get((group, name))
        if means is not None:
            self.said[group, name] = means(variant(value))
        return means is not None


_linux = _Linux()


def reduced() -> bool:
    """The system's wish; False where it does not say."""
    return any(_linux.said.values()) or _asked_once()


def follow(bus: DesktopBus, changed: Callable[[], object]) -> None:
    """Ask the desktop, and be told when it thinks otherwise; ``changed`` follows each answer."""

    def all_of_them(groups: dict[str, dict[str, Any]]) -> None:
        known = [
            _linux.take(group, name, value) for group, of in groups.items() for name, value in of.items()
        ]
        if any(known):
            changed()

    def one(group: str, name: str, value: Any) -> None:
        if _linux.take(group, name, value):
            changed()

    forget()
    place = (PORTAL, PORTAL_PATH, _SETTINGS)
    groups = [group for group, _name in _WANTED]
    bus.listen(PORTAL_PATH, _SETTINGS, "SettingChanged", one)
    bus.call(place, "ReadAll", "as", (groups,), all_of_them, lambda why: log.info("no portal: %s", why))


def forget() -> None:
    """What a desktop said that is no longer followed."""
    _linux.said.clear()


@lru_cache(maxsize=1)
def _asked_once() -> bool:
    try:
        if sys.platform == "win32":
            return _windows()
        return sys.platform == "darwin" and _mac()
    except (OSError, AttributeError) as error:
        log.info("the system does not say how much motion it wants: %s", error)
        return False


def _windows() -> bool:
    import ctypes  # noqa: PLC0415 - Windows only

    shown = ctypes.c_int(1)
    user = ctypes.WinDLL("user32")  # type: ignore[attr-defined]
    user.SystemParametersInfoW(_SPI_GETCLIENTAREAANIMATION, 0, ctypes.byref(shown), 0)
    return not shown.value


def _mac() -> bool:
    import ctypes  # noqa: PLC0415 - macOS only
    import ctypes.util  # noqa: PLC0415

    objc = ctypes.CDLL(ctypes.util.find_library("objc") or "")
    objc.objc_getClass.restype = objc.sel_registerName.restype = ctypes.c_void_p
    send = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(("objc_msgSend", objc))
    shared = send(objc.objc_getClass(b"NSWorkspace"), objc.sel_registerName(b"sharedWorkspace"))
    asks = objc.sel_registerName(b"accessibilityDisplayShouldReduceMotion")
    return bool((send(shared, asks) or 0) & 0xFF)
