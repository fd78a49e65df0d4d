"""KV states of conversations on disk: a chat that is opened again after a restart goes on without a prefill.

One file for each conversation and model, written when its state leaves the memory, and when nothing was asked for a
while (a worker that is killed then takes little with it). A file is used only when its key
(the model's bytes, the plan's fields that shape the cache, llama.cpp's version) and its digest fit; otherwise it is
deleted. All files together stay below a cap, the least recently used go first.

File: ``MAGIC``, length of the header (uint32), header (msgpack ``Header``), tokens (int32), state (llama.cpp's own
form, ``llama_state_seq_get_data``).
"""

import hashlib
import logging
import os
import shutil
import struct
import tempfile
import threading
from collections.abc import Collection
from pathlib import Path
from queue import SimpleQueue

import msgspec
from msgspec import Struct

from app.core.types import LoadPlan
from app.runtime.media import pack, unpack
from app.runtime.shelf import State

log = logging.getLogger(__name__)

MAGIC = b"HKV1"
LEAST_TOKENS = 256
"""Shorter conversations are prefilled sooner than written."""
STATES = "kv"
"""The folder, in the cache folder."""
CAP = 4 << 30
DISK_SHARE = 10
"""At most a tenth of what is free on the disk."""
LONGEST_HEADER = 1 << 16
"""Bytes: room for the hashes of a thousand images."""
SHAPING = ("type_k", "type_v", "rope_scaling", "rope_freq_base", "rope_freq_scale", "yarn_ext_factor",
           "yarn_attn_factor", "yarn_beta_fast", "yarn_beta_slow", "yarn_orig_ctx", "adapters", "swa_full",
           "flash_attn", "kv_unified")  # fmt: skip
"""Fields of a plan that change what is in the cache."""


class Header(Struct, frozen=True):
    """``digest`` is BLAKE2b over tokens, the hashes of images, and state."""

    key: str
    conversation: str
    tokens: int
    state: int
    digest: bytes
    images: tuple[bytes, ...]


class Stored(Struct, frozen=True):
    """What a file held: the tokens, and the state of a sequence that computed them."""

    tokens: list[int]
    state: State


class KvStore:
    """The files of one loaded model. ``find`` on the intake thread, ``put`` on the engine thread; a thread of its own
    writes. Errors of the disk are never the user's problem: they are logged and the state is not kept."""

    def __init__(self, folder: Path, key: str, cap: int = CAP) -> None:
        self._folder, self._key, self._cap = folder, key, cap
        self._queue: SimpleQueue[tuple[str, list[int], State] | str | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._known: dict[str, list[int]] = {}
        """Conversation -> the tokens whose state was read or written last."""
        self._waiting: dict[str, Stored] = {}
        """Conversation -> its state on the way to the disk."""

    def path(self, conversation: str) -> Path:
        """Where this conversation's state is, if anywhere."""
        name = hashlib.sha256(f"{self._key}\0{conversation}".encode()).hexdigest()[:32]
        return self._folder / f"{name}.kv"

    # ------------------------------------------------------------------------------ reading

    def find(self, conversation: str) -> Stored | None:
        """The conversation's state, checked; a file that does not fit or is damaged is deleted."""
        if (waiting := self._waiting.get(conversation)) is not None:
            return waiting
        path = self.path(conversation)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        try:
            found = parse(data, self._key, conversation)
        except ValueError as error:
            log.info("the stored state of a conversation is dropped: %s", error)
            _remove(path)
            return None
        _touch(path)
        self._known[conversation] = found.tokens
        return found

    # ------------------------------------------------------------------------------ writing

    def wants(self, conversation: str, tokens: list[int]) -> bool:
        """The conversation has a name, is long enough, and what is on disk of it is something else."""
        return bool(conversation) and len(tokens) >= LEAST_TOKENS and self._known.get(conversation) != tokens

    def put(self, conversation: str, tokens: list[int], state: State) -> None:
        """Keep a state; returns at once."""
        self._known[conversation] = tokens
        self._waiting[conversation] = Stored(tokens, state)
        self._later((conversation, tokens, state))

    def forget(self, conversation: str) -> None:
        """Delete a conversation's state, after what waits to be written; returns at once."""
        self._known.pop(conversation, None)
        self._waiting.pop(conversation, None)
        self._later(conversation)

    def _later(self, item: tuple[str, list[int], State] | str) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._write_all, name="kvstore", daemon=True)
            self._thread.start()
        self._queue.put(item)

    def close(self) -> None:
        """Write what waits, then end the thread. Idempotent."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def _write_all(self) -> None:
        while (item := self._queue.get()) is not None:
            try:
                if isinstance(item, str):
                    _remove(self.path(item))
                else:
                    self._write(*item)
            except OSError as error:
                log.info("the state of a conversation is not kept: %s", error)
            self._written(item)

    def _written(self, item: tuple[str, list[int], State] | str) -> None:
        if not isinstance(item, str):
            found = self._waiting.get(item[0])
            if found is not None and found.state is item[2]:
                self._waiting.pop(item[0], None)

    def _write(self, conversation: str, tokens: list[int], state: State) -> None:
        data = build(self._key, conversation, tokens, state)
        self._folder.mkdir(parents=True, exist_ok=True)
        room = min(self._cap, shutil.disk_usage(self._folder).free // DISK_SHARE)
        if len(data) > room:
            log.info("the state of a conversation is too large to keep: %d bytes", len(data))
            return
        make_room(self._folder, room - len(data), keep=self.path(conversation))
        handle, temporary = tempfile.mkstemp(dir=self._folder, prefix=".state-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            Path(temporary).replace(self.path(conversation))
        except OSError:
            _remove(Path(temporary))
            raise


def build(key: str, conversation: str, tokens: list[int], state: State) -> bytes:
    """A file's content."""
    numbers, images = pack(tokens)
    digest = _digest(numbers + b"".join(images), state)
    header = msgspec.msgpack.encode(Header(key, conversation, len(tokens), len(state), digest, images))
    return b"".join((MAGIC, struct.pack("<I", len(header)), header, numbers, state))


