"""Chats in and out: imports from other programs' exports, exports as Markdown, JSON and HTML.

Our JSON keeps the whole tree and comes back as it was; Markdown and HTML show the active path.
"""

import logging
import secrets
import sqlite3
import time
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from app.chat import store_tree
from app.chat.answer_energy import AnswerEnergy, EnergyBook, of_answers
from app.chat.store import ChatStore
from app.chat.store_rows import to_json
from app.chat.store_types import AttachmentKind, ContextMark, Conversation, StoredMessage
from app.chat.titles import from_question
from app.chat.transfer_formats import ImportedChat, jan, lines_of, recognise
from app.core.errors import ChosenReadOnlyError, SaveDiskFullError, UsageError
from app.core.events import ErrorInfo
from app.core.generate import ContextPolicy, Role, SamplingParams, Timings, ToolCall, Usage

if TYPE_CHECKING:
    from app.planning.usage import Day

log = logging.getLogger(__name__)

FORMAT = "hearth-chats"
VERSION = 1
LARGEST = 1 << 30


class OurAttachment(Struct, frozen=True, omit_defaults=True):
    """An attachment; its bytes are base64 in JSON."""

    name: str
    kind: AttachmentKind
    mime: str
    text: str = ""
    data: bytes = b""


class OurMessage(Struct, frozen=True, omit_defaults=True):
    """A message; ``parent`` is the place of its parent in the list."""

    role: Role
    text: str = ""
    parent: int | None = None
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    name: str = ""
    model: str = ""
    quant: str = ""
    reason: str = ""
    error: ErrorInfo | None = None
    usage: Usage | None = None
    timings: Timings | None = None
    seed: int | None = None
    sampling: SamplingParams | None = None
    created_at: float | None = None
    finished_at: float | None = None
    thought: float | None = None
    context: ContextMark = ""
    summary: str = ""
    energy: AnswerEnergy | None = None
    """For the reader of the file; an import does not take it over."""
    attachments: tuple[OurAttachment, ...] = ()


class OurEnergy(Struct, frozen=True):
    """What the answers of a chat used, for the reader of the file; an import does not take it over."""

    joules: float
    measured: int
    """Requests whose energy is known, of ``requests``."""
    requests: int


class OurChat(Struct, frozen=True, omit_defaults=True):
    """A conversation with its tree; ``shown`` is the place of the last message of the active path."""

    messages: tuple[OurMessage, ...]
    title: str = ""
    model: str = ""
    system: str = ""
    folder: str = ""
    colour: str = ""
    pinned: bool = False
    tags: tuple[str, ...] = ()
    sampling: SamplingParams | None = None
    policy: ContextPolicy | None = None
    energy: OurEnergy | None = None
    created_at: float | None = None
    updated_at: float | None = None
    shown: int | None = None


class OurFile(Struct, frozen=True):
    """The whole export."""

    format: str
    version: int
    chats: tuple[OurChat, ...]


# ---------------------------------------------------------------------------------------------- export


def to_chats(store: ChatStore, conversations: Sequence[int], energy: EnergyBook | None = None) -> OurFile:
    """Conversations as data, with the energy of each and of its answers where it was measured."""
    return OurFile(FORMAT, VERSION, tuple(_chat(store, number, energy) for number in conversations))


def to_json_text(store: ChatStore, conversations: Sequence[int], energy: EnergyBook | None = None) -> str:
    """Our JSON, indented."""
    return msgspec.json.format(msgspec.json.encode(to_chats(store, conversations, energy))).decode()


def _chat(store: ChatStore, number: int, energy: EnergyBook | None) -> OurChat:
    found, tree = store.conversation(number), store.tree(number)
    used = of_answers(tree, energy.answers(found.key)) if energy is not None else {}
    places = {message.id: place for place, message in enumerate(tree)}
    leaf = store.leaf(number)
    same = {name: getattr(found, name) for name in OurChat.__struct_fields__ if name not in _OWN}
    return OurChat(
        **same,
        messages=tuple(_message(store, message, places, used.get(message.id)) for message in tree),
        energy=_energy(energy.chat(found.key)) if energy is not None else None,
        shown=places.get(leaf) if leaf is not None else None,
    )


