"""Answers on their way: asked, grown frame by frame, ended; in the transcript or side by side in two columns."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from PySide6.QtCore import QObject

from app.chat.session import Turn, TurnEnded, TurnOptions, TurnStarted, TurnUnsaved
from app.chat.store_types import NewAttachment
from app.core.events import InstanceChanged, LoadWaits
from app.core.generate import Delta
from app.ui import tasks
from app.ui.entries import Entry, attached
from app.ui.live_answer import LiveAnswer
from app.ui.load_after import is_ready, load_after
from app.ui.turn_view import TurnView, loading_text, room_text, waiting_text

if TYPE_CHECKING:
    from app.ui.chat_controller import ChatController

Begin = Callable[[int, TurnOptions, Callable[[object], None], "Future[Any] | None"], Turn]
"""(conversation, how, listener, load under way or None) -> the turn; runs on the task pool."""


class ChatTurns(QObject):
    """Begins answers for the open conversation and shows those that belong to it."""

    def __init__(self, owner: "ChatController") -> None:
        super().__init__(owner)
        self._owner = owner
        self._turns: dict[int, TurnView] = {}
        self._tag = 0
        self._live = LiveAnswer(self._deliver, self)

    # ---------------------------------------------------------------- what runs

    def here(self) -> TurnView | None:
        """An answer of the open conversation that is being written."""
        return next((turn for turn in self._turns.values() if self._is_here(turn) and not turn.over), None)

    def _is_here(self, turn: TurnView) -> bool:
        return turn.place is self._owner.place and turn.conversation == self._owner.chat

    def stop(self) -> None:
        """Stop the answers of the open conversation; what is there is kept."""
        chat = self._owner.chat
        for turn in list(self._turns.values()):
            if self._is_here(turn) and not turn.over:
                turn.stopped = True
                if turn.turn is not None:
                    turn.turn.stop()
                turn.unwanted.set()
        if chat is not None:  # asked for in another window
            self._owner.session.stop(chat)

    def close(self, *, last: bool = True) -> None:
        """Stop the answers that were asked for here, and wait until they are written; those of kept chats only in the
        ``last`` window."""
        self._live.stop()
        ending = [view for view in self._turns.values() if last or view.place.temporary or view.turn is None]
        for view in ending:
            view.unwanted.set()
        begun = [view.turn for view in ending if view.turn is not None]
        for turn in begun:
            turn.stop()
        for turn in begun:
            try:
                turn.ended.result(5)
            except TimeoutError:
                continue  # its journal keeps it

    # ---------------------------------------------------------------- asking

    def ask(self, text: str, files: Sequence[NewAttachment] = ()) -> None:
        """Ask in the open conversation (a new one is made first)."""
        owner = self._owner
        turn = self._new_turn(Entry(0, "assistant", model=owner.model))
        names, shown = attached(files)
        turn.files = tuple(files)
        turn.question = Entry(-2 * turn.tag, "user", text, files=names, pictures=shown)
        owner.add(turn.question)
        owner.add(turn.entry)

        def begin(
            chat: int, how: TurnOptions, listener: Callable[[object], None], after: "Future[Any] | None"
        ) -> Turn:
            return turn.place.session.ask(chat, text, how, listener, attachments=files, after=after)

        self._begin(turn, begin)

    def ask_again(self, key: int, entry: Entry, text: str) -> None:
        """The question ``entry`` in other words, beside the old one."""
        turn = self._new_turn(Entry(0, "assistant", model=self._owner.model))
        count = entry.versions + 1
        turn.question = Entry(
            -2 * turn.tag,
            "user",
            text,
            version=count,
            versions=count,
            files=entry.files,
            pictures=entry.pictures,
        )
        self._owner.cut(key)
        self._owner.add(turn.question)
        self._owner.add(turn.entry)

        def begin(
            _chat: int, how: TurnOptions, listener: Callable[[object], None], after: "Future[Any] | None"
        ) -> Turn:
            return turn.place.session.edit_and_resend(key, text, how, listener, after=after)

        self._begin(turn, begin)

    def regenerate(self, entry: Entry, model: str = "") -> None:
        """Another version of an answer, by another model if one is named; given a question, an answer to it."""
        count = entry.versions + 1 if entry.role == "assistant" else 1
        new = Entry(0, "assistant", model=model or self._owner.model, version=count, versions=count)
        turn = self._new_turn(new)
        self._owner.cut(entry.key)
        self._owner.add(turn.entry)
        self._begin(turn, self._answer_again(turn, entry.key), model)

    def _answer_again(self, turn: TurnView, key: int) -> Begin:
        def begin(
            _chat: int, how: TurnOptions, listener: Callable[[object], None], after: "Future[Any] | None"
        ) -> Turn:
            return turn.place.session.regenerate(key, how, listener, after=after)

        return begin

    def go_on(self, entry: Entry) -> None:
        """Let an answer that ended too soon go on where it stopped."""
        turn = self._new_turn(msgspec.structs.replace(entry, error=None, reason=None, interrupted=False))
        turn.entry = msgspec.structs.replace(turn.entry, key=entry.key)
        self._owner.replaced.emit(entry.key, turn.entry)

        def begin(
            _chat: int, how: TurnOptions, listener: Callable[[object], None], after: "Future[Any] | None"
        ) -> Turn:
            return turn.place.session.continue_answer(entry.key, how, listener, after=after)

        self._begin(turn, begin)

    # ---------------------------------------------------------------- two models side by side

    def ask_both(self, text: str, files: Sequence[NewAttachment], other: str) -> None:
        """Ask the chosen model and another one the same, and show both answers as they come."""
        owner = self._owner
        names, shown = attached(files)
        question = Entry(-1, "user", text, files=names, pictures=shown)
        first = self._column_turn(0, owner.model)
        first.question, first.files = question, tuple(files)
        second = self._column_turn(1, other)
        owner.comparing.emit(question, [first.entry, second.entry])

        def begin(
            chat: int, how: TurnOptions, listener: Callable[[object], None], after: "Future[Any] | None"
        ) -> Turn:
            return first.place.session.ask(chat, text, how, listener, attachments=files, after=after)

        def begun(started: Turn) -> None:
            if started.user is not None:
                second.conversation = started.conversation
                self._begin(second, self._answer_again(second, started.user), other)

        self._begin(first, begin, then=begun)

    def compare(self, question: Entry, answer: Entry, other: str) -> None:
        """Put an answer that is there beside one that another model writes now."""
        turn = self._column_turn(1, other)
        self._owner.comparing.emit(question, [answer, turn.entry])
        self._begin(turn, self._answer_again(turn, answer.key), other)

    def _column_turn(self, column: int, model: str) -> TurnView:
        turn = self._new_turn(Entry(0, "assistant", model=model))
        turn.column = column
        return turn

    # ---------------------------------------------------------------- the way to the engine

    def _new_turn(self, entry: Entry) -> TurnView:
        self._tag += 1
        owner = self._owner
        entry = msgspec.structs.replace(entry, key=-2 * self._tag - 1)
        turn = TurnView(self._tag, owner.chat, entry, owner.place)
        turn.status = waiting_text()
        self._turns[turn.tag] = turn
        return turn

    def _begin(
        self,
        turn: TurnView,
        begin: Begin,
        model: str = "",
        then: Callable[[Turn], None] | None = None,
    ) -> None:
        owner = self._owner
        self._show(turn, "start_live", turn.entry.key)
        self._show(turn, "set_status", turn.entry.key, turn.status)
        self._live.start()
        owner.busy_changed.emit(True)
        turn.draft_of = owner.drafts.sending()
        options = owner.how.options(model or owner.model)
        draft_of, chat, system = turn.draft_of, turn.conversation, owner.how.system_prompt()
        listener = partial(self._note, turn.tag)

        def work() -> "tuple[Turn, Future[Any] | None]":
            after: Future[Any] | None = None if is_ready(owner.services, options.model) else Future()
            store = turn.place.store
            number = chat if chat is not None else store.create(model=options.model, system=system).id
            if store.conversation(number).deleted_at is not None:
                store.restore(number)  # another window has put it into the bin
            return begin(number, options, listener, after), after

        def begun(found: "tuple[Turn, Future[Any] | None]") -> None:
            started, after = found
            turn.turn = started
            owner.drafts.sent(draft_of)
            if after is not None:
                tasks.run(partial(load_after, owner.services, options.model, after, turn.unwanted), long=True)
            if turn.stopped:
                started.stop()
            if then is not None:
                then(started)

        tasks.run(work, begun, partial(self._not_begun, turn), self)

    def _not_begun(self, turn: TurnView, error: Exception) -> None:
        self._turns.pop(turn.tag, None)
        if not self._turns:
            self._live.stop()
        self._owner.not_begun(turn, error)

    # ---------------------------------------------------------------- events of running answers

    def _note(self, tag: int, event: object) -> None:
        """Any thread."""
        self._live.sink((tag, event))

    def _deliver(self, events: list[object]) -> None:
        by_turn: dict[int, list[object]] = {}
        for item in events:
            assert isinstance(item, tuple)
            by_turn.setdefault(item[0], []).append(item[1])
        for tag, found in by_turn.items():
            turn = self._turns.get(tag)
            if turn is not None:
                self._advance(turn, found)

    def _advance(self, turn: TurnView, events: list[object]) -> None:
        for event in events:
            if isinstance(event, TurnStarted):
                self._started(turn, event)
        deltas = [event for event in events if isinstance(event, Delta)]
        if deltas:
            self._grow(turn, deltas)
        for event in events:
            if isinstance(event, TurnEnded):
                self._ended(turn, event)
            elif isinstance(event, TurnUnsaved):
                self._owner.report(event.error, (turn.place, turn.conversation))

    def _started(self, turn: TurnView, event: TurnStarted) -> None:
        here = self._is_here(turn)
        if here and self._owner.chat is None:
            self._owner.was_created(event.conversation, turn.question.text if turn.question else "")
        old_question, old = turn.question, turn.entry
        turn.start(event)
        if not here:
            return
        if turn.column is not None:
            self._show(turn, "replace", old.key, turn.entry)
            return
        if old_question is not None and turn.question is not None:
            self._owner.swap(old_question.key, turn.question)
        self._owner.swap(old.key, turn.entry)

    def _grow(self, turn: TurnView, deltas: list[Delta]) -> None:
        before = turn.status
        text = turn.add(deltas)
        if not self._is_here(turn):
            return
        self._show(turn, "feed", turn.entry, text)
        if turn.status != before:
            self._show(turn, "set_status", turn.entry.key, turn.status)
        self._owner.window.tell()

    def _ended(self, turn: TurnView, event: TurnEnded) -> None:
        snapshot = self._owner.services.supervisor.snapshot(turn.entry.model)
        details = snapshot.error.details if snapshot is not None and snapshot.error is not None else ""
        turn.end(event, details)
        self._turns.pop(turn.tag, None)
        if not self._turns:
            self._live.stop()
        if self._is_here(turn):
            self._show(turn, "finish_live", turn.entry.key, turn.entry)
        self._owner.turn_ended(turn, event)

    def instance_changed(self, event: InstanceChanged, name: str) -> None:
        """A model loads: the answers that wait for it say so."""
        if event.state not in {"starting", "loading"}:
            return
        for turn in self._turns.values():
            if self._is_here(turn) and turn.entry.model == event.model and not turn.tokens:
                turn.status = loading_text(name, event.progress)
                self._show(turn, "set_status", turn.entry.key, turn.status)

    def load_waits(self, event: LoadWaits, names: Mapping[str, str]) -> None:
        """There is room for a model only when others have answered: the answers that wait for it say so."""
        behind = [names.get(model, model) for model in event.behind]
        for turn in self._turns.values():
            if self._is_here(turn) and turn.entry.model == event.model and not turn.tokens:
                name = names.get(event.model, event.model)
                turn.status = room_text(name, behind) if behind else waiting_text()
                self._show(turn, "set_status", turn.entry.key, turn.status)

    # ---------------------------------------------------------------- showing

    def show_again(self, turn: TurnView) -> None:
        """The conversation was opened while its answer is being written."""
        self._show(turn, "start_live", turn.entry.key)
        self._show(turn, "set_status", turn.entry.key, turn.status)

    def _show(self, turn: TurnView, what: str, *arguments: object) -> None:
        owner = self._owner
        if turn.column is not None:
            owner.column_changed.emit(turn.column, what, arguments)
            return
        signals = {
            "start_live": owner.live_started,
            "set_status": owner.status,
            "feed": owner.fed,
            "replace": owner.replaced,
            "finish_live": owner.finished,
        }
        signals[what].emit(*arguments)
