"""The lab's jobs: one after the other, kept on disk, told on the Bus as ``LabItem`` snapshots.

A thread lives only while something runs. Pausing ends the job's process and frees its memory: a matrix and a
measurement go on from what they kept, a quantization begins again.
"""

import errno
import logging
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from app.core.errors import HearthError, LabDiskFullError, ReadOnlyError, TargetTakenError
from app.core.events import Bus, ErrorInfo
from app.optimize.orders import ENDED, MAKING, JobState, LabItem, Order, Result, Stage

log = logging.getLogger(__name__)

KEPT = 200
"""So many ended jobs stay in the list."""


class Step(Struct, frozen=True):
    """Where a job stands: see ``LabItem``."""

    stage: Stage
    about: str = ""
    done: int = 0
    total: int = 0
    step: int = 0
    steps: int = 1
    crashed: str = ""


Tell = Callable[[Step], None]
Do = Callable[[Order, Tell, threading.Event], Result]
"""Does an order (see ``optimize.work``). Raises HearthError, OSError, or anything once the event is set."""


class LabQueue:
    """Thread-safe; constructing it touches nothing."""

    def __init__(self, file: Path, bus: Bus, do: Do) -> None:
        self._file, self._bus, self._do = file, bus, do
        self._lock = threading.RLock()
        self._items: dict[str, LabItem] | None = None
        self._thread: threading.Thread | None = None
        self._cancel = threading.Event()
        self._running, self._becomes = "", "paused"
        self._closed = False

    # ------------------------------------------------------------------ reading

    def snapshots(self) -> tuple[LabItem, ...]:
        """Every job in the queue's order."""
        with self._lock:
            return tuple(self._all().values())

    def get(self, key: str) -> LabItem | None:
        """One job."""
        with self._lock:
            return self._all().get(key)

    def busy(self) -> bool:
        """Whether something runs or waits to."""
        return any(item.state in {"running", "queued"} for item in self.snapshots())

    def _all(self) -> dict[str, LabItem]:
        if self._items is None:
            self._items = {item.id: item for item in self._read()}
        return self._items

    def _read(self) -> list[LabItem]:
        try:
            items = msgspec.json.decode(self._file.read_bytes(), type=list[LabItem])
        except FileNotFoundError:
            return []
        except (OSError, msgspec.MsgspecError) as error:
            log.info("the lab's queue can't be read and begins anew: %s", error)
            return []
        return [_after_restart(item) for item in items]

    # ------------------------------------------------------------------ asking

    def submit(self, *orders: Order) -> tuple[LabItem, ...]:
        """Put jobs at the end. Raises TargetTakenError when a file is being written already."""
        now = time.time()
        with self._lock:
            items = [LabItem(id=uuid.uuid4().hex[:12], order=order, added_at=now) for order in orders]
            self._refuse_doubles(orders)
            for item in items:
                self._put(item)
            self._keep()
            self._wake()
        return tuple(items)

    def _refuse_doubles(self, orders: Sequence[Order]) -> None:
        waiting = [item.order for item in self._all().values() if item.state not in ENDED]
        taken = {order.target for order in waiting if isinstance(order, MAKING)}
        for order in orders:
            if isinstance(order, MAKING):
                if order.target in taken:
                    raise TargetTakenError(file=Path(order.target).name)
                taken.add(order.target)

    def pause(self, key: str) -> None:
        """Stop a job for now; what it kept is used when it goes on."""
        self._end(key, "paused")

    def cancel(self, key: str) -> None:
        """Give a job up; nothing half stays."""
        self._end(key, "cancelled")

    def resume(self, key: str) -> None:
        """Let a paused, failed or cancelled job run. Raises TargetTakenError as ``submit`` does."""
        with self._lock:
            item = self._all().get(key)
            if item is None or item.state not in {"paused", "failed", "cancelled"}:
                return
            if item.state != "paused":
                self._refuse_doubles([item.order])
            self._put(_fresh(item))
            self._keep()
            self._wake()

    def move(self, key: str, before: str | None) -> None:
        """Put a job before another one (None: at the end)."""
        with self._lock:
            items = self._all()
            if key not in items or key == before:
                return
            moved = items.pop(key)
            order = list(items.values())
            at = next((at for at, item in enumerate(order) if item.id == before), len(order))
            order.insert(at, moved)
            self._items = {item.id: item for item in order}
            self._keep()
        self._bus.publish(moved)

    def remove(self, key: str) -> None:
        """Take an ended or paused job off the list; its result stays."""
        with self._lock:
            item = self._all().get(key)
            if item is not None and item.state not in {"running", "queued"}:
                del self._all()[key]
                self._keep()

    def close(self) -> None:
        """Stop what runs (it is paused, and there again next time) and wait for it. Idempotent."""
        with self._lock:
            self._closed = True
            thread, self._becomes = self._thread, "paused"
            self._cancel.set()
        if thread is not None:
            thread.join()

    # ------------------------------------------------------------------ working

    def _end(self, key: str, state: JobState) -> None:
        with self._lock:
            item = self._all().get(key)
            if item is None or item.state in ENDED:
                return
            if key == self._running:
                self._becomes = state
                self._cancel.set()
            elif item.state != state:
                self._put(replace(item, state=state, interrupted=False))
                self._keep()

    def _wake(self) -> None:
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._run, name="hearth-lab", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while (item := self._next()) is not None:
            started = time.monotonic()
            ended = self._work(item)
            with self._lock:
                self._running = ""
                spent = item.seconds + time.monotonic() - started
                self._put(replace(ended, seconds=round(spent, 1)))
                self._keep()

    def _next(self) -> LabItem | None:
        with self._lock:
            waiting = next((item for item in self._all().values() if item.state == "queued"), None)
            if waiting is None or self._closed:
                self._thread = None
                return None
            self._cancel, self._running, self._becomes = threading.Event(), waiting.id, "paused"
            item = replace(waiting, state="running")
            self._put(item)
            self._keep()
            return item

    def _work(self, item: LabItem) -> LabItem:
        def tell(step: Step) -> None:
            if not self._cancel.is_set():
                now = self._all()[item.id]
                said = msgspec.structs.asdict(step) | {"crashed": step.crashed or now.crashed}
                self._put(replace(now, **said))

        try:
            return replace(_plain(item), state="done", result=self._do(item.order, tell, self._cancel))
        except Exception as error:
            if self._cancel.is_set():
                return replace(_plain(item), state=self._becomes, interrupted=self._closed)
            if not isinstance(error, HearthError | OSError):
                log.exception("a job of the lab failed")
            return replace(_plain(item), state="failed", error=_info(error))

    def _put(self, item: LabItem) -> None:
        with self._lock:
            self._all()[item.id] = item
            self._bus.publish(item)

    def _keep(self) -> None:
        items = self._all()
        ended = [key for key, item in items.items() if item.state in ENDED]
        for key in ended[: max(0, len(ended) - KEPT)]:
            del items[key]
        part = self._file.with_name(self._file.name + ".part")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(msgspec.json.encode(list(items.values())))
            part.replace(self._file)
        except OSError as error:
            log.info("the lab's queue can't be kept: %s", ReadOnlyError(path=str(error.filename)))


def _plain(item: LabItem) -> LabItem:
    """Without where it stands."""
    return replace(
        item, stage="", about="", done=0, total=0, step=0, steps=1, crashed="", error=None, interrupted=False
    )


def _fresh(item: LabItem) -> LabItem:
    return replace(_plain(item), state="queued", result=None)


def _after_restart(item: LabItem) -> LabItem:
    if item.state not in {"running", "queued"}:
        return item
    return replace(_plain(item), state="paused", interrupted=True)


def _info(error: Exception) -> ErrorInfo:
    if isinstance(error, HearthError):
        return ErrorInfo(error.code, str(error), dict(error.params))
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        full = LabDiskFullError(path=str(error.filename or ""), missing="some MB")
        return ErrorInfo(full.code, str(full), dict(full.params))
    if isinstance(error, OSError):
        return ErrorInfo("read_only", str(error), {"path": str(error.filename or "")}, details=str(error))
    return ErrorInfo("internal", str(error), {"detail": str(error)}, details=repr(error))
