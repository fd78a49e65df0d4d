"""Anthropic's routes: messages, whole and as a stream, and the counting of tokens."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from app.core.generate import Delta, Finished, GenerateRequest, ToolCallDelta
from app.server.backend import Backend, new_id
from app.server.convert_anthropic import (
    message_id,
    signature,
    stopped,
    to_answer,
    to_messages,
    to_request,
    to_tools,
    usage_of,
)
from app.server.errors import Problem, body_of
from app.server.routes import Endpoint, as_json, live_of, read
from app.server.run import Run, Streamed, whole
from app.server.sight import check_sight
from app.server.sse import MEDIA, around_text, event
from app.server.wire_anthropic import (
    AnswerBlock,
    AnthropicAnswer,
    AnthropicUsage,
    CountRequest,
    MessagesRequest,
    TokenCount,
)

_messages = msgspec.json.Decoder(MessagesRequest)
_count = msgspec.json.Decoder(CountRequest)


def endpoints(backend: Backend) -> list[Endpoint]:
    """The routes over one backend."""
    api = _Anthropic(backend)
    return [
        Endpoint(
            "POST", "/v1/messages", api.messages, "anthropic", "Answer a conversation",
            body=MessagesRequest, answer=AnthropicAnswer, stream=MEDIA, errors=(404,),
        ),
        Endpoint(
            "POST", "/v1/messages/count_tokens", api.count, "anthropic", "Count a conversation's tokens",
            body=CountRequest, answer=TokenCount, errors=(404,),
        ),
    ]  # fmt: skip


class _Anthropic:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def messages(self, request: Request) -> ASGIApp:
        """POST /v1/messages"""
        wire = await read(request, _messages)
        record = self._backend.find(wire.model)
        asked: GenerateRequest = to_request(wire, new_id(), self._backend.defaults(record.id))
        check_sight(self._backend, record, asked.messages, "messages")
        run = Run(self._backend, record, [asked], live_of(request))
        if wire.stream:
            return Streamed(run, MessagesWriter(run), "anthropic")
        return as_json(to_answer(asked.id, record.id, await whole(run, request)))

    async def count(self, request: Request) -> Response:
        """POST /v1/messages/count_tokens"""
        wire = await read(request, _count)
        record = self._backend.find(wire.model)
        live_of(request).model = record.id
        rendered = await self._backend.render(record, to_messages(wire), to_tools(wire))
        return as_json(TokenCount(len(rendered.tokens)))


class MessagesWriter:
    """The events of one stream: message_start, each block's start, deltas and stop, message_delta, message_stop."""

    media_type = MEDIA

    def __init__(self, run: Run) -> None:
        self._run = run
        self._index = -1
        self._open = ""
        """Kind of the block that is open."""
        self._call = -1
        self._thought: list[str] = []

    def begin(self) -> bytes:
        """message_start; the prompt's tokens are known here only when some were computed already."""
        live = self._run.live
        message = AnthropicAnswer(
            message_id(self._run.asked[0].id), self._run.record.id, [], None, None,
            AnthropicUsage(live.prompt_tokens, 0),
        )  # fmt: skip
        return _event("message_start", message=message)

    def event(self, item: Delta | Finished) -> bytes:
        """What is new."""
        if isinstance(item, Finished):
            return self._end(item)
        out = b""
        if item.reasoning:
            self._thought.append(item.reasoning)
            out += self._in("thinking", AnswerBlock("thinking", thinking="", signature=""))
            out += self._delta(type="thinking_delta", thinking=item.reasoning)
        if item.text:
            out += self._in("text", AnswerBlock("text", text="", citations=None))
            out += self._delta(type="text_delta", text=item.text)
        return out + b"".join(self._tool(call) for call in item.tool_calls)

    def _tool(self, call: ToolCallDelta) -> bytes:
        out = b""
        if call.index != self._call:
            self._call = call.index
            out = self._close()
            out += self._start("tool_use", AnswerBlock("tool_use", id=call.id, name=call.name, input={}))
        if call.arguments:
            out += self._delta(type="input_json_delta", partial_json=call.arguments)
        return out

    def _in(self, kind: str, block: AnswerBlock) -> bytes:
        return b"" if self._open == kind else self._close() + self._start(kind, block)

    def _start(self, kind: str, block: AnswerBlock) -> bytes:
        self._open = kind
        self._index += 1
        return _event("content_block_start", index=self._index, content_block=block)

    def _delta(self, **delta: str) -> bytes:
        return _event("content_block_delta", index=self._index, delta=delta)

    def _close(self) -> bytes:
        if not self._open:
            return b""
        out = b""
        if self._open == "thinking":
            out = self._delta(type="signature_delta", signature=signature("".join(self._thought)))
            self._thought = []
        self._open = ""
        return out + _event("content_block_stop", index=self._index)

    def _end(self, end: Finished) -> bytes:
        out = b"" if self._index >= 0 else self._start("text", AnswerBlock("text", text="", citations=None))
        out += self._close()
        reason, stop = stopped(end)
        delta = {"stop_reason": reason, "stop_sequence": stop}
        out += _event("message_delta", delta=delta, usage=usage_of(end.usage))
        return out + _event("message_stop")

    def failed(self, problem: Problem) -> bytes:
        """An error event."""
        return b"event: error\ndata: " + body_of("anthropic", problem) + b"\n\n"

    def ping(self) -> bytes:
        """Anthropic's own keep-alive."""
        return _event("ping")

    def around(self) -> tuple[bytes, bytes] | None:
        """Of the block of text that is open."""
        return around_text(self._delta(type="text_delta", text="\0"))


def _event(kind: str, **fields: object) -> bytes:
    return event({"type": kind, **fields}, kind)
