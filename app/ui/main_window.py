"""The window: rail, pages, panels, menus and the status line; pages are built when first opened."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QEvent, QSize, Qt, QTimer, QUrl, Signal
from PySide6.QtGui import (
    QAccessible,
    QAccessibleAnnouncementEvent,
    QCloseEvent,
    QDragEnterEvent,
    QDropEvent,
    QKeyEvent,
    QPaintEvent,
    QResizeEvent,
    QShowEvent,
)
from PySide6.QtWidgets import QApplication, QHBoxLayout, QMainWindow, QStackedWidget, QVBoxLayout, QWidget

from app.core.events import DownloadChanged, ServerChanged, SettingChanged
from app.core.paths import NEW_CHAT
from app.optimize.orders import LabItem
from app.ui import keys, look, tab_order, tasks, theme, translate, zoom
from app.ui.actions import Actions
from app.ui.asked import handlers
from app.ui.bridge import Bridge
from app.ui.commands import make_commands
from app.ui.errors import describe
from app.ui.focus_ring import FocusRing
from app.ui.gate import Gate
from app.ui.layout_memory import FRAME, LayoutMemory
from app.ui.levels import levels
from app.ui.model_commands import ModelCommands
from app.ui.page_list import LEVELS, PAGES, make_page, page_words
from app.ui.panel_dock import NARROW, PanelDock
from app.ui.rail import Rail
from app.ui.server_switch import ServerSwitch
from app.ui.setting_writer import SettingWriter
from app.ui.status_bar import StatusBar
from app.ui.watchman import Watchman
from app.ui.widgets import Banner, Words, press_by_enter

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.compose import Services
    from app.ui.entries import Entry

_BUSY = ("queued", "running", "waiting", "verifying")
_SMALLEST = (960, 600)
_SPOKEN = 400
"""So many characters of a finished answer are announced; the rest is read in the chat."""


class MainWindow(QMainWindow):
    """Everything a person sees. ``painted`` fires once, after the first paint."""

    painted = Signal()
    closing = Signal()
    """Pages end what they keep running."""
    closed = Signal()
    asked = Signal(str)
    """What concerns the whole program: "new_window", "quick_ask", "restart" or "quit"."""
    answered = Signal(int, object)
    """An answer has ended in this window: its conversation and its Entry."""
    announced = Signal(str)
    """What screen readers were told."""

    def __init__(self, services: "Services", number: int = 1) -> None:
        """``number`` tells the windows' layouts apart."""
        super().__init__()
        self.services = services
        self.stays: Callable[[], bool] = lambda: False
        """Asked on closing: whether the window is only hidden."""
        self.layout_memory = LayoutMemory(services.paths.config / "window.ini", number)
        self.bridge = Bridge(services.bus, self)
        self.server = ServerSwitch(services, self.bridge, self)
        self.models, self.gate = ModelCommands(self), Gate(services, self.bridge, self)
        self.watchman = Watchman(self)
        self.pages: dict[str, QWidget] = {}
        self._painted = False
        self._banner_about = ""
        self._banner_again: Callable[[], object] | None = None
        self._downloads: dict[str, str] = {}
        self._jobs: dict[str, str] = {}
        self.focus_ring = FocusRing(self)
        self._writer = SettingWriter(services.settings, self)
        self.setAcceptDrops(True)
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
        zoom.resize_tree(self, theme.notifier().zoom)

    def _listen(self) -> None:
        self.rail.chosen.connect(self.open_page)
        self.status.server_clicked.connect(lambda: self.open_page("server"))
        self.answered.connect(self._on_answer)
        levels().changed.connect(self._show_level)
        theme.notifier().changed.connect(self._fit_minimum)
        self.banner.triggered.connect(lambda action: self.obey(action, self._banner_about))
        self.server.changed.connect(self._on_server)
        self.panels.visibilityChanged.connect(lambda _on: self._show_panels_action())
        self.bridge.on(DownloadChanged, self._on_download, self)
        self.bridge.on(LabItem, self._on_job, self)
        self.bridge.on(SettingChanged, self._on_setting, self)
        for download in self.services.downloads.snapshots():
            self._on_download(download)

    def _restore(self) -> None:
        general = self.services.settings.value.general
        keys.keymap().set_own(general.shortcuts)
        self._fit_minimum()
        self.layout_memory.restore_window(self)
        names = {name for name, _icon in PAGES}
        last = self.layout_memory.page()
        self.open_page((last if last in names else "chat") if general.welcomed else "welcome")
        self._check_choices()
        self._show_level()

    def _fit_minimum(self) -> None:
        room = self.screen().availableSize() - QSize(0, FRAME)
        wide, high = _SMALLEST
        z = theme.notifier().zoom  # a small one needs as much: rows of buttons shrink less than their texts
        if self._painted:
            self.panels.fit(self.width())
        self.setMinimumSize(
            max(wide, min(round(wide * z), room.width())), max(high, min(round(high * z), room.height()))
        )

    def _show_level(self) -> None:
        for name, button in self.rail.buttons.items():
            button.setVisible(levels().allows(LEVELS.get(name, "simple")))
        simple = not levels().allows("full")
        self.panels.keep_away(simple)
        self.status.set_simple(simple)

    # ------------------------------------------------------------------ pages

    def page(self, name: str) -> QWidget:
        """A page, built when first asked for."""
        if name not in self.pages:
            page = self.pages[name] = make_page(name, self)
            zoom.resize_tree(page, theme.notifier().zoom)
            self.layout_memory.restore_page(name, page)
            self.stack.addWidget(page)
        return self.pages[name]

    def open_page(self, name: str) -> QWidget:
        """Bring a page to the front."""
        page = self.page(name)
        self.stack.setCurrentWidget(page)
        if name in self.rail.buttons:
            self.rail.show_active(name)
        return page

    def page_shown(self) -> str:
        """The name of the page in front."""
        return next((name for name, page in self.pages.items() if page is self.stack.currentWidget()), "")

    def open_palette(self) -> None:
        """Find anything by typing."""
        from app.ui.palette import Palette  # noqa: PLC0415 - not before it is asked for

        Palette(self).begin()

    def open_chat(self, chat: int) -> None:
        """Show a conversation."""
        getattr(self.open_page("chat"), "open_chat", lambda _chat: None)(chat)

    def zoom_by(self, direction: int) -> None:
        """A step larger (1) or smaller (-1)."""
        now = self._writer.newest("general.zoom")
        self.set_setting("general.zoom", zoom.step(now, direction))  # type: ignore[arg-type]

    def obey(self, command: str, argument: Any) -> None:
        """Do what a page, a banner or an error's button asked for; unknown commands are ignored."""
        handler = handlers(self).get(command)
        if handler is not None:
            handler(argument)

    def try_again(self) -> None:
        """Do again what failed last."""
        self.banner.hide()
        if self._banner_again is not None:
            self._banner_again()

    def say(self, words: Words, tone: str = "", label: Words = "", action: str = "") -> None:
        """A line above the page for what belongs to no page."""
        self.banner.show_words(words, tone, label, action)

    def say_about(self, about: str, words: Words, tone: str, label: Words, action: str) -> None:
        """The same, with a button that works on ``about`` (a model)."""
        self._banner_again, self._banner_about = None, about
        self.say(words, tone, label, action)

    def offer_report(self, report: Path) -> None:
        """The window crashed last time: say so, with a button that shows what is known."""
        said = lambda: self.tr("Hearth ended unexpectedly last time. Your chats and models are whole.")  # noqa: E731
        self.say(said, "warn", lambda: self.tr("Show the report"), "crash_report")
        self._banner_about = str(report)

    def say_error(
        self, error: BaseException, about: str = "", again: "Callable[[], object] | None" = None
    ) -> None:
        """The same for an error; ``about`` is the model or path its button is for, ``again`` what trying again does."""
        self._banner_again = again
        self._banner_about = about or str(getattr(error, "params", {}).get("path", ""))
        self.banner.show_error(describe(error))

    # ------------------------------------------------------------------ what happens

    def _on_download(self, event: DownloadChanged) -> None:
        self._downloads[event.id] = event.state
        self.rail.buttons["downloads"].set_count(sum(s in _BUSY for s in self._downloads.values()))

    def _on_job(self, item: LabItem) -> None:
        self._jobs[item.id] = item.state
        self.rail.buttons["lab"].set_count(sum(s in ("queued", "running") for s in self._jobs.values()))

    def _on_server(self, state: ServerChanged) -> None:
        self.actions_.check("server_on", self.server.on)
        self.actions_.enable("copy_address", state.state == "on")
        if state.state == "failed" and self._painted:
            self.open_page("server")

    def _on_setting(self, event: SettingChanged) -> None:
        general, energy = self.services.settings.value.general, self.services.settings.value.energy
        if event.key == "general.language" and translate.installed() != general.language:
            translate.install(general.language)
        elif event.key in look.KEYS:
            look.apply(general)
        elif event.key == "general.shortcuts":
            keys.keymap().set_own(general.shortcuts)
        elif event.key == "energy.price" and energy.price:  # who enters one means it to count
            self.set_setting("energy.tariff", energy.own_tariff)
        self._check_choices()

    def _on_answer(self, _chat: int, entry: "Entry") -> None:
        if entry.timings is not None:
            self.status.show_answer(entry.model, entry.timings.decode_per_second)
        if not self.isActiveWindow():
            return
        if entry.error is not None:
            self.announce(self.tr("The answer broke off: {why}").format(why=describe(entry.error).sentence))
        else:
            self.announce(self.tr("Answer finished. {text}").format(text=entry.text[:_SPOKEN]))

    def announce(self, words: str) -> None:
        """Have screen readers say something that has no control of its own."""
        QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self, words))
        self.announced.emit(words)

    def set_setting(self, key: str, value: object) -> None:
        """Keep a setting; one that can't be written is said above the page."""
        self._writer.put(key, value, self.say_error)

    def _check_choices(self) -> None:
        general = self.services.settings.value.general
        self.actions_.check(f"theme_{general.theme}")
        self.actions_.check(f"language_{general.language}")
        self.actions_.check(f"level_{general.level}")
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

    def focusNextPrevChild(self, forward: bool) -> bool:
        # Only now: pages and panels are made, and make more of themselves, in any order.
        page, name = self.stack.currentWidget(), self.page_shown()
        if page is not None:
            parts = (self.rail, self.banner, *tab_order.parts_of(page), self.panels, self.status)
            tab_order.order(self, parts)
            words = page_words(name) if name in self.rail.buttons else self.tr("Welcome")
            tab_order.name_areas(page, words)
        with self.focus_ring.step():
            return super().focusNextPrevChild(forward)

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if not self._painted:
            self._painted = True
            QTimer.singleShot(0, self.painted.emit)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        narrow = theme.px(NARROW)
        if (event.size().width() < narrow) != (event.oldSize().width() < narrow) or not self._painted:
            self.panels.fit(self.width())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if not press_by_enter(self.focusWidget(), event):
            super().keyPressEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
        super().changeEvent(event)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        urls = event.mimeData().urls()
        if gguf_files(urls) or folders(urls):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        urls = event.mimeData().urls()
        files, places = gguf_files(urls), folders(urls)
        if files or places:
            event.acceptProposedAction()
        self.models.import_files(files)
        for place in places:
            self.models.add_folder(place)

    def closeEvent(self, event: QCloseEvent) -> None:
        self.layout_memory.keep(self)
        if self.stays():
            event.ignore()
            self.hide()
            return
        super().closeEvent(event)
        self.closed.emit()

    def come_forward(self) -> None:
        """In front of every other window, from wherever it is."""
        self.setWindowState(self.windowState() & ~Qt.WindowState.WindowMinimized)
        self.show()
        self.raise_()
        self.activateWindow()

    def raise_with(self, path: str) -> None:
        """A second copy was started: come to the front, and take its file or begin a chat."""
        self.come_forward()
        QApplication.alert(self)
        if path == NEW_CHAT:
            self.obey("new_chat", None)
        elif path:
            self.models.import_files([Path(path)])

    def shut(self) -> None:
        """Leave, as the last window: what still runs in the background is dropped."""
        self.leave()
        tasks.close()

    def leave(self) -> None:
        """Stop listening; the window may be deleted then."""
        self.closing.emit()
        self.bridge.close()


def gguf_files(urls: list[QUrl]) -> list[Path]:
    """The local .gguf files among dropped addresses."""
    paths = [Path(url.toLocalFile()) for url in urls if url.isLocalFile()]
    return [path for path in paths if path.suffix.lower() == ".gguf"]


def folders(urls: list[QUrl]) -> list[Path]:
    """The local folders among dropped addresses: their models are read in place."""
    return [path for url in urls if url.isLocalFile() and (path := Path(url.toLocalFile())).is_dir()]
