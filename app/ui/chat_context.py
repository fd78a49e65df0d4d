"""What fills the model's window: counted by the model itself, pictured part by part, and changed by the reader."""

import logging
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct
from PySide6.QtCore import QObject, QTimer

from app.chat.fitting import Picture
from app.chat.store_types import ContextMark, Conversation, NewAttachment, StoredMessage
from app.core.generate import ContextPolicy
from app.core.pictures import measure
from app.ui import tasks
from app.ui.context_use import ContextUse

if TYPE_CHECKING:
    from concurrent.futures import Future

    from app.ui.chat_controller import ChatController

log = logging.getLogger(__name__)

_SIZE_MS = 250
_PICTURE_MS = 300
_LETTERS_A_TOKEN = 3.6
_PREVIEW = 160
_USUAL = 60
"""Tokens of a question nobody has typed yet, to say what it would push out."""


class WindowPart(Struct, frozen=True):
    """One message in the window, or left out of it. ``message`` 0 is the system prompt."""

    message: int
    role: str
    tokens: int
    preview: str
    mark: ContextMark = ""
    dropped: bool = False
    """The policy leaves it out now."""
    leaving: bool = False
    """The next question will push it out."""


class WindowPicture(Struct, frozen=True):
    """What fills the window of the open conversation."""

    parts: tuple[WindowPart, ...]
    window: int
    budget: int
    tokens: int
    policy: ContextPolicy
    over: bool = False


class ChatContext(QObject):
    """Counts what is typed and what is there. GUI thread; the counting happens in the worker."""

    def __init__(self, owner: "ChatController") -> None:
        super().__init__(owner)
        self._owner = owner
        self._to_count = ""
        self._pictures: list[NewAttachment] = []
        self._known: dict[tuple[str, tuple[int, int]], int] = {}
        """Tokens by model and by a picture's size in pixels."""
        self._typed = 0
        self._size_timer = QTimer(self, interval=_SIZE_MS, singleShot=True)
        self._size_timer.timeout.connect(self._count)
        self._picture_timer = QTimer(self, interval=_PICTURE_MS, singleShot=True)
        self._picture_timer.timeout.connect(self._ask_picture)

    def close(self) -> None:
        """Stop the timers."""
        self._size_timer.stop()
        self._picture_timer.stop()

    # ---------------------------------------------------------------- what is typed

    def size_up(self, text: str, files: Sequence[NewAttachment]) -> None:
        """Count what is about to be asked; the answer comes through ``sized``."""
        self._to_count = "\n".join([*(item.text for item in files), text])
        self._pictures = [item for item in files if item.kind == "image"]
        self._size_timer.start()

    def _count(self) -> None:
        text, owner = self._to_count, self._owner
        known = owner.services.supervisor.snapshot(owner.model)
        ready = known is not None and known.state == "ready"
        if self._pictures:
            self._count_pictures(sees=known is not None and known.sees and ready)
        pictures = sum(tokens or 0 for tokens in self._picture_tokens())
        if not text.strip():
            self._sized(pictures or None, bool(pictures))
            return
        if not ready:
            self._sized(max(1, round(len(text) / _LETTERS_A_TOKEN)), False)
            return

        def counted(tokens: Sequence[int]) -> None:
            if text == self._to_count:
                self._sized(len(tokens) + pictures, True)

        counting = owner.services.supervisor.tokenize(owner.model, text)
        tasks.watch(counting, counted, self._not_counted, self)

    def _count_pictures(self, *, sees: bool) -> None:
        """Ask the engine for what it does not know yet; the count is made again with the answer."""
        owner = self._owner
        for size in {_size(item) for item in self._pictures}:
            if sees and size is not None and (owner.model, size) not in self._known:
                keep = partial(self._keep, (owner.model, size))
                asking = owner.services.supervisor.measure_image(owner.model, *size)
                tasks.watch(asking, keep, self._not_counted, self)
        owner.pictures_sized.emit(self._picture_tokens() if sees else [None] * len(self._pictures))

    def _keep(self, key: tuple[str, tuple[int, int]], tokens: int) -> None:
        self._known[key] = tokens
        self._count()

    def _picture_tokens(self) -> list[int | None]:
        sizes = [_size(item) for item in self._pictures]
        return [self._known.get((self._owner.model, size)) if size else None for size in sizes]

    def _sized(self, tokens: int | None, exact: bool) -> None:
        self._owner.sized.emit(tokens, exact)
        if (tokens or 0) != self._typed:
            self._typed = tokens or 0
            self._picture_timer.start()

    def _not_counted(self, error: Exception) -> None:
        log.info("not counted: %s", error)

    # ---------------------------------------------------------------- what is there

    def tell(self) -> None:
        """Show what the engine counted last; the picture part by part follows."""
        self._owner.context_changed.emit(self.use())
        if self._owner.turns.here() is None:
            self._picture_timer.start()

    def use(self) -> ContextUse:
        """What fills the window of the open conversation, from what the engine counted last."""
        owner = self._owner
        instance = owner.services.supervisor.snapshot(owner.model) if owner.model else None
        limit = instance.n_ctx if instance is not None and instance.state == "ready" else None
        turn = owner.turns.here()
        ended = [entry.usage for entry in owner.entries if entry.usage is not None]
        if turn is not None and turn.prompt_tokens:
            prompt, written = turn.prompt_tokens, turn.tokens
        elif ended:
            last = ended.pop()
            prompt, written = last.prompt, last.completion
        else:
            return ContextUse(limit=limit)
        # What the answer before left in the window; the rest of the prompt is the question.
        earlier = min(prompt, ended[-1].prompt + ended[-1].completion) if ended else 0
        return ContextUse(history=earlier, answer=prompt - earlier + written, limit=limit)

    def _ask_picture(self) -> None:
        """Have the model count what fills its window; until then the last answer's counts are shown."""
        owner = self._owner
        chat, model = owner.chat, owner.model
        known = owner.services.supervisor.snapshot(model) if model else None
        if chat is None or known is None or known.state != "ready":
            owner.pictured.emit(None)
            return
        place, options, coming = owner.place, owner.how.options(), self._typed or _USUAL

        def work() -> "tuple[Conversation, Sequence[StoredMessage], Future[Picture]]":
            found, path = place.store.conversation(chat), place.store.messages(chat)
            return found, path, place.session.picture(chat, options, coming=coming)

        def begun(got: "tuple[Conversation, Sequence[StoredMessage], Future[Picture]]") -> None:
            found, path, counting = got
            show = partial(self._show_picture, found, path, model, options.context_policy)
            tasks.watch(counting, show, self._not_counted, self)

        owner.run(work, begun)

    def _show_picture(
        self,
        chat: Conversation,
        path: Sequence[StoredMessage],
        model: str,
        policy: ContextPolicy,
        picture: Picture,
    ) -> None:
        owner = self._owner
        if chat.id != owner.chat or model != owner.model or owner.turns.here() is not None:
            return
        if picture.window is None:
            return
        said = owner.session.in_window(chat, path)
        parts = _parts(chat, path, picture, said)
        budget = picture.budget or picture.window
        owner.pictured.emit(
            WindowPicture(parts, picture.window, budget, picture.tokens, policy, picture.over)
        )
        owner.context_changed.emit(window_use(said, picture))

    # ---------------------------------------------------------------- what the reader decides

    def mark(self, message: int, mark: ContextMark) -> None:
        """Keep a message in the window, leave it out, or neither."""
        store = self._owner.place.store
        self._owner.change(lambda: store.set_context(message, mark), lambda _none: self.tell())

    def summarise(self, message: int) -> None:
        """Have the model shorten a message; its summary then stands for it."""
        owner = self._owner
        place, model = owner.place, owner.model

        def begun(writing: "Future[str]") -> None:
            tasks.watch(writing, self._summarised, owner.report, self)

        owner.said.emit(self.tr("The model shortens this message…"), "")
        owner.run(lambda: place.session.summarise(message, model), begun)

    def _summarised(self, summary: str) -> None:
        if summary:
            self._owner.said.emit("", "")
        else:
            words = self.tr("The model gave no shorter text. The message stays as it is.")
            self._owner.said.emit(words, "warn")
        self.tell()


