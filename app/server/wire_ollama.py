"""What Ollama's clients send and expect, as types (source: Ollama's docs/api.md). Times in answers are nanoseconds."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from app.server.wire import Count

KeepAlive = str | float | int
Think = bool | Literal["low", "medium", "high", "max"]
Form = Literal["json", ""] | dict[str, Any]


class OllamaFunction(Struct):
    """A call; ``arguments`` is an object here."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)


class OllamaCall(Struct):
    """A call in an assistant's message."""

    function: OllamaFunction
    id: str = ""


class OllamaMessage(Struct, omit_defaults=True):
    """One turn; ``images`` are base64."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[OllamaCall] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class OllamaToolFunction(Struct):
    """A function."""

    name: Annotated[str, Meta(min_length=1, max_length=256)]
    description: str | None = None
    parameters: dict[str, Any] | None = None


class OllamaTool(Struct):
    """A tool."""

    function: OllamaToolFunction
    type: str = "function"


class Options(Struct):
    """Sampling, under Ollama's names. What belongs to loading (num_ctx, num_gpu, ...) is Hearth's own to plan."""

    num_predict: int | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    typical_p: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    repeat_penalty: float | None = None
    repeat_last_n: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    mirostat: Literal[0, 1, 2] | None = None
    mirostat_tau: float | None = None
    mirostat_eta: float | None = None
    num_ctx: int | None = None


class OllamaChatRequest(Struct):
    """POST /api/chat"""

    model: str
    messages: list[OllamaMessage] = field(default_factory=list)
    tools: list[OllamaTool] | None = None
    format: Form | None = None
    options: Options | None = None
    stream: bool | None = None
    think: Think | None = None
    keep_alive: KeepAlive | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None


class OllamaGenerateRequest(Struct):
    """POST /api/generate"""

    model: str
    prompt: str = ""
    suffix: str | None = None
    system: str | None = None
    images: list[str] | None = None
    context: list[int] | None = None
    raw: bool | None = None
    format: Form | None = None
    options: Options | None = None
    stream: bool | None = None
    think: Think | None = None
    keep_alive: KeepAlive | None = None


class OllamaFigures(Struct, omit_defaults=True):
    """What the last line of an answer carries."""

    done_reason: str | UnsetType = UNSET
    total_duration: int | UnsetType = UNSET
    load_duration: int | UnsetType = UNSET
    prompt_eval_count: int | UnsetType = UNSET
    prompt_eval_duration: int | UnsetType = UNSET
    eval_count: int | UnsetType = UNSET
    eval_duration: int | UnsetType = UNSET


class OllamaLogprob(Struct):
    """One token."""

    token: str
    logprob: float
    bytes: list[int]
    top_logprobs: list[dict[str, Any]] = field(default_factory=list)


class OllamaAnswer(OllamaFigures, kw_only=True, omit_defaults=True):
    """One line of /api/chat, or the whole."""

    model: str
    created_at: str
    message: dict[str, Any]
    done: bool | UnsetType = UNSET
    logprobs: list[OllamaLogprob] | UnsetType = UNSET


class OllamaText(OllamaFigures, kw_only=True, omit_defaults=True):
    """One line of /api/generate, or the whole."""

    model: str
    created_at: str
    response: str
    thinking: str | UnsetType = UNSET
    done: bool | UnsetType = UNSET
    context: list[int] | UnsetType = UNSET


class EmbedRequest(Struct):
    """POST /api/embed"""

    model: str
    input: Annotated[str, Meta(min_length=1)] | list[str]
    truncate: bool | None = None
    dimensions: Count | None = None
    keep_alive: KeepAlive | None = None


class EmbedResult(Struct):
    """The vectors."""

    model: str
    embeddings: list[list[float]]
    total_duration: int
    load_duration: int
    prompt_eval_count: int


class OldEmbedRequest(Struct):
    """POST /api/embeddings, the older form."""

    model: str
    prompt: str
    keep_alive: KeepAlive | None = None


class OldEmbedResult(Struct):
    """One vector."""

    embedding: list[float]


class Details(Struct):
    """What a model is."""

    parent_model: str = ""
    format: str = "gguf"
    family: str = ""
    families: list[str] = field(default_factory=list)
    parameter_size: str = ""
    quantization_level: str = ""


class Tag(Struct):
    """One model that is here."""

    name: str
    model: str
    modified_at: str
    size: int
    digest: str
    details: Details


class Tags(Struct):
    """GET /api/tags"""

    models: list[Tag]


class Loaded(Struct):
    """One model that is loaded."""

    name: str
    model: str
    size: int
    digest: str
    details: Details
    expires_at: str
    size_vram: int
    context_length: int


class LoadedList(Struct):
    """GET /api/ps"""

    models: list[Loaded]


class ShowRequest(Struct):
    """POST /api/show"""

    model: str = ""
    name: str = ""
    verbose: bool | None = None


class ShowResult(Struct):
    """All that is known of a model."""

    modelfile: str
    parameters: str
    template: str
    license: str
    details: Details
    model_info: dict[str, Any]
    capabilities: list[str]
    modified_at: str


class NameRequest(Struct):
    """DELETE /api/delete, POST /api/pull: a model by name."""

    model: str = ""
    name: str = ""
    stream: bool | None = None


class CopyRequest(Struct):
    """POST /api/copy"""

    source: Annotated[str, Meta(min_length=1)]
    destination: Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\s=*\[\]?][^\s=*\[\]?]*$")]


class Progress(Struct, omit_defaults=True):
    """One line of a pull."""

    status: str
    digest: str | UnsetType = UNSET
    total: int | UnsetType = UNSET
    completed: int | UnsetType = UNSET


class Version(Struct):
    """GET /api/version"""

    version: str
