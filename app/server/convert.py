"""Between OpenAI's chat and our types, and what all APIs' converters share: pure functions, no HTTP."""

import base64
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from app.core.generate import (
    FinishReason,
    GenerateRequest,
    ImagePart,
    Message,
    Part,
    ReasoningOptions,
    ResponseFormat,
    Role,
    SamplingParams,
    TextPart,
    Timings,
    TokenLogprob,
    ToolCall,
    ToolChoice,
    ToolSpec,
    Usage,
)
from app.server.answer import Answer, ChoiceAnswer
from app.server.errors import bad_field
from app.server.wire import (
    CallPiece,
    ChatCompletion,
    ChatRequest,
    Choice,
    JsonObjectFormat,
    JsonSchemaFormat,
    NamedTool,
    TopLogprob,
    WireAnswer,
    WireImagePart,
    WireLogprob,
    WireLogprobs,
    WireMessage,
    WirePart,
    WireTextPart,
    WireTimings,
    WireUsage,
)

REASONS: dict[FinishReason, str] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "cancelled": "length",  # cut short: "stop" would say that it is complete
    "context_full": "length",
}
# The wire's name -> ours: the same for most.
FIELDS = {
    **{
        name: name
        for name in SamplingParams.__struct_fields__
        if name not in ("max_tokens", "stop", "logprobs")
    },
    "repeat_last_n": "penalty_last_n",
    "stop_token_ids": "stop_tokens",
}


# ------------------------------------------------------------------------------------------ requests


def to_request(wire: ChatRequest, request_id: str, defaults: SamplingParams) -> GenerateRequest:
    """What the client asked for, over the defaults of the settings."""
    messages = tuple(_message(message) for message in wire.messages)
    return GenerateRequest(
        request_id,
        messages,
        sampling=_sampling(wire, defaults),
        tools=_tools(wire),
        tool_choice=_tool_choice(wire),
        parallel_tool_calls=wire.parallel_tool_calls is not False,
        response_format=_response_format(wire),
        reasoning=reasoning_of(wire.reasoning_effort, _budget(wire)),
        template_kwargs=wire.chat_template_kwargs or {},
        continue_last=is_open(messages),
        context_policy=wire.context_policy or "stop",
    )


def is_open(messages: Sequence[Message]) -> bool:
    """A last message of the assistant's is a beginning that the model goes on writing, as llama.cpp's server does."""
    return bool(messages) and messages[-1].role == "assistant" and not messages[-1].tool_calls


def _message(wire: WireMessage) -> Message:
    role: Role = "system" if wire.role == "developer" else wire.role
    calls = tuple(ToolCall(c.id, c.function.name, c.function.arguments) for c in wire.tool_calls or ())
    return Message(
        role,
        _content(wire.content),
        wire.reasoning_content or "",
        calls,
        wire.tool_call_id or "",
        wire.name or "",
    )


def _content(content: str | list[WirePart] | None) -> str | tuple[Part, ...]:
    if not isinstance(content, list):
        return content or ""
    parts = tuple(_part(part) for part in content)
    if all(isinstance(part, TextPart) for part in parts):
        return "".join(part.text for part in parts if isinstance(part, TextPart))
    return parts


def _part(part: WirePart) -> Part:
    if isinstance(part, WireImagePart):
        return image_of(part.image_url.url, "messages.content.image_url")
    return TextPart(part.text if isinstance(part, WireTextPart) else part.refusal)


def image_of(url: str, param: str) -> ImagePart:
    """An image from a ``data:`` URL. Nothing is fetched: a page could make the server ask the network for it."""
    head, mark, data = url.partition(";base64,")
    if not (mark and head.startswith("data:image/")):
        kind = url.partition(":")[0][:32] if ":" in url else "other"
        raise bad_field(param, f"Images are taken as data:image/...;base64 URLs; no {kind} one is fetched.")
    return image_from(data, head[5:], param)


def image_from(data: str, mime: str, param: str) -> ImagePart:
    """An image from base64."""
    try:
        return ImagePart(base64.b64decode(data, validate=True), mime)
    except ValueError as error:  # binascii.Error, or characters beyond ASCII
        raise bad_field(param, f"The image is not base64: {error}.") from error


def over_defaults(wire: object, defaults: SamplingParams, limit: int | None, **more: Any) -> SamplingParams:
    """The fields of ``wire`` that mean what ours do, over the defaults."""
    given = {ours: value for name, ours in FIELDS.items() if (value := getattr(wire, name, None)) is not None}
    if limit is not None:
        given["max_tokens"] = limit
    return replace(defaults, **given, **more)


def _sampling(wire: ChatRequest, defaults: SamplingParams) -> SamplingParams:
    more: dict[str, Any] = {"stop": stops(wire.stop)}
    if wire.top_logprobs and not wire.logprobs:
        raise bad_field("top_logprobs", "top_logprobs needs logprobs to be true.")
    if wire.logprobs:
        more["logprobs"] = wire.top_logprobs or 0
    name = "max_tokens" if wire.max_completion_tokens is None else "max_completion_tokens"
    return over_defaults(wire, defaults, None, **more, **limited(getattr(wire, name), name))


