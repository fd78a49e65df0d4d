"""What the runtime thread and a worker process say to each other: two tagged unions, one msgpack frame per message.

Commands go to the worker in order; a Cancel also takes effect before its turn (the intake thread sets a flag that the
engine reads at each step). Requests and calls are named by small numbers that the supervisor gives out. Reports of one
engine step travel in one frame. ``tests/runtime/test_protocol.py`` keeps a snapshot of this schema.
"""

import msgspec
from msgspec import Struct, field

from app.core.errors import HearthError, Param
from app.core.events import ErrorInfo, MemoryUse
from app.core.generate import GenerateEvent, GenerateRequest, Message, Spilled, ToolSpec
from app.core.types import LoadPlan

# ---------------------------------------------------------------------------------------- commands


class Load(Struct, frozen=True, tag="load", omit_defaults=True):
    """Load this model; the first command, sent once. ``cache`` is a folder for what may be kept between runs,
    ``cores`` how many threads to compute with at most where the plan does not fix them (0: all physical cores)."""

    model: str
    plan: LoadPlan
    cache: str = ""
    cores: int = 0


class Submit(Struct, frozen=True, tag="submit", omit_defaults=True):
    """Answer ``request``; its events carry ``key``. ``asks``: a Speak follows the first text."""

    key: int
    request: GenerateRequest
    asks: bool = False


class Speak(Struct, frozen=True, tag="speak"):
    """The socket of the reader of ``key``, who has got all of its first ``seen`` events, travels with this
    (SCM_RIGHTS). Text may be written to it until another event is sent: HTTP chunks of ``head``, the text's JSON, and
    ``tail``."""

    key: int
    seen: int
    head: bytes
    tail: bytes


class Cancel(Struct, frozen=True, tag="cancel"):
    """End the request ``key`` with the reason "cancelled". Unknown keys are ignored."""

    key: int


class Render(Struct, frozen=True, tag="render", omit_defaults=True):
    """Apply the chat template and tokenize; answered by Rendered."""

    key: int
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()


class Tokenize(Struct, frozen=True, tag="tokenize", omit_defaults=True):
    """Answered by Tokens. ``special``: special tokens' texts count as those tokens, and BOS is added."""

    key: int
    text: str
    special: bool = False


class Measure(Struct, frozen=True, tag="measure"):
    """How many tokens an image of this size (pixels) takes; answered by Measured."""

    key: int
    width: int
    height: int


class Detokenize(Struct, frozen=True, tag="detokenize"):
    """Answered by Text."""

    key: int
    tokens: tuple[int, ...]


class Embed(Struct, frozen=True, tag="embed", omit_defaults=True):
    """One vector for each input; answered by Vectors. With a ``query`` the model is a reranker: one score for each
    input. ``normalize``: to length 1."""

    key: int
    inputs: tuple[str | tuple[int, ...], ...]
    query: str | None = None
    normalize: bool = True


class Forget(Struct, frozen=True, tag="forget"):
    """These conversations were deleted for good: their states are not kept."""

    conversations: tuple[str, ...]


class Rest(Struct, frozen=True, tag="rest"):
    """Give the KV cache and the compute buffers back until the next request; answered by CacheState, refused while
    anything is asked."""

    key: int


class Unload(Struct, frozen=True, tag="unload"):
    """End every request, free the model and exit."""


Command = (
    Load | Submit | Speak | Cancel | Render | Tokenize | Measure | Detokenize | Embed | Forget | Rest | Unload
)

# ----------------------------------------------------------------------------------------- reports


class Progress(Struct, frozen=True, tag="progress", omit_defaults=True):
    """Loading goes on. ``stage`` "first_decode" is said just before the model computes for the first time."""

    fraction: float
    stage: str = "weights"


