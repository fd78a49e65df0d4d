"""The open conversation and everything that may be asked of it. Knows the services; the page only shows its signals.

Answers on their way are ``ChatTurns``' business, the list ``ChatShelf``'s, the model's window ``ChatContext``'s.
Everything that touches the disk runs on the task pool.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtGui import QGuiApplication

from app.chat import attachments
from app.chat.session import ChatSession, TurnEnded, TurnOptions
from app.chat.store_types import Conversation, NewAttachment, StoredMessage
from app.core.events import ChatChanged, InstanceChanged, LibraryChanged
from app.core.generate import ContextPolicy, SamplingParams
from app.ui import chat_models, chat_place, errors, tasks
from app.ui.chat_context import ChatContext
from app.ui.chat_shelf import ChatShelf
from app.ui.chat_turns import ChatTurns
from app.ui.entries import Entry, from_stored
from app.ui.model_picker import ModelChoice
from app.ui.turn_view import TurnView

if TYPE_CHECKING:
    from concurrent.futures import Future

    from app.compose import Services
    from app.ui.bridge import Bridge

log = logging.getLogger(__name__)

_DRAFT_MS = 600
_FOLLOW_MS = 400


class ChatController(QObject):
    """One open conversation, in the chat file or in memory only, and the parts that serve it."""

    chats_changed = Signal(list, object)
    opened = Signal(str, list, str, list)
    """title, entries, draft, earlier questions"""
    title_changed = Signal(str)
    appended = Signal(object)
    truncated = Signal(int)
    replaced = Signal(int, object)
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
    attached = Signal(list)
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
        self._in_memory: chat_place.Place | None = None
        self.chat: int | None = None
        self.title = ""
        self.model = ""
        self.has_models = True
        self.conversation: Conversation | None = None
        self.new_system: str | None = None
        self.new_policy: ContextPolicy | None = None
        self.entries: list[Entry] = []
        self._elsewhere = False
        """Another window has an answer written in the open conversation."""
        self.side_by_side = False
        """Two answers are shown beside each other; the transcript waits."""
        self.messages: dict[int, StoredMessage] = {}
        self._records: dict[str, Any] = {}
        self.names: dict[str, str] = {}
        self._new_draft = self._draft = ""
        self._unsaved: dict[int, str] = {}
        """Drafts on their way to the disk: a chat opened again at once is read by another thread, maybe before."""
        self.turns, self.shelf, self.window = ChatTurns(self), ChatShelf(self), ChatContext(self)
        self._draft_timer = QTimer(self, interval=_DRAFT_MS, singleShot=True)
        self._draft_timer.timeout.connect(self.save_draft)
        self._follow_timer = QTimer(self, interval=_FOLLOW_MS, singleShot=True)
        self._follow_timer.timeout.connect(lambda: self.reload(only_if_changed=True))
        bridge.on(ChatChanged, self._chat_changed, self)
        bridge.on(LibraryChanged, lambda _event: self._load_models(), self)
        bridge.on(InstanceChanged, self._instance_changed, self)

    @property
    def store(self) -> Any:
        """Where the open conversation is kept."""
        return self.place.store

    @property
    def session(self) -> ChatSession:
        """What asks in the open conversation."""
        return self.place.session

    @property
    def kept_chat(self) -> int | None:
        """The open conversation, when it is one of the list."""
        return None if self.place.temporary else self.chat

    def start(self) -> None:
        """Fetch the list and the models, and show an empty chat."""
        self.shelf.load()
        self._load_models()
        self.open(None)

    def close(self) -> None:
        """Keep the draft, stop the answers that were asked for here, and every timer."""
        self.save_draft()
        self._draft_timer.stop()
        self._follow_timer.stop()
        self.shelf.close()
        self.window.close()
        self.turns.close()
        self._forget_temporary()

    def run(self, work: Callable[[], Any], done: Callable[[Any], None] | None = None) -> None:
        """Work on the pool; what it raises is shown above the chat."""
        tasks.run(work, done, self.report, self)

    def report(self, error: Exception) -> None:
        """Show an error that belongs to no message."""
        self.failed.emit(errors.describe(error))

    # ---------------------------------------------------------------- the open conversation

    def _chat_changed(self, event: ChatChanged) -> None:
        self.shelf.load_soon()
        if (
            event.conversation is not None
            and event.conversation == self.kept_chat
            and self.turns.here() is None
        ):
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
        self.save_draft()
        was_temporary = self.place.temporary and self.chat is not None
        self._go_to(self._kept, chat)
        if was_temporary:
            self.undoable.emit(self.tr("The temporary chat was left"), self._back_to_temporary)

    def open_temporary(self) -> None:
        """Begin a conversation that is never written anywhere; the last such one is forgotten."""
        self.save_draft()
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
        self.place, self.chat, self.conversation = place, chat, None
        self.new_system = self.new_policy = None
        self.messages, self.entries = {}, []
        self.side_by_side = self._elsewhere = False
        self.place_changed.emit(place.temporary)
        if chat is not None:
            self.reload()
            return
        self.title, self._draft = "", "" if place.temporary else self._new_draft
        self.opened.emit("", [], self._draft, [])
        self._tell_state()

    def reload(self, *, only_if_changed: bool = False, then: Callable[[], None] | None = None) -> None:
        """Read the open conversation again, and go on with ``then``."""
        chat, place = self.chat, self.place
        if chat is None:
            return

        def work() -> tuple[Conversation, tuple[StoredMessage, ...]]:
            return place.store.conversation(chat), place.store.messages(chat)

        def show(found: tuple[Conversation, tuple[StoredMessage, ...]]) -> None:
            self._show(place, chat, only_if_changed, found)
            if then is not None:
                then()

        self.run(work, show)

    def _show(
        self,
        place: chat_place.Place,
        chat: int,
        only_if_changed: bool,
        found: tuple[Conversation, tuple[StoredMessage, ...]],
    ) -> None:
        if place is not self.place or chat != self.chat:
            return
        turn = self.turns.here()
        if only_if_changed and (turn is not None or self.side_by_side):
            return
        self.conversation, messages = found
        self.messages = {message.id: message for message in messages}
        self._follow_others(messages)
        entries = [self._with_memory(from_stored(message)) for message in messages]
        if only_if_changed and entries == self.entries:
            return
        if turn is not None and entries and entries[-1].key == turn.entry.key:
            entries[-1] = turn.entry
        self.entries = entries
        self._show_opened(chat, self.conversation, turn)

    def _show_opened(self, chat: int, conversation: Conversation, turn: TurnView | None) -> None:
        self.title, self._draft = conversation.title, self._unsaved.get(chat, conversation.draft)
        history = [entry.text for entry in self.entries if entry.role == "user"]
        self.opened.emit(conversation.title, self.entries, self._draft, history)
        if turn is not None and turn.column is None:
            self.turns.show_again(turn)
        if conversation.model and conversation.model in self.names:
            self._set_model(conversation.model)
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

    def keep_draft(self, text: str) -> None:
        """Remember what is typed but not sent."""
        if text != self._draft:
            self._draft = text
            self._draft_timer.start()

    def save_draft(self) -> None:
        """Keep what is typed, if it changed since."""
        if not self._draft_timer.isActive() and self.chat is not None:
            return
        self._draft_timer.stop()
        if self.chat is None:
            self._new_draft = self._draft if not self.place.temporary else self._new_draft
            return
        chat, text, store = self.chat, self._draft, self.place.store
        if not self.place.temporary:
            self._unsaved[chat] = text
        saved = partial(self._draft_saved, chat, text)
        self.run(lambda: store.save_draft(chat, text).result(), saved)

    def _draft_saved(self, chat: int, text: str, _done: None) -> None:
        if self._unsaved.get(chat) == text:
            del self._unsaved[chat]

    # ---------------------------------------------------------------- asking

    def attach(self, paths: Sequence[Path]) -> None:
        """Read files for the next question."""
        self.run(lambda: [attachments.from_file(path) for path in paths], self.attached.emit)

    def attach_text(self, text: str) -> None:
        """Keep a long paste beside the question."""
        self.attached.emit([attachments.from_paste(text)])

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

    def edit(self, key: int, text: str) -> None:
        """Ask a question in other words, or correct an answer in place."""
        entry, store = self.entry(key), self.place.store
        if entry is None or self.turns.here() is not None:
            return
        if entry.role == "assistant":
            self.run(lambda: store.rewrite(key, text), lambda _none: self.reload())
        else:
            self.turns.ask_again(key, entry, text)

    def stop(self) -> None:
        """Stop the answers of the open conversation; what is there is kept."""
        self.turns.stop()

    def options(self, model: str = "") -> TurnOptions:
        """How the next turn is asked."""
        chat, model = self.services.settings.value.chat, model or self.model
        kept = self.conversation.sampling if self.conversation else None
        sampling = (
            kept
            or self.services.presets.sampling(model)
            or SamplingParams(
                temperature=chat.temperature, top_p=chat.top_p, max_tokens=chat.max_tokens or None
            )
        )
        if chat.logprobs:
            sampling = msgspec.structs.replace(sampling, logprobs=chat.logprobs)
        record = self._records.get(model)
        return TurnOptions(
            model,
            record.summary.quant if record is not None and record.summary is not None else "",
            sampling,
            self.policy,
            images=record is not None and record.projector is not None,
        )

    @property
    def policy(self) -> ContextPolicy:
        """What happens when the window of the open conversation is full."""
        own = self.conversation.policy if self.conversation else self.new_policy
        return own or self.services.settings.value.chat.context_policy

    def system_prompt(self) -> str:
        """What the open conversation begins with, or a new one would."""
        if self.conversation is not None:
            return self.conversation.system
        if self.new_system is not None:
            return self.new_system
        profile = self.services.presets.current(self.model) if self.model else None
        usual = self.services.settings.value.chat.system_prompt
        return profile.system if profile is not None and profile.system else usual

    def set_system(self, text: str) -> None:
        """Another system prompt for the open conversation, from the next question on."""
        chat, store = self.chat, self.place.store
        if chat is None:
            self.new_system = text
        else:
            self.run(lambda: store.update(chat, system=text), lambda _none: self.reload())

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
        if not self.place.temporary:
            self._new_draft = ""
        policy, self.new_policy = self.new_policy, None
        if policy is not None:
            self.window.set_policy(policy)
        self.title = next(iter(question.strip().splitlines()), "")
        self.title_changed.emit(self.title)
        self.shelf.load_soon()

    def not_begun(self, turn: TurnView, error: Exception) -> None:
        """A turn could not be begun: what was typed comes back."""
        self.report(error)
        self._tell_state()
        if turn.question is not None and not self._draft:
            self._draft = turn.question.text
        self.opened.emit(self.title, [], self._draft, [])
        self.reload()

    def turn_ended(self, turn: TurnView, event: TurnEnded) -> None:
        """An answer has ended."""
        self.answered.emit(event.conversation, turn.entry)
        if turn.place is self.place and turn.conversation == self.chat:
            self.entries = [turn.entry if e.key == turn.entry.key else e for e in self.entries]
            self._tell_state()
            self._fetch_messages()
        if event.reason in {"stop", "length"}:
            self._name(turn)

    def _fetch_messages(self) -> None:
        """The stored messages behind what is shown: their versions are needed by the buttons."""
        chat, store = self.chat, self.place.store
        if chat is not None:
            self.run(lambda: store.messages(chat), partial(self._remember, chat))

    def _remember(self, chat: int, messages: Sequence[StoredMessage]) -> None:
        if chat == self.chat:
            self.messages = {message.id: message for message in messages}

    def _name(self, turn: TurnView) -> None:
        """Have the model write a title after its first answer, unless a person gave one."""
        chat, wanted = turn.conversation, self.services.settings.value.chat.write_titles
        if not wanted or turn.place.temporary or chat is None or turn.turn is None:
            return
        store, session, ended = turn.place.store, turn.place.session, turn.turn.ended

        def work() -> None:
            ended.result(10)
            if store.conversation(chat).auto_title and len(store.messages(chat)) == 2:
                session.write_title(chat, turn.entry.model)

        self.run(work)

    # ---------------------------------------------------------------- actions on messages

    def act(self, key: int, name: str) -> None:
        """Do what a button of message ``key`` says; ``name`` may carry a model after a colon."""
        entry = self.entry(key)
        if entry is None:
            return
        name, _, about = name.partition(":")
        if name == "copy":
            QGuiApplication.clipboard().setText(entry.text)
        elif name == "delete":
            self._delete(key)
        elif name == "fork":
            self._fork(key)
        elif name in {"pinned", "dropped", ""}:
            self.window.mark(key, name)  # type: ignore[arg-type]
        elif self.turns.here() is None:
            self._ask_about(entry, name, about)

    def _ask_about(self, entry: Entry, name: str, about: str) -> None:
        if name in {"regenerate", "retry"}:
            self.turns.regenerate(entry, about)
        elif name == "compare":
            self._compare(entry, about)
        elif name == "continue":
            self.turns.go_on(entry)
        elif name == "load_again":
            self.turns.go_on(entry) if entry.text else self.turns.regenerate(entry)
        elif name in {"previous", "next"}:
            self._switch(entry.key, -1 if name == "previous" else 1)

    def _compare(self, entry: Entry, other: str) -> None:
        index = next((i for i, known in enumerate(self.entries) if known.key == entry.key), 0)
        if index:
            self.side_by_side = True
            self.turns.compare(self.entries[index - 1], entry, other)

    def keep_version(self, key: int) -> None:
        """Go on with this answer of several, and with the model that wrote it."""
        store = self.place.store
        self.side_by_side = False

        def work() -> None:
            store.switch(key)
            found = store.message(key)
            store.update(found.conversation, model=found.model)

        self.run(work, lambda _none: self.reload())

    def entry(self, key: int) -> Entry | None:
        """A message that is shown."""
        return next((entry for entry in self.entries if entry.key == key), None)

    def _delete(self, key: int) -> None:
        if self.turns.here() is not None:
            self.stop()
        store = self.place.store

        def undo() -> None:
            self.run(lambda: store.restore_message(key), lambda _none: self.reload())

        def done(_none: object) -> None:
            self.reload()
            self.undoable.emit(self.tr("Message deleted, with what follows it"), undo)

        self.run(lambda: store.delete_message(key), done)

    def _fork(self, key: int) -> None:
        store, title = self.place.store, self.title
        words = self.tr("{title} (branch)").format(title=title)
        self.run(lambda: store.fork(key, words), lambda made: self._go_to(self.place, made.id))

    def _switch(self, key: int, step: int) -> None:
        message = self.messages.get(key)
        if message is None:
            return
        wanted = message.version + step
        if 0 <= wanted < len(message.versions):
            self.keep_version(message.versions[wanted])

    # ---------------------------------------------------------------- models

    def _load_models(self) -> None:
        self.run(self.services.library.records, self._show_models)

    def _show_models(self, records: Sequence[Any]) -> None:
        found = chat_models.choices(records, self.services.supervisor.snapshots())
        self._records = {record.id: record for record in records}
        self.names = {choice.id: choice.name for choice in found}
        self.has_models = bool(found)
        if self.model not in self.names:
            self.model = self._first_model(found)
        self.models_changed.emit(found, self.model)

    def _first_model(self, found: Sequence[ModelChoice]) -> str:
        last = self.services.settings.value.general.last_model
        loaded = next((choice.id for choice in found if choice.state == "loaded"), "")
        usable = next((choice.id for choice in found if choice.state != "damaged"), "")
        return last if last in self.names else loaded or usable

    def sees_images(self) -> bool:
        """Whether the chosen model has a projector: without one, images are kept and not sent."""
        record = self._records.get(self.model)
        return record is not None and record.projector is not None

    def choose_model(self, model: str) -> None:
        """Answer with this model from now on, and load it."""
        self._set_model(model)
        self.run(lambda: self.services.settings.set("general.last_model", model))
        self.run(lambda: self.services.load(model), self._watch_load)

    def _watch_load(self, future: "Future[InstanceChanged]") -> None:
        tasks.watch(future, None, self.report, self)

    def _set_model(self, model: str) -> None:
        if model != self.model:
            self.model = model
            self._load_models()
            self.window.tell()

    def cancel_load(self) -> None:
        """Stop loading the chosen model."""
        self.services.supervisor.cancel_load(self.model)

    def _instance_changed(self, event: InstanceChanged) -> None:
        if event.model == self.model:
            loading = event.state in {"starting", "loading"}
            self.load_progress.emit(event.progress if loading else None)
        self.turns.instance_changed(event, self.names.get(event.model, event.model))
        if event.state in {"ready", "stopped", "failed", "loading"} and event.progress in {0.0, 1.0}:
            self._load_models()
            self.window.tell()
