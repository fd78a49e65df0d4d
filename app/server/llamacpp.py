"""llama-server's routes that other programs use: health, props, tokenize, detokenize, apply-template, metrics."""

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from app import __version__
from app.server import metrics
from app.server.backend import Backend
from app.server.convert import to_request
from app.server.live import Registry
from app.server.routes import Endpoint, as_json, live_of, read
from app.server.wire import ChatRequest, TokenId, WireMessage, WireTool

if TYPE_CHECKING:
    from app.server.errors import Api


class Health(Struct):
    """GET /health"""

    status: str = "ok"


class TokenizeRequest(Struct):
    """POST /tokenize"""

    content: str
    add_special: bool = False
    with_pieces: bool = False
    model: str = ""


class TokenPiece(Struct):
    """A token and its text."""

    id: int
    piece: str


class TokenizeResult(Struct):
    """Token ids, or ids with their texts."""

    tokens: list[int | TokenPiece]


class DetokenizeRequest(Struct):
    """POST /detokenize"""

    tokens: list[TokenId]
    model: str = ""


class DetokenizeResult(Struct):
    """The text."""

    content: str


class TemplateRequest(Struct):
    """POST /apply-template"""

    messages: Annotated[list[WireMessage], Meta(min_length=1)]
    tools: list[WireTool] | None = None
    model: str = ""


class TemplateResult(Struct):
    """The prompt as the model reads it."""

    prompt: str


class Props(Struct):
    """GET /props. No path of this machine is told."""

    default_generation_settings: dict[str, Any]
    total_slots: int
    model_alias: str
    build_info: str
    is_sleeping: bool


_tokenize = msgspec.json.Decoder(TokenizeRequest)
_detokenize = msgspec.json.Decoder(DetokenizeRequest)
_template = msgspec.json.Decoder(TemplateRequest)


def endpoints(backend: Backend, registry: Registry) -> list[Endpoint]:
    """The routes over one backend."""
    api = _LlamaCpp(backend, registry)
    kind: Api = "llamacpp"
    return [
        Endpoint("GET", "/health", api.health, kind, "Is it on?", answer=Health, public=True),
        Endpoint("GET", "/v1/health", api.health, kind, "Is it on?", answer=Health, public=True),
        Endpoint("GET", "/props", api.props, kind, "What is loaded, and how", answer=Props),
        Endpoint("GET", "/metrics", api.metrics, kind, "Readings for Prometheus", media="text/plain"),
        Endpoint(
            "POST", "/tokenize", api.tokenize, kind, "A text's tokens",
            body=TokenizeRequest, answer=TokenizeResult, errors=(404,),
        ),
        Endpoint(
            "POST", "/detokenize", api.detokenize, kind, "Tokens as text",
            body=DetokenizeRequest, answer=DetokenizeResult, errors=(404,),
        ),
        Endpoint(
            "POST", "/apply-template", api.template, kind, "A conversation as the model reads it",
            body=TemplateRequest, answer=TemplateResult, errors=(404,),
        ),
    ]  # fmt: skip


class _LlamaCpp:
    def __init__(self, backend: Backend, registry: Registry) -> None:
        self._backend, self._registry = backend, registry

    async def health(self, _request: Request) -> Response:
        """GET /health"""
        return as_json(Health())

    async def props(self, _request: Request) -> Response:
        """GET /props"""
        ready = [item for item in self._backend.supervisor.snapshots() if item.state == "ready"]
        first = ready[0] if ready else None
        sampling = msgspec.to_builtins(self._backend.defaults())
        settings = {"n_ctx": first.n_ctx if first else 0, "params": sampling}
        plan = first.plan if first else None
        slots = plan.n_parallel if plan else self._backend.settings.value.engine.n_parallel
        return as_json(
            Props(settings, slots, first.model if first else "", f"hearth {__version__}", not ready)
        )

    async def metrics(self, _request: Request) -> Response:
        """GET /metrics"""
        text = metrics.render(self._backend, self._registry)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    async def tokenize(self, request: Request) -> Response:
        """POST /tokenize"""
        wire = await read(request, _tokenize)
        record = self._backend.only(wire.model)
        live_of(request).model = record.id
        ids = await self._backend.tokenize(record, wire.content, special=wire.add_special)
        if not wire.with_pieces:
            return as_json(TokenizeResult(list(ids)))
        pieces: list[int | TokenPiece] = [
            TokenPiece(i, await self._backend.detokenize(record, [i])) for i in ids[:4096]
        ]
        return as_json(TokenizeResult(pieces))

    async def detokenize(self, request: Request) -> Response:
        """POST /detokenize"""
        wire = await read(request, _detokenize)
        record = self._backend.only(wire.model)
        live_of(request).model = record.id
        return as_json(DetokenizeResult(await self._backend.detokenize(record, wire.tokens)))

    async def template(self, request: Request) -> Response:
        """POST /apply-template"""
        wire = await read(request, _template)
        record = self._backend.only(wire.model)
        live_of(request).model = record.id
        asked = to_request(
            ChatRequest(record.id, wire.messages, tools=wire.tools), "", self._backend.defaults(record.id)
        )
        rendered = await self._backend.render(record, asked.messages, asked.tools)
        return as_json(TemplateResult(rendered.prompt))
