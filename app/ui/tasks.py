"""Work off the GUI thread: a callable runs on a pool of four, or, where it may take minutes, on a thread of its own;
its result comes back on the GUI thread.

The result is dropped when the task was cancelled or the widget that asked is gone. What changes something is given an
``order``: of two quick changes the second is then never overtaken by the first. ``close`` joins the threads.
"""

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import shiboken6
from PySide6.QtCore import QObject, Qt, Signal

if TYPE_CHECKING:
    from concurrent.futures import Future

log = logging.getLogger(__name__)

T = TypeVar("T")
SIZE = 4
Done = Callable[[Any], None] | None


class Task(Generic[T]):
    """A piece of work under way. ``cancelled`` may be read by the work itself to stop early."""

    def __init__(
        self,
        work: Callable[[], T],
        done: Callable[[T], None] | None,
        failed: Callable[[Exception], None] | None,
        owner: QObject | None,
        order: Hashable = None,
        *,
        long: bool = False,
    ) -> None:
        self.work, self.done, self.failed, self.owner, self.order = work, done, failed, owner, order
        self.long = long
        self.cancelled = False
        self.value: T | None = None
        self.error: Exception | None = None

    def cancel(self) -> None:
        """Drop the result; work that has not begun never does."""
        self.cancelled = True

    def compute(self) -> None:
        """Run the work (pool thread)."""
        try:
            self.value = self.work()
        except Exception as error:  # noqa: BLE001 - handed to whoever asked
            self.error = error

    def deliver(self) -> None:
        """Tell who asked (GUI thread)."""
        if self.cancelled or (self.owner is not None and not shiboken6.isValid(self.owner)):
            return
        if self.error is None:
            if self.done is not None:
                self.done(self.value)  # type: ignore[arg-type]
        elif self.failed is not None:
            self.failed(self.error)
        else:
            log.error("background work failed", exc_info=self.error)


class Pool(QObject):
    """Four threads, started when first needed."""

    _finished = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._waiting: queue.SimpleQueue[Task[Any] | None] = queue.SimpleQueue()
        self._done: deque[Task[Any]] = deque()
        self._threads: list[threading.Thread] = []
        self._own: list[threading.Thread] = []
        """Those of long tasks, and some that have ended."""
        self._behind: dict[Hashable, deque[Task[Any]]] = {}
        """What waits for an earlier task of its order; the thread that runs that one goes on with it."""
        self._lock = threading.Lock()
        self._closed = False
        self._finished.connect(self._deliver, Qt.ConnectionType.QueuedConnection)

    def put(self, task: Task[Any]) -> None:
        """Queue a task."""
        if self._closed:
            task.cancel()
            return
        if task.order is not None:
            with self._lock:
                behind = self._behind.get(task.order)
                if behind is not None:
                    behind.append(task)
                    return
                self._behind[task.order] = deque()
        if task.long:
            self._run_alone(task)
            return
        if len(self._threads) < SIZE:
            self._start_thread()
        self._waiting.put(task)

    def _start_thread(self) -> None:
        name = f"hearth-task-{len(self._threads)}"
        # Daemon: a request that hangs must not keep the program from ending.
        thread = threading.Thread(target=self._loop, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _run_alone(self, task: Task[Any]) -> None:
        thread = threading.Thread(target=self._run, args=(task,), name="hearth-task-long", daemon=True)
        with self._lock:
            self._own = [own for own in self._own if own.is_alive()]
            thread.start()
            self._own.append(thread)

    def _loop(self) -> None:
        while (task := self._waiting.get()) is not None:
            # Its result (a photo's pixels) and what its work holds are not kept until the next one comes.
            one = [task]
            del task
            self._run(one.pop())

    def _run(self, task: Task[Any] | None) -> None:
        """The task, and those of its order that were put meanwhile."""
        while task is not None:
            order = task.order
            if not task.cancelled:
                task.compute()
                self.hand_over(task)
            task = self._next(order)

    def _next(self, order: Hashable) -> Task[Any] | None:
        """The task that waited for the one of its order that has just ended."""
        with self._lock:
            behind = self._behind.get(order)
            if behind:
                return behind.popleft()
            self._behind.pop(order, None)
            return None

    def hand_over(self, task: Task[Any]) -> None:
        """Have a computed task delivered on the GUI thread (any thread); after the end nobody waits for it."""
        if self._closed:
            return
        self._done.append(task)
        try:
            self._finished.emit()
        except RuntimeError:
            log.debug("a result came after the window had closed")

    def _deliver(self) -> None:
        while self._done and not self._closed:
            task = self._done.popleft()
            try:
                task.deliver()
            except Exception:
                log.exception("a view failed on a result")

    def close(self, timeout: float = 3.0) -> None:
        """Drop what waits, but for changes (they have an order), tell the threads to end, and wait for them at most
        ``timeout`` seconds."""
        self._closed = True
        waiting = []
        with suppress(queue.Empty):
            while True:
                waiting.append(self._waiting.get_nowait())
        for task in waiting:
            if task is not None and task.order is not None:
                self._waiting.put(task)
        for _ in self._threads:
            self._waiting.put(None)
        end = time.monotonic() + timeout
        for thread in (*self._threads, *self._own):
            thread.join(max(0.0, end - time.monotonic()))
        self._done.clear()


_pool: Pool | None = None


def _the_pool() -> Pool:
    global _pool
    if _pool is None:
        _pool = Pool()
    return _pool


def run(
    work: Callable[[], T],
    done: Callable[[T], None] | None = None,
    failed: Callable[[Exception], None] | None = None,
    owner: QObject | None = None,
    *,
    order: Hashable = None,
    long: bool = False,
) -> Task[T]:
    """Run ``work`` on the pool; then ``done(result)`` or ``failed(error)`` on the GUI thread, unless the task was
    cancelled or ``owner`` was deleted. Without ``failed`` an error is logged. Tasks with the same ``order`` (what they
    change) run one after the other, as they were put. What may take minutes is ``long``: it holds none of the four
    threads that everything else needs."""
    task = Task(work, done, failed, owner, order, long=long)
    _the_pool().put(task)
    return task


def watch(
    future: "Future[T]",
    done: Callable[[T], None] | None = None,
    failed: Callable[[Exception], None] | None = None,
    owner: QObject | None = None,
) -> Task[T]:
    """The same for a future some service returned."""
    task = Task(future.result, done, failed, owner)
    pool = _the_pool()

    def hand_over(finished: "Future[T]") -> None:
        if finished.cancelled():
            return
        task.compute()
        pool.hand_over(task)

    future.add_done_callback(hand_over)
    return task


def close(timeout: float = 3.0) -> None:
    """End the pool; the next ``run`` makes a new one."""
    global _pool
    if _pool is not None:
        _pool.close(timeout)
        _pool = None
