"""OpenAI's responses: one state machine writes the events of a stream, and its end is the whole answer, so that the two
can't differ. Responses are kept in memory, a bounded number of them, for ``previous_response_id``.
"""

from typing import Any

import msgspec
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from app.core.generate import Delta, Finished, GenerateRequest, Message, ToolCall, ToolCallDelta
from app.server.answer import Answer
from app.server.backend import Backend, new_id, now
from app.server.convert_responses import begun, to_request, usage_of
from app.server.errors import Problem
from app.server.routes import Endpoint, as_json, live_of, read
from app.server.run import Run, Streamed, whole
from app.server.shelf import Shelf
from app.server.sight import check_sight
from app.server.sse import MEDIA, PING, event
from app.server.wire_responses import Deleted, OutputItem, OutputPart, ResponseObject, ResponsesRequest

_decoder = msgspec.json.Decoder(ResponsesRequest)


def endpoints(backend: Backend) -> list[Endpoint]:
    """The routes over one backend."""
    api = _Responses(backend)
    return [
        Endpoint(
            "POST", "/v1/responses", api.create, "openai", "Answer, with what was said before kept here",
            body=ResponsesRequest, answer=ResponseObject, stream=MEDIA, errors=(404,),
        ),
        Endpoint(
            "GET", "/v1/responses/{response_id}", api.one, "openai", "A kept response",
            answer=ResponseObject, errors=(404,),
        ),
        Endpoint(
            "DELETE", "/v1/responses/{response_id}", api.delete, "openai", "Forget a kept response",
            answer=Deleted, errors=(404,),
        ),
    ]  # fmt: skip


class _Responses:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._shelf: Shelf[ResponseObject] = Shelf()

    async def create(self, request: Request) -> ASGIApp:
        """POST /v1/responses"""
        wire = await read(request, _decoder)
        record = self._backend.find(wire.model)
        earlier = wire.previous_response_id
        before = self._shelf.get(earlier, "previous_response_id").messages if earlier else ()
        asked = to_request(wire, before, new_id(), self._backend.defaults(record.id))
        check_sight(self._backend, record, asked.messages, "input")
        run = Run(self._backend, record, [asked], live_of(request))
        writer = ResponseWriter(begun(wire, asked, now(), record.id), asked, self._shelf)
        if wire.stream:
            return Streamed(run, writer, "openai")
        return as_json(writer.whole(await whole(run, request)))

    async def one(self, request: Request) -> Response:
        """GET /v1/responses/{response_id}"""
        return as_json(self._shelf.get(request.path_params["response_id"]).response)

    async def delete(self, request: Request) -> Response:
        """DELETE /v1/responses/{response_id}"""
        self._shelf.drop(request.path_params["response_id"])
        return as_json(Deleted(request.path_params["response_id"]))


