"""The server's thread: bind, serve, log, stop. Started and stopped from any thread."""

import logging
import socket
import threading
from collections import deque
from typing import TYPE_CHECKING

from app.core.errors import BindError, HearthError, PortInUseError
from app.core.events import Bus, ErrorInfo, RequestLogged, ServerChanged, ServerState
from app.core.settings import SettingsStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.core.types import ModelRecord
    from app.models.library import Library
    from app.runtime.supervisor import Supervisor
    from app.server.backend import Backend, Planned

log = logging.getLogger(__name__)

LOG_LENGTH = 500
GRACE = 5.0
"""Seconds an answer that is being written gets when the server stops."""


class ServerHost:
    """The local API server's switch. ``start`` and ``stop`` block until it is so and are idempotent."""

    def __init__(
        self,
        library: "Library",
        supervisor: "Supervisor",
        planner: "Callable[[ModelRecord], Planned]",
        bus: Bus,
        settings: SettingsStore,
    ) -> None:
        self._library, self._supervisor, self._planner = library, supervisor, planner
        self._bus, self._settings = bus, settings
        self._switch = threading.Lock()
        self._log: deque[RequestLogged] = deque(maxlen=LOG_LENGTH)
        self._subscription = bus.subscribe(RequestLogged, self._log.append)
        self._state = ServerChanged("off")
        self._running: _Running | None = None

    def start(self, host: str | None = None, port: int | None = None) -> ServerChanged:
        """Listen, on the settings' address unless told otherwise. Raises PortInUseError or BindError."""
        chosen = self._settings.value.server
        host, port = host or chosen.host, chosen.port if port is None else port
        with self._switch:
            if self._running is not None:
                return self._state
            self._publish("starting")
            try:
                listener = bind(host, port)
            except HearthError as error:
                self._publish("failed", error=ErrorInfo(error.code, error.message, error.params))
                raise
            self._running = self._serve(listener)
            address = f"http://{_shown(host)}:{listener.getsockname()[1]}"
            return self._publish("on", address)

    def _serve(self, listener: socket.socket) -> "_Running":
        from app.server.application import application  # noqa: PLC0415 - starlette and uvicorn take 150 ms
        from app.server.backend import Backend  # noqa: PLC0415

        backend = Backend(self._library, self._supervisor, self._planner, self._settings)
        app = application(backend, self._bus, lambda: self._settings.value.server.api_key)
        return _Running(app, backend, listener)

    def stop(self) -> None:
        """Refuse new requests, cut short what is being written, and free the port."""
        with self._switch:
            if self._running is None:
                return
            self._publish("stopping")
            self._running.stop()
            self._running = None
            self._publish("off")

    def state(self) -> ServerChanged:
        """The newest state."""
        return self._state

    def log(self) -> list[RequestLogged]:
        """The last requests, oldest first."""
        return list(self._log)

    def close(self) -> None:
        """Stop, and stop listening to the Bus."""
        self.stop()
        self._subscription.close()

    def _publish(
        self, state: ServerState, address: str = "", error: ErrorInfo | None = None
    ) -> ServerChanged:
        self._state = ServerChanged(state, address, error)
        self._bus.publish(self._state)
        return self._state


class _Running:
    """One uvicorn in one thread."""

    def __init__(self, app: "object", backend: "Backend", listener: socket.socket) -> None:
        import uvicorn  # noqa: PLC0415 - see _serve

        config = uvicorn.Config(
            app,  # type: ignore[arg-type]
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=int(GRACE),
            limit_concurrency=None,
        )
        self._backend, self._listener = backend, listener
        self._server: uvicorn.Server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="server", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._listener])
        finally:
            self._listener.close()

    def stop(self) -> None:
        self._backend.cancel_all()
        self._server.should_exit = True
        self._thread.join(GRACE + 2)
        if self._thread.is_alive():
            self._server.force_exit = True
            self._thread.join()


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises PortInUseError with a free port to offer, or BindError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    # On POSIX this lets a restart take the port at once; on Windows it would let two programs share it.
    option = getattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_REUSEADDR)
    listener.setsockopt(socket.SOL_SOCKET, option, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        if port and error.errno in _IN_USE:
            raise PortInUseError(port=port, free=free_port(host, port)) from error
        raise BindError(host=host, port=port, detail=error.strerror or str(error)) from error
    return listener


_IN_USE = (98, 48, 10048, 10013)  # EADDRINUSE on Linux, macOS and Windows; Windows' exclusive refusal


def free_port(host: str, port: int) -> int:
    """The next port that can be bound, or one that the system picks."""
    for candidate in (*range(port + 1, min(port + 20, 65536)), 0):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            try:
                probe.bind((host, candidate))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    return 0


def _shown(host: str) -> str:
    if host in ("0.0.0.0", "::"):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
