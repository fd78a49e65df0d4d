"""The history of what was run: tokens, seconds, joules, forecasts and what came. SQLite, kept when models go.

One writer at a time (calls may come from any thread; a lock serializes them). Never holds a prompt or an answer.
"""

import contextlib
import csv
import datetime as dt
import io
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from app.core import wal
from app.core.errors import StoreDamagedError, StoreNewerError
from app.planning.runs import Run

VERSION = 1
CROWDED = 25.0
"""Per cent of the processor: when other programs took more, a run says nothing of this machine or the engine."""
_ALONE = f"parallel = 1 AND (others IS NULL OR others < {CROWDED})"

_SCHEMA = """
CREATE TABLE requests (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, model TEXT NOT NULL, quant TEXT NOT NULL DEFAULT '',
    device TEXT NOT NULL DEFAULT '', engine TEXT NOT NULL DEFAULT '', source TEXT NOT NULL DEFAULT '',
    chat TEXT NOT NULL DEFAULT '', prompt_tokens INTEGER NOT NULL DEFAULT 0, cached_tokens INTEGER NOT NULL DEFAULT 0,
    completion_tokens INTEGER NOT NULL DEFAULT 0, prefill_seconds REAL, decode_seconds REAL,
    joules_prefill REAL, joules_decode REAL, joules_idle REAL, energy_origin TEXT NOT NULL DEFAULT '',
    forecast REAL, uncorrected REAL, parallel INTEGER NOT NULL DEFAULT 1, context INTEGER NOT NULL DEFAULT 0,
    others REAL
);
CREATE INDEX requests_at ON requests (at);
CREATE INDEX requests_model ON requests (model, at);
"""


