"""LM Studio's routes, version 0: OpenAI's answers with its own figures, and a richer list of models."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from app import __version__
from app.core.events import InstanceChanged
from app.core.types import ModelRecord
from app.server import completions, lmstudio_chat, lmstudio_models
from app.server.answer import Answer
from app.server.backend import Backend, now
from app.server.convert import to_completion
from app.server.convert_ollama import capabilities_of
from app.server.openai import begin_chat, stream_chat
from app.server.routes import Endpoint, as_json, read
from app.server.run import whole
from app.server.sight import sees
from app.server.sse import MEDIA
from app.server.vectors import embed
from app.server.wire import ChatRequest
from app.server.wire_completions import CompletionRequest, EmbeddingList, EmbeddingsRequest
from app.server.wire_lmstudio import Greeting, V0Chat, V0Completion, V0Info, V0Model, V0Models, V0Stats

_chat = msgspec.json.Decoder(ChatRequest)
_embeddings = msgspec.json.Decoder(EmbeddingsRequest)
STOPS = {
    "stop": "eosFound",
    "length": "maxPredictedTokensReached",
    "tool_calls": "toolCalls",
    "cancelled": "userStopped",
    "context_full": "contextLengthReached",
}
TYPES = {"embedding": "embeddings", "reranker": "embeddings"}


def why_stopped(answer: Answer, instance: InstanceChanged | None) -> str:
    """In LM Studio's words."""
    end, reason = answer.first.end, answer.first.reason
    if reason == "cancelled" and (instance is None or instance.state != "ready"):
        return "modelUnloaded"
    return "stopStringFound" if end is not None and end.stop else STOPS[reason]


def endpoints(backend: Backend) -> list[Endpoint]:
    """The routes over one backend, of both versions."""
    api = _V0(backend)
    return [
        Endpoint("GET", "/api/v0/models", api.models, "lmstudio", "Models on this machine", answer=V0Models),
        Endpoint(
            "GET", "/api/v0/models/{model}", api.model, "lmstudio", "One model", answer=V0Model, errors=(404,)
        ),
        Endpoint(
            "POST", "/api/v0/chat/completions", api.chat, "lmstudio", "Answer a conversation, with figures",
            body=ChatRequest, answer=V0Chat, stream=MEDIA, errors=(404,),
        ),
        Endpoint(
            "POST", "/api/v0/completions", api.complete, "lmstudio", "Go on with a text, with figures",
            body=CompletionRequest, answer=V0Completion, stream=MEDIA, errors=(404,),
        ),
        Endpoint(
            "POST", "/api/v0/embeddings", api.embed, "lmstudio", "Turn texts into vectors",
            body=EmbeddingsRequest, answer=EmbeddingList, errors=(404,),
        ),
        Endpoint(
            "GET", "/lmstudio-greeting", api.greeting, "lmstudio", "What LM Studio's clients look for",
            answer=Greeting, public=True,
        ),
        *lmstudio_chat.endpoints(backend),
        *lmstudio_models.endpoints(backend),
    ]  # fmt: skip


class _V0:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def greeting(self, _request: Request) -> Response:
        """GET /lmstudio-greeting"""
        return as_json(Greeting())

    async def models(self, _request: Request) -> Response:
        """GET /api/v0/models"""
        return as_json(V0Models([self._card(record) for record in self._backend.models()]))

    async def model(self, request: Request) -> Response:
        """GET /api/v0/models/{model}"""
        return as_json(self._card(self._backend.find(request.path_params["model"])))

    def _card(self, record: ModelRecord) -> V0Model:
        summary, instance = record.summary, self._backend.instance(record.id)
        loaded = instance is not None and instance.state == "ready"
        kind = summary.kind if summary else "text"
        card = V0Model(
            record.id,
            "model",
            "vlm" if kind == "text" and sees(self._backend, record) else TYPES.get(kind, "llm"),
            publisher_of(record),
            summary.architecture if summary else "",
            "gguf",
            summary.quant if summary else "",
            "loaded" if loaded else "not-loaded",
            (summary.context_length if summary else None) or 0,
            ["tool_use"] if "tools" in capabilities_of(record, ("embedding", "reranker")) else [],
        )
        if loaded and instance is not None:
            card.loaded_context_length = instance.n_ctx
        return card

    async def chat(self, request: Request) -> ASGIApp:
        """POST /api/v0/chat/completions"""
        wire = await read(request, _chat)
        run = begin_chat(self._backend, request, wire)
        if wire.stream:
            return stream_chat(run, wire, "lmstudio")
        answer = await whole(run, request)
        plain = to_completion(run.asked[0].id, now(), run.record.id, answer)
        fields = {name: getattr(plain, name) for name in plain.__struct_fields__}
        return as_json(V0Chat(**fields, **self._figures(run.record, answer)))

    async def complete(self, request: Request) -> ASGIApp:
        """POST /api/v0/completions"""
        run, wire, echo = await completions.begin(self._backend, request)
        if wire.stream:
            return completions.stream(run, wire, echo, "lmstudio")
        answer = await whole(run, request)
        plain = completions.to_completion(run, answer, echo)
        fields = {name: getattr(plain, name) for name in plain.__struct_fields__}
        return as_json(V0Completion(**fields, **self._figures(run.record, answer)))

    async def embed(self, request: Request) -> Response:
        """POST /api/v0/embeddings"""
        wire = await read(request, _embeddings)
        return as_json(await embed(self._backend, request, wire))

    def _figures(self, record: ModelRecord, answer: Answer) -> dict[str, Any]:
        timings, summary = answer.timings, record.summary
        instance = self._backend.instance(record.id)
        reason = why_stopped(answer, instance)
        return {
            "stats": V0Stats(timings.decode_per_second, timings.ttft, timings.decode, reason),
            "model_info": V0Info(
                summary.architecture if summary else "",
                summary.quant if summary else "",
                "gguf",
                instance.n_ctx if instance else 0,
            ),
            "runtime": {"name": "hearth", "version": __version__, "supported_formats": ["gguf"]},
        }


def publisher_of(record: ModelRecord) -> str:
    """The owner on the Hub, as far as it is known."""
    if record.source is not None:
        return record.source.repo.partition("/")[0]
    return record.id.partition("/")[0] if "/" in record.id else ""
