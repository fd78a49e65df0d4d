"""The server's thread: bind, serve, log, stop. Started and stopped from any thread."""

import logging
import math
import socket
import threading
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.core.errors import BindError, HearthError, PortInUseError
from app.core.events import Bus, ErrorInfo, RequestLogged, ServerChanged, ServerState
from app.core.settings import SettingsStore
from app.core.settings_groups import Server

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp

    from app.core.generate import SamplingParams
    from app.core.series import SeriesStore
    from app.models.downloads import Downloads
    from app.models.hub import Hub
    from app.models.library import Library
    from app.planning.fit import Fitter
    from app.runtime.supervisor import Supervisor
    from app.server.backend import Backend
    from app.server.keys import KeyStore
    from app.server.live import LiveRequest, Registry
    from app.server.plans import MakeWishes, Planner
    from app.server.usage import KeyUsage, UsageBook

log = logging.getLogger(__name__)

LOG_LENGTH = 500
CUT = 2
"""Seconds that answers get to end once they are cut short."""


class ServerHost:
    """The local API server's switch. ``start`` and ``stop`` block until it is so and are idempotent."""

    def __init__(
        self,
        library: "Library",
        supervisor: "Supervisor",
        planner: "Planner",
        bus: Bus,
        settings: SettingsStore,
        *,
        downloads: "Downloads | None" = None,
        hub: "Hub | None" = None,
        series: "SeriesStore | None" = None,
        keys_file: Path | None = None,
        sampling: "Callable[[str], SamplingParams | None] | None" = None,
        fitter: "Callable[[], Fitter] | None" = None,
        wishes: "MakeWishes | None" = None,
        pinned: "Callable[[str], bool]" = lambda _model: False,
    ) -> None:
        self._library, self._supervisor, self._planner = library, supervisor, planner
        self._bus, self._settings = bus, settings
        self._more: dict[str, Any] = {
            "downloads": downloads, "hub": hub, "series": series, "sampling": sampling, "fitter": fitter,
            "wishes": wishes, "pinned": pinned,
        }  # fmt: skip
        self._keys_file = keys_file
        self._keys: KeyStore | None = None
        self._book: UsageBook | None = None
        self._first_use = threading.Lock()
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
                certificate = check_certificate(chosen, host, port)
                listener = bind(host, port)
            except HearthError as error:
                self._publish("failed", error=ErrorInfo(error.code, error.message, error.params))
                raise
            self._running = self._serve(listener, certificate)
            scheme = "https" if certificate else "http"
            return self._publish("on", f"{scheme}://{_shown(host)}:{listener.getsockname()[1]}")

    def _serve(self, listener: socket.socket, certificate: dict[str, str]) -> "_Running":
        from app.server.application import application  # noqa: PLC0415 - starlette and uvicorn take 150 ms
        from app.server.backend import Backend  # noqa: PLC0415
        from app.server.live import Registry  # noqa: PLC0415

        backend = Backend(self._library, self._supervisor, self._planner, self._settings, **self._more)
        registry = Registry()
        settings = lambda: self._settings.value.server  # noqa: E731 - asked at each request
        app = application(backend, self._bus, settings, self.keys, registry, self._usage_book())
        return _Running(app, backend, registry, listener, certificate)

    def stop(self, grace: float | None = None) -> None:
        """Refuse new requests, let what is being written end for ``grace`` seconds (the settings' unless given), cut
        the rest short, and free the port."""
        with self._switch:
            if self._running is None:
                return
            self._publish("stopping")
            self._running.stop(self._settings.value.server.grace if grace is None else grace)
            self._running = None
            self._publish("off")

    def state(self) -> ServerChanged:
        """The newest state."""
        return self._state

    def log(self) -> list[RequestLogged]:
        """The last requests, oldest first."""
        return list(self._log)

    def live(self) -> "list[LiveRequest]":
        """The requests being answered, oldest first."""
        running = self._running
        return [item.snapshot() for item in running.registry.all()] if running else []

    def wants(self, model: str) -> bool:
        """A client asked to keep this model loaded for a time that is not over (Ollama's ``keep_alive``)."""
        running = self._running
        return running is not None and running.wants(model)

    def cancel(self, request_id: str) -> None:
        """End a live request: its client gets what was written so far. Unknown or over: nothing happens."""
        running = self._running
        found = running.registry.find(request_id) if running else None
        if found is not None and found.cancel is not None:
            found.cancel()

    @property
    def keys(self) -> "KeyStore":
        """The API keys: create, list, revoke; also while the server is off."""
        from app.server.keys import KeyStore  # noqa: PLC0415 - see _serve

        with self._first_use:
            if self._keys is None:
                self._keys = KeyStore(self._keys_file)
            return self._keys

    def usage(self) -> "tuple[KeyUsage, ...]":
        """What each key has used, since it was made."""
        return self._usage_book().all()

    def _usage_book(self) -> "UsageBook":
        from app.server.usage import UsageBook  # noqa: PLC0415 - see _serve

        with self._first_use:
            if self._book is None:
                folder = self._keys_file.parent if self._keys_file else None
                self._book = UsageBook(folder / "key_usage.json" if folder else None)
            return self._book

    def close(self) -> None:
        """Stop at once, and stop listening to the Bus."""
        self.stop(grace=0)
        if self._book is not None:
            self._book.close()
        if self._keys is not None:
            self._keys.close()
        self._subscription.close()

    def _publish(
        self, state: ServerState, address: str = "", error: ErrorInfo | None = None
    ) -> ServerChanged:
        self._state = ServerChanged(state, address, error)
        self._bus.publish(self._state)
        return self._state


