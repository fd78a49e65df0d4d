"""A conversation as a tree: each message has a parent and remembers which child is shown below it.

The active path runs from the conversation's active root along active children. Alternatives are messages with the
same parent. Everything here runs inside one transaction of the writer.
"""

import sqlite3
import time
from typing import Any

from app.core.errors import UsageError

_PATH = """
WITH RECURSIVE path (id, depth) AS (
    SELECT active_root, 0 FROM conversation WHERE id = ? AND active_root IS NOT NULL
    UNION ALL
    SELECT m.active_child, path.depth + 1 FROM path JOIN message AS m ON m.id = path.id
    WHERE m.active_child IS NOT NULL
)
SELECT id FROM path ORDER BY depth
"""


def path(connection: sqlite3.Connection, conversation: int) -> list[int]:
    """Ids of the active path, from the root."""
    return [row[0] for row in connection.execute(_PATH, (conversation,))]


def leaf(connection: sqlite3.Connection, conversation: int) -> int | None:
    """The last message of the active path."""
    ids = path(connection, conversation)
    return ids[-1] if ids else None


def node(connection: sqlite3.Connection, message: int) -> tuple[int, int | None]:
    """Conversation and parent of a message that is there. Raises UsageError."""
    row = connection.execute(
        "SELECT conversation, parent FROM message WHERE id = ? AND deleted_at IS NULL", (message,)
    ).fetchone()
    if row is None:
        raise UsageError(detail=f"There is no message {message}.")
    return row[0], row[1]


def siblings(connection: sqlite3.Connection, conversation: int, parent: int | None) -> list[int]:
    """Alternatives below a parent, oldest first."""
    sql = "SELECT id FROM message WHERE conversation = ? AND parent IS ? AND deleted_at IS NULL ORDER BY id"
    return [row[0] for row in connection.execute(sql, (conversation, parent))]


def show(connection: sqlite3.Connection, message: int) -> None:
    """Put a message and all above it on the active path; what is below it stays as it was chosen."""
    current: int | None = message
    while current is not None:
        conversation, parent = node(connection, current)
        point(connection, conversation, parent, current)
        current = parent


def point(connection: sqlite3.Connection, conversation: int, parent: int | None, child: int | None) -> None:
    """Choose which child is shown below a parent (or as the root)."""
    if parent is None:
        connection.execute("UPDATE conversation SET active_root = ? WHERE id = ?", (child, conversation))
    else:
        connection.execute("UPDATE message SET active_child = ? WHERE id = ?", (child, parent))


def remove(connection: sqlite3.Connection, message: int) -> int:
    """Mark a message, and so all below it, as deleted; the nearest alternative takes its place. Returns the
    conversation."""
    conversation, parent = node(connection, message)
    others = siblings(connection, conversation, parent)
    at = others.index(message)
    connection.execute("UPDATE message SET deleted_at = ? WHERE id = ?", (time.time(), message))
    shown = _shown(connection, conversation, parent)
    if shown == message:
        rest = others[:at] + others[at + 1 :]
        point(connection, conversation, parent, rest[max(at - 1, 0)] if rest else None)
    return conversation


def _shown(connection: sqlite3.Connection, conversation: int, parent: int | None) -> int | None:
    sql = "SELECT active_root FROM conversation WHERE id = ?" if parent is None else (
        "SELECT active_child FROM message WHERE id = ?"
    )  # fmt: skip
    row = connection.execute(sql, (conversation if parent is None else parent,)).fetchone()
    return row[0] if row else None


def restore(connection: sqlite3.Connection, message: int) -> int:
    """Undo ``remove`` and show the message again. Returns the conversation. Raises UsageError when it is gone."""
    changed = connection.execute("UPDATE message SET deleted_at = NULL WHERE id = ?", (message,)).rowcount
    if not changed:
        raise UsageError(detail=f"There is no message {message}.")
    conversation, parent = node(connection, message)
    if parent is None or _is_there(connection, parent):
        show(connection, message)
    return conversation


def _is_there(connection: sqlite3.Connection, message: int) -> bool:
    current: int | None = message
    while current is not None:
        row = connection.execute("SELECT parent, deleted_at FROM message WHERE id = ?", (current,)).fetchone()
        if row is None or row[1] is not None:
            return False
        current = row[0]
    return True


def copy_path(connection: sqlite3.Connection, message: int, conversation: int) -> None:
    """Copy the way from the root to a message into another (empty) conversation, attachments too."""
    chain: list[int] = []
    current: int | None = message
    while current is not None:
        chain.append(current)
        current = node(connection, current)[1]
    parent: int | None = None
    for source in reversed(chain):
        parent = _copy(connection, source, conversation, parent)


def _copy(connection: sqlite3.Connection, source: int, conversation: int, parent: int | None) -> int:
    columns = (
        "role, text, reasoning, tool_calls, tool_call_id, name, model, quant, reason, error, usage, timings, seed,"
        " sampling, created_at, finished_at, context, summary, thought"
    )
    sql = f"INSERT INTO message (conversation, parent, {columns}) SELECT ?, ?, {columns} FROM message WHERE id = ?"
    copy = _id(connection.execute(sql, (conversation, parent, source)))
    connection.execute(
        "INSERT INTO attachment (message, kind, name, mime, text, bytes, data)"
        " SELECT ?, kind, name, mime, text, bytes, data FROM attachment WHERE message = ?",
        (copy, source),
    )
    point(connection, conversation, parent, copy)
    return copy


def _id(cursor: sqlite3.Cursor) -> int:
    number: Any = cursor.lastrowid
    return int(number)
