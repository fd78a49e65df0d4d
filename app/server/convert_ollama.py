"""Between Ollama's wire and ours: pure functions, no HTTP."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from app.core.generate import (
    Finished,
    FinishReason,
    GenerateRequest,
    Message,
    Part,
    ReasoningOptions,
    ResponseFormat,
    SamplingParams,
    TextPart,
    ToolCall,
    ToolSpec,
)
from app.core.types import ModelRecord
from app.server.convert import image_from, is_open, json_format, stops
from app.server.errors import bad_field
from app.server.wire_ollama import (
    Details,
    Form,
    KeepAlive,
    OllamaChatRequest,
    OllamaGenerateRequest,
    OllamaMessage,
    Options,
    Think,
)

REASONS: dict[FinishReason, str] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "stop",
    "cancelled": "length",  # cut short: "stop" would say that it is complete
    "context_full": "length",
}
SAME = (
    "temperature", "top_k", "top_p", "min_p", "typical_p", "seed", "repeat_penalty", "presence_penalty",
    "frequency_penalty", "mirostat", "mirostat_tau", "mirostat_eta",
)  # fmt: skip
NS = 1_000_000_000
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def chat_request(wire: OllamaChatRequest, request_id: str, defaults: SamplingParams) -> GenerateRequest:
    """/api/chat"""
    messages = tuple(_message(message, index) for index, message in enumerate(wire.messages))
    functions = [tool.function for tool in wire.tools or ()]
    sampling = sampling_of(wire.options, defaults)
    if wire.logprobs:
        sampling = replace(sampling, logprobs=wire.top_logprobs or 0)
    return GenerateRequest(
        request_id,
        messages,
        sampling=sampling,
        tools=tuple(ToolSpec(f.name, f.description or "", f.parameters or {}) for f in functions),
        response_format=format_of(wire.format),
        reasoning=thinking_of(wire.think),
        continue_last=is_open(messages),
    )


def generate_request(
    wire: OllamaGenerateRequest, request_id: str, defaults: SamplingParams
) -> GenerateRequest:
    """/api/generate without a suffix: a turn of a user's, or the text itself when it is raw."""
    sampling, form = sampling_of(wire.options, defaults), format_of(wire.format)
    if wire.raw:
        return GenerateRequest(request_id, prompt=wire.prompt, sampling=sampling, response_format=form)
    system = (Message("system", wire.system),) if wire.system else ()
    user = OllamaMessage("user", wire.prompt, images=wire.images)
    return GenerateRequest(
        request_id,
        (*system, _message(user, 0)),
        sampling=sampling,
        response_format=form,
        reasoning=thinking_of(wire.think),
    )


def _message(wire: OllamaMessage, index: int) -> Message:
    calls = tuple(
        ToolCall(call.id or f"call_{index}_{n}", call.function.name, _json(call.function.arguments))
        for n, call in enumerate(wire.tool_calls or ())
    )
    content: str | tuple[Part, ...] = wire.content or ""
    if wire.images:
        images = tuple(image_from(data, "image/png", f"messages[{index}].images") for data in wire.images)
        content = (TextPart(wire.content or ""), *images)
    name = wire.tool_name or ""
    return Message(wire.role, content, wire.thinking or "", calls, wire.tool_call_id or "", name)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def sampling_of(options: Options | None, defaults: SamplingParams) -> SamplingParams:
    """Ollama's options over the defaults."""
    if options is None:
        return defaults
    given: dict[str, Any] = {
        name: value for name in SAME if (value := getattr(options, name, None)) is not None
    }
    if options.num_predict is not None and options.num_predict >= 0:
        given["max_tokens"] = max(1, options.num_predict)
    if options.repeat_last_n is not None:
        given["penalty_last_n"] = options.repeat_last_n
    return replace(defaults, **given, stop=stops(options.stop))


def format_of(form: Form | None) -> ResponseFormat:
    """ "json" or a schema."""
    if isinstance(form, dict):
        return json_format(form)
    return ResponseFormat("json_object") if form == "json" else ResponseFormat()


def thinking_of(think: Think | None) -> ReasoningOptions:
    """Yes, no, how long, or as the model likes."""
    if think is None or isinstance(think, bool):
        return ReasoningOptions(think)
    return ReasoningOptions(True, effort="high" if think == "max" else think)


def seconds_of(keep: KeepAlive | None) -> float | None:
    """How long to keep a model after its last request: seconds, or "5m", "1h30m", "-1" (for ever). None: not said."""
    if keep is None or isinstance(keep, int | float):
        return keep
    text = keep.strip()
    sign = -1.0 if text.startswith("-") else 1.0
    text = text.lstrip("+-")
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return sign * float(text)
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise bad_field("keep_alive", f"keep_alive can't be {keep!r}: write 5m, 30s, 0 or -1.")
    return sign * sum(float(number) * UNITS[unit] for number, unit in parts)


def figures(end: Finished, load_seconds: float, total_seconds: float) -> dict[str, Any]:
    """The last line's numbers."""
    return {
        "done": True,
        "done_reason": REASONS[end.reason],
        "total_duration": int(total_seconds * NS),
        "load_duration": int(load_seconds * NS),
        "prompt_eval_count": end.usage.prompt,
        "prompt_eval_duration": int(end.timings.prefill * NS),
        "eval_count": end.usage.completion,
        "eval_duration": int(end.timings.decode * NS),
    }


def details_of(record: ModelRecord) -> Details:
    """What a model is."""
    summary = record.summary
    if summary is None:
        return Details()
    family = summary.architecture
    return Details("", "gguf", family, [family], size_label(summary.parameters), summary.quant)


def size_label(parameters: int | None) -> str:
    """8.0B, 135M."""
    if parameters is None:
        return ""
    return f"{parameters / 1e9:.1f}B" if parameters >= 1e9 else f"{parameters / 1e6:.0f}M"


def digest_of(record: ModelRecord) -> str:
    """The file's hash where it is known."""
    return record.files[0].sha256 or ""


def iso(seconds: float) -> str:
    """RFC 3339, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def call_of(call: ToolCall) -> dict[str, Any]:
    """A whole call; arguments are an object here."""
    try:
        arguments = msgspec.json.decode(call.arguments)
    except msgspec.DecodeError:
        arguments = {}
    return {"id": call.id, "function": {"name": call.name, "arguments": arguments}}


def capabilities_of(
    record: ModelRecord, kinds: Sequence[str] = ("embedding",), *, sees: bool = False
) -> list[str]:
    """What it can do, in Ollama's words."""
    kind = record.summary.kind if record.summary else "text"
    if kind in kinds:
        return ["embedding"]
    found = ["completion"]
    if record.summary and record.summary.has_template:
        found.append("tools")
    return [*found, "vision"] if sees else found
