"""Ollama's routes that make answers: chat, generate, embed. Streams are lines of JSON, not events."""

import time
from typing import Any, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from app.core.generate import Delta, Finished, GenerateRequest, TokenLogprob
from app.core.types import ModelRecord
from app.server import fim, ollama_models
from app.server.answer import Answer
from app.server.backend import Backend, new_id
from app.server.convert_ollama import (
    NS,
    call_of,
    chat_request,
    figures,
    generate_request,
    iso,
    sampling_of,
    seconds_of,
)
from app.server.errors import Problem, bad_field, body_of
from app.server.routes import Endpoint, as_json, live_of, read
from app.server.run import Run, Streamed, whole
from app.server.sight import check_sight
from app.server.vectors import shortened
from app.server.wire_ollama import (
    EmbedRequest,
    EmbedResult,
    KeepAlive,
    OldEmbedRequest,
    OldEmbedResult,
    OllamaAnswer,
    OllamaChatRequest,
    OllamaGenerateRequest,
    OllamaLogprob,
    OllamaText,
)

NDJSON = "application/x-ndjson"
_chat = msgspec.json.Decoder(OllamaChatRequest)
_generate = msgspec.json.Decoder(OllamaGenerateRequest)
_embed = msgspec.json.Decoder(EmbedRequest)
_old_embed = msgspec.json.Decoder(OldEmbedRequest)
_encode = msgspec.json.Encoder().encode


def endpoints(backend: Backend) -> list[Endpoint]:
    """The routes over one backend."""
    api = _Ollama(backend)
    return [
        Endpoint(
            "POST", "/api/chat", api.chat, "ollama", "Answer a conversation",
            body=OllamaChatRequest, answer=OllamaAnswer, stream=NDJSON, errors=(404,),
        ),
        Endpoint(
            "POST", "/api/generate", api.generate, "ollama", "Answer a prompt",
            body=OllamaGenerateRequest, answer=OllamaText, stream=NDJSON, errors=(404,),
        ),
        Endpoint(
            "POST", "/api/embed", api.embed, "ollama", "Turn texts into vectors",
            body=EmbedRequest, answer=EmbedResult, errors=(404,),
        ),
        Endpoint(
            "POST", "/api/embeddings", api.old_embed, "ollama", "Turn a text into a vector (older form)",
            body=OldEmbedRequest, answer=OldEmbedResult, errors=(404,),
        ),
        *ollama_models.endpoints(backend),
    ]  # fmt: skip


class _Ollama:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def chat(self, request: Request) -> ASGIApp:
        """POST /api/chat"""
        wire = await read(request, _chat)
        record = self._backend.find(wire.model)
        if not wire.messages:
            reason = await self._load_only(record, wire.keep_alive)
            message = {"role": "assistant", "content": ""}
            return as_json(OllamaAnswer(message=message, **_head(record), done=True, done_reason=reason))
        asked = chat_request(wire, new_id(), self._backend.defaults(record.id))
        return await self._answer(request, record, asked, wire.keep_alive, wire.stream, ChatLines)

    async def generate(self, request: Request) -> ASGIApp:
        """POST /api/generate"""
        wire = await read(request, _generate)
        record = self._backend.find(wire.model)
        if wire.context:
            raise bad_field("context", "context is not kept any more: use /api/chat, or raw.")
        if not wire.prompt:
            reason = await self._load_only(record, wire.keep_alive)
            return as_json(OllamaText(response="", **_head(record), done=True, done_reason=reason))
        asked = generate_request(wire, new_id(), self._backend.defaults(record.id))
        if wire.suffix:
            asked = await self._middle(record, wire, asked.id)
        return await self._answer(request, record, asked, wire.keep_alive, wire.stream, TextLines)

    async def _middle(
        self, record: ModelRecord, wire: OllamaGenerateRequest, request_id: str
    ) -> GenerateRequest:
        found = await fim.tokens(self._backend, record, wire.prompt, wire.suffix or "")
        if found is None:
            raise bad_field("suffix", f"{record.id} does not support insert: it has no tokens for that.")
        sampling = sampling_of(wire.options, self._backend.defaults(record.id))
        return GenerateRequest(request_id, tokens=tuple(found), sampling=sampling)

    async def _load_only(self, record: ModelRecord, keep: KeepAlive | None) -> str:
        seconds = seconds_of(keep)
        if seconds == 0:
            await self._backend.unload(record.id)
            return "unload"
        await self._backend.ready(record)
        self._backend.keeper.keep(record.id, seconds)
        return "load"

    async def _answer(
        self,
        request: Request,
        record: ModelRecord,
        asked: GenerateRequest,
        keep: KeepAlive | None,
        stream: bool | None,
        lines: "type[ChatLines | TextLines]",
    ) -> ASGIApp:
        seconds = seconds_of(keep)
        check_sight(self._backend, record, asked.messages, "images")
        run = Run(self._backend, record, [asked], live_of(request))
        self._backend.keeper.keep(record.id, seconds)
        writer = lines(run)
        if stream is False:
            return as_json(writer.whole(await whole(run, request)))
        return Streamed(run, LineWriter(writer), "ollama")

    async def embed(self, request: Request) -> Response:
        """POST /api/embed"""
        wire = await read(request, _embed)
        record = self._backend.find(wire.model)
        texts = [wire.input] if isinstance(wire.input, str) else wire.input
        rows, tokens, loaded, total = await self._vectors(request, record, texts, wire.keep_alive)
        rows = [shortened(row, wire.dimensions, "dimensions") for row in rows]
        return as_json(EmbedResult(record.id, rows, int(total * NS), int(loaded * NS), tokens))

    async def old_embed(self, request: Request) -> Response:
        """POST /api/embeddings"""
        wire = await read(request, _old_embed)
        record = self._backend.find(wire.model)
        rows, _, _, _ = await self._vectors(request, record, [wire.prompt], wire.keep_alive)
        return as_json(OldEmbedResult(rows[0]))

    async def _vectors(
        self, request: Request, record: ModelRecord, texts: list[str], keep: KeepAlive | None
    ) -> tuple[list[list[float]], int, float, float]:
        live = live_of(request)
        live.model = record.id
        began = time.monotonic()
        await self._backend.ready(record)
        loaded = time.monotonic() - began
        self._backend.keeper.keep(record.id, seconds_of(keep))
        found = await self._backend.embed(record, texts)
        live.prompt_tokens = found.tokens
        return found.vectors, found.tokens, loaded, time.monotonic() - began


