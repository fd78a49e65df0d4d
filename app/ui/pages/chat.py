"""The Chat page: conversations at the left, the open one with its model, the transcript and the composer."""

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QKeyEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from app.chat.store_types import Draft
from app.core.events import ErrorInfo, LibraryChanged, SettingChanged
from app.ui import chat_empty, errors, keys, theme
from app.ui.chat_archive import ChatArchive
from app.ui.chat_controller import ChatController
from app.ui.chat_head import ChatHead
from app.ui.chat_list import ChatList
from app.ui.chat_prompts import ChatPrompts, Commands
from app.ui.compare_view import CompareView
from app.ui.composer import Composer
from app.ui.composer_desk import ComposerDesk
from app.ui.context_bar import ContextBar
from app.ui.context_use import ContextUse
from app.ui.empty_state import EmptyState
from app.ui.entries import Entry
from app.ui.find_bar import FindBar
from app.ui.message_desk import MessageDesk
from app.ui.model_picker import ModelChoice
from app.ui.transcript import Transcript
from app.ui.undo_bar import UndoBar
from app.ui.widgets import Banner

if TYPE_CHECKING:
    from app.compose import Services
    from app.ui.bridge import Bridge

_LIST_WIDTH = 250
_LIST_HIDDEN_BELOW = 640


