"""OpenAI's routes: /v1/models, /v1/chat/completions, and llama-server's /health."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from app.core.errors import HearthError
from app.core.generate import Delta, Failed, Finished, GenerateRequest
from app.core.types import ModelRecord
from app.server.backend import Backend, Live, new_id, now
from app.server.convert import Chunks, to_completion, to_request
from app.server.errors import body_of, error_response, from_decode, from_hearth, status_of
from app.server.guard import BodyTooLargeError
from app.server.sse import DONE, event
from app.server.stream import EventStream
from app.server.wire import ChatRequest, ModelCard, ModelList

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(ChatRequest)


def routes(backend: Backend) -> list[Route]:
    """The routes over one backend."""
    api = _OpenAI(backend)
    return [
        Route("/health", _health, methods=["GET"]),
        Route("/v1/models", api.models, methods=["GET"]),
        Route("/v1/models/{name:path}", api.model, methods=["GET"]),
        Route("/v1/chat/completions", api.chat, methods=["POST"]),
    ]


def as_json(body: object, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(_encoder.encode(body), status, media_type="application/json")


async def _health(_request: Request) -> Response:
    return as_json({"status": "ok"})


class _OpenAI:
    """The handlers. ``request.state.live`` is what the request log will say."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def models(self, _request: Request) -> Response:
        """GET /v1/models"""
        return as_json(ModelList([_card(record) for record in self._backend.models()]))

    async def model(self, request: Request) -> Response:
        """GET /v1/models/{name}"""
        try:
            return as_json(_card(self._backend.find(request.path_params["name"])))
        except HearthError as error:
            return from_hearth(error)

    async def chat(self, request: Request) -> Response:
        """POST /v1/chat/completions"""
        try:
            wire = _decoder.decode(await request.body())
            record = self._backend.find(wire.model)
            asked = to_request(wire, new_id(), self._backend.defaults())
            live: Live = request.state.live
            live.id, live.model = asked.id, record.id
            await self._backend.ready(record)
        except msgspec.MsgspecError as error:
            return from_decode(error)
        except BodyTooLargeError:
            return error_response("too_large", "The request body is too large.", 413)
        except HearthError as error:
            return from_hearth(error)
        if wire.stream:
            include = wire.stream_options is not None and wire.stream_options.include_usage
            return await self._stream(record, asked, live, include)
        return await self._whole(request, record, asked, live)

    async def _whole(
        self, request: Request, record: ModelRecord, asked: GenerateRequest, live: Live
    ) -> Response:
        gone = asyncio.ensure_future(_disconnected(request))
        answer = asyncio.ensure_future(_collect(self._backend.submit(record, asked)))
        try:
            await asyncio.wait((gone, answer), return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                raise ClientDisconnect
            deltas, end = answer.result()
        finally:
            gone.cancel()
            answer.cancel()
            self._backend.end(asked.id)
        if isinstance(end, Failed):
            return error_response(end.code, end.message, status_of(end.code))
        note(live, end)
        return as_json(to_completion(asked.id, now(), record.id, deltas, end))

    async def _stream(
        self, record: ModelRecord, asked: GenerateRequest, live: Live, include: bool
    ) -> Response:
        events = aiter(self._backend.submit(record, asked))
        # The first event decides the status: an error before any text is still an HTTP error.
        try:
            first = await anext(events)
        except BaseException:
            self._backend.end(asked.id)
            raise
        if isinstance(first, Failed):
            self._backend.end(asked.id)
            return error_response(first.code, first.message, status_of(first.code))
        chunks = Chunks(asked.id, now(), record.id, include)
        body = self._chunks(chunks, first, events, asked.id, live)
        return StreamingResponse(body, media_type="text/event-stream", headers={"Cache-Control": "no-cache"})

    async def _chunks(
        self,
        chunks: Chunks,
        first: Delta | Finished,
        events: AsyncIterator[Delta | Finished | Failed],
        request_id: str,
        live: Live,
    ) -> AsyncIterator[bytes]:
        try:
            yield event(_encoder.encode(chunks.first()))
            yield self._encode(chunks, first, live)
            async for item in events:
                data = self._encode(chunks, item, live)
                if data:
                    yield data
            yield DONE
        finally:
            self._backend.end(request_id)

    def _encode(self, chunks: Chunks, item: Delta | Finished | Failed, live: Live) -> bytes:
        if isinstance(item, Delta):
            chunk = chunks.piece(item)
            return event(_encoder.encode(chunk)) if chunk else b""
        if isinstance(item, Failed):
            # The status line is gone already: OpenAI's clients read an error object in the stream.
            return event(_encoder.encode(body_of(item.code, item.message, status_of(item.code))))
        note(live, item)
        return b"".join(event(_encoder.encode(chunk)) for chunk in chunks.last(item))


def note(live: Live, end: Finished) -> None:
    """Remember an answer's figures for the request log."""
    live.prompt_tokens, live.completion_tokens = end.usage.prompt, end.usage.completion
    live.decode_per_second = end.timings.decode_per_second


def _card(record: ModelRecord) -> ModelCard:
    return ModelCard(record.id, int(record.added_at))


async def _collect(events: EventStream) -> tuple[list[Delta], Finished | Failed]:
    deltas: list[Delta] = []
    async for item in events:
        if isinstance(item, Delta):
            deltas.append(item)
        else:
            return deltas, item
    raise RuntimeError("a request ended without a last event")


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
