"""The downloads: a queue with some at a time, kept on disk, that survives whatever stops the program.

One manager thread starts what may run, looks at what runs ten times a second, and publishes DownloadChanged. What only
time or a person can change (a full disk, a licence to accept, another Hearth at work) waits, and goes on by itself.
"""

import logging
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from app.core.errors import (
    DiskFullError,
    HearthError,
    HubGatedError,
    HubUnauthorizedError,
    TransferBusyError,
    TransferCancelledError,
)
from app.core.events import Bus, DownloadChanged, DownloadState, ErrorInfo
from app.core.paths import Paths
from app.core.settings import SettingsStore
from app.models import downloads_store as store
from app.models.downloads_awake import Awake
from app.models.downloads_job import Job, Place, finished_bytes, live, owned, places, waiting_bytes
from app.models.downloads_store import Entry
from app.models.hub import Hub, QuantFile
from app.models.library import Library
from app.models.transfer_disk import MARGIN, free_space
from app.models.transfer_net import Net
from app.models.transfer_notes import note
from app.models.transfer_sidecar import FileLock, Sidecar, part_path
from app.models.transfer_throttle import Limiter, allowed

if TYPE_CHECKING:
    from app.models.transfer import Options

log = logging.getLogger(__name__)

TICK: Final = 0.1
CLOSE_LIMIT: Final = 1.0
WORTHWHILE: Final = 256 * 1024 * 1024  # free bytes for which a full disk is tried again
UNDER_WAY: Final[tuple[DownloadState, ...]] = ("queued", "running", "waiting", "verifying")
ENDED: Final = ("done", "cancelled")
ACCESS: Final = (HubGatedError.code, HubUnauthorizedError.code)
ASK_AGAIN: dict[type[HearthError], float] = {
    # Seconds after which what waits is tried again.
    DiskFullError: 2.0,
    HubGatedError: 30.0,
    HubUnauthorizedError: 30.0,
    TransferBusyError: 2.0,
}