def limited(limit: int | None, name: str) -> dict[str, int | None]:
    """How much may be written: what is given, no bound for -1, and nothing said without it."""
    if limit == 0:
        raise bad_field(name, "At least one token is written; -1 sets no limit.")
    return {} if limit is None else {"max_tokens": None if limit < 0 else limit}


def stops(stop: str | Sequence[str] | None) -> tuple[str, ...]:
    """Stop strings; empty ones stop nothing."""
    found = (stop,) if isinstance(stop, str) else tuple(stop or ())
    if len(found) > 32:
        raise bad_field("stop", "At most 32 stop strings are taken.")
    return tuple(item for item in found if item)


def _tools(wire: ChatRequest) -> tuple[ToolSpec, ...]:
    functions = [tool.function for tool in wire.tools or ()]
    return tuple(ToolSpec(f.name, f.description or "", f.parameters or {}) for f in functions)


def _tool_choice(wire: ChatRequest) -> ToolChoice:
    choice = wire.tool_choice
    if isinstance(choice, NamedTool):
        return named_tool(choice.function.name, [tool.function.name for tool in wire.tools or ()])
    if choice == "required" and not wire.tools:
        raise bad_field("tool_choice", "tool_choice is required and there are no tools.")
    return ToolChoice(choice or "auto")


def named_tool(name: str, names: Sequence[str]) -> ToolChoice:
    """A choice of one function, which must be there."""
    if name not in names:
        raise bad_field("tool_choice", f"tool_choice names {name}, which is not among the tools.")
    return ToolChoice("named", name)


def _response_format(wire: ChatRequest) -> ResponseFormat:
    form = wire.response_format
    if wire.grammar:
        return ResponseFormat("gbnf", grammar=wire.grammar)
    if isinstance(form, JsonSchemaFormat):
        return ResponseFormat("json_schema", form.json_schema.schema)
    if isinstance(form, JsonObjectFormat):
        return json_format(form.schema)
    return ResponseFormat("json_schema", wire.json_schema) if wire.json_schema else ResponseFormat()


def json_format(schema: dict[str, Any] | None) -> ResponseFormat:
    """JSON of a schema, or any object."""
    return ResponseFormat("json_schema", schema) if schema else ResponseFormat("json_object")


def _budget(wire: ChatRequest) -> int | None:
    given = wire.reasoning_budget_tokens
    budget = wire.thinking_budget_tokens if given is None else given
    return None if budget is None or budget < 0 else budget


def reasoning_of(effort: str | None, budget: int | None = None) -> ReasoningOptions:
    """OpenAI's effort; "none" switches thinking off."""
    if effort is None:
        return ReasoningOptions(budget=budget)
    if effort == "none":
        return ReasoningOptions(enabled=False, effort="none")
    return ReasoningOptions(True, budget, "high" if effort == "xhigh" else effort)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------ answers


def usage_of(usage: Usage) -> WireUsage:
    """OpenAI's counts."""
    total = usage.prompt + usage.completion
    cached, thought = {"cached_tokens": usage.cached}, {"reasoning_tokens": usage.reasoning}
    return WireUsage(usage.prompt, usage.completion, total, cached, thought)


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


def logprobs_of(items: Sequence[TokenLogprob]) -> WireLogprobs:
    """OpenAI's form."""
    return WireLogprobs([_logprob(item) for item in items])


def _logprob(item: TokenLogprob) -> WireLogprob:
    top = [TopLogprob(token, logprob, list(data)) for token, data, logprob in item.top]
    return WireLogprob(item.token, item.logprob, list(item.data), top)


def to_completion(request_id: str, created: int, model: str, answer: Answer) -> ChatCompletion:
    """A whole answer from its pieces."""
    usage = answer.usage
    choices = [_choice(choice) for choice in answer.choices]
    timings = timings_of(answer.timings, usage)
    whole = ChatCompletion(completion_id(request_id), created, model, choices, usage_of(usage), timings)
    if answer.dropped:
        whole.dropped_messages = list(answer.dropped)
    return whole


def _choice(choice: ChoiceAnswer) -> Choice:
    calls = choice.tool_calls
    message = WireAnswer("assistant", choice.text or (None if calls else ""))
    if choice.reasoning:
        message.reasoning_content = choice.reasoning
    if calls:
        message.tool_calls = [
            CallPiece({"name": call.name, "arguments": call.arguments}, id=call.id, type="function")
            for call in calls
        ]
    logprobs = logprobs_of(choice.logprobs) if choice.logprobs else None
    return Choice(choice.index, message, REASONS[choice.reason], logprobs)


def completion_id(request_id: str) -> str:
    """OpenAI's form of an id."""
    return f"chatcmpl-{request_id}"
