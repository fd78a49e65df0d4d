"""The library's memory on disk: what headers said, and what people did with each model. SQLite beside the data.

Rows of files are a cache, valid while size and time of change match. Rows of models hold what can't be found again:
when it was added and used, where it came from, tags and notes. Several processes may use the file at once. When it
can't be opened the library works from memory: nothing here may keep the program from starting.
"""

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from app.core import wal
from app.core.types import GgufSummary, Source
from app.models.folders import Folder, FolderKind

log = logging.getLogger(__name__)

VERSION = 2
_SCHEMA = """
CREATE TABLE IF NOT EXISTS file (
    path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime INTEGER NOT NULL, summary BLOB, damaged TEXT,
    fingerprint BLOB, sha256 TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS model (
    path TEXT PRIMARY KEY, id TEXT NOT NULL, repo TEXT, revision TEXT, file TEXT, added_at REAL NOT NULL,
    last_used_at REAL, times_used INTEGER NOT NULL DEFAULT 0, favourite INTEGER NOT NULL DEFAULT 0,
    tags TEXT NOT NULL DEFAULT '[]', notes TEXT NOT NULL DEFAULT '', title TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS folder (path TEXT PRIMARY KEY, kind TEXT NOT NULL) WITHOUT ROWID;
"""
_TO_2 = "ALTER TABLE model ADD COLUMN title TEXT NOT NULL DEFAULT '';"

_PUT_FILE = "INSERT OR REPLACE INTO file VALUES (?,?,?,?,?,?,?)"
_COLUMNS = "path, id, repo, revision, file, added_at, last_used_at, times_used, favourite, tags, notes, title"
_PUT_MODEL = f"INSERT OR REPLACE INTO model ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"
_NOTE_FILE = """
INSERT INTO file VALUES (?,?,?,?,?,?,?) ON CONFLICT (path) DO UPDATE SET
    sha256 = COALESCE(excluded.sha256, CASE WHEN (size, mtime) = (excluded.size, excluded.mtime) THEN sha256 END),
    size = excluded.size, mtime = excluded.mtime, summary = excluded.summary, damaged = excluded.damaged,
    fingerprint = excluded.fingerprint
"""
_NOTE_MODEL = f"""
INSERT INTO model ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (path) DO UPDATE SET
    id = excluded.id, repo = COALESCE(repo, excluded.repo), file = COALESCE(NULLIF(file, ''), excluded.file),
    revision = COALESCE(NULLIF(revision, ''), excluded.revision)
"""


class FileRow(Struct, frozen=True):
    """What reading one file's header gave."""

    path: str
    size: int
    mtime: int
    summary: GgufSummary | None = None
    damaged: str | None = None
    fingerprint: bytes = b""
    sha256: str | None = None


class ModelRow(Struct, frozen=True):
    """What is known about a model beyond its bytes; ``path`` is its first file's."""

    path: str
    id: str
    source: Source | None = None
    added_at: float = 0.0
    last_used_at: float | None = None
    times_used: int = 0
    favourite: bool = False
    tags: tuple[str, ...] = ()
    notes: str = ""
    title: str = ""
    """What the user calls it; empty: its own name."""


