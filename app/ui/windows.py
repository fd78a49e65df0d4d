"""The program's windows, and what belongs to none of them: the tray, the quick question, notifications, the end.

All windows share the services; a chat open in two of them is one conversation of the store.
"""

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QApplication

from app.core.events import SettingChanged
from app.ui import look, motion, tasks
from app.ui.bridge import Bridge
from app.ui.main_window import MainWindow

if TYPE_CHECKING:
    from app.compose import Services
    from app.ui.desktop_bus import DesktopBus
    from app.ui.hotkey import GlobalKey
    from app.ui.measure_offer import MeasureOffer
    from app.ui.notifications import Notifications
    from app.ui.pack_watch import PackWatch
    from app.ui.quick_ask import QuickAsk
    from app.ui.tray import Tray
    from app.ui.update_watch import UpdateWatch


class Windows(QObject):
    """Opens windows, knows the one in front, ends the program with the last one."""

    def __init__(self, services: "Services", application: QApplication) -> None:
        super().__init__()
        self.services, self._application = services, application
        self.open_ones: list[MainWindow] = []
        self._last_front: MainWindow | None = None
        self.bridge = Bridge(services.bus, self)
        self.tray: Tray | None = None
        self.quick: QuickAsk | None = None
        self.key: GlobalKey | None = None
        self.notifications: Notifications | None = None
        self.desktop: DesktopBus | None = None
        self.updates: UpdateWatch | None = None
        self.measuring: MeasureOffer | None = None
        self.packs: PackWatch | None = None
        self._quitting = self._key_chosen = False
        self.restarting = False
        """The program is to start again once everything has ended: another version of it is in place."""
        # A small window closed last must not end the program: it ends with its last main window.
        application.setQuitOnLastWindowClosed(False)
        application.focusWindowChanged.connect(self._note_front)

    # ------------------------------------------------------------------ windows

    def open(self) -> MainWindow:
        """One more window, shown."""
        taken = {window.layout_memory.number for window in self.open_ones}
        number = next(at for at in range(1, len(taken) + 2) if at not in taken)
        window = MainWindow(self.services, number)
        window.stays = self._stays
        window.closed.connect(lambda: self._closed(window))
        window.asked.connect(lambda what: self._do(what, window))
        window.answered.connect(lambda chat, entry: self._answered(window, chat, entry))
        self.open_ones.append(window)
        window.show()
        if len(self.open_ones) > 1:
            window.panels.fill()
        return window

    def front(self) -> MainWindow:
        """The window that was used last."""
        if self._last_front in self.open_ones:
            assert self._last_front is not None
            return self._last_front
        return self.open_ones[-1]

    def _note_front(self, _window: object) -> None:
        active = QApplication.activeWindow()
        if isinstance(active, MainWindow):
            self._last_front = active

    def _do(self, what: str, window: MainWindow) -> None:
        if what == "new_window":
            self.open().open_page(window.page_shown() or "chat")
        elif what == "quick_ask":
            self.ask_quickly()
        elif what in {"quit", "restart"}:
            self.restarting = what == "restart"
            self.quit()

    def raise_with(self, path: str) -> None:
        """A second copy was started: come to the front with its file."""
        self.front().raise_with(path)

    def _stays(self) -> bool:
        last = sum(window.isVisible() for window in self.open_ones) <= 1
        wanted = self.services.settings.value.general.close_to_tray
        return bool(not self._quitting and last and wanted and self.tray is not None and self.tray.shown)

    def _closed(self, window: MainWindow) -> None:
        if window not in self.open_ones:
            return
        if self._quitting:
            return
        if len(self.open_ones) == 1:
            window.layout_memory.keep_count(1)
            self._application.quit()
            return
        self.open_ones.remove(window)
        window.leave()
        window.deleteLater()

    def quit(self) -> None:
        """Close everything; what is asked before closing is asked."""
        self._quitting = True
        self.open_ones[0].layout_memory.keep_count(len(self.open_ones))
        for window in tuple(self.open_ones):
            window.close()
        self._application.quit()

    # ------------------------------------------------------------------ after the first paint

    def start(self) -> None:
        """What the first paint should not wait for: the other windows of last time, the tray, the global key."""
        from app.ui.desktop_bus import DesktopBus  # noqa: PLC0415 - not before the first paint
        from app.ui.measure_offer import MeasureOffer  # noqa: PLC0415
        from app.ui.notifications import Notifications  # noqa: PLC0415
        from app.ui.pack_watch import PackWatch  # noqa: PLC0415
        from app.ui.update_watch import UpdateWatch  # noqa: PLC0415

        self.desktop = DesktopBus(self)
        motion.follow(self.desktop, self._look_again)
        for _more in range(self.open_ones[0].layout_memory.count() - 1):
            self.open()
        self.notifications = Notifications(self)
        self.updates = UpdateWatch(self)
        self.updates.look()
        self.measuring = MeasureOffer(self)
        self.packs = PackWatch(self)
        self._follow_settings()
        self.bridge.on(SettingChanged, self._on_setting, self)

    def _look_again(self) -> None:
        look.apply(self.services.settings.value.general)

    def _on_setting(self, event: SettingChanged) -> None:
        if event.key in {"general.tray", "general.quick_key"}:
            self._key_chosen = event.key == "general.quick_key"
            self._follow_settings()

    def _tell_key(self) -> None:
        """Whoever chooses a key learns whether it can be had."""
        assert self.key is not None
        chosen, self._key_chosen = self._key_chosen, False
        if not chosen or self.key.problem == "off":
            return
        if not self.key.problem:
            words = self.tr("{keys} asks a quick question from any program now.")
            self.front().say(words.format(keys=self.key.words), "good")
        elif self.key.asks:
            words = self.tr("The desktop did not give {keys}: it was declined, or there is no portal for it.")
            self.front().say(words.format(keys=self.key.words), "warn")
        elif self.key.possible:
            words = self.tr("{keys} can't be had: another program has it, or it is no key of this keyboard.")
            self.front().say(words.format(keys=self.key.words), "warn")
        else:
            words = self.tr("This desktop gives no program a key for everywhere. The tray asks quickly too.")
            self.front().say(words, "warn")

    def _keep_agreed(self) -> None:
        """A desktop that asks is asked again only for a key that its user chose here."""
        settings = self.services.settings
        if self.key is not None and self.key.asks and not self.key.problem:
            keys = settings.value.general.quick_key
            tasks.run(lambda: settings.set("general.quick_key_agreed", keys), owner=self)

    def _follow_settings(self) -> None:
        from app.ui.hotkey import GlobalKey  # noqa: PLC0415 - see start
        from app.ui.tray import Tray  # noqa: PLC0415

        general = self.services.settings.value.general
        if self.tray is None:
            self.tray = Tray(self)
        self.tray.show(general.tray)
        if self.key is None:
            self.key = GlobalKey(self, self.desktop)
            self.key.pressed.connect(self.ask_quickly)
            self.key.settled.connect(self._keep_agreed)
            self.key.settled.connect(self._tell_key)
        if not self.key.asks or self._key_chosen or general.quick_key == general.quick_key_agreed:
            self.key.take(general.quick_key)

    def ask_quickly(self) -> None:
        """The small window for one question."""
        if self.quick is None:
            from app.ui.quick_ask import QuickAsk  # noqa: PLC0415 - not before it is asked for

            self.quick = QuickAsk(self.services, self.bridge)
            self.quick.open_asked.connect(self._open_chat)
        self.quick.begin()

    def _open_chat(self, chat: int) -> None:
        window = self.front()
        window.come_forward()
        if chat:
            window.open_chat(chat)

    def _answered(self, window: MainWindow, chat: int, entry: object) -> None:
        if self.notifications is not None:
            self.notifications.answer_ended(window, chat, entry)  # type: ignore[arg-type]

    # ------------------------------------------------------------------ the end

    def close(self) -> None:
        """Everything shuts; idempotent."""
        if self.updates is not None:
            self.updates.close()
        if self.measuring is not None:
            self.measuring.close()
        if self.key is not None:
            self.key.close()
        if self.desktop is not None:
            self.desktop.close()
        if self.tray is not None:
            self.tray.close()
        if self.quick is not None:
            self.quick.leave()
            self.quick = None
        self.bridge.close()
        for window in self.open_ones:
            window.leave()
            window.deleteLater()
        self.open_ones.clear()
        from app.ui import chat_place  # noqa: PLC0415 - with the chat page, not before the first paint

        chat_place.kept(self.services).session.close()
        tasks.close()
