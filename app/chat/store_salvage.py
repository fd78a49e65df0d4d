"""Save what can be saved from a damaged chat file: row by row into a new one, around what can't be read."""

import logging
import sqlite3
import time
from pathlib import Path

from msgspec import Struct

from app.chat import store_schema
from app.core.errors import HearthError, StoreDamagedError

log = logging.getLogger(__name__)

_TABLES = ("conversation", "message", "attachment", "new_draft", "draft_file")
_BEYOND = 10_000  # ids looked at after the last one that is known


class Salvaged(Struct, frozen=True):
    """How much was read, and how many rows could not be."""

    conversations: int
    messages: int
    lost: int
    damaged: Path
    """Where the damaged file was put."""


def repair(path: Path) -> Salvaged:
    """Replace a damaged file by one with all that can be read; the damaged one is kept beside it. No store may have it
    open. Raises StoreDamagedError when nothing can be read, SaveDiskFullError or ReadOnlyError."""
    target = path.with_name(f"{path.name}.salvage")
    target.unlink(missing_ok=True)
    try:
        counts, lost = _copy(path, target)
        if not counts["conversation"]:
            raise StoreDamagedError(path=str(path), detail="no conversation in it can be read")
        aside = _swap(path, target)
    except (sqlite3.Error, OSError) as error:
        raise _meaning(error, path) from error
    finally:
        target.unlink(missing_ok=True)
    log.info("%s was saved from damage: %s, %d rows lost", path, counts, lost)
    return Salvaged(counts["conversation"], counts["message"], lost, aside)


def _meaning(error: sqlite3.Error | OSError, path: Path) -> HearthError:
    meant = store_schema.explain(error, path) if isinstance(error, sqlite3.Error) else None
    return meant or StoreDamagedError(path=str(path), detail=str(error))


def _swap(path: Path, target: Path) -> Path:
    stamp = time.strftime("%Y%m%d-%H%M%S")
    aside = path.with_name(f"{path.stem}.damaged-{stamp}{path.suffix}")
    path.replace(aside)
    for end in ("-wal", "-shm"):
        rest = Path(f"{path}{end}")
        if rest.exists():
            rest.replace(Path(f"{aside}{end}"))
    target.replace(path)
    return aside


def _copy(path: Path, target: Path) -> tuple[dict[str, int], int]:
    source = store_schema.connect(store_schema.uri(path, "?mode=ro"), read_only=True)
    made = sqlite3.connect(target, isolation_level=None)
    try:
        store_schema.prepare(made, None)
        made.execute("BEGIN")
        counts, lost = dict.fromkeys(_TABLES, 0), 0
        for table in _TABLES:
            counts[table], missed = _copy_table(source, made, table)
            lost += missed
        _mend(made)
        made.execute("COMMIT")
    finally:
        source.close()
        made.close()
    return counts, lost


def _copy_table(source: sqlite3.Connection, made: sqlite3.Connection, table: str) -> tuple[int, int]:
    # A file of an older format lacks some of today's columns.
    there = {row[1] for row in source.execute(f"PRAGMA table_info({table})")}
    columns = [row[1] for row in made.execute(f"PRAGMA table_info({table})") if row[1] in there]
    marks = ", ".join("?" * len(columns))
    take = f"SELECT {', '.join(columns)} FROM {table} WHERE id = ?"
    put = f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({marks})"
    copied = lost = 0
    for number in range(1, _last(source, table) + 1):
        try:
            row = source.execute(take, (number,)).fetchone()
            copied += made.execute(put, row).rowcount if row else 0
        except sqlite3.Error:
            lost += 1
    return copied, lost


def _last(source: sqlite3.Connection, table: str) -> int:
    found = _BEYOND
    for sql in (f"SELECT seq FROM sqlite_sequence WHERE name = '{table}'", f"SELECT MAX(id) FROM {table}"):
        try:
            row = source.execute(sql).fetchone()
            found = max(found, int(row[0])) if row and row[0] else found
        except sqlite3.Error:
            log.info("the last row of %s can't be read", table)
    return found


def _mend(made: sqlite3.Connection) -> None:
    """Hang what lost its parent below the root, and show what can be shown."""
    made.execute("DELETE FROM message WHERE conversation NOT IN (SELECT id FROM conversation)")
    made.execute("DELETE FROM draft_file WHERE conversation NOT IN (SELECT id FROM conversation)")
    made.execute("UPDATE message SET parent = NULL WHERE parent NOT IN (SELECT id FROM message)")
    made.execute(
        "UPDATE message SET active_child = (SELECT MAX(c.id) FROM message AS c WHERE c.parent = message.id AND"
        " c.deleted_at IS NULL) WHERE active_child IS NULL OR active_child NOT IN (SELECT id FROM message)"
    )
    made.execute(
        "UPDATE conversation SET active_root = (SELECT MAX(m.id) FROM message AS m WHERE m.conversation ="
        " conversation.id AND m.parent IS NULL AND m.deleted_at IS NULL) WHERE active_root IS NULL OR active_root NOT"
        " IN (SELECT id FROM message)"
    )
