"""One download at work: its files one after the other, then into the library."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from app.core.errors import HearthError, InternalError, TransferCancelledError, UnsupportedModelError
from app.core.events import DownloadChanged
from app.core.types import Source
from app.models.downloads_store import Entry, target
from app.models.hub import Hub
from app.models.hub_types import QuantFile, RemoteFile, RemotePart
from app.models.library import Library
from app.models.transfer_disk import allocated, need
from app.models.transfer_hash import sha256_file
from app.models.transfer_sidecar import Sidecar, part_path

if TYPE_CHECKING:
    from app.models.transfer import Options, Progress, Transfer

log = logging.getLogger(__name__)

WINDOW = 5.0  # seconds over which the speed is averaged
SHORTEST = 0.5


class Speed:
    """Bytes per second over the last seconds."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque()

    def forget(self) -> None:
        """What comes next is no progress: bytes of an earlier run are found."""
        self._points.clear()

    def see(self, done: int, now: float) -> float | None:
        """Note a reading; the speed, or None while too little is known."""
        if self._points and done < self._points[-1][1]:
            self._points.clear()  # it started again
        self._points.append((now, done))
        while len(self._points) > 2 and now - self._points[0][0] > WINDOW:
            self._points.popleft()
        first, bytes_then = self._points[0]
        return (done - bytes_then) / (now - first) if now - first >= SHORTEST else None


