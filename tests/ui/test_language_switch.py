"""Every page is in the new language once it was changed while it stood there: nothing of the old one is left."""

import re
from collections.abc import Iterator
from typing import Any

from PySide6.QtCore import QEvent
from PySide6.QtGui import QAction
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QComboBox,
    QHeaderView,
    QLabel,
    QLineEdit,
    QTabBar,
    QTableView,
    QWidget,
)

from app.core.errors import DiskFullError
from app.ui import translate
from app.ui.errors import describe
from app.ui.resources import resource

PAGES = ("chat", "discover", "library", "downloads", "lab", "usage", "server", "settings")


def sources() -> re.Pattern[str]:
    """One pattern for every English text whose Vietnamese is another."""
    found = set()
    for (_, source), forms in translate.read_ts(resource("translations", "hearth_vi.ts")).items():
        words = re.sub(r"{\w+}|%n", "", source)
        if source not in forms and source != "English" and re.search(r"[a-z]{4}", words):
            found.add("".join(".+?" if part in {"{", "%n"} else re.escape(part) for part in _parts(source)))
    return re.compile("|".join(sorted(found, key=len, reverse=True)), re.DOTALL)


def _parts(source: str) -> Iterator[str]:
    for part in re.split(r"({\w+}|%n)", source):
        yield "{" if re.fullmatch(r"{\w+}|%n", part) else part


def texts(root: QWidget) -> Iterator[tuple[str, str]]:
    """(where, text) of everything that can be read there."""
    for widget in [root, *root.findChildren(QWidget)]:
        name = f"{type(widget.parent()).__name__}/{type(widget).__name__}"
        spoken = [widget.toolTip(), widget.accessibleDescription()]
        if not widget.property("given_name"):  # given when Tab is pressed, and anew then
            spoken.append(widget.accessibleName())
        if isinstance(widget, QLabel | QAbstractButton):
            spoken.append(widget.text())
        if isinstance(widget, QLineEdit):
            spoken.append(widget.placeholderText())
        if isinstance(widget, QComboBox):
            spoken += [widget.itemText(at) for at in range(widget.count())]
        if isinstance(widget, QTabBar):
            spoken += [widget.tabText(at) for at in range(widget.count())]
        if isinstance(widget, QTableView) and widget.model() is not None:
            header = widget.horizontalHeader()
            assert isinstance(header, QHeaderView)
            model = widget.model()
            spoken += [
                str(model.headerData(at, header.orientation()) or "") for at in range(model.columnCount())
            ]
        yield from ((name, text) for text in spoken if text)
    for action in root.findChildren(QAction):
        yield f"{type(action.parent()).__name__}/action", action.text()


def plain(text: str) -> str:
    """Without the marks of shortcuts."""
    return re.sub(r"&(?=\w)", "", text).strip()


def test_nothing_keeps_the_old_language(qtbot: Any, local_hub: Any, window: Any, services: Any) -> None:
    for name in PAGES:
        page = window.open_page(name)
        if hasattr(page, "banner"):
            page.banner.show_error(describe(DiskFullError(path="/disk", missing="2 GB")))
        qtbot.wait(50)
    page = window.open_page("discover")
    qtbot.waitUntil(lambda: bool(page.results.items), timeout=30000)
    page.search("there is no such model")
    qtbot.waitUntil(page.nothing.isVisible, timeout=30000)
    window.panels.fill()
    english = sources()

    def left() -> str:
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        found = {f"{where}: {text}" for where, text in texts(window) if english.fullmatch(plain(text))}
        return "\n".join(sorted(found))

    translate.install("vi")
    try:
        qtbot.waitUntil(lambda: not left())  # some of it comes from a thread
    finally:
        print(left())
        translate.install("en")
