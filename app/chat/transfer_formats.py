"""Chats as other programs export them, read into one shape: ChatGPT, Open WebUI, LM Studio, Jan, Ollama-like JSON.

Nothing is trusted: a field of another shape is left out, a message without a way to the root is dropped, and what
can't be recognised at all gives an empty list.
"""

from collections.abc import Callable, Iterator
from typing import Any, cast

import msgspec
from msgspec import Struct

from app.chat.transfer_details import called, seconds_in, unfold
from app.core.generate import Role

Json = dict[str, Any]
_ROLES: dict[str, Role] = {"user": "user", "human": "user", "assistant": "assistant", "model": "assistant"}
_MILLISECONDS = 1e11  # seconds since the epoch beyond the year 5138 are milliseconds


class ImportedMessage(Struct, frozen=True):
    """One message; ``parent`` is the key of an earlier one."""

    key: str
    parent: str | None
    role: Role
    text: str
    reasoning: str = ""
    model: str = ""
    created_at: float | None = None
    thought: float | None = None
    """Seconds of thinking before the answer."""


class ImportedChat(Struct, frozen=True):
    """One conversation, parents before children; ``shown`` is the key of the last message that was on screen."""

    source: str
    title: str
    messages: tuple[ImportedMessage, ...]
    system: str = ""
    model: str = ""
    created_at: float | None = None
    updated_at: float | None = None
    shown: str | None = None
    pinned: bool = False
    tags: tuple[str, ...] = ()


class _Node(Struct):
    """A message, or a step on the way (``message`` None) whose reasoning belongs to what comes below."""

    parent: str | None
    message: ImportedMessage | None
    reasoning: str = ""


def recognise(data: object) -> list[ImportedChat]:
    """Every conversation in a decoded JSON document."""
    if isinstance(data, list):
        items = [item for item in data if isinstance(item, dict)]
        if items and all("role" in item for item in items):
            return _kept([_flat({"messages": items})])
        return _kept([chat for item in items for chat in recognise(item)])
    if not isinstance(data, dict):
        return []
    for marks, reader in _READERS:
        if marks(data):
            return _kept([reader(data)])
    inner = data.get("conversations") or data.get("chats") or data.get("data")
    return recognise(inner) if isinstance(inner, list) else []


def _kept(chats: list[ImportedChat]) -> list[ImportedChat]:
    return [chat for chat in chats if chat.messages]


# --------------------------------------------------------------------------------------------- ChatGPT


def _chatgpt(data: Json) -> ImportedChat:
    nodes = {}
    for key, node in _dict(data.get("mapping")).items():
        if isinstance(node, dict):
            message, reasoning = _chatgpt_message(key, node)
            nodes[key] = _Node(_text(node.get("parent")) or None, message, reasoning)
    messages, kept_as = _straighten(nodes)
    model = next((message.model for message in reversed(messages) if message.model), "")
    return ImportedChat(
        "ChatGPT",
        _text(data.get("title")),
        messages,
        model=model,
        created_at=_time(data.get("create_time")),
        updated_at=_time(data.get("update_time")),
        shown=kept_as.get(_text(data.get("current_node"))),
    )


def _chatgpt_message(key: str, node: Json) -> tuple[ImportedMessage | None, str]:
    message = _dict(node.get("message"))
    content, facts = _dict(message.get("content")), _dict(message.get("metadata"))
    role = _ROLES.get(_text(_dict(message.get("author")).get("role")))
    if content.get("content_type") == "thoughts":
        thoughts = [_text(_dict(item).get("content")) for item in _list(content.get("thoughts"))]
        return None, "\n\n".join(filter(None, thoughts))
    text = _parts(content)
    if role is None or not text.strip() or facts.get("is_visually_hidden_from_conversation"):
        return None, ""
    made = ImportedMessage(
        key,
        None,
        role,
        text,
        model=_text(facts.get("model_slug")),
        created_at=_time(message.get("create_time")),
    )
    return made, ""


def _parts(content: Json) -> str:
    kind = content.get("content_type")
    if kind not in {"text", "multimodal_text", "code", None}:
        return ""
    parts = _list(content.get("parts")) or [content.get("text")]
    found = [
        part if isinstance(part, str) else _text(_dict(part).get("text")) or _picture(part) for part in parts
    ]
    text = "\n".join(piece for piece in found if piece)
    return f"```\n{text}\n```" if kind == "code" and text else text


def _picture(part: object) -> str:
    return "[image]" if isinstance(part, dict) and "asset_pointer" in part else ""


# ------------------------------------------------------------------------------------------ Open WebUI


