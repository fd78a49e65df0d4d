"""Settings > Updates: which version this is, how it was installed, a look for a newer one, and the way back."""

import time
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QEvent, QLocale, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

import app
from app.ui import tasks
from app.ui.widgets import make_button, make_label

if TYPE_CHECKING:
    from app.compose import Services


class UpdatesCard(QFrame):
    """Reads what is known when it is shown."""

    asked = Signal(str, object)

    def __init__(self, services: "Services", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._form, self._previous, self._looked_at = "", "", 0.0
        self.setProperty("role", "card")
        self.words, self.fine = make_label(parent=self, wrap=True), make_label("secondary", self, wrap=True)
        self.back = make_button(lambda: self.asked.emit("roll_back", None), "", self, compact=True)
        self.look = make_button(lambda: self.asked.emit("update", None), "", self, compact=True)
        texts = QVBoxLayout()
        texts.setSpacing(2)
        texts.addWidget(self.words)
        texts.addWidget(self.fine)
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 12, 16, 12)
        row.setSpacing(8)
        row.addLayout(texts, 1)
        row.addWidget(self.back)
        row.addWidget(self.look)
        self._retranslate()

    def refresh(self) -> None:
        """Read again how this copy was installed and what can be gone back to."""
        services = self._services

        def work() -> tuple[str, str, float]:
            updates = services.updates
            return updates.installed.form, updates.previous(), updates.state.looked_at

        tasks.run(work, self._show, owner=self)

    def _show(self, found: Any) -> None:
        self._form, self._previous, self._looked_at = found
        self._retranslate()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.refresh()

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
        super().changeEvent(event)

    def _form_words(self) -> str:
        return {
            "deb": self.tr("installed by the package manager"),
            "run": self.tr("installed for you by its .run file"),
            "appdir": self.tr("run from its AppDir"),
            "appimage": self.tr("run from its AppImage"),
            "setup": self.tr("installed by its setup"),
            "app": self.tr("installed as an app"),
            "source": self.tr("run from its source code: update that instead"),
            "copy": self.tr("a copy that no installer made"),
        }.get(self._form, "")

    def _retranslate(self) -> None:
        form = self._form_words()
        self.words.setText(f"Hearth {app.__version__}" + (f", {form}" if form else ""))
        when = self.tr("Never looked for a newer version.")
        if self._looked_at:
            shown = QLocale().toString(_date(self._looked_at), QLocale.FormatType.ShortFormat)
            when = self.tr("Last looked for a newer version: {when}.").format(when=shown)
        self.fine.setText(when)
        self.look.setText(self.tr("Look now…"))
        self.back.setText(self.tr("Go back to {version}").format(version=self._previous))
        self.back.setVisible(bool(self._previous))


def _date(at: float) -> Any:
    from PySide6.QtCore import QDateTime  # noqa: PLC0415 - only when there is one to show

    return QDateTime.fromSecsSinceEpoch(int(min(at, time.time())))
