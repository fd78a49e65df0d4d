"""Messages as templates expect them (Hugging Face's dicts), and the stand-ins for what a template lacks."""

import hashlib
import json
import secrets
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from app.core.generate import ImagePart, Message, TextPart, ToolCall, ToolSpec

IMAGE_MARK = f"<__media_{secrets.token_hex(8)}__>"
"""Where an image stands in the text (libmtmd's media marker): nobody can write it into a message."""

TOOLS_PROMPT = """\
You may call one or more functions to help with the user's request. The functions, as JSON schemas:
<tools>
{tools}
</tools>
For each function call, write a JSON object with the function's name and arguments within <tool_call></tool_call> tags:
<tool_call>
{{"name": <function-name>, "arguments": <args-json-object>}}
</tool_call>"""


class Shape(Struct, frozen=True):
    """How a template wants tool calls: arguments as an object or as JSON text; content empty or null beside them."""

    null_content: bool = False
    text_arguments: bool = False


def as_dicts(messages: Sequence[Message], shape: Shape) -> list[dict[str, Any]]:
    """OpenAI-like dicts; ``content`` is text with a mark where an image stands."""
    return [_as_dict(message, shape) for message in messages]


def _as_dict(message: Message, shape: Shape) -> dict[str, Any]:
    found: dict[str, Any] = {"role": message.role, "content": _content(message)}
    if message.reasoning:
        found["reasoning_content"] = message.reasoning
    if message.tool_calls:
        found["tool_calls"] = [_call(call, shape) for call in message.tool_calls]
        if shape.null_content and not found["content"]:
            found["content"] = None
    if message.tool_call_id:
        found["tool_call_id"] = short_id(message.tool_call_id)
    if message.name:
        found["name"] = message.name
    return found


def _content(message: Message) -> str:
    if isinstance(message.content, str):
        return message.content
    return "".join(_part(part) for part in message.content)


def _part(part: TextPart | ImagePart) -> str:
    return part.text if isinstance(part, TextPart) else IMAGE_MARK


def _call(call: ToolCall, shape: Shape) -> dict[str, Any]:
    arguments: Any = call.arguments
    if not shape.text_arguments:
        arguments = _object(call.arguments)
    return {
        "id": short_id(call.id),
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }


def _object(text: str) -> Any:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return text
    return found if isinstance(found, dict) else text


def short_id(call_id: str) -> str:
    """Nine letters and digits: Mistral's templates refuse any other id, the others show none or take any."""
    if len(call_id) == 9 and call_id.isalnum():
        return call_id
    return hashlib.sha256(call_id.encode()).hexdigest()[:9]


def tool_dicts(tools: Sequence[ToolSpec]) -> list[dict[str, Any]]:
    """Tools in OpenAI's form."""
    return [{"type": "function", "function": _function(tool)} for tool in tools]


def _function(tool: ToolSpec) -> dict[str, Any]:
    # A copy: a template may change the lists it is given.
    parameters = deepcopy(tool.parameters) or {"type": "object", "properties": {}}
    return {"name": tool.name, "description": tool.description, "parameters": parameters}


def with_system_tools(messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Phi-4's way: the tools are a text in the system message."""
    listed = json.dumps([tool["function"] for tool in tools], ensure_ascii=False)
    if not messages or messages[0]["role"] != "system":
        messages = [{"role": "system", "content": "You are a helpful assistant with some tools."}, *messages]
    return [{**messages[0], "tools": listed}, *messages[1:]]


# ------------------------------------------------------------------------------------------------ stand-ins
def without_system(messages: Sequence[Message]) -> list[Message]:
    """The system messages' text in front of the first user turn (a turn of its own when there is none)."""
    system = "\n\n".join(message.text for message in messages if message.role == "system" and message.text)
    rest = [message for message in messages if message.role != "system"]
    if not system:
        return rest
    first = next((i for i, message in enumerate(rest) if message.role == "user"), None)
    if first is None:
        return [Message("user", system), *rest]
    parts = rest[first].content
    joined = f"{system}\n\n{parts}" if isinstance(parts, str) else (TextPart(f"{system}\n\n"), *parts)
    return [*rest[:first], replace(rest[first], content=joined), *rest[first + 1 :]]


def without_tools(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> list[Message]:
    """Tools in the system message, calls as text in their turn, results as user turns."""
    found = [_as_text(message) for message in messages]
    if not tools:
        return found
    lines = "\n".join(json.dumps(tool, ensure_ascii=False) for tool in tool_dicts(tools))
    prompt = TOOLS_PROMPT.format(tools=lines)
    if found and found[0].role == "system":
        return [Message("system", f"{found[0].text}\n\n{prompt}"), *found[1:]]
    return [Message("system", prompt), *found]


def _as_text(message: Message) -> Message:
    if message.role == "tool":
        return Message("user", f"<tool_response>\n{message.text}\n</tool_response>")
    if not message.tool_calls:
        return message
    texts = [message.text, *(f"<tool_call>\n{_call_text(call)}\n</tool_call>" for call in message.tool_calls)]
    return Message("assistant", "\n".join(text for text in texts if text), message.reasoning)


def _call_text(call: ToolCall) -> str:
    return json.dumps({"name": call.name, "arguments": _object(call.arguments)}, ensure_ascii=False)


# ------------------------------------------------------------------------------------------------ probes
def probe_calls() -> list[Message]:
    """A conversation with one call, to see how a template shows it."""
    call = ToolCall("abcdefgh1", "hearth_probe", '{"hearth_key": "hearth-value"}')
    return [
        Message("user", "hearth-user"),
        Message("assistant", "", tool_calls=(call,)),
        Message("tool", "hearth-result", tool_call_id="abcdefgh1", name="hearth_probe"),
    ]


def shows_call(text: str) -> bool:
    """The call and its result are there, not as Python's repr, and an absent content is not shown as ``None``."""
    call = "hearth_probe" in text and "hearth_key" in text and "hearth-value" in text
    return (
        call
        and "hearth-result" in text
        and "'hearth_key'" not in text
        and "None" not in text
        and '\\"' not in text
    )
