"""Turns: store the question, ask the engine, journal the answer as it comes, keep it whatever happens.

Calls that begin a turn write to the store and may take some milliseconds: make them from a task, not the GUI thread.
A turn's listener gets ``TurnStarted`` on the caller's thread, then the engine's ``Delta`` objects by reference and
``TurnEnded`` on the runtime thread; it must only take note and return.
"""

import logging
import threading
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

from msgspec import Struct

from app.chat.store import ChatStore
from app.chat.store_types import Conversation, NewAttachment, StoredMessage
from app.core.errors import HearthError, InternalError, UsageError
from app.core.events import ErrorInfo
from app.core.generate import (
    ContextPolicy,
    Delta,
    Failed,
    Finished,
    GenerateEvent,
    GenerateRequest,
    ImagePart,
    Message,
    ReasoningOptions,
    ResponseFormat,
    SamplingParams,
    Timings,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
    ToolSpec,
    Usage,
)

log = logging.getLogger(__name__)

TITLE_LENGTH = 60
DEFAULT_SAMPLING = SamplingParams()


class Engine(Protocol):
    """What a session needs of ``runtime.supervisor.Supervisor``."""

    def submit(self, model_id: str, request: GenerateRequest, sink: Callable[[GenerateEvent], None]) -> None:
        """Ask; the sink's last event is ``Finished(done=True)`` or ``Failed``."""

    def cancel(self, request_id: str) -> None:
        """Stop a request; it ends with the reason ``cancelled``."""


class TurnOptions(Struct, frozen=True):
    """How a turn is asked. ``quant`` is kept with the answer."""

    model: str
    quant: str = ""
    sampling: SamplingParams = DEFAULT_SAMPLING
    context_policy: ContextPolicy = "stop"
    reasoning: ReasoningOptions = ReasoningOptions()
    response_format: ResponseFormat = ResponseFormat()
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    template_kwargs: dict[str, object] = {}


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
        self, session: "ChatSession", started: TurnStarted, request: str, listener: Listener
    ) -> None:
        self.conversation, self.user, self.assistant = started.conversation, started.user, started.assistant
        self.request = request
        self.ended: Future[TurnEnded] = Future()
        self._session, self._listener = session, listener
        self._calls: dict[int, ToolCallDelta] = {}
        self._lock = threading.Lock()
        self._over = False
        self._submitted = False

    def stop(self) -> None:
        """Stop writing; what is there is kept. Idempotent."""
        with self._lock:
            waiting = not self._submitted and not self._over
        if waiting:
            self.take(Finished("cancelled", Usage(), Timings()))
        else:
            self._session.engine.cancel(self.request)

    def submit(self, model: str, request: GenerateRequest) -> None:
        """Hand the request to the engine, unless it was stopped before."""
        with self._lock:
            if self._over:
                return
            self._submitted = True
        try:
            self._session.engine.submit(model, request, self.take)
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
            self._end(TurnEnded(self.conversation, self.assistant, event.reason, usage, timings, event.seed))

    def _delta(self, delta: Delta) -> None:
        if self._over or delta.choice:
            return
        for piece in delta.tool_calls:
            self._calls[piece.index] = _joined(self._calls.get(piece.index), piece)
        if delta.text or delta.reasoning:
            self._journal(delta)
        self._tell(delta)

    def _journal(self, delta: Delta) -> None:
        try:
            self._session.store.journal(self.assistant, delta.text, delta.reasoning)
        except HearthError as error:
            log.info("a piece of the answer %d is only in memory: %s", self.assistant, error)

    def _end(self, ended: TurnEnded) -> None:
        with self._lock:
            if self._over:
                return
            self._over = True
        calls = tuple(ToolCall(c.id, c.name, c.arguments or "{}") for _, c in sorted(self._calls.items()))
        written = self._finish(ended, calls)
        self._session.forget(self)
        self._tell(ended)
        written.add_done_callback(lambda done: self._written(done, ended))

    def _finish(self, ended: TurnEnded, calls: tuple[ToolCall, ...]) -> "Future[None]":
        try:
            return self._session.store.finish(
                self.assistant, ended.reason, ended.usage, ended.timings,
                seed=ended.seed, error=ended.error, tool_calls=calls,
            )  # fmt: skip
        except HearthError as error:
            failed: Future[None] = Future()
            failed.set_exception(error)
            return failed

    def _written(self, done: "Future[None]", ended: TurnEnded) -> None:
        problem = done.exception()
        if problem is not None:
            log.info("the answer %d was not written: %s", self.assistant, problem)
            self._tell(TurnUnsaved(self.conversation, self.assistant, info(problem)))
        self.ended.set_result(ended)

    def _tell(self, event: TurnEvent) -> None:
        try:
            self._listener(event)
        except Exception:
            log.exception("a turn's listener failed")