def _open_webui(data: Json) -> ImportedChat:
    chat = _dict(data.get("chat")) or data
    history = _dict(chat.get("history"))
    nodes = {}
    for key, item in _dict(history.get("messages")).items():
        if isinstance(item, dict):
            made = _plain(key, item)
            nodes[key] = _Node(_text(item.get("parentId")) or None, made and _unfolded(made))
    messages, kept_as = _straighten(nodes)
    models = [_text(model) for model in _list(chat.get("models"))]
    return ImportedChat(
        "Open WebUI",
        _text(chat.get("title")) or _text(data.get("title")),
        messages,
        system=_text(chat.get("system")) or _text(_dict(chat.get("params")).get("system")),
        model=models[0] if models else "",
        created_at=_time(data.get("created_at") or chat.get("timestamp")),
        updated_at=_time(data.get("updated_at")),
        shown=kept_as.get(_text(history.get("currentId"))),
        pinned=data.get("pinned") is True,
        tags=_tags(_dict(data.get("meta")).get("tags") or chat.get("tags")),
    )


def _unfolded(message: ImportedMessage) -> ImportedMessage:
    """Thoughts and tool calls stand in the text of its answers."""
    if message.role != "assistant":
        return message
    found = unfold(message.text)
    reasoning = message.reasoning or found.reasoning
    return msgspec.structs.replace(message, text=found.text, reasoning=reasoning, thought=found.thought)


def _tags(value: object) -> tuple[str, ...]:
    names = [_text(tag) or _text(_dict(tag).get("name")) for tag in _list(value)]
    return tuple(dict.fromkeys(name for name in names if name))


def _plain(key: str, item: Json) -> ImportedMessage | None:
    """A message of the OpenAI shape, as several programs keep them."""
    role, text = _ROLES.get(_text(item.get("role"))), _content(item.get("content"))
    reasoning = (
        _text(item.get("thinking")) or _text(item.get("reasoning_content")) or _text(item.get("reasoning"))
    )
    if role is None or not (text.strip() or reasoning):
        return None
    at = _time(item.get("timestamp") or item.get("created_at") or item.get("createdAt"))
    return ImportedMessage(key, None, role, text, reasoning, _text(item.get("model")), at)


def _content(content: object) -> str:
    if isinstance(content, str):
        return content
    texts = []
    for part in _list(content):
        text = _dict(part).get("text")
        texts.append(text if isinstance(text, str) else _text(_dict(text).get("value")))
    return "\n".join(piece for piece in texts if piece)


# ------------------------------------------------------------------------------------------- LM Studio


def _lm_studio(data: Json) -> ImportedChat:
    """Messages come in a row, each with versions; all hang below the chosen version of the one before."""
    messages: list[ImportedMessage] = []
    parent: str | None = None
    for index, item in enumerate(_list(data.get("messages"))):
        versions = _list(_dict(item).get("versions"))
        chosen = _dict(item).get("currentlySelected")
        following = parent
        for number, version in enumerate(versions):
            made = _lm_studio_version(f"{index}.{number}", _dict(version))
            if made is None:
                continue
            messages.append(_below(made, parent))
            if number == chosen or following == parent:
                following = made.key
        parent = following
    fields = _list(_dict(data.get("perChatPredictionConfig")).get("fields"))
    configured = [f.get("value") for f in map(_dict, fields) if f.get("key") == "llm.prediction.systemPrompt"]
    return ImportedChat(
        "LM Studio",
        _text(data.get("name")),
        tuple(messages),
        system=_text(data.get("systemPrompt")) or next(map(_text, configured), ""),
        model=_text(_dict(data.get("lastUsedModel")).get("identifier")),
        created_at=_time(data.get("createdAt")),
        shown=parent,
        pinned=data.get("pinned") is True,
    )


def _lm_studio_version(key: str, version: Json) -> ImportedMessage | None:
    role, thought = _ROLES.get(_text(version.get("role"))), None
    text, reasoning, model = _content(version.get("content")), "", _text(
        _dict(version.get("senderInfo")).get("senderName")
    )  # fmt: skip
    for step in map(_dict, _list(version.get("steps"))):
        piece, style = _content(step.get("content")), _dict(step.get("style"))
        if style.get("type") == "thinking":
            reasoning += piece
            thought = seconds_in(_text(style.get("title"))) or thought
        else:
            text += piece + _lm_studio_calls(step.get("content"))
        model = _text(_dict(step.get("genInfo")).get("identifier")) or model
    if role is None or not (text.strip() or reasoning):
        return None
    model = model if role == "assistant" else ""
    return ImportedMessage(key, None, role, text, reasoning, model, thought=thought)


