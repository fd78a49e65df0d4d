"""LM Studio's WebSocket protocol as its own clients (lmstudio-python, lmstudio-js) speak it. Source: lmstudio-python
1.5.0, ``json_api.py`` and ``_sdk_models``; lmstudio-js 1.5.0, ``lms-external-backend-interfaces``, which takes nothing
that it does not know. ``convert_socket`` makes requests of these types.

One socket is one namespace (llm, embedding, system, files, repository). After a greeting it carries remote calls (one
answer each) and channels (messages both ways until one side closes), told apart by numbers that the client gives.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field


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
    ack_id: int | None = None
    """The client waits to be told that this has come."""


class ChannelAck(Struct, tag="channelAck", tag_field="type"):
    """A message of ours has come."""


class KeepAlive(Struct, tag="keepAlive", tag_field="type"):
    """Whether we are still there."""


class Warned(Struct, tag="communicationWarning", tag_field="type"):
    """The client does not understand what we said."""

    warning: str = ""


Incoming = RpcCall | ChannelCreate | ChannelSend | ChannelAck | KeepAlive | Warned


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
    identifier: str = ""
    """Of a file: what uploading it gave."""
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


class Upload(Struct, rename="camel"):
    """call ``uploadFileBase64`` of the socket for files."""

    content_base64: str
    name: str = ""


class SearchOptions(Struct, rename="camel"):
    """What is looked for."""

    search_term: str = ""
    limit: Annotated[int, Meta(ge=1, le=25)] | None = None
    compatibility_types: list[str] | None = None


class Search(Struct):
    """call ``searchModels`` of the socket for the Hub."""

    opts: SearchOptions = field(default_factory=SearchOptions)


class FoundName(Struct):
    """A repository that a search gave."""

    identifier: Annotated[str, Meta(min_length=1)]
    type: Literal["hf", "catalog"] = "hf"


class Options(Struct, rename="camel"):
    """call ``getModelDownloadOptions``."""

    model_search_result_identifier: FoundName


class Download(Struct, rename="camel"):
    """channel ``downloadModel``."""

    download_identifier: Annotated[str, Meta(min_length=1)]
