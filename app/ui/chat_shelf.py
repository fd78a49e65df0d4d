"""The list of conversations: searched and filtered, named, pinned, put into folders, tagged, coloured, thrown away and
taken back, brought in from other programs. Everything that touches the disk runs on the task pool.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from PySide6.QtCore import QObject, QTimer

from app.chat.store_search import SearchFilter
from app.chat.store_types import Conversation, Hit
from app.core.errors import HearthError
from app.ui.chat_rows import ChatRow

if TYPE_CHECKING:
    from app.ui.chat_controller import ChatController

_LIST_MS = 120
_BEFORE = 14
"""Letters of a text shown before what was found in it."""
_MARKS = str.maketrans("", "", "*`#|_")


class Narrow(Struct, frozen=True):
    """What the list is narrowed to; empty fields don't. ``since`` is seconds since the epoch."""

    model: str = ""
    folder: str = ""
    tag: str = ""
    since: float | None = None
    bin: bool = False

    def takes(self, chat: Conversation) -> bool:
        """Whether a conversation is listed."""
        return (
            (not self.model or chat.model == self.model)
            and (not self.folder or chat.folder == self.folder)
            and (not self.tag or self.tag in chat.tags)
            and (self.since is None or chat.updated_at >= self.since)
        )


class Imported(Struct, frozen=True):
    """What came of an import: the new conversations, their messages, and what could not be read, in words."""

    chats: tuple[int, ...] = ()
    messages: int = 0
    problems: tuple[str, ...] = ()