def _lm_studio_calls(content: object) -> str:
    """Calls of tools and what came back, as Markdown between the pieces of an answer."""
    found = []
    for part in map(_dict, _list(content)):
        if part.get("type") == "toolCallRequest":
            arguments = msgspec.json.encode(_dict(part.get("parameters"))).decode()
            found.append(called(_text(part.get("name")), arguments))
        elif part.get("type") == "toolCallResult":
            found.append(f"```\n{_text(part.get('content'))}\n```")
    return "".join(f"\n\n{piece}\n\n" for piece in found)


# ----------------------------------------------------------------------------------------- plain lists


def _flat(data: Json) -> ImportedChat:
    """A list of messages in a row (Ollama-like, OpenAI-like, Jan): each below the one before."""
    messages: list[ImportedMessage] = []
    systems: list[str] = []
    for index, item in enumerate(map(_dict, _list(data.get("messages")))):
        if item.get("role") == "system":
            systems.append(_content(item.get("content")))
            continue
        made = _plain(str(index), item)
        if made is not None:
            messages.append(_below(made, messages[-1].key if messages else None))
    assistants = _list(data.get("assistants"))
    assistant = _dict(assistants[0] if assistants else None)
    model = data.get("model") or _dict(assistant.get("model")).get("id")
    return ImportedChat(
        _text(data.get("source")) or "JSON",
        _text(data.get("title")) or _text(data.get("name")),
        tuple(messages),
        system=_text(data.get("system"))
        or "\n\n".join(filter(None, systems))
        or _text(assistant.get("instructions")),
        model=_text(model) or _text(_dict(model).get("id")),
        created_at=_time(data.get("created_at") or data.get("created")),
        updated_at=_time(data.get("updated_at") or data.get("updated")),
        shown=messages[-1].key if messages else None,
    )


def jan(thread: Json, lines: list[Json]) -> list[ImportedChat]:
    """Jan keeps a thread and its messages in two files."""
    ordered = sorted(lines, key=lambda line: _time(line.get("created_at")) or 0.0)
    return _kept([_flat({**thread, "messages": ordered, "source": "Jan"})])


_READERS: tuple[tuple[Callable[[Json], bool], Callable[[Json], ImportedChat]], ...] = (
    (lambda data: isinstance(data.get("mapping"), dict), _chatgpt),
    (lambda data: isinstance(_dict(_dict(data.get("chat")) or data).get("history"), dict), _open_webui),
    (lambda data: any("versions" in _dict(item) for item in _list(data.get("messages"))), _lm_studio),
    (lambda data: isinstance(data.get("messages"), list), _flat),
)


# ---------------------------------------------------------------------------------------- common tools


def _straighten(nodes: dict[str, _Node]) -> tuple[tuple[ImportedMessage, ...], dict[str, str]]:
    """Messages with a way to a root, parents first, steps in between left out; and by every key the last message on
    its way. A loop has no root and falls away."""
    children: dict[str | None, list[str]] = {}
    for key, node in nodes.items():
        children.setdefault(node.parent if node.parent in nodes else None, []).append(key)
    messages: list[ImportedMessage] = []
    kept_as: dict[str, str] = {}
    waiting: list[tuple[str, str | None, str]] = [(key, None, "") for key in reversed(children.get(None, []))]
    while waiting:
        key, parent, reasoning = waiting.pop()
        node = nodes[key]
        reasoning = "\n\n".join(filter(None, (reasoning, node.reasoning)))
        if node.message is not None:
            if node.message.role == "assistant":
                node.message = _with_reasoning(node.message, reasoning)
            messages.append(_below(node.message, parent))
            parent, reasoning = key, ""
        if parent is not None:
            kept_as[key] = parent
        waiting.extend((child, parent, reasoning) for child in reversed(children.get(key, [])))
    return tuple(messages), kept_as


def _below(message: ImportedMessage, parent: str | None) -> ImportedMessage:
    return msgspec.structs.replace(message, parent=parent)


def _with_reasoning(message: ImportedMessage, reasoning: str) -> ImportedMessage:
    return msgspec.structs.replace(message, reasoning=message.reasoning or reasoning)


def _dict(value: object) -> Json:
    return cast("Json", value) if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _time(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e15:
        return None
    return value / 1000 if value > _MILLISECONDS else float(value)


def lines_of(values: Iterator[object]) -> list[Json]:
    """Only the objects among decoded lines."""
    return [value for value in values if isinstance(value, dict)]
