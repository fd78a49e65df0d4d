"""OpenAI's routes: models, chat completions, completions, embeddings, and reranking beside them."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from app.core.types import ModelRecord
from app.server import completions, vectors
from app.server.backend import Backend, new_id, now
from app.server.chunks import ChatWriter
from app.server.convert import to_completion, to_request
from app.server.errors import Api
from app.server.routes import Endpoint, as_json, live_of, read
from app.server.run import Run, Streamed, whole
from app.server.sight import check_sight
from app.server.sse import MEDIA
from app.server.wire import ChatCompletion, ChatRequest, ModelCard, ModelList, WireMessage

_chat = msgspec.json.Decoder(ChatRequest)


def endpoints(backend: Backend) -> list[Endpoint]:
    """The routes over one backend."""
    api = _OpenAI(backend)
    return [
        Endpoint("GET", "/v1/models", api.models, "openai", "Models on this machine", answer=ModelList),
        Endpoint("GET", "/v1/models/{model}", api.model, "openai", "One model", answer=ModelCard, errors=(404,)),
        Endpoint(
            "POST", "/v1/chat/completions", api.chat, "openai", "Answer a conversation",
            body=ChatRequest, answer=ChatCompletion, stream=MEDIA, errors=(404,),
        ),
        *completions.endpoints(backend),
        *vectors.endpoints(backend),
    ]  # fmt: skip


class _OpenAI:
    """The handlers."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def models(self, _request: Request) -> Response:
        """GET /v1/models"""
        cards = [_card(record) for record in self._backend.models()]
        cards += [ModelCard(name, 0) for name in self._backend.aliases() if "*" not in name]
        return as_json(ModelList(cards))

    async def model(self, request: Request) -> Response:
        """GET /v1/models/{model}"""
        return as_json(_card(self._backend.find(request.path_params["model"])))

    async def chat(self, request: Request) -> ASGIApp:
        """POST /v1/chat/completions"""
        wire = await read(request, _chat)
        run = begin_chat(self._backend, request, wire)
        if wire.stream:
            return stream_chat(run, wire)
        answer = await whole(run, request)
        return as_json(to_completion(run.asked[0].id, now(), run.record.id, answer))


def begin_chat(backend: Backend, request: Request, wire: ChatRequest) -> Run:
    """The run of a chat request."""
    record = backend.find(wire.model)
    asked = to_request(wire, new_id(), backend.defaults(record.id))
    check_sight(backend, record, asked.messages, _image_param(wire.messages))
    backend.keeper.keep(record.id, wire.ttl)
    return Run(backend, record, [asked], live_of(request))


def stream_chat(run: Run, wire: ChatRequest, api: Api = "openai") -> Streamed:
    """Its stream."""
    include = wire.stream_options is not None and bool(wire.stream_options.include_usage)
    writer = ChatWriter(
        run.asked[0].id, now(), run.record.id, run.asked[0].sampling.n, include, bool(wire.return_progress)
    )
    return Streamed(run, writer, api)


def _image_param(messages: list[WireMessage]) -> str:
    places = (i for i, message in enumerate(messages) if not isinstance(message.content, str | None))
    return f"messages[{next(places, 0)}].content"


def _card(record: ModelRecord) -> ModelCard:
    return ModelCard(record.id, int(record.added_at))
