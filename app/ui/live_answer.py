"""Events of a running answer, from the runtime thread to the GUI thread at most 30 times a second.

The sink only appends to a deque; one timer, running only while an answer is written, empties it. No signal per token:
a slot of 1 ms would hold the event loop at 200 tokens/s.
"""

import gc
from collections import deque
from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer

FRAME_MS = 33


class LiveAnswer(QObject):
    """Hand ``sink`` to whoever produces events; ``deliver`` gets all that came since the last frame, in order."""

    def __init__(self, deliver: Callable[[list[object]], None], parent: QObject) -> None:
        super().__init__(parent)
        self._deliver = deliver
        self._queue: deque[object] = deque()
        self._timer = QTimer(self, interval=FRAME_MS)
        self._timer.timeout.connect(self.flush)

    def start(self) -> None:
        """Events may come from now on (GUI thread)."""
        if not self._timer.isActive():
            # A full garbage collection walks every object of the window: 20 ms and more between two frames. What is
            # there now is left out of it until the answer is written.
            gc.freeze()
            self._timer.start()

    def stop(self) -> None:
        """No more events are expected; what is queued is forgotten (GUI thread)."""
        if self._timer.isActive():
            gc.unfreeze()
        self._timer.stop()
        self._queue.clear()

    @property
    def running(self) -> bool:
        """An answer is being written."""
        return self._timer.isActive()

    def sink(self, event: object) -> None:
        """Any thread."""
        self._queue.append(event)

    def flush(self) -> None:
        """Deliver now (GUI thread)."""
        events = []
        while self._queue:
            events.append(self._queue.popleft())
        if events:
            self._deliver(events)
