"""Which of two answers was better: the votes, kept as a line of JSON each, and what they add up to."""

import math
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

Choice = Literal["a", "b", "tie"]


class Vote(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Two models' answers to a prompt, and which one was taken. ``blind``: the names were not shown before."""

    prompt: str
    a: str
    b: str
    choice: Choice
    blind: bool = True
    answer_a: str = ""
    answer_b: str = ""
    at: float = 0.0


class Tally(Struct, frozen=True):
    """Blind votes between two models, whichever side they stood on. ``chance``: how likely a difference like this
    (or a larger one) is between equals, two-sided sign test over the votes that are no ties."""

    a: str
    b: str
    wins_a: int
    wins_b: int
    ties: int
    chance: float

    @property
    def count(self) -> int:
        """All votes."""
        return self.wins_a + self.wins_b + self.ties


class Votes:
    """Append-only. Thread-safe."""

    def __init__(self, file: Path) -> None:
        self._file, self._lock = file, threading.Lock()

    def add(self, vote: Vote) -> None:
        """Keep a vote. Raises OSError."""
        kept = msgspec.structs.replace(vote, at=vote.at or time.time())
        with self._lock:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("ab") as file:
                file.write(msgspec.json.encode(kept) + b"\n")

    def all(self) -> tuple[Vote, ...]:
        """Every vote, the oldest first; a line that can't be read is left out."""
        try:
            lines = self._file.read_bytes().splitlines()
        except FileNotFoundError:
            return ()
        return tuple(vote for line in lines if (vote := _read(line)) is not None)

    def forget(self) -> None:
        """Delete all of them."""
        with self._lock:
            self._file.unlink(missing_ok=True)


def tallies(votes: Iterable[Vote]) -> list[Tally]:
    """One for each pair of models, the one with most votes first. Votes that were not blind don't count."""
    pairs: dict[tuple[str, str], list[int]] = {}
    for vote in votes:
        if not vote.blind:
            continue
        first, second = sorted((vote.a, vote.b))
        counts = pairs.setdefault((first, second), [0, 0, 0])
        winner = {"a": vote.a, "b": vote.b}.get(vote.choice)
        counts[2 if winner is None else 0 if winner == first else 1] += 1
    made = [
        Tally(one, other, wins, losses, ties, sign_test(wins, losses))
        for (one, other), (wins, losses, ties) in pairs.items()
    ]
    return sorted(made, key=lambda tally: -tally.count)


def sign_test(wins: int, losses: int) -> float:
    """Probability of a split at least this uneven when both are equally good."""
    count, few = wins + losses, min(wins, losses)
    if count == 0:
        return 1.0
    as_uneven = 2.0 * sum(math.comb(count, k) for k in range(few + 1))
    return min(1.0, as_uneven / float(2**count))


def _read(line: bytes) -> Vote | None:
    try:
        return msgspec.json.decode(line, type=Vote)
    except msgspec.MsgspecError:
        return None
