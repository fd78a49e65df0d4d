"""The chat file's schema, its numbered migrations, and opening it safely.

``PRAGMA user_version`` is the format. Before a file with content is migrated a copy is made beside it with SQLite's own
backup. A newer file is refused; a damaged one is opened read-only.
"""

import contextlib
import logging
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from app.core import wal
from app.core.errors import (
    ChatsDamagedError,
    HearthError,
    ReadOnlyError,
    SaveDiskFullError,
    StoreNewerError,
    UsageError,
)

log = logging.getLogger(__name__)

_FOLD = "replace(replace({0}, 'đ', 'd'), 'Đ', 'D')"
"""FTS5's tokenizer removes diacritics, and the stroke of đ is none in Unicode."""

_NEW, _OLD = _FOLD.format("new.text"), _FOLD.format("old.text")

MIGRATIONS: tuple[str, ...] = (
    f"""
    CREATE TABLE conversation (
        id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, title TEXT NOT NULL DEFAULT '',
        auto_title INTEGER NOT NULL DEFAULT 1, model TEXT NOT NULL DEFAULT '', system TEXT NOT NULL DEFAULT '',
        folder TEXT NOT NULL DEFAULT '', pinned INTEGER NOT NULL DEFAULT 0, colour TEXT NOT NULL DEFAULT '',
        tags TEXT NOT NULL DEFAULT '[]', draft TEXT NOT NULL DEFAULT '', sampling TEXT,
        active_root INTEGER, created_at REAL NOT NULL, updated_at REAL NOT NULL, deleted_at REAL
    );
    CREATE TABLE message (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        conversation INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
        parent INTEGER REFERENCES message (id) ON DELETE CASCADE,
        active_child INTEGER, role TEXT NOT NULL, text TEXT NOT NULL DEFAULT '', reasoning TEXT NOT NULL DEFAULT '',
        tool_calls TEXT, tool_call_id TEXT NOT NULL DEFAULT '', name TEXT NOT NULL DEFAULT '',
        model TEXT NOT NULL DEFAULT '', quant TEXT NOT NULL DEFAULT '', state TEXT NOT NULL DEFAULT 'done',
        owner TEXT, reason TEXT NOT NULL DEFAULT '', error TEXT, usage TEXT, timings TEXT, seed INTEGER,
        sampling TEXT, created_at REAL NOT NULL, finished_at REAL, deleted_at REAL
    );
    CREATE INDEX message_tree ON message (conversation, parent, id);
    CREATE INDEX message_parent ON message (parent);
    CREATE INDEX message_writing ON message (owner) WHERE state = 'writing';
    CREATE TABLE journal (
        message INTEGER NOT NULL REFERENCES message (id) ON DELETE CASCADE, number INTEGER NOT NULL,
        text TEXT NOT NULL, reasoning TEXT NOT NULL, PRIMARY KEY (message, number)
    ) WITHOUT ROWID;
    CREATE TABLE attachment (
        id INTEGER PRIMARY KEY AUTOINCREMENT, message INTEGER NOT NULL REFERENCES message (id) ON DELETE CASCADE,
        kind TEXT NOT NULL, name TEXT NOT NULL, mime TEXT NOT NULL, text TEXT NOT NULL, bytes INTEGER NOT NULL,
        data BLOB NOT NULL
    );
    CREATE INDEX attachment_message ON attachment (message);
    CREATE VIRTUAL TABLE message_search USING fts5 (
        text, content = 'message', content_rowid = 'id', tokenize = 'unicode61 remove_diacritics 2', prefix = '2 3'
    );
    CREATE TRIGGER message_added AFTER INSERT ON message WHEN new.state = 'done' BEGIN
        INSERT INTO message_search (rowid, text) VALUES (new.id, {_NEW});
    END;
    CREATE TRIGGER message_removed AFTER DELETE ON message WHEN old.state = 'done' BEGIN
        INSERT INTO message_search (message_search, rowid, text) VALUES ('delete', old.id, {_OLD});
    END;
    CREATE TRIGGER message_rewritten AFTER UPDATE OF text, state ON message BEGIN
        INSERT INTO message_search (message_search, rowid, text)
            SELECT 'delete', old.id, {_OLD} WHERE old.state = 'done';
        INSERT INTO message_search (rowid, text) SELECT new.id, {_NEW} WHERE new.state = 'done';
    END;
    """,
    """
    ALTER TABLE message ADD COLUMN context TEXT NOT NULL DEFAULT '';
    ALTER TABLE message ADD COLUMN summary TEXT NOT NULL DEFAULT '';
    ALTER TABLE message ADD COLUMN thought REAL;
    CREATE TABLE logprob (
        message INTEGER PRIMARY KEY REFERENCES message (id) ON DELETE CASCADE, data BLOB NOT NULL
    );
    """,
    "ALTER TABLE conversation ADD COLUMN policy TEXT NOT NULL DEFAULT '';",
    """
    CREATE TABLE new_draft (id INTEGER PRIMARY KEY, text TEXT NOT NULL);
    CREATE TABLE draft_file (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        conversation INTEGER REFERENCES conversation (id) ON DELETE CASCADE, place INTEGER NOT NULL DEFAULT 0,
        kind TEXT NOT NULL, name TEXT NOT NULL, mime TEXT NOT NULL, text TEXT NOT NULL, data BLOB NOT NULL
    );
    CREATE INDEX draft_file_conversation ON draft_file (conversation);
    """,
    """
    ALTER TABLE new_draft ADD COLUMN system TEXT;
    ALTER TABLE new_draft ADD COLUMN policy TEXT NOT NULL DEFAULT '';
    """,
)

