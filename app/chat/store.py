"""The chat store: conversations as trees of messages in one SQLite file that can't be lost.

Reads may be called from any thread. Writes go through one writer thread in whole transactions and return when they
are on the disk, or return a Future where it says so. Every change is published as ChatChanged: with a conversation
when its messages changed, with None when the list did. Deleting goes into a bin first.
"""

import contextlib
import secrets
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from app.chat import (
    store_journal,
    store_logprobs,
    store_rows,
    store_search,
    store_tree,
)
from app.chat.store_conversations import ConversationStore
from app.chat.store_journal import EVERY, OWNER, Journal
from app.chat.store_rows import to_json
from app.chat.store_search import SearchFilter
from app.chat.store_types import ContextMark, Conversation, Hit, NewAttachment, StoredMessage
from app.core.errors import DiskFullError, HearthError, ReadOnlyError, UsageError
from app.core.events import Bus, ChatChanged, ErrorInfo
from app.core.generate import Role, SamplingParams, Timings, TokenLogprob, ToolCall, Usage

if TYPE_CHECKING:
    from concurrent.futures import Future

    from app.chat.store_file import Work


EVERYWHERE = SearchFilter()
_FINISH = """
UPDATE message SET text = COALESCE(?, text), reasoning = COALESCE(?, reasoning), reason = ?, error = ?, usage = ?,
    timings = ?, seed = ?, tool_calls = COALESCE(?, tool_calls), finished_at = ?, thought = COALESCE(?, thought),
    state = 'done', owner = NULL
WHERE id = ? AND state = 'writing' RETURNING conversation
"""


