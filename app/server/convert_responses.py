"""Between OpenAI's responses and ours: pure functions, no HTTP."""

from collections.abc import Sequence

import msgspec

from app.core.generate import (
    GenerateRequest,
    Message,
    Part,
    ResponseFormat,
    Role,
    SamplingParams,
    TextPart,
    ToolCall,
    ToolChoice,
    ToolSpec,
    Usage,
)
from app.server.convert import image_of, json_format, named_tool, over_defaults, reasoning_of
from app.server.errors import bad_field
from app.server.wire_responses import (
    InputItem,
    InputPart,
    ResponseFormatObject,
    ResponseFormatSchema,
    ResponseObject,
    ResponsesRequest,
    ResponseToolName,
    ResponseUsage,
)


def to_request(
    wire: ResponsesRequest, before: Sequence[Message], request_id: str, defaults: SamplingParams
) -> GenerateRequest:
    """What the client asked for, after the messages of the responses before it."""
    system = (Message("system", wire.instructions),) if wire.instructions else ()
    messages = (*system, *before, *to_messages(wire.input))
    if not messages:
        raise bad_field("input", "There is nothing to answer: input is empty.")
    return GenerateRequest(
        request_id,
        messages,
        sampling=over_defaults(wire, defaults, wire.max_output_tokens),
        tools=tuple(ToolSpec(t.name, t.description or "", t.parameters or {}) for t in wire.tools or ()),
        tool_choice=_choice(wire),
        parallel_tool_calls=wire.parallel_tool_calls is not False,
        response_format=_format(wire),
        reasoning=reasoning_of(wire.reasoning.effort if wire.reasoning else None),
        context_policy="rolling" if wire.truncation == "auto" else "stop",
    )


def to_messages(given: str | Sequence[InputItem]) -> tuple[Message, ...]:
    """The input as turns: reasoning and calls belong to the assistant's turn around them."""
    if isinstance(given, str):
        return (Message("user", given),) if given else ()
    found: list[Message] = []
    for index, item in enumerate(given):
        _add(found, item, f"input[{index}]")
    return tuple(found)


def _add(found: list[Message], item: InputItem, where: str) -> None:
    if item.type == "message":
        role: Role = "system" if item.role == "developer" else item.role or "user"
        content = content_of(item.content, where)
        if role == "assistant" and _thinking(found):
            found[-1] = msgspec.structs.replace(found[-1], content=content)
        else:
            found.append(Message(role, content))
    elif item.type == "function_call":
        call = ToolCall(_needed(item.call_id, where, "call_id"), item.name or "", item.arguments or "{}")
        if not found or found[-1].role != "assistant":
            found.append(Message("assistant"))
        found[-1] = msgspec.structs.replace(found[-1], tool_calls=(*found[-1].tool_calls, call))
    elif item.type == "function_call_output":
        name = _needed(item.call_id, where, "call_id")
        found.append(Message("tool", content_of(item.output, where), tool_call_id=name))
    else:
        thought = "".join(part.text or "" for part in _parts(item.content) or item.summary or ())
        found.append(Message("assistant", reasoning=thought))


def _thinking(found: Sequence[Message]) -> bool:
    return (
        bool(found) and found[-1].role == "assistant" and not found[-1].content and bool(found[-1].reasoning)
    )


def _needed(value: str | None, where: str, name: str) -> str:
    if not value:
        raise bad_field(f"{where}.{name}", f"{where} needs {name}.")
    return value


def _parts(content: str | list[InputPart] | None) -> list[InputPart]:
    return content if isinstance(content, list) else [InputPart("text", content)] if content else []


def content_of(content: str | list[InputPart] | None, where: str) -> str | tuple[Part, ...]:
    """Text, or parts when there are images."""
    parts: list[Part] = []
    for part in _parts(content):
        if part.type == "input_image":
            parts.append(image_of(part.image_url or "", f"{where}.content.image_url"))
        else:
            parts.append(TextPart(part.text or part.refusal or ""))
    if all(isinstance(part, TextPart) for part in parts):
        return "".join(part.text for part in parts if isinstance(part, TextPart))
    return tuple(parts)


def _choice(wire: ResponsesRequest) -> ToolChoice:
    choice = wire.tool_choice
    if isinstance(choice, ResponseToolName):
        return named_tool(choice.name, [tool.name for tool in wire.tools or ()])
    if choice == "required" and not wire.tools:
        raise bad_field("tool_choice", "tool_choice is required and there are no tools.")
    return ToolChoice(choice or "auto")


def _format(wire: ResponsesRequest) -> ResponseFormat:
    form = wire.text.format if wire.text else None
    if isinstance(form, ResponseFormatSchema):
        return ResponseFormat("json_schema", form.schema)
    return json_format(None) if isinstance(form, ResponseFormatObject) else ResponseFormat()


def begun(wire: ResponsesRequest, asked: GenerateRequest, created: int, model: str) -> ResponseObject:
    """The response before anything was written."""
    form = wire.text.format if wire.text else None
    effort = wire.reasoning.effort if wire.reasoning else None
    return ResponseObject(
        id=response_id(asked.id),
        created_at=created,
        model=model,
        status="in_progress",
        output=[],
        parallel_tool_calls=asked.parallel_tool_calls,
        tool_choice=wire.tool_choice or "auto",
        tools=wire.tools or [],
        store=wire.store is not False,
        instructions=wire.instructions,
        previous_response_id=wire.previous_response_id,
        max_output_tokens=wire.max_output_tokens,
        temperature=asked.sampling.temperature,
        top_p=asked.sampling.top_p,
        text={"format": msgspec.to_builtins(form) if form else {"type": "text"}},
        reasoning={"effort": effort, "summary": None},
        metadata=wire.metadata or {},
        truncation=wire.truncation or "disabled",
    )


def response_id(request_id: str) -> str:
    """OpenAI's form of an id."""
    return f"resp_{request_id}"


def usage_of(usage: Usage) -> ResponseUsage:
    """OpenAI's counts under their newer names."""
    return ResponseUsage(
        usage.prompt,
        usage.completion,
        usage.prompt + usage.completion,
        {"cached_tokens": usage.cached, "cache_write_tokens": 0},
        {"reasoning_tokens": usage.reasoning},
    )
