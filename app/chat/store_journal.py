"""Answers while they are written: in memory for this process, in journal rows for whatever may happen.

Pieces are flushed to the file within ``EVERY`` seconds of their arrival, as short rows of their own: the message is
written once, at its end. At the next start, what a dead process left in the journal becomes its message's text.
"""

import logging
import os
import sqlite3
import threading
import time
from typing import Any

log = logging.getLogger(__name__)

EVERY = 0.25
INTERRUPTED = "interrupted"
OWNER = f"{os.getpid()}:{time.time():.3f}"
"""This process: who is writing an answer. The time tells it from a later process with the same number."""


class Partial:
    """One answer being written."""

    def __init__(self, text: str, reasoning: str) -> None:
        self.text, self.reasoning = [text], [reasoning]
        self.fresh_text: list[str] = []
        self.fresh_reasoning: list[str] = []
        self.rows = 0
        self.asked = False
        """A flush is on its way."""


class Journal:
    """All answers this process is writing. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._partials: dict[int, Partial] = {}

    def begin(self, message: int, text: str = "", reasoning: str = "") -> None:
        """Start with what the message has already."""
        with self._lock:
            self._partials[message] = Partial(text, reasoning)

    def add(self, message: int, text: str, reasoning: str) -> bool:
        """Take pieces; True when a flush must be asked for."""
        with self._lock:
            partial = self._partials.get(message)
            if partial is None:
                return False
            for piece, whole, fresh in (
                (text, partial.text, partial.fresh_text),
                (reasoning, partial.reasoning, partial.fresh_reasoning),
            ):
                if piece:
                    whole.append(piece)
                    fresh.append(piece)
            ask = not partial.asked and bool(text or reasoning)
            partial.asked = partial.asked or ask
            return ask

    def so_far(self, message: int) -> tuple[str, str] | None:
        """Text and reasoning of an answer being written here."""
        with self._lock:
            partial = self._partials.get(message)
            return ("".join(partial.text), "".join(partial.reasoning)) if partial else None

    def all(self) -> dict[int, tuple[str, str]]:
        """Text and reasoning of every answer being written here."""
        with self._lock:
            return {number: ("".join(p.text), "".join(p.reasoning)) for number, p in self._partials.items()}

    def end(self, message: int) -> None:
        """It is in the file as a whole."""
        with self._lock:
            self._partials.pop(message, None)

    def flush(self, connection: sqlite3.Connection, message: int) -> tuple[int, int]:
        """Write the fresh pieces as one row. How many there were, for ``flushed`` once they are in the file: until
        then the next flush writes them anew, in the same row."""
        with self._lock:
            partial = self._partials.get(message)
            if partial is None:
                return 0, 0
            count = len(partial.fresh_text), len(partial.fresh_reasoning)
            row = (message, partial.rows + 1, "".join(partial.fresh_text), "".join(partial.fresh_reasoning))
        # A flush that comes after the end must leave nothing behind.
        connection.execute(
            "INSERT OR REPLACE INTO journal SELECT ?, ?, ?, ? FROM message WHERE id = ? AND state = 'writing'",
            (*row, message),
        )
        return count

    def flushed(self, message: int, count: tuple[int, int]) -> bool:
        """So many pieces are in the file. True when a flush must be asked for those that came meanwhile."""
        with self._lock:
            partial = self._partials.get(message)
            if partial is None:
                return False
            if any(count):
                del partial.fresh_text[: count[0]], partial.fresh_reasoning[: count[1]]
                partial.rows += 1
            partial.asked = bool(partial.fresh_text or partial.fresh_reasoning)
            return partial.asked


def in_file(connection: sqlite3.Connection, message: int) -> tuple[str, str]:
    """Text and reasoning that the journal holds for a message."""
    sql = "SELECT text, reasoning FROM journal WHERE message = ? ORDER BY number"
    rows = connection.execute(sql, (message,)).fetchall()
    return "".join(row[0] for row in rows), "".join(row[1] for row in rows)


def recover(connection: sqlite3.Connection) -> list[int]:
    """Finish what processes that are gone were writing. Returns the messages."""
    rows: list[tuple[Any, ...]] = connection.execute(
        "SELECT id, owner, text, reasoning FROM message WHERE state = 'writing'"
    ).fetchall()
    found = []
    for message, owner, text, reasoning in rows:
        if owner and _alive(owner):
            continue
        more_text, more_reasoning = in_file(connection, message)
        connection.execute(
            "UPDATE message SET text = ?, reasoning = ?, state = 'done', reason = ?, owner = NULL WHERE id = ?",
            (text + more_text, reasoning + more_reasoning, INTERRUPTED, message),
        )
        connection.execute("DELETE FROM journal WHERE message = ?", (message,))
        found.append(message)
    if found:
        log.info("%d interrupted answers were kept", len(found))
    return found


def _alive(owner: str) -> bool:
    if owner == OWNER:
        return True
    import psutil  # noqa: PLC0415 - only after a crash, or with a second process

    pid, _, started = owner.partition(":")
    try:
        return bool(psutil.Process(int(pid)).create_time() <= float(started) + 1) and int(pid) != os.getpid()
    except (psutil.Error, ValueError):
        return False
