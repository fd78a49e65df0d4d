"""The usual stretch of an engine's work: every open answer gets a token a step, and nothing else is to be decided.

Between two calls of llama_decode only what the next one needs is done: choose, and put the tokens into the batch. What
a reader and the scheduler need (text, cells, speeds) is caught up with when text is due, somebody ends, somebody comes,
or room has to be looked for. After a decode every line of code comes from main memory again, so what is done once for
three tokens costs a third.
"""

import time
from collections.abc import Sequence, Sized

from app.runtime.choosing import Chooser
from app.runtime.llama_context import OK, Context
from app.runtime.sampling import NO_TOKEN
from app.runtime.scheduler import Scheduler
from app.runtime.writers import Writer


class Burst:
    """Goes on where a step ended that computed one token for each of ``writers``, in this order, and sampled the next
    one. Valid as long as these are all that is open and running. Engine thread only."""

    def __init__(self, context: Context, scheduler: Scheduler, writers: Sequence[Writer]) -> None:
        self._context, self._scheduler = context, scheduler
        self.writers = tuple(writers)
        self._jobs = [writer.job for writer in writers]
        self._chooser = Chooser(context, [writer.sampler for writer in writers])
        self._ends = frozenset({NO_TOKEN}).union(*(writer.ends for writer in writers))
        self._alone = not all(writer.answer.endless and writer.patience for writer in writers)
        self.left = self._room()
        """Steps that can be computed without a look at limits: of answers, of the context, of the cache. (Nothing but
        this takes room as long as it is valid.)"""
        self.rows: list[list[int]] = []
        """What was chosen in each step that ``run`` has computed."""
        self.began = self.ended = self.pace = 0.0
        """Of ``run``: when its first step began, when its last one ended, and how long that took."""

    @staticmethod
    def fits(writers: Sequence[Writer]) -> bool:
        """No one of these has to be asked something before each token."""
        return all(
            writer.logprobs is None and not writer.forced and not writer.answer.budgeted for writer in writers
        )

    def _room(self) -> int:
        cells = self._scheduler.n_cells - self._scheduler.ledger.used
        most = cells // len(self._jobs)
        n_ctx = self._scheduler.n_ctx
        for writer, job in zip(self.writers, self._jobs, strict=True):
            most = min(most, n_ctx - len(job.tokens))
            if writer.limit is not None:
                most = min(most, writer.limit - writer.answer.tokens)
        return most

    def run(self, visitors: Sized) -> int:
        """Compute at most ``left`` steps, fewer when text is due, an answer ends, or ``visitors`` is not empty.
        Returns llama_decode's last code."""
        most = 1 if self._alone else self.left
        context, batch, ends = self._context, self._context.batch, self._ends
        tokens = [job.tokens[-1] for job in self._jobs]
        due = 0.0 if self._alone else min([writer.show_at for writer in self.writers])
        self.rows = rows = []
        self.began = now = time.monotonic()
        while True:
            batch.advance(tokens)
            code = context.decode()
            if code != OK:
                break
            tokens = self._chooser.choose()
            rows.append(tokens)
            before, now = now, time.monotonic()
            self.pace = now - before
            if len(rows) >= most or visitors or not ends.isdisjoint(tokens) or now + self.pace / 2 >= due:
                break
        self.ended = now
        return code

    def settle(self) -> list[tuple[Writer, int]]:
        """Catch up with what ``run`` has computed. Returns each writer with its last token, which is still to be
        written; those before it neither end an answer nor go beyond a limit."""
        steps = len(self.rows)
        self.left -= steps
        self._scheduler.grown(self._jobs, steps)
        last = []
        for at, (writer, job) in enumerate(zip(self.writers, self._jobs, strict=True)):
            writer.pace, writer.last_at = self.pace, self.ended
            for row in self.rows[:-1]:
                job.tokens.append(row[at])
                writer.answer.push(row[at])
            last.append((writer, self.rows[-1][at]))
        return last
