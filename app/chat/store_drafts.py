"""Drafts that need rows of their own: of chats in which nothing was asked yet, and the files attached to any draft."""

import sqlite3

from msgspec.structs import replace

from app.chat.store_types import Draft, NewAttachment

_PUT = "INSERT INTO draft_file (conversation, place, kind, name, mime, text, data) VALUES (?,?,?,?,?,?,?)"
_TAKE = (
    "SELECT name, kind, mime, text, data FROM draft_file WHERE conversation IS ? AND place = ? ORDER BY id"
)


def keep_new(connection: sqlite3.Connection, place: int, draft: Draft) -> None:
    """Replace the new chat's draft at ``place``, all but its files; nothing is kept of an empty one."""
    values = (place, draft.text, draft.system, draft.policy or "")
    if draft.text or draft.system is not None or draft.policy is not None:
        sql = "INSERT OR REPLACE INTO new_draft (id, text, system, policy) VALUES (?, ?, ?, ?)"
        connection.execute(sql, values)
    else:
        connection.execute("DELETE FROM new_draft WHERE id = ?", (place,))


def keep_files(
    connection: sqlite3.Connection, conversation: int | None, place: int, attached: tuple[NewAttachment, ...]
) -> None:
    """Replace what is attached to the draft of a conversation, or (None) of the new chat at ``place``."""
    connection.execute("DELETE FROM draft_file WHERE conversation IS ? AND place = ?", (conversation, place))
    rows = [(conversation, place, a.kind, a.name, a.mime, a.text, a.data) for a in attached]
    connection.executemany(_PUT, rows)


def files(
    connection: sqlite3.Connection, conversation: int | None, place: int = 0
) -> tuple[NewAttachment, ...]:
    """What is attached to a draft, in its order."""
    return tuple(NewAttachment(*row) for row in connection.execute(_TAKE, (conversation, place)))


def new(connection: sqlite3.Connection) -> dict[int, Draft]:
    """Every draft of a new chat, by its place; those of files alone, too."""
    rows = connection.execute("SELECT id, text, system, policy FROM new_draft").fetchall()
    known = {place: Draft(text, (), system, policy or None) for place, text, system, policy in rows}
    places = connection.execute("SELECT DISTINCT place FROM draft_file WHERE conversation IS NULL").fetchall()
    wanted = sorted({*known, *(place for (place,) in places)})
    return {
        place: replace(known.get(place, Draft()), files=files(connection, None, place)) for place in wanted
    }
