"""The ASGI application: the table of endpoints, the guard around it, and the request log around both."""

import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.events import Bus
from app.core.settings_groups import Server
from app.server import anthropic, llamacpp, lmstudio, ollama, openai, openapi, responses
from app.server.backend import Backend
from app.server.guard import Guard
from app.server.keys import Checker, KeyStore
from app.server.live import Live, Registry
from app.server.lmstudio_socket import Sockets
from app.server.routes import Endpoint, Router, Table
from app.server.stream import HangUpError
from app.server.usage import UsageBook, joules_between

CLIENT_GONE = 499  # nginx's name for it


def endpoints(backend: Backend, registry: Registry) -> list[Endpoint]:
    """Everything that is served."""
    found = [
        *openai.endpoints(backend),
        *responses.endpoints(backend),
        *anthropic.endpoints(backend),
        *ollama.endpoints(backend),
        *lmstudio.endpoints(backend),
        *llamacpp.endpoints(backend, registry),
    ]
    return [*found, *openapi.endpoints(found)]


def application(
    backend: Backend,
    bus: Bus,
    settings: Callable[[], Server],
    keys: KeyStore,
    registry: Registry,
    book: UsageBook,
) -> ASGIApp:
    """Everything that answers."""
    table = endpoints(backend, registry)
    public = frozenset(endpoint.path for endpoint in table if endpoint.public)
    checker = Checker(settings, keys)
    guard = Guard(Router(Table(table)), settings, checker, public)
    log = RequestLog(guard, bus, registry, lambda live: _note(live, backend, book))
    log.sockets = Sockets(backend, registry, checker, guard.check_source, log.end)
    return log


def _note(live: Live, backend: Backend, book: UsageBook) -> None:
    """Count a request that asked a model for its key, with the energy that was drawn for it."""
    if not live.model:
        return
    ended = time.monotonic()
    if live.submitted_at:
        live.joules = joules_between(backend.series, live.submitted_at, ended, 1 / live.beside)
    book.add(live.key_id, live.line(ended - live.began))


class RequestLog:
    """Registers every request while it is answered, and publishes RequestLogged when its last byte is out or its
    client is gone. Sockets note their own requests."""

    sockets: ASGIApp

    def __init__(self, app: ASGIApp, bus: Bus, registry: Registry, note: Callable[[Live], None]) -> None:
        self._app, self._bus, self._registry, self._note = app, bus, registry, note

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or serve a socket."""
        if scope["type"] == "websocket":
            await self.sockets(scope, receive, send)
            return
        client, began = scope.get("client"), time.monotonic()
        live = self._registry.add(scope["method"], scope["path"], client[0] if client else "", began)
        scope["state"] = {"live": live}

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                live.status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except HangUpError:
            live.status = CLIENT_GONE
        finally:
            self.end(live, began)

    def end(self, live: Live, began: float) -> None:
        """It is over: count it, and say so."""
        live.status = live.status or CLIENT_GONE
        self._registry.remove(live)
        self._note(live)
        self._bus.publish(live.line(time.monotonic() - began))
