"""What OpenAI's newer clients send and expect of /v1/responses, as types (source: its API reference, "Responses")."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from app.server.wire import Count, Effort, Probability, Temperature


class InputPart(Struct):
    """A part of an item: input_text, output_text, input_image, refusal, reasoning_text or summary_text."""

    type: Literal[
        "input_text", "output_text", "input_image", "refusal", "reasoning_text", "summary_text", "text"
    ]
    text: str | None = None
    image_url: str | None = None
    refusal: str | None = None


class InputItem(Struct):
    """An item of the input. Without a type it is a message."""

    type: Literal["message", "function_call", "function_call_output", "reasoning"] = "message"
    role: Literal["user", "assistant", "system", "developer"] | None = None
    content: str | list[InputPart] | None = None
    summary: list[InputPart] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: str | list[InputPart] | None = None


class ResponseTool(Struct):
    """A function; OpenAI's hosted tools are refused by name."""

    type: Literal["function"]
    name: Annotated[str, Meta(min_length=1, max_length=256)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ResponseToolName(Struct):
    """One function."""

    name: str
    type: Literal["function"] = "function"


class ResponseFormatText(Struct, tag="text", tag_field="type"):
    """Free text."""


class ResponseFormatObject(Struct, tag="json_object", tag_field="type"):
    """Any JSON object."""


class ResponseFormatSchema(Struct, tag="json_schema", tag_field="type"):
    """JSON of a schema."""

    schema: dict[str, Any]
    name: str = ""
    strict: bool | None = None
    description: str | None = None


class TextOptions(Struct):
    """How the text is."""

    format: ResponseFormatText | ResponseFormatObject | ResponseFormatSchema | None = None
    verbosity: str | None = None


class ReasoningWish(Struct):
    """How long to think."""

    effort: Effort | None = None
    summary: str | None = None


class ResponsesRequest(Struct):
    """POST /v1/responses."""

    model: str
    input: str | list[InputItem] = ""
    instructions: str | None = None
    previous_response_id: str | None = None
    store: bool | None = None
    stream: bool | None = False
    max_output_tokens: Count | None = None
    temperature: Temperature | None = None
    top_p: Probability | None = None
    tools: list[ResponseTool] | None = None
    tool_choice: Literal["none", "auto", "required"] | ResponseToolName | None = None
    parallel_tool_calls: bool | None = None
    text: TextOptions | None = None
    reasoning: ReasoningWish | None = None
    metadata: dict[str, str] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    user: str | None = None


class OutputPart(Struct, omit_defaults=True):
    """output_text, or reasoning_text."""

    type: str
    text: str
    annotations: list[Any] | UnsetType = UNSET
    logprobs: list[Any] | UnsetType = UNSET


class OutputItem(Struct, omit_defaults=True):
    """message, reasoning or function_call."""

    type: str
    id: str
    status: str
    role: str | UnsetType = UNSET
    content: list[OutputPart] | UnsetType = UNSET
    summary: list[Any] | UnsetType = UNSET
    call_id: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    arguments: str | UnsetType = UNSET


class ResponseUsage(Struct):
    """Tokens."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: dict[str, int]
    output_tokens_details: dict[str, int]


class ResponseObject(Struct):
    """A response: whole, or as far as it is."""

    id: str
    created_at: int
    model: str
    status: str
    output: list[OutputItem]
    parallel_tool_calls: bool
    tool_choice: Any
    tools: list[ResponseTool]
    store: bool
    instructions: str | None = None
    previous_response_id: str | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    text: dict[str, Any] = field(default_factory=dict)
    reasoning: dict[str, str | None] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    truncation: str = "disabled"
    usage: ResponseUsage | None = None
    error: dict[str, str] | None = None
    incomplete_details: dict[str, str] | None = None
    object: str = "response"


class Deleted(Struct):
    """DELETE /v1/responses/{id}"""

    id: str
    object: str = "response"
    deleted: bool = True
