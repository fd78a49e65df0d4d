"""The usual stretch of an engine's work: every open answer gets a token a step, and nothing else is to be decided.

Between two calls of llama_decode only what the next one needs is done: choose, and put the tokens into the batch. What
a reader and the scheduler need (text, cells, speeds) is caught up with when text is due, somebody ends, somebody comes,
or room has to be looked for. After a decode every line of code comes from main memory again, so what is done once for
three tokens costs a third.
"""

import ctypes
import time
from collections.abc import Sequence

from app.runtime.choosing import Chooser
from app.runtime.llama_burst import MOST_ENDS, Stretch
from app.runtime.llama_context import OK, Context
from app.runtime.sampling import NO_TOKEN
from app.runtime.scheduler import Scheduler
from app.runtime.writers import Writer


class Burst:
    """Goes on where a step ended that computed one token for each of ``writers``, in this order, and sampled the next
    one. Valid as long as these are all that is open and running. Engine thread only."""

    def __init__(
        self, context: Context, scheduler: Scheduler, writers: Sequence[Writer], visitors: ctypes.c_int32
    ) -> None:
        """``visitors``: not 0 when somebody waits for the engine thread."""
        self._context, self._scheduler, self._visitors = context, scheduler, visitors
        self.writers = tuple(writers)
        self._jobs = [writer.job for writer in writers]
        self._chooser = Chooser(context, [writer.sampler for writer in writers])
        self._ends = frozenset({NO_TOKEN}).union(*(writer.ends for writer in writers))
        rows = self._chooser.rows
        usable = rows is not None and len(self._ends) <= MOST_ENDS
        self._stretch = Stretch(context, rows, self._ends, visitors) if rows and usable else None
        self._speaking: list[Writer] = []
        """In the last run, those whose text went to their readers at once,"""
        self._all_said = False
        """that of its last step too: the one after it failed."""
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

    def run(self, patience: float) -> int:
        """Compute at most ``left`` steps, fewer when text is due, an answer ends, somebody comes, or ``patience``
        (seconds) is over. Returns llama_decode's last code."""
        tokens = [job.tokens[-1] for job in self._jobs]
        self.began = time.monotonic()
        stretch = self._stretch
        if stretch is None or not self._chooser.prepare():
            self._speaking = []
            return self._run_here(tokens, self._due(patience))
        self._speaking = [writer for writer in self.writers if writer.speaks]
        for at, writer in enumerate(self.writers):
            stretch.speak(at, writer.speaker if writer.speaks else None)
        due = self._due(patience)
        code = stretch.run(tokens, self.left if due else 1, due - self.began)
        self._all_said = code != OK
        self.rows, self.pace, self.ended = stretch.rows, stretch.pace, self.began + stretch.passed
        if self.rows:
            self._chooser.chosen(self.rows[-1], len(self.rows))
        for at, writer in enumerate(self.writers):
            if writer.speaker is not None:
                writer.speaker.rest = stretch.unsaid(at)
        return code

    def _due(self, patience: float) -> float:
        """When the first text has to be written that goes by us; 0: after each step."""
        due = self.began + patience
        for writer in self.writers:
            if writer in self._speaking:
                continue
            if not (writer.answer.endless and writer.patience):
                return 0.0
            due = min(due, writer.show_at)
        return due

    def _run_here(self, tokens: list[int], due: float) -> int:
        most = self.left if due else 1
        context, batch, ends = self._context, self._context.batch, self._ends
        self.rows = rows = []
        now = self.began
        while True:
            batch.advance(tokens)
            code = context.decode()
            if code != OK:
                break
            tokens = self._chooser.choose()
            rows.append(tokens)
            before, now = now, time.monotonic()
            self.pace = now - before
            over = len(rows) >= most or self._visitors.value or now + self.pace / 2 >= due
            if over or not ends.isdisjoint(tokens):
                break
        self.ended = now
        return code

    def settle(self) -> list[tuple[Writer, int]]:
        """Catch up with what ``run`` has computed. Returns each writer with its last token, if that is still to be
        written; those before it neither end an answer nor go beyond a limit."""
        steps = len(self.rows)
        self.left -= steps
        self._scheduler.grown(self._jobs, steps)
        last = []
        for at, (writer, job) in enumerate(zip(self.writers, self._jobs, strict=True)):
            writer.pace, writer.last_at = self.pace, self.ended
            spoken = writer in self._speaking
            known = [row[at] for row in (self.rows if spoken and self._all_said else self.rows[:-1])]
            job.tokens += known
            if spoken:
                writer.spoke(len(known))
            else:
                for token in known:
                    writer.answer.push(token)
            if len(known) < steps:
                last.append((writer, self.rows[-1][at]))
        return last