class Index:
    """The database. Thread-safe. A write that can't be done (full disk, read-only) is logged and kept in memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._aside: Path | None = None
        """A damaged file of which the next one takes over what it can."""
        self._encode = msgspec.msgpack.Encoder()
        self._decode = msgspec.msgpack.Decoder(GgufSummary)

    def files(self) -> dict[str, FileRow]:
        """Every row by path; a summary of an older shape is read again."""
        rows = self._read("SELECT path, size, mtime, summary, damaged, fingerprint, sha256 FROM file")
        return {row.path: row for row in map(self._file, rows) if row is not None}

    def _file(self, row: tuple[Any, ...]) -> FileRow | None:
        path, size, mtime, summary, damaged, fingerprint, sha256 = row
        try:
            decoded = self._decode.decode(summary) if summary is not None else None
        except msgspec.DecodeError:
            return None
        return FileRow(path, size, mtime, decoded, damaged, fingerprint or b"", sha256)

    def models(self) -> dict[str, ModelRow]:
        """Every row by the path of the first file."""
        return {row[0]: _model(row) for row in self._read(f"SELECT {_COLUMNS} FROM model")}

    def folders(self) -> list[Folder]:
        """Folders the user added, by path."""
        rows = self._read("SELECT path, kind FROM folder ORDER BY path")
        return [Folder(path, msgspec.convert(kind, FolderKind)) for path, kind in rows]

    def put(self, files: Iterable[FileRow] = (), models: Iterable[ModelRow] = ()) -> None:
        """Insert or replace rows, all or none."""
        file_rows = [self._file_values(row) for row in files]
        model_rows = [_model_values(row) for row in models]
        self._write([(_PUT_FILE, file_rows), (_PUT_MODEL, model_rows)])

    def note(self, files: Iterable[FileRow], models: Iterable[ModelRow]) -> None:
        """Write what a scan saw, without losing what another process knows better (a hash, where it came from)."""
        file_rows = [self._file_values(row) for row in files]
        model_rows = [_model_values(row) for row in models]
        self._write([(_NOTE_FILE, file_rows), (_NOTE_MODEL, model_rows)])

    def _file_values(self, row: FileRow) -> tuple[Any, ...]:
        summary = self._encode.encode(row.summary) if row.summary is not None else None
        return (row.path, row.size, row.mtime, summary, row.damaged, row.fingerprint, row.sha256)

    def touch(self, path: str, now: float) -> None:
        """Count one use; added up in the database, so that two processes don't lose one."""
        sql = "UPDATE model SET last_used_at = ?, times_used = times_used + 1 WHERE path = ?"
        self._write([(sql, [(now, path)])])

    def annotate(self, row: ModelRow) -> None:
        """Write a model's notes, and nothing else of it."""
        values = (int(row.favourite), msgspec.json.encode(row.tags).decode(), row.notes, row.title, row.path)
        sql = "UPDATE model SET favourite = ?, tags = ?, notes = ?, title = ? WHERE path = ?"
        self._write([(sql, [values])])

    def drop(self, paths: Iterable[str]) -> None:
        """Forget files and models."""
        keys = [(path,) for path in paths]
        self._write([("DELETE FROM file WHERE path = ?", keys), ("DELETE FROM model WHERE path = ?", keys)])

    def add_folder(self, folder: Folder) -> None:
        """Look there from now on."""
        self._write([("INSERT OR REPLACE INTO folder VALUES (?,?)", [(folder.path, folder.kind)])])

    def drop_folder(self, path: str) -> None:
        """Look there no longer."""
        self._write([("DELETE FROM folder WHERE path = ?", [(path,)])])

    def version(self) -> int:
        """A number that changes when another process has written."""
        rows = self._read("PRAGMA data_version")
        return int(rows[0][0]) if rows else 0

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _read(self, sql: str) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._open().execute(sql).fetchall()
            except sqlite3.DatabaseError as error:
                if not _damaged(error):
                    log.info("the library's index was not read: %s", error)
                    return []
                self._set_aside(error)
                return self._open().execute(sql).fetchall()

    def _write(self, statements: list[tuple[str, list[tuple[Any, ...]]]]) -> None:
        statements = [(sql, rows) for sql, rows in statements if rows]
        if not statements:
            return
        with self._lock:
            connection = self._open()
            try:
                connection.execute("BEGIN IMMEDIATE")
                for sql, rows in statements:
                    connection.executemany(sql, rows)
                connection.execute("COMMIT")
            except sqlite3.Error as error:
                log.info("the library's index was not written: %s", error)
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        for attempt in range(2):
            try:
                connection = _prepare(str(self._path))
                if self._aside is not None:
                    _carry_over(self._aside, connection)
                    self._aside = None
                return connection
            except sqlite3.DatabaseError as error:
                if attempt or not _damaged(error):
                    log.info("the library's index stays in memory: %s", error)
                    break
                self._set_aside(error)
        return _prepare(":memory:")

    def _set_aside(self, error: sqlite3.Error) -> None:
        """Keep a damaged file beside a fresh one, which takes what a person wrote over from it."""
        log.info("the library's index is damaged and made anew: %s", error)
        self.close()
        aside = self._path.with_suffix(f".damaged-{int(time.time())}")
        try:
            self._path.replace(aside)
            self._aside = aside
            Path(f"{self._path}-shm").unlink(missing_ok=True)
            with contextlib.suppress(FileNotFoundError):
                Path(f"{self._path}-wal").replace(f"{aside}-wal")
        except OSError as problem:
            log.info("the damaged index stays where it is: %s", problem)


def _damaged(error: sqlite3.DatabaseError) -> bool:
    return getattr(error, "sqlite_errorname", "") in {"SQLITE_NOTADB", "SQLITE_CORRUPT"}


def _prepare(name: str) -> sqlite3.Connection:
    connection = sqlite3.connect(name, timeout=10, isolation_level=None, check_same_thread=False)
    try:
        if _version(connection) < VERSION:
            wal.switch_on(connection)
            _migrate(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _carry_over(damaged: Path, connection: sqlite3.Connection) -> None:
    """Folders, tags, notes and names, as far as they can still be read: headers are read anew, these are not."""
    with contextlib.closing(sqlite3.connect(damaged)) as old:
        for table, columns in (("folder", "path, kind"), ("model", _COLUMNS)):
            marks = ",".join("?" * len(columns.split(",")))
            put = f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({marks})"
            try:
                for row in old.execute(f"SELECT {columns} FROM {table}"):
                    connection.execute(put, row)
            except (sqlite3.Error, UnicodeError) as error:
                log.info("of the damaged index's %s not all could be read: %s", table, error)


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _migrate(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    found = _version(connection)  # another process may have been quicker
    steps = "" if found >= VERSION else _TO_2 if found else _SCHEMA
    for statement in filter(str.strip, steps.split(";")):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {max(found, VERSION)}")
    connection.execute("COMMIT")


def _model(row: tuple[Any, ...]) -> ModelRow:
    path, name, repo, revision, file, added, used, times, favourite, tags, notes, title = row
    source = Source(repo, revision or "", file or "") if repo else None
    try:
        decoded = msgspec.json.decode(tags, type=tuple[str, ...])
    except msgspec.DecodeError:
        decoded = ()
    return ModelRow(path, name, source, added, used, times, bool(favourite), decoded, notes, title)


def _model_values(row: ModelRow) -> tuple[Any, ...]:
    source = row.source or Source("")
    tags = msgspec.json.encode(row.tags).decode()
    origin = (source.repo or None, source.revision, source.file)
    used = (row.added_at, row.last_used_at, row.times_used)
    return (row.path, row.id, *origin, *used, int(row.favourite), tags, row.notes, row.title)
