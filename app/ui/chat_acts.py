"""What the buttons and the menu of a message do."""

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QGuiApplication

from app.ui.entries import Entry

if TYPE_CHECKING:
    from concurrent.futures import Future

    from app.chat.store import ChatStore
    from app.ui.chat_controller import ChatController
    from app.ui.turn_view import TurnView


class ChatActs(QObject):
    """Acts on messages of the open conversation; what can be undone is offered for undoing."""

    naming = Signal(str, object)
    """A model gives a chat its title: its name, and the Future of it."""

    def __init__(self, owner: "ChatController") -> None:
        super().__init__(owner)
        self._owner = owner
        self._going: dict[tuple[int, ...], int] = {}
        """Of the versions of one message, which was asked for and is not shown yet."""

    def act(self, key: int, name: str) -> None:
        """Do what a button of message ``key`` says; ``name`` may carry a model after a colon."""
        owner, entry = self._owner, self._owner.entry(key)
        if entry is None:
            return
        name, _, about = name.partition(":")
        if name == "copy":
            QGuiApplication.clipboard().setText(entry.text)
        elif name == "delete":
            self._delete(key)
        elif name == "fork":
            self._fork(key)
        elif name in {"pinned", "dropped", ""}:
            owner.window.mark(key, name)  # type: ignore[arg-type]
        elif owner.turns.here() is None:
            self._ask_about(entry, name, about)

    def _ask_about(self, entry: Entry, name: str, about: str) -> None:
        turns = self._owner.turns
        if name in {"regenerate", "retry"}:
            turns.regenerate(entry, about)
        elif name == "compare":
            self._compare(entry, about)
        elif name == "continue":
            turns.go_on(entry)
        elif name == "load_again":
            turns.go_on(entry) if entry.text else turns.regenerate(entry)
        elif name in {"previous", "next"}:
            self._switch(entry.key, -1 if name == "previous" else 1)

    def edit(self, key: int, text: str) -> None:
        """Ask a question in other words, or correct an answer in place."""
        owner, entry, store = self._owner, self._owner.entry(key), self._owner.place.store
        if entry is None:
            return
        if owner.turns.here() is not None:
            owner.edit_refused.emit(key, text)
            owner.said.emit(self.tr("An answer is being written: wait for its end, or stop it."), "warn")
        elif entry.role == "assistant":
            self._correct(store, key, entry.text, text)
        else:
            owner.turns.ask_again(key, entry, text)

    def _correct(self, store: "ChatStore", key: int, old: str, new: str) -> None:
        owner = self._owner

        def undo() -> None:
            owner.change(lambda: store.rewrite(key, old), lambda _none: owner.reload())

        def done(_none: object) -> None:
            owner.reload()
            owner.undoable.emit(self.tr("Answer changed"), undo)

        owner.change(lambda: store.rewrite(key, new), done)

    def _compare(self, entry: Entry, other: str) -> None:
        owner = self._owner
        index = next((i for i, known in enumerate(owner.entries) if known.key == entry.key), 0)
        if index:
            owner.side_by_side = True
            owner.turns.compare(owner.entries[index - 1], entry, other)

    def keep(self, key: int) -> None:
        """Go on with this answer of two, and with the model that wrote it."""
        owner, store = self._owner, self._owner.place.store
        owner.side_by_side = False

        def work() -> None:
            store.switch(key)
            found = store.message(key)
            store.update(found.conversation, model=found.model)

        owner.change(work, lambda _none: owner.reload())

    def _switch(self, key: int, step: int) -> None:
        owner, message, store = self._owner, self._owner.messages.get(key), self._owner.place.store
        if message is None:
            return
        versions = message.versions
        wanted = (
            self._going.get(versions, message.version) + step
        )  # a second click may come before the first is shown
        if 0 <= wanted < len(versions):
            target, self._going = versions[wanted], {versions: wanted}
            owner.change(
                lambda: store.switch(target), lambda _none: owner.reload(then=partial(self._gone, target))
            )

    def _gone(self, target: int) -> None:
        """Forget which version was asked for, unless it is another by now."""
        self._going = {v: at for v, at in self._going.items() if v[at] != target}

    def _delete(self, key: int) -> None:
        owner, store = self._owner, self._owner.place.store
        if owner.turns.here() is not None:
            owner.stop()

        place, chat = owner.place, owner.chat

        def back(_none: object) -> None:
            if (owner.place, owner.chat) == (place, chat) or place.temporary:
                owner.reload()
            else:
                owner.open(chat)

        def undo() -> None:
            owner.change(lambda: store.restore_message(key), back)

        def done(_none: object) -> None:
            owner.reload()
            owner.undoable.emit(self.tr("Message deleted, with what follows it"), undo)

        owner.change(lambda: store.delete_message(key), done)

    def _fork(self, key: int) -> None:
        owner, store = self._owner, self._owner.place.store
        words = self.tr("{title} (branch)").format(title=owner.title)
        owner.run(lambda: store.fork(key, words), lambda made: owner.show_place(made.id))

    def name(self, turn: "TurnView") -> None:
        """Have the model write a title after its first answer, unless a person gave one."""
        owner, chat = self._owner, turn.conversation
        wanted = owner.services.settings.value.chat.write_titles
        if not wanted or turn.place.temporary or chat is None or turn.turn is None:
            return
        store, session, ended = turn.place.store, turn.place.session, turn.turn.ended

        def work() -> "Future[str] | None":
            ended.result(10)
            due = store.conversation(chat).auto_title and len(store.messages(chat)) == 2
            return session.write_title(chat, turn.entry.model) if due else None

        def asked(title: "Future[str] | None") -> None:
            if title is not None:
                self.naming.emit(turn.entry.model, title)

        owner.run(work, asked)
