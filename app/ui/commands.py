"""The menu bar's content: what each command is called, its keys, and what it does."""

from functools import partial
from typing import TYPE_CHECKING, Any, get_args

from PySide6.QtCore import QCoreApplication, QUrl
from PySide6.QtGui import QAction, QDesktopServices
from PySide6.QtWidgets import QApplication, QWidget

from app.ui import tab_order
from app.ui.actions import Command
from app.ui.levels import ORDER
from app.ui.page_list import LEVELS, PAGES, page_words
from app.ui.theme import Mode
from app.ui.undo_bar import UndoBar

if TYPE_CHECKING:
    from app.ui.main_window import MainWindow

translate = QCoreApplication.translate


def make_commands(window: "MainWindow") -> list[Command | str]:
    """Every command in menu order."""
    return [
        *_file(window),
        *_edit(window),
        *_view(window),
        *_model(window),
        *_server(window),
        *_help(window),
    ]


def _file(window: "MainWindow") -> list[Command | str]:
    return [*_begin(window), *_files(window)]


def _begin(window: "MainWindow") -> list[Command | str]:
    return [
        Command(
            "new_chat",
            "file",
            lambda: translate("Menus", "New chat"),
            lambda: _chat_call(window, "new_chat"),
            "Ctrl+N",
        ),
        Command(
            "new_window",
            "file",
            lambda: translate("Menus", "New window"),
            lambda: window.asked.emit("new_window"),
            "Ctrl+Shift+N",
        ),
        Command(
            "quick_ask",
            "file",
            lambda: translate("Menus", "Quick ask"),
            lambda: window.asked.emit("quick_ask"),
            "Ctrl+Shift+Space",
        ),
    ]


def _files(window: "MainWindow") -> list[Command | str]:
    models = window.services.paths.models
    return [
        "-file",
        Command(
            "import",
            "file",
            lambda: translate("Menus", "Import a model…"),
            window.models.choose_import,
            "Ctrl+O",
        ),
        Command(
            "folder",
            "file",
            lambda: translate("Menus", "Open the models folder"),
            lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(str(models))),
            level="full",
        ),
        Command(
            "export",
            "file",
            lambda: translate("Menus", "Export the chat…"),
            lambda: _chat_call(window, "export_open"),
            "Ctrl+Shift+E",
        ),
        "-file",
        Command(
            "close_window", "file", lambda: translate("Menus", "Close the window"), window.close, "Ctrl+W"
        ),
        Command(
            "quit",
            "file",
            lambda: translate("Menus", "Quit"),
            lambda: window.asked.emit("quit"),
            "Ctrl+Q",
            role=QAction.MenuRole.QuitRole,
        ),
    ]


def _chat_call(window: "MainWindow", method: str) -> None:
    getattr(window.open_page("chat"), method, lambda: None)()


def _edit(window: "MainWindow") -> list[Command | str]:
    return [
        Command("undo", "edit", lambda: translate("Menus", "Undo"), lambda: _undo(window), "Ctrl+Z"),
        Command("cut", "edit", lambda: translate("Menus", "Cut"), lambda: _on_focus("cut")),
        Command("copy", "edit", lambda: translate("Menus", "Copy"), lambda: _on_focus("copy")),
        Command("paste", "edit", lambda: translate("Menus", "Paste"), lambda: _on_focus("paste")),
        Command(
            "select_all", "edit", lambda: translate("Menus", "Select all"), lambda: _on_focus("selectAll")
        ),
        "-edit",
        Command(
            "find", "edit", lambda: translate("Menus", "Find on this page"), lambda: _find(window), "Ctrl+F"
        ),
    ]


def _undo(window: "MainWindow") -> None:
    """In a text that was changed, that change; else what the page offered to take back last."""
    widget = QApplication.focusWidget()
    document: Any = getattr(widget, "document", None)
    changed = (
        document().isUndoAvailable() if callable(document) else getattr(widget, "isUndoAvailable", bool)()
    )
    page = window.stack.currentWidget()
    bar = page.findChild(UndoBar) if page is not None and not changed else None
    if bar is not None:
        bar.take_back()
    else:
        _on_focus("undo")


def _on_focus(method: str) -> None:
    widget = QApplication.focusWidget()
    call = getattr(widget, method, None)
    if isinstance(widget, QWidget) and callable(call):
        call()


def _find(window: "MainWindow") -> None:
    page = window.stack.currentWidget()
    for name in ("focus_search", "focus"):
        if hasattr(page, name):
            getattr(page, name)()
            return


def _view(window: "MainWindow") -> list[Command | str]:
    found: list[Command | str] = [
        Command(
            "palette",
            "view",
            lambda: translate("Menus", "Find a command, chat or model…"),
            window.open_palette,
            "Ctrl+K",
        ),
        "-view",
    ]
    for at, (name, _icon) in enumerate(PAGES):
        found.append(_page_command(window, name, at + 1))
    found += [
        "-view",
        Command(
            "panels",
            "view",
            lambda: translate("Menus", "Live panels"),
            lambda: window.panels.setVisible(window.panels.isHidden()),
            "Ctrl+Shift+L",
            checkable=True,
            level="full",
        ),
        Command(
            "full_screen",
            "view",
            lambda: translate("Menus", "Full screen"),
            lambda: window.showNormal() if window.isFullScreen() else window.showFullScreen(),
            "F11",
        ),
        *("-view", *_areas(window), "-view", *_zoom(window), "-view"),
        *(_choice(window, "theme", value) for value in get_args(Mode)),
        *(_choice(window, "language", value) for value in ("system", "en", "vi")),
        *(_choice(window, "level", value) for value in ORDER),
    ]
    return found


