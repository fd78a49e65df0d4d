"""Turns: store the question, ask the engine, journal the answer as it comes, keep it whatever happens.

Calls that begin a turn write to the store and may take some milliseconds: make them from a task, not the GUI thread.
A turn's listener gets ``TurnStarted`` on the caller's thread, then the engine's ``Delta`` objects by reference and
``TurnEnded`` on the runtime thread; it must only take note and return.
"""

import logging
import threading
import uuid
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from msgspec import Struct

from app.chat import quiet, summaries, titles
from app.chat.fitting import Fitter, Picture
from app.chat.store import ChatStore
from app.chat.store_types import Attachment, Conversation, NewAttachment, StoredMessage
from app.chat.turn import Engine, Listener, Turn, TurnEnded, TurnEvent, TurnStarted, TurnUnsaved, info
from app.core.errors import UsageError
from app.core.generate import (
    ContextPolicy,
    Delta,
    Failed,
    Finished,
    GenerateRequest,
    ImagePart,
    Message,
    ReasoningOptions,
    ResponseFormat,
    SamplingParams,
    Timings,
    ToolChoice,
    ToolSpec,
    Usage,
)

log = logging.getLogger(__name__)

__all__ = [
    "ChatSession",
    "Engine",
    "Listener",
    "Turn",
    "TurnEnded",
    "TurnEvent",
    "TurnOptions",
    "TurnStarted",
    "TurnUnsaved",
]

SETTLE = 10.0  # seconds for a disk that is slow
DEFAULT_SAMPLING = SamplingParams()
FRAME_MS = 33
"""What is written in between is painted at once: it may as well come at once (``GenerateRequest.flush_ms``)."""


class TurnOptions(Struct, frozen=True):
    """How a turn is asked. ``quant`` is kept with the answer."""

    model: str
    quant: str = ""
    sampling: SamplingParams = DEFAULT_SAMPLING
    context_policy: ContextPolicy = "stop"
    """For conversations without a policy of their own (``ChatStore.set_policy``)."""
    reasoning: ReasoningOptions = ReasoningOptions()
    response_format: ResponseFormat = ResponseFormat()
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    template_kwargs: dict[str, object] = {}
    images: bool = True
    """False: the model can't see; images stay in the chat and are not sent."""


