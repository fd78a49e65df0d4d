"""Commands on their way to a worker. Writing to a pipe can block while the worker is busy; a small thread of its own
waits for that, so that the runtime thread always reads and the two processes never wait for each other."""

import os
import threading
from queue import SimpleQueue
from typing import Any

from app.runtime.channel import send_with
from app.runtime.protocol import Command, encode


class Outbox:
    """One per worker. ``close`` ends the thread."""

    def __init__(self, pipe: Any, pid: int) -> None:
        self._pipe = pipe
        self._queue: SimpleQueue[tuple[Command, int] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"outbox-{pid}", daemon=True)
        self._thread.start()

    def put(self, command: Command, handle: int = -1) -> None:
        """Send after what was put before, with a socket (``Speak``), which is closed here then. Nothing happens when
        the worker is gone: its pipe's end tells that."""
        self._queue.put((command, handle))

    def close(self) -> None:
        """Drop what was not sent. The pipe must be closed or its process dead."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        broken = False
        while (found := self._queue.get()) is not None:
            command, handle = found
            try:
                if not broken:
                    self._send(encode(command), handle)
            except (OSError, ValueError):
                broken = True
            finally:
                if handle >= 0:
                    os.close(handle)

    def _send(self, frame: bytes, handle: int) -> None:
        if handle < 0:
            self._pipe.send_bytes(frame)
        else:
            send_with(self._pipe, frame, handle)
