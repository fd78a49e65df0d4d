"""Full-text search over messages and titles, without regard to case, diacritics or the stroke of đ."""

import re
import sqlite3
import unicodedata
from typing import Any

from msgspec import Struct

from app.chat.store_types import Hit

_WORD = re.compile(r"[^\W_]+")
_BEFORE, _LENGTH = 40, 160  # letters of a snippet
_RANKED = 1000


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
    quoted = [f'"{word}"' for word in _words(query)]
    return " ".join(quoted) + ("*" if quoted and not query[-1:].isspace() else "")


def _words(query: str) -> list[str]:
    return _WORD.findall(unicodedata.normalize("NFC", query).replace("đ", "d").replace("Đ", "D"))


def search(connection: sqlite3.Connection, query: str, narrow: SearchFilter, limit: int) -> tuple[Hit, ...]:
    """The best hits: titles first, then messages by rank."""
    if not _words(query):
        return ()
    titles = _titles(connection, query, narrow, limit)
    return (*titles, *_messages(connection, query, narrow, limit))


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


def _messages(connection: sqlite3.Connection, query: str, narrow: SearchFilter, limit: int) -> list[Hit]:
    where, values = _conditions(narrow, "m", "m.created_at")
    # Ranking every match of a common word would take most of the time, so the newest ones are ranked. FTS5's own
    # snippet() looks a prefix up again for every row: ours are made from the text.
    sql = f"""
        WITH newest AS (
            SELECT s.rowid AS id, bm25(message_search) AS score FROM message_search AS s
            JOIN message AS m ON m.id = s.rowid JOIN conversation AS c ON c.id = m.conversation
            WHERE message_search MATCH ? AND m.deleted_at IS NULL AND {where}
            ORDER BY s.rowid DESC LIMIT {_RANKED}
        ), best AS (SELECT id, score FROM newest ORDER BY score, id DESC LIMIT ?)
        SELECT m.conversation, c.title, m.id, m.role, m.created_at, m.model, m.text
        FROM best JOIN message AS m ON m.id = best.id JOIN conversation AS c ON c.id = m.conversation
        ORDER BY best.score, m.id DESC
    """
    pattern = _pattern(query)
    return [_hit(pattern, *row) for row in connection.execute(sql, [match_expression(query), *values, limit])]


def _hit(
    pattern: re.Pattern[str],
    conversation: int,
    title: str,
    message: int,
    role: str,
    at: float,
    model: str,
    text: str,
) -> Hit:
    snippet, marks = _snippet(unicodedata.normalize("NFC", text), pattern)
    return Hit(conversation, title, message, role, snippet, marks, at, model)


class _Letters(dict[int, str]):
    """Each letter without case, diacritics and stroke, made when first met: a table for ``str.translate``."""

    def __missing__(self, code: int) -> str:
        plain = fold(chr(code))
        self[code] = found = plain if len(plain) == 1 else chr(code)
        return found


_LETTERS = _Letters()


def _pattern(query: str) -> re.Pattern[str]:
    words = [re.escape(word.translate(_LETTERS)) for word in _words(query)]
    if not query[-1:].isspace():
        words[-1] += r"[^\W_]*"
    return re.compile(rf"(?<![^\W_])(?:{'|'.join(words)})(?![^\W_])")


def _snippet(text: str, pattern: re.Pattern[str]) -> tuple[str, tuple[tuple[int, int], ...]]:
    """A piece of the text around its first hit, on one line, and where the hits in it are."""
    folded = text.translate(_LETTERS)
    first = pattern.search(folded)
    start = max((first.start() if first else 0) - _BEFORE, 0)
    if start:
        space = text.find(" ", start, start + _BEFORE)
        start = space + 1 if space >= 0 else start
    end = min(start + _LENGTH, len(text))
    head, tail = ("…" if start else ""), ("…" if end < len(text) else "")
    shift = len(head) - start
    marks = [(m.start() + shift, min(m.end(), end) + shift) for m in pattern.finditer(folded, start, end)]
    piece = re.sub(r"\s", " ", text[start:end])
    return head + piece + tail, tuple(marks)


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
