"""What this program is, its version, and where it keeps its files."""

import platform

from PySide6.QtCore import Qt, qVersion
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QWidget

import app
from app.core.paths import Paths
from app.ui.dialogs.base import Dialog
from app.ui.widgets import make_button, make_label


class AboutDialog(Dialog):
    """Version and folders, to be copied into a report."""

    def __init__(self, paths: Paths, parent: QWidget | None) -> None:
        super().__init__(f"Hearth {app.__version__}", parent)
        self.setWindowTitle(self.tr("About Hearth"))
        words = make_label(parent=self, wrap=True)
        words.setText(
            self.tr("Finds, downloads, runs and measures language models on your own machine. Apache-2.0.")
        )
        self._facts = make_label("secondary", self)
        self._facts.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        facts = (
            f"Hearth {app.__version__}",
            f"Qt {qVersion()}, Python {platform.python_version()}",
            platform.platform(),
            f"{self.tr('Models')}: {paths.models}",
            f"{self.tr('Settings')}: {paths.settings_file}",
            f"{self.tr('Logs')}: {paths.logs}",
        )
        self._facts.setText("\n".join(facts))
        self.body.addWidget(words)
        self.body.addWidget(self._facts)
        copy = make_button(lambda: QGuiApplication.clipboard().setText(self._facts.text()), parent=self)
        copy.setText(self.tr("Copy"))
        close = make_button(self.accept, "primary", self)
        close.setText(self.tr("Close"))
        self.buttons.addWidget(copy)
        self.buttons.addWidget(close)