def _energy(sums: "Day") -> OurEnergy | None:
    if sums.joules is None or not sums.measured:
        return None
    return OurEnergy(sums.joules, sums.measured, sums.requests)


def _message(
    store: ChatStore, message: StoredMessage, places: dict[int, int], energy: AnswerEnergy | None
) -> OurMessage:
    same = {name: getattr(message, name) for name in OurMessage.__struct_fields__ if name not in _OWN}
    files = tuple(
        OurAttachment(a.name, a.kind, a.mime, a.text, store.attachment_data(a.id))
        for a in message.attachments
    )
    parent = places[message.parent] if message.parent is not None else None
    return OurMessage(**same, parent=parent, energy=energy, attachments=files)


_OWN = frozenset({"parent", "attachments", "messages", "energy", "shown"})
"""Fields that are made, not copied."""


def write(path: Path, content: str | bytes) -> None:
    """Write an export whole or not at all. Raises ChosenReadOnlyError or SaveDiskFullError."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    data = content.encode() if isinstance(content, str) else content
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if error.errno == 28:
            raise SaveDiskFullError(path=str(path), missing=f"{len(data) >> 10} kB") from error
        raise ChosenReadOnlyError(path=str(path.parent)) from error


# ---------------------------------------------------------------------------------------------- import


def read(path: Path) -> list[OurChat]:
    """The chats in a file (JSON, JSON lines, a ChatGPT zip) or a folder (LM Studio's, Jan's). Raises UsageError when
    nothing in it is a chat."""
    found = _read_folder(path) if path.is_dir() else _read_file(path)
    if not found:
        raise UsageError(detail=f"No chats were found in {path}.")
    return found


def _read_folder(folder: Path) -> list[OurChat]:
    found: list[OurChat] = []
    for path in sorted(folder.rglob("*.json")):
        try:
            found += _read_beside(path)
        except UsageError as error:
            log.info("%s", error)
    return found


def _read_beside(path: Path) -> list[OurChat]:
    """One file of a folder; Jan's messages lie beside their thread."""
    if path.name == "thread.json":
        return _read_file(path.with_name("messages.jsonl"))
    return _chats_in(_decode(path))


def _read_file(path: Path) -> list[OurChat]:
    if zipfile.is_zipfile(path):
        return _read_zip(path)
    if path.suffix == ".jsonl":
        thread = path.with_name("thread.json")
        about = _decode(thread) if thread.exists() else {}
        return list(map(_ours, jan(about if isinstance(about, dict) else {}, _lines(path))))
    return _chats_in(_decode(path))


def _read_zip(path: Path) -> list[OurChat]:
    found: list[OurChat] = []
    try:
        with zipfile.ZipFile(path) as archive:
            for item in archive.infolist():
                name = item.filename.rsplit("/", 1)[-1]
                if name.startswith("conversations") and name.endswith(".json") and item.file_size <= LARGEST:
                    found += _chats_in(_parse(archive.read(item), path))
    except (OSError, zipfile.BadZipFile, RuntimeError) as error:
        raise UsageError(detail=f"{path} can't be read: {error}.") from error
    return found


def _decode(path: Path) -> object:
    try:
        if path.stat().st_size > LARGEST:
            raise UsageError(detail=f"{path} is too large to be a chat export.")
        return _parse(path.read_bytes(), path)
    except OSError as error:
        raise UsageError(detail=f"{path} can't be read: {error.strerror}.") from error


