"""A key that works in every program under Wayland: the desktop's GlobalShortcuts portal asks the user, then tells."""

import os
from collections.abc import Callable
from typing import Any

from app.ui.desktop_bus import PORTAL, PORTAL_PATH, DesktopBus, variant

SHORTCUTS = "org.freedesktop.portal.GlobalShortcuts"
QUICK = "quick-ask"


class PortalKey:
    """One shortcut in one session. ``settled`` gets "" and the key that the user agreed to, or the problem and ""."""

    def __init__(
        self,
        bus: DesktopBus,
        trigger: str,
        words: str,
        pressed: Callable[[], None],
        settled: Callable[[str, str], None],
    ) -> None:
        self._bus, self._trigger, self._words = bus, trigger, words
        self._pressed, self._settled = pressed, settled
        self._session = ""
        self._closed = False
        # Desktops that ask once and remember do so by the program's name; those that don't know the call refuse it.
        registry = (PORTAL, PORTAL_PATH, "org.freedesktop.host.portal.Registry")
        bus.call(registry, "Register", "sa{sv}", ("hearth", {}), self._begin, self._begin)

    def _begin(self, *_answer: object) -> None:
        if self._closed:
            return
        token = {"session_handle_token": ("s", f"hearth{os.getpid()}")}
        self._bus.listen(PORTAL_PATH, SHORTCUTS, "Activated", self._activated)
        self._bus.request(
            SHORTCUTS,
            "CreateSession",
            "a{sv}",
            lambda options: ({**options, **token},),
            self._bind,
            self._failed,
        )

    def _bind(self, results: dict[str, Any]) -> None:
        self._session = str(results.get("session_handle", ""))
        if self._closed:
            self._end_session()
            return
        about = {"description": ("s", self._words), "preferred_trigger": ("s", self._trigger)}
        self._bus.request(
            SHORTCUTS,
            "BindShortcuts",
            "oa(sa{sv})sa{sv}",
            lambda options: (self._session, [(QUICK, about)], "", options),
            self._bound,
            self._failed,
        )

    def _bound(self, results: dict[str, Any]) -> None:
        given = dict(results.get("shortcuts") or [])
        if QUICK not in given:
            self._failed("the desktop bound no key")
            return
        self._tell("", str(variant(given[QUICK].get("trigger_description", ("s", "")))))

    def _activated(self, session: str, shortcut: str, _time: int, options: dict[str, Any]) -> None:
        if self._closed or session != self._session or shortcut != QUICK:
            return
        # Wayland lets a program come to the front with this token only; Qt takes it from here.
        if token := variant(options.get("activation_token", ("s", ""))):
            os.environ["XDG_ACTIVATION_TOKEN"] = str(token)
        self._pressed()

    def _failed(self, why: str) -> None:
        self._end_session()
        self._tell(why, "")

    def _tell(self, problem: str, keys: str) -> None:
        if not self._closed:
            self._settled(problem, keys)

    def _end_session(self) -> None:
        if self._session:
            place = (PORTAL, self._session, "org.freedesktop.portal.Session")
            self._bus.call(place, "Close", "", (), _ignore, _ignore)
            self._session = ""

    def close(self) -> None:
        """Give the key back."""
        self._closed = True
        self._end_session()


def _ignore(*_values: object) -> None:
    """Whether it was still there."""
