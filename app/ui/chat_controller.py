"""The open conversation and everything that may be asked of it. Knows the services; the page only shows its signals.

Answers on their way are ``ChatTurns``' business, the list ``ChatShelf``'s, the model's window ``ChatContext``'s. What
touches the disk runs on the task pool."""

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from PySide6.QtCore import QObject, QTimer, Signal

from app.chat.session import ChatSession, TurnEnded
from app.chat.store_types import Conversation, Draft, NewAttachment, StoredMessage
from app.core.events import ChatChanged, ErrorInfo, InstanceChanged, LibraryChanged, LoadWaits
from app.ui import chat_place, errors, tasks
from app.ui.chat_acts import ChatActs
from app.ui.chat_choice import ChatModels
from app.ui.chat_context import ChatContext
from app.ui.chat_drafts import ChatDrafts
from app.ui.chat_how import ChatHow
from app.ui.chat_shelf import ChatShelf
from app.ui.chat_turns import ChatTurns
from app.ui.entries import Entry, from_stored
from app.ui.turn_view import TurnView

if TYPE_CHECKING:
    from app.compose import Services
    from app.ui.bridge import Bridge

_FOLLOW_MS = 400


class _Found(NamedTuple):
    """What was read of a conversation."""

    conversation: Conversation
    messages: tuple[StoredMessage, ...]
    draft: Draft


