# size: one thread's whole loop, from a request to its last word
"""The engine: one thread that turns prepared requests into events. It alone calls llama_decode.

A step asks the scheduler for a batch, computes it, samples one token for each sequence that is complete, and sends
what came of it in one message. Everything else (templates, tokenizing, the pipe) is other threads' work.
"""

import ctypes
import gc
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable

from app.core.events import ErrorInfo
from app.core.generate import Delta, Failed, Finished, FinishReason, Timings, Usage
from app.runtime.burst import Burst
from app.runtime.cores import EVERY, CoreWatch
from app.runtime.idle import CopyCost, free_memory
from app.runtime.intake import Prepared
from app.runtime.jobs import Chunk, Job, Span, Step
from app.runtime.kvstore import KvStore
from app.runtime.llama_context import ABORTED, NO_ROOM, OK, Context
from app.runtime.llama_model import Model
from app.runtime.meter import Meter
from app.runtime.protocol import Report, error_info
from app.runtime.sampling import NO_TOKEN, Logprobs
from app.runtime.scheduler import Scheduler
from app.runtime.shelf import StateShelf
from app.runtime.sight import Sight
from app.runtime.speaker import Speaker
from app.runtime.teller import Teller
from app.runtime.writers import Open, Writer, held_back

log = logging.getLogger(__name__)

COLLECT_EVERY = 1000
"""Steps between two garbage collections of an engine that never rests."""
LONGEST = 0.2
"""Seconds that steps go on without a look at anything else."""
SAVE_AFTER = 30.0
"""Seconds without a request after which conversations go to the disk as well."""


