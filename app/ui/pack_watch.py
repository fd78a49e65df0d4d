"""Says above the page that a backend pack was turned off because the engine crashed on it, with the way back."""

from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QObject

from app.core.events import InstanceChanged
from app.optimize.orders import LabItem
from app.ui import tasks

if TYPE_CHECKING:
    from app.runtime.pack_store import Pack
    from app.ui.main_window import MainWindow
    from app.ui.windows import Windows


class PackWatch(QObject):
    """One for the program; the window in front says it."""

    def __init__(self, windows: "Windows") -> None:
        super().__init__(windows)
        self._windows = windows
        windows.bridge.on(InstanceChanged, self._changed, self)
        windows.bridge.on(LabItem, self._changed, self)

    def _changed(self, event: InstanceChanged | LabItem) -> None:
        error = event.error
        if event.state != "failed" or error is None or error.code != "pack_crashed":
            return
        store, name = self._windows.services.packs, str(error.params["pack"])

        def work() -> tuple[str, str]:
            found = next((pack for pack in store.packs() if pack.name == name), None)
            kept = found is not None and found.origin == "installed" and found.backend in store.previous()
            return name, found.backend if found is not None and kept else ""

        tasks.run(work, self._told, owner=self)

    def _told(self, found: tuple[str, str]) -> None:
        name, backend = found
        if not self._windows.open_ones:
            return

        def said() -> str:
            words = self.tr("The engine crashed twice in a row on the pack {name}: it is off now.")
            return words.format(name=name)

        back, look = lambda: self.tr("Go back to the one before"), lambda: self.tr("Show the engines")
        self._windows.front().say_about(
            backend, said, "bad", back if backend else look, "pack_back" if backend else "engines"
        )


def go_back(window: "MainWindow", backend: str) -> None:
    """Use the pack that was there before the present one of this backend."""

    def done(pack: "Pack | None") -> None:
        if pack is not None:
            window.say(lambda: _used(pack.name), "good")

    window.banner.hide()
    tasks.run(lambda: window.services.packs.roll_back(backend), done, window.say_error, window)


def _used(name: str) -> str:
    words = QCoreApplication.translate(
        "PackWatch", "The pack {name} is used from the next model that is loaded on."
    )
    return words.format(name=name)
