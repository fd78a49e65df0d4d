"""What OpenAI's clients send and expect, as types (source: OpenAI's API reference, "Chat").

Fields we don't know are ignored; a known field of the wrong type is refused by name (``msgspec`` says where).
Requests are decoded into these once; answers are encoded from these once.
"""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

Probability = Annotated[float, Meta(ge=0, le=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Count = Annotated[int, Meta(ge=1)]


class WireTextPart(Struct, tag="text", tag_field="type"):
    """``{"type": "text", "text": ...}``"""

    text: str


class WireMessage(Struct):
    """One message of a request; ``content`` is text, text parts, or null beside tool calls."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[WireTextPart] | None = None
    name: str = ""
    tool_call_id: str = ""
    reasoning_content: str | None = None


class StreamOptions(Struct):
    """Whether the stream ends with a chunk of usage."""

    include_usage: bool = False


class ChatRequest(Struct):
    """POST /v1/chat/completions. The last block is llama.cpp's own, which many clients send."""

    model: str
    messages: Annotated[list[WireMessage], Meta(min_length=1)]
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Meta(ge=0, le=5)] | None = None
    top_p: Probability | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    logit_bias: dict[int, float] | None = None

    top_k: int | None = None
    min_p: Probability | None = None
    repeat_penalty: Annotated[float, Meta(gt=0)] | None = None
    ignore_eos: bool | None = None


class WireUsage(Struct):
    """Tokens of one completion."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: dict[str, int]


class WireTimings(Struct):
    """llama-server's extra: milliseconds and tokens per second, which our own tools and others read."""

    prompt_n: int
    prompt_ms: float
    prompt_per_second: float | None
    predicted_n: int
    predicted_ms: float
    predicted_per_second: float | None
    cache_n: int


class WireAnswer(Struct, omit_defaults=True):
    """The assistant's message, or one piece of it."""

    role: str | UnsetType = UNSET
    content: str | UnsetType | None = UNSET
    reasoning_content: str | UnsetType = UNSET


class Choice(Struct):
    """One whole answer."""

    index: int
    message: WireAnswer
    finish_reason: str | None
    logprobs: None = None


class ChunkChoice(Struct):
    """One piece of one answer."""

    index: int
    delta: WireAnswer
    finish_reason: str | None = None
    logprobs: None = None


class ChatCompletion(Struct):
    """A whole response."""

    id: str
    created: int
    model: str
    choices: list[Choice]
    usage: WireUsage
    timings: WireTimings
    object: str = "chat.completion"
    system_fingerprint: str = ""


class ChatChunk(Struct, omit_defaults=True):
    """One server-sent event of a stream."""

    id: str
    created: int
    model: str
    choices: list[ChunkChoice]
    object: str
    usage: WireUsage | UnsetType | None = UNSET
    timings: WireTimings | UnsetType = UNSET


class ModelCard(Struct):
    """One entry of GET /v1/models."""

    id: str
    created: int
    object: str = "model"
    owned_by: str = "hearth"


class ModelList(Struct):
    """GET /v1/models."""

    data: list[ModelCard]
    object: str = "list"


class WireError(Struct):
    """OpenAI's error object."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorBody(Struct):
    """Every error answer."""

    error: WireError
