"""Which pages there are, in the rail's order, and how each is built."""

import importlib
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QWidget

from app.ui.levels import Level

if TYPE_CHECKING:
    from app.ui.main_window import MainWindow

PAGES = [
    ("chat", "chat"),
    ("discover", "discover"),
    ("library", "library"),
    ("downloads", "downloads"),
    ("lab", "lab"),
    ("usage", "usage"),
    ("server", "server"),
    ("settings", "settings"),
]

LEVELS: dict[str, Level] = {"server": "full", "lab": "full", "usage": "full"}
"""Pages that those who chose less don't see."""


def page_words(name: str) -> str:
    """A page's name in the language in force."""
    return {
        "chat": QCoreApplication.translate("Pages", "Chat"),
        "discover": QCoreApplication.translate("Pages", "Discover"),
        "library": QCoreApplication.translate("Pages", "Library"),
        "downloads": QCoreApplication.translate("Pages", "Downloads"),
        "lab": QCoreApplication.translate("Pages", "Lab"),
        "usage": QCoreApplication.translate("Pages", "Usage"),
        "server": QCoreApplication.translate("Pages", "Server"),
        "settings": QCoreApplication.translate("Pages", "Settings"),
    }[name]


def make_page(name: str, window: "MainWindow") -> QWidget:
    """Build a page and connect what it asks of the window. Imports are inside: a page costs nothing before it opens."""
    if name == "chat":
        return _chat(window)
    page = _own(name, window)
    page.asked.connect(window.obey)  # type: ignore[attr-defined]
    return page


_CLASSES = {
    "discover": "DiscoverPage",
    "library": "LibraryPage",
    "downloads": "DownloadsPage",
    "lab": "LabPage",
    "usage": "UsagePage",
    "settings": "SettingsPage",
    "welcome": "WelcomePage",
}


def _own(name: str, window: "MainWindow") -> QWidget:
    services, bridge = window.services, window.bridge
    if name == "server":
        from app.ui.pages.server import ServerPage  # noqa: PLC0415

        return ServerPage(services, bridge, window.server, window)
    module = importlib.import_module(f"app.ui.pages.{name}")
    page: QWidget = getattr(module, _CLASSES[name])(services, bridge, window)
    return page


def _chat(window: "MainWindow") -> QWidget:
    from app.ui.pages.chat import ChatPage  # noqa: PLC0415

    page = ChatPage(window.services, window.bridge, window)
    page.search_requested.connect(lambda words: window.obey("search", words))
    page.starter_requested.connect(lambda: window.obey("starter", True))
    page.load_options_requested.connect(lambda model: window.obey("load", model))
    page.asked.connect(window.obey)
    page.context_changed.connect(window.panels.show_context)
    page.controller.answered.connect(window.answered)
    page.controller.acts.naming.connect(window.status.overlook)
    window.closing.connect(page.controller.close)
    return page
