"""What LM Studio's clients send and expect, as types (source: its REST API pages, v0 and v1)."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from app.server.wire import ChatCompletion, Count, Positive, Probability, Temperature, TopK
from app.server.wire_completions import Completion

# ---------------------------------------------------------------------------------------------- v0


class Greeting(Struct):
    """GET /lmstudio-greeting"""

    lmstudio: bool = True


class V0Model(Struct, omit_defaults=True):
    """One model of /api/v0/models."""

    id: str
    object: str
    type: str
    publisher: str
    arch: str
    compatibility_type: str
    quantization: str
    state: str
    max_context_length: int
    capabilities: list[str]
    loaded_context_length: int | UnsetType = UNSET


class V0Models(Struct):
    """GET /api/v0/models"""

    data: list[V0Model]
    object: str = "list"


class V0Stats(Struct):
    """Seconds and tokens per second."""

    tokens_per_second: float | None
    time_to_first_token: float
    generation_time: float
    stop_reason: str


class V0Info(Struct):
    """What answered."""

    arch: str
    quant: str
    format: str
    context_length: int


class V0Chat(ChatCompletion, kw_only=True):
    """OpenAI's answer, and LM Studio's figures."""

    stats: V0Stats
    model_info: V0Info
    runtime: dict[str, Any]


class V0Completion(Completion, kw_only=True):
    """OpenAI's answer, and LM Studio's figures."""

    stats: V0Stats
    model_info: V0Info
    runtime: dict[str, Any]


# ---------------------------------------------------------------------------------------------- v1


class V1Text(Struct, tag="text", tag_field="type"):
    """Text of the input."""

    content: str


class V1Message(Struct, tag="message", tag_field="type"):
    """Text of the input, under its newer name."""

    content: str


class V1Image(Struct, tag="image", tag_field="type"):
    """An image as a data: URL."""

    data_url: str


class V1ChatRequest(Struct):
    """POST /api/v1/chat"""

    model: str
    input: (
        Annotated[str, Meta(min_length=1)] | Annotated[list[V1Text | V1Message | V1Image], Meta(min_length=1)]
    )
    system_prompt: str | None = None
    stream: bool | None = False
    temperature: Temperature | None = None
    top_p: Probability | None = None
    top_k: TopK | None = None
    min_p: Probability | None = None
    repeat_penalty: Positive | None = None
    max_output_tokens: Count | None = None
    reasoning: Literal["off", "low", "medium", "high", "on"] | None = None
    context_length: Count | None = None
    store: bool | None = None
    previous_response_id: str | None = None


class V1Output(Struct):
    """message, or reasoning."""

    type: str
    content: str


class V1Stats(Struct, omit_defaults=True):
    """Tokens, tokens per second, seconds."""

    input_tokens: int
    total_output_tokens: int
    reasoning_output_tokens: int
    tokens_per_second: float
    time_to_first_token_seconds: float
    model_load_time_seconds: float | UnsetType = UNSET


class V1ChatResult(Struct, omit_defaults=True):
    """A whole answer."""

    model_instance_id: str
    output: list[V1Output]
    stats: V1Stats
    response_id: str | UnsetType = UNSET


class V1Quantization(Struct):
    """The quant."""

    name: str
    bits_per_weight: float | None


class V1Instance(Struct):
    """A loaded one."""

    id: str
    config: dict[str, Any]


class V1Capabilities(Struct):
    """What it can do."""

    vision: bool
    trained_for_tool_use: bool


class V1Model(Struct):
    """One model of /api/v1/models."""

    type: str
    publisher: str
    key: str
    display_name: str
    architecture: str | None
    quantization: V1Quantization | None
    size_bytes: int
    params_string: str | None
    loaded_instances: list[V1Instance]
    max_context_length: int
    format: str
    capabilities: V1Capabilities
    description: str | None = None


class V1Models(Struct):
    """GET /api/v1/models"""

    models: list[V1Model]


class V1LoadRequest(Struct):
    """POST /api/v1/models/load"""

    model: Annotated[str, Meta(min_length=1)]
    context_length: Annotated[int, Meta(ge=256, le=1048576)] | None = None
    eval_batch_size: Annotated[int, Meta(ge=1, le=65536)] | None = None
    flash_attention: bool | None = None
    offload_kv_cache_to_gpu: bool | None = None
    echo_load_config: bool | None = None


class V1LoadResult(Struct, omit_defaults=True):
    """Loaded."""

    type: str
    instance_id: str
    load_time_seconds: float
    status: str
    load_config: dict[str, Any] | UnsetType = UNSET


class V1UnloadRequest(Struct):
    """POST /api/v1/models/unload"""

    instance_id: Annotated[str, Meta(min_length=1)]


class V1UnloadResult(Struct):
    """Unloaded."""

    instance_id: str


class V1DownloadRequest(Struct):
    """POST /api/v1/models/download"""

    model: Annotated[str, Meta(min_length=1)]
    quantization: str | None = None


class V1Job(Struct, omit_defaults=True):
    """How far a download is."""

    status: str
    job_id: str | UnsetType = UNSET
    total_size_bytes: int | UnsetType = UNSET
    downloaded_bytes: int | UnsetType = UNSET
    bytes_per_second: float | UnsetType = UNSET
    started_at: str | UnsetType = UNSET
    error: str | UnsetType = UNSET
