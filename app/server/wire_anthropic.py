"""What Anthropic's clients send and expect, as types (source: Anthropic's API reference, "Messages")."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from app.server.wire import Count, Probability, Temperature, TopK


class TextBlock(Struct, tag="text", tag_field="type"):
    """Text."""

    text: str


class Base64Source(Struct, tag="base64", tag_field="type"):
    """Bytes of an image."""

    media_type: str
    data: str


class UrlSource(Struct, tag="url", tag_field="type"):
    """An address; only ``data:`` is taken."""

    url: str


class ImageBlock(Struct, tag="image", tag_field="type"):
    """An image."""

    source: Base64Source | UrlSource


class ToolUseBlock(Struct, tag="tool_use", tag_field="type"):
    """A call."""

    id: str
    name: str
    input: dict[str, Any]


class ToolResultBlock(Struct, tag="tool_result", tag_field="type"):
    """What a call gave."""

    tool_use_id: str
    content: str | list[TextBlock | ImageBlock] | None = None
    is_error: bool | None = None


class ThinkingBlock(Struct, tag="thinking", tag_field="type"):
    """What was thought."""

    thinking: str
    signature: str = ""


class RedactedBlock(Struct, tag="redacted_thinking", tag_field="type"):
    """Thinking that only its maker can read: left out."""

    data: str


Block = TextBlock | ImageBlock | ToolUseBlock | ToolResultBlock | ThinkingBlock | RedactedBlock


class AnthropicMessage(Struct):
    """One turn."""

    role: Literal["user", "assistant", "system"]
    content: str | list[Block]


class AnthropicTool(Struct):
    """A tool with its schema."""

    name: Annotated[str, Meta(min_length=1, max_length=256)]
    input_schema: dict[str, Any]
    description: str | None = None
    type: Literal["custom"] | None = None


class AutoChoice(Struct, tag="auto", tag_field="type"):
    """As the model likes."""

    disable_parallel_tool_use: bool | None = None


class AnyChoice(Struct, tag="any", tag_field="type"):
    """Some tool."""

    disable_parallel_tool_use: bool | None = None


class ToolNamedChoice(Struct, tag="tool", tag_field="type"):
    """This tool."""

    name: str
    disable_parallel_tool_use: bool | None = None


class NoneChoice(Struct, tag="none", tag_field="type"):
    """No tool."""


class ThinkingEnabled(Struct, tag="enabled", tag_field="type"):
    """Think first."""

    budget_tokens: Count


class ThinkingDisabled(Struct, tag="disabled", tag_field="type"):
    """Answer at once."""


class ThinkingAdaptive(Struct, tag="adaptive", tag_field="type"):
    """As much as the model likes."""


class CountRequest(Struct):
    """POST /v1/messages/count_tokens."""

    model: str
    messages: Annotated[list[AnthropicMessage], Meta(min_length=1)]
    system: str | list[TextBlock] | None = None
    tools: list[AnthropicTool] | None = None
    tool_choice: AutoChoice | AnyChoice | ToolNamedChoice | NoneChoice | None = None
    thinking: ThinkingEnabled | ThinkingDisabled | ThinkingAdaptive | None = None


class MessagesRequest(CountRequest, kw_only=True):
    """POST /v1/messages."""

    max_tokens: Count
    stream: bool | None = False
    stop_sequences: list[str] | None = None
    temperature: Temperature | None = None
    top_p: Probability | None = None
    top_k: TopK | None = None


class AnthropicUsage(Struct):
    """``input_tokens`` leaves out what was in the cache."""

    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0


class AnswerBlock(Struct, omit_defaults=True):
    """One block of an answer: text, thinking or tool_use."""

    type: str
    text: str | UnsetType = UNSET
    citations: UnsetType | None = UNSET
    thinking: str | UnsetType = UNSET
    signature: str | UnsetType = UNSET
    id: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    input: dict[str, Any] | UnsetType = UNSET


class AnthropicAnswer(Struct):
    """A whole answer."""

    id: str
    model: str
    content: list[AnswerBlock]
    stop_reason: str | None
    stop_sequence: str | None
    usage: AnthropicUsage
    type: str = "message"
    role: str = "assistant"


class TokenCount(Struct):
    """What count_tokens answers."""

    input_tokens: int
