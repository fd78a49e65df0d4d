"""Where a conversation lives: in the chat file, or only in memory (a temporary chat)."""

import weakref
from typing import TYPE_CHECKING, NamedTuple

from app.chat.session import ChatSession
from app.chat.store import ChatStore
from app.core.events import Bus

if TYPE_CHECKING:
    from app.compose import Services


class Place(NamedTuple):
    """A store with the session that asks in it."""

    store: ChatStore
    session: ChatSession
    temporary: bool = False


_sessions: "weakref.WeakValueDictionary[int, ChatSession]" = weakref.WeakValueDictionary()
"""By the store's identity, which lasts as long as its session."""


def kept(services: "Services") -> Place:
    """The chat file, with one session for all windows: each knows of the answers the others have asked for."""
    session = _sessions.get(id(services.chats))
    if session is None:
        session = _sessions[id(services.chats)] = ChatSession(services.chats, services.engine("chat"))
    return Place(services.chats, session)


_windows: "weakref.WeakKeyDictionary[ChatStore, int]" = weakref.WeakKeyDictionary()


def enter(place: Place) -> None:
    """A window begins to use it."""
    _windows[place.store] = _windows.get(place.store, 0) + 1


def leave(place: Place) -> bool:
    """A window does not use it any more; whether it was the last one."""
    _windows[place.store] = left = max(0, _windows.get(place.store, 1) - 1)
    return not left


def temporary(services: "Services") -> Place:
    """A store in memory that nobody else hears of, and that the engine keeps no state for."""
    store = ChatStore(None, Bus())
    return Place(store, ChatSession(store, services.engine("chat"), private=True), temporary=True)
