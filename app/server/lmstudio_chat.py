"""LM Studio's own chat, version 1: stateful by response ids, and named events with the progress of the prompt."""

import msgspec
from starlette.requests import Request
from starlette.types import ASGIApp

from app.core.generate import (
    Delta,
    Finished,
    GenerateRequest,
    ImagePart,
    Message,
    Part,
    ReasoningOptions,
    SamplingParams,
    TextPart,
)
from app.server.answer import Answer
from app.server.backend import Backend, new_id
from app.server.convert import image_of, over_defaults
from app.server.errors import Problem
from app.server.routes import Endpoint, as_json, live_of, read
from app.server.run import Run, Streamed, whole
from app.server.shelf import Shelf
from app.server.sight import check_sight
from app.server.sse import MEDIA, PING, event
from app.server.wire_lmstudio import V1ChatRequest, V1ChatResult, V1Image, V1Output, V1Stats

_decoder = msgspec.json.Decoder(V1ChatRequest)


def endpoints(backend: Backend) -> list[Endpoint]:
    """The route over one backend."""
    shelf: Shelf[None] = Shelf()

    async def chat(request: Request) -> ASGIApp:
        wire = await read(request, _decoder)
        record = backend.find(wire.model)
        earlier = wire.previous_response_id
        before = shelf.get(earlier, "previous_response_id").messages if earlier else ()
        asked = to_request(wire, before, new_id(), backend.defaults(record.id))
        check_sight(backend, record, asked.messages, "input")
        run = Run(backend, record, [asked], live_of(request))
        if wire.context_length is not None:
            run.changes = {"n_ctx": wire.context_length}
        writer = ChatEvents(run, None if wire.store is False else shelf)
        if wire.stream:
            return Streamed(run, writer, "lmstudio")
        return as_json(writer.whole(await whole(run, request)))

    return [
        Endpoint(
            "POST", "/api/v1/chat", chat, "lmstudio", "Answer, with what was said before kept here",
            body=V1ChatRequest, answer=V1ChatResult, stream=MEDIA, errors=(404,),
        )
    ]  # fmt: skip


def to_request(
    wire: V1ChatRequest, before: tuple[Message, ...], request_id: str, defaults: SamplingParams
) -> GenerateRequest:
    """What the client asked for, after the messages of the responses before it."""
    system = (Message("system", wire.system_prompt),) if wire.system_prompt else ()
    rest = tuple(message for message in before if not (system and message.role == "system"))
    return GenerateRequest(
        request_id,
        (*system, *rest, Message("user", _content(wire))),
        sampling=over_defaults(wire, defaults, wire.max_output_tokens),
        reasoning=_reasoning(wire),
    )


def _content(wire: V1ChatRequest) -> str | tuple[Part, ...]:
    if isinstance(wire.input, str):
        return wire.input
    parts: list[Part] = [
        image_of(item.data_url, "input.data_url") if isinstance(item, V1Image) else TextPart(item.content)
        for item in wire.input
    ]
    if any(isinstance(part, ImagePart) for part in parts):
        return tuple(parts)
    return "\n".join(part.text for part in parts if isinstance(part, TextPart))


def _reasoning(wire: V1ChatRequest) -> ReasoningOptions:
    if wire.reasoning is None:
        return ReasoningOptions()
    if wire.reasoning in ("on", "off"):
        return ReasoningOptions(wire.reasoning == "on")
    return ReasoningOptions(True, effort=wire.reasoning)  # type: ignore[arg-type]


