"""From LM Studio's WebSocket protocol to ours and back, without a socket."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from app.core.generate import Delta, ToolCallDelta
from app.core.types import ModelRecord
from app.server.convert_ollama import capabilities_of, size_label
from app.server.errors import Problem
from app.server.wire import ChatRequest
from app.server.wire_socket import HistoryMessage, HistoryPart, Predict, Stack, Template

Files = Callable[[str], str]
"""An uploaded file as a ``data:`` URL, by what uploading it gave. Raises Problem."""

# LM Studio's name -> OpenAI's (or llama.cpp's) of the same meaning. A "checkbox" is {checked, value}.
SAMPLING = {
    "temperature": "temperature",
    "maxPredictedTokens": "max_tokens",
    "topKSampling": "top_k",
    "topPSampling": "top_p",
    "minPSampling": "min_p",
    "repeatPenalty": "repeat_penalty",
    "stopStrings": "stop",
    "seed": "seed",
}
POLICIES = {"stopAtLimit": "stop", "truncateMiddle": "drop_middle", "rollingWindow": "rolling"}
LOADING = {
    "llm.load.contextLength": "n_ctx",
    "embedding.load.contextLength": "n_ctx",
    "llm.load.llama.evalBatchSize": "n_batch",
    "llm.load.offloadKVCacheToGpu": "offload_kqv",
}


def chat_of(wire: Predict | Template, model: str, files: Files) -> ChatRequest:
    """The same question as OpenAI's type, whose checks and conversion then apply. ``files`` has what was uploaded.
    Raises Problem."""
    options = wire.prediction_config_stack.flat()
    found: dict[str, Any] = {
        "model": model,
        "messages": [m for row in wire.history.messages for m in _messages(row, files)],
    }
    for key, value in options.items():
        name = SAMPLING.get(key.removeprefix("llm.prediction."))
        chosen = _unboxed(value)
        if name and chosen is not None:
            found[name] = chosen
    policy = options.get("llm.prediction.contextOverflowPolicy")
    if isinstance(policy, str) and policy in POLICIES:
        found["context_policy"] = POLICIES[policy]
    return msgspec.convert(found | _tools(options) | _structure(options), ChatRequest)


def text_of(wire: Predict) -> str:
    """The text to go on with."""
    return "".join(part.text for row in wire.history.messages for part in row.content)


def changes_of(stack: Stack) -> dict[str, Any]:
    """What a load asks to be different from the plan."""
    flat = stack.flat()
    found = {ours: flat[key] for key, ours in LOADING.items() if isinstance(flat.get(key), bool | int)}
    flash = flat.get("llm.load.llama.flashAttention")
    return found | ({"flash_attn": "on" if flash else "off"} if isinstance(flash, bool) else {})


def _unboxed(value: Any) -> Any:
    if isinstance(value, dict) and "checked" in value:
        return value.get("value") if value["checked"] else None
    return value


def _messages(row: HistoryMessage, files: Files) -> list[dict[str, Any]]:
    results = [part for part in row.content if part.type == "toolCallResult"]
    if results:
        return [{"role": "tool", "content": p.content, "tool_call_id": p.tool_call_id or ""} for p in results]
    made = [part.tool_call_request for part in row.content if part.tool_call_request is not None]
    found: dict[str, Any] = {"role": row.role, "content": _content(row.content, files)}
    if made:
        found["tool_calls"] = [
            {"id": call.id or f"call_{at}", "type": "function",
             "function": {"name": call.name, "arguments": msgspec.json.encode(call.arguments or {}).decode()}}
            for at, call in enumerate(made)
        ]  # fmt: skip
    return [found]


def _content(parts: list[HistoryPart], files: Files) -> str | list[dict[str, Any]]:
    if not any(part.type == "file" for part in parts):
        return "".join(part.text for part in parts)
    return [
        {"type": "image_url", "image_url": {"url": files(part.identifier)}}
        if part.type == "file"
        else {"type": "text", "text": part.text}
        for part in parts
    ]


def _tools(options: dict[str, Any]) -> dict[str, Any]:
    given = options.get("llm.prediction.tools")
    if not isinstance(given, dict) or not given.get("tools"):
        return {}
    force = {"tool_choice": "required"} if given.get("force") else {}
    return {"tools": given["tools"], **force}


def _structure(options: dict[str, Any]) -> dict[str, Any]:
    given = options.get("llm.prediction.structured")
    if not isinstance(given, dict):
        return {}
    if given.get("type") == "gbnf":
        return {"grammar": given.get("gbnfGrammar") or ""}
    if given.get("type") != "json":
        return {}
    schema = given.get("jsonSchema")
    return {"response_format": {"type": "json_object"}} if schema is None else {"json_schema": schema}


def error_of(problem: Problem) -> dict[str, Any]:
    """A failure as its clients read it; a model that is not there has a code that they turn into their own error."""
    found: dict[str, Any] = {"title": problem.message}
    if problem.code in ("model_not_found", "model_ambiguous"):
        found["displayData"] = {"code": "generic.noModelMatchingQuery", "query": {}, "loadedModelsSample": []}
    return found


def messages_of(event: Delta) -> Iterator[dict[str, Any]]:
    """What a channel tells of one event."""
    if event.prompt_tokens:
        yield {"type": "promptProcessingProgress", "progress": event.prefilled / event.prompt_tokens}
    for text, kind in ((event.reasoning, "reasoning"), (event.text, "none")):
        if text:
            fragment = {
                "content": text,
                "tokensCount": event.tokens,
                "containsDrafted": False,
                "reasoningType": kind,
                "isStructural": False,
            }
            yield {"type": "fragment", "fragment": fragment}
    for call in event.tool_calls:
        yield from _call_messages(call)


def _call_messages(call: ToolCallDelta) -> Iterator[dict[str, Any]]:
    if call.name:
        yield {"type": "toolCallGenerationStart", "toolCallId": call.id}
        yield {"type": "toolCallGenerationNameReceived", "name": call.name}
    if call.arguments:
        yield {"type": "toolCallGenerationArgumentFragmentGenerated", "content": call.arguments}


def info_of(record: ModelRecord, *, sees: bool = False) -> dict[str, Any]:
    """A model on disk. Its path is its id: what lies where on this machine is nobody's business."""
    summary, able = record.summary, capabilities_of(record, ("embedding", "reranker"), sees=sees)
    found: dict[str, Any] = {
        "type": "embedding" if "embedding" in able else "llm",
        "modelKey": record.id,
        "format": "gguf",
        "displayName": record.name,
        "path": record.id,
        "sizeBytes": record.bytes,
        "maxContextLength": (summary.context_length if summary else None) or 0,
    }
    if summary is not None:  # (what is not known is left out: null is no text to lmstudio-js)
        known = {"architecture": summary.architecture, "paramsString": size_label(summary.parameters)}
        found |= {name: text for name, text in known.items() if text}
    return found | {"vision": "vision" in able, "trainedForToolUse": "tools" in able}