class ChatController(QObject):
    """One open conversation, in the chat file or in memory only, and the parts that serve it."""

    chats_changed = Signal(list, object)
    opened = Signal(str, list, object, list)
    """title, entries, Draft, earlier questions"""
    drafted = Signal(object)
    """What was typed into a new chat before the program was started: a Draft."""
    title_changed = Signal(str)
    appended = Signal(object)
    truncated = Signal(int)
    replaced = Signal(int, object)
    edit_refused = Signal(int, str)
    """A message can't be changed now; the text that was meant."""
    live_started = Signal(int)
    fed = Signal(object, str)
    status = Signal(int, str)
    finished = Signal(int, object)
    answered = Signal(int, object)
    """An answer has ended, in the open conversation or another: the conversation and the Entry."""
    comparing = Signal(object, list)
    """Two answers to one question are to be shown side by side: the question and their entries."""
    column_changed = Signal(int, str, tuple)
    """What happens in a column: a Transcript's method and its arguments."""
    busy_changed = Signal(bool)
    models_changed = Signal(list, str)
    load_progress = Signal(object)
    context_changed = Signal(object)
    pictured = Signal(object)
    """A WindowPicture, or None when nothing can be counted."""
    undoable = Signal(str, object)
    imported = Signal(object)
    pictures_sized = Signal(list)
    """Tokens of each picture that goes with the next question, None where nobody knows."""
    sized = Signal(object, bool)
    """Tokens of what is typed and attached (None: nothing), and whether the model itself counted."""
    place_changed = Signal(bool)
    """Whether the open conversation is kept in memory only."""
    said = Signal(str, str)
    """A line about what goes on, and its tone; empty: nothing any more."""
    failed = Signal(object)
    """A Described: something outside a message went wrong."""

    def __init__(self, services: "Services", bridge: "Bridge", parent: QObject) -> None:
        super().__init__(parent)
        self.services = services
        self._kept = self.place = chat_place.kept(services)
        chat_place.enter(self._kept)
        self._closed = False
        self._in_memory: chat_place.Place | None = None
        self.chat: int | None = None
        self.title = ""
        self.conversation: Conversation | None = None
        self.entries: list[Entry] = []
        self._elsewhere = False
        """Another window has an answer written in the open conversation."""
        self.side_by_side = False
        """Two answers are shown beside each other; the transcript waits."""
        self.messages: dict[int, StoredMessage] = {}
        self.how, self.drafts = ChatHow(self), ChatDrafts(self)
        self.models, self.acts = ChatModels(self), ChatActs(self)
        self.turns, self.shelf, self.window = ChatTurns(self), ChatShelf(self), ChatContext(self)
        self._follow_timer = QTimer(self, interval=_FOLLOW_MS, singleShot=True)
        self._follow_timer.timeout.connect(lambda: self.reload(only_if_changed=True))
        bridge.on(ChatChanged, self._chat_changed, self)
        bridge.on(LibraryChanged, lambda _event: self.models.load(), self)
        bridge.on(InstanceChanged, self.models.instance_changed, self)
        bridge.on(LoadWaits, self.models.load_waits, self)

    @property
    def store(self) -> Any:
        """Where the open conversation is kept."""
        return self.place.store

    @property
    def session(self) -> ChatSession:
        """What asks in the open conversation."""
        return self.place.session

    @property
    def model(self) -> str:
        """The model that answers next."""
        return self.models.chosen

    @property
    def names(self) -> dict[str, str]:
        """Every model that could answer, by id."""
        return self.models.names

    @property
    def kept_chat(self) -> int | None:
        """The open conversation, when it is one of the list."""
        return None if self.place.temporary else self.chat

    def start(self) -> None:
        """Fetch the list and the models, and show an empty chat."""
        self.shelf.load()
        self.models.load()
        self.open(None)
        self.drafts.start()

    def close(self) -> None:
        """Keep the draft, stop every timer and answers that no other window shows. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self.drafts.close()
        self._follow_timer.stop()
        self.shelf.close()
        self.window.close()
        self.turns.close(last=chat_place.leave(self._kept))
        self._forget_temporary()

    def run(self, work: Callable[[], Any], done: tasks.Done = None, order: Hashable = None) -> None:
        """Work on the pool, in an order if one is given; what it raises is shown above the chat."""
        tasks.run(work, done, self.report, self, order=order)

    def change(self, work: Callable[[], Any], done: tasks.Done = None) -> None:
        """The same for what changes a chat: after the changes before it."""
        self.run(work, done, "chats")

    @property
    def here(self) -> tuple[chat_place.Place, int | None]:
        """The open conversation, wherever it is kept."""
        return self.place, self.chat

    def report(self, error: Exception | ErrorInfo, topic: object = None) -> None:
        """Show an error that belongs to no message, but to ``topic``: by default the open conversation."""
        self.failed.emit(errors.describe(error, topic or self.here))

    # ---------------------------------------------------------------- the open conversation

    def _chat_changed(self, event: ChatChanged) -> None:
        self.shelf.load_soon()
        mine = event.conversation is not None and event.conversation == self.kept_chat
        if mine and self.turns.here() is None:
            self.reload(only_if_changed=True)

    def retitle(self, known: Sequence[Conversation]) -> None:
        """The list was read: the open conversation may have another title now."""
        found = next((chat for chat in known if chat.id == self.kept_chat), None)
        if found is not None:
            self.conversation = found
            if found.title != self.title:
                self.title = found.title
                self.title_changed.emit(found.title)

    def open(self, chat: int | None) -> None:
        """Show a conversation of the list, or an empty one that is kept once something is asked."""
        was_temporary = self.place.temporary and self.chat is not None
        self._go_to(self._kept, chat)
        if was_temporary:
            self.undoable.emit(self.tr("The temporary chat was left"), self._back_to_temporary)

    def open_temporary(self) -> None:
        """Begin a conversation that is never written anywhere; the last such one is forgotten."""
        self.drafts.leave()
        self._forget_temporary()
        self._in_memory = chat_place.temporary(self.services)
        self._go_to(self._in_memory, None)

    def _back_to_temporary(self) -> None:
        if self._in_memory is not None:
            chats = self._in_memory.store.conversations()
            self._go_to(self._in_memory, chats[0].id if chats else None)

    def _forget_temporary(self) -> None:
        if self._in_memory is not None:
            self._in_memory.session.close()
            self._in_memory.store.close()
            self._in_memory = None

    def _go_to(self, place: chat_place.Place, chat: int | None) -> None:
        self.drafts.leave()
        self.place, self.chat, self.conversation = place, chat, None
        self.messages, self.entries = {}, []
        self.side_by_side = self._elsewhere = False
        self.place_changed.emit(place.temporary)
        self.pictured.emit(None)
        if chat is not None:
            self.reload()
            return
        self.title = ""
        self.opened.emit("", [], self.drafts.of_new(), [])
        self._tell_state()

    def reload(self, *, only_if_changed: bool = False, then: Callable[[], None] | None = None) -> None:
        """Read the open conversation again, and go on with ``then``."""
        chat, place = self.chat, self.place
        if chat is None:
            return
        draft_of = self.drafts.reading(chat)

        def work() -> _Found:
            conversation = place.store.conversation(chat)
            return _Found(conversation, place.store.messages(chat), draft_of(conversation))

        def show(found: _Found) -> None:
            self._show(place, chat, only_if_changed, found)
            if then is not None:
                then()

        self.run(work, show, self)  # what was read later is shown later

    def _show(self, place: chat_place.Place, chat: int, only_if_changed: bool, found: _Found) -> None:
        if place is not self.place or chat != self.chat:
            return
        turn = self.turns.here()
        if only_if_changed and (turn is not None or self.side_by_side):
            return
        self.conversation, messages = found.conversation, found.messages
        self.messages = {message.id: message for message in messages}
        self._follow_others(messages)
        entries = [self._with_memory(from_stored(message)) for message in messages]
        if only_if_changed and entries == self.entries:
            return
        if turn is not None and entries and entries[-1].key == turn.entry.key:
            entries[-1] = turn.entry
        before, self.entries = self.entries, entries
        if only_if_changed and [entry.key for entry in before] == [entry.key for entry in entries]:
            self._show_changed(before)  # nothing that is open there (a selection, an editor) is closed
        else:
            self._show_opened(found, turn)

    def _show_changed(self, before: Sequence[Entry]) -> None:
        for old, entry in zip(before, self.entries, strict=True):
            if entry != old:
                self.replaced.emit(entry.key, entry)
        self._tell_state()

    def _show_opened(self, found: _Found, turn: TurnView | None) -> None:
        conversation = found.conversation
        self.title, draft = conversation.title, self.drafts.of(conversation.id, found.draft)
        history = [entry.text for entry in self.entries if entry.role == "user"]
        self.opened.emit(conversation.title, self.entries, draft, history)
        if turn is not None and turn.column is None:
            self.turns.show_again(turn)
        if conversation.model and conversation.model in self.names:
            self.models.set(conversation.model)
        self._tell_state()

    def _follow_others(self, messages: Sequence[StoredMessage]) -> None:
        """An answer another window asked for is read again while it grows."""
        writing = self.turns.here() is None and any(message.state == "writing" for message in messages)
        if writing:
            self._follow_timer.start()
        if writing != self._elsewhere:
            self._elsewhere = writing
            self._tell_state()

    def _with_memory(self, entry: Entry) -> Entry:
        # The store does not know what the engine said last; this session may.
        old = next((known for known in self.entries if known.key == entry.key), None)
        if old is None or entry.error is None or old.error is None:
            return entry
        return msgspec.structs.replace(entry, error=old.error)

    def _tell_state(self) -> None:
        self.busy_changed.emit(self.turns.here() is not None or self._elsewhere)
        self.window.tell()

    # ---------------------------------------------------------------- asking

    def ask(self, text: str, files: Sequence[NewAttachment] = (), other: str = "") -> None:
        """Ask in the open conversation; with ``other`` a second model answers the same beside the first."""
        if self.side_by_side:
            self.side_by_side = False
            self.reload(then=partial(self.ask, text, files, other))
        elif other:
            self.side_by_side = True
            self.turns.ask_both(text, files, other)
        else:
            self.turns.ask(text, files)

    def stop(self) -> None:
        """Stop the answers of the open conversation; what is there is kept."""
        self.turns.stop()

    # ---------------------------------------------------------------- what turns tell

    def add(self, entry: Entry) -> None:
        """One more message is shown."""
        self.entries.append(entry)
        self.appended.emit(entry)

    def cut(self, key: int) -> None:
        """Message ``key`` and all after it are no longer shown."""
        index = next((i for i, entry in enumerate(self.entries) if entry.key == key), len(self.entries))
        del self.entries[index:]
        self.truncated.emit(key)

    def swap(self, key: int, entry: Entry) -> None:
        """Message ``key`` is now ``entry``."""
        self.entries = [entry if known.key == key else known for known in self.entries]
        self.replaced.emit(key, entry)

    def was_created(self, chat: int, question: str) -> None:
        """The first question has made the open conversation."""
        self.chat = chat
        policy = self.drafts.was_created(chat)
        if policy is not None:
            self.how.set_policy(policy)
        self.title = next(iter(question.strip().splitlines()), "")
        self.title_changed.emit(self.title)
        self.shelf.load_soon()

    def not_begun(self, turn: TurnView, error: Exception) -> None:
        """A turn could not be begun: what was typed and attached comes back."""
        self.report(error, (turn.place, turn.conversation))
        self._tell_state()
        assert turn.draft_of is not None
        asked = turn.question.text if turn.question is not None else ""
        draft = self.drafts.give_back(turn.draft_of, Draft(asked, turn.files))
        if turn.place is self.place and turn.conversation == self.chat:
            self.entries = []
            self.opened.emit(self.title, [], draft, [])
            self.reload()

    def turn_ended(self, turn: TurnView, event: TurnEnded) -> None:
        """An answer has ended."""
        self.answered.emit(event.conversation, turn.entry)
        if turn.place is self.place and turn.conversation == self.chat:
            self.entries = [turn.entry if e.key == turn.entry.key else e for e in self.entries]
            self._tell_state()
            self._fetch_messages()
        if event.reason in {"stop", "length"}:
            self.acts.name(turn)

    def _fetch_messages(self) -> None:
        """The stored messages behind what is shown: their versions are needed by the buttons."""
        chat, store = self.chat, self.place.store
        if chat is not None:
            self.run(lambda: store.messages(chat), partial(self._remember, chat))

    def _remember(self, chat: int, messages: Sequence[StoredMessage]) -> None:
        if chat == self.chat:
            self.messages = {message.id: message for message in messages}

    # ---------------------------------------------------------------- what the page asks for

    def entry(self, key: int) -> Entry | None:
        """A message that is shown."""
        return next((entry for entry in self.entries if entry.key == key), None)

    def act(self, key: int, name: str) -> None:
        """Do what a button of message ``key`` says; ``name`` may carry a model after a colon."""
        self.acts.act(key, name)

    def edit(self, key: int, text: str) -> None:
        """Ask a question in other words, or correct an answer in place."""
        self.acts.edit(key, text)

    def show_place(self, chat: int) -> None:
        """Show another conversation of the same place."""
        self._go_to(self.place, chat)

    def choose_model(self, model: str) -> None:
        """Answer with this model from now on, and load it."""
        self.models.choose(model)
