"""Where one file's bytes come from: its address, renewed as it expires, and what each answer means.

Time heals some troubles (``Patience`` waits, without end); the rest is raised for a person to decide.
"""

import logging
import random
import threading
import time
from collections.abc import Callable

from app.core.errors import (
    HubError,
    HubNotFoundError,
    HubRateLimitedError,
    HubServerError,
    HubUnauthorizedError,
    HubUnreachableError,
    TransferCancelledError,
    TransferError,
)
from app.models.hub_types import RemoteFile
from app.models.transfer_http import Body, Cut
from app.models.transfer_notes import Note, Param, note

log = logging.getLogger(__name__)

DOUBT = 3  # breaks or stalls in a row before another address is asked for
REFUSALS = 5  # fresh addresses refused in a row before we believe it
RETRY_STATUS = (408, 425, 500, 502, 503, 504)


class Moved(Exception):  # noqa: N818 - a turn of events, not an error
    """The source is another file now: start again."""


class Again(Exception):  # noqa: N818
    """Ask once more, when ``Patience.hold`` lets you."""


class Patience:
    """Backoff shared by the connections of one transfer. Thread-safe."""

    def __init__(self, base: float, limit: float, cancelled: threading.Event) -> None:
        self._base, self._limit, self.cancelled = base, limit, cancelled
        self._lock = threading.Lock()
        self._until = 0.0
        self._failures = 0
        self.note: Note | None = None
        """What is being waited for; None while bytes flow."""
        self.retries = 0
        self.in_vain = 0
        """Breaks and stalls in a row without a byte between them."""

    def hold(self) -> None:
        """Wait as long as asked. Raises TransferCancelledError."""
        while (left := self._until - time.monotonic()) > 0 and not self.cancelled.wait(min(left, 1.0)):
            continue
        if self.cancelled.is_set():
            raise TransferCancelledError

    def flowing(self) -> None:
        """Bytes came."""
        self.in_vain = 0
        if (self._failures or self.note) and time.monotonic() >= self._until:
            self._failures, self.note = 0, None

    def stalled(self, seconds: float) -> None:
        """Nothing came for a while: reconnect at once."""
        self.in_vain += 1
        self.note = note("stalled", seconds=round(seconds, 1))
        log.info("%s", self.note.text)

    def failed(self, code: str, seconds: float | None = None, **params: Param) -> None:
        """Something went wrong (``code`` of ``transfer_notes``): wait longer each time, or as long as asked."""
        with self._lock:
            now = time.monotonic()
            if now < self._until and seconds is None:
                return  # the others fail of the same cause
            self._failures += 1
            self.retries += 1
            self.in_vain += 1
            grown = min(self._limit, self._base * 2.0 ** min(self._failures - 1, 20))
            delay = seconds if seconds is not None else grown * random.uniform(0.5, 1.5)
            self._until = now + delay
            self.note = note(code, seconds=max(1, round(delay)), **params)
            log.info("%s", self.note.text)


class Source:
    """The address of one file, shared by its connections. Thread-safe."""

    def __init__(
        self,
        name: str,
        locate: Callable[[], RemoteFile],
        patience: Patience,
        distrust: Callable[[RemoteFile], None] | None = None,
    ) -> None:
        self.name = name
        self._locate, self._patience, self._distrust = locate, patience, distrust
        self._lock = threading.Lock()
        self._remote: RemoteFile | None = None
        self._etag: str | None = None
        self._generation = self._refused = self._missing = 0

    def current(self) -> tuple[int, RemoteFile]:
        """The address in use and its number, for ``renew``. Raises what ``locate`` raises and time can't heal."""
        with self._lock:
            if self._remote is None:
                self._remote = self._ask()
            return self._generation, self._remote

    def renew(self, generation: int) -> RemoteFile:
        """A fresh address in place of number ``generation``, asked for only once however many need it."""
        with self._lock:
            if generation == self._generation or self._remote is None:
                self._remote, self._etag = self._ask(), None
                self._generation += 1
            return self._remote

    def forget(self) -> None:
        """Ask anew next time."""
        with self._lock:
            self._remote, self._etag = None, None

    def doubt(self) -> None:
        """Nothing comes from this address: say so, and ask for another when it has been in vain some times."""
        with self._lock:
            if self._patience.in_vain < DOUBT or self._remote is None:
                return
            self._patience.in_vain = 0
            remote, self._remote, self._etag = self._remote, None, None
            self._generation += 1
        if self._distrust is not None:
            self._distrust(remote)

    def _ask(self) -> RemoteFile:
        while True:
            self._patience.hold()
            try:
                return self._locate()
            except HubRateLimitedError as error:
                self._patience.failed("busy", float(error.params.get("seconds", 30)))
            except HubServerError as error:
                self._patience.failed("server", status=error.params.get("status", 0))
            except HubUnreachableError as error:
                self._patience.failed("unreachable", host=error.params.get("host", ""))

    def judge(self, body: Body, generation: int, first: int, size: int | None) -> None:
        """Return when the body holds what was asked for (from ``body.first`` on); raise Again, Moved, or an error that
        ends the transfer."""
        if body.status in {200, 206}:
            self._judge_bytes(body, generation, first, size)
        elif body.status in {400, 401, 403}:
            self._refuse(generation)
        elif body.status in {404, 410}:
            self._lost(generation)
        elif body.status == 416:
            self._expect_moved(generation, "the server has fewer bytes than it promised")
        elif body.status == 429 or body.status in RETRY_STATUS:
            self._busy(body)
        else:
            raise HubError(detail=f"HTTP {body.status} for {self.name}")

    def _judge_bytes(self, body: Body, generation: int, first: int, size: int | None) -> None:
        if body.status == 206 and body.first != first:
            raise Cut(f"asked for byte {first}, got {body.first}")
        etag = body.headers.get("ETag")
        changed = etag is not None and self._etag is not None and etag != self._etag
        if changed or (size is not None and body.total is not None and body.total != size):
            self._expect_moved(generation, "the server's copy is not the promised one", fatal=False)
            raise Cut("the server's copy is not the promised one")
        self._etag = etag or self._etag
        self._refused = self._missing = 0

    def _expect_moved(self, generation: int, otherwise: str, fatal: bool = True) -> None:
        with self._lock:
            old = self._remote
        new = self.renew(generation)
        if old is None or new.etag != old.etag or new.size != old.size:
            raise Moved
        if fatal:
            raise TransferError(detail=otherwise)

    def _refuse(self, generation: int) -> None:
        # A signed address has expired; the Hub itself says so if it is more than that.
        self.renew(generation)
        self._refused += 1
        if self._refused > REFUSALS:
            raise HubUnauthorizedError(what=self.name)
        if self._refused > 1:
            self._patience.failed("refused")
        raise Again

    def _lost(self, generation: int) -> None:
        self.renew(generation)
        self._missing += 1
        if self._missing > 1:
            raise HubNotFoundError(what=self.name)
        raise Again

    def _busy(self, body: Body) -> None:
        asked = body.headers.get("Retry-After", "").strip()
        seconds = float(asked) if asked.isdigit() else None
        limited = body.status == 429
        if limited:
            self._patience.failed("busy", seconds if seconds is not None else 30.0)
        else:
            self._patience.failed("server", seconds, status=body.status)
        raise Again
