"""What the transcript shows of one message: plain data, made from the store's messages."""

from typing import Literal

from msgspec import Struct

from app.core.events import ErrorInfo
from app.core.generate import FinishReason, Role, Timings, Usage

Action = Literal[
    "copy", "edit", "regenerate", "continue", "delete", "previous", "next", "raw", "load_again", "fix", "fork"
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
    usage: Usage | None = None
    timings: Timings | None = None
    seed: int | None = None
    error: ErrorInfo | None = None
    version: int = 1
    versions: int = 1
    dropped: bool = False
    """A context policy left it out of the last prompt."""
