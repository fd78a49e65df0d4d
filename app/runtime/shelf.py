"""States of idle sequences in main memory, so that they take no cells of the KV cache and come back without a prefill.

The least recently used go first when a cap is reached or memory is short. What has a conversation's name goes on to
the disk then. The engine thread alone uses it, but for ``names``.
"""

import time
from collections.abc import Callable, Iterator
from typing import Protocol

from msgspec import Struct

from app.runtime.jobs import Job, Saved
from app.runtime.ledger import common_prefix

State = bytes | memoryview
"""A sequence's state in llama.cpp's own form."""
LEAST_TOKENS = 32
"""Shorter ones are computed sooner than they are copied."""

LIGHT = 32 << 20
"""Bytes of a state that are copied in an eyeblink (6 to 25 ms for 8 MB, as much as of a prompt for 3 to 12 tokens)."""


class Entry(Struct, eq=False):
    """One sequence's state."""

    tokens: list[int]
    name: str
    state: State


class Disk(Protocol):
    """Where named states go at last (``kvstore.KvStore``)."""

    def wants(self, conversation: str, tokens: list[int]) -> bool:
        """This state should be put."""

    def put(self, conversation: str, tokens: list[int], state: State) -> None:
        """Keep it."""


class Sequences(Protocol):
    """Reads and writes states of sequences (``llama_context.Context``)."""

    def state_size(self, seq: int) -> int:
        """Bytes that ``save_state`` would take."""

    def save_state(self, seq: int) -> State:
        """The state of a sequence."""

    def load_state(self, seq: int, state: State, tokens: list[int]) -> bool:
        """Put the state of these tokens into an empty sequence; False leaves it empty."""


class Pace:
    """How long copies take: the latest weigh most."""

    def __init__(self) -> None:
        self._bytes = self._seconds = 0.0

    def add(self, size: int, seconds: float) -> None:
        """One copy."""
        self._bytes, self._seconds = self._bytes / 2 + size, self._seconds / 2 + seconds

    @property
    def seconds(self) -> float | None:
        """For a byte; None before the first."""
        return self._seconds / self._bytes if self._bytes else None


class StateShelf:
    """At most ``cap`` bytes, and at most half of what ``free`` says is left (None: not known)."""

    def __init__(
        self,
        sequences: Sequences,
        cap: int,
        disk: Disk | None = None,
        free: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._sequences, self._cap, self._disk, self._free = sequences, cap, disk, free
        self._entries: list[Entry] = []
        self.used = 0
        """Bytes."""
        self._out, self._back = Pace(), Pace()

    @property
    def pace(self) -> float | None:
        """Seconds in which a byte comes out of the cache and back; None before the first copy."""
        out, back = self._out.seconds, self._back.seconds
        return None if out is None else out + (out if back is None else back)

    def __len__(self) -> int:
        return len(self._entries)

    # ------------------------------------------------------------------------------ for the scheduler

    def keep(self, seq: int, tokens: list[int], name: str, *, last: bool) -> bool:
        """See ``jobs.Shelf``."""
        if len(tokens) < LEAST_TOKENS or self._has(tokens, name):
            return True
        size, room = self._sequences.state_size(seq), self._room()
        if not 0 < size <= room:
            if last and self._disk is not None and self._disk.wants(name, tokens):
                self._disk.put(name, list(tokens), self._save(seq))
            return False
        self._put(Entry(list(tokens), name, self._save(seq)))
        while self.used > room:
            self._drop(self._entries[0])
        return True

    def copy(self, seq: int, tokens: list[int], name: str) -> bool:
        """See ``jobs.Shelf``."""
        here = any(common_prefix(entry.tokens, tokens, len(tokens)) == len(tokens) for entry in self._entries)
        if here or len(tokens) < LEAST_TOKENS or self._sequences.state_size(seq) > LIGHT:
            return False
        return self.keep(seq, tokens, name, last=False)

    def found(self, job: Job) -> Iterator[Saved]:
        """See ``jobs.Shelf``."""
        if job.stored is not None:
            yield job.stored
        yield from self.entries()

    def load(self, saved: Saved, seq: int, used: int) -> bool:
        """See ``jobs.Shelf``. A state that is mostly used moves; of another a copy stays."""
        state: State = saved.state  # type: ignore[attr-defined]
        began = time.perf_counter()
        if good := self._sequences.load_state(seq, state, saved.tokens):
            self._back.add(len(state), time.perf_counter() - began)
        if isinstance(saved, Entry) and saved in self._entries:
            if not good or 2 * used >= len(saved.tokens):
                self._remove(saved)
            else:
                self._touch(saved)
        return good

    # ------------------------------------------------------------------------------ for the engine

    def entries(self) -> list[Entry]:
        """The states, the least recently used first."""
        return list(self._entries)

    def names(self) -> set[str]:
        """Conversations with a state here. May be asked from another thread."""
        return {entry.name for entry in self.entries() if entry.name}

    def named(self) -> list[Entry]:
        """States of conversations, the most recently used first."""
        return [entry for entry in reversed(self._entries) if entry.name]

    def forget(self, name: str) -> None:
        """Drop a conversation's states; they don't go to the disk."""
        for entry in [entry for entry in self._entries if entry.name == name]:
            self._remove(entry)

    # ------------------------------------------------------------------------------ inside

    def _save(self, seq: int) -> State:
        began = time.perf_counter()
        state = self._sequences.save_state(seq)
        self._out.add(len(state), time.perf_counter() - began)
        return state

    def _room(self) -> int:
        free = self._free()
        return self._cap if free is None else min(self._cap, self.used + free // 2)

    def _has(self, tokens: list[int], name: str) -> bool:
        for entry in self._entries:
            if common_prefix(entry.tokens, tokens, len(tokens)) == len(tokens):
                entry.name = entry.name or name
                self._touch(entry)
                return True
        return False

    def _put(self, new: Entry) -> None:
        for old in self.entries():
            if common_prefix(old.tokens, new.tokens, len(old.tokens)) == len(old.tokens):
                self._remove(old)  # the new one begins with it
            elif old.name == new.name:
                old.name = ""  # another branch of the conversation: the newest is the one to keep on disk
        self._entries.append(new)
        self.used += len(new.state)

    def _touch(self, entry: Entry) -> None:
        self._entries.remove(entry)
        self._entries.append(entry)

    def _remove(self, entry: Entry) -> None:
        self._entries.remove(entry)
        self.used -= len(entry.state)

    def _drop(self, entry: Entry) -> None:
        self._remove(entry)
        if self._disk is not None and self._disk.wants(entry.name, entry.tokens):
            self._disk.put(entry.name, entry.tokens, entry.state)
