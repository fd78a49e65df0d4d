"""The scheduler's nouns: a job is one answer being written, a step is a batch of pieces of jobs."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

MUCH_LONGER = 4
"""A prompt so many times as long as another is not waited for by the other one."""


class Saved(Protocol):
    """The state of a sequence that is not in the cache but can be put there."""

    @property
    def tokens(self) -> list[int]:
        """What it computed."""


@dataclass(eq=False, slots=True)
class Span:
    """A piece of an image among a job's tokens, computed whole or not at all, from embeddings that are made of it
    outside the engine thread."""

    start: int
    count: int
    piece: object = None
    """What it is (the engine's)."""
    embeddings: object = None
    """None: they have to be made first."""
    asked: bool = False
    """Somebody is making them."""
    error: Exception | None = None
    """Why they can't be made."""
    unwanted: bool = False
    """Whoever asked has gone."""

    @property
    def end(self) -> int:
        """The place after it."""
        return self.start + self.count


@dataclass(eq=False, slots=True)
class Job:
    """One answer being written. ``tokens`` are all known ones (prompt and generated)."""

    key: object
    tokens: list[int]
    priority: int = 0
    rank: tuple[int, int] = (0, 0)
    """Smaller goes first: priority, then arrival."""
    computed: int = 0
    seq: int = -1
    cached: int = 0
    """Prompt tokens that were found in the cache when the job was first placed."""
    placed: bool = False
    name: str = ""
    """The conversation it belongs to; its sequence keeps the name."""
    preempted: int = 0
    limit: int | None = None
    """Tokens it may write; None: nobody knows."""
    stored: Saved | None = None
    """Its conversation's state on disk, until it is placed."""
    spans: tuple[Span, ...] = ()
    """Images among the tokens, in order; the last token is never a part of one."""

    @property
    def gap(self) -> int:
        """Known tokens that are not computed."""
        return len(self.tokens) - self.computed

    @property
    def span(self) -> Span | None:
        """The image that is to be computed next."""
        return next((span for span in self.spans if span.start == self.computed), None)

    def stretch(self, count: int) -> int:
        """At most ``count`` tokens to be computed before an image comes."""
        ahead = (span.start - self.computed for span in self.spans if span.start >= self.computed)
        return min(count, next(ahead, count))

    def uncut(self, length: int) -> int:
        """The longest beginning of at most ``length`` tokens that cuts no image in two."""
        return next((span.start for span in self.spans if span.start < length < span.end), length)


@dataclass(slots=True)
class Chunk:
    """``count`` tokens of ``job`` from position ``start``, to be computed in this step."""

    job: Job
    start: int
    count: int

    @property
    def complete(self) -> bool:
        """After it every known token is computed: the next one can be sampled."""
        return self.start + self.count == len(self.job.tokens)


@dataclass(slots=True)
class Step:
    """What to compute now; and jobs for which there will never be room."""

    chunks: list[Chunk] = field(default_factory=list)
    full: list[Job] = field(default_factory=list)
    span: Span | None = None
    """The step is this image, alone."""
    unseen: list[Job] = field(default_factory=list)
    """Jobs that wait for an image's embeddings."""

    @property
    def tokens(self) -> int:
        """Size of the batch."""
        return sum([chunk.count for chunk in self.chunks])  # a list: twice as quick as a generator


class Cache(Protocol):
    """What the scheduler does to the KV cache."""

    can_cut: bool
    """A sequence can lose its tail (not so for recurrent models)."""
    can_share: bool
    """A prefix can be shared between sequences (a unified cache that can cut)."""

    def trim(self, seq: int, length: int) -> int:
        """Forget what ``seq`` holds after ``length`` tokens; returns how many usable ones are left."""

    def share(self, source: int, target: int, length: int) -> int:
        """Let the empty ``target`` begin with the first ``length`` tokens of ``source``; returns how many it got."""


class Shelf(Protocol):
    """Where the states of idle sequences are while their cells are used for something else."""

    def keep(self, seq: int, tokens: list[int], name: str, *, last: bool) -> bool:
        """Remember the state of ``seq``; ``last``: it is about to be emptied whatever comes of it. False: there is no
        room for it."""

    def copy(self, seq: int, tokens: list[int], name: str) -> bool:
        """Remember the state of ``seq``, which stays, if that is quickly done. False: it is not, or it is here already,
        or there is no room for it."""

    def found(self, job: Job) -> Iterable[Saved]:
        """States that may begin as the job's tokens do."""

    def load(self, saved: Saved, seq: int, used: int) -> bool:
        """Put a state into the empty ``seq``, for the sake of its first ``used`` tokens. False leaves it empty."""