class _Running:
    """One uvicorn in one thread."""

    def __init__(
        self,
        app: "ASGIApp",
        backend: "Backend",
        registry: "Registry",
        listener: socket.socket,
        certificate: dict[str, str],
    ) -> None:
        from app.server.serving import make_server  # noqa: PLC0415 - see _serve

        self.registry = registry
        self._backend, self._listener = backend, listener
        self._server = make_server(app, backend, registry, certificate)
        self._thread = threading.Thread(target=self._run, name="server", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._listener])
        finally:
            self._listener.close()

    def wants(self, model: str) -> bool:
        return self._backend.keeper.wanted(model)

    def stop(self, grace: float) -> None:
        self._backend.closing = True
        if grace <= 0:
            self._backend.cancel_all()
        self._server.config.timeout_graceful_shutdown = math.ceil(grace) + CUT
        self._server.leave()
        self._thread.join(grace if grace > 0 else CUT)
        if self._thread.is_alive():
            self._backend.cancel_all()
            self._thread.join(CUT)
        if self._thread.is_alive():
            self._server.force_exit = True
            self._thread.join()


def check_certificate(chosen: Server, host: str, port: int) -> dict[str, str]:
    """uvicorn's options for TLS; empty without a certificate. Raises BindError for files that are no pair."""
    if not chosen.tls_certificate:
        return {}
    import ssl  # noqa: PLC0415 - only who has a certificate needs it

    try:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(chosen.tls_certificate, chosen.tls_key or None, password=_no_password)
    except (OSError, ValueError) as error:
        detail = f"the certificate can't be used ({error})"
        raise BindError(host=host, port=port, detail=detail) from error
    return {
        "ssl_certfile": chosen.tls_certificate,
        **({"ssl_keyfile": chosen.tls_key} if chosen.tls_key else {}),
    }


def _no_password() -> str:
    # Without this OpenSSL would ask on the terminal.
    raise ValueError("the key has a password")


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises PortInUseError with a free port to offer, or BindError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio sets TCP_NODELAY only on sockets that say so, and accepted ones say what
    # their listener does: without it small answers wait 40 ms for the client's delayed acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
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
