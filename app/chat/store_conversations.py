"""The chat file's conversations: their list, their fields, the bin. ``store.ChatStore`` adds the messages."""

import secrets
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from app.chat import store_drafts, store_journal, store_rows, store_salvage, store_schema
from app.chat.store_file import StoreFile
from app.chat.store_rows import to_json
from app.chat.store_salvage import Salvaged
from app.chat.store_types import Conversation, Draft, NewAttachment
from app.core.errors import HearthError, StoreDamagedError, UsageError
from app.core.events import Bus, ChatChanged, ChatsPurged
from app.core.generate import ContextPolicy

if TYPE_CHECKING:
    from concurrent.futures import Future

Result = TypeVar("Result")
BIN_DAYS = 30
MAINTAIN_AFTER = 30.0  # seconds after the first write
_EDITABLE = frozenset(
    {"title", "auto_title", "model", "system", "folder", "pinned", "colour", "tags", "sampling"}
)


class ConversationStore:
    """All conversations, without what is in them. Constructing touches nothing; ``path`` None keeps them in memory."""

    def __init__(self, path: Path | None, bus: Bus) -> None:
        self._bus = bus
        self._file = StoreFile(path, _on_open, self.announce)
        self._maintained = False

    @property
    def problem(self) -> HearthError | None:
        """Why nothing can be written (StoreNewerError, StoreDamagedError), or None. Opens the file."""
        self._file.open()
        return self._file.problem

    def close(self) -> None:
        """Finish every write and close the file. Idempotent."""
        self._file.close()

    def repair(self) -> Salvaged:
        """After StoreDamagedError: go on with a new file that holds all that can be read; the damaged one is kept
        beside it. Raises StoreDamagedError when nothing can be read, UsageError when the file is sound."""
        if not isinstance(self.problem, StoreDamagedError) or self._file.path is None:
            raise UsageError(detail="The chats are not damaged.")
        self._file.close()
        try:
            return store_salvage.repair(self._file.path)
        finally:
            self._file = StoreFile(self._file.path, _on_open, self.announce)
            self.announce()

    def backup(self, path: Path) -> None:
        """Copy the whole file, writes of other threads included or not as a whole. Raises as a write does."""
        work = store_schema.copy_to(path)
        self._file.read(work, None)

    # --------------------------------------------------------------------------------- conversations

    def conversations(self, *, deleted: bool = False) -> tuple[Conversation, ...]:
        """Pinned first, then by last change; or those in the bin."""
        where = (
            "IS NOT NULL ORDER BY deleted_at DESC"
            if deleted
            else "IS NULL ORDER BY pinned DESC, updated_at DESC"
        )
        sql = f"SELECT {store_rows.CONVERSATION} FROM conversation WHERE deleted_at {where}, id DESC"
        nothing: list[tuple[Any, ...]] = []
        rows = self._file.read(lambda connection: connection.execute(sql).fetchall(), nothing)
        return tuple(map(store_rows.conversation, rows))

    def conversation(self, number: int) -> Conversation:
        """One conversation, in the bin or not. Raises UsageError."""
        sql = f"SELECT {store_rows.CONVERSATION} FROM conversation WHERE id = ?"
        row = self._file.read(lambda connection: connection.execute(sql, (number,)).fetchone(), None)
        if row is None:
            raise UsageError(detail=f"There is no conversation {number}.")
        return store_rows.conversation(row)

    def create(self, title: str = "", model: str = "", system: str = "", folder: str = "") -> Conversation:
        """Start an empty conversation."""
        now, key = time.time(), secrets.token_hex(8)
        values = (key, title, not title, model, system, folder, now, now)
        sql = (
            "INSERT INTO conversation (key, title, auto_title, model, system, folder, created_at, updated_at)"
            " VALUES (?,?,?,?,?,?,?,?)"
        )
        number = self._write(lambda connection: connection.execute(sql, values).lastrowid, ChatChanged(None))
        return self.conversation(int(number or 0))

    def rename(self, number: int, title: str, *, auto: bool = False) -> None:
        """Give a title; an automatic one never replaces one that a person gave."""
        self._write(_renamed(number, title, auto), ChatChanged(None))

    def rename_later(self, number: int, title: str) -> "Future[None]":
        """Give an automatic title without waiting for the disk."""

        def written(done: "Future[None]") -> None:
            if done.exception() is None:
                self.announce()

        future = self._file.write(_renamed(number, title, auto=True))
        future.add_done_callback(written)
        return future

    def update(self, number: int, **changes: object) -> None:
        """Change fields: title, model, system, folder, pinned, colour, tags, sampling. Raises UsageError."""
        unknown = changes.keys() - _EDITABLE
        if unknown or not changes:
            raise UsageError(detail=f"A conversation has no {', '.join(sorted(unknown)) or 'such field'}.")
        values = [_column(name, value) for name, value in changes.items()]
        sql = f"UPDATE conversation SET {', '.join(f'{name} = ?' for name in changes)} WHERE id = ?"
        self._write(lambda connection: connection.execute(sql, (*values, number)), ChatChanged(None))

    def set_policy(self, number: int, policy: "ContextPolicy | None") -> None:
        """What happens when this conversation no longer fits into the model's context; None: as the setting
        ``chat.context_policy`` says. ``ChatSession`` follows it from the next turn on. Raises UsageError."""
        if policy not in (None, *get_args(ContextPolicy)):
            raise UsageError(detail=f"There is no context policy {policy}.")
        sql = "UPDATE conversation SET policy = ? WHERE id = ?"
        self._write(lambda connection: connection.execute(sql, (policy or "", number)), ChatChanged(None))

    def save_draft(self, number: int, text: str) -> "Future[None]":
        """Keep what is typed but not sent; does not wait for the disk."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE conversation SET draft = ? WHERE id = ?", (text, number))

        return self._file.write(work, durable=False)

    def save_new_draft(self, place: int, draft: Draft) -> "Future[None]":
        """The same for a chat in which nothing was asked yet, with how it will be asked, but without its files. Several
        may be begun; ``place`` (from 1) tells them apart."""
        return self._file.write(
            lambda connection: store_drafts.keep_new(connection, place, draft), durable=False
        )

    def save_draft_files(
        self, number: int | None, files: tuple[NewAttachment, ...], place: int = 0
    ) -> "Future[None]":
        """Keep what is attached to the draft of a conversation, or with ``number`` None of the new one at ``place``."""
        return self._file.write(
            lambda connection: store_drafts.keep_files(connection, number, place, files), durable=False
        )

    def draft_files(self, number: int) -> tuple[NewAttachment, ...]:
        """What is attached to a conversation's draft."""
        return self._file.read(lambda connection: store_drafts.files(connection, number), ())

    def new_drafts(self) -> dict[int, Draft]:
        """The drafts of chats in which nothing was asked yet, by their place."""
        return self._file.read(store_drafts.new, {})

    def delete(self, number: int) -> None:
        """Put into the bin; ``restore`` undoes it."""
        self._set_deleted(number, time.time())

    def restore(self, number: int) -> None:
        """Take out of the bin."""
        self._set_deleted(number, None)

    def _set_deleted(self, number: int, at: float | None) -> None:
        sql = "UPDATE conversation SET deleted_at = ? WHERE id = ?"
        self._write(lambda connection: connection.execute(sql, (at, number)), ChatChanged(None))

    def purge(self, number: int | None = None, *, older_than: float | None = None) -> int:
        """Delete for good: one conversation, or what has been in the bin for more than ``older_than`` seconds (by
        default 30 days), deleted messages included. Returns how many conversations went."""

        def work(connection: sqlite3.Connection) -> tuple[str, ...]:
            if number is not None:
                gone = connection.execute("DELETE FROM conversation WHERE id = ? RETURNING key", (number,))
                return tuple(key for (key,) in gone)
            return _empty_bin(connection, BIN_DAYS * 86400 if older_than is None else older_than)

        keys = self._write(work, ChatChanged(None))
        self._bus.publish(ChatsPurged(keys))
        return len(keys)

    def _maintain(self, connection: sqlite3.Connection) -> None:
        """Once in a while, when there is time: empty the bin of what is old."""
        if not self._file.closing:
            keys = _empty_bin(connection, BIN_DAYS * 86400)
            connection.execute("PRAGMA optimize")
            if keys:
                self._bus.publish(ChatsPurged(keys))

    # ------------------------------------------------------------------------------------------ writing

    def transaction(self, work: "Callable[[sqlite3.Connection], Result]") -> Result:
        """Run a write of one's own whole (imports); ``announce`` it afterwards."""
        return self._write(work)

    def announce(self) -> None:
        """Tell that the list of conversations changed."""
        self._bus.publish(ChatChanged(None))

    def _write(
        self, work: "Callable[[sqlite3.Connection], Result]", changed: ChatChanged | None = None
    ) -> Result:
        result = self._file.write(work).result()
        if not self._maintained:
            self._maintained = True
            self._file.write(self._maintain, durable=False, delay=MAINTAIN_AFTER)
        if changed is not None:
            self._bus.publish(changed)
        return result


def _on_open(connection: sqlite3.Connection) -> None:
    store_journal.recover(connection)


def _empty_bin(connection: sqlite3.Connection, older_than: float) -> tuple[str, ...]:
    """Keys of the conversations that went."""
    limit = time.time() - older_than
    connection.execute("DELETE FROM message WHERE deleted_at <= ?", (limit,))
    gone = connection.execute("DELETE FROM conversation WHERE deleted_at <= ? RETURNING key", (limit,))
    return tuple(key for (key,) in gone)


def _renamed(number: int, title: str, auto: bool) -> Callable[[sqlite3.Connection], None]:
    sql = "UPDATE conversation SET title = ?, auto_title = ? WHERE id = ?" + (
        " AND auto_title" if auto else ""
    )

    def work(connection: sqlite3.Connection) -> None:
        connection.execute(sql, (title, auto, number))

    return work


def _column(name: str, value: object) -> object:
    if name in {"tags", "sampling"}:
        return to_json(value) or ("[]" if name == "tags" else None)
    return value
