"""Rows of the chat file and the objects they mean."""

from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from app.chat.store_types import Attachment, Conversation, StoredMessage
from app.core.events import ErrorInfo
from app.core.generate import SamplingParams, Timings, ToolCall, Usage

CONVERSATION = (
    "id, key, title, auto_title, model, system, folder, pinned, colour, tags, draft, sampling, created_at, updated_at,"
    " deleted_at, policy"
)
MESSAGE = (
    "id, conversation, parent, role, text, reasoning, tool_calls, tool_call_id, name, model, quant, state, reason,"
    " error, usage, timings, seed, sampling, created_at, finished_at, context, summary, thought"
)
ATTACHMENT = "message, id, name, kind, mime, text, bytes"

Kind = TypeVar("Kind")


def to_json(value: object) -> str | None:
    """JSON text, or None for None and for empty collections."""
    if value is None or (isinstance(value, tuple | dict) and not value):
        return None
    return msgspec.json.encode(value).decode()


def from_json(text: str | None, kind: type[Kind]) -> Kind | None:
    """Decode; a value of an older or newer shape is left out rather than hiding the message."""
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError:
        return None


def conversation(row: tuple[Any, ...]) -> Conversation:
    """From a row of ``CONVERSATION``."""
    (number, key, title, auto, model, system, folder, pinned, colour, tags, draft, sampling, *times) = row
    return Conversation(
        id=number,
        key=key,
        title=title,
        auto_title=bool(auto),
        model=model,
        system=system,
        folder=folder,
        pinned=bool(pinned),
        colour=colour,
        tags=from_json(tags, tuple[str, ...]) or (),
        draft=draft,
        sampling=from_json(sampling, SamplingParams),
        created_at=times[0],
        updated_at=times[1],
        deleted_at=times[2],
        policy=times[3] or None,
    )


def message(row: tuple[Any, ...]) -> StoredMessage:
    """From a row of ``MESSAGE``; versions and attachments are filled in by the reader."""
    return StoredMessage(
        id=row[0],
        conversation=row[1],
        parent=row[2],
        role=row[3],
        text=row[4],
        reasoning=row[5],
        tool_calls=from_json(row[6], tuple[ToolCall, ...]) or (),
        tool_call_id=row[7],
        name=row[8],
        model=row[9],
        quant=row[10],
        state=row[11],
        reason=row[12],
        error=from_json(row[13], ErrorInfo),
        usage=from_json(row[14], Usage),
        timings=from_json(row[15], Timings),
        seed=row[16],
        sampling=from_json(row[17], SamplingParams),
        created_at=row[18],
        finished_at=row[19],
        context=row[20],
        summary=row[21],
        thought=row[22],
    )


def attachments(rows: Iterable[tuple[Any, ...]]) -> dict[int, tuple[Attachment, ...]]:
    """From rows of ``ATTACHMENT``, by message."""
    found: dict[int, tuple[Attachment, ...]] = {}
    for owner, *rest in rows:
        found[owner] = (*found.get(owner, ()), Attachment(*rest))
    return found
