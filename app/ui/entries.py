"""What the transcript shows of one message: plain data, made from the store's messages."""

from typing import Literal, cast, get_args

from msgspec import Struct

from app.chat.store_types import ContextMark, StoredMessage
from app.core.events import ErrorInfo
from app.core.generate import FinishReason, Role, SamplingParams, Timings, ToolCall, Usage

Action = Literal[
    "copy",
    "edit",
    "regenerate",
    "continue",
    "delete",
    "previous",
    "next",
    "raw",
    "load_again",
    "fix",
    "fork",
    "more",
]


class Entry(Struct, frozen=True):
    """One message on the active path. ``key`` is its id in the store; ids below 0 are not stored yet."""

    key: int
    role: Role
    text: str = ""
    reasoning: str = ""
    reasoning_seconds: float | None = None
    model: str = ""
    reason: FinishReason | None = None
    interrupted: bool = False
    """The program ended while it was written."""
    usage: Usage | None = None
    timings: Timings | None = None
    seed: int | None = None
    error: ErrorInfo | None = None
    version: int = 1
    versions: int = 1
    files: tuple[str, ...] = ()
    """Names of what was attached."""
    dropped: bool = False
    """A context policy left it out of the last prompt."""
    quant: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_name: str = ""
    """Of a tool's result: what was called."""
    mark: ContextMark = ""
    sampling: SamplingParams | None = None


def from_stored(message: StoredMessage) -> Entry:
    """What the store keeps, as the transcript shows it."""
    reason = message.reason if message.reason in get_args(FinishReason) else None
    return Entry(
        key=message.id,
        role=message.role,
        text=message.text,
        reasoning=message.reasoning,
        model=message.model,
        reason=cast("FinishReason | None", reason),
        interrupted=message.reason == "interrupted",
        usage=message.usage,
        timings=message.timings,
        seed=message.seed,
        error=message.error,
        version=message.version + 1,
        versions=max(1, len(message.versions)),
        files=tuple(attachment.name for attachment in message.attachments),
        reasoning_seconds=message.thought,
        quant=message.quant,
        tool_calls=message.tool_calls,
        tool_name=message.name,
        mark=message.context,
        sampling=message.sampling,
    )
