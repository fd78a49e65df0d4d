"""Tells that a long answer, a download or a job of the lab has ended while no window of Hearth is in front.

By the desktop's own service where there is one, else by the tray's message; the window asks for attention in any
case. A click opens the chat or the download.
"""

import html
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication

from app.core.events import DownloadChanged
from app.optimize.orders import LabItem

if TYPE_CHECKING:
    from app.ui.entries import Entry
    from app.ui.main_window import MainWindow
    from app.ui.windows import Windows

LONG_ANSWER = 10.0
"""Seconds from the question to the end from which an answer is worth a notification."""
_CLIP = 160
NOTES, NOTES_PATH = "org.freedesktop.Notifications", "/org/freedesktop/Notifications"
_HINTS = {"desktop-entry": ("s", "hearth")}
_SERVICE = (NOTES, NOTES_PATH, NOTES)


class Notifications(QObject):
    """Follows downloads by itself and is told of answers."""

    def __init__(self, windows: "Windows") -> None:
        super().__init__(windows)
        self._windows = windows
        self._running: set[str] = set()
        self._act: Callable[[], object] | None = None
        self._acts: dict[int, Callable[[], object]] = {}
        self._markup = False
        self._ask_desktop()
        windows.bridge.on(DownloadChanged, self._on_download, self)
        windows.bridge.on(LabItem, self._on_job, self)
        for download in windows.services.downloads.snapshots():
            self._on_download(download)

    def wanted(self) -> bool:
        """The user asked for them and looks at something else."""
        away = QGuiApplication.applicationState() != Qt.ApplicationState.ApplicationActive
        return self._windows.services.settings.value.general.notify and away

    def answer_ended(self, window: "MainWindow", chat: int, entry: "Entry") -> None:
        """An answer has ended in a window."""
        timings = entry.timings
        seconds = timings.queued + timings.prefill + timings.decode if timings is not None else 0.0
        if seconds < LONG_ANSWER and entry.error is None:
            return
        if entry.reason == "cancelled" or not self.wanted():
            return
        title = self.tr("The answer is there") if entry.error is None else self.tr("The answer broke off")

        def clicked() -> None:
            window.come_forward()
            window.open_chat(chat)

        self.tell(title, entry.text, clicked)

    def _on_download(self, event: DownloadChanged) -> None:
        if event.state in {"running", "verifying", "waiting", "queued"}:
            self._running.add(event.id)
        elif event.id in self._running:
            self._running.discard(event.id)
            if event.state in {"done", "failed"} and self.wanted():
                self._tell_download(event)

    def _tell_download(self, event: DownloadChanged) -> None:
        done = event.state == "done"
        title = self.tr("Download finished") if done else self.tr("Download failed")
        name = f"{event.repo} {event.quant}".strip() or event.file
        front = self._windows.front()

        def clicked() -> None:
            front.come_forward()
            front.open_page("downloads")

        self.tell(title, name, clicked)

    def _on_job(self, item: LabItem) -> None:
        if item.state not in {"done", "failed"} or item.seconds < LONG_ANSWER or not self.wanted():
            return
        from app.ui.lab_job_words import title as job_words  # noqa: PLC0415 - rarely needed

        title = self.tr("The lab is done") if item.state == "done" else self.tr("The lab's job failed")
        front = self._windows.front()

        def clicked() -> None:
            front.come_forward()
            front.open_page("lab")

        self.tell(title, job_words(item), clicked)

    def tell(self, title: str, text: str, clicked: Callable[[], object]) -> None:
        """Show one; a click on it does ``clicked`` where the desktop says so."""
        text = " ".join(text.split())[:_CLIP]
        QApplication.alert(self._windows.front())
        desktop = self._windows.desktop
        if desktop is None or not desktop.there:
            self._tell_by_tray(title, text, clicked)
            return
        body = html.escape(text, quote=False) if self._markup else text
        values = ("Hearth", 0, "hearth", title, body, ["default", self.tr("Open")], _HINTS, -1)
        desktop.call(
            _SERVICE,
            "Notify",
            "susssasa{sv}i",
            values,
            lambda number: self._acts.update({number: clicked}),
            lambda _why: self._tell_by_tray(title, text, clicked),
        )

    def _ask_desktop(self) -> None:
        desktop = self._windows.desktop
        if desktop is None:
            return
        desktop.listen(NOTES_PATH, NOTES, "ActionInvoked", self._invoked)
        desktop.listen(NOTES_PATH, NOTES, "ActivationToken", self._take_token)
        desktop.listen(NOTES_PATH, NOTES, "NotificationClosed", self._forget)
        desktop.call(_SERVICE, "GetCapabilities", "", (), self._note_abilities, lambda _why: None)

    def _note_abilities(self, abilities: list[str]) -> None:
        self._markup = "body-markup" in abilities

    def _invoked(self, number: int, _action: str) -> None:
        act = self._acts.pop(number, None)
        if act is not None:
            act()

    def _take_token(self, number: int, token: str) -> None:
        # Wayland lets a program come to the front with this token only; Qt takes it from here.
        if number in self._acts:
            os.environ["XDG_ACTIVATION_TOKEN"] = token

    def _forget(self, number: int, _why: int) -> None:
        self._acts.pop(number, None)

    def _tell_by_tray(self, title: str, text: str, clicked: Callable[[], object]) -> None:
        tray = self._windows.tray
        if tray is not None and tray.tell(title, text):
            if self._act is None:
                tray.message_clicked.connect(self._clicked)
            self._act = clicked

    def _clicked(self) -> None:
        if self._act is not None:
            self._act()