class ChatPage(QWidget):
    """Shows what the controller says and tells it what was asked."""

    search_requested = Signal(str)
    """The reader wants a model that is not here (Discover opens with these words)."""
    starter_requested = Signal()
    load_options_requested = Signal(str)
    asked = Signal(str, object)
    """Any other command of the window and its argument; see ``MainWindow.obey``."""
    context_changed = Signal(object)
    """A ContextUse, for the panel."""
    model_changed = Signal(str)

    def __init__(self, services: "Services", bridge: "Bridge", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.controller = ChatController(services, bridge, self)
        self.list = ChatList(self, self.controller.shelf)
        self.transcript = Transcript(self, words=error_words, fetch=self._picture)
        self.compare = CompareView(self, error_words)
        self.composer = Composer(self)
        self._context = ContextBar(self)
        self._banner = Banner(self)
        self._empty = EmptyState(self)
        self.head = ChatHead(self.controller, self)
        self.picker = self.head.picker
        self._stack = QStackedWidget(self)
        self._list_wanted, self._tight = True, False
        self._shown: tuple[object, int | None] = (None, None)
        self._edits: dict[object, dict[int, str]] = {}
        self._arrange()
        self._undo = UndoBar(self._stack)
        self.find_bar = FindBar(self.transcript)
        self.messages = MessageDesk(self, self.controller, self.transcript)
        self.archive = ChatArchive(self, self.list, self.controller, self._banner, bridge)
        self.desk = ComposerDesk(self, self.composer, self.controller)
        self.prompts = ChatPrompts(self.composer, self.controller, self, self._commands)
        self._connect_view()
        self._connect_controller()
        bridge.on(SettingChanged, self._setting_changed, self)
        bridge.on(LibraryChanged, lambda _event: self._show_empty_text(), self)
        self.composer.set_enter_sends(services.settings.value.chat.enter_sends)
        self._retranslate()
        theme.notifier().changed.connect(self._fit_list)
        self.controller.start()

    # ---------------------------------------------------------------- building

    def _arrange(self) -> None:
        self._stack.addWidget(self._empty)
        self._stack.addWidget(self.transcript)
        self._stack.addWidget(self.compare)
        main = QWidget(self)
        column = QVBoxLayout(main)
        column.setContentsMargins(0, 0, 0, 16)
        column.setSpacing(8)
        column.addWidget(self.head)
        column.addLayout(_centred(self._banner))
        column.addWidget(self._stack, 1)
        column.addLayout(_centred(self._context))
        column.addLayout(_centred(self.composer))
        self._splitter = QSplitter(Qt.Orientation.Horizontal, self)
        self._splitter.addWidget(self.list)
        self._splitter.addWidget(main)
        self._splitter.setStretchFactor(1, 1)
        self._splitter.setHandleWidth(1)
        self._splitter.setCollapsible(0, False)
        self._splitter.setCollapsible(1, False)
        self._splitter.setSizes([theme.px(_LIST_WIDTH), 800])
        self.list.setMinimumWidth(200)
        self.list.setMaximumWidth(400)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(self._splitter)

    def _connect_view(self) -> None:
        self.composer.submitted.connect(self._submit)
        self.composer.edit.undo_asked.connect(self._undo.take_back)
        self.transcript.action.connect(self.messages.act)
        self.transcript.edited.connect(self.controller.edit)
        self.transcript.link_activated.connect(self.messages.ask_link)
        self.compare.link_activated.connect(self.messages.ask_link)
        self.messages.outside.connect(self._act_outside)
        self.compare.kept.connect(self._keep)
        self._banner.triggered.connect(lambda name: self._act_outside(name, self._banner.about))
        self._context.act_requested.connect(self.messages.act)
        self._context.policy_chosen.connect(self.controller.how.set_policy)
        self._context.jump_requested.connect(self.transcript.jump_to)
        self.head.list_toggled.connect(self._toggle_list)
        self.head.system_asked.connect(self.prompts.ask_system)
        self.head.left.connect(self.new_chat)
        self.head.second.chosen.connect(self.composer.edit.setFocus)
        self.head.second.search_asked.connect(lambda: self.search_requested.emit(""))
        self.picker.chosen.connect(self.controller.choose_model)
        self.picker.search_requested.connect(self.search_requested)
        self.picker.cancel_requested.connect(self.controller.models.cancel_load)
        self.find_bar.closed.connect(self.composer.edit.setFocus)
        self._empty.primary.connect(self.starter_requested)
        self._empty.secondary.connect(lambda: self.search_requested.emit(""))
        self.list.opened.connect(self.open_chat)
        self.list.new_requested.connect(self.new_chat)
        self.list.temporary_requested.connect(self.new_temporary)
        self.list.prompts_requested.connect(self.prompts.manage)
        self._shortcuts()

    def _shortcuts(self) -> None:
        for name, slot in (
            ("chat_model", self.picker.open),
            ("chat_search", self.search_chats),
            ("chat_question_up", partial(self.transcript.jump_question, -1)),
            ("chat_question_down", partial(self.transcript.jump_question, 1)),
        ):
            keys.bind(self, name, slot)

    def _connect_controller(self) -> None:
        controller = self.controller
        controller.chats_changed.connect(self.list.set_rows)
        controller.opened.connect(self._show_chat)
        controller.appended.connect(self._append)
        controller.truncated.connect(self.transcript.truncate)
        controller.replaced.connect(self.transcript.replace)
        controller.edit_refused.connect(self.transcript.edit)
        controller.live_started.connect(self.transcript.start_live)
        controller.fed.connect(self.transcript.feed)
        controller.status.connect(self.transcript.set_status)
        controller.finished.connect(self.transcript.finish_live)
        controller.comparing.connect(self._compare)
        controller.column_changed.connect(self.compare.apply)
        controller.models_changed.connect(self._show_models)
        controller.load_progress.connect(self.picker.set_progress)
        controller.context_changed.connect(self._show_context)
        controller.pictured.connect(self._context.show_picture)
        controller.undoable.connect(self._undo.offer)
        controller.place_changed.connect(self.head.show_place)
        controller.said.connect(self._say)
        controller.failed.connect(self._banner.show_error)
        controller.title_changed.connect(self.head.show_title)

    # ---------------------------------------------------------------- what the window calls

    def new_chat(self) -> None:
        """Start an empty conversation; it is kept once something is asked."""
        self.controller.open(None)
        self.composer.edit.setFocus()

    def new_temporary(self) -> None:
        """Start a conversation that is never written to the disk."""
        self.controller.open_temporary()
        self.composer.edit.setFocus()

    def open_chat(self, chat: int) -> None:
        """Show a conversation."""
        self.controller.open(chat)
        self.composer.edit.setFocus()

    def choose_model(self, model: str) -> None:
        """Answer with this model from now on; it is loaded at once."""
        self.controller.choose_model(model)

    def focus_search(self) -> None:
        """Find in the open chat; without one, in all of them."""
        if self._stack.currentWidget() is self.transcript:
            self.find_bar.begin()
        else:
            self.search_chats()

    def search_chats(self) -> None:
        """Put the caret into the chats' search."""
        self._list_wanted = True
        self._show_list()
        self.list.search.setFocus()

    def focus(self) -> None:
        """Ready to type."""
        self.composer.edit.setFocus()

    def areas(self) -> list[QWidget]:
        """What F6 goes through."""
        return [self.list, self.head, self.transcript, self.compare, self.composer]

    def tab_parts(self) -> list[QWidget]:
        """The page's parts as they are read; messages are made in any order."""
        return [
            self.list,
            self.head,
            self._banner,
            self._stack,
            self.transcript,
            *self.transcript.built_views(),
            self._context,
            self.composer,
        ]

    # ---------------------------------------------------------------- showing

    def _show_chat(self, title: str, entries: list[Entry], draft: Draft, history: list[str]) -> None:
        self.head.show_title(title)
        if self.find_bar.isVisible():
            self.find_bar.finish()
        now = self.controller.here
        self._banner.move_on(now)
        edits = self._edits.setdefault(now[0], {})  # a store numbers all its messages
        self.transcript.set_entries(entries, keep_place=self._shown == now, edits=edits)
        self._shown = now
        self._stack.setCurrentWidget(self.transcript if entries else self._empty)
        hit = self.controller.shelf.hit_in(self.controller.kept_chat)
        if hit is not None:
            self.transcript.jump_to(hit)
        self.composer.set_draft(draft)
        self.composer.edit.set_history(history)
        self.list.set_current(self.controller.kept_chat)
        self._show_empty_text()

    def _append(self, entry: Entry) -> None:
        self._stack.setCurrentWidget(self.transcript)
        self.transcript.append(entry)

    def _compare(self, question: Entry, answers: list[Entry]) -> None:
        names = [self.controller.names.get(answer.model, answer.model) for answer in answers]
        self._stack.setCurrentWidget(self.compare)
        self.compare.start(question, answers, names)

    def _keep(self, answer: int) -> None:
        self._stack.setCurrentWidget(self.transcript)
        self.controller.acts.keep(answer)

    def _show_models(self, choices: list[ModelChoice], current: str) -> None:
        self.picker.set_choices(choices, current)
        loaded = {choice.id for choice in choices if choice.state == "loaded"}
        self._banner.move_on("" if current in loaded else current)
        self.model_changed.emit(current)
        self.head.second.setEnabled(len(self.controller.names) > 1)
        self._show_empty_text()
        self.desk.show_sight()

    def _show_context(self, use: ContextUse) -> None:
        self._context.show_use(use)
        self.context_changed.emit(use)

    def _say(self, words: str, tone: str) -> None:
        self._banner.show_words(words, tone) if words else self._banner.hide()
        self._banner.topic = self.controller.here

    def _show_empty_text(self) -> None:
        chat_empty.show(self._empty, self.controller.models.there_are, self.controller.place.temporary)

    # ---------------------------------------------------------------- asking

    def _submit(self, text: str) -> None:
        if self.prompts.take(text):
            return
        if not self.controller.models.there_are:
            self.search_requested.emit("")
            return
        attachments = tuple(self.composer.attachments.items)
        self.composer.set_draft(Draft())
        self._banner.hide()
        other = self.head.second.use()
        if self._stack.currentWidget() is self.compare:
            self._stack.setCurrentWidget(self.transcript)
        self.controller.ask(text, attachments, other)

    def _commands(self) -> Commands:
        return {
            "new": (self.tr("New chat"), self.new_chat),
            "temporary": (self.tr("New temporary chat"), self.new_temporary),
            "compare": (self.tr("Ask a second model the same"), self.head.second.choose),
            "system": (self.tr("System prompt of this chat"), self.prompts.ask_system),
            "prompts": (self.tr("Prompts and system prompts"), self.prompts.manage),
            "find": (self.tr("Find in this chat"), self.focus_search),
            "again": (self.tr("Answer again"), partial(self.messages.act_on_last, "regenerate")),
            "continue": (self.tr("Continue the answer"), partial(self.messages.act_on_last, "continue")),
        }

    # ---------------------------------------------------------------- actions

    def _act_outside(self, name: str, about: str = "") -> None:
        self._banner.hide()
        if name == "search":
            self.search_requested.emit("")
        elif name in {"load_again", "retry"}:
            self.controller.choose_model(self.controller.model)
        elif name == "show_import":
            self.list.search.clear()
        elif name == "load_options":
            self.load_options_requested.emit(self.controller.model)
        else:
            self.asked.emit(name, self.controller.model if name == "unload" else about)

    # ---------------------------------------------------------------- the list

    def repair(self) -> None:
        """Go on with what can be read of a damaged file."""
        self.archive.repair()

    def export_open(self) -> None:
        """Write the open conversation to a file; all of them when none is open."""
        self.archive.export(self.controller.chat or 0)

    def _picture(self, attachment: int) -> bytes:
        return self.controller.place.store.attachment_data(attachment)

    def _toggle_list(self) -> None:
        self._list_wanted = not self.list.isVisible()
        self._show_list()

    def _show_list(self) -> None:
        self.list.setVisible(self._list_wanted)

    # ---------------------------------------------------------------- Qt

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.composer.edit.setFocus()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:  # nothing within had a use for it
            self.composer.stop()
        else:
            super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit_list()

    def _fit_list(self) -> None:
        """Without room for both, the conversation has all of it; the button at its head brings the list back."""
        tight = self.width() < theme.px(_LIST_HIDDEN_BELOW)
        if tight != self._tight:
            self._tight = tight
            self.list.hide() if tight else self._show_list()

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
            self.controller.models.load()  # the picker's notes are words, too
        super().changeEvent(event)

    def _setting_changed(self, event: SettingChanged) -> None:
        if event.key == "chat.enter_sends":
            self.composer.set_enter_sends(bool(event.value))

    def _retranslate(self) -> None:
        self.setAccessibleName(self.tr("Chat"))
        self.head.retranslate()
        self._show_empty_text()
        self.prompts.load()


def _centred(widget: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setContentsMargins(24, 0, 34, 0)  # the transcript's scroll bar takes 10
    row.addStretch(1)
    row.addWidget(widget, 1000)
    row.addStretch(1)
    return row


def error_words(error: ErrorInfo) -> tuple[str, str, str]:
    """An error's sentence, its button and the button's action, in the reader's language."""
    described = errors.describe(error)
    return described.sentence, described.label, described.action