def _size(item: NewAttachment) -> tuple[int, int] | None:
    try:
        found = measure(item.data)
    except ValueError:
        return None
    return found.width, found.height


def window_use(said: Sequence[StoredMessage], picture: Picture) -> ContextUse:
    """The picture summed up by what the tokens are for. ``said``: the messages that the parts were counted from."""
    sums = {"system": 0, "documents": 0, "tools": 0}
    talk: list[int] = []
    for message, part in zip(said, picture.parts, strict=False):
        if part.dropped:
            continue
        documents = _of_documents(message, part.tokens)
        sums["documents"] += documents
        if part.role == "system":
            sums["system"] += part.tokens
        elif part.role == "tool" or (message.tool_calls and not message.text):
            sums["tools"] += part.tokens
        else:
            talk.append(part.tokens - documents)
    return ContextUse(
        sums["system"],
        sum(talk[:-2]),
        sum(talk[-2:]),
        picture.window,
        documents=sums["documents"],
        tools=sums["tools"],
        reused=_reused(said, picture, sums["system"]),
    )


def _of_documents(message: StoredMessage, tokens: int) -> int:
    """The share of a message's tokens that its attached texts take, by their letters."""
    attached = sum(len(attachment.text) for attachment in message.attachments)
    return tokens * attached // (attached + len(message.text)) if attached else 0


def _reused(said: Sequence[StoredMessage], picture: Picture, system: int) -> int | None:
    """Tokens that the next turn finds in the cache: what the last answer read and wrote; only the system prompt once
    the policy drops what follows it."""
    usage = next((message.usage for message in reversed(said) if message.usage is not None), None)
    if usage is None:
        return None
    dropped = bool(picture.leaving) or any(part.dropped for part in picture.parts)
    return system if dropped else min(picture.tokens, usage.prompt + usage.completion)


def _parts(
    chat: Conversation,
    path: Sequence[StoredMessage],
    picture: Picture,
    said: Sequence[StoredMessage],
) -> tuple[WindowPart, ...]:
    """Every message of the path in order, those that are left out by hand too."""
    counted = {message.id: part for message, part in zip(said, picture.parts, strict=False)}
    leaving = {said[place].id for place in picture.leaving if place < len(said)}
    system = [StoredMessage(0, chat.id, None, "system", chat.system)] if chat.system else []
    found = []
    for message in (*system, *path):
        part = counted.get(message.id)
        if part is None and message.context != "dropped":
            continue  # an answer that says nothing
        found.append(
            WindowPart(
                message.id,
                message.role,
                part.tokens if part else max(1, round(len(message.text) / _LETTERS_A_TOKEN)),
                _preview(message),
                message.context,
                part.dropped if part else False,
                message.id in leaving,
            )
        )
    return tuple(found)


def _preview(message: StoredMessage) -> str:
    text = message.summary if message.context == "summary" else message.text
    return " ".join(text.split())[:_PREVIEW]
