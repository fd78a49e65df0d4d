"""What the engine knows about the answers it is writing: one Writer for each choice of each open request."""

import time
from collections.abc import Collection
from typing import TYPE_CHECKING

from app.core.generate import Delta, Timings, Usage
from app.runtime.intake import Choice, Prepared
from app.runtime.jobs import MUCH_LONGER, Job

if TYPE_CHECKING:
    from app.runtime.speaker import Speaker

MOST_PATIENCE = 0.25
"""Seconds that text may wait for more: what a worker that is killed loses."""

OFFER = 0.25
"""Seconds that text waits for the socket that was promised."""

HOLD = 5.0
"""Seconds that an answer waits at most, after its first word, for others to get theirs."""


class Writer:
    """One choice being written."""

    __slots__ = ("answer", "choice", "computed", "ends", "first_at", "forced", "job", "last_at", "limit", "logprobs",
                 "owner", "pace", "patience", "sampler", "seed", "show_at", "speaker", "started_at")  # fmt: skip

    def __init__(self, owner: "Open", choice: Choice, job: Job, eog: frozenset[int]) -> None:
        sampling = owner.prepared.request.sampling
        self.owner, self.job = owner, job
        self.answer, self.sampler, self.seed = choice.answer, choice.sampler, choice.seed
        self.choice = choice.answer.choice
        self.limit = sampling.max_tokens
        self.logprobs = sampling.logprobs
        self.ends = eog | frozenset(sampling.stop_tokens)
        self.forced: list[int] = []
        """Tokens to write whatever the model says: the end of a thought whose budget is spent."""
        self.computed = 0
        self.started_at = self.first_at = self.last_at = 0.0
        self.pace = self.patience = self.show_at = 0.0
        """Seconds between the last two tokens, how long text may wait, and when it is to be sent again."""
        self.speaker: Speaker | None = None
        self.be_patient()

    def be_patient(self, seconds: float | None = None) -> None:
        """Let text wait so long from the last token on, or (None) as long as was asked for."""
        flush = self.owner.prepared.request.flush_ms / 1000 if seconds is None else seconds
        self.patience = min(max(flush, 0.0), MOST_PATIENCE)
        self.show_at = self.last_at + self.patience

    def wrote(self, now: float) -> None:
        """A token was chosen."""
        self.pace, self.last_at = now - self.last_at, now
        if not self.first_at:
            self.first_at = now

    @property
    def speaks(self) -> bool:
        """Its usual tokens need not come by us."""
        return self.speaker is not None and self.answer.plain

    def spoke(self, tokens: int) -> None:
        """So many tokens went straight to its reader."""
        self.answer.count(tokens)
        if self.speaker is not None:
            self.speaker.untold += tokens

    @property
    def waits(self) -> bool:
        """What is written may be sent with the next token: that is nearer to the time for it than now is."""
        return self.last_at + self.pace / 2 < self.show_at

    def waits_for(self, other: "Writer") -> bool:
        """The other had asked before the first word of this one, and both need about the same."""
        mine, others = self.owner.prepared, other.owner.prepared
        return (
            others.arrived < self.first_at
            and other.job.priority >= self.job.priority
            and len(others.tokens) < MUCH_LONGER * len(mine.tokens)
        )

    def take(self) -> Delta | None:
        """What is to be sent, if there is anything."""
        delta = self.answer.take()
        if delta is not None:
            self.show_at = self.last_at + self.patience
        return delta

    def usage(self) -> Usage:
        """Tokens counted; the prompt is counted with the first choice."""
        prompt, first = len(self.owner.prepared.tokens), self.choice == 0
        return Usage(
            prompt=prompt if first else 0,
            completion=self.answer.tokens,
            cached=min(self.job.cached, prompt) if first else 0,
            reasoning=self.answer.reasoning_tokens,
        )

    def timings(self) -> Timings:
        """Seconds so far, on the worker's clock."""
        arrived = self.owner.prepared.arrived
        started = self.started_at or self.first_at or time.monotonic()
        first = self.first_at or started
        return Timings(
            queued=started - arrived,
            prefill=first - started,
            decode=max(0.0, self.last_at - first),
            ttft=first - arrived if self.first_at else 0.0,
            prefill_tokens=self.computed,
            decode_tokens=max(0, self.answer.tokens - 1),
        )


class Open:
    """One request with its choices still being written."""

    __slots__ = ("asks", "key", "offered", "prepared", "told", "writers")

    def __init__(self, prepared: Prepared, asks: bool = False) -> None:
        self.key, self.prepared = prepared.key, prepared
        self.writers: list[Writer] = []
        self.asks = asks
        """Its reader's socket is offered once the reader has the first text,"""
        self.offered = False
        """which it has by now: what follows may wait for the offer."""
        self.told = 0
        """Events that were sent."""


def held_back(writers: Collection[Writer], now: float) -> list[Job]:
    """Answers that go on when those who had asked before their first word have a first word too.

    When many ask at once each sees the beginning as early as one prompt after the other allows, and then all write
    together, which costs less than writing beside every prompt. Somebody who asks while an answer is being written does
    not hold it, nor does a prompt that is much longer than its own or has no place yet.
    """
    reading = [writer for writer in writers if writer.job.gap > 1 and writer.job.seq >= 0]
    return [
        writer.job
        for writer in (writers if reading else ())
        if now - writer.first_at < HOLD and writer.job.gap == 1 and any(map(writer.waits_for, reading))
    ]
