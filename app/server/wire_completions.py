"""OpenAI's older completions, embeddings, and the reranking that Jina's and Cohere's clients send, as types."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from app.server.wire import (
    Bias,
    Choices,
    Count,
    Limit,
    Penalty,
    Probability,
    Seed,
    Shaping,
    StreamOptions,
    Temperature,
    TokenId,
    Ttl,
    WireTimings,
    WireUsage,
)

Tokens = list[TokenId]


class CompletionRequest(Shaping):
    """POST /v1/completions."""

    model: str
    prompt: str | list[str | Tokens | TokenId] = ""
    suffix: str | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    max_tokens: Limit | None = None
    ttl: Ttl | None = None
    temperature: Temperature | None = None
    top_p: Probability | None = None
    n: Choices | None = None
    best_of: Choices | None = None
    echo: bool | None = None
    logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    stop: str | list[str] | None = None
    seed: Seed | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    logit_bias: dict[TokenId, Bias] | None = None


class CompletionLogprobs(Struct):
    """Tokens side by side; offsets are characters from the beginning of the text."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


class CompletionChoice(Struct):
    """One continuation, or one piece of it."""

    index: int
    text: str
    finish_reason: str | None = None
    logprobs: CompletionLogprobs | None = None


class Completion(Struct, omit_defaults=True):
    """A whole response, or one event of a stream."""

    id: str
    created: int
    model: str
    choices: list[CompletionChoice]
    object: str
    usage: WireUsage | UnsetType | None = UNSET
    timings: WireTimings | UnsetType = UNSET


class EmbeddingsRequest(Struct):
    """POST /v1/embeddings."""

    model: str
    input: Annotated[str, Meta(min_length=1)] | Annotated[list[str | Tokens | TokenId], Meta(min_length=1)]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Count | None = None
    ttl: Ttl | None = None


class Embedding(Struct):
    """One vector: floats, or little-endian float32 in base64."""

    index: int
    embedding: list[float] | str
    object: str = "embedding"


class VectorUsage(Struct):
    """Tokens that were read."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(Struct):
    """The vectors in the order of the input."""

    data: list[Embedding]
    model: str
    usage: VectorUsage
    object: str = "list"


class Document(Struct):
    """A document as an object."""

    text: str


class RerankRequest(Struct):
    """POST /v1/rerank."""

    model: str
    query: Annotated[str, Meta(min_length=1)]
    documents: Annotated[list[str | Document], Meta(min_length=1)]
    top_n: Count | None = None
    return_documents: bool | None = None


class Ranked(Struct, omit_defaults=True):
    """One document's score; the higher, the nearer."""

    index: int
    relevance_score: float
    document: Document | UnsetType = UNSET


class RerankResult(Struct):
    """The best first."""

    model: str
    results: list[Ranked]
    usage: VectorUsage
    object: str = "list"