def parse(data: bytes, key: str, conversation: str) -> Stored:
    """The content of a file. Raises ValueError for anything that is not exactly what ``build`` made for this key."""
    if data[:4] != MAGIC or len(data) < 8:
        raise ValueError("it is no state file")
    (length,) = struct.unpack_from("<I", data, 4)
    if length > LONGEST_HEADER:
        raise ValueError("its header is too long")
    try:
        header = msgspec.msgpack.decode(data[8 : 8 + length], type=Header)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError("its header is damaged") from error
    if header.key != key or header.conversation != conversation:
        raise ValueError("it was made with another model or plan")
    start = 8 + length
    middle = start + 4 * header.tokens
    if header.tokens < 1 or header.state < 1 or middle + header.state != len(data):
        raise ValueError("it is cut short")
    numbers, state = data[start:middle], data[middle:]
    if _digest(numbers + b"".join(header.images), state) != header.digest:
        raise ValueError("its digest is wrong")
    return Stored(unpack(numbers, header.images), state)


def _digest(numbers: bytes, state: State) -> bytes:
    digest = hashlib.blake2b(numbers, digest_size=32)
    digest.update(state)
    return digest.digest()


def make_room(folder: Path, room: int, *, keep: Path) -> None:
    """Delete the least recently used files until all but ``keep`` fit into ``room`` bytes; leftovers of a writer that
    died go too."""
    for leftover in folder.glob(".state-*"):
        _remove(leftover)
    files = sorted(
        (path for path in folder.glob("*.kv") if path != keep), key=lambda path: path.stat().st_mtime
    )
    used = sum(path.stat().st_size for path in files)
    for path in files:
        if used <= room:
            return
        used -= path.stat().st_size
        _remove(path)


def drop_conversations(folder: Path, names: Collection[str]) -> int:
    """Delete every state of these conversations, whatever the model (the chats were deleted for good); returns how
    many."""
    found = [path for path in folder.glob("*.kv") if _conversation_of(path) in names]
    for path in found:
        _remove(path)
    return len(found)


def _conversation_of(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            start = file.read(8 + LONGEST_HEADER)
        (length,) = struct.unpack_from("<I", start, 4)
        return msgspec.msgpack.decode(start[8 : 8 + length], type=Header).conversation
    except (OSError, struct.error, msgspec.DecodeError, UnicodeDecodeError):
        return None


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.info("%s can't be deleted: %s", path.name, error)


def _touch(path: Path) -> None:
    try:
        os.utime(path)
    except OSError as error:
        log.debug("%s keeps its time: %s", path.name, error)


def key_of(plan: LoadPlan, version: str) -> str:
    """The key under which states of this model, plan and llama.cpp are valid. Raises OSError."""
    fields = {name: getattr(plan, name) for name in SHAPING}
    parts = [version.encode(), msgspec.json.encode(fields), fingerprint(Path(plan.model_path)).encode()]
    parts += [fingerprint(Path(adapter.path)).encode() for adapter in plan.adapters]
    parts += [fingerprint(Path(plan.projector)).encode()] if plan.projector else []
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


SAMPLES, SAMPLE = 64, 4096


def fingerprint(path: Path) -> str:
    """Tells model files apart in milliseconds: size, first and last MiB, and blocks all over it. (A header with a long
    vocabulary fills the first MiB, and two quants of one size may only differ behind it.)"""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        size = file.seek(0, 2)
        digest.update(str(size).encode())
        for start in (0, max(0, size - (1 << 20))):
            file.seek(start)
            digest.update(file.read(1 << 20))
        for at in range(1, SAMPLES):
            file.seek(size * at // SAMPLES)
            digest.update(file.read(SAMPLE))
    return digest.hexdigest()