class Request(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One ended request. Seconds since the epoch, tokens, seconds, joules; None where not measured."""

    at: float
    model: str
    quant: str = ""
    device: str = ""
    engine: str = ""
    source: str = ""
    """``chat``, ``server``, ``cli``, ``bench``."""
    chat: str = ""
    """Key of the conversation, of which the title may be gone."""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    prefill_seconds: float | None = None
    decode_seconds: float | None = None
    joules_prefill: float | None = None
    joules_decode: float | None = None
    joules_idle: float | None = None
    energy_origin: str = ""
    """``measured``, ``entered``, or empty: not known."""
    forecast: float | None = None
    """Decode tokens per second that were forecast: the middle of the range."""
    uncorrected: float | None = None
    """The same from measured rates alone, before past runs corrected it: what corrections are learned from."""
    parallel: int = 1
    context: int = 0
    others: float | None = None
    """Per cent of the processor that other programs took meanwhile, of a model that runs on it."""

    @property
    def decode_per_second(self) -> float | None:
        """Generated tokens per second after the first."""
        if not self.decode_seconds or self.completion_tokens < 2:
            return None
        return (self.completion_tokens - 1) / self.decode_seconds


class Day(Struct, frozen=True):
    """Sums of one local day (or of one model, or chat: ``key``)."""

    key: str
    requests: int
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    joules: float | None
    """Active and idle joules; None when no request of it was measured."""
    measured: int
    """Requests whose energy is known."""


_FIELDS = Request.__struct_fields__
_SUMS = (
    "COUNT(*), SUM(prompt_tokens), SUM(completion_tokens),"
    " SUM(COALESCE(prefill_seconds, 0) + COALESCE(decode_seconds, 0)),"
    " SUM(joules_prefill + joules_decode + COALESCE(joules_idle, 0)), COUNT(joules_decode)"
)
_DAY = "date(at, 'unixepoch', 'localtime')"


class UsageStore:
    """The store. Raises StoreNewerError for a file of a newer program, StoreDamagedError for what is no database."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None

    def add(self, request: Request) -> None:
        """Keep one request."""
        marks = ", ".join("?" for _ in _FIELDS)
        with self._open() as db, db:
            statement = f"INSERT INTO requests ({', '.join(_FIELDS)}) VALUES ({marks})"
            db.execute(statement, [getattr(request, name) for name in _FIELDS])

    def days(self, count: int, now: float | None = None) -> list[Day]:
        """Sums per local day over the last ``count`` days, today included; days without requests are zeros."""
        today = dt.datetime.fromtimestamp(now or time.time()).astimezone().date()
        first = today - dt.timedelta(days=count - 1)
        found = {day.key: day for day in self._sums(_DAY, f"{_DAY} >= ?", (first.isoformat(),))}
        keys = [(first + dt.timedelta(days=offset)).isoformat() for offset in range(count)]
        return [found.get(key, Day(key, 0, 0, 0, 0.0, None, 0)) for key in keys]

    def models(self, since: float = 0.0) -> list[Day]:
        """Sums per model, the most used first."""
        return sorted(self._sums("model", "at >= ?", (since,)), key=lambda day: -day.completion_tokens)

    def total(self, since: float = 0.0, until: float | None = None) -> Day:
        """Sums over everything between two times."""
        found = self._sums("'total'", "at >= ? AND at < ?", (since, until if until is not None else 1e12))
        return found[0] if found else Day("total", 0, 0, 0, 0.0, None, 0)

    def chat(self, conversation: str) -> Day:
        """Sums of one conversation, by its key."""
        found = self._sums("'chat'", "chat = ?", (conversation,))
        return found[0] if found else Day("chat", 0, 0, 0, 0.0, None, 0)

    def answers(self, conversation: str) -> Sequence[Request]:
        """The requests of one conversation whose energy is known, oldest first."""
        where = "chat = ? AND joules_decode IS NOT NULL ORDER BY at"
        query = f"SELECT {', '.join(_FIELDS)} FROM requests WHERE {where}"
        with self._open() as db:
            return [
                Request(**dict(zip(_FIELDS, row, strict=True))) for row in db.execute(query, (conversation,))
            ]

    def month_kwh(self, now: float | None = None) -> float:
        """Electricity of our own requests this local month, for stepped tariffs."""
        start = dt.datetime.fromtimestamp(now or time.time()).astimezone()
        first = start.replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp()
        return (self.total(first).joules or 0.0) / 3.6e6

    def runs(
        self, device: str = "", model: str = "", engine: str = "", limit: int = 50, since: float = 0.0
    ) -> list[Run]:
        """Forecasts and what came, newest first, of requests that ran alone long enough to tell."""
        where = f"at >= ? AND forecast > 0 AND decode_seconds > 0 AND completion_tokens >= 16 AND {_ALONE}"
        values: list[object] = [since]
        for name, value in (("device", device), ("model", model), ("engine", engine)):
            if value:
                where += f" AND {name} = ?"
                values.append(value)
        query = (
            "SELECT forecast, (completion_tokens - 1) / decode_seconds, uncorrected FROM requests"
            f" WHERE {where} ORDER BY at DESC LIMIT ?"
        )
        with self._open() as db:
            return [Run(*row) for row in db.execute(query, (*values, limit))]

    def speeds(self, model: str, device: str = "", limit: int = 200) -> list[tuple[str, float, int]]:
        """(engine, decode tokens per second, context) of past runs, oldest first: what the regression check reads."""
        query = (
            "SELECT engine, (completion_tokens - 1) / decode_seconds, context FROM requests WHERE model = ?"
            f" AND (? = '' OR device = ?) AND decode_seconds > 0 AND completion_tokens >= 16 AND {_ALONE}"
            " ORDER BY at DESC LIMIT ?"
        )
        with self._open() as db:
            return list(reversed(db.execute(query, (model, device, device, limit)).fetchall()))

    def rows(self, since: float = 0.0) -> Sequence[Request]:
        """Every request since a time, oldest first."""
        query = f"SELECT {', '.join(_FIELDS)} FROM requests WHERE at >= ? ORDER BY at"
        with self._open() as db:
            return [Request(**dict(zip(_FIELDS, row, strict=True))) for row in db.execute(query, (since,))]

    def csv(self, since: float = 0.0) -> str:
        """Every request since a time as CSV with a header line."""
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow(_FIELDS)
        for request in self.rows(since):
            writer.writerow(
                ["" if value is None else value for value in (getattr(request, f) for f in _FIELDS)]
            )
        return out.getvalue()

    def close(self) -> None:
        """Close the file; calling it again does nothing."""
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None

    def _sums(self, key: str, where: str, values: Sequence[object]) -> list[Day]:
        query = f"SELECT {key}, {_SUMS} FROM requests WHERE {where} GROUP BY 1 ORDER BY 1"
        with self._open() as db:
            return [Day(*row) for row in db.execute(query, values)]

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self._db is None:
                self._db = _connect(self._path)
            yield self._db


def _make(db: sqlite3.Connection) -> None:
    db.execute("BEGIN IMMEDIATE")
    if not db.execute("PRAGMA user_version").fetchone()[0]:  # another program may have been quicker
        for statement in filter(str.strip, _SCHEMA.split(";")):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {VERSION}")
    db.commit()


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path, check_same_thread=False)
    try:
        found = db.execute("PRAGMA user_version").fetchone()[0]
        if found > VERSION:
            raise StoreNewerError(path=str(path), found=found, known=VERSION)
        wal.switch_on(db)
        if found < 1:
            _make(db)
        elif "others" not in {row[1] for row in db.execute("PRAGMA table_info(requests)")}:
            db.execute("ALTER TABLE requests ADD COLUMN others REAL")  # an older version can go on with it
    except sqlite3.DatabaseError as error:
        db.close()
        raise StoreDamagedError(path=str(path), detail=str(error)) from error
    except StoreNewerError:
        db.close()
        raise
    return db