class Job:
    """A thread that brings one entry home. ``ended`` is called on it, with the error or None, as the last thing."""

    def __init__(
        self,
        entry: Entry,
        models: Path,
        hub: Hub,
        library: Library,
        options: "Options",
        ended: Callable[["Job", HearthError | None], None],
    ) -> None:
        self.entry = entry
        self._models, self._hub, self._library, self._options, self._ended = (
            models,
            hub,
            library,
            options,
            ended,
        )
        self._stop = threading.Event()
        self._transfer: Transfer | None = None
        self.speed = Speed()
        self.verifying = False
        self._thread = threading.Thread(target=self._run, name=f"download {entry.id}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Stop soon; the bytes stay."""
        self._stop.set()
        transfer = self._transfer
        if transfer is not None:
            transfer.cancel()

    def join(self, seconds: float) -> None:
        """Wait for the thread's end."""
        if self._thread is not threading.current_thread():
            self._thread.join(seconds)

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stop.is_set()

    def look(self) -> "tuple[int, Progress | None]":
        """Bytes there in total, and the file under way."""
        transfer = self._transfer
        now = transfer.progress() if transfer else None
        return finished_bytes(self.entry) + (now.done if now else 0), now

    def unallocated(self) -> int:
        """Bytes of room it will still take beyond what its file under way has reserved."""
        missing = sum(part.size for part in self.entry.quant.files if part.name not in self.entry.finished)
        return missing - sum(allocated(part_path(place)) for place in self._places())

    def _places(self) -> list[Path]:
        return [target(self._models, self.entry.quant.repo, part) for part in self.entry.quant.files]

    # ------------------------------------------------------------------ on its thread
    def _run(self) -> None:
        problem: HearthError | None = None
        try:
            self._check_room()
            for part, place in zip(self.entry.quant.files, self._places(), strict=True):
                if part.name not in self.entry.finished:
                    self._one_file(part, place)
            self._adopt()
        except HearthError as error:
            problem = error
        except Exception as error:
            log.exception("the download of %s failed unexpectedly", self.entry.id)
            problem = InternalError(detail=str(error))
        self._ended(self, problem)

    def _check_room(self) -> None:
        need(self._models, self.unallocated(), self._options.free)

    def _one_file(self, part: RemotePart, place: Path) -> None:
        if self._there_already(part, place):
            return
        from app.models.transfer import Transfer  # noqa: PLC0415 - sockets and TLS, 25 ms

        quant = self.entry.quant
        transfer = Transfer(
            place,
            lambda: self._locate(part),
            size=part.size,
            sha256=part.sha256,
            options=self._options,
            distrust=self._hub.distrust,
        )
        self._transfer = transfer
        if self._stop.is_set():
            raise TransferCancelledError
        try:
            result = transfer.run()
        finally:
            self._transfer = None
        if result.revision and result.revision != quant.revision:
            self.entry.revision = result.revision
        self.entry.finished = {**self.entry.finished, part.name: result.sha256}

    def _locate(self, part: RemotePart) -> RemoteFile:
        return self._hub.locate(self.entry.quant.repo, self.entry.quant.revision, part.name)

    def _there_already(self, part: RemotePart, place: Path) -> bool:
        unfinished = place.with_name(place.name + ".part.json").exists()
        if unfinished or part.sha256 is None or not place.is_file() or place.stat().st_size != part.size:
            return False
        self.verifying = True
        same = sha256_file(place, self._go_on) == part.sha256
        self.verifying = False
        if same:
            self.entry.finished = {**self.entry.finished, part.name: part.sha256}
        return same

    def _go_on(self, _count: int) -> None:
        if self._stop.is_set():
            raise TransferCancelledError

    def _adopt(self) -> None:
        quant, places = self.entry.quant, self._places()
        if not places[0].name.lower().endswith(".gguf"):
            return
        source = Source(quant.repo, self.entry.revision or quant.revision, quant.files[0].name)
        hashes = [self.entry.finished.get(part.name) for part in quant.files]
        record = self._library.adopt(places, source, hashes)
        if record.damaged:
            raise UnsupportedModelError(path=record.name, detail=record.damaged)
        self.entry.model = record.id


def owned(quant: QuantFile, library: Library, models: Path) -> str | None:
    """The id of the model in the library that has these very bytes, or None."""
    names = {target(models, quant.repo, part) for part in quant.files}
    hashes = {part.sha256 for part in quant.files}
    for record in library.records():
        there = {Path(file.path) for file in record.files}
        same = None not in hashes and {file.sha256 for file in record.files} == hashes
        sizes = sum(file.bytes for file in record.files) == quant.bytes
        if not record.damaged and sizes and (same or (there == names and None in hashes)):
            return record.id
    return None


def finished_bytes(entry: Entry) -> int:
    """Bytes of the files that are in place."""
    return sum(part.size for part in entry.quant.files if part.name in entry.finished)


def waiting_bytes(entry: Entry, models: Path) -> int:
    """Bytes of an entry nobody works on: whole files, and what the sidecars say of the others."""
    total = finished_bytes(entry)
    for part in entry.quant.files:
        if part.name not in entry.finished:
            side = Sidecar(target(models, entry.quant.repo, part))
            total += side.total if side.load() else 0
    return total


class Place(Struct, frozen=True):
    """One file of a download: where it belongs, and under which name its bytes are now."""

    path: Path
    part: Path
    bytes: int
    done: int
    sha256: str | None = None
    """Of the bytes in place, once they were verified."""

    @property
    def ready(self) -> bool:
        """In place and verified."""
        return self.sha256 is not None


def places(entry: Entry, models: Path) -> tuple[Place, ...]:
    """The files of an entry, in order."""
    found = []
    for part in entry.quant.files:
        path, digest = target(models, entry.quant.repo, part), entry.finished.get(part.name)
        side = Sidecar(path)
        done = part.size if digest else (side.total if side.load() else 0)
        found.append(Place(path, part_path(path), part.size, done, digest))
    return tuple(found)


def live(plain: DownloadChanged, job: Job) -> DownloadChanged:
    """``plain`` with how a job at work stands now."""
    done, now = job.look()
    verifying = job.verifying or (now is not None and now.state == "verifying")
    if now is None or now.state == "starting":
        job.speed.forget()
        speed = None
    else:
        speed = None if verifying else job.speed.see(done, time.monotonic())
    left = (plain.total or 0) - done
    return replace(
        plain,
        state="verifying" if verifying else "running",
        done=done if now else max(done, plain.done),
        speed=speed,
        eta=left / speed if speed else None,
        error=plain.error if now is None or now.state == "starting" else None,
        **(now.note.fields() if now and now.note else {}),
    )
