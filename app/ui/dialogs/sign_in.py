"""Sign in to the Hub with a token; for a gated model also the way to accept its licence. Goes away by itself."""

import contextlib
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QWidget

from app.core.errors import HubUnreachableError
from app.core.events import DownloadChanged
from app.ui import tasks
from app.ui.bridge import Bridge
from app.ui.dialogs.base import Dialog
from app.ui.errors import describe
from app.ui.widgets import Hairline, make_button, make_label

if TYPE_CHECKING:
    from app.compose import Services

_GOES_ON = ("verifying", "done", "cancelled", "paused", "failed")
_WIDTH = 480


def open_url(address: str) -> None:
    """Open a page in the browser."""
    QDesktopServices.openUrl(QUrl(address))


class SignInDialog(Dialog):
    """``repo`` and ``download``: what is waiting for access, if anything is."""

    def __init__(
        self, services: "Services", bridge: Bridge, parent: QWidget | None, repo: str = "", download: str = ""
    ) -> None:
        super().__init__("", parent)
        self._services, self._repo, self._download = services, repo, download
        self._where: str | None = None
        self._name: str | None = None
        self._shown = False
        """The account's line is the account's, and not an error's."""
        self.words, self.state = make_label(parent=self, wrap=True), make_label("secondary", self, wrap=True)
        self.licence_words = make_label(parent=self, wrap=True)
        self.licence = make_button(self._open_licence, "", self, compact=True)
        self.token = QLineEdit(self)
        self.get = make_button(self._open_tokens, "link", self, compact=True)
        self.problem = make_label("bad", self, wrap=True)
        self.out = make_button(self._sign_out, "", self)
        self.close_button = make_button(self.reject, "", self)
        self.sign_in = make_button(self._sign_in, "primary", self)
        self._lay_out()
        self._retranslate()
        self._look()
        bridge.on(DownloadChanged, self._on_download, self)

    def _lay_out(self) -> None:
        self.token.setEchoMode(QLineEdit.EchoMode.Password)
        self.token.setMinimumWidth(_WIDTH)
        self.token.textChanged.connect(lambda _text: self._enable())
        self.token.returnPressed.connect(self._sign_in)
        if self._repo:
            line = QHBoxLayout()
            line.addWidget(self.licence_words, 1)
            line.addWidget(self.licence)
            self.body.addLayout(line)
            self.body.addWidget(Hairline(self))
        self.licence.setVisible(bool(self._repo))
        self.licence_words.setVisible(bool(self._repo))
        entry = QHBoxLayout()
        entry.addWidget(self.token, 1)
        entry.addWidget(self.get)
        self.body.addWidget(self.words)
        self.body.addLayout(entry)
        self.body.addWidget(self.problem)
        self.body.addWidget(self.state)
        self.problem.hide()
        self.out.hide()
        for button in (self.out, self.close_button, self.sign_in):
            self.buttons.addWidget(button)
        self.token.setFocus()
        self._enable()

    # ------------------------------------------------------------------ the account

    def _look(self) -> None:
        hub = self._services.hub
        self._where = None
        self.state.setText(self.tr("Looking…"))
        tasks.run(lambda: (hub.account.find()[1], hub.whoami()), self._show_account, self._show_unknown, self)

    def _show_account(self, found: tuple[str | None, str | None]) -> None:
        (self._where, self._name), self._shown = found, True
        places = {
            "environment": self.tr("Signed in as {name}; the token comes from HF_TOKEN."),
            "keyring": self.tr("Signed in as {name}; the token is in the system's keyring."),
            "huggingface": self.tr(
                "Signed in as {name}; the token is the one of the Hub's own command line."
            ),
        }
        text = places.get(self._where or "", self.tr("Not signed in."))
        self.state.setText(text.format(name=self._name or ""))
        self.out.setVisible(self._where == "keyring")

    def _show_unknown(self, error: Exception) -> None:
        self._shown = False
        self.state.setText(describe(error).sentence)
        self.out.setVisible(self._services.hub.account.find()[1] == "keyring")

    def _enable(self) -> None:
        self.sign_in.setEnabled(bool(self.token.text().strip()))

    def _sign_in(self) -> None:
        token, hub = self.token.text().strip(), self._services.hub
        if not token:
            return
        self.sign_in.setEnabled(False)
        self.problem.hide()

        def work() -> None:
            # Checked before it is kept; without a network it is kept and checked when it is first used.
            with contextlib.suppress(HubUnreachableError):
                hub.whoami(token)
            hub.account.save(token)

        tasks.run(work, self._signed_in, self._refused, self)

    def _signed_in(self, _none: object) -> None:
        self.token.clear()
        downloads = self._services.downloads
        tasks.run(downloads.access_changed, owner=self)
        self._look()
        if not self._repo:
            self.accept()

    def _refused(self, error: Exception) -> None:
        self.problem.setText(describe(error).sentence)
        self.problem.show()
        self._enable()
        self.token.setFocus()
        self.token.selectAll()

    def _sign_out(self) -> None:
        tokens = self._services.hub.account
        tasks.run(tokens.forget, lambda _none: self._look(), self._refused, self)

    # ------------------------------------------------------------------ the licence

    def _open_licence(self) -> None:
        open_url(self._services.hub.page_url(self._repo))

    def _open_tokens(self) -> None:
        open_url(f"{self._services.hub.endpoint}/settings/tokens")

    def _on_download(self, event: DownloadChanged) -> None:
        # Asking again is "running" too, before the Hub has answered.
        flows = event.state == "running" and event.done > 0
        if event.id == self._download and (flows or event.state in _GOES_ON):
            self.accept()

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
            if self._shown:
                self._show_account((self._where, self._name))
        elif event.type() == QEvent.Type.ActivationChange and self.isActiveWindow() and self._download:
            # Back from the browser: perhaps it was accepted there.
            tasks.run(self._services.downloads.access_changed, owner=self)
        super().changeEvent(event)

    def _retranslate(self) -> None:
        title = (
            self.tr("Access to {repo}").format(repo=self._repo)
            if self._repo
            else self.tr("Sign in to the Hub")
        )
        self.setWindowTitle(title)
        self.title.setText(title)
        self.licence_words.setText(
            self.tr(
                "Its publisher asks you to accept a licence on its page. The download goes on by itself then."
            )
        )
        self.licence.setText(self.tr("Open its page"))
        if self._repo:
            words = self.tr(
                "Hearth needs a token of the account that accepted it. Reading is all it must allow."
            )
        else:
            words = self.tr(
                "For gated and private models. A token that may read is enough; it goes to the Hub only."
            )
        self.words.setText(words)
        self.token.setPlaceholderText(self.tr("Token (hf_…)"))
        self.token.setAccessibleName(self.tr("Token"))
        self.get.setText(self.tr("Get a token"))
        self.out.setText(self.tr("Sign out"))
        self.close_button.setText(self.tr("Close"))
        self.sign_in.setText(self.tr("Sign in"))
