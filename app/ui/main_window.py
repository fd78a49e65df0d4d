"""The window: rail, pages, panels, menus and the status line; pages are built when first opened."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QByteArray, QEvent, QSettings, QSize, Qt, QTimer, QUrl, Signal
from PySide6.QtGui import (
    QCloseEvent,
    QDesktopServices,
    QDragEnterEvent,
    QDropEvent,
    QPaintEvent,
    QResizeEvent,
    QShowEvent,
)
from PySide6.QtWidgets import QApplication, QHBoxLayout, QMainWindow, QStackedWidget, QVBoxLayout, QWidget

from app.core.events import DownloadChanged, ServerChanged, SettingChanged
from app.ui import tasks, theme, translate
from app.ui.actions import Actions
from app.ui.bridge import Bridge
from app.ui.commands import make_commands
from app.ui.errors import describe
from app.ui.model_commands import ModelCommands
from app.ui.page_list import PAGES, make_page, page_words
from app.ui.panel_dock import NARROW, PanelDock
from app.ui.rail import Rail
from app.ui.server_switch import ServerSwitch
from app.ui.status_bar import StatusBar
from app.ui.widgets import Banner

if TYPE_CHECKING:
    from app.compose import Services

_BUSY = ("queued", "running", "waiting", "verifying")
_LAYOUT_VERSION = 1


class MainWindow(QMainWindow):
    """Everything a person sees. ``painted`` fires once, after the first paint."""

    painted = Signal()
    closing = Signal()
    """Pages end what they keep running."""

    def __init__(self, services: "Services") -> None:
        super().__init__()
        self.services = services
        self.bridge = Bridge(services.bus, self)
        self.server = ServerSwitch(services, self.bridge, self)
        self.models = ModelCommands(self)
        self.pages: dict[str, QWidget] = {}
        self._painted = False
        self._banner_about = ""
        self._downloads: dict[str, str] = {}
        self.setAcceptDrops(True)
        self.setMinimumSize(960, 600)
        self.setWindowTitle("Hearth")
        self._build()
        self.actions_ = Actions(self.menuBar(), make_commands(self), self)
        self._listen()
        self._retranslate()
        self._restore()

    # ------------------------------------------------------------------ building

    def _build(self) -> None:
        self.rail, self.stack = Rail(PAGES, self), QStackedWidget(self)
        self.banner = Banner(self)
        column = QVBoxLayout()
        column.setSpacing(0)
        column.addWidget(self.banner)
        column.addWidget(self.stack, 1)
        holder = QWidget(self)
        row = QHBoxLayout(holder)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(self.rail)
        row.addLayout(column, 1)
        self.setCentralWidget(holder)
        self.panels = PanelDock(self.services, self)
        self.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, self.panels)
        self.status = StatusBar(self.services, self.bridge, self)
        self.setStatusBar(self.status)

    def _listen(self) -> None:
        self.rail.chosen.connect(self.open_page)
        self.status.server_clicked.connect(lambda: self.open_page("server"))
        self.banner.triggered.connect(lambda action: self.obey(action, self._banner_about))
        self.server.changed.connect(self._on_server)
        self.panels.visibilityChanged.connect(lambda _on: self._show_panels_action())
        self.bridge.on(DownloadChanged, self._on_download, self)
        self.bridge.on(SettingChanged, self._on_setting, self)
        for download in self.services.downloads.snapshots():
            self._on_download(download)

    def _restore(self) -> None:
        self._geometry = QSettings(str(self.services.paths.config / "window.ini"), QSettings.Format.IniFormat)
        geometry, state = self._geometry.value("geometry"), self._geometry.value("layout")
        if isinstance(geometry, QByteArray) and self.restoreGeometry(geometry):
            if isinstance(state, QByteArray):
                self.restoreState(state, _LAYOUT_VERSION)
        else:
            self.resize(QSize(1280, 800))
        general = self.services.settings.value.general
        self.open_page("chat" if general.welcomed else "welcome")
        self._check_choices()

    # ------------------------------------------------------------------ pages

    def page(self, name: str) -> QWidget:
        """A page, built when first asked for."""
        if name not in self.pages:
            self.pages[name] = make_page(name, self)
            self.stack.addWidget(self.pages[name])
        return self.pages[name]

    def open_page(self, name: str) -> QWidget:
        """Bring a page to the front."""
        page = self.page(name)
        self.stack.setCurrentWidget(page)
        if name in self.rail.buttons:
            self.rail.show_active(name)
        return page

    def obey(self, command: str, argument: Any) -> None:
        """Do what a page, a banner or an error's button asked for; unknown commands are ignored."""
        handler = self._handlers().get(command)
        if handler is not None:
            handler(argument)

    def _handlers(self) -> dict[str, Callable[[Any], object]]:
        models = self.models
        return {
            "open": self.open_page,
            "search": lambda words: self._page_call("discover", "search", words or ""),
            "show_repo": lambda repo: self._page_call("discover", "show_repo", repo),
            "downloads": lambda _none: self.open_page("downloads"),
            "library": lambda model: self._page_call("library", "select", model or ""),
            "load": models.ask_load,
            "load_options": models.ask_load,
            "load_again": models.load_now,
            "unload": models.unload,
            "chat": self._chat_with,
            "starter": lambda _none: models.get_starter(),
            "choose_import": lambda _none: models.choose_import(),
            "welcomed": lambda _none: self.set_setting("general.welcomed", True),
            "server_settings": lambda _none: self.open_page("server"),
            "use_free_port": lambda _none: self._page_call("server", "use_free_port"),
            "open_folder": lambda path: _open_folder(path or str(self.services.paths.models)),
            "free_space": lambda path: _open_folder(path or str(self.services.paths.models)),
            "choose_folder": lambda path: _open_folder(path or str(self.services.paths.data)),
            "add_token": lambda _none: _open_url("https://huggingface.co/docs/hub/security-tokens"),
            "open_license": lambda repo: _open_url(self.services.hub.page_url(str(repo or ""))),
            "settings": lambda _none: self.open_page("settings"),
        }

    def _page_call(self, page: str, method: str, *arguments: object) -> None:
        getattr(self.open_page(page), method)(*arguments)

    def _chat_with(self, model: str | None) -> None:
        page = self.open_page("chat")
        if model:
            getattr(page, "choose_model", lambda _model: None)(model)

    def say(self, words: str, tone: str = "", label: str = "", action: str = "") -> None:
        """A line above the page for what belongs to no page."""
        self.banner.show_words(words, tone, label, action)

    def say_error(self, error: BaseException, about: str = "") -> None:
        """The same for an error; ``about`` is the model or path its button is for."""
        self._banner_about = about or str(getattr(error, "params", {}).get("path", ""))
        self.banner.show_error(describe(error))

    # ------------------------------------------------------------------ what happens

    def _on_download(self, event: DownloadChanged) -> None:
        self._downloads[event.id] = event.state
        self.rail.buttons["downloads"].set_count(sum(s in _BUSY for s in self._downloads.values()))

    def _on_server(self, state: ServerChanged) -> None:
        self.actions_.check("server_on", self.server.on)
        self.actions_.enable("copy_address", state.state == "on")
        if state.state == "failed" and self._painted:
            self.open_page("server")

    def _on_setting(self, event: SettingChanged) -> None:
        if event.key == "general.language":
            translate.install(str(event.value))
        elif event.key == "general.theme":
            theme.notifier().apply(event.value)  # type: ignore[arg-type]
        self._check_choices()

    def set_setting(self, key: str, value: object) -> None:
        """Keep a setting; one that can't be written is said above the page."""
        tasks.run(lambda: self.services.settings.set(key, value), failed=self.say_error, owner=self)

    def _check_choices(self) -> None:
        general = self.services.settings.value.general
        self.actions_.check(f"theme_{general.theme}")
        self.actions_.check(f"language_{general.language}")
        self.actions_.check("server_on", self.server.on)
        self.actions_.enable("copy_address", self.server.state.state == "on")
        self._show_panels_action()

    def _show_panels_action(self) -> None:
        self.actions_.check("panels", not self.panels.isHidden())

    def _retranslate(self) -> None:
        self.actions_.retranslate()
        for at, (name, _icon) in enumerate(PAGES):
            self.rail.set_words(name, page_words(name), self.actions_.keys(f"page_{at + 1}"))
        self.rail.setAccessibleName(self.tr("Pages"))
        self.banner.setAccessibleDescription(self.tr("Message"))

    # ------------------------------------------------------------------ Qt's events

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.panels.fit(self.width())

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if not self._painted:
            self._painted = True
            QTimer.singleShot(0, self.painted.emit)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if (event.size().width() < NARROW) != (event.oldSize().width() < NARROW) or not self._painted:
            self.panels.fit(self.width())

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
        super().changeEvent(event)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if gguf_files(event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        files = gguf_files(event.mimeData().urls())
        if files:
            event.acceptProposedAction()
            self.models.import_files(files)

    def closeEvent(self, event: QCloseEvent) -> None:
        self._geometry.setValue("geometry", self.saveGeometry())
        self._geometry.setValue("layout", self.saveState(_LAYOUT_VERSION))
        self._geometry.sync()
        super().closeEvent(event)

    def raise_with(self, path: str) -> None:
        """A second copy was started: come to the front, and take its file."""
        self.setWindowState(self.windowState() & ~Qt.WindowState.WindowMinimized)
        self.raise_()
        self.activateWindow()
        QApplication.alert(self)
        if path:
            self.models.import_files([Path(path)])

    def shut(self) -> None:
        """Stop listening and drop what still runs in the background; the window may be deleted then."""
        self.closing.emit()
        self.bridge.close()
        tasks.close()


def gguf_files(urls: list[QUrl]) -> list[Path]:
    """The local .gguf files among dropped addresses."""
    paths = [Path(url.toLocalFile()) for url in urls if url.isLocalFile()]
    return [path for path in paths if path.suffix.lower() == ".gguf"]


def _open_folder(path: str) -> None:
    folder = Path(path)
    shown = folder if folder.is_dir() else folder.parent
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(shown)))


def _open_url(address: str) -> None:
    QDesktopServices.openUrl(QUrl(address))
