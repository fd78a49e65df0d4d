"""One file from the network to its place on disk, whatever happens on the way.

Several connections fetch neighbouring parts by Range; the bytes go to ``<file>.part``, what is there is noted in
``<file>.part.json`` (``transfer_sidecar``), the sha256 is computed behind the parts, and the rename is the last step.
Network errors, 5xx, 429 and expired addresses are tried again without end; a stall reconnects at once. What only a
person or free space can change is raised: HubGatedError, HubUnauthorizedError, HubNotFoundError, DiskFullError,
ReadOnlyError. The bytes stay, and the next ``run`` goes on from them.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, TypeVar

from msgspec import Struct

from app.core.errors import ChecksumError, TransferBusyError, TransferCancelledError, TransferError
from app.models.hub_types import RemoteFile
from app.models.transfer_disk import allocate, allocated, disk_error, need
from app.models.transfer_fetch import TICK, Fetcher, Options
from app.models.transfer_hash import Hasher, sha256_file
from app.models.transfer_mend import Spans, attempts
from app.models.transfer_notes import Note, note
from app.models.transfer_sidecar import Facts, FileLock, Keeper, Sidecar, flush
from app.models.transfer_source import Moved, Patience, Source

log = logging.getLogger(__name__)

RESTARTS = 5  # times the source may become another file before we give up

__all__ = ["Options", "Progress", "Result", "Transfer"]

T = TypeVar("T")
State = Literal["starting", "running", "verifying", "done"]


class Progress(Struct, frozen=True):
    """A look at a transfer; ``note`` says what it waits for or did by itself."""

    state: State
    done: int
    total: int | None
    hashed: int
    note: Note | None


class Result(Struct, frozen=True):
    """What came."""

    path: Path
    size: int
    sha256: str
    revision: str
    verified: bool
    """False when the Hub named no hash to compare with."""


class _Mismatch(Exception):  # noqa: N818 - a turn of events, not an error
    def __init__(self, found: str) -> None:
        super().__init__(found)
        self.found = found


class Transfer:
    """One file. ``run`` blocks; ``cancel`` and ``progress`` may be called from any thread."""

    def __init__(
        self,
        target: Path,
        locate: Callable[[], RemoteFile],
        *,
        size: int | None = None,
        sha256: str | None = None,
        options: Options | None = None,
        distrust: Callable[[RemoteFile], None] | None = None,
    ) -> None:
        self.target = target
        self.options = options or Options()
        self._promised = Facts(size=size, sha256=sha256)
        self._cancelled = threading.Event()
        self._side = Sidecar(target)
        self._patience = Patience(self.options.backoff, self.options.backoff_limit, self._cancelled)
        self._source = Source(target.name, locate, self._patience, distrust)
        self._fetcher = Fetcher(self._side, self._source, self._patience, self.options)
        self._hasher: Hasher | None = None
        self._state: State = "starting"
        self._note: Note | None = None

    # ------------------------------------------------------------------ from outside
    def cancel(self) -> None:
        """Stop; the bytes stay. ``run`` raises TransferCancelledError within a fifth of a second."""
        self._cancelled.set()
        self._fetcher.cancel()

    def progress(self) -> Progress:
        """Where it is now."""
        hashed = self._hasher.position if self._hasher else 0
        total = self._side.facts.size or self._promised.size
        return Progress(self._state, self._side.total, total, hashed, self._patience.note or self._note)

    def run(self) -> Result:
        """Fetch, verify, rename. Raises TransferCancelledError, what nobody can wait out (see above), ChecksumError,
        and TransferBusyError when another transfer has the file."""
        lock = self._on_disk(self._lock_file)
        if not lock.held:
            raise TransferBusyError(path=self.target.name)
        try:
            return self._run()
        finally:
            self._side.close()
            self._fetcher.close()
            self._tidy()
            lock.release()

    def _lock_file(self) -> FileLock:
        self.target.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(self._side.part)

    def _tidy(self) -> None:
        # A failure before the first byte leaves nothing behind.
        if not self._side.total and self._state != "done":
            self._side.remove()
            self._side.part.unlink(missing_ok=True)
        elif self._state == "done":
            self._side.part.unlink(missing_ok=True)

    # ------------------------------------------------------------------ the whole
    def _run(self) -> Result:
        if self._side.load() and self._side.renamed and self.target.exists():
            finished = self._check_renamed()
            if finished is not None:
                return finished
        mending: Iterator[Spans] | None = None
        changes = 0
        while changes < RESTARTS:
            try:
                self._prepare(self._source.current()[1])
                return self._fetch_all()
            except Moved:
                changes, mending = changes + 1, None
                self._again("changed")
            except _Mismatch as wrong:
                mending = mending or attempts(set(self._fetcher.seams), self._side.total)
                self._mend(next(mending, None), wrong.found)
        raise TransferError(detail="the file keeps changing on the Hub")

    def _mend(self, spans: Spans | None, found: str) -> None:
        if spans is None:
            error = self._wrong(found)
            self._again("wrong")
            raise error
        self._note = note("repairing")
        log.info("%s: wrong bytes, %d stretches are fetched again", self.target.name, len(spans))
        self._on_disk(lambda: self._side.drop(spans))

    def _again(self, code: str) -> None:
        self._note = note(code)
        log.info("%s: %s", self.target.name, self._note.text)
        self._source.forget()
        self._on_disk(lambda: self._side.begin(Facts()))

    def _wrong(self, found: str) -> ChecksumError:
        expected = self._source.current()[1].sha256 or self._promised.sha256 or ""
        return ChecksumError(path=self.target.name, found=found[:12], expected=expected[:12])

    def _check_renamed(self) -> Result | None:
        # The program ended between the rename and the flush: the name alone proves nothing.
        self._state = "verifying"
        digest = sha256_file(self.target, lambda _count: self._check_cancelled())
        if self._side.facts.sha256 in {None, digest}:
            return self._settle(digest, self.target.stat().st_size)
        self.target.unlink()
        self._side.begin(Facts())
        return None

    def _prepare(self, remote: RemoteFile) -> None:
        facts = Facts(remote.size, remote.etag, remote.sha256 or self._promised.sha256, remote.commit or "")
        old, part = self._side.facts, self._side.part
        same = old.etag is not None and (old.etag, old.size) == (facts.etag, facts.size)
        if self._side.total and not same:
            self._note = note("changed")
        if not same or part.stat().st_size != facts.size:
            self._on_disk(lambda: self._side.begin(facts))
        size = facts.size or 0
        need(part.parent, size - allocated(part), self.options.free)
        if part.stat().st_size != size:
            self._on_disk(lambda: allocate(part, size))

    def _fetch_all(self) -> Result:
        self._hasher = hasher = Hasher(self._side.part, self._side.reach)
        self._fetcher.arrived = hasher.more
        keeper = Keeper(self._side, self.options.sync_every)
        try:
            self._state = "running"
            self._fetcher.run()
            self._state = "verifying"
            size = self._side.facts.size or self._side.total
            digest = hasher.finish(size, self._wait_a_little)
        finally:
            keeper.stop()
            hasher.stop()
        if self._side.facts.sha256 not in {None, digest}:
            raise _Mismatch(digest)
        return self._put_in_place(digest, size)

    def _put_in_place(self, digest: str, size: int) -> Result:
        def rename() -> None:
            self._side.write(renamed=True)
            self._side.part.replace(self.target)

        self._on_disk(rename)
        return self._settle(digest, size)

    def _settle(self, digest: str, size: int) -> Result:
        if self.options.durable:
            self._on_disk(lambda: flush(self.target))
        self._side.remove()
        self._state = "done"
        facts = self._side.facts
        return Result(self.target, size, digest, facts.revision, facts.sha256 is not None)

    # ------------------------------------------------------------------ small things
    def _on_disk(self, action: Callable[[], T]) -> T:
        try:
            return action()
        except OSError as error:
            raise self._disk_error(error) from error

    def _disk_error(self, error: OSError) -> Exception:
        missing = (self._side.facts.size or self._promised.size or 0) - self._side.total
        return disk_error(error, self.target, missing)

    def _check_cancelled(self) -> None:
        if self._cancelled.is_set():
            raise TransferCancelledError

    def _wait_a_little(self) -> None:
        self._check_cancelled()
        self._cancelled.wait(TICK / 5)