class ChatStore(ConversationStore):
    """All conversations with their messages."""

    def __init__(self, path: Path | None, bus: Bus) -> None:
        super().__init__(path, bus)
        self._journal = Journal()
        self._unsaved: dict[int, Work[None]] = {}
        """Of answers that ended, what writes them, until it did."""

    def fork(self, message: int, title: str = "") -> Conversation:
        """A new conversation that begins with the way to ``message``, which it ends with."""
        source = self.conversation(self.message(message).conversation)
        now, key = time.time(), secrets.token_hex(8)

        def work(connection: sqlite3.Connection) -> int:
            sql = (
                "INSERT INTO conversation (key, title, auto_title, model, system, folder, colour, tags, sampling,"
                " policy, created_at, updated_at)"
                " SELECT ?, ?, 0, model, system, folder, colour, tags, sampling, policy, ?, ?"
                " FROM conversation WHERE id = ?"
            )
            made = connection.execute(sql, (key, title or source.title, now, now, source.id)).lastrowid
            store_tree.copy_path(connection, message, int(made or 0))
            return int(made or 0)

        return self.conversation(self._write(work, ChatChanged(None)))

    # ------------------------------------------------------------------------------------------ messages

    def messages(self, conversation: int) -> tuple[StoredMessage, ...]:
        """The active path, from the first message, answers being written with what they have so far."""

        def work(connection: sqlite3.Connection) -> list[StoredMessage]:
            ids = store_tree.path(connection, conversation)
            found = {m.id: m for m in self._load(connection, conversation, ids, begun)}
            return [found[number] for number in ids if number in found]

        begun = self._journal.all()
        return tuple(self._file.read(work, []))

    def tree(self, conversation: int) -> tuple[StoredMessage, ...]:
        """Every message with all alternatives, parents first; deleted ones and those below them left out."""

        def work(connection: sqlite3.Connection) -> list[StoredMessage]:
            sql = "SELECT id, parent FROM message WHERE conversation = ? AND deleted_at IS NULL ORDER BY id"
            kept: set[int] = set()
            for number, parent in connection.execute(sql, (conversation,)):
                if parent is None or parent in kept:
                    kept.add(number)
            return self._load(connection, conversation, sorted(kept), begun)

        begun = self._journal.all()
        return tuple(self._file.read(work, []))

    def message(self, number: int) -> StoredMessage:
        """One message. Raises UsageError."""

        def work(connection: sqlite3.Connection) -> StoredMessage:
            conversation, _ = store_tree.node(connection, number)
            return self._load(connection, conversation, [number], begun)[0]

        begun = self._journal.all()
        found = self._file.read(work, None)
        if found is None:
            raise UsageError(detail=f"There is no message {number}.")
        return found

    def _load(
        self,
        connection: sqlite3.Connection,
        conversation: int,
        ids: list[int],
        begun: dict[int, tuple[str, str]],
    ) -> list[StoredMessage]:
        """``begun`` are the answers in progress from before the read began: one that ends meanwhile is still in
        progress in what this read sees of the file, and no longer in the journal."""
        wanted = to_json([*ids])
        of = "IN (SELECT value FROM json_each(?))"
        rows = connection.execute(
            f"SELECT {store_rows.MESSAGE} FROM message WHERE id {of} ORDER BY id", (wanted,)
        )
        found = [store_rows.message(row) for row in rows]
        versions = _versions(connection, conversation, found)
        files = store_rows.attachments(
            connection.execute(
                f"SELECT {store_rows.ATTACHMENT} FROM attachment WHERE message {of}", (wanted,)
            )
        )
        return [
            self._with_progress(
                connection, replace(m, versions=versions[m.parent], attachments=files.get(m.id, ())), begun
            )
            for m in found
        ]

    def _with_progress(
        self, connection: sqlite3.Connection, message: StoredMessage, begun: dict[int, tuple[str, str]]
    ) -> StoredMessage:
        if message.state == "done":
            return message
        here = self._journal.so_far(message.id) or begun.get(message.id)
        if here is None:
            more = store_journal.in_file(connection, message.id)
            here = (message.text + more[0], message.reasoning + more[1])
        return replace(message, text=here[0], reasoning=here[1])

    def attachment_data(self, attachment: int) -> bytes:
        """The original bytes of an attachment."""
        sql = "SELECT data FROM attachment WHERE id = ?"
        row = self._file.read(lambda connection: connection.execute(sql, (attachment,)).fetchone(), None)
        return bytes(row[0]) if row else b""

    def leaf(self, conversation: int) -> int | None:
        """The last message of the active path, or None in an empty conversation."""
        return self._file.read(lambda connection: store_tree.leaf(connection, conversation), None)

    def append(
        self,
        conversation: int,
        parent: int | None,
        role: Role,
        text: str = "",
        *,
        reasoning: str = "",
        tool_calls: tuple[ToolCall, ...] = (),
        tool_call_id: str = "",
        name: str = "",
        model: str = "",
        quant: str = "",
        writing: bool = False,
        sampling: SamplingParams | None = None,
        attachments: Iterable[NewAttachment] = (),
        created_at: float | None = None,
    ) -> StoredMessage:
        """Add a message below ``parent`` (None: as a root) and show it. ``writing`` opens an answer for ``journal``,
        to be ended by ``finish``. Raises UsageError when the parent belongs elsewhere."""
        now = time.time() if created_at is None else created_at
        state, owner = ("writing", OWNER) if writing else ("done", None)
        columns = {
            "conversation": conversation, "parent": parent, "role": role, "text": text, "reasoning": reasoning,
            "tool_calls": to_json(tool_calls), "tool_call_id": tool_call_id, "name": name, "model": model,
            "quant": quant, "state": state, "owner": owner, "sampling": to_json(sampling), "created_at": now,
        }  # fmt: skip
        kept = tuple(attachments)

        def work(connection: sqlite3.Connection) -> int:
            if parent is not None and store_tree.node(connection, parent)[0] != conversation:
                raise UsageError(detail=f"The message {parent} belongs to another conversation.")
            number = _insert(connection, columns, kept)
            if writing:
                self._journal.begin(number, text, reasoning)
            store_tree.point(connection, conversation, parent, number)
            _touch(connection, conversation, now)
            return number

        return self.message(self._write(work, ChatChanged(conversation)))

    def journal(self, message: int, text: str = "", reasoning: str = "") -> None:
        """Add pieces to an answer being written. Returns at once; they are in the file within a quarter second."""
        if self._journal.add(message, text, reasoning):
            self._flush_later(message)

    def _flush_later(self, message: int) -> None:
        def flushed(count: tuple[int, int]) -> None:
            if self._journal.flushed(message, count):
                with contextlib.suppress(HearthError):  # it is being closed
                    self._flush_later(message)

        self._file.write_at_last(
            lambda connection: self._journal.flush(connection, message), flushed, durable=False, delay=EVERY
        )

    def finish(
        self,
        message: int,
        reason: str,
        usage: Usage | None = None,
        timings: Timings | None = None,
        *,
        seed: int | None = None,
        error: ErrorInfo | None = None,
        tool_calls: tuple[ToolCall, ...] = (),
        thought: float | None = None,
        logprobs: tuple[TokenLogprob, ...] = (),
    ) -> "Future[None]":
        """End an answer: its journalled text becomes the message. Does not wait; doing it twice changes nothing.
        Where there is no room the future says so, and the answer is written as soon as there is."""
        text, reasoning = self._journal.so_far(message) or (None, None)
        values = (
            text, reasoning, reason, to_json(error), to_json(usage), to_json(timings), seed, to_json(tool_calls),
            time.time(), thought, message,
        )  # fmt: skip

        def work(connection: sqlite3.Connection) -> None:
            row = connection.execute(_FINISH, values).fetchone()
            connection.execute("DELETE FROM journal WHERE message = ?", (message,))
            if row is not None:
                store_logprobs.keep(connection, message, logprobs)
                _touch(connection, row[0], time.time())
                changed.add(row[0])

        def written(_: None) -> None:
            self._unsaved.pop(message, None)
            self._journal.end(message)
            for conversation in changed:
                self._bus.publish(ChatChanged(conversation))

        changed: set[int] = set()
        self._unsaved[message] = work
        return self._file.write_at_last(work, written)

    def save_unsaved(self) -> None:
        """Wait until the answers that ended are written. Raises SaveDiskFullError or ReadOnlyError."""
        for message, work in list(self._unsaved.items()):
            try:
                self._file.write(work).result()
            except (DiskFullError, ReadOnlyError):
                raise
            except HearthError:  # its conversation is gone, or the file is damaged
                self._unsaved.pop(message, None)

    def reopen(self, message: int) -> StoredMessage:
        """Go on writing an answer that had ended. Raises UsageError when it is being written already."""
        found = self.message(message)
        if found.state == "writing":
            raise UsageError(detail="This answer is being written already.")

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE message SET state = 'writing', owner = ?, error = NULL WHERE id = ?",
                (OWNER, message),
            )
            connection.execute("DELETE FROM journal WHERE message = ?", (message,))
            self._journal.begin(message, found.text, found.reasoning)

        self._write(work, ChatChanged(found.conversation))
        return self.message(message)

    # ------------------------------------------------------------------------------------------ the tree

    def edit(self, message: int, text: str) -> StoredMessage:
        """Another version of a message, shown instead of it; the old one and what followed stay beside it."""
        old = self.message(message)
        columns = {
            "conversation": old.conversation, "parent": old.parent, "role": old.role, "text": text, "name": old.name,
            "created_at": time.time(),
        }  # fmt: skip

        def work(connection: sqlite3.Connection) -> int:
            number = _insert(connection, columns)
            connection.execute(
                "INSERT INTO attachment (message, kind, name, mime, text, bytes, data)"
                " SELECT ?, kind, name, mime, text, bytes, data FROM attachment WHERE message = ?",
                (number, message),
            )
            store_tree.point(connection, old.conversation, old.parent, number)
            _touch(connection, old.conversation, time.time())
            return number

        return self.message(self._write(work, ChatChanged(old.conversation)))

    def rewrite(self, message: int, text: str) -> None:
        """Change a message's text in place (a correction). Raises UsageError while it is being written."""
        found = self.message(message)
        if found.state == "writing":
            raise UsageError(detail="This answer is still being written.")
        sql = "UPDATE message SET text = ? WHERE id = ?"
        self._write(
            lambda connection: connection.execute(sql, (text, message)), ChatChanged(found.conversation)
        )

    def set_context(self, message: int, mark: ContextMark, summary: str | None = None) -> None:
        """Decide how a message goes into the model's window; ``summary`` None keeps the one that is there."""
        sql = "UPDATE message SET context = ?, summary = COALESCE(?, summary) WHERE id = ? RETURNING conversation"

        def work(connection: sqlite3.Connection) -> int:
            row = connection.execute(sql, (mark, summary, message)).fetchone()
            if row is None:
                raise UsageError(detail=f"There is no message {message}.")
            return int(row[0])

        self._bus.publish(ChatChanged(self._write(work)))

    def logprobs(self, message: int) -> tuple[TokenLogprob, ...]:
        """The tokens of an answer with their probabilities, when it was asked for with them."""
        return self._file.read(lambda connection: store_logprobs.read(connection, message), ())

    def switch(self, message: int) -> None:
        """Show this version, with what was last shown below it."""
        conversation = self._write(lambda connection: _show(connection, message))
        self._bus.publish(ChatChanged(conversation))

    def delete_message(self, message: int) -> None:
        """Delete a message and what is below it; ``restore_message`` undoes it for 30 days."""
        conversation = self._write(lambda connection: store_tree.remove(connection, message))
        self._bus.publish(ChatChanged(conversation))

    def restore_message(self, message: int) -> None:
        """Undo ``delete_message`` and show it again."""
        conversation = self._write(lambda connection: store_tree.restore(connection, message))
        self._bus.publish(ChatChanged(conversation))

    # -------------------------------------------------------------------------------------------- search

    def search(self, query: str, narrow: SearchFilter = EVERYWHERE, limit: int = 50) -> tuple[Hit, ...]:
        """Titles and messages that hold all the words, the last one perhaps only begun; best first."""
        return self._file.read(lambda connection: store_search.search(connection, query, narrow, limit), ())