VERSION = len(MIGRATIONS)
BUSY_MS = 10_000


def connect(name: str, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection in autocommit, usable from any one thread at a time."""
    connection = sqlite3.connect(
        name,
        timeout=BUSY_MS / 1000,
        isolation_level=None,
        check_same_thread=False,
        uri=True,
        cached_statements=256,
    )
    connection.execute("PRAGMA foreign_keys = ON")
    if read_only:
        connection.execute("PRAGMA query_only = ON")
    return connection


def uri(path: Path, options: str = "") -> str:
    """SQLite's address of a file."""
    return path.absolute().as_uri() + options


def prepare(connection: sqlite3.Connection, path: Path | None) -> None:
    """Bring an open file to this program's format. Raises StoreNewerError, SaveDiskFullError, ReadOnlyError or
    sqlite3.DatabaseError; a migration happens whole or not at all."""
    found = _version(connection)
    if found > VERSION:
        raise StoreNewerError(path=str(path), found=found, known=VERSION)
    if path is not None:
        wal.switch_on(connection)
    found = _version(connection)  # another process may have brought it there meanwhile
    if 0 < found < VERSION and path is not None:
        _backup(connection, path, found)
    if found < VERSION:
        _migrate(connection)


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _migrate(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        # All steps or none, from what is there now: another process may have been quicker.
        for step in MIGRATIONS[_version(connection) :]:
            for statement in _statements(step):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _statements(script: str) -> list[str]:
    """Statements one by one: ``executescript`` would commit the open transaction."""
    found, current = [], ""
    for line in script.splitlines(keepends=True):
        current += line
        if current.strip() and sqlite3.complete_statement(current):
            found.append(current)
            current = ""
    return found


def _backup(connection: sqlite3.Connection, path: Path, version: int) -> None:
    target = path.with_name(f"{path.stem}.format-{version}{path.suffix}")
    copy_to(target)(connection)
    log.info("%s was copied to %s before its format changes", path, target)


def copy_to(target: Path) -> Callable[[sqlite3.Connection], None]:
    """A read that copies the whole file, replacing ``target`` when it is complete."""

    def work(connection: sqlite3.Connection) -> None:
        # (Two programs that copy at once have one each.)
        part = target.with_name(f"{target.name}.{os.getpid()}-{threading.get_ident()}.part")
        part.touch(mode=0o600)
        try:
            with contextlib.closing(sqlite3.connect(part)) as copy:
                connection.backup(copy)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    return work


def explain(error: sqlite3.Error, path: Path | None) -> HearthError | None:
    """The error of ours that a SQLite error means, or None when it is a bug."""
    name = getattr(error, "sqlite_errorname", "")
    place = str(path or "memory")
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return ChatsDamagedError(path=place, detail=str(error))
    if name.startswith("SQLITE_FULL"):
        return SaveDiskFullError(path=place, missing="some kB")
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_IOERR", "SQLITE_PERM")):
        return ReadOnlyError(path=place)
    if name == "SQLITE_CONSTRAINT_FOREIGNKEY":
        return UsageError(detail="There is no such conversation or message.")
    return None
