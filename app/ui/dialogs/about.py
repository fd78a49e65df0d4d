"""What this program is, its version, and where it keeps its files."""

import platform
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal, qVersion
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QWidget

import app
from app.ui import tasks
from app.ui.dialogs.base import Dialog
from app.ui.widgets import make_button, make_label

if TYPE_CHECKING:
    from app.compose import Services


class AboutDialog(Dialog):
    """Version and folders, to be copied into a report; a look for a newer version, and the way back."""

    asked = Signal(str, object)

    def __init__(self, services: "Services", parent: QWidget | None) -> None:
        super().__init__(f"Hearth {app.__version__}", parent)
        self.setWindowTitle(self.tr("About Hearth"))
        paths = services.paths
        words = make_label(parent=self, wrap=True)
        words.setText(
            self.tr("Finds, downloads, runs and measures language models on your own machine. Apache-2.0.")
        )
        self._facts = make_label("secondary", self)
        self._facts.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        models, settings, logs = self.tr("Models"), self.tr("Settings"), self.tr("Logs")
        facts = (
            f"Hearth {app.__version__}",
            f"Qt {qVersion()}, Python {platform.python_version()}",
            platform.platform(),
            f"{models}: {paths.models}",
            f"{settings}: {paths.settings_file}",
            f"{logs}: {paths.logs}",
        )
        self._facts.setText("\n".join(facts))
        self.body.addWidget(words)
        self.body.addWidget(self._facts)
        copy = make_button(lambda: QGuiApplication.clipboard().setText(self._facts.text()), parent=self)
        copy.setText(self.tr("Copy"))
        close = make_button(self.accept, "primary", self)
        close.setText(self.tr("Close"))
        self.back = make_button(lambda: self._ask("roll_back"), parent=self)
        self.back.hide()
        look = make_button(lambda: self._ask("update"), parent=self)
        look.setText(self.tr("Look for updates…"))
        for button in (self.back, look, copy, close):
            self.buttons.addWidget(button)
        # Not the bound method: the service is made at its first use, which is not for the GUI thread.
        tasks.run(lambda: services.updates.previous(), self._show_back, owner=self)  # noqa: PLW0108

    def _show_back(self, version: str) -> None:
        self.back.setText(self.tr("Go back to {version}").format(version=version))
        self.back.setVisible(bool(version))

    def _ask(self, what: str) -> None:
        self.accept()
        self.asked.emit(what, None)
