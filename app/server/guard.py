"""Who may talk to the server: the Host and Origin checks against DNS rebinding, the key, the body's size.

A page in a browser can reach 127.0.0.1 through a name of its own that it points there, but then sends that name as
Host; and it always sends its Origin. So a name that is not this machine's is refused, and so is the Origin of a page
that did not come from this machine.
"""

import hmac
import ipaddress
import socket
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.server.errors import error_response

MAX_BODY = 32 * 2**20


class Guard:
    """ASGI middleware around every route. ``key`` is asked at each request: it can change while the server runs."""

    def __init__(self, app: ASGIApp, key: Callable[[], str]) -> None:
        self._app, self._key = app, key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse with 403, 401 or 413, or pass on."""
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(headers, scope["path"])
        if refusal is not None:
            await error_response(refusal[0], refusal[1], refusal[2])(scope, receive, send)
            return
        await self._app(scope, limited(receive), send)

    def _refusal(self, headers: Headers, path: str) -> tuple[str, str, int] | None:
        if not host_allowed(headers.get("host", "")):
            return "host_refused", "This Host name is not this machine's.", 403
        if headers.get("origin") and not origin_allowed(headers["origin"]):
            return "origin_refused", "Web pages may not use this server.", 403
        if int(headers.get("content-length") or 0) > MAX_BODY:
            return "too_large", f"The request body is over {MAX_BODY} bytes.", 413
        if path != "/health" and not key_matches(self._key(), headers):
            return "invalid_api_key", "The API key is missing or wrong.", 401
        return None


def host_allowed(host: str) -> bool:
    """True for an address written in numbers, localhost, and this machine's own name: what no rebinding can use."""
    name = host.rsplit(":", 1)[0] if host.count(":") == 1 else host
    name = name.split("]")[0].lstrip("[").lower().rstrip(".")
    own = socket.gethostname().lower()
    if name in ("localhost", own, f"{own}.local"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def origin_allowed(origin: str) -> bool:
    """Only pages that were served by a program on this very machine."""
    scheme, _, rest = origin.partition("://")
    name = rest.rsplit(":", 1)[0] if not rest.endswith("]") else rest
    return scheme in ("http", "https") and name.strip("[]") in ("localhost", "127.0.0.1", "::1")


def key_matches(key: str, headers: Headers) -> bool:
    """Compare in constant time; no key set means everyone may."""
    if not key:
        return True
    given = headers.get("authorization", "")
    token = given[7:] if given[:7].lower() == "bearer " else headers.get("x-api-key", "")
    return hmac.compare_digest(token.encode(), key.encode())


class BodyTooLargeError(Exception):
    """More came than Content-Length promised, or a chunked body went over the limit."""


def limited(receive: Receive) -> Receive:
    """A receive that counts: a body without Content-Length is bounded too."""
    total = 0

    async def counted() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > MAX_BODY:
            raise BodyTooLargeError
        return message

    return counted
