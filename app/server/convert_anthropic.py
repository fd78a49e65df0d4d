"""Between Anthropic's messages and ours: pure functions, no HTTP."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from app.core.generate import (
    Finished,
    FinishReason,
    GenerateRequest,
    ImagePart,
    Message,
    Part,
    ReasoningOptions,
    SamplingParams,
    TextPart,
    ToolCall,
    ToolChoice,
    ToolSpec,
    Usage,
)
from app.server.answer import Answer
from app.server.convert import image_from, image_of, is_open, named_tool, over_defaults, stops
from app.server.wire_anthropic import (
    AnswerBlock,
    AnthropicAnswer,
    AnthropicMessage,
    AnthropicUsage,
    AnyChoice,
    AutoChoice,
    Base64Source,
    Block,
    CountRequest,
    ImageBlock,
    MessagesRequest,
    NoneChoice,
    TextBlock,
    ThinkingBlock,
    ThinkingDisabled,
    ThinkingEnabled,
    ToolNamedChoice,
    ToolResultBlock,
    ToolUseBlock,
)

REASONS: dict[FinishReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "cancelled": "max_tokens",  # cut short: "end_turn" would say that it is complete
    "context_full": "model_context_window_exceeded",
}


# ------------------------------------------------------------------------------------------ requests


def to_request(wire: MessagesRequest, request_id: str, defaults: SamplingParams) -> GenerateRequest:
    """What the client asked for, over the defaults of the settings."""
    messages = to_messages(wire)
    choice = wire.tool_choice
    single = isinstance(choice, AutoChoice | AnyChoice | ToolNamedChoice) and choice.disable_parallel_tool_use
    sampling = over_defaults(wire, defaults, wire.max_tokens, stop=stops(wire.stop_sequences))
    return GenerateRequest(
        request_id,
        messages,
        sampling=sampling,
        tools=to_tools(wire),
        tool_choice=_choice(wire),
        parallel_tool_calls=not single,
        reasoning=_reasoning(wire),
        continue_last=is_open(messages),
    )


def to_messages(wire: CountRequest) -> tuple[Message, ...]:
    """The conversation, the system prompt first."""
    found = []
    if wire.system:
        text = wire.system if isinstance(wire.system, str) else "\n".join(b.text for b in wire.system)
        found.append(Message("system", text))
    for message in wire.messages:
        found += list(_turn(message))
    return tuple(found)


def to_tools(wire: CountRequest) -> tuple[ToolSpec, ...]:
    """The tools."""
    return tuple(ToolSpec(t.name, t.description or "", t.input_schema) for t in wire.tools or ())


def _turn(wire: AnthropicMessage) -> Iterator[Message]:
    if isinstance(wire.content, str):
        yield Message(wire.role, wire.content)
        return
    results = [block for block in wire.content if isinstance(block, ToolResultBlock)]
    for result in results:
        yield Message("tool", _result(result), tool_call_id=result.tool_use_id)
    rest = [block for block in wire.content if not isinstance(block, ToolResultBlock)]
    if rest or not results:
        yield _message(wire, rest)


def _result(block: ToolResultBlock) -> str | tuple[Part, ...]:
    content = block.content if isinstance(block.content, str) else _content(block.content or ())
    if not block.is_error:
        return content
    return "Error: " + (content if isinstance(content, str) else Message("tool", content).text)


def _message(wire: AnthropicMessage, blocks: Sequence[Block]) -> Message:
    calls = tuple(
        ToolCall(b.id, b.name, msgspec.json.encode(b.input).decode())
        for b in blocks
        if isinstance(b, ToolUseBlock)
    )
    thought = "".join(block.thinking for block in blocks if isinstance(block, ThinkingBlock))
    return Message(wire.role, _content(blocks), thought, calls)


def _content(blocks: Sequence[Block]) -> str | tuple[Part, ...]:
    parts = [_part(block) for block in blocks if isinstance(block, TextBlock | ImageBlock)]
    if any(isinstance(part, ImagePart) for part in parts):
        return tuple(parts)
    return "".join(part.text for part in parts if isinstance(part, TextPart))


def _part(block: TextBlock | ImageBlock) -> Part:
    if isinstance(block, TextBlock):
        return TextPart(block.text)
    where = "messages.content.source"
    if isinstance(block.source, Base64Source):
        return image_from(block.source.data, block.source.media_type, where)
    return image_of(block.source.url, where)


def _choice(wire: MessagesRequest) -> ToolChoice:
    choice = wire.tool_choice
    if isinstance(choice, ToolNamedChoice):
        return named_tool(choice.name, [tool.name for tool in wire.tools or ()])
    if isinstance(choice, AnyChoice):
        return ToolChoice("required")
    return ToolChoice("none" if isinstance(choice, NoneChoice) else "auto")


def _reasoning(wire: MessagesRequest) -> ReasoningOptions:
    if isinstance(wire.thinking, ThinkingEnabled):
        return ReasoningOptions(True, wire.thinking.budget_tokens)
    if wire.thinking is None or isinstance(wire.thinking, ThinkingDisabled):
        # Without the field Anthropic's models do not think either.
        return ReasoningOptions(False)
    return ReasoningOptions(True)


# ------------------------------------------------------------------------------------------ answers


def to_answer(request_id: str, model: str, answer: Answer) -> AnthropicAnswer:
    """A whole answer."""
    choice, content = answer.first, []
    if choice.reasoning:
        content.append(
            AnswerBlock("thinking", thinking=choice.reasoning, signature=signature(choice.reasoning))
        )
    calls = choice.tool_calls
    if choice.text or not calls:
        content.append(AnswerBlock("text", text=choice.text, citations=None))
    content += [
        AnswerBlock("tool_use", id=call.id, name=call.name, input=arguments_of(call.arguments))
        for call in calls
    ]
    reason, stop = stopped(choice.end) if choice.end else ("end_turn", None)
    return AnthropicAnswer(message_id(request_id), model, content, reason, stop, usage_of(answer.usage))


def stopped(end: Finished) -> tuple[str, str | None]:
    """(stop_reason, stop_sequence)."""
    if end.stop:
        return "stop_sequence", end.stop
    return REASONS[end.reason], None


def message_id(request_id: str) -> str:
    """Anthropic's form of an id."""
    return f"msg_{request_id}"


def usage_of(usage: Usage) -> AnthropicUsage:
    """Anthropic's counts."""
    return AnthropicUsage(usage.prompt - usage.cached, usage.completion, usage.cached)


def arguments_of(text: str) -> dict[str, Any]:
    """A call's arguments as an object; text that is none (cut short by the limit) is kept under a name."""
    try:
        found = msgspec.json.decode(text)
    except msgspec.DecodeError:
        found = None
    return found if isinstance(found, dict) else {"_unfinished": text}


def signature(thought: str) -> str:
    """Anthropic's clients send thinking back with its signature; ours only has to be there."""
    return hashlib.sha256(thought.encode()).hexdigest()
