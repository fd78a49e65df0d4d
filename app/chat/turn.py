"""One answer on its way: the sink between the engine, the store and the view."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

from msgspec import Struct, structs

from app.chat.store import ChatStore
from app.chat.store_types import StoredMessage
from app.core.errors import DiskFullError, HearthError, InternalError, SaveDiskFullError
from app.core.events import ErrorInfo
from app.core.generate import (
    Delta,
    Failed,
    Finished,
    GenerateEvent,
    GenerateRequest,
    Timings,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    Usage,
)

log = logging.getLogger(__name__)


class Engine(Protocol):
    """What a session needs of ``runtime.supervisor.Supervisor``."""

    def submit(self, model_id: str, request: GenerateRequest, sink: Callable[[GenerateEvent], None]) -> None:
        """Ask; the sink's last event is ``Finished(done=True)`` or ``Failed``."""

    def cancel(self, request_id: str) -> None:
        """Stop a request; it ends with the reason ``cancelled``."""


class TurnStarted(Struct, frozen=True):
    """The messages are in the store; ``user`` is None when only an answer is written."""

    conversation: int
    user: int | None
    assistant: int


class TurnEnded(Struct, frozen=True):
    """The answer has ended; ``reason`` is a FinishReason or ``failed``, then with ``error``."""

    conversation: int
    assistant: int
    reason: str
    usage: Usage | None = None
    timings: Timings | None = None
    seed: int | None = None
    error: ErrorInfo | None = None
    thought: float | None = None
    """Seconds from the first thought to the first word of the answer, as they came from the engine."""


class TurnUnsaved(Struct, frozen=True):
    """The answer has ended and could not be written (a full disk); it stays in memory. Called on the writer thread."""

    conversation: int
    assistant: int
    error: ErrorInfo


TurnEvent = TurnStarted | Delta | TurnEnded | TurnUnsaved
Listener = Callable[[TurnEvent], None]


