"""One window per data folder: a lock, and a local socket through which a second copy raises the first."""

import hashlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QLockFile, QObject, Signal

if TYPE_CHECKING:
    from PySide6.QtNetwork import QLocalServer, QLocalSocket

_WAIT_MS = 1500
PATIENCE = 10.0
"""Seconds: a first copy that was started a moment ago, on a busy machine, holds the lock before it listens."""


def _name(folder: Path) -> str:
    return "hearth-" + hashlib.sha256(str(folder).encode()).hexdigest()[:16]


class SingleWindow(QObject):
    """Holds the lock while the window is open. ``asked`` carries the file a second copy was started with, or ""."""

    asked = Signal(str)

    def __init__(self, lock_file: Path) -> None:
        super().__init__()
        self._folder = lock_file.parent
        self._lock = QLockFile(str(lock_file))
        self._lock.setStaleLockTime(0)  # only a dead owner makes it stale, however long it has run
        self._server: QLocalServer | None = None

    def take(self) -> bool:
        """True when this is the only window of this folder. Where a full disk takes no lock, the socket alone tells."""
        if self._lock.tryLock(0):
            return True
        return self._lock.error() != QLockFile.LockError.LockFailedError and not self._answered()

    def _answered(self) -> bool:
        from PySide6.QtNetwork import QLocalSocket  # noqa: PLC0415 - only where nothing can be written

        socket = QLocalSocket()
        socket.connectToServer(_name(self._folder))
        return bool(socket.waitForConnected(_WAIT_MS))

    def listen(self) -> None:
        """Wait for second copies; call it after the first paint (QtNetwork takes a while to import)."""
        from PySide6.QtNetwork import QLocalServer  # noqa: PLC0415 - not before the first paint

        QLocalServer.removeServer(_name(self._folder))
        self._server = QLocalServer(self)
        self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        self._server.newConnection.connect(self._accept)
        self._server.listen(_name(self._folder))

    def _accept(self) -> None:
        assert self._server is not None
        socket = self._server.nextPendingConnection()
        socket.disconnected.connect(socket.deleteLater)
        socket.readyRead.connect(lambda: self._read(socket))
        if socket.bytesAvailable():
            self._read(socket)

    def _read(self, socket: "QLocalSocket") -> None:
        # One line of JSON, far smaller than what a socket hands over at once.
        try:
            message = json.loads(bytes(socket.readAll().data())[:65536])
            self.asked.emit(str(message.get("open", "")))
        except (ValueError, AttributeError):
            self.asked.emit("")
        socket.disconnectFromServer()

    def tell(self, path: str) -> bool:
        """Raise the window that holds the lock and hand it a file; False when it does not answer for ``PATIENCE``."""
        end = time.monotonic() + PATIENCE
        while not (told := self._deliver(path)) and time.monotonic() < end:
            time.sleep(0.1)
        return told

    def _deliver(self, path: str) -> bool:
        from PySide6.QtNetwork import QLocalSocket  # noqa: PLC0415 - only a second copy needs it

        socket = QLocalSocket()
        socket.connectToServer(_name(self._folder))
        if not socket.waitForConnected(_WAIT_MS):
            return False
        socket.write(json.dumps({"open": path}).encode())
        return bool(socket.waitForBytesWritten(_WAIT_MS))

    def close(self) -> None:
        """Free the lock and the socket."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self._lock.unlock()
