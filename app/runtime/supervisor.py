"""The runtime thread: the single writer of every instance's state.

Callers on any thread put an action in its queue; it waits for those, for the workers' pipes and for deadlines, and
calls sinks and futures. A worker's death is its pipe's end. A plan that has just crashed is never loaded again by
itself (one exception: a first decode that crashes is tried once more without extra buffers, see ``instance``).
"""

import itertools
import logging
import os
import threading
import time
from array import array
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from multiprocessing import connection
from pathlib import Path
from typing import Any

import msgspec

from app.core.errors import BadRequestError, BusyError
from app.core.events import Bus, InstanceChanged
from app.core.generate import Failed, GenerateRequest, Message, ToolSpec
from app.core.types import LoadPlan
from app.runtime.callers import Asked, Sink, deliver
from app.runtime.channel import Waiter
from app.runtime.instance import Instance, Surroundings
from app.runtime.kvstore import STATES, drop_conversations
from app.runtime.pack_blame import Judge
from app.runtime.protocol import (
    Cancel,
    Command,
    Detokenize,
    Embed,
    Embeddings,
    Forget,
    Measure,
    Measured,
    Render,
    Rendered,
    Rest,
    Speak,
    Submit,
    Text,
    Tokenize,
    Tokens,
    Vectors,
)

log = logging.getLogger(__name__)

MOST_OPEN = 256
"""Requests that one instance takes before it answers "busy"."""