class ChatShelf(QObject):
    """All conversations of the chat file. ``known`` are those that were listed last, the bin's apart."""

    def __init__(self, owner: "ChatController") -> None:
        super().__init__(owner)
        self._owner = owner
        self._store = self.store = owner.services.chats
        self._query, self.narrow = "", Narrow()
        self._hits: dict[int, int] = {}
        self.known: tuple[Conversation, ...] = ()
        self._timer = QTimer(self, interval=_LIST_MS, singleShot=True)
        self._timer.timeout.connect(self.load)

    def close(self) -> None:
        """Stop the timer."""
        self._timer.stop()

    def load_soon(self) -> None:
        """The list has changed; several changes at once are one."""
        self._timer.start()

    def load(self) -> None:
        """Fetch what is to be listed."""
        query, narrow = self._query, self.narrow

        def work() -> tuple[tuple[Conversation, ...], Sequence[Conversation], Sequence[Hit]]:
            known = self._store.conversations()
            if narrow.bin:
                return known, self._store.conversations(deleted=True), ()
            words = SearchFilter(narrow.model, narrow.folder, since=narrow.since)
            return known, known, self._store.search(query, words) if query else ()

        self._owner.run(work, partial(self._show, query, narrow), self)

    def _show(
        self,
        query: str,
        narrow: Narrow,
        found: tuple[tuple[Conversation, ...], Sequence[Conversation], Sequence[Hit]],
    ) -> None:
        self.known, listed, hits = found
        self._owner.retitle(self.known)
        if query != self._query or narrow != self.narrow:
            return
        if query and not narrow.bin:
            rows = self._hit_rows(hits)
        else:
            rows = [row_of(chat) for chat in listed if narrow.bin or narrow.takes(chat)]
        self._owner.chats_changed.emit(rows, self._owner.kept_chat)

    def _hit_rows(self, hits: Sequence[Hit]) -> list[ChatRow]:
        by_id = {chat.id: chat for chat in self.known}
        rows: dict[int, ChatRow] = {}
        self._hits = {}
        for hit in hits:
            chat = by_id.get(hit.conversation)
            if chat is None or (self.narrow.tag and self.narrow.tag not in chat.tags):
                continue
            if hit.message is not None:
                self._hits.setdefault(hit.conversation, hit.message)
            snippet = _short(hit) if hit.message is not None else ""
            plain = msgspec.structs.replace(
                row_of(chat), snippet=snippet, changed_at=hit.created_at, pinned=False, folder=""
            )
            rows.setdefault(hit.conversation, plain)
        return list(rows.values())

    def search(self, query: str) -> None:
        """List what holds these words; empty: everything."""
        self._query = query.strip()
        self._timer.start()

    def narrow_to(self, narrow: Narrow) -> None:
        """List only these."""
        self.narrow = narrow
        self.load()

    def hit_in(self, chat: int | None) -> int | None:
        """The message the search that is on found in a conversation."""
        return self._hits.get(chat) if self._query and chat is not None else None

    @property
    def folders(self) -> list[str]:
        """Every folder in use."""
        return sorted({chat.folder for chat in self.known if chat.folder}, key=str.casefold)

    @property
    def tags(self) -> list[str]:
        """Every tag in use."""
        return sorted({tag for chat in self.known for tag in chat.tags}, key=str.casefold)

    @property
    def models(self) -> list[str]:
        """Every model that conversations are held with."""
        return sorted({chat.model for chat in self.known if chat.model}, key=str.casefold)

    # ---------------------------------------------------------------- changes

    def rename(self, chat: int, title: str) -> None:
        """Give a conversation a title."""
        self._owner.change(lambda: self._store.rename(chat, title))

    def change(self, chat: int, **changes: object) -> None:
        """Pin it, put it into a folder, tag it, colour it: the fields of ``ChatStore.update``."""
        self._owner.change(lambda: self._store.update(chat, **changes))

    def rename_folder(self, old: str, new: str) -> None:
        """Another name for a folder; an empty one takes its conversations out."""
        wanted = [chat.id for chat in self.known if chat.folder == old]
        words = self.tr("Folder renamed") if new.strip() else self.tr("Folder dissolved")

        def put(folder: str) -> None:
            for chat in wanted:
                self._store.update(chat, folder=folder)

        def undo() -> None:
            self._owner.change(lambda: put(old))

        def done(_none: object) -> None:
            if wanted and new.strip() != old:
                self._owner.undoable.emit(words, undo)

        self._owner.change(lambda: put(new.strip()), done)

    def delete(self, chat: int) -> None:
        """Put a conversation into the bin; it can be taken back."""
        owner = self._owner
        owner.session.stop(chat)
        if chat == owner.kept_chat:
            owner.open(None)

        def undo() -> None:
            owner.change(lambda: self._store.restore(chat), lambda _none: owner.open(chat))

        owner.change(
            lambda: self._store.delete(chat), lambda _none: owner.undoable.emit(self.tr("Chat deleted"), undo)
        )

    def restore(self, chat: int) -> None:
        """Take a conversation out of the bin."""
        self._owner.change(lambda: self._store.restore(chat))

    def purge(self, chat: int | None) -> None:
        """Delete for good: one of the bin, or all of it. The page has asked."""
        store = self._store
        self._owner.change(lambda: store.purge(chat) if chat is not None else store.purge(older_than=0))

    # ---------------------------------------------------------------- from other programs

    def bring_in(self, paths: Sequence[Path]) -> None:
        """Import chats from files and folders; the summary comes through ``imported``."""
        self._owner.run(partial(_import, self._store, tuple(paths)), self._brought_in)

    def _brought_in(self, result: Imported) -> None:
        owner, chats = self._owner, result.chats

        def take_back() -> None:
            for chat in chats:
                self._store.delete(chat)

        def undo() -> None:
            owner.change(take_back)

        owner.imported.emit(result)
        if chats:
            count = len(chats)
            owner.undoable.emit(self.tr("%n chat(s) imported", "", count), undo)


def row_of(chat: Conversation) -> ChatRow:
    """A conversation as the list shows it."""
    at = chat.deleted_at or chat.updated_at
    return ChatRow(
        chat.id,
        chat.title,
        at,
        chat.pinned,
        folder=chat.folder,
        colour=chat.colour,
        tags=chat.tags,
        binned=chat.deleted_at is not None,
    )


def _import(store: Any, paths: Sequence[Path]) -> Imported:
    from app.chat import transfer  # noqa: PLC0415 - only when something is imported

    chats: list[int] = []
    messages, problems = 0, []
    for path in paths:
        try:
            found = transfer.read(path)
            chats += [made.id for made in transfer.add(store, found)]
            messages += sum(len(chat.messages) for chat in found)
        except HearthError as error:
            problems.append(error.message)
    return Imported(tuple(chats), messages, tuple(problems))


def _short(hit: Hit) -> str:
    """What was found and what follows, as a narrow row has room for it, without markdown's marks."""
    first = hit.marks[0][0] if hit.marks else 0
    start = hit.snippet.find(" ", first - _BEFORE, first) + 1 if first > _BEFORE else 0
    words = hit.snippet[start:].translate(_MARKS)
    return ("…" if start else "") + " ".join(words.split())
