"""What pages, banners and errors may ask of the window, by name."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices

from app.ui import pack_watch

if TYPE_CHECKING:
    from app.ui.dialogs.update import UpdateDialog
    from app.ui.main_window import MainWindow


def handlers(window: "MainWindow") -> dict[str, Callable[[Any], object]]:  # size: one table
    """Each command with what does it; it gets the argument it was asked with."""
    return {
        **_lab(window),
        "open": window.open_page,
        "search": lambda words: _page_call(window, "discover", "search", words or ""),
        "show_repo": lambda repo: _page_call(window, "discover", "show_repo", repo),
        "downloads": lambda _none: window.open_page("downloads"),
        "machine": lambda _none: window.open_page("usage"),
        "library": lambda model: _page_call(window, "library", "select", model or ""),
        "load": window.models.ask_load,
        "load_options": window.models.ask_load,
        "load_profile": lambda pair: window.models.load_profile(*pair),
        "load_again": window.models.load_again,
        "unload": window.models.unload,
        "chat": partial(_chat_with, window),
        "repair_chats": lambda _none: _page_call(window, "chat", "repair"),
        "new_chat": lambda _none: _page_call(window, "chat", "new_chat"),
        "starter": lambda start: window.models.get_starter(bool(start)),
        "choose_import": lambda _none: window.models.choose_import(),
        "welcomed": lambda _none: window.set_setting("general.welcomed", True),
        "server_settings": lambda _none: window.open_page("server"),
        "use_free_port": lambda _none: _page_call(window, "server", "use_free_port"),
        "open_folder": lambda path: _open_folder(path or str(window.services.paths.models)),
        "free_space": lambda path: _open_folder(path or str(window.services.paths.models)),
        "choose_folder": lambda path: _open_folder(path or str(window.services.paths.data)),
        "add_token": lambda _none: window.gate.sign_in(),
        "access": lambda waiting: window.gate.sign_in(*waiting),
        "downloading": lambda download: window.gate.expect(str(download)),
        "download_again": lambda path: _page_call(window, "discover", "search", Path(str(path or "")).stem),
        "retry": lambda _about: window.try_again(),
        "raise_window": lambda _none: window.come_forward(),
        "engines": lambda _none: _page_call(window, "settings", "show_group", "engines"),
        "pack_back": lambda backend: pack_watch.go_back(window, str(backend)),
        "update": lambda _none: _updates(window).begin(),
        "roll_back": lambda _none: _updates(window).go_back(),
        "update_settings": lambda _none: _page_call(window, "settings", "show_group", "updates"),
        "restart": lambda _none: window.asked.emit("restart"),
        "quit": lambda _none: window.asked.emit("quit"),
        "open_license": lambda repo: _open_url(window.services.hub.page_url(str(repo or ""))),
        "crash_report": lambda path: _show_report(Path(path), window),
        "settings": lambda group: _page_call(window, "settings", "show_group", group or ""),
    }


def _lab(window: "MainWindow") -> dict[str, Callable[[Any], object]]:
    return {
        "quantize": lambda model: _page_call(window, "lab", "begin_with", model or ""),
        "recipe": lambda model: _page_call(window, "lab", "show_recipe", model or ""),
        "measure": lambda model: _page_call(window, "lab", "measure", model or ""),
        "compare_quants": lambda repo: _page_call(window, "lab", "compare_repo", repo or ""),
    }


def _page_call(window: "MainWindow", page: str, method: str, *arguments: object) -> None:
    getattr(window.open_page(page), method)(*arguments)


def _chat_with(window: "MainWindow", model: str | None) -> None:
    page = window.open_page("chat")
    if model:
        getattr(page, "choose_model", lambda _model: None)(model)


def _updates(window: "MainWindow") -> "UpdateDialog":
    from app.ui.dialogs.update import UpdateDialog  # noqa: PLC0415 - rarely opened

    window.banner.hide()
    dialog = UpdateDialog(window.services, window)
    dialog.asked.connect(window.obey)
    window.closing.connect(dialog.reject)
    return dialog


def _show_report(path: Path, window: "MainWindow") -> None:
    from app.ui.dialogs.report import ReportDialog  # noqa: PLC0415 - rarely opened

    window.banner.hide()
    ReportDialog(path, window).open()


def _open_folder(path: str) -> None:
    folder = Path(path)
    shown = folder if folder.is_dir() else folder.parent
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(shown)))


def _open_url(address: str) -> None:
    QDesktopServices.openUrl(QUrl(address))
