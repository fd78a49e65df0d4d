"""A small window for one question: asked from the tray or by a key that works everywhere.

The question becomes an ordinary conversation, so that it can be continued in the large window.
"""

import threading
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent, QGuiApplication, QKeyEvent, QTextDocument
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QTextBrowser, QVBoxLayout, QWidget

from app.chat.session import Turn, TurnEnded, TurnOptions, TurnStarted
from app.core.errors import ModelNotFoundError
from app.core.events import InstanceChanged, LoadWaits
from app.core.generate import Delta, SamplingParams
from app.ui import chat_models, chat_place, tasks, theme
from app.ui.errors import describe
from app.ui.live_answer import LiveAnswer
from app.ui.load_after import is_ready, load_after
from app.ui.turn_view import loading_text, room_text, waiting_text
from app.ui.widgets import Elided, make_button, make_label

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from app.compose import Services
    from app.ui.bridge import Bridge

_WIDTH, _ANSWER = 560, 220
_SPOKEN = 400


class QuickAsk(QWidget):
    """Enter asks, Esc hides; the answer stands below the question."""

    open_asked = Signal(int)
    """Continue this conversation in the large window (0: none yet)."""

    def __init__(self, services: "Services", bridge: "Bridge | None" = None) -> None:
        super().__init__(None, Qt.WindowType.Tool | Qt.WindowType.WindowStaysOnTopHint)
        self._services = services
        self.session = chat_place.kept(services).session
        self.chat = 0
        self.answer = ""
        self._turn: Turn | None = None
        self._asked = ""
        """The model that an answer is waited for from, until it writes."""
        self._unwanted = threading.Event()
        self._busy = self._stopped = False
        self._live = LiveAnswer(self._deliver, self)
        self.model = Elided("text-2", self, middle=True)
        self.question = QLineEdit(self)
        self.question.setFont(theme.font("chat"))
        self.view = QTextBrowser(self)
        self.view.setOpenLinks(False)
        self.view.document().setDefaultFont(theme.font("chat"))
        self.words = make_label("secondary", self, wrap=True)
        self.act = make_button(self._ask_or_stop, "primary", self)
        self.continue_ = make_button(self._continue, parent=self)
        self._lay_out()
        self.question.returnPressed.connect(self._ask)
        if bridge is not None:
            bridge.on(InstanceChanged, self._on_instance, self)
            bridge.on(LoadWaits, self._on_wait, self)
        self._show_state()

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.question, 1)
        row.addWidget(self.act)
        below = QHBoxLayout()
        below.setSpacing(8)
        below.addWidget(self.words, 1)
        below.addWidget(self.continue_)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 12, 16, 12)
        column.setSpacing(8)
        for item in (self.model, self.view):
            column.addWidget(item)
        column.insertLayout(1, row)
        column.addLayout(below)
        self.view.setMinimumHeight(theme.px(_ANSWER))
        self.setMinimumWidth(theme.px(_WIDTH))

    def begin(self) -> None:
        """Show it with a fresh question, or with what was typed and not asked, or with the answer that is still being
        written."""
        if not self._busy and self.chat:
            self.chat, self.answer = 0, ""
            self.question.clear()
            self.view.clear()
            self.words.setText("")
        tasks.run(self._model, self._name_model, owner=self)
        self._show_state()
        self.show()
        self._centre()
        self.raise_()
        self.activateWindow()
        self.question.setFocus()
        self.question.selectAll()  # what one types next takes its place

    def _centre(self) -> None:
        screen = QGuiApplication.primaryScreen().availableGeometry()
        self.move(screen.center().x() - self.width() // 2, screen.top() + screen.height() // 5)

    def _name_model(self, model: str) -> None:
        self.model.setText(model or self.tr("No model here yet"))

    def _model(self) -> str:
        """Who answers; "" for nobody. Reads the library: not for the GUI thread."""
        services = self._services
        last = services.settings.value.general.last_model
        found = chat_models.choices(services.library.records(), services.supervisor.snapshots())
        return chat_models.first([choice for choice in found if choice.state == "loaded"] or found, last)

    # ------------------------------------------------------------------ asking

    def _ask_or_stop(self) -> None:
        if self._busy:
            self.stop()
        else:
            self._ask()

    def stop(self) -> None:
        """Stop writing; what is there is kept."""
        self._stopped = True
        self._unwanted.set()
        if self._turn is not None:
            self._turn.stop()

    def _ask(self) -> None:
        text, services = self.question.text().strip(), self._services
        if not text or self._busy:
            return
        self._busy, self._stopped, self.answer = True, False, ""
        self._unwanted = threading.Event()
        self.view.clear()
        self._live.start()
        self.words.setText(self.tr("Reading the question…"))
        self._show_state()
        options, chat = self._options(), self.chat

        def work() -> "tuple[Turn, str, Future[Any] | None]":
            model = self._model()
            if not model:
                raise ModelNotFoundError(name="")
            after: Future[Any] | None = None if is_ready(services, model) else Future()
            system = services.settings.value.chat.system_prompt
            number = chat or services.chats.create(model=model, system=system).id
            return self._send(number, text, options(model), after), model, after

        tasks.run(work, self._begun, self._failed, self)

    def _send(self, chat: int, text: str, options: TurnOptions, after: "Future[Any] | None") -> Turn:
        return self.session.ask(chat, text, options, self._live.sink, after=after)

    def _options(self) -> "Callable[[str], TurnOptions]":
        chat, presets = self._services.settings.value.chat, self._services.presets
        usual = SamplingParams(
            temperature=chat.temperature, top_p=chat.top_p, max_tokens=chat.max_tokens or None
        )
        return lambda model: TurnOptions(
            model, sampling=presets.sampling(model) or usual, context_policy=chat.context_policy
        )

    def _begun(self, found: "tuple[Turn, str, Future[Any] | None]") -> None:
        self._turn, model, after = found
        if after is not None:
            self._asked = model
            self.words.setText(waiting_text())
            tasks.run(partial(load_after, self._services, model, after, self._unwanted), long=True)
        if self._stopped:
            self._turn.stop()

    def _on_instance(self, event: InstanceChanged) -> None:
        if event.model != self._asked:
            return
        if event.state in {"starting", "loading"}:
            self.words.setText(loading_text(event.model, event.progress))
        elif event.state == "ready":
            self.words.setText(self.tr("Reading the question…"))

    def _on_wait(self, event: LoadWaits) -> None:
        if event.model == self._asked:
            self.words.setText(room_text(event.model, event.behind) if event.behind else waiting_text())

    def _failed(self, error: Exception) -> None:
        self._end(describe(error).sentence)

    # ------------------------------------------------------------------ the answer

    def _deliver(self, events: list[object]) -> None:
        grown = False
        for event in events:
            if isinstance(event, TurnStarted):
                self.chat = event.conversation
                self._show_state()
            elif isinstance(event, Delta):
                self.answer += event.text
                grown = grown or bool(event.text)
        if grown:
            self._asked = ""
            self.words.setText(self.tr("Writing…"))
            self._show_answer()
        ended = next((event for event in events if isinstance(event, TurnEnded)), None)
        if ended is not None:
            self._end(describe(ended.error).sentence if ended.error is not None else "")

    def _show_answer(self) -> None:
        features = QTextDocument.MarkdownFeature.MarkdownDialectGitHub
        self.view.document().setMarkdown(self.answer, features | QTextDocument.MarkdownFeature.MarkdownNoHTML)
        bar = self.view.verticalScrollBar()
        bar.setValue(bar.maximum())

    def _end(self, words: str) -> None:
        self._busy, self._turn, self._asked = False, None, ""
        self._live.stop()
        self.words.setText(words)
        self.question.selectAll()
        self._show_state()
        self.announce(words or self.answer[:_SPOKEN])

    def announce(self, words: str) -> None:
        """Have screen readers say how it ended; what other programs say is not talked over."""
        if words and self.isActiveWindow():
            QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self, words))

    def _continue(self) -> None:
        self.open_asked.emit(self.chat)
        self.hide()

    def _show_state(self) -> None:
        self.setWindowTitle(self.tr("Quick ask"))
        self.question.setPlaceholderText(self.tr("Ask anything"))
        self.question.setAccessibleName(self.tr("Question"))
        self.view.setAccessibleName(self.tr("Answer"))
        self.act.setText(self.tr("Stop") if self._busy else self.tr("Ask"))
        self.continue_.setText(self.tr("Continue in Hearth") if self.chat else self.tr("Open Hearth"))

    # ------------------------------------------------------------------ Qt's events

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.hide()
        else:
            super().keyPressEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._show_state()
        super().changeEvent(event)

    def leave(self) -> None:
        """Stop what is written and go."""
        self.stop()
        self._live.stop()
        self.close()
        self.deleteLater()