def _areas(window: "MainWindow") -> list[Command | str]:
    following, before = partial(_go_to_area, window, 1), partial(_go_to_area, window, -1)
    return [
        Command("area_next", "view", lambda: translate("Menus", "Next area"), following, "F6"),
        Command("area_before", "view", lambda: translate("Menus", "Previous area"), before, "Shift+F6"),
    ]


def _go_to_area(window: "MainWindow", step: int) -> None:
    """Rail, message, the page's areas, panels, status line."""
    page = window.stack.currentWidget()
    if page is not None:
        areas = (window.rail, window.banner, *tab_order.areas_of(page), window.panels, window.status)
        with window.focus_ring.step():
            tab_order.go_on(window, areas, step)


def _zoom(window: "MainWindow") -> list[Command | str]:
    return [
        Command(
            "zoom_in",
            "view",
            lambda: translate("Menus", "Larger"),
            lambda: window.zoom_by(1),
            "Ctrl++; Ctrl+=",
        ),
        Command(
            "zoom_out", "view", lambda: translate("Menus", "Smaller"), lambda: window.zoom_by(-1), "Ctrl+-"
        ),
        Command(
            "zoom_reset",
            "view",
            lambda: translate("Menus", "Usual size"),
            lambda: window.set_setting("general.zoom", 100),
            "Ctrl+0",
        ),
    ]


def _page_command(window: "MainWindow", name: str, number: int) -> Command:
    def run() -> None:
        page = window.open_page(name)
        if hasattr(page, "focus"):
            page.focus()

    return Command(
        f"page_{number}",
        "view",
        lambda: page_words(name),
        run,
        f"Ctrl+{number}",
        level=LEVELS.get(name, "simple"),
    )


def _choice(window: "MainWindow", setting: str, value: str) -> Command:
    def words() -> str:
        return {
            "system": translate("Menus", "Follow the system"),
            "light": translate("Menus", "Light"),
            "dark": translate("Menus", "Dark"),
            "contrast-light": translate("Menus", "High contrast, light"),
            "contrast-dark": translate("Menus", "High contrast, dark"),
            "en": "English",
            "vi": "Tiếng Việt",
            "simple": translate("Menus", "Simple"),
            "full": translate("Menus", "Full"),
            "developer": translate("Menus", "Developer"),
        }[value]

    def run() -> None:
        window.set_setting(f"general.{setting}", value)

    return Command(f"{setting}_{value}", f"view/{setting}", words, run, group=setting)


def _model(window: "MainWindow") -> list[Command | str]:
    models = window.models
    return [
        Command(
            "load", "model", lambda: translate("Menus", "Load a model…"), models.choose_load, "Ctrl+Shift+O"
        ),
        Command("unload", "model", lambda: translate("Menus", "Unload"), models.unload_all, "Ctrl+Shift+U"),
        "-model",
        Command(
            "search",
            "model",
            lambda: translate("Menus", "Search the Hub"),
            lambda: window.obey("search", ""),
            "Ctrl+Shift+D",
        ),
    ]


def _server(window: "MainWindow") -> list[Command | str]:
    return [
        Command(
            "server_on",
            "server",
            lambda: translate("Menus", "Local API server"),
            # What Qt shows since the click; the window may not know the server's newest state yet.
            lambda: window.server.turn(window.actions_.by_name["server_on"].isChecked()),
            "Ctrl+Shift+S",
            checkable=True,
            level="full",
        ),
        Command(
            "copy_address",
            "server",
            lambda: translate("Menus", "Copy address"),
            window.server.copy_address,
            "Ctrl+Shift+A",
            level="full",
        ),
        "-server",
        Command(
            "server_page",
            "server",
            lambda: translate("Menus", "Requests and settings"),
            lambda: window.open_page("server"),
            level="full",
        ),
    ]


def _help(window: "MainWindow") -> list[Command | str]:
    logs = window.services.paths.logs
    return [
        Command(
            "shortcuts",
            "help",
            lambda: translate("Menus", "Keyboard shortcuts"),
            lambda: _shortcuts(window),
            "F1",
        ),
        Command(
            "logs",
            "help",
            lambda: translate("Menus", "Open the log folder"),
            lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(str(logs))),
            level="full",
        ),
        "-help",
        Command(
            "updates",
            "help",
            lambda: translate("Menus", "Look for updates…"),
            lambda: window.obey("update", None),
        ),
        Command(
            "about",
            "help",
            lambda: translate("Menus", "About Hearth"),
            lambda: _about(window),
            role=QAction.MenuRole.AboutRole,
        ),
    ]


def _shortcuts(window: "MainWindow") -> None:
    from app.ui.dialogs.shortcuts import ShortcutsDialog  # noqa: PLC0415 - rarely opened

    ShortcutsDialog(window.actions_, window.services.settings, window).open()


def _about(window: "MainWindow") -> None:
    from app.ui.dialogs.about import AboutDialog  # noqa: PLC0415 - rarely opened

    dialog = AboutDialog(window.services, window)
    dialog.asked.connect(window.obey)
    dialog.open()
