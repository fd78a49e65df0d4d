"""From the Bus to the GUI thread: events go into a deque and at most one wake-up is on its way at a time.

Slots run on the GUI thread, in order, at most once per frame; a storm of events costs one wake-up, not one each.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

import shiboken6
from PySide6.QtCore import QObject, Qt, QTimer, Signal

from app.core.events import Bus, Subscription

log = logging.getLogger(__name__)

Event = TypeVar("Event")
FRAME = 0.016


class Bridge(QObject):
    """Subscribe widgets to events of the core."""

    _woken = Signal()

    def __init__(self, bus: Bus, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bus = bus
        self._lock = threading.Lock()
        self._queue: deque[object] = deque()
        self._pending = False
        self._slots: dict[type, list[tuple[Callable[[Any], None], QObject | None]]] = {}
        self._subscriptions: list[Subscription] = []
        self._last = 0.0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self.flush)
        self._woken.connect(self._wake, Qt.ConnectionType.QueuedConnection)

    def on(
        self, kind: type[Event], slot: Callable[[Event], None], owner: QObject | None = None
    ) -> Callable[[], None]:
        """Call ``slot`` on the GUI thread for each event of exactly this type, until the returned function is called
        or ``owner`` is deleted."""
        if kind not in self._slots:
            self._slots[kind] = []
            self._subscriptions.append(self._bus.subscribe(kind, self._note))
        entry = (slot, owner)
        self._slots[kind].append(entry)

        def off() -> None:
            if entry in self._slots.get(kind, []):
                self._slots[kind].remove(entry)

        return off

    def _note(self, event: object) -> None:
        with self._lock:
            self._queue.append(event)
            if self._pending:
                return
            self._pending = True
        try:
            self._woken.emit()
        except RuntimeError:  # the window is gone while a thread still publishes
            log.debug("an event came after the window had closed")

    def _wake(self) -> None:
        wait = self._last + FRAME - time.monotonic()
        if wait <= 0:
            self.flush()
        elif not self._timer.isActive():
            self._timer.start(max(1, round(wait * 1000)))

    def flush(self) -> None:
        """Hand over everything that is waiting now (GUI thread)."""
        with self._lock:
            events, self._queue = self._queue, deque()
            self._pending = False
        self._last = time.monotonic()
        for event in events:
            self._deliver(event)

    def _deliver(self, event: object) -> None:
        for entry in tuple(self._slots.get(type(event), ())):
            slot, owner = entry
            if owner is not None and not shiboken6.isValid(owner):
                self._slots[type(event)].remove(entry)
                continue
            try:
                slot(event)
            except Exception:
                log.exception("a view failed on %s", type(event).__name__)

    def close(self) -> None:
        """Stop listening; what was waiting is dropped."""
        for subscription in self._subscriptions:
            subscription.close()
        self._subscriptions.clear()
        self._slots.clear()
        self._timer.stop()