def _insert(
    connection: sqlite3.Connection, columns: dict[str, Any], attachments: tuple[NewAttachment, ...] = ()
) -> int:
    marks = ", ".join("?" * len(columns))
    sql = f"INSERT INTO message ({', '.join(columns)}) VALUES ({marks})"
    number = int(connection.execute(sql, tuple(columns.values())).lastrowid or 0)
    connection.executemany(
        "INSERT INTO attachment (message, kind, name, mime, text, bytes, data) VALUES (?,?,?,?,?,?,?)",
        [
            (number, a.kind, a.name, a.mime, a.text, len(a.data) or len(a.text.encode()), a.data)
            for a in attachments
        ],
    )
    return number


def _touch(connection: sqlite3.Connection, conversation: int, now: float) -> None:
    sql = "UPDATE conversation SET updated_at = MAX(updated_at, ?) WHERE id = ?"
    if not connection.execute(sql, (now, conversation)).rowcount:
        raise UsageError(detail=f"There is no conversation {conversation}.")


def _show(connection: sqlite3.Connection, message: int) -> int:
    store_tree.show(connection, message)
    return store_tree.node(connection, message)[0]


def _versions(
    connection: sqlite3.Connection, conversation: int, messages: list[StoredMessage]
) -> dict[int | None, tuple[int, ...]]:
    """Alternatives by parent, for the parents of ``messages``."""
    if len(messages) == 1:
        parent = messages[0].parent
        return {parent: tuple(store_tree.siblings(connection, conversation, parent))}
    found: dict[int | None, list[int]] = {}
    sql = "SELECT parent, id FROM message WHERE conversation = ? AND deleted_at IS NULL ORDER BY id"
    for parent, number in connection.execute(sql, (conversation,)):
        found.setdefault(parent, []).append(number)
    return {parent: tuple(numbers) for parent, numbers in found.items()}
