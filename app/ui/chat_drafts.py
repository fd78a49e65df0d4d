"""What is typed and attached and not sent: kept with its conversation, or for the next new one, also over a restart."""

import logging
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

from msgspec.structs import replace
from PySide6.QtCore import QObject, QTimer

from app.chat.store_types import Conversation, Draft, NewAttachment
from app.core.generate import ContextPolicy
from app.ui import tasks

if TYPE_CHECKING:
    from app.chat.store import ChatStore
    from app.ui.chat_controller import ChatController

log = logging.getLogger(__name__)

_SAVE_MS = 600
_NOTHING = Draft()
_in_use: "WeakKeyDictionary[ChatStore, set[int]]" = WeakKeyDictionary()
"""The places of new chats' drafts that a window of this process writes to."""


class Slot(NamedTuple):
    """Whose draft: a conversation's, or (None) that of a chat in which nothing was asked yet."""

    store: "ChatStore"
    chat: int | None
    temporary: bool


class _Unsaved(NamedTuple):
    draft: Draft
    with_files: bool


class ChatDrafts(QObject):
    """The draft in the composer. Written while one types, at most ``_SAVE_MS`` after a key. What is sent stays on the
    disk as a draft until it is kept as a question."""

    def __init__(self, owner: "ChatController") -> None:
        super().__init__(owner)
        self._owner = owner
        self._slot: Slot | None = None
        """Whose draft the composer holds; None while another chat is read."""
        self._born: Slot | None = None
        """The conversation that a new chat became last."""
        self._now = self._new = _NOTHING
        self._changed = self._files_changed = False
        """Something was typed or attached since it was last kept."""
        self._unsaved: dict[Slot, _Unsaved] = {}
        """Drafts not on the disk yet: a chat opened again at once is read by another thread, maybe before."""
        self._sending: Counter[Slot] = Counter()
        self._place = 0
        """Where this window's new draft is kept; 0: what was kept is not read yet."""
        self._closed = self._place_is_free = False
        self._timer = QTimer(self, interval=_SAVE_MS, singleShot=True)
        self._timer.timeout.connect(self.save)

    # ---------------------------------------------------------------- start and end

    def start(self) -> None:
        """Fetch what was typed into a new chat before the program ended."""
        store = self._owner.place.store
        tasks.run(store.new_drafts, lambda found: self._found(store, found), self._unread, self)

    def _unread(self, error: Exception) -> None:
        log.info("the drafts can't be read: %s", error)  # the list of chats says so above the page

    def _found(self, store: "ChatStore", found: dict[int, Draft]) -> None:
        if self._closed:
            return
        taken = _in_use.setdefault(store, set())
        free = (place for place in range(1, len(taken) + len(found) + 2) if place not in taken)
        left = [place for place in sorted(found) if place not in taken]
        self._place = left[0] if left else next(free)
        taken.add(self._place)
        kept = found.get(self._place, _NOTHING)
        slot = self._slot
        if slot is not None and slot == Slot(store, None, temporary=False):
            self._join(kept)
        else:
            typed, self._new = self._new, _joined(kept, self._new)
            if typed:
                self._put(Slot(store, None, temporary=False), self._new, with_files=bool(typed.files))

    def _join(self, kept: Draft) -> None:
        """What was kept goes before what was typed since the start."""
        typed, self._now = self._now, _joined(kept, self._now)
        self._new = self._now
        if kept:
            self._owner.drafted.emit(self._now)
        if typed:
            self._note(with_files=bool(typed.files))

    def close(self) -> None:
        """Keep what is typed."""
        self.save()
        self._closed = True
        _in_use.get(self._owner.services.chats, set()).discard(self._place)

    # ---------------------------------------------------------------- what the composer tells

    def keep(self, text: str, files: tuple[NewAttachment, ...]) -> None:
        """Remember what is typed and attached but not sent."""
        self._keep(replace(self._now, text=text, files=files))

    def _keep(self, draft: Draft) -> None:
        if self._slot is None or draft == self._now:
            return
        with_files, self._now = draft.files != self._now.files, draft
        self._note(with_files=with_files)

    def _note(self, *, with_files: bool) -> None:
        self._changed, self._files_changed = True, self._files_changed or with_files
        if not self._timer.isActive():  # who types without a rest is not asked to lose it all
            self._timer.start()

    @property
    def begun(self) -> Draft:
        """The draft of the new chat that is open, for how it is to be asked; empty where a conversation is."""
        return self._now if self._slot is not None and self._slot.chat is None else _NOTHING

    def choose_system(self, text: str) -> None:
        """The system prompt of the new chat that is open."""
        self._keep(replace(self._now, system=text))

    def choose_policy(self, policy: ContextPolicy) -> None:
        """What happens in the new chat that is open when its window is full."""
        self._keep(replace(self._now, policy=policy))

    @property
    def slot(self) -> Slot | None:
        """Whose draft the composer holds."""
        return self._slot

    def add(self, slot: Slot, files: tuple[NewAttachment, ...]) -> None:
        """Files were read while another chat was opened: they belong where they were attached."""
        if slot.chat is None and self._slot is not None and self._slot == self._born:
            slot = self._slot  # the new chat's question was sent before they were read
        if slot.chat is None:
            self._put(slot, replace(self._new, files=self._new.files + files), with_files=True)
            return
        read, unsaved = self._read(slot, slot.chat), self._unsaved.get(slot)

        def put(found: Draft) -> None:
            draft = replace(found, files=found.files + files)
            if slot == self._slot:  # and opened again meanwhile
                self._owner.drafted.emit(replace(self._now, files=self._now.files + files))
            else:
                self._put(slot, draft, with_files=True)

        put(unsaved.draft) if unsaved is not None else self._owner.run(read, put)

    @staticmethod
    def _read(slot: Slot, chat: int) -> Callable[[], Draft]:
        return lambda: Draft(slot.store.conversation(chat).draft, slot.store.draft_files(chat))

    # ---------------------------------------------------------------- what is opened

    def leave(self) -> None:
        """Another chat is going to be opened."""
        self.save()
        self._slot = None

    def of_new(self) -> Draft:
        """What was typed before a new conversation was opened; a temporary one begins with nothing."""
        place = self._owner.place
        self._slot = Slot(place.store, None, place.temporary)
        self._now = _NOTHING if place.temporary else self._new
        return self._now

    def of(self, chat: int, read: Draft) -> Draft:
        """What was typed in a conversation; ``read`` was on the disk. One that is read again keeps what is there."""
        slot = self._slot_of(chat)
        if slot != self._slot:
            self._slot = slot
            self._now = self._unsaved[slot].draft if slot in self._unsaved else read
        return self._now

    def _slot_of(self, chat: int | None) -> Slot:
        place = self._owner.place
        return Slot(place.store, chat, place.temporary)

    def on_its_way(self, chat: int) -> Draft | None:
        """The draft of a conversation that is not on the disk yet."""
        typed = self._unsaved.get(self._slot_of(chat))
        return None if typed is None else typed.draft

    def reading(self, chat: int) -> Callable[[Conversation], Draft]:
        """A conversation is read now, maybe before its draft is written: returns what gives its draft (any thread)."""
        typed, store = self.on_its_way(chat), self._owner.place.store
        if typed is not None:
            return lambda _found: typed
        return lambda found: Draft(found.draft, store.draft_files(chat))

    # ---------------------------------------------------------------- what is asked

    def sending(self) -> Slot:
        """A question begins its way; its draft stays on the disk until ``sent``. Returns whose it was."""
        slot = self._slot or self._slot_of(self._owner.chat)
        self._sending[slot] += 1
        self.save()
        return slot

    def sent(self, slot: Slot) -> None:
        """The question is kept, or could not be asked."""
        self._sending[slot] -= 1
        if self._sending[slot] <= 0:
            del self._sending[slot]
            if slot in self._unsaved:
                self._write(slot)

    def was_created(self, chat: int) -> ContextPolicy | None:
        """The new conversation's draft has become its first question; what was typed since belongs to it. Returns the
        policy that was chosen for it."""
        policy = self.begun.policy
        old, self._slot = self._slot_of(None), self._slot_of(chat)
        self._born = self._slot
        self._place_is_free = not old.temporary
        self._put(old, _NOTHING, with_files=True)
        self._changed = self._files_changed = False
        self._now = replace(self._now, system=None, policy=None)
        if self._now:
            self._note(with_files=bool(self._now.files))
        return policy

    def give_back(self, slot: Slot, question: Draft) -> Draft:
        """A question could not be asked: it is a draft again, unless something else was typed."""
        here = slot == self._slot
        now = self._now if here else self._unsaved.get(slot, _Unsaved(_NOTHING, with_files=False)).draft
        draft = replace(now, text=now.text or question.text, files=now.files or question.files)
        if here:
            self._now = draft
        self._put(slot, draft, with_files=True)
        self.sent(slot)
        return draft

    # ---------------------------------------------------------------- the disk

    def save(self) -> None:
        """Keep what is typed, if it changed since."""
        self._timer.stop()
        if self._changed and self._slot is not None:
            with_files, self._changed, self._files_changed = self._files_changed, False, False
            self._put(self._slot, self._now, with_files=with_files)

    def _put(self, slot: Slot, draft: Draft, *, with_files: bool) -> None:
        if slot.chat is None:
            if slot.temporary:
                return
            self._new = draft
            if not self._place:
                return
        before = self._unsaved.get(slot)
        with_files = with_files or (before is not None and before.with_files)
        self._unsaved[slot] = _Unsaved(draft, with_files)
        if not self._sending[slot]:
            self._write(slot)

    def _write(self, slot: Slot) -> None:
        """Not on the pool: what is written twice must be written in its order, and the writer has a queue. The file is
        open, since the draft or the chat was read before."""
        unsaved, store, place = self._unsaved[slot], slot.store, self._place if slot.chat is None else 0
        draft = unsaved.draft
        if self._closed or store.problem is not None:
            return  # the store closes, too; or it is said above the page that nothing can be written
        if unsaved.with_files:
            tasks.watch(
                store.save_draft_files(slot.chat, draft.files, place),
                failed=self._owner.report,
                owner=self,
            )
        chat = slot.chat
        written = store.save_draft(chat, draft.text) if chat else store.save_new_draft(place, draft)
        tasks.watch(written, lambda _none: self._written(slot, unsaved), self._owner.report, self)

    def _written(self, slot: Slot, unsaved: _Unsaved) -> None:
        if self._unsaved.get(slot) == unsaved:
            del self._unsaved[slot]
            if slot.chat is None and self._place_is_free:
                self._place_is_free = False
                tasks.run(slot.store.new_drafts, partial(self._take_over, slot), self._unread, self)

    def _take_over(self, slot: Slot, found: dict[int, Draft]) -> None:
        """A draft of a window that is no more is next: the program was killed with several open."""
        taken = _in_use.setdefault(slot.store, set())
        left = [place for place in sorted(found) if place not in taken]
        if left and not self._closed and not self._new and slot not in {self._slot, *self._unsaved}:
            taken.discard(self._place)
            taken.add(left[0])
            self._place, self._new = left[0], found[left[0]]


def _joined(kept: Draft, typed: Draft) -> Draft:
    text = "\n".join(filter(None, (kept.text, typed.text)))
    system = kept.system if typed.system is None else typed.system
    return Draft(text, kept.files + typed.files, system, typed.policy or kept.policy)
