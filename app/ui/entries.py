"""What the transcript shows of one message: plain data, made from the store's messages."""

from collections.abc import Sequence
from typing import Literal, cast, get_args

from msgspec import Struct

from app.chat.store_types import ContextMark, NewAttachment, StoredMessage
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


class Shown(Struct, frozen=True):
    """A picture of a question: ``id`` of the kept attachment, or its bytes where it is not kept yet."""

    name: str
    id: int = 0
    data: bytes = b""


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
    writing: bool = False
    """It is being written, but not for this window."""
    usage: Usage | None = None
    timings: Timings | None = None
    seed: int | None = None
    error: ErrorInfo | None = None
    version: int = 1
    versions: int = 1
    files: tuple[str, ...] = ()
    """Names of what was attached, pictures left out."""
    pictures: tuple[Shown, ...] = ()
    dropped: bool = False
    """A context policy left it out of the last prompt."""
    quant: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_name: str = ""
    """Of a tool's result: what was called."""
    mark: ContextMark = ""
    sampling: SamplingParams | None = None


def attached(files: Sequence[NewAttachment]) -> tuple[tuple[str, ...], tuple[Shown, ...]]:
    """(names of files, pictures) of a question that is not kept yet."""
    names = tuple(file.name for file in files if file.kind != "image")
    return names, tuple(Shown(file.name, data=file.data) for file in files if file.kind == "image")


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
        writing=message.state == "writing",
        usage=message.usage,
        timings=message.timings,
        seed=message.seed,
        error=message.error,
        version=message.version + 1,
        versions=max(1, len(message.versions)),
        files=tuple(file.name for file in message.attachments if file.kind != "image"),
        pictures=tuple(Shown(file.name, file.id) for file in message.attachments if file.kind == "image"),
        reasoning_seconds=message.thought,
        quant=message.quant,
        tool_calls=message.tool_calls,
        tool_name=message.name,
        mark=message.context,
        sampling=message.sampling,
    )