class Turn:
    """One answer on its way. ``ended`` gives TurnEnded once it is over and written."""

    def __init__(
        self,
        store: ChatStore,
        engine: Engine,
        started: TurnStarted,
        request: str,
        listener: Listener,
        over: "Callable[[Turn], None]",
        before: StoredMessage | None = None,
    ) -> None:
        """``before`` is the answer so far, of one that is continued: its figures count on."""
        self._before = before
        self.conversation, self.user, self.assistant = started.conversation, started.user, started.assistant
        self.request = request
        self.ended: Future[TurnEnded] = Future()
        self._store, self._engine, self._listener, self._when_over = store, engine, listener, over
        self._calls: dict[int, ToolCallDelta] = {}
        self._logprobs: list[TokenLogprob] = []
        self._thinking_since: float | None = None
        self._thought: float | None = None
        self._spoke = False
        self._lock = threading.Lock()
        self._over = False
        self._submitted = False

    @property
    def over(self) -> bool:
        """Nothing more comes; it may still be on its way to the disk."""
        return self._over

    def stop(self) -> None:
        """Stop writing; what is there is kept. Idempotent."""
        with self._lock:
            waiting = not self._submitted and not self._over
        if waiting:
            self.take(Finished("cancelled", Usage(), Timings()))
        else:
            self._engine.cancel(self.request)

    def submit(self, model: str, request: GenerateRequest) -> None:
        """Hand the request to the engine, unless it was stopped before."""
        with self._lock:
            if self._over:
                return
            self._submitted = True
        try:
            self._engine.submit(model, request, self.take)
        except HearthError as error:
            self.take(Failed(error.code, error.message, error.params))

    def take(self, event: GenerateEvent) -> None:
        """The sink: journal, tell the listener, and end."""
        if isinstance(event, Delta):
            self._delta(event)
        elif isinstance(event, Failed):
            error = ErrorInfo(event.code, event.message, event.params)
            self._end(TurnEnded(self.conversation, self.assistant, "failed", error=error))
        elif event.choice == 0:
            usage = event.usage if event.usage != Usage() else None
            timings = event.timings if usage else None
            if self._before is not None:
                usage, timings = (
                    both_usages(self._before.usage, usage),
                    both_timings(self._before.timings, timings),
                )
            self._end(TurnEnded(self.conversation, self.assistant, event.reason, usage, timings, event.seed))

    def _delta(self, delta: Delta) -> None:
        if self._over or delta.choice:
            return
        for piece in delta.tool_calls:
            self._calls[piece.index] = joined(self._calls.get(piece.index), piece)
        self._logprobs += delta.logprobs
        if delta.text or delta.reasoning:
            self._time_thinking(delta)
            self._journal(delta)
        self.tell(delta)

    def _time_thinking(self, delta: Delta) -> None:
        if delta.reasoning:
            self._thinking_since = self._thinking_since or time.monotonic()
            self._spoke = False
        if self._thinking_since is not None and not self._spoke:
            self._thought = time.monotonic() - self._thinking_since
        self._spoke = self._spoke or bool(delta.text)

    def _journal(self, delta: Delta) -> None:
        try:
            self._store.journal(self.assistant, delta.text, delta.reasoning)
        except HearthError as error:
            log.info("a piece of the answer %d is only in memory: %s", self.assistant, error)

    def _end(self, ended: TurnEnded) -> None:
        with self._lock:
            if self._over:
                return
            self._over = True
        ended = structs.replace(ended, thought=self._thought)
        calls = tuple(ToolCall(c.id, c.name, c.arguments or "{}") for _, c in sorted(self._calls.items()))
        written = self._finish(ended, calls)
        self.tell(ended)
        written.add_done_callback(lambda done: self._written(done, ended))

    def _finish(self, ended: TurnEnded, calls: tuple[ToolCall, ...]) -> "Future[None]":
        try:
            return self._store.finish(
                self.assistant, ended.reason, ended.usage, ended.timings,
                seed=ended.seed, error=ended.error, tool_calls=calls, thought=ended.thought,
                logprobs=tuple(self._logprobs),
            )  # fmt: skip
        except HearthError as error:
            failed: Future[None] = Future()
            failed.set_exception(error)
            return failed

    def _written(self, done: "Future[None]", ended: TurnEnded) -> None:
        problem = done.exception()
        if problem is not None:
            log.info("the answer %d was not written: %s", self.assistant, problem)
            if isinstance(problem, SaveDiskFullError):
                problem = DiskFullError(**problem.params)  # the store writes it when there is room
            self.tell(TurnUnsaved(self.conversation, self.assistant, info(problem)))
        self._when_over(self)
        self.ended.set_result(ended)

    def tell(self, event: TurnEvent) -> None:
        """Call the listener; one that raises loses nothing."""
        try:
            self._listener(event)
        except Exception:
            log.exception("a turn's listener failed")


def both_usages(first: Usage | None, then: Usage | None) -> Usage | None:
    """The tokens of an answer that was continued: all that were written, after the prompt of its beginning."""
    if first is None or then is None:
        return first or then
    return Usage(
        first.prompt, first.completion + then.completion, first.cached, first.reasoning + then.reasoning
    )


def both_timings(first: Timings | None, then: Timings | None) -> Timings | None:
    """The times of an answer that was continued: how it began, and all the writing."""
    if first is None or then is None:
        return first or then
    return structs.replace(
        first, decode=first.decode + then.decode, decode_tokens=first.decode_tokens + then.decode_tokens
    )


def joined(before: ToolCallDelta | None, piece: ToolCallDelta) -> ToolCallDelta:
    """A tool call with one more piece of it."""
    if before is None:
        return piece
    return ToolCallDelta(
        piece.index, before.id or piece.id, before.name or piece.name, before.arguments + piece.arguments
    )


def info(error: BaseException) -> ErrorInfo:
    """Any error as data."""
    if not isinstance(error, HearthError):
        error = InternalError(detail=str(error) or type(error).__name__)
    return ErrorInfo(error.code, error.message, error.params)