class Downloads:
    """The queue. Thread-safe; constructing it touches nothing."""

    def __init__(
        self,
        paths: Paths,
        hub: Hub,
        library: Library,
        bus: Bus,
        settings: SettingsStore,
        options: "Options | None" = None,
    ) -> None:
        self._paths, self._hub, self._library, self._bus, self._settings = paths, hub, library, bus, settings
        self._options = options
        self._limiter = Limiter(lambda: self._settings.value.downloads.speed_limit * 1000)
        self._awake = Awake()
        self._lock = threading.RLock()
        self._entries: dict[str, Entry] = {}
        self._jobs: dict[str, Job] = {}
        self._again: dict[str, float] = {}
        self._resting: dict[str, int] = {}
        self._last: dict[str, DownloadChanged] = {}
        self._wake = threading.Event()
        self._closing = False
        self._open = True  # the hours set allow downloads now
        self._manager: threading.Thread | None = None
        self._queue_lock: FileLock | None = None
        self.ask_again = dict(ASK_AGAIN)

    # ------------------------------------------------------------------ life
    def start(self, resume: bool = True) -> None:
        """Start the manager. ``resume``: go on with what an earlier start left (only one process at a time does)."""
        with self._lock:
            if self._manager is not None or self._closing:
                return
            if resume:
                self._load()
            self._manager = threading.Thread(target=self._manage, name="downloads", daemon=True)
            self._wake.set()  # what was queued before goes on at once
            self._manager.start()

    def close(self) -> None:
        """Stop everything within a second and keep the bytes; the next start goes on."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
            jobs = list(self._jobs.values())
            self._save()
        self._wake.set()
        for job in jobs:
            job.stop()
        until = time.monotonic() + CLOSE_LIMIT
        for job in jobs:
            job.join(max(0.0, until - time.monotonic()))
        if self._manager is not None:
            self._manager.join(CLOSE_LIMIT)
        if self._queue_lock is not None:
            self._queue_lock.release()

    @property
    def _file(self) -> Path:
        return self._paths.data / "downloads.json"

    def _load(self) -> None:
        try:
            self._queue_lock = FileLock(self._paths.data / "downloads.lock")
        except OSError as error:
            log.info("the download queue can't be locked: %s", error)
            return
        if not self._queue_lock.held:
            log.info("another Hearth keeps the download queue; here only new downloads run")
            return
        for entry in store.read(self._file):
            if entry.id not in self._entries and entry.state not in ENDED:
                if entry.state in {"running", "verifying", "waiting"}:
                    entry.state = "queued"
                self._entries[entry.id] = entry
                self._rest(entry)
                self._publish(entry)

    def _save(self) -> None:
        if self._queue_lock is not None and self._queue_lock.held:
            store.write(self._file, [entry for entry in self._entries.values() if entry.state not in ENDED])

    # ------------------------------------------------------------------ what a person asks
    def enqueue(self, quant: QuantFile) -> str:
        """Download this; the same thing twice is one download. What the library has is done at once. Returns its id.
        Raises UsageError for file names that lead astray."""
        for part in quant.files:
            store.target(self._paths.models, quant.repo, part)
        model = owned(quant, self._library, self._paths.models)
        with self._lock:
            known = self._entries.get(quant.id)
            if known is not None and known.state not in ENDED:
                if known.state in {"paused", "failed"}:
                    self._requeue(known)
                return known.id
            entry = Entry(quant, time.time(), "done" if model else "queued", model=model)
            self._entries.pop(quant.id, None)
            self._entries[quant.id] = entry
            self._rest(entry)
            self._changed(entry)
        return quant.id

    def pause(self, download: str) -> None:
        """Stop it for now and keep the bytes."""
        self._halt(download, "paused", UNDER_WAY)

    def resume(self, download: str) -> None:
        """Go on with a paused one, or try a waiting one now."""
        self._go_on(download, ("paused", "waiting", "failed"))

    def retry(self, download: str) -> None:
        """Try a failed or cancelled one again."""
        self._go_on(download, ("failed", "cancelled", "paused", "waiting"))

    def _go_on(self, download: str, when: tuple[DownloadState, ...]) -> None:
        with self._lock:
            if (entry := self._entries.get(download)) is not None and entry.state in when:
                self._requeue(entry)

    def cancel(self, download: str) -> None:
        """Give it up: the bytes that are not a whole verified file are deleted."""
        entry = self._halt(download, "cancelled", (*UNDER_WAY, "paused", "failed"))
        if entry is not None:
            self._delete_rest(entry)

    def remove(self, download: str) -> None:
        """Take it off the list; one that is not done is given up first."""
        self.cancel(download)
        with self._lock:
            self._entries.pop(download, None)
            self._last.pop(download, None)
            self._save()

    def move(self, download: str, before: str | None) -> None:
        """Put it before another one of the queue, or at the end (None)."""
        with self._lock:
            entry = self._entries.pop(download, None)
            if entry is None:
                return
            order = list(self._entries.items())
            at = next((n for n, (key, _) in enumerate(order) if key == before), len(order))
            self._entries = dict([*order[:at], (download, entry), *order[at:]])
            self._save()

    def pause_all(self) -> None:
        """Pause whatever runs or waits."""
        for download in list(self._entries):
            self.pause(download)

    def resume_all(self) -> None:
        """Go on with whatever is paused."""
        for row in self.snapshots():
            self.resume(row.id)

    def retry_all(self) -> None:
        """Try whatever failed again."""
        for row in [row for row in self.snapshots() if row.state == "failed"]:
            self.retry(row.id)

    def cancel_all(self) -> None:
        """Give up whatever is not done."""
        for row in self.snapshots():
            self.cancel(row.id)

    def access_changed(self) -> None:
        """A licence may have been accepted, or somebody signed in: what waits for that is tried now."""
        for row in self.snapshots():
            if row.state == "waiting" and row.error is not None and row.error.code in ACCESS:
                self.resume(row.id)

    def places(self, download: str) -> tuple[Place, ...]:
        """Where a download's files are or will be, in order."""
        with self._lock:
            entry = self._entries.get(download)
        return () if entry is None else places(entry, self._paths.models)

    def snapshots(self) -> tuple[DownloadChanged, ...]:
        """Every download in the queue's order."""
        with self._lock:
            return tuple(self._snapshot(entry) for entry in self._entries.values())

    # ------------------------------------------------------------------ transitions (the lock is held)
    def _requeue(self, entry: Entry) -> None:
        entry.state, entry.error = "queued", None
        self._again.pop(entry.id, None)
        self._changed(entry)

    def _halt(self, download: str, state: DownloadState, when: tuple[DownloadState, ...]) -> Entry | None:
        with self._lock:
            entry = self._entries.get(download)
            if entry is None or entry.state not in when:
                return None
            entry.state, entry.error = state, None
            self._again.pop(download, None)
            job = self._jobs.get(download)
        if job is not None:
            job.stop()
            job.join(CLOSE_LIMIT)
        with self._lock:
            self._rest(entry)
            self._changed(entry)
        return entry

    def _changed(self, entry: Entry) -> None:
        self._save()
        self._publish(entry)
        self._wake.set()

    def _rest(self, entry: Entry) -> None:
        self._resting[entry.id] = waiting_bytes(entry, self._paths.models)

    def _delete_rest(self, entry: Entry) -> None:
        for part in entry.quant.files:
            place = store.target(self._paths.models, entry.quant.repo, part)
            try:
                if part_path(place).exists() and (lock := FileLock(part_path(place))).held:
                    part_path(place).unlink(missing_ok=True)
                    Sidecar(place).remove()
                    lock.release()
            except OSError as error:
                log.info("%s stays on the disk: %s", part_path(place), error)
        with self._lock:
            self._rest(entry)

    # ------------------------------------------------------------------ the manager
    def _manage(self) -> None:
        while not self._closing:
            self._wake.wait(TICK if self._jobs or self._again else 5.0)
            self._wake.clear()
            try:
                self._tick()
            except Exception:
                log.exception("the download queue stumbled")
        self._awake.set(False)

    def _tick(self) -> None:
        now = time.monotonic()
        with self._lock:
            for download in [key for key, when in self._again.items() if when <= now]:
                self._again.pop(download)
                entry = self._entries.get(download)
                if entry is not None and entry.state == "waiting":
                    self._ask_again(entry, now)
            self._open = allowed(self._settings.value.downloads.hours, datetime.now())
            if self._open:
                self._start_some()
            for job in list(self._jobs.values()):
                if not self._open:
                    job.stop()
                self._publish(job.entry)
            at_work = bool(self._jobs)
        self._awake.set(at_work and self._settings.value.downloads.keep_awake)

    def _ask_again(self, entry: Entry, now: float) -> None:
        left = entry.quant.bytes - self._resting.get(entry.id, 0)
        full = entry.error is not None and entry.error.code == DiskFullError.code
        free = self._options.free if self._options else free_space
        if full and free(self._paths.models) < min(left, WORTHWHILE) + MARGIN:
            self._again[entry.id] = now + self.ask_again[DiskFullError]
        else:
            entry.state = "queued"  # what it waited for stays shown until it is known better

    def _start_some(self) -> None:
        room = self._settings.value.downloads.parallel - len(self._jobs)
        for entry in self._entries.values():
            if room <= 0 or self._closing:
                return
            if entry.state == "queued" and entry.id not in self._jobs:
                room -= 1
                options = self._job_options()
                job = Job(entry, self._paths.models, self._hub, self._library, options, self._ended)
                self._jobs[entry.id] = job
                entry.state = "running"
                job.start()

    def _job_options(self) -> "Options":
        # What the others will still take is not free for this one.
        promised = sum(job.unallocated() for job in self._jobs.values())
        options = self._options or self._chosen_options()
        free = options.free
        return replace(options, free=lambda folder: free(folder) - promised, throttle=self._limiter)

    def _chosen_options(self) -> "Options":
        from app.models.transfer import Options  # noqa: PLC0415 - sockets and TLS, 25 ms

        chosen, hub = self._settings.value.downloads, self._settings.value.hub
        net = Net(proxy=hub.proxy, ca_file=hub.ca_file)
        return Options(net=net, connections=chosen.connections, method=chosen.method)

    def _ended(self, job: Job, error: HearthError | None) -> None:
        entry = job.entry
        with self._lock:
            self._jobs.pop(entry.id, None)
            self._rest(entry)
            if error is None:
                entry.state, entry.error = "done", None
            elif isinstance(error, TransferCancelledError) or job.stopping:
                if entry.state == "running":
                    entry.state = "queued"
            else:
                self._settle(entry, error)
            if not self._closing:
                self._changed(entry)
            else:
                self._save()

    def _settle(self, entry: Entry, error: HearthError) -> None:
        log.info("%s: %s", entry.id, error)
        entry.error = ErrorInfo(error.code, error.message, error.params)
        seconds = self.ask_again.get(type(error))
        entry.state = "failed" if seconds is None else "waiting"
        if seconds is not None:
            self._again[entry.id] = time.monotonic() + seconds

    # ------------------------------------------------------------------ telling
    def _publish(self, entry: Entry) -> None:
        snapshot = self._snapshot(entry)
        if self._last.get(entry.id) != snapshot:
            self._last[entry.id] = snapshot
            self._bus.publish(snapshot)

    def _snapshot(self, entry: Entry) -> DownloadChanged:
        quant, job = entry.quant, self._jobs.get(entry.id)
        plain = DownloadChanged(
            id=entry.id,
            repo=quant.repo,
            file=quant.files[0].name,
            state=entry.state,
            total=quant.bytes,
            done=quant.bytes if entry.state == "done" else self._resting.get(entry.id, finished_bytes(entry)),
            error=entry.error,
            quant=quant.quant,
            added_at=entry.added_at,
            model=entry.model,
        )
        if entry.state == "queued" and not self._open:
            hours = self._settings.value.downloads.hours.strip()
            return replace(plain, **note("hours", hours=hours).fields())
        return plain if job is None or entry.state != "running" else live(plain, job)
