"""What is asked of a model and what comes back: the same objects for chat and for HTTP.

Messages follow OpenAI's chat format (role, content parts, tool calls); sampling fields carry
llama.cpp's names and meanings (``common/common.h``, ``common_params_sampling``). Everything is
frozen: a request travels from a view or a socket to the worker by reference or one msgpack frame.
"""

from typing import Literal

from msgspec import Struct, field

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls", "cancelled", "context_full"]


class TextPart(Struct, frozen=True, tag="text", tag_field="type"):
    """A run of plain text inside a message."""

    text: str


class ImagePart(Struct, frozen=True, tag="image", tag_field="type"):
    """An encoded image (PNG, JPEG, ...) for models with a projector."""

    data: bytes
    mime: str = "image/png"


Part = TextPart | ImagePart


class ToolCall(Struct, frozen=True):
    """A call the model asked for. ``arguments`` is the JSON text exactly as generated (OpenAI's form)."""

    id: str
    name: str
    arguments: str = "{}"


class ToolSpec(Struct, frozen=True):
    """A function the model may call; ``parameters`` is a JSON schema object."""

    name: str
    description: str = ""
    parameters: dict[str, object] = field(default_factory=dict)


class Message(Struct, frozen=True, omit_defaults=True):
    """One turn. ``content`` is text or parts; ``reasoning`` is what was thought before the answer."""

    role: Role
    content: str | tuple[Part, ...] = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    name: str = ""

    @property
    def text(self) -> str:
        """The content as plain text, images left out."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content if isinstance(part, TextPart))


class SamplingParams(Struct, frozen=True, omit_defaults=True):
    """How the next token is picked. A neutral value switches that sampler off, as in llama.cpp."""

    temperature: float = 0.8
    dynatemp_range: float = 0.0
    dynatemp_exponent: float = 1.0
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    typical_p: float = 1.0
    top_n_sigma: float = -1.0
    xtc_probability: float = 0.0
    xtc_threshold: float = 0.1
    dry_multiplier: float = 0.0
    dry_base: float = 1.75
    dry_allowed_length: int = 2
    dry_penalty_last_n: int = -1
    dry_sequence_breakers: tuple[str, ...] = ("\n", ":", '"', "*")
    mirostat: Literal[0, 1, 2] = 0
    mirostat_tau: float = 5.0
    mirostat_eta: float = 0.1
    penalty_last_n: int = 64
    repeat_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    logit_bias: dict[int, float] = field(default_factory=dict)
    seed: int | None = None
    max_tokens: int | None = None
    min_tokens: int = 0
    stop: tuple[str, ...] = ()
    stop_tokens: tuple[int, ...] = ()
    ignore_eos: bool = False
    n: int = 1
    logprobs: int | None = None
    """None: no log-probabilities; k >= 0: the chosen token's and the top k alternatives'."""


class ResponseFormat(Struct, frozen=True, omit_defaults=True):
    """A constraint on the answer's text: free, any JSON object, a JSON schema, or a GBNF grammar."""

    kind: Literal["text", "json_object", "json_schema", "gbnf"] = "text"
    schema: dict[str, object] = field(default_factory=dict)
    grammar: str = ""


class ToolChoice(Struct, frozen=True, omit_defaults=True):
    """OpenAI's ``tool_choice``: ``named`` asks for the function called ``name``."""

    mode: Literal["none", "auto", "required", "named"] = "auto"
    name: str = ""


class ReasoningOptions(Struct, frozen=True, omit_defaults=True):
    """Thinking before answering. ``enabled`` None leaves it to the template; ``budget`` is in tokens."""

    enabled: bool | None = None
    budget: int | None = None
    effort: Literal["", "none", "minimal", "low", "medium", "high"] = ""


ContextPolicy = Literal["stop", "drop_middle", "rolling"]


