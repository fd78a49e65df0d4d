"""The table of what is served: each endpoint says its types, so that /openapi.json is made from it and can't lie.

Exact paths are found by one look-up; a path may end in one ``{name}`` that takes the rest.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, field
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.server.errors import Api, Problem, error_response, problem_of, wrong_body
from app.server.live import Live
from app.server.stream import HangUpError

Handler = Callable[[Request], Awaitable[ASGIApp]]
T = TypeVar("T")
_encoder = msgspec.json.Encoder()


class Endpoint(Struct, frozen=True):
    """One method on one path. ``body`` and ``answer`` are msgspec types; ``stream`` is the media type of its other,
    streaming answer; ``errors`` are the statuses it can refuse with besides the usual ones."""

    method: str
    path: str
    handler: Handler
    api: Api
    summary: str
    body: Any = None
    answer: Any = None
    stream: str = ""
    errors: tuple[int, ...] = ()
    public: bool = False
    """Answered without a key."""
    media: str = "application/json"


class Table(Struct):
    """Endpoints by path."""

    endpoints: list[Endpoint]
    exact: dict[str, dict[str, Endpoint]] = field(default_factory=dict)
    prefixes: list[tuple[str, str, dict[str, Endpoint]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for endpoint in self.endpoints:
            head, mark, name = endpoint.path.partition("{")
            if not mark:
                self.exact.setdefault(endpoint.path, {})[endpoint.method] = endpoint
                continue
            found = next((row[2] for row in self.prefixes if row[0] == head), None)
            if found is None:
                found = {}
                self.prefixes.append((head, name.rstrip("}"), found))
            found[endpoint.method] = endpoint
        self.prefixes.sort(key=lambda row: -len(row[0]))

    def find(self, path: str) -> tuple[dict[str, Endpoint], dict[str, str]]:
        """The path's endpoints by method (empty: no such path), and the rest of the path by its name."""
        methods = self.exact.get(path)
        if methods is not None:
            return methods, {}
        for head, name, found in self.prefixes:
            if path.startswith(head) and len(path) > len(head):
                return found, {name: path[len(head) :]}
        return {}, {}


class Router:
    """The ASGI application over a table. Whatever a handler raises becomes an answer in its API's shape."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Find the endpoint and let it answer."""
        path: str = scope["path"]
        methods, params = self._table.find(path)
        method = scope["method"]
        endpoint = methods.get(method) or (methods.get("GET") if method == "HEAD" else None)
        if endpoint is None:
            await _missing(scope, methods)(scope, receive, send)
            return
        scope["path_params"] = params
        response: ASGIApp
        try:
            response = await endpoint.handler(Request(scope, receive))
        except ClientDisconnect as error:  # in the middle of its body
            raise HangUpError from error
        except HangUpError:
            raise
        except Exception as error:  # noqa: BLE001 - becomes the answer
            response = error_response(endpoint.api, problem_of(error))
        await response(scope, receive, send)


def _missing(scope: Scope, methods: dict[str, Endpoint]) -> Response:
    path, method = scope["path"], scope["method"]
    if not methods:
        problem = Problem(404, "not_found", f"There is no {path} here.")
        return error_response(api_of(path), problem)
    problem = Problem(405, "method_not_allowed", f"{method} does not work on {path}.")
    response = error_response(api_of(path), problem)
    response.headers["Allow"] = ", ".join(sorted(methods))
    return response


def api_of(path: str) -> Api:
    """Whose shape an error on this path has."""
    if path.startswith("/v1/messages"):
        return "anthropic"
    if path.startswith(("/api/v0", "/api/v1")):
        return "lmstudio"
    if path.startswith("/api/"):
        return "ollama"
    return "openai"


def as_json(body: object, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(_encoder.encode(body), status, media_type="application/json")


async def read(request: Request, decoder: "msgspec.json.Decoder[T]") -> T:
    """The request's body as its type. Raises what ``errors.problem_of`` makes a 400 or 413 of."""
    body = await request.body()
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise wrong_body(error, decoder.type) from error


def live_of(request: Request) -> Live:
    """What is noted of this request."""
    live: Live = request.scope["state"]["live"]
    return live
