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


def temporary(services: "Services") -> Place:
    """A store in memory that nobody else hears of, and that the engine keeps no state for."""
    store = ChatStore(None, Bus())
    return Place(store, ChatSession(store, services.engine("chat"), private=True), temporary=True)
