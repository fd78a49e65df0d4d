"""What the chat store hands out: conversations, messages of their trees, attachments, search hits."""

from typing import Literal

from msgspec import Struct

from app.core.events import ErrorInfo
from app.core.generate import (
    ContextPolicy,
    ImagePart,
    Message,
    Part,
    Role,
    SamplingParams,
    TextPart,
    Timings,
    ToolCall,
    Usage,
)

MessageState = Literal["done", "writing"]
AttachmentKind = Literal["text", "image", "file"]
ContextMark = Literal["", "pinned", "dropped", "summary"]
"""What a person decided about a message in the model's window: never left out, always left out, by its summary."""


class Conversation(Struct, frozen=True):
    """One chat, without its messages. Times are seconds since the epoch."""

    id: int
    key: str
    """Random and lasting: names the KV state of this chat."""
    title: str = ""
    auto_title: bool = True
    """The title was made by the program and may be replaced by a better one."""
    model: str = ""
    system: str = ""
    folder: str = ""
    pinned: bool = False
    colour: str = ""
    tags: tuple[str, ...] = ()
    draft: str = ""
    sampling: SamplingParams | None = None
    created_at: float = 0.0
    updated_at: float = 0.0
    deleted_at: float | None = None
    policy: ContextPolicy | None = None
    """Its own context policy; None: the setting's."""


class NewAttachment(Struct, frozen=True):
    """Something to keep with a message. ``text`` goes into the prompt; ``data`` are the original bytes."""

    name: str
    kind: AttachmentKind = "text"
    mime: str = "text/plain"
    text: str = ""
    data: bytes = b""


class Draft(Struct, frozen=True):
    """What is typed and attached but not sent."""

    text: str = ""
    files: tuple[NewAttachment, ...] = ()
    system: str | None = None
    """The system prompt chosen for a chat in which nothing was asked yet; None: none was chosen."""
    policy: ContextPolicy | None = None
    """Its context policy, likewise."""

    def __bool__(self) -> bool:
        return self != Draft()


class Attachment(Struct, frozen=True):
    """A kept attachment; its bytes are asked for with ``ChatStore.attachment_data``."""

    id: int
    name: str
    kind: AttachmentKind
    mime: str
    text: str
    bytes: int


class StoredMessage(Struct, frozen=True):
    """One node of a conversation's tree."""

    id: int
    conversation: int
    parent: int | None
    role: Role
    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    name: str = ""
    model: str = ""
    quant: str = ""
    state: MessageState = "done"
    reason: str = ""
    """A FinishReason, or ``failed``, ``interrupted`` (the program ended while it was written), or empty."""
    error: ErrorInfo | None = None
    usage: Usage | None = None
    timings: Timings | None = None
    seed: int | None = None
    sampling: SamplingParams | None = None
    created_at: float = 0.0
    finished_at: float | None = None
    versions: tuple[int, ...] = ()
    """Ids of this message and its alternatives (same parent), oldest first."""
    attachments: tuple[Attachment, ...] = ()
    context: ContextMark = ""
    summary: str = ""
    """What stands for the text in the model's window while ``context`` is ``summary``."""
    thought: float | None = None
    """Seconds from the first thought to the first word of the answer."""

    @property
    def version(self) -> int:
        """Place among the alternatives, from 0."""
        return self.versions.index(self.id) if self.id in self.versions else 0

    def as_message(self, images: tuple[ImagePart, ...] = ()) -> Message:
        """As the model sees it: texts of attachments before the text, then images. Reasoning is left out unless it
        belongs to a tool call. A summary stands for all of it."""
        if self.context == "summary" and self.summary:
            return Message(self.role, self.summary, name=self.name)
        files = [f"[{a.name}]\n{a.text}" for a in self.attachments if a.text]
        text = "\n\n".join([*files, self.text]) if files else self.text
        content: str | tuple[Part, ...] = (*images, TextPart(text)) if images else text
        return Message(
            role=self.role,
            content=content,
            reasoning=self.reasoning if self.tool_calls else "",
            tool_calls=self.tool_calls,
            tool_call_id=self.tool_call_id,
            name=self.name,
        )


class Hit(Struct, frozen=True):
    """A message (or, with ``message`` None, a title) that was found. ``marks`` are (start, end) in ``snippet``."""

    conversation: int
    title: str
    message: int | None
    role: str
    snippet: str
    marks: tuple[tuple[int, int], ...]
    created_at: float
    model: str = ""
