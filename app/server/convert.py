"""Between OpenAI's wire types and ours: pure functions, no HTTP."""

from msgspec.structs import replace

from app.core.generate import (
    Delta,
    Finished,
    FinishReason,
    GenerateRequest,
    Message,
    Role,
    SamplingParams,
    Timings,
    Usage,
)
from app.server.wire import (
    ChatChunk,
    ChatCompletion,
    ChatRequest,
    Choice,
    ChunkChoice,
    WireAnswer,
    WireMessage,
    WireTimings,
    WireUsage,
)

REASONS: dict[FinishReason, str] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "cancelled": "stop",
    "context_full": "length",
}
# Ours and OpenAI's name and meaning are the same for these.
SAME = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "logit_bias",
)
SAME_TOO = ("repeat_penalty", "ignore_eos")
CHUNK = "chat.completion.chunk"


def to_request(wire: ChatRequest, request_id: str, defaults: SamplingParams) -> GenerateRequest:
    """What the client asked for, over the defaults of the settings."""
    messages = tuple(_message(message) for message in wire.messages)
    return GenerateRequest(request_id, messages, sampling=_sampling(wire, defaults))


def _message(wire: WireMessage) -> Message:
    content = wire.content
    text = "".join(part.text for part in content) if isinstance(content, list) else content or ""
    role: Role = "system" if wire.role == "developer" else wire.role
    return Message(role, text, wire.reasoning_content or "", tool_call_id=wire.tool_call_id, name=wire.name)


def _sampling(wire: ChatRequest, defaults: SamplingParams) -> SamplingParams:
    given = {name: getattr(wire, name) for name in (*SAME, *SAME_TOO) if getattr(wire, name) is not None}
    limit = wire.max_completion_tokens or wire.max_tokens
    if limit is not None:
        given["max_tokens"] = limit
    if wire.stop:
        given["stop"] = (
            (wire.stop,) if isinstance(wire.stop, str) else tuple(stop for stop in wire.stop if stop)
        )
    return replace(defaults, **given)


def usage_of(usage: Usage) -> WireUsage:
    """OpenAI's counts."""
    total = usage.prompt + usage.completion
    return WireUsage(usage.prompt, usage.completion, total, {"cached_tokens": usage.cached})


def timings_of(timings: Timings, usage: Usage) -> WireTimings:
    """llama-server's counts."""
    return WireTimings(
        prompt_n=timings.prefill_tokens,
        prompt_ms=timings.prefill * 1000,
        prompt_per_second=timings.prefill_per_second,
        predicted_n=usage.completion,
        predicted_ms=timings.decode * 1000,
        predicted_per_second=timings.decode_per_second,
        cache_n=usage.cached,
    )


def to_completion(
    request_id: str, created: int, model: str, deltas: list[Delta], end: Finished
) -> ChatCompletion:
    """A whole answer from its pieces."""
    reasoning = "".join(delta.reasoning for delta in deltas)
    answer = WireAnswer("assistant", "".join(delta.text for delta in deltas))
    if reasoning:
        answer.reasoning_content = reasoning
    choices = [Choice(0, answer, REASONS[end.reason])]
    timings = timings_of(end.timings, end.usage)
    return ChatCompletion(completion_id(request_id), created, model, choices, usage_of(end.usage), timings)


def completion_id(request_id: str) -> str:
    """OpenAI's form of an id."""
    return f"chatcmpl-{request_id}"


class Chunks:
    """The chunks of one stream, in order: role first, pieces, the reason, then usage if asked for."""

    def __init__(self, request_id: str, created: int, model: str, include_usage: bool) -> None:
        self._head = (completion_id(request_id), created, model)
        self._include_usage = include_usage

    def first(self) -> ChatChunk:
        """The chunk that names the role."""
        return self._piece(WireAnswer(role="assistant", content=""))

    def piece(self, delta: Delta) -> ChatChunk | None:
        """A chunk with new text, or None for a delta without any (prefill progress)."""
        if delta.text:
            return self._piece(WireAnswer(content=delta.text))
        return self._piece(WireAnswer(reasoning_content=delta.reasoning)) if delta.reasoning else None

    def last(self, end: Finished) -> list[ChatChunk]:
        """The reason, and the usage."""
        chunk = self._piece(WireAnswer(), REASONS[end.reason])
        chunk.timings = timings_of(end.timings, end.usage)
        if not self._include_usage:
            return [chunk]
        return [chunk, ChatChunk(*self._head, [], CHUNK, usage_of(end.usage))]

    def _piece(self, answer: WireAnswer, reason: str | None = None) -> ChatChunk:
        # With include_usage every chunk but the last carries usage: null.
        chunk = ChatChunk(*self._head, [ChunkChoice(0, answer, reason)], CHUNK)
        if self._include_usage:
            chunk.usage = None
        return chunk
