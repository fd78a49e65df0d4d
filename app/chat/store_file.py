"""The chat file's connections: one writer thread, and readers for whoever asks.

A write is a function of the connection, run whole in one transaction on the writer thread. Reads take a connection
from a small pool, so that any thread may read while the writer writes (WAL).
"""

import contextlib
import heapq
import itertools
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from app.chat import store_schema
from app.core.errors import DiskFullError, HearthError, ReadOnlyError, StoreDamagedError, UsageError

log = logging.getLogger(__name__)

Result = TypeVar("Result")
Work = Callable[[sqlite3.Connection], Result]
AGAIN = 2.0
"""Seconds until what found no room on the disk is tried again."""
_READERS_KEPT = 4
_numbers = itertools.count(1)


class _Job(NamedTuple):
    due: float
    """``time.monotonic`` before which it waits; 0: at once."""
    number: int
    work: Work[Any]
    future: "Future[Any]"
    durable: bool


class StoreFile:
    """Opened at its first use. ``path`` None keeps everything in memory (a temporary chat is never written)."""

    def __init__(
        self, path: Path | None, on_open: Work[None], on_damage: Callable[[], object] = lambda: None
    ) -> None:
        self.path = path
        self.problem: HearthError | None = None
        """Why nothing can be written: a newer or damaged file. Reads give what can still be read."""
        self._on_open, self._on_damage = on_open, on_damage
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._writer: sqlite3.Connection | None = None
        self._readers: list[sqlite3.Connection] = []
        self._memory = f"file:hearth-{next(_numbers)}?mode=memory&cache=shared"
        self._closed = False
        self._opened = False

    # ------------------------------------------------------------------------------------------- opening

    def open(self) -> None:
        """Open and bring up to date. Never raises for a bad file: see ``problem``. Raises ReadOnlyError or
        SaveDiskFullError when there is none and it can't be made."""
        with self._lock:
            if self._opened:
                return
            if self._closed:
                raise UsageError(detail="The chats are closed.")
            try:
                self._writer = self._open_writer()
            except StoreDamagedError as error:
                self._damaged(error)
            except HearthError as error:
                if error.code != "store_newer":
                    raise
                self.problem = error
            self._opened = True

    def _open_writer(self) -> sqlite3.Connection:
        if self.path is not None:
            with contextlib.suppress(OSError):
                self.path.parent.mkdir(parents=True, exist_ok=True)
            self._make_private(self.path)
        try:
            connection = store_schema.connect(self._address())
            try:
                store_schema.prepare(connection, self.path)
                self._in_transaction(connection, self._on_open)
            except BaseException:
                connection.close()
                raise
        except sqlite3.Error as error:
            raise self._explain(error) from error
        return connection

    @staticmethod
    def _make_private(path: Path) -> None:
        """Nobody else on the machine reads what is said here (SQLite gives its side files the same rights)."""
        with contextlib.suppress(OSError):
            path.touch(mode=0o600, exist_ok=False)

    @property
    def closing(self) -> bool:
        """Whether ``close`` was called."""
        return self._closed

    def _explain(self, error: sqlite3.Error) -> BaseException:
        meant = store_schema.explain(error, self.path)
        return error if meant is None else meant

    def _address(self) -> str:
        return self._memory if self.path is None else store_schema.uri(self.path)

    def _damaged(self, error: HearthError) -> None:
        log.info("%s", error)
        self.problem = error

    # ------------------------------------------------------------------------------------------- reading

    def read(self, work: Work[Result], default: Result) -> Result:
        """Run a read on this thread. ``default`` when a bad file gives nothing."""
        self.open()
        try:
            with self._reader() as connection:
                # One transaction: what a read sees in several steps belongs together.
                connection.execute("BEGIN")
                result = work(connection)
                connection.execute("COMMIT")
                return result
        except sqlite3.DatabaseError as error:
            meant = self._meaning(error)
            if self._is_bad():
                return default
            raise meant from error

    def _is_bad(self) -> bool:
        return self.problem is not None

    @contextlib.contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self._closed:
                raise UsageError(detail="The chats are closed.")
            connection = self._readers.pop() if self._readers else None
        if connection is None:
            options = "?mode=ro" if self.problem is not None else ""
            connection = store_schema.connect(self._address() + options, read_only=True)
            # Readers in one process would block each other in a shared memory database.
            connection.execute(f"PRAGMA read_uncommitted = {int(self.path is None)}")
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        self._give_back(connection)

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            if not self._closed and len(self._readers) < _READERS_KEPT:
                self._readers.append(connection)
                return
        connection.close()

    # ------------------------------------------------------------------------------------------- writing

    def write(self, work: Work[Result], *, durable: bool = True, delay: float = 0.0) -> "Future[Result]":
        """Run a write on the writer thread, in one transaction, after ``delay`` seconds (at once when closing).
        ``durable`` waits for the disk; what is not can be lost with the power, never with the process. The future
        fails with a HearthError when nothing was written."""
        self.open()
        future: Future[Result] = Future()
        with self._lock:
            if self.problem is not None:
                future.set_exception(self.problem)
                return future
            if self._closed:
                raise UsageError(detail="The chats are closed.")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="chat-writer", daemon=True)
                self._thread.start()
            self._queue.put(
                _Job(time.monotonic() + delay if delay else 0.0, next(_numbers), work, future, durable)
            )
        return future

    def write_at_last(
        self,
        work: Work[Result],
        then: Callable[[Result], object],
        *,
        durable: bool = True,
        delay: float = 0.0,
    ) -> "Future[Result]":
        """As ``write``, and again every ``AGAIN`` seconds until there is room and nobody else holds the file, or it is
        closed. ``then`` is called with the result on the writer thread; the future is the first attempt's."""

        def tried(done: "Future[Result]") -> None:
            problem = done.exception()
            if problem is None:
                then(done.result())
            elif _passes(problem):
                with contextlib.suppress(HearthError):  # it is being closed
                    self.write_at_last(work, then, durable=durable, delay=AGAIN)

        future = self.write(work, durable=durable, delay=delay)
        future.add_done_callback(tried)
        return future

    def _run(self) -> None:
        waiting: list[_Job] = []
        closing = False
        while not closing or waiting:
            job = self._next(waiting, closing)
            closing = closing or job is None
            if job is not None:
                self._do(job)
            elif waiting:
                self._do(heapq.heappop(waiting))

    def _next(self, waiting: "list[_Job]", closing: bool) -> "_Job | None":
        """The next job that is due; None when closing."""
        while not closing:
            patience = max(waiting[0].due - time.monotonic(), 0) if waiting else None
            try:
                job = self._queue.get(timeout=patience)
            except queue.Empty:
                return heapq.heappop(waiting)
            if job is None or not job.due:
                return job
            heapq.heappush(waiting, job)
        return None

    def _do(self, job: "_Job") -> None:
        if not job.future.set_running_or_notify_cancel():
            return
        try:
            job.future.set_result(self._execute(job.work, job.durable))
        except sqlite3.Error as error:
            job.future.set_exception(self._meaning(error))
        except BaseException as error:  # noqa: BLE001 - it belongs to the caller
            job.future.set_exception(error)

    def _execute(self, work: Work[Result], durable: bool) -> Result:
        if self._writer is None or self.problem is not None:
            raise self.problem or UsageError(detail="The chats are closed.")
        self._writer.execute("PRAGMA synchronous = FULL" if durable else "PRAGMA synchronous = NORMAL")
        return self._in_transaction(self._writer, work)

    @staticmethod
    def _in_transaction(connection: sqlite3.Connection, work: Work[Result]) -> Result:
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = work(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return result

    def _meaning(self, error: sqlite3.Error) -> BaseException:
        meant = self._explain(error)
        if isinstance(meant, StoreDamagedError):
            first = self.problem is None
            self._damaged(meant)
            if first:
                self._on_damage()
        return meant

    def close(self) -> None:
        """Finish the writes in the queue, then close every connection. Idempotent."""
        with self._lock:
            self._closed = True
            thread = self._thread
        if thread is not None and thread.is_alive() and thread is not threading.current_thread():
            self._queue.put(None)
            thread.join()
        with self._lock:
            for connection in self._readers:
                connection.close()
            self._readers.clear()
            if self._writer is not None:
                self._writer.close()
                self._writer = None


def _passes(problem: BaseException) -> bool:
    """What may be otherwise in a while: no room, no right to write, another process that holds the file."""
    busy = str(getattr(problem, "sqlite_errorname", "")).startswith("SQLITE_BUSY")
    return busy or isinstance(problem, DiskFullError | ReadOnlyError)