class GenerateRequest(Struct, frozen=True, omit_defaults=True):
    """One question to a loaded model: ``messages`` (templated in the worker), or raw ``prompt`` text,
    or ready ``tokens``; exactly one of the three is filled."""

    id: str
    messages: tuple[Message, ...] = ()
    prompt: str | None = None
    tokens: tuple[int, ...] = ()
    sampling: SamplingParams = SamplingParams()
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    parallel_tool_calls: bool = True
    response_format: ResponseFormat = ResponseFormat()
    reasoning: ReasoningOptions = ReasoningOptions()
    template_kwargs: dict[str, object] = field(default_factory=dict)
    continue_last: bool = False
    """True: the last assistant message is left open and the model goes on writing it."""
    context_policy: ContextPolicy = "stop"
    conversation: str = ""
    """A stable key of the chat this belongs to; its KV state may be kept under this name."""
    priority: int = 0
    flush_ms: int = 0
    """About how long (milliseconds, at most 250) written text may wait, so that what follows travels with it. The
    first text and the end never wait. 0: one Delta for each step."""


class TokenLogprob(Struct, frozen=True):
    """Natural-log probability of one token and of its alternatives (token text, bytes, logprob)."""

    token: str
    data: bytes
    logprob: float
    top: tuple[tuple[str, bytes, float], ...] = ()


class ToolCallDelta(Struct, frozen=True, omit_defaults=True):
    """A piece of a tool call: the first piece of an ``index`` carries ``id`` and ``name``."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


class Usage(Struct, frozen=True):
    """Tokens counted as the model saw them. ``cached`` were in the KV cache and not computed again."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    reasoning: int = 0


class Timings(Struct, frozen=True):
    """Seconds on the worker's clock. Prefill counts computed prompt tokens only; decode counts tokens after
    the first; ``ttft`` runs from the request's arrival in the worker to the first sampled token."""

    queued: float = 0.0
    prefill: float = 0.0
    decode: float = 0.0
    ttft: float = 0.0
    prefill_tokens: int = 0
    decode_tokens: int = 0

    @property
    def prefill_per_second(self) -> float | None:
        """Prompt tokens per second, or None when nothing was computed."""
        return self.prefill_tokens / self.prefill if self.prefill > 0 and self.prefill_tokens else None

    @property
    def decode_per_second(self) -> float | None:
        """Generated tokens per second after the first, or None for answers of one token."""
        return self.decode_tokens / self.decode if self.decode > 0 and self.decode_tokens else None


class Delta(Struct, frozen=True, tag="delta", omit_defaults=True):
    """Something new: text, reasoning, tool-call pieces, or prefill progress. Text is whole UTF-8 and never
    holds a part of a stop string. ``choice`` counts the n answers of one request from 0."""

    choice: int = 0
    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    tokens: int = 0
    """Tokens generated for this choice since the last delta."""
    prefilled: int = 0
    prompt_tokens: int = 0
    """While prefilling: computed so far, out of ``prompt_tokens``."""
    cached: int = 0
    """Of ``prefilled``: those that were there and had not to be computed."""
    reading: float = 0.0
    """Seconds since the first of the others was begun."""
    dropped: tuple[int, ...] = ()
    """Indices of messages a context policy left out of the prompt (sent once, first)."""


def is_text(delta: Delta) -> bool:
    """It is a piece of text and nothing else."""
    more = delta.reasoning or delta.tool_calls or delta.logprobs or delta.dropped or delta.prompt_tokens
    return bool(delta.text) and not more


class Finished(Struct, frozen=True, tag="finished"):
    """A choice has ended. Usage and timings are of this choice; the prompt is counted with choice 0."""

    reason: FinishReason
    usage: Usage
    timings: Timings
    choice: int = 0
    stop: str = ""
    """The stop string that matched, if one did."""
    seed: int = 0
    done: bool = True
    """True when no further choice of this request is still running."""


class Failed(Struct, frozen=True, tag="failed"):
    """The request has ended with an error; ``code`` is one of ``app.core.errors``."""

    code: str
    message: str
    params: dict[str, str | int | float] = field(default_factory=dict)


class Spilled(Struct, frozen=True, tag="spilled"):
    """Bytes that were written to a request's reader past its sink and did not fit there: they go before all else."""

    data: bytes


GenerateEvent = Delta | Finished | Failed
