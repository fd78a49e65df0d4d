"""LM Studio's WebSocket protocol as its own clients (lmstudio-python, lmstudio-js) speak it, as types and pure
converters. Source: lmstudio-python 1.5.0, ``json_api.py`` and ``_sdk_models``.

One socket is one namespace (llm, embedding, system). After a greeting it carries remote calls (one answer each) and
channels (messages both ways until one side closes), told apart by numbers that the client gives.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from app.server.errors import Problem, bad_field
from app.server.wire import ChatRequest


class Auth(Struct, rename="camel"):
    """The first message."""

    auth_version: int
    client_identifier: str = ""
    client_passkey: str = ""


class RpcCall(Struct, tag="rpcCall", tag_field="type", rename="camel"):
    """A question with one answer."""

    endpoint: str
    call_id: int
    parameter: dict[str, Any] | None = None


class ChannelCreate(Struct, tag="channelCreate", tag_field="type", rename="camel"):
    """The beginning of a channel."""

    endpoint: str
    channel_id: int
    creation_parameter: dict[str, Any] | None = None


class ChannelSend(Struct, tag="channelSend", tag_field="type", rename="camel"):
    """A message of the client on a channel; ``cancel`` is the one that is understood."""

    channel_id: int
    message: dict[str, Any] = {}


Incoming = RpcCall | ChannelCreate | ChannelSend


# ---------------------------------------------------------------------------------------- parameters


class Query(Struct, rename="camel"):
    """A model by its name."""

    identifier: str | None = None
    path: str | None = None


class Specifier(Struct, rename="camel"):
    """A model: by a query, or by the reference that loading it gave."""

    type: Literal["query", "instanceReference"] = "query"
    query: Query | None = None
    instance_reference: str | None = None

    @property
    def name(self) -> str:
        """What we call it; empty: the one that is loaded."""
        query = self.query or Query()
        return self.instance_reference or query.identifier or query.path or ""


class KvField(Struct):
    """One option."""

    key: str
    value: Any = None


class KvConfig(Struct):
    """Options."""

    fields: list[KvField] = field(default_factory=list)


class Layer(Struct, rename="camel"):
    """Options from one source."""

    layer_name: str = ""
    config: KvConfig = field(default_factory=KvConfig)


class Stack(Struct):
    """Options by layer; later ones win."""

    layers: list[Layer] = field(default_factory=list)

    def flat(self) -> dict[str, Any]:
        """Key to value."""
        return {item.key: item.value for layer in self.layers for item in layer.config.fields}

    @property
    def completes(self) -> bool:
        """A text to go on with is meant, not a conversation: the client says so by a template of its own."""
        return any(layer.layer_name == "completeModeFormatting" for layer in self.layers)


class ToolRequest(Struct):
    """A call the model made earlier."""

    name: str
    id: str | None = None
    arguments: dict[str, Any] | None = None


class HistoryPart(Struct, rename="camel"):
    """Part of a message: text, file, toolCallRequest or toolCallResult."""

    type: str
    text: str = ""
    content: str = ""
    tool_call_id: str | None = None
    tool_call_request: ToolRequest | None = None


class HistoryMessage(Struct):
    """A message."""

    role: Literal["system", "user", "assistant", "tool"]
    content: list[HistoryPart] = field(default_factory=list)


class History(Struct):
    """A conversation."""

    messages: Annotated[list[HistoryMessage], Meta(min_length=1)]


class Predict(Struct, rename="camel"):
    """channel ``predict``."""

    model_specifier: Specifier
    history: History
    prediction_config_stack: Stack = field(default_factory=Stack)


class Template(Struct, rename="camel"):
    """call ``applyPromptTemplate``."""

    specifier: Specifier
    history: History
    prediction_config_stack: Stack = field(default_factory=Stack)


class Load(Struct, rename="camel"):
    """channels ``loadModel`` and ``getOrLoad``."""

    model_key: str | None = None
    identifier: str | None = None
    load_config_stack: Stack = field(default_factory=Stack)
    ttl_ms: float | None = None
    load_ttl_ms: float | None = None

    @property
    def name(self) -> str:
        """The model; an identifier beside a key is a name for the instance, which we do not give."""
        return self.model_key or self.identifier or ""

    @property
    def ttl(self) -> float | None:
        """Seconds it is kept after its last use."""
        found = self.load_ttl_ms if self.ttl_ms is None else self.ttl_ms
        return None if found is None else found / 1000


class Ask(Struct, rename="camel"):
    """Calls about one model: getModelInfo, getLoadConfig, tokenize, countTokens, embedString."""

    specifier: Specifier | None = None
    model_specifier: Specifier | None = None
    input_string: str = ""
    throw_if_not_found: bool = False

    @property
    def name(self) -> str:
        """The model."""
        return (self.specifier or self.model_specifier or Specifier()).name


class Unload(Struct):
    """call ``unloadModel``."""

    identifier: Annotated[str, Meta(min_length=1)]


# ---------------------------------------------------------------------------------------- converters

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
LOADING = {
    "llm.load.contextLength": "n_ctx",
    "embedding.load.contextLength": "n_ctx",
    "llm.load.llama.evalBatchSize": "n_batch",
    "llm.load.offloadKVCacheToGpu": "offload_kqv",
}


def chat_of(wire: Predict | Template, model: str) -> ChatRequest:
    """The same question as OpenAI's type, whose checks and conversion then apply. Raises Problem."""
    options = wire.prediction_config_stack.flat()
    found: dict[str, Any] = {
        "model": model,
        "messages": [m for row in wire.history.messages for m in _messages(row)],
    }
    for key, value in options.items():
        name = SAMPLING.get(key.removeprefix("llm.prediction."))
        chosen = _unboxed(value)
        if name and chosen is not None:
            found[name] = chosen
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


def _messages(row: HistoryMessage) -> list[dict[str, Any]]:
    if any(part.type == "file" for part in row.content):
        raise bad_field("history", "Files and images are not taken over this protocol.")
    results = [part for part in row.content if part.type == "toolCallResult"]
    if results:
        return [{"role": "tool", "content": p.content, "tool_call_id": p.tool_call_id or ""} for p in results]
    made = [part.tool_call_request for part in row.content if part.tool_call_request is not None]
    found: dict[str, Any] = {"role": row.role, "content": "".join(part.text for part in row.content)}
    if made:
        found["tool_calls"] = [
            {"id": call.id or f"call_{at}", "type": "function",
             "function": {"name": call.name, "arguments": msgspec.json.encode(call.arguments or {}).decode()}}
            for at, call in enumerate(made)
        ]  # fmt: skip
    return [found]


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