def _joined(before: ToolCallDelta | None, piece: ToolCallDelta) -> ToolCallDelta:
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


class ChatSession:
    """Begins turns and knows those that run. Serves every conversation; thread-safe."""

    def __init__(self, store: ChatStore, engine: Engine) -> None:
        self.store, self.engine = store, engine
        self._lock = threading.Lock()
        self._turns: dict[int, Turn] = {}

    # ---------------------------------------------------------------------------------- beginning turns

    def ask(
        self,
        conversation: int,
        text: str,
        options: TurnOptions,
        listener: Listener,
        *,
        attachments: Sequence[NewAttachment] = (),
        after: "Future[Any] | None" = None,
    ) -> Turn:
        """Add a question to the active path and have it answered. With ``after`` (a load) the question is kept at
        once and asked when that is done; if it fails, the answer holds its error. Raises UsageError while the last
        answer is still being written."""
        path = self.store.messages(conversation)
        if path and path[-1].state == "writing":
            raise UsageError(detail="The last answer is still being written.")
        parent = path[-1].id if path else None
        question = self.store.append(conversation, parent, "user", text, attachments=attachments)
        found = self.store.conversation(conversation)
        if not found.title:
            self.store.rename(conversation, title_of(text), auto=True)
        return self._answer(found, [*path, question], options, listener, after, user=question.id)

    def answer(
        self,
        message: int,
        options: TurnOptions,
        listener: Listener,
        *,
        after: "Future[Any] | None" = None,
    ) -> Turn:
        """Write a (further) answer below a message; call it twice with two models to compare them."""
        path = self._path_to(message)
        return self._answer(self.store.conversation(path[-1].conversation), path, options, listener, after)

    def regenerate(
        self, message: int, options: TurnOptions, listener: Listener, *, after: "Future[Any] | None" = None
    ) -> Turn:
        """Another version of an answer; given a question, an answer to it. Raises UsageError."""
        found = self.store.message(message)
        target = message if found.role in {"user", "tool"} else found.parent
        if target is None:
            raise UsageError(detail="There is no question to answer again.")
        return self.answer(target, options, listener, after=after)

    def edit_and_resend(
        self,
        message: int,
        text: str,
        options: TurnOptions,
        listener: Listener,
        *,
        after: "Future[Any] | None" = None,
    ) -> Turn:
        """Ask a question in other words, beside the old one."""
        edited = self.store.edit(message, text)
        path = self._path_to(edited.id)
        conversation = self.store.conversation(edited.conversation)
        return self._answer(conversation, path, options, listener, after, user=edited.id)

    def continue_answer(
        self, message: int, options: TurnOptions, listener: Listener, *, after: "Future[Any] | None" = None
    ) -> Turn:
        """Let an answer that ended too soon go on where it stopped. Raises UsageError."""
        found = self.store.message(message)
        if found.role != "assistant":
            raise UsageError(detail="Only an answer can go on.")
        path = self._path_to(message)
        self.store.reopen(message)
        conversation = self.store.conversation(found.conversation)
        started = TurnStarted(conversation.id, None, message)
        return self._start(conversation, path, options, listener, after, started, goes_on=True)

    # ------------------------------------------------------------------------------------ running turns

    def running(self, conversation: int | None = None) -> tuple[Turn, ...]:
        """Turns on their way, of one conversation or of all."""
        with self._lock:
            turns = tuple(self._turns.values())
        return tuple(turn for turn in turns if conversation is None or turn.conversation == conversation)

    def stop(self, conversation: int | None = None) -> None:
        """Stop the answers of a conversation, or all; what is there is kept."""
        for turn in self.running(conversation):
            turn.stop()

    def forget(self, turn: Turn) -> None:
        """A turn is over."""
        with self._lock:
            self._turns.pop(turn.assistant, None)

    def close(self, timeout: float = 5.0) -> None:
        """Stop every answer and wait until they are written. Idempotent."""
        turns = self.running()
        self.stop()
        for turn in turns:
            try:
                turn.ended.result(timeout)
            except TimeoutError:
                log.info("the answer %d did not end in time; its journal keeps it", turn.assistant)

    # ---------------------------------------------------------------------------------------- the parts

    def _path_to(self, message: int) -> list[StoredMessage]:
        """The way from the root to a message, which is put on the active path."""
        self.store.switch(message)
        path = list(self.store.messages(self.store.message(message).conversation))
        end = next(i for i, found in enumerate(path) if found.id == message)
        return path[: end + 1]

    def _answer(
        self,
        conversation: Conversation,
        path: Sequence[StoredMessage],
        options: TurnOptions,
        listener: Listener,
        after: "Future[Any] | None",
        user: int | None = None,
    ) -> Turn:
        made = self.store.append(
            conversation.id, path[-1].id, "assistant",
            model=options.model, quant=options.quant, sampling=options.sampling, writing=True,
        )  # fmt: skip
        if conversation.model != options.model:
            self.store.update(conversation.id, model=options.model)
        started = TurnStarted(conversation.id, user, made.id)
        return self._start(conversation, path, options, listener, after, started)

    def _start(
        self,
        conversation: Conversation,
        path: Sequence[StoredMessage],
        options: TurnOptions,
        listener: Listener,
        after: "Future[Any] | None",
        started: TurnStarted,
        goes_on: bool = False,
    ) -> Turn:
        request = self._request(conversation, path, options, goes_on)
        turn = Turn(self, started, request.id, listener)
        with self._lock:
            self._turns[started.assistant] = turn
        turn._tell(started)
        if after is None:
            turn.submit(options.model, request)
        else:
            after.add_done_callback(lambda done: _submit_after(done, turn, options.model, request))
        return turn

    def _request(
        self, conversation: Conversation, path: Sequence[StoredMessage], options: TurnOptions, goes_on: bool
    ) -> GenerateRequest:
        system = [Message("system", conversation.system)] if conversation.system else []
        asked = [message for message in path if _says_something(message)]
        return GenerateRequest(
            id=uuid.uuid4().hex,
            messages=(*system, *(self._message(message) for message in asked)),
            sampling=options.sampling,
            tools=options.tools,
            tool_choice=options.tool_choice,
            response_format=options.response_format,
            reasoning=options.reasoning,
            template_kwargs=options.template_kwargs,
            continue_last=goes_on,
            context_policy=options.context_policy,
            conversation=conversation.key,
        )

    def _message(self, message: StoredMessage) -> Message:
        pictures = [attachment for attachment in message.attachments if attachment.kind == "image"]
        images = tuple(ImagePart(self.store.attachment_data(found.id), found.mime) for found in pictures)
        return message.as_message(images)


def _says_something(message: StoredMessage) -> bool:
    """An answer that failed before its first word would only puzzle the model."""
    return message.role != "assistant" or bool(message.text or message.tool_calls)


def _submit_after(done: "Future[Any]", turn: Turn, model: str, request: GenerateRequest) -> None:
    if done.cancelled():
        turn.take(Finished("cancelled", Usage(), Timings()))
        return
    problem = done.exception()
    if problem is None:
        turn.submit(model, request)
        return
    found = info(problem)
    turn.take(Failed(found.code, found.message, found.params))


def title_of(text: str) -> str:
    """A title from a question: its first line that says something, cut at a word."""
    lines = [line.strip().lstrip("#>*-` ").strip() for line in text.splitlines()]
    line = next((line for line in lines if line), "")
    if len(line) <= TITLE_LENGTH:
        return line
    space = line.rfind(" ", TITLE_LENGTH // 2, TITLE_LENGTH + 1)
    return line[: space if space > 0 else TITLE_LENGTH].rstrip(" ,.;:") + "…"