class Engine:
    """Owns the context. ``submit``, ``cancel``, ``call`` and ``stop`` may be called from any thread; ``run`` is the
    engine thread. ``send`` gets the reports and is called on that thread."""

    def __init__(
        self,
        model: Model,
        context: Context,
        send: Callable[[Report], None],
        watch: CoreWatch | None = None,
        store: KvStore | None = None,
        sight: Sight | None = None,
    ) -> None:
        self._model, self._context, self._send, self._watch = model, context, send, watch
        self.sight = sight
        cap = context.plan.cache_ram_mb << 20
        self._copying = CopyCost(context)
        self.shelf = StateShelf(context, cap, store, free_memory)
        self.scheduler = Scheduler(
            context,
            n_seq=context.n_seq,
            n_running=min(context.plan.n_parallel, context.n_seq),
            n_ctx=context.n_ctx,
            n_cells=context.n_cells if context.plan.kv_unified else context.n_ctx * context.n_seq,
            n_batch=context.n_batch,
            copy_steps=self._copying.steps(None, 0.0) if cap else 0,
            shelf=self.shelf,
        )
        self._store = store
        self.meter = Meter()
        self._eog = model.eog_tokens
        self._inbox: deque[Callable[[], None]] = deque()
        self._wake = threading.Event()
        self._visitors = ctypes.c_int32(0)  # seen by a stretch of steps that runs outside Python
        self._cancelled: set[int] = set()
        self._open: dict[int, Open] = {}
        self._writers: dict[int, Writer] = {}  # by id(job)
        self._teller = Teller(send, self._writers, self.readings)
        self._stopping = False
        self._alone: deque[Callable[[], None]] = deque()
        self._saved = True
        self._holding = False  # some text waits for more
        self._burst: Burst | None = None
        self._steps = 0

    # ------------------------------------------------------------------------------ from any thread

    def submit(self, prepared: Prepared, asks: bool = False) -> None:
        """Begin to answer. ``asks``: its reader's socket will be offered (``speak``)."""
        self.call(lambda: self._begin(prepared, asks))

    def speak(self, key: int, seen: int, socket: int, head: bytes, tail: bytes) -> None:
        """The reader of ``key`` has got all of the first ``seen`` events: if these are all, text goes to its socket
        from here on, until something else comes (see ``Speaker``). The socket is ours to close."""
        self.call(lambda: self._speak(key, seen, socket, head, tail))

    def cancel(self, key: int) -> None:
        """End a request at the next step; nothing happens when it is unknown or over."""
        self._cancelled.add(key)
        if len(self._open) == 1 and key in self._open:
            self._context.abort()  # nobody else loses work
        self.call(lambda: self._cancel(key))

    def call(self, action: Callable[[], None]) -> None:
        """Run ``action`` on the engine thread between two steps."""
        self._inbox.append(action)
        self._visitors.value = 1
        self._wake.set()

    def call_alone(self, action: Callable[[], None]) -> None:
        """Run ``action`` on the engine thread when no answer is being written; it may use the whole cache."""
        self.call(lambda: self._alone.append(action))

    def stop(self) -> None:
        """End every request as cancelled, then let ``run`` return."""
        self._context.abort()
        self.call(self._stop)

    # ------------------------------------------------------------------------------ the engine thread

    def run(self) -> None:
        """Work until ``stop``. Whatever ends it, what was written is sent."""
        try:
            self._work()
        finally:
            self._release()

    def _work(self) -> None:
        while not self._stopping:
            self._take()
            if self._alone and not self.scheduler.running:
                self.scheduler.forget()
                self._alone.popleft()()
            elif self.scheduler.running or self.scheduler.waiting:
                self._step()
            elif not self._inbox and not self._stopping:
                self._rest()

    def _take(self) -> None:
        self._visitors.value = 0  # who comes from here on is seen below, or sets it again
        while self._inbox:
            self._inbox.popleft()()
        self._teller.flush()

    def _rest(self) -> None:
        if self._teller.rest():
            gc.collect(1)
        while not self._inbox and self.scheduler.set_aside():
            pass
        began = time.monotonic()
        if self._wake.wait(None if self._saved else SAVE_AFTER):
            self._wake.clear()
        else:
            self._saved = not self._save_one()
        if self._watch is not None and time.monotonic() - began > EVERY and self._watch.rested():
            self._context.set_threads(self._watch.decode, self._watch.threads)

    def _stop(self) -> None:
        for key in tuple(self._open):
            self._cancel(key)
        self._context.abort(False)
        self._stopping = True
        self._teller.flush()
        while self._save_one():
            pass

    def _begin(self, prepared: Prepared, asks: bool) -> None:
        opened = Open(prepared, asks)
        if prepared.key in self._cancelled:
            self._never_started(opened)
            return
        self._open[prepared.key] = opened
        if self.scheduler.copy_steps:
            self.scheduler.copy_steps = self._copying.steps(self.shelf.pace, self.meter.step_seconds)
        if prepared.dropped:
            self._teller.tell(opened, Delta(dropped=prepared.dropped))
        for choice in prepared.choices:
            job = Job(prepared.key, list(prepared.tokens), prepared.request.priority)
            job.name, job.stored = prepared.request.conversation, prepared.stored
            job.limit, job.spans = prepared.request.sampling.max_tokens, prepared.spans
            writer = Writer(opened, choice, job, self._eog)
            opened.writers.append(writer)
            self._writers[id(job)] = writer
            self.scheduler.add(job)

    def _speak(self, key: int, seen: int, socket: int, head: bytes, tail: bytes) -> None:
        opened = self._open.get(key)
        writer = opened.writers[0] if opened and opened.told == seen and len(opened.writers) == 1 else None
        if writer is None or writer.speaker is not None:
            os.close(socket)
            return
        writer.speaker = Speaker(socket, head, tail, writer.answer.unsafe())
        writer.be_patient()
        if delta := writer.take():
            self._teller.say(writer, delta)

    # ------------------------------------------------------------------------------ states on disk

    def _save_one(self) -> bool:
        """Hand one conversation that the disk has not to the store; False: there is none."""
        store = self._store
        if store is None:
            return False
        for seq, tokens, name in self.scheduler.named():
            if store.wants(name, tokens):
                store.put(name, list(tokens), self._context.save_state(seq))
                return True
        here = self.scheduler.names()
        for entry in self.shelf.named():
            if entry.name not in here and store.wants(entry.name, entry.tokens):
                store.put(entry.name, entry.tokens, entry.state)
                return True
        return False

    def forget(self, conversation: str) -> None:
        """A conversation was deleted for good: nothing of it goes to the disk any more. (On the engine thread.)"""
        self.scheduler.unname(conversation)
        self.shelf.forget(conversation)
        if self._store is not None:
            self._store.forget(conversation)

    def names(self) -> set[str]:
        """Conversations whose state is in memory. (From any thread.)"""
        return self.scheduler.names() | self.shelf.names()

    def _never_started(self, opened: Open) -> None:
        self._cancelled.discard(opened.key)
        last = len(opened.prepared.choices) - 1
        for index, choice in enumerate(opened.prepared.choices):
            choice.sampler.close()
            over = Finished("cancelled", Usage(), Timings(), index, "", choice.seed, index == last)
            self._teller.tell(opened, over)

    def _cancel(self, key: int) -> None:
        self._context.abort(False)
        opened = self._open.get(key)
        if opened is None:
            self._cancelled.discard(key)  # over, or ``_begin``, which came before this, has seen the flag
            return
        for writer in tuple(opened.writers):
            self._finish(writer, "cancelled")

    # ------------------------------------------------------------------------------ a step

    def _step(self) -> None:
        if self._watch is not None and self._watch.changed():
            self._context.set_threads(self._watch.decode, self._watch.threads)
        if self._burst is None or not self._go_on(self._burst):
            self._look_further()
        self._teller.flush()
        self._teller.report()
        if self._steps >= COLLECT_EVERY:
            self._steps = 0
            gc.collect(1)

    def _go_on(self, burst: Burst) -> bool:
        if self.scheduler.waiting or burst.left < 1:
            self._burst = None
            return False
        code = burst.run(LONGEST)
        for writer in burst.writers:
            if writer.speaker is not None and writer.speaker.rest:
                self._teller.fall_back(writer, writer.speaker.rest)
        if burst.rows:
            count, steps = len(burst.writers), len(burst.rows)
            self._steps += steps
            for writer, token in burst.settle():
                self._written(writer, token, None)
            self.meter.wrote(burst.began, burst.ended, count, steps)
        if code != OK:
            self._burst = None
            jobs = [writer.job for writer in burst.writers]
            self._troubled(code, Step([Chunk(job, job.computed, 1) for job in jobs]))
        return True

    def _look_further(self) -> None:
        step = self._next_step()
        if self._holding and not len(self._writers) == len(step.chunks) == step.tokens:
            self._release()  # a prompt may take longer than text should wait
        for job in step.full:
            self._finish(self._writers[id(job)], "context_full")
        if step.chunks:
            self._compute(step)
        if step.unseen:
            self._look(step.unseen, rest=not step.chunks and not step.full)
        self._steps += 1

    def _compute(self, step: Step) -> None:
        indices = [] if step.span else self._fill(step)
        computing = time.monotonic()
        code = self._context.decode() if step.span is None else self._show(step.chunks[0], step.span)
        if code == OK:
            self.scheduler.done(step)
            self._after(step, indices or [0], computing)
        else:
            self._troubled(code, step)

    def _look(self, jobs: list[Job], *, rest: bool) -> None:
        # ``rest``: there is nothing to compute until an image is encoded, or somebody comes or goes.
        assert self.sight is not None
        failed = self.sight.look(jobs, self._wake.set)
        for job, error in failed:
            if writer := self._writers.get(id(job)):
                self._refuse(writer.owner, error_info(error))
        self._teller.flush()
        if rest and not failed and not self._inbox and self._wake.wait(1.0):
            self._wake.clear()

    def _show(self, chunk: Chunk, span: Span) -> int:
        assert self.sight is not None
        code = self.sight.show(self._context, chunk, span)
        if code == OK:
            self.sight.drop(span)
        return code

    def _next_step(self) -> Step:
        scheduler, meter, most = self.scheduler, self.meter, self._context.n_ubatch
        held = held_back(self._writers.values(), time.monotonic())
        writing = sum(job.gap == 1 for job in scheduler.running) - len(held)
        reading = len(scheduler.running) - writing - len(held) + len(scheduler.waiting)
        return scheduler.step(meter.piece(most, writing, reading) if writing else most, held)

    def _fill(self, step: Step) -> list[int]:
        batch = self._context.batch
        batch.clear()
        indices = []
        still = self._context.still
        for chunk in step.chunks:
            job, start = chunk.job, chunk.start
            pos = self._context.position(job.seq, start) if still else start
            if chunk.count == 1 and chunk.complete:
                indices.append(batch.add(job.tokens[start], pos, job.seq))
            else:
                tokens = job.tokens[start : start + chunk.count]
                indices.append(batch.add_run(tokens, pos, job.seq, last=chunk.complete))
        return indices

    def _after(self, step: Step, indices: list[int], computing: float) -> None:
        sampled = 0
        writers = self._writers
        for chunk, index in zip(step.chunks, indices, strict=True):
            writer = writers[id(chunk.job)]
            if not writer.started_at:
                writer.started_at = computing
            if not writer.first_at:
                writer.computed += chunk.count
            self._tell_progress(writer)  # once more when all of it is read
            if chunk.complete:
                self._sample(writer, index)
                sampled += 1
        self.meter.step(computing, time.monotonic(), step.tokens, sampled, len(step.chunks))
        if sampled == step.tokens == len(writers):
            found = [writers.get(id(chunk.job)) for chunk in step.chunks]
            open_ones = [one for one in found if one is not None]
            room = self.scheduler.n_cells - self.scheduler.ledger.used
            if len(open_ones) == sampled <= room and Burst.fits(open_ones):
                self._burst = Burst(self._context, self.scheduler, open_ones, self._visitors)

    def _sample(self, writer: Writer, index: int) -> None:
        logprobs = None
        if writer.logprobs is not None:
            logprobs = Logprobs(self._context.logits(index), writer.logprobs)
        if not writer.forced and (closing := writer.answer.closing()):
            writer.forced = self._model.tokenize(closing, add_special=False, parse_special=True)
        if writer.forced and not writer.sampler.force(writer.forced[0]):
            writer.forced = []
        token = writer.forced.pop(0) if writer.forced else writer.sampler.sample(self._context, index)
        writer.wrote(time.monotonic())
        self._written(writer, token, logprobs)

    def _written(self, writer: Writer, token: int, logprobs: Logprobs | None) -> None:
        answer = writer.answer
        if token == NO_TOKEN:
            self._finish(writer, "stop")
            return
        if token in writer.ends:
            answer.count_end()
            self._finish(writer, "stop")
            return
        stopped = answer.push(token, logprobs.of(self._model, token) if logprobs else None)
        if stopped:
            self._finish(writer, "stop")
        elif writer.limit is not None and answer.tokens >= writer.limit:
            self._finish(writer, "length")
        elif not self.scheduler.push(writer.job, token):
            self._finish(writer, "context_full")
        elif writer.waits:
            self._holding = True
        elif delta := writer.take():
            self._teller.say(writer, delta)

    def _tell_progress(self, writer: Writer) -> None:
        if not writer.first_at:
            job = writer.job
            self._teller.tell(
                writer.owner,
                Delta(
                    choice=writer.choice,
                    prefilled=job.computed,
                    prompt_tokens=len(writer.owner.prepared.tokens),
                    cached=max(0, job.computed - writer.computed),
                    reading=time.monotonic() - writer.started_at,
                ),
            )

    # ------------------------------------------------------------------------------ endings

    def _finish(self, writer: Writer, reason: FinishReason) -> None:
        opened, answer = writer.owner, writer.answer
        answer.finish(cut=reason != "stop")
        if delta := answer.take():
            self._teller.say(writer, delta)
        self._close(writer)
        if reason == "stop" and answer.called:
            reason = "tool_calls"
        self._teller.tell(
            opened,
            Finished(
                reason,
                writer.usage(),
                writer.timings(),
                choice=writer.choice,
                stop=answer.stop,
                seed=writer.seed,
                done=not opened.writers,
            ),
        )

    def _close(self, writer: Writer) -> None:
        self._saved, self._burst = False, None
        self._teller.hush(writer)
        self.scheduler.remove(writer.job)
        del self._writers[id(writer.job)]
        writer.owner.writers.remove(writer)
        writer.sampler.close()
        if not writer.owner.writers:
            self._open.pop(writer.owner.key, None)
            for span in writer.owner.prepared.spans:
                span.unwanted = True
            self._cancelled.discard(writer.owner.key)

    def _troubled(self, code: int, step: Step) -> None:
        if code == NO_ROOM:
            for job in self.scheduler.no_room(step):
                self._finish(self._writers[id(job)], "context_full")
        elif code == ABORTED:
            self._context.abort(False)
            for chunk in step.chunks:
                self._resync(chunk)
        else:
            log.error("llama_decode returned %d for %d tokens", code, step.tokens)
            for chunk in step.chunks:
                self._fail(chunk, f"llama_decode returned {code}")

    def _resync(self, chunk: Chunk) -> None:
        # Some micro-batches may be in the cache: what is there counts, nothing more.
        held = self._context.held(chunk.job.seq)
        wanted = chunk.start if chunk.job.span else chunk.start + chunk.count  # of an image nothing
        kept = self._context.trim(chunk.job.seq, min(held, wanted))
        self.scheduler.interrupted(chunk.job, kept)

    def _fail(self, chunk: Chunk, detail: str) -> None:
        writer = self._writers.get(id(chunk.job))
        if writer is None:
            return  # another choice of the request failed before it
        self._resync(chunk)
        self._refuse(writer.owner, error_info(RuntimeError(detail)))

    def _refuse(self, opened: Open, info: ErrorInfo) -> None:
        for one in tuple(opened.writers):
            if delta := one.take():
                self._teller.say(one, delta)
            self._close(one)
        self._teller.tell(opened, Failed(info.code, info.message, info.params))

    # ------------------------------------------------------------------------------ reports

    def _release(self) -> None:
        """Send all that is written."""
        self._holding = False
        for writer in self._writers.values():
            if delta := writer.take():
                self._teller.say(writer, delta)
        self._teller.flush()

    def readings(self) -> dict[str, float]:
        """Speeds of the last second, and how full everything is."""
        scheduler = self.scheduler
        busy = bool(scheduler.running)
        return {
            **self.meter.readings(time.monotonic(), busy),
            "active": len(scheduler.running),
            "waiting": len(scheduler.waiting),
            "kv_used": scheduler.ledger.used,
            "kv_total": scheduler.n_cells,
        }