class ResponseWriter:
    """The events of one stream, numbered. One output item is open at a time: reasoning, message or function_call."""

    media_type = MEDIA

    def __init__(
        self, response: ResponseObject, asked: GenerateRequest, shelf: Shelf[ResponseObject]
    ) -> None:
        self._response, self._asked, self._shelf = response, asked, shelf
        self._number = 0
        self._item: OutputItem | None = None
        self._pieces: list[str] = []
        self._call = -1

    def whole(self, answer: Answer) -> ResponseObject:
        """The response without a stream: the same events, unwritten."""
        choice = answer.first
        calls = tuple(ToolCallDelta(i, c.id, c.name, c.arguments) for i, c in enumerate(choice.tool_calls))
        self.event(Delta(text=choice.text, reasoning=choice.reasoning, tool_calls=calls))
        if choice.end is not None:
            self.event(choice.end)
        return self._response

    # ------------------------------------------------------------------------------ the stream

    def begin(self) -> bytes:
        """created, in_progress."""
        return self._say("response.created", response=self._response) + self._say(
            "response.in_progress", response=self._response
        )

    def event(self, item: Delta | Finished) -> bytes:
        """What is new."""
        if isinstance(item, Finished):
            return self._end(item)
        out = self._text("reasoning", item.reasoning) if item.reasoning else b""
        if item.text:
            out += self._text("message", item.text)
        return out + b"".join(self._tool(call) for call in item.tool_calls)

    def failed(self, problem: Problem) -> bytes:
        """failed: what was written stays in it."""
        out = self._close("incomplete")
        self._response.status = "failed"
        self._response.error = {"code": "server_error", "message": problem.message}
        return out + self._say("response.failed", response=self._response)

    def ping(self) -> bytes:
        """A comment."""
        return PING

    def around(self) -> None:
        """Each event has its number."""

    def _say(self, kind: str, **fields: object) -> bytes:
        number, self._number = self._number, self._number + 1
        return event({"type": kind, "sequence_number": number, **fields}, kind)

    # ------------------------------------------------------------------------------ items

    def _text(self, kind: str, text: str) -> bytes:
        out = b""
        if self._item is None or self._item.type != kind:
            out = self._close() + self._open(_text_item(kind, self._asked.id, len(self._response.output)))
            part = _part(kind, "")
            out += self._say("response.content_part.added", **self._at(content=0), part=part)
        self._pieces.append(text)
        where = self._at(content=0)
        if kind == "message":
            return out + self._say("response.output_text.delta", **where, delta=text, logprobs=[])
        return out + self._say("response.reasoning_text.delta", **where, delta=text)

    def _tool(self, call: ToolCallDelta) -> bytes:
        out = b""
        if call.index != self._call:
            self._call = call.index
            name = f"fc_{self._asked.id}_{call.index}"
            item = OutputItem(
                "function_call", name, "in_progress", call_id=call.id, name=call.name, arguments=""
            )
            out = self._close() + self._open(item)
        self._pieces.append(call.arguments)
        if not call.arguments:
            return out
        return out + self._say("response.function_call_arguments.delta", **self._at(), delta=call.arguments)

    def _open(self, item: OutputItem) -> bytes:
        self._item, self._pieces = item, []
        self._response.output.append(item)
        # A copy, because the item in the response goes on to grow.
        return self._say("response.output_item.added", **self._where(), item=replace(item))

    def _where(self) -> dict[str, Any]:
        return {"output_index": len(self._response.output) - 1}

    def _at(self, content: int | None = None) -> dict[str, Any]:
        found: dict[str, Any] = {"item_id": self._item.id if self._item else "", **self._where()}
        return found if content is None else {**found, "content_index": content}

    def _close(self, status: str = "completed") -> bytes:
        item = self._item
        if item is None:
            return b""
        text = "".join(self._pieces)
        done = self._call_done(item, text) if item.type == "function_call" else self._text_done(item, text)
        item.status = status
        out = done + self._say("response.output_item.done", **self._where(), item=item)
        self._item = None
        return out

    def _call_done(self, item: OutputItem, text: str) -> bytes:
        item.arguments = text or "{}"
        return self._say(
            "response.function_call_arguments.done", **self._at(), name=item.name, arguments=item.arguments
        )

    def _text_done(self, item: OutputItem, text: str) -> bytes:
        part, where = _part(item.type, text), self._at(content=0)
        item.content = [part]
        kind = "reasoning_text" if item.type == "reasoning" else "output_text"
        more: dict[str, Any] = {} if item.type == "reasoning" else {"logprobs": []}
        out = self._say(f"response.{kind}.done", **where, text=text, **more)
        return out + self._say("response.content_part.done", **where, part=part)

    # ------------------------------------------------------------------------------ the end

    def _end(self, end: Finished) -> bytes:
        response = self._response
        full = end.reason in ("length", "context_full", "cancelled")
        out = b"" if response.output else self._text("message", "")
        out += self._close("incomplete" if full else "completed")
        response.usage = usage_of(end.usage)
        response.status = "incomplete" if full else "completed"
        if full:
            response.incomplete_details = {"reason": "max_output_tokens"}
        if response.store:
            self._keep()
        return out + self._say(f"response.{response.status}", response=response)

    def _keep(self) -> None:
        # Instructions are not carried on: OpenAI's next response brings its own.
        said = self._asked.messages[1:] if self._response.instructions else self._asked.messages
        self._shelf.put(self._response.id, self._response, (*said, _turn(self._response)))


def _text_item(kind: str, request_id: str, index: int) -> OutputItem:
    if kind == "reasoning":
        return OutputItem("reasoning", f"rs_{request_id}_{index}", "in_progress", content=[], summary=[])
    return OutputItem("message", f"msg_{request_id}_{index}", "in_progress", "assistant", [])


def _part(kind: str, text: str) -> OutputPart:
    if kind == "reasoning":
        return OutputPart("reasoning_text", text)
    return OutputPart("output_text", text, [], [])


def _turn(response: ResponseObject) -> Message:
    texts: dict[str, list[str]] = {"message": [], "reasoning": []}
    calls = []
    for item in response.output:
        if item.type == "function_call":
            calls.append(ToolCall(str(item.call_id), str(item.name), str(item.arguments)))
        elif isinstance(item.content, list):
            texts[item.type] += [part.text for part in item.content]
    return Message("assistant", "".join(texts["message"]), "".join(texts["reasoning"]), tuple(calls))
