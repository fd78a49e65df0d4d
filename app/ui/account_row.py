"""The Hub account on the Settings page: who is signed in, and the button that changes it."""

from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from app.ui import tasks
from app.ui.widgets import make_button, make_label

if TYPE_CHECKING:
    from app.compose import Services


class AccountRow(QFrame):
    """Looks like a setting; ``asked`` when the button was clicked."""

    asked = Signal()

    def __init__(self, services: "Services", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "card")
        self._services = services
        self._place: str | None = None
        self.title, self.state = make_label(parent=self, wrap=True), make_label("secondary", self, wrap=True)
        self.button = make_button(self.asked.emit, "", self)
        texts = QVBoxLayout()
        texts.setSpacing(2)
        texts.addWidget(self.title)
        texts.addWidget(self.state)
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 10, 16, 10)
        row.setSpacing(16)
        row.addLayout(texts, 1)
        row.addWidget(self.button, 0, Qt.AlignmentFlag.AlignVCenter)
        self._retranslate()

    def look(self) -> None:
        """Where the token is, without asking the network."""
        tokens = self._services.hub.account
        tasks.run(lambda: tokens.find()[1], self._show, lambda _error: None, self)

    def _show(self, place: str | None) -> None:
        self._place = place
        self._retranslate()

    def _retranslate(self) -> None:
        self.title.setText(self.tr("Hub account"))
        self.state.setText(
            {
                "environment": self.tr("A token from HF_TOKEN is used."),
                "keyring": self.tr("A token is kept in the system's keyring."),
                "huggingface": self.tr("The token of the Hub's own command line is used."),
            }.get(self._place or "", self.tr("Not signed in; needed for gated and private models only."))
        )
        self.button.setText(self.tr("Change…") if self._place == "keyring" else self.tr("Sign in…"))
        self.button.setAccessibleName(f"{self.title.text()}: {self.button.text()}")

    def matches(self, words: list[str]) -> bool:
        """Whether every word of a search is in it."""
        text = f"{self.title.text()} {self.state.text()} token hub".lower()
        return all(word in text for word in words)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.look()

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
        elif event.type() == QEvent.Type.ActivationChange and self.isActiveWindow():
            self.look()
        super().changeEvent(event)
