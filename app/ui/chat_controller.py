# size: the one place where the page's wishes meet the services; turns, models, entries are modules of their own
"""What happens on the Chat page: conversations, turns, models. Knows the services; the page only shows its signals.

Everything that touches the disk runs on the task pool; events of running answers come through ``LiveAnswer``.
"""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtGui import QGuiApplication

from app.chat import attachments
from app.chat.fitting import Picture
from app.chat.session import ChatSession, Turn, TurnEnded, TurnOptions, TurnStarted, TurnUnsaved
from app.chat.store_types import Conversation, Hit, NewAttachment, StoredMessage
from app.core.events import ChatChanged, InstanceChanged, LibraryChanged
from app.core.generate import Delta, SamplingParams
from app.ui import chat_models, errors, tasks
from app.ui.chat_list import ChatRow
from app.ui.context_use import ContextUse
from app.ui.entries import Entry, from_stored
from app.ui.live_answer import LiveAnswer
from app.ui.model_picker import ModelChoice
from app.ui.turn_view import TurnView, loading_text, waiting_text

if TYPE_CHECKING:
    from app.compose import Services
    from app.ui.bridge import Bridge

log = logging.getLogger(__name__)

_DRAFT_MS = 600
_LIST_MS = 120
_SIZE_MS = 250
_PICTURE_MS = 300
_WORTH_COUNTING = 200
"""Characters from which the size of a question is worth a line."""
Begin = Callable[[int, Callable[[object], None], "Future[Any] | None"], Turn]
"""(conversation, listener, load under way or None) -> the turn; runs on the task pool."""