class ChatEvents:
    """The events of one stream; its end is the whole answer."""

    media_type = MEDIA

    def __init__(self, run: Run, shelf: "Shelf[None] | None") -> None:
        self._run, self._shelf = run, shelf
        self._id = f"resp_{run.asked[0].id}"
        self._output: list[V1Output] = []
        self._pieces: list[str] = []
        self._open = ""
        self._loading = not run.backend.is_ready(run.record.id)
        self._told_load = self._told_prompt = self._prompt_over = False

    def begin(self) -> bytes:
        """chat.start, and model_load.start when it has to be loaded."""
        out = self._say("chat.start", model_instance_id=self._run.record.id)
        if self._loading:
            self._told_load = True
            out += self._say("model_load.start", model_instance_id=self._run.record.id)
        return out

    def event(self, item: Delta | Finished) -> bytes:
        """What is new."""
        if isinstance(item, Finished):
            return self._end(item)
        out = self._prompt(item)
        if item.reasoning:
            out += self._text("reasoning", item.reasoning)
        if item.text:
            out += self._text("message", item.text)
        return out

    def whole(self, answer: Answer) -> V1ChatResult:
        """The same without a stream."""
        choice = answer.first
        assert choice.end is not None  # whole() waited for it
        self.event(Delta(text=choice.text, reasoning=choice.reasoning))
        self._close()
        return self._result(choice.end)

    def failed(self, problem: Problem) -> bytes:
        """error, then an end with what there is."""
        error = {
            "type": "internal_error",
            "message": problem.message,
            "code": problem.code,
            "param": problem.param,
        }
        out = self._close() + self._say("error", error=error)
        live = self._run.live
        stats = V1Stats(live.prompt_tokens, live.tokens, 0, live.decode_per_second or 0.0, 0.0)
        return out + self._say("chat.end", result=V1ChatResult(self._run.record.id, self._output, stats))

    def ping(self) -> bytes:
        """How far the loading is, else a comment."""
        instance = self._run.backend.instance(self._run.record.id)
        if self._told_load and instance is not None and instance.state == "loading":
            return self._say(
                "model_load.progress", model_instance_id=self._run.record.id, progress=instance.progress
            )
        return PING

    def around(self) -> None:
        """The text is said once more at the end."""

    def _prompt(self, delta: Delta) -> bytes:
        out = b""
        if self._told_load:
            self._told_load = False
            out = self._say(
                "model_load.end",
                model_instance_id=self._run.record.id,
                load_time_seconds=self._run.load_seconds or 0.0,
            )
        if not self._told_prompt:
            self._told_prompt = True
            out += self._say("prompt_processing.start")
        if delta.prompt_tokens and not self._prompt_over:
            out += self._say("prompt_processing.progress", progress=delta.prefilled / delta.prompt_tokens)
        if (delta.text or delta.reasoning) and not self._prompt_over:
            self._prompt_over = True
            out += self._say("prompt_processing.end")
        return out

    def _text(self, kind: str, text: str) -> bytes:
        out = b""
        if self._open != kind:
            out = self._close() + self._say(f"{kind}.start")
            self._open = kind
        self._pieces.append(text)
        return out + self._say(f"{kind}.delta", content=text)

    def _close(self) -> bytes:
        if not self._open:
            return b""
        kind, self._open = self._open, ""
        self._output.append(V1Output(kind, "".join(self._pieces)))
        self._pieces = []
        return self._say(f"{kind}.end")

    def _end(self, end: Finished) -> bytes:
        return self._close() + self._say("chat.end", result=self._result(end))

    def _result(self, end: Finished) -> V1ChatResult:
        usage, timings = end.usage, end.timings
        stats = V1Stats(
            usage.prompt, usage.completion, usage.reasoning, timings.decode_per_second or 0.0, timings.ttft
        )
        if self._run.load_seconds is not None:
            stats.model_load_time_seconds = self._run.load_seconds
        result = V1ChatResult(self._run.record.id, self._output, stats)
        if self._shelf is not None:
            result.response_id = self._id
            said = {
                kind: "".join(o.content for o in self._output if o.type == kind)
                for kind in ("message", "reasoning")
            }
            turn = Message("assistant", said["message"], said["reasoning"])
            self._shelf.put(self._id, None, (*self._run.asked[0].messages, turn))
        return result

    def _say(self, kind: str, **fields: object) -> bytes:
        return event({"type": kind, **fields}, kind)