def _head(record: ModelRecord) -> dict[str, Any]:
    return {"model": record.id, "created_at": iso(time.time())}


class Lines(Protocol):
    """What differs between chat's lines and generate's."""

    def piece(self, delta: Delta) -> object | None:
        """A line, or None for nothing new."""

    def last(self, end: Finished) -> object:
        """The line with the figures."""


class ChatLines:
    """The lines of /api/chat. A tool call is told whole, in one line."""

    def __init__(self, run: Run) -> None:
        self._run, self._began = run, time.monotonic()
        self._calls = Answer()

    def piece(self, delta: Delta) -> OllamaAnswer | None:
        """Text and thinking; calls wait until they are whole."""
        if delta.tool_calls:
            self._calls.add(Delta(tool_calls=delta.tool_calls))
        if not (delta.text or delta.reasoning or delta.logprobs):
            return None
        message: dict[str, Any] = {"role": "assistant", "content": delta.text}
        if delta.reasoning:
            message["thinking"] = delta.reasoning
        line = OllamaAnswer(message=message, **_head(self._run.record), done=False)
        if delta.logprobs:
            line.logprobs = [_logprob(item) for item in delta.logprobs]
        return line

    def last(self, end: Finished) -> OllamaAnswer:
        """The figures, and the calls."""
        message: dict[str, Any] = {"role": "assistant", "content": ""}
        calls = self._calls.first.tool_calls
        if calls:
            message["tool_calls"] = [call_of(call) for call in calls]
        return OllamaAnswer(message=message, **_head(self._run.record), **_figures(self, end))

    def whole(self, answer: Answer) -> OllamaAnswer:
        """All in one."""
        self._calls = answer
        choice = answer.first
        assert choice.end is not None  # whole() waited for it
        line = self.last(choice.end)
        line.message["content"] = choice.text
        if choice.reasoning:
            line.message["thinking"] = choice.reasoning
        if choice.logprobs:
            line.logprobs = [_logprob(item) for item in choice.logprobs]
        return line

    @property
    def clock(self) -> tuple[float, float]:
        """(seconds of loading, seconds in all)."""
        return self._run.load_seconds or 0.0, time.monotonic() - self._began


class TextLines:
    """The lines of /api/generate."""

    def __init__(self, run: Run) -> None:
        self._run, self._began = run, time.monotonic()

    def piece(self, delta: Delta) -> OllamaText | None:
        """Text and thinking."""
        if not (delta.text or delta.reasoning):
            return None
        line = OllamaText(response=delta.text, **_head(self._run.record), done=False)
        if delta.reasoning:
            line.thinking = delta.reasoning
        return line

    def last(self, end: Finished) -> OllamaText:
        """The figures."""
        return OllamaText(response="", **_head(self._run.record), **_figures(self, end))

    def whole(self, answer: Answer) -> OllamaText:
        """All in one."""
        choice = answer.first
        assert choice.end is not None  # whole() waited for it
        line = self.last(choice.end)
        line.response = choice.text
        if choice.reasoning:
            line.thinking = choice.reasoning
        return line

    @property
    def clock(self) -> tuple[float, float]:
        """(seconds of loading, seconds in all)."""
        return self._run.load_seconds or 0.0, time.monotonic() - self._began


def _figures(lines: ChatLines | TextLines, end: Finished) -> dict[str, Any]:
    return figures(end, *lines.clock)


def _logprob(item: TokenLogprob) -> OllamaLogprob:
    top = [{"token": token, "logprob": logprob, "bytes": list(data)} for token, data, logprob in item.top]
    return OllamaLogprob(item.token, item.logprob, list(item.data), top)


class LineWriter:
    """A stream of lines."""

    media_type = NDJSON

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def begin(self) -> bytes:
        """Nothing."""
        return b""

    def event(self, item: Delta | Finished) -> bytes:
        """A line."""
        line = self._lines.last(item) if isinstance(item, Finished) else self._lines.piece(item)
        return b"" if line is None else _encode(line) + b"\n"

    def failed(self, problem: Problem) -> bytes:
        """A line with the error, as Ollama's clients read it."""
        return body_of("ollama", problem) + b"\n"

    def ping(self) -> bytes:
        """An empty line would break Ollama's clients: nothing can be sent."""
        return b""

    def around(self) -> None:
        """Each line has its time."""
