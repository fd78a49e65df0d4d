"""Embeddings as OpenAI's clients ask for them, and reranking as Jina's and Cohere's do."""

import base64
import math
from array import array
from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from app.server.backend import Backend
from app.server.completions import prompts_of
from app.server.errors import bad_field
from app.server.routes import Endpoint, as_json, live_of, read
from app.server.wire_completions import (
    Document,
    Embedding,
    EmbeddingList,
    EmbeddingsRequest,
    Ranked,
    RerankRequest,
    RerankResult,
    VectorUsage,
)

_embeddings = msgspec.json.Decoder(EmbeddingsRequest)
_rerank = msgspec.json.Decoder(RerankRequest)
MOST_INPUTS = 2048


def endpoints(backend: Backend) -> list[Endpoint]:
    """The routes over one backend."""
    api = _Vectors(backend)
    rerank: dict[str, Any] = {"body": RerankRequest, "answer": RerankResult, "errors": (404,)}
    return [
        Endpoint(
            "POST", "/v1/embeddings", api.embed, "openai", "Turn texts into vectors",
            body=EmbeddingsRequest, answer=EmbeddingList, errors=(404,),
        ),
        Endpoint("POST", "/v1/rerank", api.rerank, "openai", "Order documents by a question", **rerank),
        Endpoint("POST", "/rerank", api.rerank, "openai", "Order documents by a question", **rerank),
    ]  # fmt: skip


class _Vectors:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def embed(self, request: Request) -> Response:
        """POST /v1/embeddings"""
        wire = await read(request, _embeddings)
        return as_json(await embed(self._backend, request, wire))

    async def rerank(self, request: Request) -> Response:
        """POST /v1/rerank"""
        wire = await read(request, _rerank)
        record = self._backend.find(wire.model)
        live_of(request).model = record.id
        texts = [item if isinstance(item, str) else item.text for item in wire.documents]
        _check_count(texts, "documents")
        found = await self._backend.embed(record, texts, query=wire.query)
        scores = [row[0] for row in found.vectors]
        best = sorted(range(len(scores)), key=lambda index: -scores[index])[: wire.top_n]
        results = [Ranked(index, scores[index]) for index in best]
        if wire.return_documents:
            for ranked in results:
                ranked.document = Document(texts[ranked.index])
        return as_json(RerankResult(record.id, results, VectorUsage(found.tokens, found.tokens)))


async def embed(backend: Backend, request: Request, wire: EmbeddingsRequest) -> EmbeddingList:
    """The vectors of a request."""
    record = backend.find(wire.model)
    live = live_of(request)
    live.model = record.id
    backend.keeper.keep(record.id, wire.ttl)
    inputs = prompts_of(wire.input, "input")
    _check_count(inputs, "input")
    if any(not item for item in inputs):
        raise bad_field("input", "An empty text has no vector.")
    found = await backend.embed(record, inputs)
    live.prompt_tokens = found.tokens
    rows = [shortened(row, wire.dimensions, "dimensions") for row in found.vectors]
    encode = _base64 if wire.encoding_format == "base64" else list[float]
    data = [Embedding(index, encode(row)) for index, row in enumerate(rows)]
    return EmbeddingList(data, record.id, VectorUsage(found.tokens, found.tokens))


def _check_count(items: Sequence[object], param: str) -> None:
    if len(items) > MOST_INPUTS:
        raise bad_field(param, f"At most {MOST_INPUTS} are taken at once.")


def shortened(row: list[float], dimensions: int | None, param: str) -> list[float]:
    """The first ``dimensions`` values, of length 1 again (as models of the Matryoshka kind are made for)."""
    if dimensions is None or dimensions == len(row):
        return row
    if dimensions > len(row):
        raise bad_field(param, f"This model's vectors have {len(row)} values.")
    kept = row[:dimensions]
    length = math.sqrt(sum(value * value for value in kept))
    return [value / length for value in kept] if length else kept


def _base64(row: list[float]) -> str:
    values = array("f", row)
    if array("H", [1]).tobytes() != b"\x01\x00":  # a big-endian machine
        values.byteswap()
    return base64.b64encode(values.tobytes()).decode()
