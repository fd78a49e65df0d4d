"""What the buttons and menus of messages open or do in the page: the menu, the tokens, copies, links."""

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QObject, Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QMessageBox, QWidget

from app.core.generate import TokenLogprob
from app.ui import tasks
from app.ui.dialogs.tokens import TokensDialog
from app.ui.errors import ACTION_LABELS, about
from app.ui.message_menu import message_menu
from app.ui.prose import plain_text
from app.ui.second_click import SecondClick
from app.ui.transcript import Transcript

if TYPE_CHECKING:
    from app.ui.chat_controller import ChatController

_LOGPROBS = 5
_OWN = frozenset({"retry", "load_again"})
"""What an error's button does with the message itself."""
translate = QCoreApplication.translate


class MessageDesk(QObject):
    """Does what is asked of a message; what concerns the page goes out as ``outside``."""

    outside = Signal(str, str)
    """What an error's button asks of the page or the window, and the file or folder that the error names."""

    def __init__(self, page: QWidget, controller: "ChatController", transcript: Transcript) -> None:
        super().__init__(page)
        self._page, self._controller, self._transcript = page, controller, transcript
        self._second = SecondClick(transcript)
        self._second.again.connect(self._act_on)

    def act(self, key: int, name: str) -> None:
        """A button or an entry of the menu of message ``key``."""
        entry = self._controller.entry(key)
        if name in ACTION_LABELS and name not in _OWN:
            self.outside.emit(name, about(entry.error) if entry is not None else "")
        elif name == "more":
            self._open_menu(key)
        elif name == "tokens":
            self._show_tokens(key)
        elif name == "copy_plain":
            if entry is not None:
                QGuiApplication.clipboard().setText(plain_text(entry.text))
        elif name == "raw":
            self._transcript.toggle_raw(key)
        elif name == "summarise":
            self._controller.window.summarise(key)
        else:
            if name in {"previous", "next"} and entry is not None:
                self._second.begin(self._controller.entries.index(entry), name)
            self._controller.act(key, name)

    def _act_on(self, place: int, name: str) -> None:
        if place < len(self._controller.entries):
            self.act(self._controller.entries[place].key, name)

    def act_on_last(self, name: str) -> None:
        """The same for the last answer."""
        answers = [entry for entry in self._controller.entries if entry.role == "assistant"]
        if answers:
            self._controller.act(answers[-1].key, name)

    def _open_menu(self, key: int) -> None:
        entry = self._controller.entry(key)
        if entry is not None:
            others = {m: n for m, n in self._controller.names.items() if m != entry.model}
            menu = message_menu(self._page, entry, others, partial(self.act, key))
            menu.popup(self._transcript.menu_place(key))

    def _show_tokens(self, key: int) -> None:
        store, entry = self._controller.store, self._controller.entry(key)
        if entry is None:
            return
        count = entry.usage.completion if entry.usage is not None else None

        def show(tokens: tuple[TokenLogprob, ...]) -> None:
            known = count if count is not None or not tokens else len(tokens)
            dialog = TokensDialog(tokens, known, self._page)
            dialog.ask_again.connect(lambda: self._with_probabilities(key))
            dialog.open()

        self._controller.run(lambda: store.logprobs(key), show)

    def _with_probabilities(self, key: int) -> None:
        settings = self._controller.services.settings
        kept = lambda _none: self._controller.act(key, "regenerate")  # noqa: E731 - two lines of one act
        keep = lambda: settings.set("chat.logprobs", _LOGPROBS)  # noqa: E731
        tasks.run(keep, kept, self._controller.report, self, order=settings)

    def ask_link(self, url: QUrl) -> None:
        """A link of an answer: opened when the reader says so."""
        box = QMessageBox(self._page)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setWindowTitle(translate("ChatPage", "Open a link"))
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setText(translate("ChatPage", "The answer links to this address. Open it in your browser?"))
        box.setInformativeText(url.toString())
        opens = box.addButton(translate("ChatPage", "Open"), QMessageBox.ButtonRole.AcceptRole)
        box.addButton(translate("ChatPage", "Cancel"), QMessageBox.ButtonRole.RejectRole)
        opens.setEnabled(url.scheme() in {"http", "https", "mailto"})
        opens.clicked.connect(lambda: QDesktopServices.openUrl(url))
        box.open()
