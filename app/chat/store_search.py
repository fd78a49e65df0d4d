"""Full-text search over messages and titles, without regard to case, diacritics or the stroke of đ."""

import re
import sqlite3
import unicodedata
from typing import Any

from msgspec import Struct

from app.chat.store_types import Hit

_WORD = re.compile(r"\w+", re.UNICODE)
_START, _END = "\x02", "\x03"
_TOKENS = 14  # words of a snippet


class SearchFilter(Struct, frozen=True):
    """Narrows a search; empty fields don't. Times are seconds since the epoch."""

    model: str = ""
    folder: str = ""
    conversation: int | None = None
    since: float | None = None
    until: float | None = None


def fold(text: str) -> str:
    """Without case, diacritics and strokes: ``Đường phố`` becomes ``duong pho``."""
    plain = unicodedata.normalize("NFD", text.casefold()).replace("đ", "d")
    return "".join(letter for letter in plain if not unicodedata.combining(letter))


def match_expression(query: str) -> str:
    """The user's words for FTS5's MATCH: all must be there, the last may be a beginning. Every word is quoted, so
    that nothing a user types is an operator. Empty when there are no words."""
    words = _WORD.findall(unicodedata.normalize("NFC", query).replace("đ", "d").replace("Đ", "D"))
    quoted = [f'"{word}"' for word in words]
    return " ".join(quoted) + ("*" if quoted and not query[-1:].isspace() else "")


def search(connection: sqlite3.Connection, query: str, narrow: SearchFilter, limit: int) -> tuple[Hit, ...]:
    """The best hits: titles first, then messages by rank."""
    expression = match_expression(query)
    if not expression:
        return ()
    titles = _titles(connection, query, narrow, limit)
    return (*titles, *_messages(connection, expression, narrow, limit))


def _conditions(narrow: SearchFilter, table: str, time: str) -> tuple[str, list[Any]]:
    parts = ["c.deleted_at IS NULL"]
    values: list[Any] = []
    wanted = [
        (f"{table}.model = ?", narrow.model or None),
        ("c.folder = ?", narrow.folder or None),
        ("c.id = ?", narrow.conversation),
        (f"{time} >= ?", narrow.since),
        (f"{time} < ?", narrow.until),
    ]
    for sql, value in wanted:
        if value is not None:
            parts.append(sql)
            values.append(value)
    return " AND ".join(parts), values


def _messages(connection: sqlite3.Connection, expression: str, narrow: SearchFilter, limit: int) -> list[Hit]:
    where, values = _conditions(narrow, "m", "m.created_at")
    # Ranked first and cut, then the snippets: a snippet of every match would be most of the time.
    sql = f"""
        WITH best AS (
            SELECT s.rowid AS id, s.rank AS score FROM message_search AS s
            JOIN message AS m ON m.id = s.rowid JOIN conversation AS c ON c.id = m.conversation
            WHERE message_search MATCH ? AND m.deleted_at IS NULL AND {where}
            ORDER BY s.rank LIMIT ?
        )
        SELECT m.conversation, c.title, m.id, m.role, m.created_at, m.model,
            snippet(message_search, 0, '{_START}', '{_END}', '…', {_TOKENS})
        FROM best JOIN message_search ON message_search.rowid = best.id
        JOIN message AS m ON m.id = best.id JOIN conversation AS c ON c.id = m.conversation
        WHERE message_search MATCH ? ORDER BY best.score, m.id DESC
    """
    rows = connection.execute(sql, [expression, *values, limit, expression])
    return [_hit(*row) for row in rows]


def _hit(conversation: int, title: str, message: int, role: str, at: float, model: str, raw: str) -> Hit:
    snippet, marks = _unmark(raw)
    return Hit(conversation, title, message, role, snippet, marks, at, model)


def _unmark(raw: str) -> tuple[str, tuple[tuple[int, int], ...]]:
    text, marks, start = "", [], 0
    for piece in re.split(f"([{_START}{_END}])", raw):
        if piece == _START:
            start = len(text)
        elif piece == _END:
            marks.append((start, len(text)))
        else:
            text += piece
    return text, tuple(marks)


def _titles(connection: sqlite3.Connection, query: str, narrow: SearchFilter, limit: int) -> list[Hit]:
    where, values = _conditions(narrow, "c", "c.created_at")
    words = fold(query).split()
    sql = f"SELECT c.id, c.title, c.created_at, c.model FROM conversation AS c WHERE {where} ORDER BY c.updated_at DESC"
    found = []
    for number, title, created, model in connection.execute(sql, values):
        folded = fold(title)
        if title and all(word in folded for word in words):
            found.append(
                Hit(number, title, None, "", title, _title_marks(title, folded, words), created, model)
            )
        if len(found) >= limit:
            break
    return found


def _title_marks(title: str, folded: str, words: list[str]) -> tuple[tuple[int, int], ...]:
    if len(folded) != len(title):
        return ()
    spans = [(folded.index(word), folded.index(word) + len(word)) for word in words]
    return tuple(sorted(spans))
