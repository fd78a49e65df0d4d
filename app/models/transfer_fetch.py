"""The connections of one transfer: they fetch what is missing of a file and write it where it belongs.

Plain HTTP by Range, or Xet's streams; both fill the same parts, so that one can go on where the other stopped.
"""

import http.client
import logging
import threading
import time
from collections.abc import Callable
from io import FileIO
from pathlib import Path

from msgspec import Struct

from app.core.errors import TransferCancelledError
from app.models.hub_types import RemoteFile
from app.models.transfer_disk import disk_error, free_space
from app.models.transfer_http import Body, Wire
from app.models.transfer_net import Net
from app.models.transfer_parts import Part, Parts
from app.models.transfer_sidecar import Sidecar
from app.models.transfer_source import Again, Moved, Patience, Source
from app.models.transfer_xet import (
    FAILURES,
    LONGEST,
    PLAIN_LIMIT,
    SHORTEST,
    STALL_FACTOR,
    Method,
    XetSource,
    wanted,
)

log = logging.getLogger(__name__)

BUFFER = 1024 * 1024
NOTED = 1024 * 1024  # bytes of one part between two notes in the sidecar
TICK = 0.1


class Options(Struct, frozen=True):
    """How to transfer; the defaults are the program's, tests shorten the times and break the disk."""

    net: Net = Net()
    connections: int = 4
    method: Method = "auto"
    backoff: float = 0.5
    """Seconds before the first retry; doubles up to ``backoff_limit``."""
    backoff_limit: float = 60.0
    sync_every: float = 5.0
    """Seconds between two flushes of the data to the disk."""
    durable: bool = True
    """Flush to the disk after the rename, before ``run`` returns."""
    free: Callable[[Path], int] = free_space
    write: Callable[[FileIO, memoryview], int | None] = FileIO.write
    throttle: Callable[[int, threading.Event], None] | None = None
    """Called with the bytes of each piece and the cancel event; sleeps to keep a speed limit."""


