# size: one state machine, whose rules are read and proved together
"""Which tokens go into the next batch: a pure state machine, without I/O, clocks or llama.cpp.

There is no prefill phase and no decode phase. A job has known tokens and computed tokens, and a step spends one batch
budget on closing the gaps: jobs that are writing come first (one token each), then pieces of prompts. Jobs join and
leave between steps. (The idea is vLLM's: v1/core/sched/scheduler.py.)

A sequence is llama.cpp's: a row of the KV cache with an id. When its job has ended it stays *idle* with what it
holds, so that a prompt that begins the same does not compute it again: the job takes the idle sequence over, or shares
the common prefix of any sequence, a busy one too, without copying a byte (``llama_memory_seq_cp`` in a unified cache).

Every step walks over all cells up to the last one in use, those of idle sequences too (two idle ones of 500 tokens cost
an answer 12 % on a small model). So a job that will write enough sends the idle sequences that share nothing with it to
the *shelf*, in main memory, and gets its own state from there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.runtime.jobs import MUCH_LONGER, Cache, Chunk, Job, Saved, Shelf, Step
from app.runtime.ledger import Ledger, common_prefix

SHARE_WAIT = 16
"""A prompt waits for another one that is computing the same prefix if that saves at least so many tokens."""
WORTH_LOADING = 32
"""A saved state is put back into the cache if it saves at least so many tokens."""
LONG_ANSWER = 512
"""Tokens that an answer is taken to have when nobody limits it."""
SHORT_PROMPT = 256
"""A prompt with at most so many tokens to go is short: it shares steps with an older one that is much longer."""
SHELVED_AT_ONCE = 4096
"""Tokens whose states are copied while other answers wait for their next word."""


@dataclass(eq=False, slots=True)
class _Slot:
    seq: int
    held: list[int] = field(default_factory=list)
    """What the idle sequence holds, computed. (A busy one holds its job's computed tokens.)"""
    job: Job | None = None
    used_at: int = 0
    name: str = ""

    @property
    def tokens(self) -> list[int]:
        return self.job.tokens if self.job else self.held

    @property
    def computed(self) -> int:
        return self.job.computed if self.job else len(self.held)


class Scheduler:
    """Places jobs in sequences and fills batches. Not thread-safe: the engine thread alone calls it.

    ``n_ctx`` bounds one sequence, ``n_cells`` the whole cache, ``n_running`` the jobs that compute at a time (the
    other sequences stay idle and keep their prefixes), ``n_batch`` the tokens of a step. ``copy_steps`` is how many
    steps over a cell cost as much as copying it to the shelf and back (0: idle cells cost nothing).
    """

    def __init__(
        self,
        cache: Cache,
        *,
        n_seq: int,
        n_running: int,
        n_ctx: int,
        n_cells: int,
        n_batch: int,
        copy_steps: int = 0,
        shelf: Shelf | None = None,
    ) -> None:
        self._cache, self._shelf, self.copy_steps = cache, shelf, copy_steps
        self.n_ctx, self.n_cells = n_ctx, n_cells
        self._n_running, self._n_batch = min(n_running, n_seq), n_batch
        self.ledger = Ledger(n_seq)
        self._slots = [_Slot(seq) for seq in range(n_seq)]
        self.running: list[Job] = []
        self.waiting: list[Job] = []
        self._ticks = 0
        self._squeezed: int | None = None
        self._full_up = False
        self._showed = False  # the last step was an image
        self._reach = 0
        """At most so many cells are before the end of the last one in use."""

    # ------------------------------------------------------------------------------ jobs come and go

    def add(self, job: Job) -> None:
        """Queue a job with at least one token and at most ``n_ctx``."""
        self._ticks += 1
        job.rank = (-job.priority, self._ticks)
        self._queue(job)

    def push(self, job: Job, token: int) -> bool:
        """A sampled token of a running job is known now. False: the context can't take it, the job must end."""
        if len(job.tokens) >= self.n_ctx:
            return False
        job.tokens.append(token)
        return True

    def remove(self, job: Job) -> None:
        """The job has ended or was cancelled; its sequence stays idle with what it has. Idempotent."""
        if job in self.waiting:
            self.waiting.remove(job)
        elif job in self.running:
            self._release(job)

    def _queue(self, job: Job) -> None:
        self.waiting.append(job)
        self.waiting.sort(key=_rank)

    def _release(self, job: Job) -> None:
        self.running.remove(job)
        slot = self._slots[job.seq]
        slot.held, slot.job, slot.used_at = job.tokens[: job.computed], None, self._tick()
        slot.name = job.name
        job.seq = -1

    def _tick(self) -> int:
        self._ticks += 1
        return self._ticks

    # ------------------------------------------------------------------------------ one step

    def step(self, prompt_budget: int | None = None, held: Sequence[Job] = ()) -> Step:
        """Choose what to compute next; at most ``n_batch`` tokens, of them at most ``prompt_budget`` of prompts,
        nothing of the jobs ``held`` while another can go on.
        The caller computes it and then calls ``done``, or ``no_room`` and ``step`` again.
        An image is a step of its own, every other one at most where others write."""
        if self.waiting and not (self._full_up and self.running):
            self._admit()
        running = self.running
        if self._squeezed is None and len(running) <= min(self._n_batch, self.n_cells - self.ledger.used):
            # Only answers, the usual case: their cells are there, or the long way finds out why not.
            chunks = [Chunk(job, job.computed, 1) for job in running if len(job.tokens) - job.computed == 1]
            if len(chunks) == len(running):
                return Step(chunks)
        step = Step(unseen=self._unseen())
        if not self._showed and self._show(step):
            return step
        self._fill(step, prompt_budget, held)
        if held and not step.chunks:
            self._fill(step, prompt_budget, ())
        if not step.chunks:
            self._show(step)
        self._showed = step.span is not None
        return step

    def _fill(self, step: Step, prompt_budget: int | None, held: Sequence[Job]) -> None:
        budget = self._n_batch if self._squeezed is None else self._squeezed
        prompts = budget if prompt_budget is None else prompt_budget
        jobs = sorted(self.running, key=_decoding_first) if len(self.running) > 1 else list(self.running)
        short, share = _short(jobs, prompts, held), prompts // 2
        for job in _before_the_long_one(jobs, short) if short else jobs:
            left = budget - step.tokens
            if left <= 0 or job.seq < 0 or not job.gap or job in held:
                continue
            if job.gap == 1:
                self._place_one(step, job)
            elif prompts > 0:
                wanted = min(job.gap, left, share if job in short else prompts)
                wanted = job.stretch(wanted) if job.spans else wanted
                placed = self._place_piece(step, job, wanted, last=not held) if wanted else 0
                prompts -= placed
                share -= placed if job in short else 0

    # ------------------------------------------------------------------------------ images

    def _unseen(self) -> list[Job]:
        return [job for job in self.running if (span := job.spans and job.span) and span.embeddings is None]

    def _show(self, step: Step) -> bool:
        """Make the step the next image whose embeddings are there. False: there is none, or no room for it."""
        ready = [
            job for job in self.running if (span := job.spans and job.span) and span.embeddings is not None
        ]
        job = min(ready, key=_rank, default=None)
        if job is None or (span := job.span) is None:
            return False
        self._showed = True
        while self._room(step, span.count) < span.count:
            last = max(self.running, key=_rank)
            if len(self.running) == 1:
                step.full.append(job)
                return True
            self._preempt(last)
            if last is job:
                return False
        step.span = span
        step.chunks.append(Chunk(job, span.start, span.count))
        return True

    def done(self, step: Step) -> None:
        """The step's tokens are in the cache."""
        self._squeezed, self._full_up = None, False
        for chunk in step.chunks:
            chunk.job.computed = chunk.start + chunk.count
            self.ledger.grow(chunk.job.seq, chunk.count)
        self._reach = max(self._reach, self.ledger.used)

    def grown(self, jobs: list[Job], steps: int) -> None:
        """Jobs that were all writing have computed ``steps`` tokens more, for which there was room."""
        for job in jobs:
            job.computed += steps
            self.ledger.grow(job.seq, steps)
        self._reach = max(self._reach, self.ledger.used)

    def interrupted(self, job: Job, computed: int) -> None:
        """A step was cut short: ``computed`` tokens of the job are in the cache."""
        if computed < job.computed:
            self.ledger.trim(job.seq, computed)
        else:
            self.ledger.grow(job.seq, computed - job.computed)
        job.computed = computed

    def no_room(self, step: Step) -> list[Job]:
        """llama.cpp found no cells for the step (holes, or a cache that counts otherwise): make some. Returns the job
        that has to end because nothing more can be given up."""
        if self._evict_oldest(None):
            return []
        if step.span is None and step.tokens > len(step.chunks):
            self._squeezed = max(1, step.tokens // 2)
        elif len(self.running) > 1:
            self._preempt(max(self.running, key=_rank))
            self._full_up = True  # nobody comes in before a step has worked
        else:
            return [step.chunks[0].job]
        return []

    def _place_one(self, step: Step, job: Job) -> None:
        placed = {id(chunk.job) for chunk in step.chunks}
        while not self._room(step, 1):
            others = [j for j in self.running if id(j) not in placed and j is not job and j.rank > job.rank]
            if others:
                self._preempt(max(others, key=_rank))
            elif len(self.running) > 1:
                return self._preempt(job)
            else:
                step.full.append(job)
                return None
        step.chunks.append(Chunk(job, job.computed, 1))
        return None

    def _place_piece(self, step: Step, job: Job, count: int, *, last: bool) -> int:
        # ``last``: nobody else could end and give room.
        count = min(count, self._room(step, count))
        if count:
            step.chunks.append(Chunk(job, job.computed, count))
        elif not step.chunks and last:
            self._stuck(step, job)
        return count

    def _stuck(self, step: Step, job: Job) -> None:
        # Only prompts are left and none has room: the last to come give their cells up.
        while not (room := self._room(step, job.gap)):
            last = max(self.running, key=_rank)
            if last is not job:
                self._preempt(last)
            elif len(self.running) > 1:
                return self._preempt(job)
            else:
                step.full.append(job)
                return None
        step.chunks.append(Chunk(job, job.computed, min(job.gap, self._n_batch, room)))
        return None

    def _room(self, step: Step, wanted: int) -> int:
        planned = step.tokens
        while (free := self.n_cells - self.ledger.used - planned) < wanted:
            if not self._evict_oldest(None):
                break
        return max(0, free)

    # ------------------------------------------------------------------------------ giving room up

    def _evict_oldest(self, keep: _Slot | None) -> bool:
        idle = [slot for slot in self._slots if slot.job is None and slot.held and slot is not keep]
        if not idle:
            return False
        self._clear(min(idle, key=_used_at))
        return True

    def _clear(self, slot: _Slot) -> None:
        if slot.held and self._shelf is not None:
            self._shelf.keep(slot.seq, slot.held, slot.name, last=True)
        self._empty(slot)

    def _to_shelf(self, slot: _Slot) -> bool:
        if self._shelf is None or not self._shelf.keep(slot.seq, slot.held, slot.name, last=False):
            return False
        self._empty(slot)
        return True

    def _empty(self, slot: _Slot) -> None:
        self._cache.trim(slot.seq, 0)
        self.ledger.trim(slot.seq, 0)
        if not self.ledger.used:
            self._reach = 0
        slot.held, slot.name = [], ""

    def _preempt(self, job: Job) -> None:
        # Its known tokens stay: it computes them again when there is room.
        slot = self._slots[job.seq]
        self._release(job)
        self._clear(slot)
        job.computed = 0
        job.preempted += 1
        self._queue(job)

    # ------------------------------------------------------------------------------ placing a job in a sequence

    def _admit(self) -> None:
        for job in tuple(self.waiting[:16]):
            if len(self.running) >= self._n_running:
                return
            source, length = self._best_prefix(job)
            saved, better = self._best_saved(job, length)
            if self._worth_waiting(job, better):
                continue
            if not self._affordable(job, length if source and source.job else 0):
                return
            self.waiting.remove(job)
            if saved is None and source and self._far_out(job, source) and self._to_shelf(source):
                saved, better = self._best_saved(job, 0)
            if saved is None or not self._bring_back(job, saved, better):
                self._place(job, *self._best_prefix(job))
            job.stored = None
            self._shelve(job)

    def _best_prefix(self, job: Job) -> tuple[_Slot | None, int]:
        best, best_length = None, 0
        for slot in self._slots:
            if slot.job and not self._cache.can_share:
                continue
            common = common_prefix(slot.tokens, job.tokens, slot.computed)
            length = 0 if slot.job and not self._cache.can_cut else self._usable(common, slot.computed, job)
            if length > best_length or (length == best_length > 0 and slot.job is None):
                best, best_length = slot, length
        return best, best_length

    def _usable(self, common: int, computed: int, job: Job) -> int:
        # The last prompt token is always computed: its logits are needed.
        wanted = len(job.tokens)
        if not self._cache.can_cut and (common < computed or common >= wanted):
            return 0
        length = min(common, wanted - 1)
        return job.uncut(length) if job.spans else length

    def _best_saved(self, job: Job, length: int) -> tuple[Saved | None, int]:
        """The state from elsewhere that saves more than the ``length`` tokens in the cache, and what it saves."""
        best, best_length = None, length
        for saved in self._shelf.found(job) if self._shelf is not None else ():
            common = common_prefix(saved.tokens, job.tokens, len(saved.tokens))
            usable = self._usable(common, len(saved.tokens), job)
            if usable >= length + WORTH_LOADING and usable > best_length:
                best, best_length = saved, usable
        return best, best_length

    def _worth_waiting(self, job: Job, length: int) -> bool:
        if not self._cache.can_share:
            return False
        coming = (
            common_prefix(other.tokens, job.tokens, len(other.tokens))
            for other in self.running
            if other.gap > 1
        )
        return any(min(common, len(job.tokens) - 1) - length >= SHARE_WAIT for common in coming)

    def _affordable(self, job: Job, shared: int) -> bool:
        if not self.running:
            return True
        pinned = self.ledger.pinned(other.seq for other in self.running)
        return pinned + len(job.tokens) - shared < self.n_cells

    def _place(self, job: Job, source: _Slot | None, length: int) -> None:
        if source is not None and source.job is None and self._take_over(source, length):
            slot, kept = source, self._cut(source, length)
        else:
            slot = self._emptiest(source)
            self._clear(slot)
            kept = self._cache.share(source.seq, slot.seq, length) if source else 0
            if source and kept:
                self.ledger.share(source.seq, slot.seq, kept)
        self._start(job, slot, kept)

    def _cut(self, slot: _Slot, length: int) -> int:
        kept = self._cache.trim(slot.seq, length) if length < len(slot.held) else length
        self.ledger.trim(slot.seq, kept)
        return kept

    def _start(self, job: Job, slot: _Slot, kept: int) -> None:
        self._reach = max(self._reach, self.ledger.used)
        slot.held, slot.job, slot.name = [], job, job.name
        job.seq, job.computed = slot.seq, kept
        if not job.placed:
            job.cached, job.placed = kept, True
        self.running.append(job)

    def _bring_back(self, job: Job, saved: Saved, length: int) -> bool:
        """Place the job on a saved state. False: there is no room for it, or it was refused."""
        self._shelve(job)
        slot, wanted = self._emptiest(None), len(saved.tokens)
        pinned = self.ledger.pinned(other.seq for other in self.running)
        if self._shelf is None or wanted > self.n_ctx or pinned + wanted > self.n_cells:
            return False
        self._clear(slot)
        while self.n_cells - self.ledger.used < wanted:
            if not self._evict_oldest(slot):
                return False
        if not self._shelf.load(saved, slot.seq, length):
            return False
        slot.held = list(saved.tokens)
        self.ledger.grow(slot.seq, wanted)
        self._start(job, slot, self._cut(slot, length))
        return True

    def _take_over(self, slot: _Slot, length: int) -> bool:
        # A prefix that is a small part of another conversation is shared, so that both stay.
        mostly = 2 * length >= len(slot.held)
        alone = not any(s.job is None and s is not slot for s in self._slots)
        return mostly or alone or not self._cache.can_share

    def _emptiest(self, keep: _Slot | None) -> _Slot:
        idle = [slot for slot in self._slots if slot.job is None and slot is not keep]
        return min(idle, key=lambda slot: (bool(slot.held), slot.used_at))

    # ------------------------------------------------------------------------------ idle sequences

    def _shelve(self, job: Job) -> None:
        """Idle cells that hold up the job's answer more than copying them does go to the shelf."""
        if self._shelf is None or not self.copy_steps:
            return
        busy = [other.seq for other in self.running]
        left = SHELVED_AT_ONCE if any(other is not job for other in self.running) else self.n_cells
        for slot in sorted((slot for slot in self._slots if slot.job is None and slot.held), key=_used_at):
            freed = self.ledger.share_of(slot.seq, busy)
            copied = len(slot.held)
            if copied <= left and self._pays(job, freed, copied) and self._to_shelf(slot):
                left -= copied

    def set_aside(self) -> bool:
        """Copy an idle sequence to the shelf before the next job sends it there: the job need not wait for that. False:
        nothing is worth it. For when there is nothing else to do."""
        if self._shelf is None or not self.copy_steps:
            return False
        idle = [slot for slot in self._slots if slot.job is None and slot.held]
        return any(self._shelf.copy(slot.seq, slot.held, slot.name) for slot in idle)

    def _pays(self, job: Job, freed: float, copied: int) -> bool:
        steps = min(LONG_ANSWER, self.n_ctx - len(job.tokens), job.limit or LONG_ANSWER)
        return freed * steps >= copied * self.copy_steps

    def _far_out(self, job: Job, source: _Slot) -> bool:
        """The idle sequence that the job goes on with is alone and lies behind many free cells: through the shelf it
        comes to the front."""
        alone = not self.running and self.ledger.used == len(source.held)
        if not alone or not self.copy_steps or self._shelf is None:
            return False
        return self._pays(job, self._reach - len(source.held), len(source.held))

    def forget(self) -> None:
        """Empty every idle sequence."""
        while self._evict_oldest(None):
            pass

    def names(self) -> set[str]:
        """Conversations that are in the cache. (May be asked from another thread: it only reads.)"""
        return {slot.name for slot in self._slots if slot.name}

    def unname(self, name: str) -> None:
        """Sequences and jobs of this conversation belong to none from now on."""
        for slot in self._slots:
            slot.name = "" if slot.name == name else slot.name
        for job in (*self.running, *self.waiting):
            job.name = "" if job.name == name else job.name

    def named(self) -> list[tuple[int, list[int], str]]:
        """(sequence, tokens, name) of idle conversations, the most recently used first."""
        slots = sorted(
            (slot for slot in self._slots if slot.job is None and slot.held and slot.name), key=_used_at
        )
        return [(slot.seq, slot.held, slot.name) for slot in reversed(slots)]

    def idle(self) -> list[tuple[int, list[int]]]:
        """(sequence, tokens it holds) of idle sequences that hold something, the least recently used first."""
        slots = sorted((slot for slot in self._slots if slot.job is None and slot.held), key=_used_at)
        return [(slot.seq, slot.held) for slot in slots]


def _rank(job: Job) -> tuple[int, int]:
    return job.rank


def _decoding_first(job: Job) -> tuple[bool, tuple[int, int]]:
    return (job.gap > 1, job.rank)


def _short(jobs: Sequence[Job], prompts: int, held: Sequence[Job]) -> list[Job]:
    """Prompts that need not wait for all of the oldest one, which is much longer than the step: they get half of it.
    (The long one takes at most twice as long, and only as long as short ones come.)"""
    reading = [job for job in jobs if job.gap > 1 and job.seq >= 0 and job not in held]
    if len(reading) < 2 or reading[0].gap <= prompts:
        return []
    first, most = reading[0], min(SHORT_PROMPT, reading[0].gap // MUCH_LONGER)
    return [job for job in reading[1:] if job.gap <= most and job.priority == first.priority]


def _before_the_long_one(jobs: Sequence[Job], short: Sequence[Job]) -> list[Job]:
    writing = [job for job in jobs if job.gap <= 1]
    return [*writing, *short, *(job for job in jobs if job.gap > 1 and job not in short)]


def _used_at(slot: _Slot) -> int:
    return slot.used_at
