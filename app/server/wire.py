"""What OpenAI's chat clients send and expect, as types (source: OpenAI's API reference, "Chat").

Fields we don't know are ignored; a known field of the wrong type is refused by name (``msgspec`` says where).
Requests are decoded into these once; answers are encoded from these once.
"""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from app.core.generate import ContextPolicy

Probability = Annotated[float, Meta(ge=0, le=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Temperature = Annotated[float, Meta(ge=0, le=5)]
Count = Annotated[int, Meta(ge=1)]
Limit = Annotated[int, Meta(ge=-1)]
"""Tokens to write; -1, as LM Studio's and llama.cpp's clients send it: as many as there is room for."""
Ttl = Annotated[int, Meta(ge=0)]
"""LM Studio's: seconds that the model is kept after its last use."""
Choices = Annotated[int, Meta(ge=1, le=16)]
Seed = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Bias = Annotated[float, Meta(ge=-100, le=100)]
Positive = Annotated[float, Meta(gt=0)]
TokenId = Annotated[int, Meta(ge=0, le=2**31 - 1)]
TopK = Annotated[int, Meta(ge=-1, le=2**31 - 1)]
Lookback = Annotated[int, Meta(ge=-1, le=2**31 - 1)]
"""Tokens to look back over; -1: all."""
Amount = Annotated[float, Meta(ge=0, le=1e6)]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh"]


class WireTextPart(Struct, tag="text", tag_field="type"):
    """``{"type": "text", "text": ...}``"""

    text: str


class WireRefusalPart(Struct, tag="refusal", tag_field="type"):
    """What an assistant refused with."""

    refusal: str


class ImageUrl(Struct):
    """A ``data:`` URL; other addresses are refused: the server fetches nothing."""

    url: str
    detail: str | None = None


class WireImagePart(Struct, tag="image_url", tag_field="type"):
    """``{"type": "image_url", "image_url": {"url": "data:image/png;base64,..."}}``"""

    image_url: ImageUrl


WirePart = WireTextPart | WireRefusalPart | WireImagePart


class WireFunction(Struct):
    """A called function; ``arguments`` is JSON text."""

    name: str
    arguments: str = "{}"


class WireToolCall(Struct):
    """A call in an assistant's message."""

    id: str
    function: WireFunction
    type: Literal["function"] = "function"


class WireMessage(Struct):
    """One message of a request; ``content`` is text, parts, or null beside tool calls."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[WirePart] | None = None
    name: str | None = None
    tool_calls: list[WireToolCall] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None


class StreamOptions(Struct):
    """Whether the stream ends with a chunk of usage."""

    include_usage: bool | None = False


class FunctionSpec(Struct):
    """A function the model may call."""

    name: Annotated[str, Meta(min_length=1, max_length=256)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class WireTool(Struct):
    """A tool: a function; OpenAI's hosted tools are refused by name."""

    function: FunctionSpec
    type: Literal["function"] = "function"


class FunctionName(Struct):
    """A function by name."""

    name: str


class NamedTool(Struct):
    """``tool_choice`` of one function."""

    function: FunctionName
    type: Literal["function"] = "function"


class TextFormat(Struct, tag="text", tag_field="type"):
    """Free text."""


class JsonObjectFormat(Struct, tag="json_object", tag_field="type"):
    """Any JSON object. llama.cpp's own ``schema`` beside it is understood too."""

    schema: dict[str, Any] | None = None


class JsonSchema(Struct):
    """A named schema; it is always enforced, strict or not."""

    schema: dict[str, Any]
    name: str = ""
    description: str | None = None
    strict: bool | None = None


class JsonSchemaFormat(Struct, tag="json_schema", tag_field="type"):
    """JSON of a schema."""

    json_schema: JsonSchema


class Shaping(Struct, kw_only=True):
    """What OpenAI has no name for: llama.cpp's own sampling under llama-server's names, and vLLM's ``min_tokens`` and
    ``stop_token_ids``."""

    top_k: TopK | None = None
    min_p: Probability | None = None
    typical_p: Probability | None = None
    top_n_sigma: Annotated[float, Meta(ge=-1, le=100)] | None = None
    dynatemp_range: Temperature | None = None
    dynatemp_exponent: Amount | None = None
    xtc_probability: Probability | None = None
    xtc_threshold: Probability | None = None
    dry_multiplier: Amount | None = None
    dry_base: Annotated[float, Meta(ge=1, le=1e6)] | None = None
    dry_allowed_length: Count | None = None
    dry_penalty_last_n: Lookback | None = None
    dry_sequence_breakers: Annotated[tuple[str, ...], Meta(max_length=64)] | None = None
    mirostat: Literal[0, 1, 2] | None = None
    mirostat_tau: Amount | None = None
    mirostat_eta: Amount | None = None
    repeat_penalty: Positive | None = None
    repeat_last_n: Lookback | None = None
    min_tokens: Annotated[int, Meta(ge=0)] | None = None
    stop_token_ids: Annotated[tuple[TokenId, ...], Meta(max_length=256)] | None = None
    ignore_eos: bool | None = None
    grammar: str | None = None
    json_schema: dict[str, Any] | None = None


class ChatRequest(Shaping):
    """POST /v1/chat/completions. ``reasoning_budget_tokens`` (-1: no bound) and its older name are llama-server's,
    ``context_policy`` is ours: what becomes of a conversation that does not fit."""

    model: str
    messages: Annotated[list[WireMessage], Meta(min_length=1)]
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    return_progress: bool | None = None
    temperature: Temperature | None = None
    top_p: Probability | None = None
    n: Choices | None = None
    max_tokens: Limit | None = None
    max_completion_tokens: Limit | None = None
    ttl: Ttl | None = None
    stop: str | list[str] | None = None
    seed: Seed | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    logit_bias: dict[TokenId, Bias] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    tools: list[WireTool] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    response_format: TextFormat | JsonObjectFormat | JsonSchemaFormat | None = None
    reasoning_effort: Effort | None = None
    reasoning_budget_tokens: Limit | None = None
    thinking_budget_tokens: Limit | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    context_policy: ContextPolicy | None = None


class WireUsage(Struct):
    """Tokens of one completion."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: dict[str, int]
    completion_tokens_details: dict[str, int]


class WireTimings(Struct):
    """llama-server's extra: milliseconds and tokens per second, which our own tools and others read."""

    prompt_n: int
    prompt_ms: float
    prompt_per_second: float | None
    predicted_n: int
    predicted_ms: float
    predicted_per_second: float | None
    cache_n: int


class TopLogprob(Struct):
    """One alternative."""

    token: str
    logprob: float
    bytes: list[int]


class WireLogprob(Struct):
    """One token and its alternatives."""

    token: str
    logprob: float
    bytes: list[int]
    top_logprobs: list[TopLogprob]


class WireLogprobs(Struct):
    """The tokens of a choice, or of one piece of it."""

    content: list[WireLogprob] | None
    refusal: None = None


class CallPiece(Struct, omit_defaults=True):
    """A tool call, or a piece of one in a stream."""

    function: dict[str, str]
    index: int | UnsetType = UNSET
    id: str | UnsetType = UNSET
    type: str | UnsetType = UNSET


class WireAnswer(Struct, omit_defaults=True):
    """The assistant's message, or one piece of it."""

    role: str | UnsetType = UNSET
    content: str | UnsetType | None = UNSET
    reasoning_content: str | UnsetType = UNSET
    tool_calls: list[CallPiece] | UnsetType = UNSET


class Choice(Struct):
    """One whole answer."""

    index: int
    message: WireAnswer
    finish_reason: str | None
    logprobs: WireLogprobs | None = None


class ChunkChoice(Struct):
    """One piece of one answer."""

    index: int
    delta: WireAnswer
    finish_reason: str | None = None
    logprobs: WireLogprobs | None = None


class ChatCompletion(Struct):
    """A whole response."""

    id: str
    created: int
    model: str
    choices: list[Choice]
    usage: WireUsage
    timings: WireTimings
    object: str = "chat.completion"
    system_fingerprint: str = "hearth"
    dropped_messages: list[int] | UnsetType = UNSET
    """Messages that ``context_policy`` left out of the prompt, by their place in the request."""


class PromptProgress(Struct):
    """llama-server's ``return_progress``: prompt tokens in all and read so far, and milliseconds since the first."""

    total: int
    cache: int
    processed: int
    time_ms: int


class ChatChunk(Struct, omit_defaults=True):
    """One server-sent event of a stream."""

    id: str
    created: int
    model: str
    choices: list[ChunkChoice]
    object: str
    usage: WireUsage | UnsetType | None = UNSET
    timings: WireTimings | UnsetType = UNSET
    prompt_progress: PromptProgress | UnsetType = UNSET
    dropped_messages: list[int] | UnsetType = UNSET


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