class Ready(Struct, frozen=True, tag="ready", omit_defaults=True):
    """Loaded; ``n_ctx`` is what one conversation can hold, ``n_cells`` what all of them can together."""

    n_ctx: int
    n_cells: int
    device: str
    memory: tuple[MemoryUse, ...]
    seconds: float
    n_threads: int = 0
    n_threads_batch: int = 0
    sees: bool = False
    """Its projector is loaded: images can be asked about."""
    blind: str = ""
    """Why the plan's projector can't be used."""


class Event(Struct, frozen=True, array_like=True):
    """Something happened to the request ``key``."""

    key: int
    event: GenerateEvent | Spilled


class Events(Struct, frozen=True, tag="events", omit_defaults=True):
    """All that one step made happen, in order; ``values`` are Stats that go along."""

    items: list[Event]
    values: dict[str, float] = {}


class Stats(Struct, frozen=True, tag="stats"):
    """Readings of the engine, at most ten a second."""

    values: dict[str, float]


class Rendered(Struct, frozen=True, tag="rendered"):
    """The prompt exactly as the model reads it."""

    key: int
    prompt: str
    tokens: tuple[int, ...]


class Tokens(Struct, frozen=True, tag="tokens"):
    """The answer to Tokenize."""

    key: int
    tokens: tuple[int, ...]


class Measured(Struct, frozen=True, tag="measured"):
    """The answer to Measure."""

    key: int
    tokens: int


class Text(Struct, frozen=True, tag="text"):
    """The answer to Detokenize."""

    key: int
    text: str


class Vectors(Struct, frozen=True, tag="vectors"):
    """The answer to Embed: rows of ``width`` little-endian float32, one after another; ``tokens`` were read."""

    key: int
    width: int
    data: bytes
    tokens: int


class CacheState(Struct, frozen=True, tag="cache"):
    """The answer to Rest; with the key 0: the context was made again."""

    key: int
    here: bool


class Refused(Struct, frozen=True, tag="refused"):
    """A Render, Tokenize, Measure, Detokenize, Embed or Rest that failed."""

    key: int
    error: ErrorInfo


class Fatal(Struct, frozen=True, tag="fatal"):
    """The model can't be loaded or the engine can't go on; the worker exits after this."""

    error: ErrorInfo


Answer = Rendered | Tokens | Measured | Text | Vectors | CacheState
Report = Progress | Ready | Events | Stats | Answer | Refused | Fatal


class Embeddings(Struct, frozen=True):
    """What ``Supervisor.embed`` returns: one vector for each input, or one score each from a reranker."""

    vectors: list[list[float]] = field(default_factory=list)
    tokens: int = 0


_encoder = msgspec.msgpack.Encoder()
_commands = msgspec.msgpack.Decoder(Command)
_reports = msgspec.msgpack.Decoder(Report)


def encode(message: Command | Report) -> bytes:
    """One frame."""
    return _encoder.encode(message)


def decode_command(frame: bytes) -> Command:
    """Raises msgspec.DecodeError for anything else than one command."""
    try:
        return _commands.decode(frame)  # type: ignore[no-any-return]
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(str(error)) from error


def decode_report(frame: bytes) -> Report:
    """Raises msgspec.DecodeError for anything else than one report."""
    try:
        return _reports.decode(frame)  # type: ignore[no-any-return]
    except UnicodeDecodeError as error:  # msgspec lets this one through
        raise msgspec.DecodeError(str(error)) from error


def error_info(error: BaseException, details: str = "") -> ErrorInfo:
    """An exception as data: its own code and parameters, or ``internal``."""
    if isinstance(error, HearthError):
        return ErrorInfo(error.code, error.message, _plain(error.params), details)
    text = f"{type(error).__name__}: {error}"
    return ErrorInfo(
        "internal", f"Something went wrong inside the engine: {text}.", {"detail": text}, details
    )


def _plain(params: dict[str, Param]) -> dict[str, Param]:
    return {name: value if isinstance(value, int | float) else str(value) for name, value in params.items()}