def _parse(raw: bytes, path: Path) -> object:
    try:
        return msgspec.json.decode(raw.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise UsageError(detail=f"{path} is not JSON: {error}.") from error


def _lines(path: Path) -> list[dict[str, Any]]:
    try:
        raw = path.read_bytes().splitlines()
    except OSError as error:
        raise UsageError(detail=f"{path} can't be read: {error.strerror}.") from error
    return lines_of(_parse(line, path) for line in raw if line.strip())


def _chats_in(data: object) -> list[OurChat]:
    if isinstance(data, dict) and data.get("format") == FORMAT:
        if data.get("version", 0) > VERSION:
            raise UsageError(detail="This export was written by a newer Hearth.")
        try:
            return list(msgspec.convert(data, OurFile).chats)
        except msgspec.ValidationError as error:
            raise UsageError(detail=f"This export is damaged: {error}.") from error
    return [_ours(chat) for chat in recognise(data)]


def _ours(chat: ImportedChat) -> OurChat:
    places = {message.key: place for place, message in enumerate(chat.messages)}
    messages = tuple(
        OurMessage(
            role=m.role,
            text=m.text,
            parent=places.get(m.parent) if m.parent is not None else None,
            reasoning=m.reasoning,
            model=m.model,
            created_at=m.created_at,
            thought=m.thought,
        )
        for m in chat.messages
    )
    return OurChat(
        messages=messages,
        title=chat.title,
        model=chat.model,
        system=chat.system,
        created_at=chat.created_at,
        updated_at=chat.updated_at,
        shown=places.get(chat.shown) if chat.shown is not None else None,
        pinned=chat.pinned,
        tags=chat.tags,
    )


def add(store: ChatStore, chats: Iterable[OurChat], folder: str | None = None) -> list[Conversation]:
    """Put chats into the store, all or none, and return them. Raises UsageError, or what a write raises."""
    wanted = list(chats)
    try:
        numbers = store.transaction(lambda connection: [_add(connection, chat, folder) for chat in wanted])
    except OverflowError as error:
        raise UsageError(detail="A number in these chats is too large.") from error
    store.announce()
    return [store.conversation(number) for number in numbers]


def _add(connection: sqlite3.Connection, chat: OurChat, folder: str | None) -> int:
    now = time.time()
    created = chat.created_at or now
    asked = next((message.text for message in chat.messages if message.role == "user"), "")
    columns = {
        "key": secrets.token_hex(8), "title": chat.title or from_question(asked),
        "auto_title": int(not chat.title), "model": chat.model,
        "system": chat.system, "folder": chat.folder if folder is None else folder, "pinned": int(chat.pinned),
        "colour": chat.colour, "tags": to_json(chat.tags) or "[]", "sampling": to_json(chat.sampling),
        "policy": chat.policy or "",
        "created_at": created, "updated_at": chat.updated_at or _last_time(chat) or created,
    }  # fmt: skip
    conversation = _insert(connection, "conversation", columns)
    ids: list[int] = []
    for place, message in enumerate(chat.messages):
        parent = ids[message.parent] if message.parent is not None and 0 <= message.parent < place else None
        ids.append(_add_message(connection, conversation, parent, message, created))
        store_tree.point(connection, conversation, parent, ids[-1])
    if chat.shown is not None and 0 <= chat.shown < len(ids):
        store_tree.show(connection, ids[chat.shown])
    return conversation


def _last_time(chat: OurChat) -> float | None:
    return max((message.created_at for message in chat.messages if message.created_at), default=None)


def _add_message(
    connection: sqlite3.Connection, conversation: int, parent: int | None, message: OurMessage, created: float
) -> int:
    plain = (
        "role",
        "text",
        "reasoning",
        "tool_call_id",
        "name",
        "model",
        "quant",
        "reason",
        "seed",
        "finished_at",
        "thought",
        "context",
        "summary",
    )
    encoded = ("tool_calls", "error", "usage", "timings", "sampling")
    columns: dict[str, object] = {name: getattr(message, name) for name in plain}
    columns |= {name: to_json(getattr(message, name)) for name in encoded}
    columns |= {"conversation": conversation, "parent": parent, "created_at": message.created_at or created}
    number = _insert(connection, "message", columns)
    for file in message.attachments:
        size = len(file.data) or len(file.text.encode())
        kept = {"message": number, "kind": file.kind, "name": file.name, "mime": file.mime, "text": file.text}
        _insert(connection, "attachment", {**kept, "bytes": size, "data": file.data})
    return number


def _insert(connection: sqlite3.Connection, table: str, columns: dict[str, Any]) -> int:
    marks = ", ".join("?" * len(columns))
    sql = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"
    return int(connection.execute(sql, tuple(columns.values())).lastrowid or 0)