class Supervisor:
    """All instances. Constructing starts nothing; the first call starts the thread."""

    def __init__(
        self,
        bus: Bus,
        logs: Path,
        *,
        cache: Path | None = None,
        environ: Mapping[str, str] | None = None,
        packs: Judge | None = None,
        cores: Callable[[], int] = lambda: 0,
    ) -> None:
        self._around = Surroundings(
            bus.publish, logs, cache, dict(os.environ) if environ is None else environ, packs, cores
        )
        self._instances: dict[str, Instance] = {}
        self._open: dict[str, tuple[Instance, int]] = {}
        """Request id -> where it is."""
        self._ids: dict[int, str] = {}
        self._keys = itertools.count(1)
        self._actions: deque[Callable[[], None]] = deque()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._listener: Any = None
        self._waker: Any = None
        self._woken = False
        self._waiter = Waiter()
        self._moved = True
        """What is waited for may be something else than the last time."""
        self._pipes: dict[Any, Instance] = {}
        self._ends: list[Any] = []
        self._stopping: list[Instance] = []

    # ------------------------------------------------------------------------------ from any thread

    def start(self) -> None:
        """Start the runtime thread. Idempotent; every other call does it too."""
        with self._lock:
            if self._thread is None and not self._closing:
                self._listener, self._waker = connection.Pipe(duplex=False)
                self._thread = threading.Thread(target=self._run, name="runtime", daemon=True)
                self._thread.start()

    def close(self, timeout: float = 10.0) -> None:
        """End every worker (by force after ``timeout`` seconds) and the thread. Idempotent."""
        thread = self._thread
        with self._lock:
            self._closing = True
        if thread is None:
            return
        if thread.is_alive():
            self._post(lambda: self._close_all(timeout), late=True)
            thread.join()
        for end in (self._listener, self._waker):
            end.close()

    def ensure_ready(self, model_id: str, plan: LoadPlan) -> "Future[InstanceChanged]":
        """Ready: now. Loading: joins that load. Another plan: unloads and loads. Fails with the HearthError that says
        why it can't be loaded."""
        future: Future[InstanceChanged] = Future()
        self._post(lambda: self._instance(model_id).ensure(plan, future))
        return future

    def submit(self, model_id: str, request: GenerateRequest, sink: Sink, *, asks: bool = False) -> None:
        """Ask. ``sink`` gets the events on the runtime thread; the last one, exactly once, is Finished(done=True) or
        Failed. ``asks``: after the first text ``speak`` is called."""
        self._post(lambda: self._submit(model_id, request, sink, asks))

    def speak(
        self,
        request_id: str,
        seen: int,
        handle: int,
        around: tuple[bytes, bytes],
        spill: Callable[[bytes], None],
    ) -> None:
        """Offer the socket of a request's reader (submitted with ``asks``), once all of its first ``seen`` events have
        been written there: what is text and nothing else is written by the worker from here on, between the bytes of
        ``around``, as a chunk of a chunked body, and told to the sink as tokens only. Until the sink is told anything
        else, nobody else may write. ``spill`` gets, in order with the sink's events, what did not fit. ``handle`` is
        closed here."""
        self._post(lambda: self._speak(request_id, Speak(0, seen, *around), handle, spill))

    def cancel(self, request_id: str) -> None:
        """End a request with the reason "cancelled". Unknown or over: nothing happens."""
        self._post(lambda: self._cancel(request_id))

    def cancel_load(self, model_id: str) -> None:
        """Stop a load that is going on; those who wait for it get LoadCancelledError."""
        self._post(lambda: self._instance(model_id).cancel_load())

    def leave_load(self, model_id: str) -> None:
        """Stop a load that nobody waits for any more (whose futures are all cancelled)."""
        self._post(lambda: self._instance(model_id).leave_load())

    def unload(self, model_id: str) -> "Future[None]":
        """End the worker; done when its memory is free. Answers still being written end as cancelled."""
        future: Future[None] = Future()
        self._post(lambda: self._instance(model_id).unload(future))
        return future

    def release(self, model_id: str) -> "Future[None]":
        """End the worker unless anything is asked of it: then it stays, and the future fails with BusyError."""
        future: Future[None] = Future()
        self._post(lambda: self._instance(model_id).release(future))
        return future

    def rest(self, model_id: str) -> "Future[None]":
        """Give an idle instance's KV cache and compute buffers back, until its next request. Fails with BusyError while
        anything is asked of it."""
        return self._ask(model_id, Rest, lambda _state: None)

    def forget(self, conversations: Sequence[str]) -> None:
        """Conversations were deleted for good: no state of them is kept, in memory or on disk."""
        names = tuple(conversations)
        if names and self._thread is not None and not self._closing:
            self._post(lambda: self._tell_all(Forget(names)))
        if names and self._around.cache is not None:
            drop_conversations(self._around.cache / STATES, names)

    def snapshots(self) -> tuple[InstanceChanged, ...]:
        """Every instance that is not stopped."""
        found = [instance.snapshot() for instance in tuple(self._instances.values())]
        return tuple(snapshot for snapshot in found if snapshot.state != "stopped")

    def snapshot(self, model_id: str) -> InstanceChanged | None:
        """One instance, or None when it was never loaded."""
        instance = self._instances.get(model_id)
        return instance.snapshot() if instance else None

    def pids(self) -> list[int]:
        """Process ids of the living workers."""
        return [pid for instance in tuple(self._instances.values()) if (pid := instance.pid) is not None]

    def render(
        self, model_id: str, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()
    ) -> "Future[Rendered]":
        """The prompt exactly as the model would read it, and its tokens."""
        return self._ask(model_id, lambda key: Render(key, tuple(messages), tuple(tools)), _itself)

    def tokenize(self, model_id: str, text: str, *, special: bool = False) -> "Future[tuple[int, ...]]":
        """A text's tokens; ``special``: with BOS, and special tokens' texts count as those."""
        return self._ask(model_id, lambda key: Tokenize(key, text, special), _tokens)

    def measure_image(self, model_id: str, width: int, height: int) -> "Future[int]":
        """Tokens that an image of this size in pixels takes. NoEyesError without a projector."""
        return self._ask(model_id, lambda key: Measure(key, width, height), _measured)

    def detokenize(self, model_id: str, tokens: Sequence[int]) -> "Future[str]":
        """Tokens as text."""
        return self._ask(model_id, lambda key: Detokenize(key, tuple(tokens)), _text)

    def embed(
        self,
        model_id: str,
        inputs: Sequence[str | Sequence[int]],
        *,
        query: str | None = None,
        normalize: bool = True,
    ) -> "Future[Embeddings]":
        """A vector for each input; with ``query``, a relevance score for each from a reranker."""
        items = tuple(item if isinstance(item, str) else tuple(item) for item in inputs)
        return self._ask(model_id, lambda key: Embed(key, items, query, normalize), _vectors)

    # ------------------------------------------------------------------------------ the queue

    def _post(self, action: Callable[[], None], *, late: bool = False) -> None:
        if not late:
            self.start()
            if self._closing:
                raise RuntimeError("the supervisor is closed")
        self._actions.append(action)
        with self._lock:
            if self._woken:
                return
            self._woken = True
        self._waker.send_bytes(b"!")

    def _ask(
        self, model_id: str, make: Callable[[int], Command], convert: Callable[[Any], Any]
    ) -> "Future[Any]":
        outer: Future[Any] = Future()
        inner: Future[Any] = Future()
        inner.add_done_callback(lambda done: _pass_on(done, outer, convert))

        def act() -> None:
            key = next(self._keys)
            self._instance(model_id).ask(key, inner, make(key))

        self._post(act)
        return outer

    # ------------------------------------------------------------------------------ the runtime thread

    def _run(self) -> None:
        while True:
            self._wait()
            while self._actions:
                action = self._actions.popleft()
                try:
                    action()
                except Exception:
                    log.exception("an action of the supervisor failed")
                self._moved = True
            if self._closing and not self._actions and not any(i.pipe for i in self._instances.values()):
                return

    def _wait(self) -> None:
        if self._moved:  # not for each token: nothing here is done while answers are written
            self._look_around()
        for end in self._waiter.wait(self._ends, self._patience() if self._stopping else None):
            if end is self._listener:
                self._listener.recv_bytes()
                with self._lock:
                    self._woken = False
                continue
            instance = self._pipes[end]
            if over := instance.readable():
                self._forget(over)
            self._moved = self._moved or instance.pipe is not end
        if self._stopping:
            self._overdue()

    def _look_around(self) -> None:
        self._moved, instances = False, self._instances.values()
        self._pipes = {instance.pipe: instance for instance in instances if instance.pipe is not None}
        self._ends = [self._listener, *self._pipes]
        self._stopping = [instance for instance in instances if instance.deadline is not None]

    def _patience(self) -> float | None:
        deadlines = [instance.deadline for instance in self._stopping if instance.deadline is not None]
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def _overdue(self) -> None:
        now = time.monotonic()
        for instance in self._stopping:
            if instance.deadline is not None and instance.deadline <= now:
                instance.overdue()

    def _instance(self, model_id: str) -> Instance:
        if model_id not in self._instances:
            self._instances[model_id] = Instance(model_id, self._around)
        return self._instances[model_id]

    def _speak(self, request_id: str, offer: Speak, handle: int, spill: Callable[[bytes], None]) -> None:
        found = self._open.get(request_id)
        asked = found[0].requests.get(found[1]) if found else None
        if found is None or asked is None:
            os.close(handle)
            return
        asked.spill = spill
        found[0].tell(msgspec.structs.replace(offer, key=found[1]), handle)

    def _submit(self, model_id: str, request: GenerateRequest, sink: Sink, asks: bool) -> None:
        instance = self._instance(model_id)
        error: BadRequestError | BusyError | None = None
        if request.id in self._open:
            error = BadRequestError(detail=f"there is a request with the id {request.id} already")
        elif len(instance.requests) >= MOST_OPEN:
            error = BusyError(model=model_id, waiting=len(instance.requests))
        if error is not None:
            deliver(sink, Failed(error.code, error.message, error.params))
            return
        key = next(self._keys)
        self._open[request.id], self._ids[key] = (instance, key), request.id
        instance.submit(key, Asked(request.id, sink), Submit(key, request, asks))
        if key not in instance.requests:
            self._forget([key])

    def _cancel(self, request_id: str) -> None:
        if found := self._open.get(request_id):
            instance, key = found
            instance.tell(Cancel(key))

    def _forget(self, keys: list[int]) -> None:
        for key in keys:
            self._open.pop(self._ids.pop(key, ""), None)

    def _tell_all(self, command: Command) -> None:
        for instance in self._instances.values():
            instance.tell(command)

    def _close_all(self, timeout: float) -> None:
        end = time.monotonic() + timeout
        for instance in self._instances.values():
            instance.unload(Future())
            if instance.deadline is not None:
                instance.deadline = min(instance.deadline, end)


def _pass_on(done: "Future[Any]", outer: "Future[Any]", convert: Callable[[Any], Any]) -> None:
    if not outer.set_running_or_notify_cancel():
        return
    if error := done.exception():
        outer.set_exception(error)
    else:
        outer.set_result(convert(done.result()))


def _itself(answer: Rendered) -> Rendered:
    return answer


def _tokens(answer: Tokens) -> tuple[int, ...]:
    return answer.tokens


def _measured(answer: Measured) -> int:
    return answer.tokens


def _text(answer: Text) -> str:
    return answer.text


def _vectors(answer: Vectors) -> Embeddings:
    values = array("f", answer.data).tolist()
    rows = [values[at : at + answer.width] for at in range(0, len(values), answer.width or 1)]
    return Embeddings(rows, answer.tokens)