class ChatController(QObject):
    """One open conversation and everything that may be asked of it."""

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
    busy_changed = Signal(bool)
    models_changed = Signal(list, str)
    load_progress = Signal(object)
    context_changed = Signal(object)
    undoable = Signal(str, object)
    attached = Signal(list)
    sized = Signal(object, bool)
    """Tokens of what is typed and attached (None: too little to say), and whether the model itself counted."""
    failed = Signal(object)
    """A Described: something outside a message went wrong."""

    def __init__(self, services: "Services", bridge: "Bridge", parent: QObject) -> None:
        super().__init__(parent)
        self._services, self._store = services, services.chats
        self.store = services.chats
        self.session = ChatSession(services.chats, services.engine("chat"))
        self.chat: int | None = None
        self.title = ""
        self.model = ""
        self.has_models = True
        self._messages: dict[int, StoredMessage] = {}
        self._entries: list[Entry] = []
        self._turns: dict[int, TurnView] = {}
        self._tag = 0
        self._query = ""
        self._hits: dict[int, int] = {}
        self._names: dict[str, str] = {}
        self._new_draft = self._draft = ""
        self._unsaved: dict[int, str] = {}
        """Drafts on their way to the disk: a chat opened again at once is read by another thread, maybe before."""
        self._live = LiveAnswer(self._deliver, self)
        self._draft_timer = QTimer(self, interval=_DRAFT_MS, singleShot=True)
        self._draft_timer.timeout.connect(self._save_draft)
        self._to_count = ""
        self._size_timer = QTimer(self, interval=_SIZE_MS, singleShot=True)
        self._size_timer.timeout.connect(self._count)
        self._picture_timer = QTimer(self, interval=_PICTURE_MS, singleShot=True)
        self._picture_timer.timeout.connect(self._ask_picture)
        self._list_timer = QTimer(self, interval=_LIST_MS, singleShot=True)
        self._list_timer.timeout.connect(self._load_list)
        bridge.on(ChatChanged, self._chat_changed, self)
        bridge.on(LibraryChanged, lambda _event: self._load_models(), self)
        bridge.on(InstanceChanged, self._instance_changed, self)

    def start(self) -> None:
        """Fetch the list and the models, and show an empty chat."""
        self._load_list()
        self._load_models()
        self.open(None)

    def close(self) -> None:
        """Keep the draft and stop every timer."""
        self._save_draft()
        self._draft_timer.stop()
        self._list_timer.stop()
        self._size_timer.stop()
        self._picture_timer.stop()
        self._live.stop()

    def _run(self, work: Callable[[], Any], done: Callable[[Any], None] | None = None) -> None:
        tasks.run(work, done, self._fail, self)

    def _fail(self, error: Exception) -> None:
        self.failed.emit(errors.describe(error))

    def report(self, error: Exception) -> None:
        """Show an error that belongs to no message."""
        self._fail(error)

    # ---------------------------------------------------------------- the list

    def _chat_changed(self, event: ChatChanged) -> None:
        self._list_timer.start()
        if event.conversation is not None and event.conversation == self.chat and self._turn_here() is None:
            self._reload(only_if_changed=True)

    def _load_list(self) -> None:
        query = self._query
        if query:
            self._run(lambda: self._store.search(query), partial(self._show_hits, query))
        else:
            self._run(self._store.conversations, self._show_list)

    def _show_list(self, found: Sequence[Conversation]) -> None:
        if self._query:
            return
        rows = [ChatRow(c.id, c.title, c.updated_at, c.pinned) for c in found]
        self.chats_changed.emit(rows, self.chat)
        title = next((c.title for c in found if c.id == self.chat), self.title)
        if title != self.title:
            self.title = title
            self.title_changed.emit(title)

    def _show_hits(self, query: str, hits: Sequence[Hit]) -> None:
        if query != self._query:
            return
        rows: dict[int, ChatRow] = {}
        self._hits = {}
        for hit in hits:
            if hit.message is not None:
                self._hits.setdefault(hit.conversation, hit.message)
            snippet = hit.snippet if hit.message is not None else ""
            rows.setdefault(
                hit.conversation, ChatRow(hit.conversation, hit.title, hit.created_at, snippet=snippet)
            )
        self.chats_changed.emit(list(rows.values()), self.chat)

    def search(self, query: str) -> None:
        """List what holds these words; empty: everything."""
        self._query = query.strip()
        self._list_timer.start()

    def rename(self, chat: int, title: str) -> None:
        """Give a conversation a title."""
        self._run(lambda: self._store.rename(chat, title))

    def pin(self, chat: int, pinned: bool) -> None:
        """Keep a conversation at the top, or no longer."""
        self._run(lambda: self._store.update(chat, pinned=pinned))

    def delete_chat(self, chat: int) -> None:
        """Put a conversation into the bin; it can be taken back."""
        self.session.stop(chat)
        if chat == self.chat:
            self.open(None)

        def undo() -> None:
            self._run(lambda: self._store.restore(chat), lambda _none: self.open(chat))

        self._run(
            lambda: self._store.delete(chat), lambda _none: self.undoable.emit(self.tr("Chat deleted"), undo)
        )

    # ---------------------------------------------------------------- the open conversation

    def open(self, chat: int | None) -> None:
        """Show a conversation, or an empty one that is kept once something is asked."""
        self._save_draft()
        self.chat = chat
        self._messages, self._entries = {}, []
        if chat is None:
            self.title, self._draft = "", self._new_draft
            self.opened.emit("", [], self._new_draft, [])
            self._tell_state()
        else:
            self._reload()

    def _reload(self, *, only_if_changed: bool = False) -> None:
        chat = self.chat
        if chat is None:
            return

        def work() -> tuple[Conversation, tuple[StoredMessage, ...]]:
            return self._store.conversation(chat), self._store.messages(chat)

        self._run(work, partial(self._show, chat, only_if_changed))

    def _show(
        self, chat: int, only_if_changed: bool, found: tuple[Conversation, tuple[StoredMessage, ...]]
    ) -> None:
        conversation, messages = found
        if chat != self.chat or (only_if_changed and self._turn_here() is not None):
            return
        self._messages = {message.id: message for message in messages}
        entries = [self._with_memory(from_stored(message)) for message in messages]
        if only_if_changed and entries == self._entries:
            return
        turn = self._turn_here()
        if turn is not None and entries and entries[-1].key == turn.entry.key:
            entries[-1] = turn.entry
        self._entries = entries
        self.title, self._draft = conversation.title, self._unsaved.get(chat, conversation.draft)
        history = [entry.text for entry in entries if entry.role == "user"]
        self.opened.emit(conversation.title, entries, self._draft, history)
        if turn is not None:
            self.live_started.emit(turn.entry.key)
            self.status.emit(turn.entry.key, turn.status)
        if conversation.model and conversation.model in self._names:
            self._set_model(conversation.model)
        self._tell_state()

    def _with_memory(self, entry: Entry) -> Entry:
        # The store does not know how long was thought, nor what the engine said last; this session may.
        old = next((known for known in self._entries if known.key == entry.key), None)
        if old is None:
            return entry
        error = old.error if entry.error is not None and old.error is not None else entry.error
        return msgspec.structs.replace(entry, reasoning_seconds=old.reasoning_seconds, error=error)

    def hit_in(self, chat: int | None) -> int | None:
        """The message the search that is on found in a conversation."""
        return self._hits.get(chat) if self._query and chat is not None else None

    def _tell_state(self) -> None:
        self.busy_changed.emit(self._turn_here() is not None)
        self._tell_context()

    def keep_draft(self, text: str) -> None:
        """Remember what is typed but not sent."""
        if text != self._draft:
            self._draft = text
            self._draft_timer.start()

    def _save_draft(self) -> None:
        if not self._draft_timer.isActive() and self.chat is not None:
            return
        self._draft_timer.stop()
        if self.chat is None:
            self._new_draft = self._draft
        else:
            chat, text = self.chat, self._draft
            self._unsaved[chat] = text
            self._run(
                lambda: self._store.save_draft(chat, text).result(), partial(self._draft_saved, chat, text)
            )

    def _draft_saved(self, chat: int, text: str, _done: None) -> None:
        if self._unsaved.get(chat) == text:
            del self._unsaved[chat]

    # ---------------------------------------------------------------- asking

    def attach(self, paths: Sequence[Path]) -> None:
        """Read files for the next question."""
        self._run(lambda: [attachments.from_file(path) for path in paths], self.attached.emit)

    def attach_text(self, text: str) -> None:
        """Keep a long paste beside the question."""
        self.attached.emit([attachments.from_paste(text)])

    def size_up(self, text: str, files: Sequence[NewAttachment]) -> None:
        """Count what is about to be asked; the answer comes through ``sized``."""
        self._to_count = "\n".join([*(item.text for item in files), text])
        self._size_timer.start()

    def _count(self) -> None:
        text = self._to_count
        if len(text) < _WORTH_COUNTING:
            self.sized.emit(None, False)
            return
        known = self._services.supervisor.snapshot(self.model)
        if known is None or known.state != "ready":
            self.sized.emit(round(len(text) / 3.6), False)
            return

        def counted(tokens: Sequence[int]) -> None:
            if text == self._to_count:
                self.sized.emit(len(tokens), True)

        tasks.watch(self._services.supervisor.tokenize(self.model, text), counted, self._not_counted, self)

    def _not_counted(self, error: Exception) -> None:
        log.info("the question was not counted: %s", error)

    def ask(self, text: str, files: Sequence[NewAttachment] = ()) -> None:
        """Ask in the open conversation (a new one is made first)."""
        turn = self._new_turn(Entry(0, "assistant", model=self.model))
        turn.question = Entry(-2 * turn.tag, "user", text, files=tuple(item.name for item in files))
        self._add(turn.question)
        self._add(turn.entry)
        options = self._options()

        def begin(chat: int, listener: Callable[[object], None], after: "Future[Any] | None") -> Turn:
            return self.session.ask(chat, text, options, listener, attachments=files, after=after)

        self._begin(turn, begin)

    def edit(self, key: int, text: str) -> None:
        """Ask a question in other words, or correct an answer in place."""
        entry = self._entry(key)
        if entry is None or self._turn_here() is not None:
            return
        if entry.role == "assistant":
            self._run(lambda: self._store.rewrite(key, text), lambda _none: self._reload())
            return
        turn = self._new_turn(Entry(0, "assistant", model=self.model))
        count = entry.versions + 1
        turn.question = Entry(-2 * turn.tag, "user", text, version=count, versions=count, files=entry.files)
        self._cut(key)
        self._add(turn.question)
        self._add(turn.entry)
        options = self._options()

        def begin(_chat: int, listener: Callable[[object], None], after: "Future[Any] | None") -> Turn:
            return self.session.edit_and_resend(key, text, options, listener, after=after)

        self._begin(turn, begin)

    def _regenerate(self, entry: Entry) -> None:
        if self._turn_here() is not None:
            return
        count = entry.versions + 1 if entry.role == "assistant" else 1
        turn = self._new_turn(Entry(0, "assistant", model=self.model, version=count, versions=count))
        self._cut(entry.key)
        self._add(turn.entry)
        options = self._options()

        def begin(_chat: int, listener: Callable[[object], None], after: "Future[Any] | None") -> Turn:
            return self.session.regenerate(entry.key, options, listener, after=after)

        self._begin(turn, begin)

    def _continue(self, entry: Entry) -> None:
        if self._turn_here() is not None:
            return
        turn = self._new_turn(msgspec.structs.replace(entry, error=None, reason=None, interrupted=False))
        turn.entry = msgspec.structs.replace(turn.entry, key=entry.key)
        self.replaced.emit(entry.key, turn.entry)
        options = self._options()

        def begin(_chat: int, listener: Callable[[object], None], after: "Future[Any] | None") -> Turn:
            return self.session.continue_answer(entry.key, options, listener, after=after)

        self._begin(turn, begin)

    def _new_turn(self, entry: Entry) -> TurnView:
        self._tag += 1
        turn = TurnView(self._tag, self.chat, msgspec.structs.replace(entry, key=-2 * self._tag - 1))
        turn.status = waiting_text()
        self._turns[turn.tag] = turn
        return turn

    def _add(self, entry: Entry) -> None:
        self._entries.append(entry)
        self.appended.emit(entry)

    def _cut(self, key: int) -> None:
        index = next((i for i, entry in enumerate(self._entries) if entry.key == key), len(self._entries))
        del self._entries[index:]
        self.truncated.emit(key)

    def _begin(self, turn: TurnView, begin: Begin) -> None:
        self.live_started.emit(turn.entry.key)
        self.status.emit(turn.entry.key, turn.status)
        self._live.start()
        self.busy_changed.emit(True)
        self._save_draft()
        model, chat = self.model, self.chat
        system = self._services.settings.value.chat.system_prompt
        listener = partial(self._note, turn.tag)

        def work() -> Turn:
            after = self._load_if_needed(model)
            number = chat if chat is not None else self._store.create(model=model, system=system).id
            return begin(number, listener, after)

        tasks.run(work, partial(self._begun, turn), partial(self._not_begun, turn), self)

    def _load_if_needed(self, model: str) -> "Future[Any] | None":
        """Pool thread. A load that can't even begin becomes the answer's error: the question is kept all the same."""
        known = self._services.supervisor.snapshot(model)
        if known is not None and known.state == "ready":
            return None
        try:
            return self._services.load(model)
        except Exception as error:  # noqa: BLE001 - it is shown in the answer's place
            failed: Future[Any] = Future()
            failed.set_exception(error)
            return failed

    def _begun(self, turn: TurnView, started: Turn) -> None:
        turn.turn = started
        if turn.stopped:
            started.stop()

    def _not_begun(self, turn: TurnView, error: Exception) -> None:
        self._turns.pop(turn.tag, None)
        self._fail(error)
        self._tell_state()
        if turn.question is not None and not self._draft:
            self._draft = turn.question.text
        self.opened.emit(self.title, [], self._draft, [])
        self._reload()

    def stop(self) -> None:
        """Stop the answer of the open conversation; what is there is kept."""
        turn = self._turn_here()
        if turn is not None:
            turn.stopped = True
            if turn.turn is not None:
                turn.turn.stop()

    def _turn_here(self) -> TurnView | None:
        return next((t for t in self._turns.values() if t.conversation == self.chat and not t.over), None)

    # ---------------------------------------------------------------- events of running answers

    def _note(self, tag: int, event: object) -> None:
        """Any thread."""
        self._live.sink((tag, event))

    def _deliver(self, events: list[object]) -> None:
        by_turn: dict[int, list[object]] = {}
        for item in events:
            assert isinstance(item, tuple)
            by_turn.setdefault(item[0], []).append(item[1])
        for tag, found in by_turn.items():
            turn = self._turns.get(tag)
            if turn is not None:
                self._advance(turn, found)

    def _advance(self, turn: TurnView, events: list[object]) -> None:
        for event in events:
            if isinstance(event, TurnStarted):
                self._started(turn, event)
        deltas = [event for event in events if isinstance(event, Delta)]
        if deltas:
            self._grow(turn, deltas)
        for event in events:
            if isinstance(event, TurnEnded):
                self._ended(turn, event)
            elif isinstance(event, TurnUnsaved):
                self.failed.emit(errors.describe(event.error))

    def _started(self, turn: TurnView, event: TurnStarted) -> None:
        here = turn.conversation == self.chat
        if here and self.chat is None:
            self.chat, self._new_draft = event.conversation, ""
            self.title = turn.question.text.strip().splitlines()[0] if turn.question else ""
            self.title_changed.emit(self.title)
            self._list_timer.start()
        old_question, old = turn.question, turn.entry
        turn.start(event)
        if here:
            if old_question is not None and turn.question is not None:
                self._swap(old_question.key, turn.question)
            self._swap(old.key, turn.entry)

    def _swap(self, key: int, entry: Entry) -> None:
        self._entries = [entry if known.key == key else known for known in self._entries]
        self.replaced.emit(key, entry)

    def _grow(self, turn: TurnView, deltas: list[Delta]) -> None:
        before = turn.status
        text = turn.add(deltas)
        if turn.conversation != self.chat:
            return
        self.fed.emit(turn.entry, text)
        if turn.status != before:
            self.status.emit(turn.entry.key, turn.status)
        self._tell_context()

    def _ended(self, turn: TurnView, event: TurnEnded) -> None:
        snapshot = self._services.supervisor.snapshot(turn.entry.model)
        details = snapshot.error.details if snapshot is not None and snapshot.error is not None else ""
        turn.end(event, details)
        self._turns.pop(turn.tag, None)
        self.answered.emit(event.conversation, turn.entry)
        if not self._turns:
            self._live.stop()
        if turn.conversation == self.chat:
            self._entries = [turn.entry if e.key == turn.entry.key else e for e in self._entries]
            self.finished.emit(turn.entry.key, turn.entry)
            self._tell_state()
            self._run_quietly_update()

    def _run_quietly_update(self) -> None:
        """Fetch the stored messages behind what is shown: their versions are needed by the buttons."""
        chat = self.chat
        if chat is not None:
            self._run(lambda: self._store.messages(chat), partial(self._remember, chat))

    def _remember(self, chat: int, messages: Sequence[StoredMessage]) -> None:
        if chat == self.chat:
            self._messages = {message.id: message for message in messages}

    # ---------------------------------------------------------------- actions on messages

    def act(self, key: int, name: str) -> None:
        """Do what a button of message ``key`` says."""
        entry = self._entry(key)
        if entry is None:
            return
        if name == "copy":
            QGuiApplication.clipboard().setText(entry.text)
        elif name in {"regenerate", "retry"}:
            self._regenerate(entry)
        elif name == "continue":
            self._continue(entry)
        elif name == "load_again":
            self._continue(entry) if entry.text else self._regenerate(entry)
        elif name == "delete":
            self._delete(key)
        elif name in {"previous", "next"}:
            self._switch(key, -1 if name == "previous" else 1)

    def _entry(self, key: int) -> Entry | None:
        return next((entry for entry in self._entries if entry.key == key), None)

    def _delete(self, key: int) -> None:
        turn = self._turn_here()
        if turn is not None:
            self.stop()

        def undo() -> None:
            self._run(lambda: self._store.restore_message(key), lambda _none: self._reload())

        def done(_none: object) -> None:
            self._reload()
            self.undoable.emit(self.tr("Message deleted, with what follows it"), undo)

        self._run(lambda: self._store.delete_message(key), done)

    def _switch(self, key: int, step: int) -> None:
        message = self._messages.get(key)
        if message is None or self._turn_here() is not None:
            return
        wanted = message.version + step
        if 0 <= wanted < len(message.versions):
            target = message.versions[wanted]
            self._run(lambda: self._store.switch(target), lambda _none: self._reload())

    # ---------------------------------------------------------------- models

    def _load_models(self) -> None:
        self._run(self._services.library.records, self._show_models)

    def _show_models(self, records: Sequence[Any]) -> None:
        found = chat_models.choices(records, self._services.supervisor.snapshots())
        self._names = {choice.id: choice.name for choice in found}
        self.has_models = bool(found)
        if self.model not in self._names:
            self.model = self._first_model(found)
        self.models_changed.emit(found, self.model)

    def _first_model(self, found: Sequence[ModelChoice]) -> str:
        last = self._services.settings.value.general.last_model
        loaded = next((choice.id for choice in found if choice.state == "loaded"), "")
        usable = next((choice.id for choice in found if choice.state != "damaged"), "")
        return last if last in self._names else loaded or usable

    def choose_model(self, model: str) -> None:
        """Answer with this model from now on, and load it."""
        self._set_model(model)
        self._run(lambda: self._services.settings.set("general.last_model", model))
        self._run(lambda: self._services.load(model), self._watch_load)

    def _watch_load(self, future: "Future[InstanceChanged]") -> None:
        tasks.watch(future, None, self._fail, self)

    def _set_model(self, model: str) -> None:
        if model != self.model:
            self.model = model
            self._load_models()
            self._tell_context()

    def cancel_load(self) -> None:
        """Stop loading the chosen model."""
        self._services.supervisor.cancel_load(self.model)

    def _instance_changed(self, event: InstanceChanged) -> None:
        if event.id == self.model:
            loading = event.state in {"starting", "loading"}
            self.load_progress.emit(event.progress if loading else None)
            turn = self._turn_here()
            if loading and turn is not None and turn.entry.model == event.id and not turn.tokens:
                turn.status = loading_text(self._names.get(event.id, event.id), event.progress)
                self.status.emit(turn.entry.key, turn.status)
        if event.state in {"ready", "stopped", "failed", "loading"} and event.progress in {0.0, 1.0}:
            self._load_models()
            self._tell_context()

    def _options(self) -> TurnOptions:
        chat = self._services.settings.value.chat
        sampling = SamplingParams(
            temperature=chat.temperature, top_p=chat.top_p, max_tokens=chat.max_tokens or None
        )
        return TurnOptions(self.model, sampling=sampling, context_policy=chat.context_policy)

    # ---------------------------------------------------------------- context

    def _tell_context(self) -> None:
        self.context_changed.emit(self.context_use())
        if self._turn_here() is None:
            self._picture_timer.start()

    def _ask_picture(self) -> None:
        """Have the model count what fills its window, part by part; until then the last answer's counts are shown."""
        chat, model = self.chat, self.model
        known = self._services.supervisor.snapshot(model) if model else None
        if chat is None or known is None or known.state != "ready":
            return
        options = self._options()

        def begun(future: "Future[Picture]") -> None:
            tasks.watch(future, partial(self._show_picture, chat, model), self._not_counted, self)

        self._run(lambda: self.session.picture(chat, options), begun)

    def _show_picture(self, chat: int, model: str, picture: Picture) -> None:
        if (
            chat != self.chat
            or model != self.model
            or self._turn_here() is not None
            or picture.window is None
        ):
            return
        kept = [part for part in picture.parts if not part.dropped]
        system = sum(part.tokens for part in kept if part.role == "system")
        talk = [part.tokens for part in kept if part.role != "system"]
        self.context_changed.emit(ContextUse(system, sum(talk[:-2]), sum(talk[-2:]), picture.window))

    def context_use(self) -> ContextUse:
        """What fills the window of the open conversation, from what the engine counted last."""
        instance = self._services.supervisor.snapshot(self.model) if self.model else None
        limit = instance.n_ctx if instance is not None and instance.state == "ready" else None
        turn = self._turn_here()
        if turn is not None and turn.prompt_tokens:
            return ContextUse(history=turn.prompt_tokens, answer=turn.tokens, limit=limit)
        usage = next((e.usage for e in reversed(self._entries) if e.usage is not None), None)
        if usage is None:
            return ContextUse(limit=limit)
        return ContextUse(history=usage.prompt, answer=usage.completion, limit=limit)
