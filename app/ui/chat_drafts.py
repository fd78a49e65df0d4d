"""What is typed and not sent: kept with its conversation, or for the next new one."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace
from PySide6.QtCore import QObject, QTimer

from app.chat.store_types import Conversation

if TYPE_CHECKING:
    from app.ui.chat_controller import ChatController

_SAVE_MS = 600


class ChatDrafts(QObject):
    """The draft in the composer. Written a moment after the last key."""

    def __init__(self, owner: "ChatController") -> None:
        super().__init__(owner)
        self._owner = owner
        self._new = self._now = ""
        self._changed = False
        """Something was typed since it was last kept. (A single-shot timer is not active any more in its timeout.)"""
        self._unsaved: dict[int, str] = {}
        """Drafts on their way to the disk: a chat opened again at once is read by another thread, maybe before."""
        self._timer = QTimer(self, interval=_SAVE_MS, singleShot=True)
        self._timer.timeout.connect(self.save)

    def close(self) -> None:
        """Keep what is typed."""
        self.save()

    def keep(self, text: str) -> None:
        """Remember what is typed but not sent."""
        if text != self._now:
            self._now, self._changed = text, True
            self._timer.start()

    def of_new(self) -> str:
        """What was typed before a new conversation was opened; a temporary one begins with nothing."""
        self._now, self._changed = "" if self._owner.place.temporary else self._new, False
        return self._now

    def of(self, chat: int, conversation: Conversation) -> str:
        """What was typed in a conversation."""
        self._now, self._changed = self._unsaved.get(chat, conversation.draft), False
        return self._now

    def on_its_way(self, chat: int) -> str | None:
        """The draft of a conversation that is not on the disk yet."""
        return self._unsaved.get(chat)

    def reading(self, chat: int) -> Callable[[Conversation], Conversation]:
        """A conversation is read now, maybe before its draft is written: returns what puts that into what was read."""
        typed = self.on_its_way(chat)
        return lambda found: found if typed is None else replace(found, draft=typed)

    def was_asked(self) -> None:
        """The new conversation's draft has become its first question."""
        if not self._owner.place.temporary:
            self._new = ""

    def give_back(self, question: str) -> str:
        """A question could not be asked: it is a draft again, unless something else was typed."""
        self._now, self._changed = self._now or question, True
        self.save()
        return self._now

    def save(self) -> None:
        """Keep what is typed, if it changed since."""
        self._timer.stop()
        if not self._changed:
            return
        owner, self._changed = self._owner, False
        if owner.chat is None:
            self._new = self._new if owner.place.temporary else self._now
            return
        chat, text, store = owner.chat, self._now, owner.place.store
        if not owner.place.temporary:
            self._unsaved[chat] = text
        owner.run(lambda: store.save_draft(chat, text).result(), partial(self._saved, chat, text))

    def _saved(self, chat: int, text: str, _done: None) -> None:
        if self._unsaved.get(chat) == text:
            del self._unsaved[chat]
