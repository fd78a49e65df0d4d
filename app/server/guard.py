"""Who may talk to the server: the Host and Origin checks against DNS rebinding, keys and their rate, the body's size.

A page in a browser can reach 127.0.0.1 through a name of its own that it points there, but then sends that name as
Host; and it always sends its Origin. So a name that is not this machine's is refused, and so is the Origin of a page
that did not come from this machine, unless the user listed it.
"""

import ipaddress
import socket
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.settings_groups import Server
from app.server.errors import Problem, error_response
from app.server.keys import Checker
from app.server.routes import api_of

if TYPE_CHECKING:
    from app.server.live import Live

MAX_BODY = 32 * 2**20
MAX_BODIES = 128 * 2**20
"""All bodies that are being read or answered at the same time, but for small ones: those are always taken."""
SMALL = 256 * 2**10
LOCAL = ("localhost", "127.0.0.1", "::1")
CONTAINERS = ("host.docker.internal", "host.containers.internal")
"""What containers call this machine. ``.internal`` is nobody's on the Internet, so no page can be served from there."""
METHODS = "GET, POST, DELETE, OPTIONS"


class Guard:
    """ASGI middleware around every route. Settings are asked at each request: they can change while it runs."""

    def __init__(
        self, app: ASGIApp, settings: Callable[[], Server], checker: Checker, public: frozenset[str]
    ) -> None:
        self._app, self._settings, self._checker, self._public = app, settings, checker, public
        self._bodies = Bodies()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse with 403, 401, 413 or 429, answer a preflight, or pass on."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        origin = headers.get("origin", "")
        try:
            self.check_source(headers)
            if origin:
                send = _with_cors(send, origin)
            if origin and scope["method"] == "OPTIONS":
                await _preflight(headers)(scope, receive, send)
                return
            self._check_caller(headers, scope)
        except Problem as problem:
            await error_response(api_of(scope["path"]), problem)(scope, receive, send)
            return
        body = Body(receive, self._bodies)
        try:
            await self._app(scope, body.receive, send)
        finally:
            self._bodies.bytes -= body.bytes

    def check_source(self, headers: Mapping[str, str]) -> None:
        """Raises Problem: 403, for a Host or an Origin that may not."""
        origin, listed = headers.get("origin", ""), self._settings().origins
        if not host_allowed(headers.get("host", ""), listed):
            raise Problem(403, "host_refused", "This Host name is not this machine's.")
        if origin and not origin_allowed(origin, listed):
            raise Problem(403, "origin_refused", "This web page may not use the server.")

    def _check_caller(self, headers: Mapping[str, str], scope: Scope) -> None:
        if scope["path"] in self._public:
            return
        live: Live = scope["state"]["live"]
        live.key, live.key_id = self._checker.check(headers, live.client)
        if int(headers.get("content-length") or 0) > MAX_BODY:
            raise Problem(413, "too_large", f"The request body is over {MAX_BODY} bytes.")


def host_allowed(host: str, listed: str = "") -> bool:
    """True for an address written in numbers, localhost, this machine's own name, and the names of listed origins:
    what no rebinding can use."""
    name = _name_of(host)
    if name in LOCAL or name in CONTAINERS:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        listed_names = (_name_of(line.partition("://")[2]) for line in listed.split())
        return bool(name) and (name in own_names() or name in listed_names)
    return True


def own_names() -> tuple[str, str]:
    """This machine's name, and as it is called on the local network."""
    own = socket.gethostname().lower()
    return own, f"{own}.local"


def _name_of(host: str) -> str:
    name = host.rsplit(":", 1)[0] if host.count(":") == 1 else host
    return name.split("]")[0].lstrip("[").lower().rstrip(".")


def origin_allowed(origin: str, listed: str = "") -> bool:
    """Pages that were served by a program on this very machine, and those of the list; ``*`` there means all."""
    scheme, _, rest = origin.partition("://")
    if scheme in ("http", "https") and _name_of(rest) in LOCAL:
        return True
    wanted = [line.strip().rstrip("/").lower() for line in listed.split()]
    return "*" in wanted or origin.lower() in wanted


def _with_cors(send: Send, origin: str) -> Send:
    # The one origin that asked, never "*", and never with credentials: a page has to send its key itself.
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=list(message.get("headers", [])))
            headers["Access-Control-Allow-Origin"] = origin
            headers["Access-Control-Expose-Headers"] = "Retry-After"
            headers.add_vary_header("Origin")
            message = {**message, "headers": headers.raw}
        await send(message)

    return sent


def _preflight(headers: Mapping[str, str]) -> Response:
    allowed = {
        "Access-Control-Allow-Methods": METHODS,
        "Access-Control-Allow-Headers": headers.get("access-control-request-headers") or "*",
        "Access-Control-Max-Age": "600",
    }
    if headers.get("access-control-request-private-network") == "true":
        allowed["Access-Control-Allow-Private-Network"] = "true"
    return Response(status_code=204, headers=allowed)


class Bodies:
    """Bytes of all bodies at the moment."""

    bytes = 0


class Body:
    """One body, counted as it comes: without Content-Length it is bounded too, and so are all together."""

    def __init__(self, receive: Receive, bodies: Bodies) -> None:
        self._receive, self._bodies = receive, bodies
        self.bytes = 0

    async def receive(self) -> Message:
        """The next piece. Raises Problem: 413 or 503."""
        message = await self._receive()
        size = len(message.get("body", b""))
        if size:
            self.bytes += size
            self._bodies.bytes += size
            if self.bytes > MAX_BODY:
                raise Problem(413, "too_large", f"The request body is over {MAX_BODY} bytes.")
            if self._bodies.bytes > MAX_BODIES and self.bytes > SMALL:
                raise Problem(503, "busy", "Too many large requests at once.")
        return message