class Fetcher:
    """Fetches what the sidecar lacks. ``arrived`` is called whenever bytes are in the file."""

    def __init__(self, side: Sidecar, source: Source, patience: Patience, options: Options) -> None:
        self._side, self._source, self._patience, self._options = side, source, patience, options
        self._cancelled = patience.cancelled
        self._parts = Parts(side)
        self._wire = Wire(options.net)
        self._xet = XetSource()
        self._xet_failures = 0
        self._plain = bool(options.net.proxy or options.net.ca_file)
        """Plain HTTP where that is allowed: Xet failed too often here, or it would not go the way that was set (hf_xet
        knows the environment's proxy and the system's certificates only)."""
        self._fatal: BaseException | None = None
        self.seams: set[int] = set()
        """Where answers began and connections broke."""
        self.arrived: Callable[[], None] = lambda: None

    def cancel(self) -> None:
        """End every connection; ``run`` then raises TransferCancelledError."""
        self._wire.cancel()
        self._xet.cancel()

    def close(self) -> None:
        """Close what is idle."""
        self._wire.close()

    def run(self) -> None:
        """Until nothing is missing. Raises what nobody can wait out, and Moved."""
        self._fatal = None
        single = not self._parts.single
        while single != self._parts.single:  # again, when the server turned out to ignore Range
            single = self._parts.single
            self._run_threads()
            if self._fatal is not None:
                raise self._fatal

    def _run_threads(self) -> None:
        count = self._parts.count(self._options.connections)
        threads = [
            threading.Thread(target=self._work, name=f"transfer-{n}", daemon=True) for n in range(count)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive() and not self._cancelled.is_set():
                thread.join(TICK)
                self._xet.end_stalled(self._options.net.stall * STALL_FACTOR)
        until = time.monotonic() + TICK
        for thread in threads:
            # The system's look-up of a name may last longer; that thread then finds itself cancelled.
            thread.join(max(0.0, until - time.monotonic()))
        if self._cancelled.is_set():
            raise TransferCancelledError

    def _work(self) -> None:
        single = self._parts.single
        try:
            while self._fatal is None and single == self._parts.single and not self._cancelled.is_set():
                part = self._parts.take()
                if part is None:
                    return
                self._try_part(part)
        except BaseException as error:  # noqa: BLE001 - it is raised on the thread that called ``run``
            self._fatal = self._fatal or error
            self._wire.interrupt()
            self._xet.interrupt()

    def _try_part(self, part: Part) -> None:
        started, first = time.monotonic(), part.position
        self.seams.add(first)
        try:
            self._patience.hold()
            self._fetch(part)
        except Again:
            pass
        except TimeoutError:
            self._xet_trouble()
            self._patience.stalled(self._options.net.stall)
            self._source.doubt()
        except (OSError, http.client.HTTPException) as error:
            if not self._cancelled.is_set():
                self._xet_trouble()
                log.info("%s: %r", self._source.name, error)
                self._patience.failed("broken")
                self._source.doubt()
        finally:
            self.seams.add(part.position)
            self._parts.give_back(part, part.position - first, time.monotonic() - started)

    def _fetch(self, part: Part) -> None:
        generation, remote = self._source.current()
        if remote.etag != self._side.facts.etag:
            raise Moved
        if wanted(remote, self._method(remote)):
            self._fetch_xet(remote, part)
        else:
            self._fetch_http(generation, remote, part)

    def _method(self, remote: RemoteFile) -> Method:
        replaceable = self._options.method == "auto" and (remote.size or 0) <= PLAIN_LIMIT
        return "http" if replaceable and self._plain else self._options.method

    def _xet_trouble(self) -> None:
        self._xet_failures += 1
        self._plain = self._plain or self._xet_failures >= FAILURES

    def _fetch_xet(self, remote: RemoteFile, part: Part) -> None:
        with self._open(part) as file:

            def take(block: bytes) -> bool:
                first, piece = part.position, memoryview(block)[: self._parts.room(part)]
                self._store(file, piece, part)
                self._jot(first, part.position)
                self._slow_down(len(piece))
                return self._goes_on(part)

            while self._goes_on(part):
                step = int(min(max(self._parts.speed, SHORTEST), LONGEST))
                self._xet.receive(remote, part.position, min(part.end, part.position + step), take)

    def _fetch_http(self, generation: int, remote: RemoteFile, part: Part) -> None:
        size = self._side.facts.size
        whole = size is None or self._parts.single or (not part.position and part.end >= size)
        first, end = (0, None) if whole else (part.position, part.end)
        body = self._wire.get(remote.url, remote.headers, first, end)
        try:
            self._source.judge(body, generation, first, size)
            if body.status == 200 and not whole:
                self._parts.single = True  # it ignores Range
                return
            self._receive(body, part)
        finally:
            body.close()

    def _goes_on(self, part: Part) -> bool:
        return self._parts.room(part) > 0 and self._fatal is None and not self._cancelled.is_set()

    def _slow_down(self, count: int) -> None:
        if self._options.throttle is not None:
            self._options.throttle(count, self._cancelled)

    def _receive(self, body: Body, part: Part) -> None:
        buffer = memoryview(bytearray(BUFFER))
        skip = part.position - body.first  # without Range a body begins at 0, over what is there already
        with self._open(part) as file:
            noted = part.position
            try:
                while (
                    (room := self._parts.room(part)) and self._fatal is None and not self._cancelled.is_set()
                ):
                    count = body.read_into(buffer[: room + skip])
                    if not count:
                        self._side.know_size(part.position)
                        break
                    dropped = min(skip, count)
                    skip -= dropped
                    self._store(file, buffer[dropped:count], part)
                    if part.position - noted >= NOTED:
                        noted = self._jot(noted, part.position)
                    self._slow_down(count)
            finally:
                self._jot(noted, part.position)

    def _store(self, file: FileIO, piece: memoryview, part: Part) -> None:
        written = 0
        try:
            while written < len(piece):
                written += self._options.write(file, piece[written:]) or 0
        except OSError as error:
            raise self._disk_error(error) from error
        first, part.position = part.position, part.position + written
        self._side.add(first, part.position)
        self._patience.flowing()
        self._xet_failures = 0
        self.arrived()

    def _jot(self, first: int, end: int) -> int:
        if end > first:
            try:
                self._side.append(first, end)
            except OSError as error:
                raise self._disk_error(error) from error
        return end

    def _open(self, part: Part) -> FileIO:
        try:
            file = FileIO(self._side.part, "r+")
            file.seek(part.position)
        except OSError as error:
            raise self._disk_error(error) from error
        return file

    def _disk_error(self, error: OSError) -> Exception:
        return disk_error(error, self._side.part, (self._side.facts.size or 0) - self._side.total)
