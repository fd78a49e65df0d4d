"""One answer on its way as the window knows it: its text so far, its times, its state in words. GUI thread only."""

import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
from PySide6.QtCore import QCoreApplication, QLocale

from app.chat.session import Turn, TurnEnded, TurnStarted
from app.chat.turn import joined
from app.core.generate import Delta, ToolCall, ToolCallDelta
from app.ui.chat_place import Place
from app.ui.entries import Entry

if TYPE_CHECKING:
    from app.chat.store_types import NewAttachment
    from app.ui.chat_drafts import Slot


class TurnView:
    """Takes the turn's events; ``entry`` is always what should be shown."""

    def __init__(self, tag: int, conversation: int | None, entry: Entry, place: Place) -> None:
        self.tag, self.conversation, self.entry, self.place = tag, conversation, entry, place
        self.column: int | None = None
        """Where it is shown when two answers stand side by side."""
        self.question: Entry | None = None
        self.files: tuple[NewAttachment, ...] = ()
        """What goes with the question."""
        self.draft_of: Slot | None = None
        """The draft that the question was."""
        self.turn: Turn | None = None
        self.stopped = False
        self.unwanted = threading.Event()
        """Nobody waits any more for room for its model."""
        self.over = False
        self.status = ""
        self.tokens = 0
        self.prompt_tokens = 0
        self._thinking_since: float | None = None
        self._calls: dict[int, ToolCallDelta] = {}

    def start(self, started: TurnStarted) -> None:
        """The store has given the messages their ids."""
        self.conversation = started.conversation
        self.entry = msgspec.structs.replace(self.entry, key=started.assistant)
        if self.question is not None and started.user is not None:
            self.question = msgspec.structs.replace(self.question, key=started.user)

    def add(self, deltas: Sequence[Delta]) -> str:
        """Take what came in one frame; returns the new text."""
        text = "".join(delta.text for delta in deltas)
        reasoning = "".join(delta.reasoning for delta in deltas)
        self.tokens += sum(delta.tokens for delta in deltas)
        for delta in deltas:
            for piece in delta.tool_calls:
                self._calls[piece.index] = joined(self._calls.get(piece.index), piece)
            if delta.prompt_tokens:
                self.prompt_tokens = delta.prompt_tokens
                self.status = _reading(delta.prefilled, delta.prompt_tokens)
        if text or reasoning:
            self.status = ""
        self._time_thinking(text, reasoning)
        self.entry = msgspec.structs.replace(
            self.entry, text=self.entry.text + text, reasoning=self.entry.reasoning + reasoning
        )
        return text

    def _time_thinking(self, text: str, reasoning: str) -> None:
        now = time.monotonic()
        if reasoning and self._thinking_since is None:
            self._thinking_since = now
        if self._thinking_since is not None and (reasoning or text):
            seconds = now - self._thinking_since
            if not self.entry.text:
                self.entry = msgspec.structs.replace(self.entry, reasoning_seconds=seconds)

    def end(self, ended: TurnEnded, details: str) -> None:
        """It is over; ``details`` is what the engine said last, if it died."""
        error = ended.error
        if error is not None and details and not error.details:
            error = msgspec.structs.replace(error, details=details)
        self.over = True
        calls = tuple(ToolCall(c.id, c.name, c.arguments or "{}") for _, c in sorted(self._calls.items()))
        self.entry = msgspec.structs.replace(
            self.entry,
            reason=None if ended.reason == "failed" else ended.reason,
            usage=ended.usage,
            timings=ended.timings,
            seed=ended.seed,
            error=error,
            tool_calls=calls or self.entry.tool_calls,
            reasoning_seconds=self.entry.reasoning_seconds if ended.thought is None else ended.thought,
        )


def _reading(done: int, total: int) -> str:
    count = QLocale().toString
    text = QCoreApplication.translate("Turn", "Reading the prompt: {done} of {total} tokens")
    return text.format(done=count(done), total=count(total))


def loading_text(model: str, progress: float) -> str:
    """The status line while the model loads."""
    percent = QLocale().toString(progress * 100, "f", 0)
    return QCoreApplication.translate("Turn", "Loading {model}: {percent} %").format(
        model=model, percent=percent
    )


def room_text(model: str, behind: Sequence[str]) -> str:
    """The status line while there is no room for the model yet."""
    text = QCoreApplication.translate("Turn", "No room for {model} yet; answering now: {others}")
    return text.format(model=model, others=QLocale().createSeparatedList(list(behind)))


def waiting_text() -> str:
    """The status line before the engine says anything."""
    return QCoreApplication.translate("Turn", "Waiting for the model")
