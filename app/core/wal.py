"""SQLite's write-ahead log, which several programs may switch on for one file at the same time."""

import sqlite3
import time

PATIENCE = 10.0
_PAUSE = 0.01


def switch_on(connection: sqlite3.Connection, patience: float = PATIENCE) -> None:
    """Go over to it. Raises sqlite3.OperationalError when the file is still locked after ``patience`` seconds."""
    end = time.monotonic() + patience
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            # Where two want the same, SQLite tells one at once, whatever its timeout, lest they wait for each other.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(_PAUSE)
        else:
            return
