"""The ASGI application: routes, the guard around them, and the request log around both."""

import time
from collections.abc import Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.events import Bus, RequestLogged
from app.server.backend import Backend, Live
from app.server.errors import error_response
from app.server.guard import Guard
from app.server.openai import routes

CLIENT_GONE = 499  # nginx's name for it


def application(backend: Backend, bus: Bus, key: Callable[[], str]) -> ASGIApp:
    """Everything that answers."""
    app = Starlette(routes=routes(backend), exception_handlers={HTTPException: _http_error})
    return _RequestLog(Guard(app, key), bus)


async def _http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    words = {
        404: f"There is no {request.url.path} here.",
        405: f"{request.method} does not work on {request.url.path}.",
    }
    code = {404: "not_found", 405: "method_not_allowed"}.get(status, "http")
    return error_response(code, words.get(status, str(error)), status)


class _RequestLog:
    """Publishes one RequestLogged for every request, when its last byte is out or its client is gone."""

    def __init__(self, app: ASGIApp, bus: Bus) -> None:
        self._app, self._bus = app, bus

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        live, began = Live(""), time.monotonic()
        scope.setdefault("state", {})["live"] = live
        status = CLIENT_GONE

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except ClientDisconnect:
            status = CLIENT_GONE
        finally:
            self._bus.publish(_line(scope, live, status, time.monotonic() - began))


def _line(scope: Scope, live: Live, status: int, seconds: float) -> RequestLogged:
    client = scope.get("client")
    return RequestLogged(
        at=time.time() - seconds,
        method=scope["method"],
        path=scope["path"],
        status=status,
        seconds=seconds,
        model=live.model,
        client=client[0] if client else "",
        prompt_tokens=live.prompt_tokens,
        completion_tokens=live.completion_tokens,
        decode_per_second=live.decode_per_second,
    )