class ChatSession:
    """Begins turns and knows those that run. Serves every conversation; thread-safe. ``private``: the engine is not
    told which conversation it is, so that no state of it is ever kept on disk."""

    def __init__(self, store: ChatStore, engine: Engine, *, private: bool = False) -> None:
        self.store, self.engine = store, engine
        self._private = private
        self._lock = threading.Lock()
        self._turns: dict[int, Turn] = {}
        self._fitter = Fitter(engine)

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
        path = self._settled(conversation)
        if path and path[-1].state == "writing":
            raise UsageError(detail="The last answer is still being written.")
        parent = path[-1].id if path else None
        question = self.store.append(conversation, parent, "user", text, attachments=attachments)
        found = self.store.conversation(conversation)
        if not found.title:
            self.store.rename(conversation, titles.from_question(text), auto=True)
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
        self._settled(found.conversation)
        self.store.reopen(message)
        conversation = self.store.conversation(found.conversation)
        started = TurnStarted(conversation.id, None, message)
        return self._start(conversation, path, options, listener, after, started, goes_on=found)

    def write_title(self, conversation: int, model: str) -> "Future[str]":
        """Have the model name a conversation that has no title of a person's. Gives the title, empty when there is
        none; never fails."""
        done: Future[str] = Future()
        messages = [message.as_message() for message in self.store.messages(conversation) if message.text]
        if not messages or not self.store.conversation(conversation).auto_title:
            done.set_result("")
            return done

        def keep(answer: str) -> str:
            title = titles.from_answer(answer)
            if title:
                self.store.rename_later(conversation, title).result(SETTLE)
            return title

        return quiet.ask(self.engine, model, titles.request(uuid.uuid4().hex, messages), keep)

    def messages_for(
        self,
        conversation: int,
        text: str = "",
        attachments: Sequence[NewAttachment] = (),
        with_images: bool = True,
    ) -> tuple[Message, ...]:
        """What the model would be given if ``text`` were asked now: for counting its tokens beforehand."""
        found = self.store.conversation(conversation)
        path = self.in_window(found, self.store.messages(conversation))
        draft = StoredMessage(0, conversation, None, "user", text, attachments=_unsaved(attachments))
        said = [self._message(message, with_images) for message in path]
        images = [ImagePart(a.data, a.mime) for a in attachments if a.kind == "image" and with_images]
        return (*said, *([draft.as_message(tuple(images))] if text or attachments else []))

    @staticmethod
    def in_window(conversation: Conversation, path: Sequence[StoredMessage]) -> list[StoredMessage]:
        """The messages that go to the model, in its order: the system prompt (with id 0) first, without those that a
        person dropped and answers that say nothing."""
        system = [StoredMessage(0, conversation.id, None, "system", conversation.system)]
        kept = [message for message in path if _says_something(message) and message.context != "dropped"]
        return [*(system if conversation.system else []), *kept]

    def picture(
        self,
        conversation: int,
        options: TurnOptions,
        text: str = "",
        attachments: Sequence[NewAttachment] = (),
        coming: int = 0,
    ) -> "Future[Picture]":
        """What fills the model's window if ``text`` were asked now, message by message, in its own tokens."""
        messages = self.messages_for(conversation, text, attachments, options.images)
        found = self.store.conversation(conversation)
        path = self.in_window(found, self.store.messages(conversation))
        policy = found.policy or options.context_policy
        limit = options.sampling.max_tokens
        return self._fitter.picture(options.model, messages, policy, limit, coming, _pinned(path))

    def summarise(self, message: int, model: str) -> "Future[str]":
        """Have the model shorten a message; the summary stands for it in the window from then on. Gives the summary,
        empty when there is none; never fails."""
        found = self.store.message(message)
        request = summaries.request(uuid.uuid4().hex, found)

        def keep(text: str) -> str:
            summary = summaries.from_answer(text, found.text)
            if summary:
                self.store.set_context(message, "summary", summary)
            return summary

        return quiet.ask(self.engine, model, request, keep)

    # ------------------------------------------------------------------------------------ running turns

    def running(self, conversation: int | None = None) -> tuple[Turn, ...]:
        """Turns on their way, of one conversation or of all."""
        with self._lock:
            turns = tuple(self._turns.values())
        return tuple(turn for turn in turns if not turn.over and conversation in {None, turn.conversation})

    def stop(self, conversation: int | None = None) -> None:
        """Stop the answers of a conversation, or all; what is there is kept."""
        for turn in self.running(conversation):
            turn.stop()

    def _forget(self, turn: Turn) -> None:
        with self._lock:
            self._turns.pop(turn.assistant, None)

    def close(self, timeout: float = 5.0) -> None:
        """Stop every answer and wait until they are written. Idempotent."""
        self.stop()
        with self._lock:
            turns = tuple(self._turns.values())
        for turn in turns:
            try:
                turn.ended.result(timeout)
            except TimeoutError:
                log.info("the answer %d did not end in time; its journal keeps it", turn.assistant)

    # ---------------------------------------------------------------------------------------- the parts

    def _settled(self, conversation: int) -> tuple[StoredMessage, ...]:
        """The active path, once answers that have ended are written."""
        with self._lock:
            ending = [
                turn for turn in self._turns.values() if turn.over and turn.conversation == conversation
            ]
        for turn in ending:
            turn.ended.result(SETTLE)
        self.store.save_unsaved()
        return self.store.messages(conversation)

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
        goes_on: StoredMessage | None = None,
    ) -> Turn:
        request = self._request(conversation, path, options, goes_on is not None)
        pinned = _pinned(self.in_window(conversation, path))
        turn = Turn(self.store, self.engine, started, request.id, listener, self._forget, goes_on)
        with self._lock:
            self._turns[started.assistant] = turn
        turn.tell(started)
        if after is None:
            self._submit(turn, options.model, request, pinned)
        else:
            after.add_done_callback(
                lambda done: self._submit_after(done, turn, options.model, request, pinned)
            )
        return turn

    def _submit(self, turn: Turn, model: str, request: GenerateRequest, pinned: Sequence[int]) -> None:
        def send(fitted: GenerateRequest, dropped: tuple[int, ...]) -> None:
            if dropped:
                turn.take(Delta(dropped=dropped))
            turn.submit(model, fitted)

        self._fitter.fit(model, request, send, pinned)

    def _submit_after(
        self, done: "Future[Any]", turn: Turn, model: str, request: GenerateRequest, pinned: Sequence[int]
    ) -> None:
        if done.cancelled():
            turn.take(Finished("cancelled", Usage(), Timings()))
            return
        problem = done.exception()
        if problem is None:
            self._submit(turn, model, request, pinned)
            return
        found = info(problem)
        turn.take(Failed(found.code, found.message, found.params))

    def _request(
        self, conversation: Conversation, path: Sequence[StoredMessage], options: TurnOptions, goes_on: bool
    ) -> GenerateRequest:
        asked = self.in_window(conversation, path)
        return GenerateRequest(
            id=uuid.uuid4().hex,
            messages=tuple(self._message(message, options.images) for message in asked),
            sampling=options.sampling,
            tools=options.tools,
            tool_choice=options.tool_choice,
            response_format=options.response_format,
            reasoning=options.reasoning,
            template_kwargs=options.template_kwargs,
            continue_last=goes_on,
            context_policy=conversation.policy or options.context_policy,
            conversation="" if self._private else conversation.key,
            flush_ms=FRAME_MS,
        )

    def _message(self, message: StoredMessage, with_images: bool = True) -> Message:
        pictures = [file for file in message.attachments if file.kind == "image" and with_images]
        images = tuple(ImagePart(self.store.attachment_data(found.id), found.mime) for found in pictures)
        return message.as_message(images)


def _says_something(message: StoredMessage) -> bool:
    """An answer that failed before its first word would only puzzle the model."""
    return message.role != "assistant" or bool(message.text or message.tool_calls)


def _pinned(path: Sequence[StoredMessage]) -> tuple[int, ...]:
    """Places of the messages that no policy may leave out."""
    return tuple(place for place, message in enumerate(path) if message.context == "pinned")


def _unsaved(attachments: Sequence[NewAttachment]) -> tuple[Attachment, ...]:
    return tuple(Attachment(0, a.name, a.kind, a.mime, a.text, len(a.data)) for a in attachments)
