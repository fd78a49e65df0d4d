"""Keys a person may change: those of the menus' commands and those that work on one page only.

``KeyMap`` holds what was changed (the setting ``general.shortcuts``); the menus and ``bind`` follow it at once. Keys
are written as Qt's portable text; several for one command are joined by "; ".
"""

from collections.abc import Callable, Mapping
from functools import lru_cache

from PySide6.QtCore import QCoreApplication, QObject, Qt, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QWidget

translate = QCoreApplication.translate

PAGE_KEYS: dict[str, str] = {
    "chat_model": "Ctrl+L",
    "chat_search": "Ctrl+Shift+F",
    "chat_question_up": "Alt+Up",
    "chat_question_down": "Alt+Down",
    "chat_rename": "F2",
    "chat_delete": "Del",
    "discover_back": "Alt+Left",
    "discover_forward": "Alt+Right",
    "library_load": "Return; Enter",
    "library_rename": "F2",
    "library_delete": "Del",
    "queue_up": "Alt+Up",
    "queue_down": "Alt+Down",
    "queue_remove": "Del",
    "server_cancel": "Del",
}
"""Default keys of what one page offers beyond the menus. What stands before the first "_" is the place where they work:
the same key may do something else in another."""


def page_key_words(name: str) -> str:
    """What a page's key does, in the language in force."""
    return {
        "chat_model": translate("Keys", "Chat: choose a model"),
        "chat_search": translate("Keys", "Chat: search all chats"),
        "chat_question_up": translate("Keys", "Chat: previous question"),
        "chat_question_down": translate("Keys", "Chat: next question"),
        "chat_rename": translate("Keys", "Chat: rename the selected chat"),
        "chat_delete": translate("Keys", "Chat: delete the selected chat"),
        "discover_back": translate("Keys", "Discover: back"),
        "discover_forward": translate("Keys", "Discover: forward"),
        "library_load": translate("Keys", "Library: load the selected model"),
        "library_rename": translate("Keys", "Library: rename the selected model"),
        "library_delete": translate("Keys", "Library: delete what is selected"),
        "queue_up": translate("Keys", "Downloads and jobs: move the selected one up"),
        "queue_down": translate("Keys", "Downloads and jobs: move the selected one down"),
        "queue_remove": translate("Keys", "Downloads and jobs: cancel or take off the list"),
        "server_cancel": translate("Keys", "Server: cancel the selected request"),
    }.get(name, name)


def key_text(name: str, default: str) -> str:
    """The key of a command as this platform writes it; "" when it has none."""
    found = keymap().sequences(name, default)
    return found[0].toString(QKeySequence.SequenceFormat.NativeText) if found else ""


def page_key_text(name: str) -> str:
    """A page's key as menus write it; "" when it has none."""
    return key_text(name, PAGE_KEYS[name])


def menu_key(name: str) -> str:
    """What a menu's entry ends with to show a page's key; "" when it has none."""
    key = page_key_text(name)
    return f"\t{key}" if key else ""


def with_key(words: str, key: str) -> str:
    """A tooltip's words with the key behind them."""
    return f"{words} ({key})" if key else words


class KeyMap(QObject):
    """What the user changed; ``changed`` fires after it did."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.own: Mapping[str, str] = {}

    def set_own(self, own: Mapping[str, str]) -> None:
        """Take over what the settings hold."""
        if dict(own) != dict(self.own):
            self.own = dict(own)
            self.changed.emit()

    def sequences(self, name: str, default: str) -> list[QKeySequence]:
        """The keys of a command now."""
        return sequences(self.own.get(name, default))


@lru_cache(maxsize=1)
def keymap() -> KeyMap:
    """The one map of the program."""
    return KeyMap()


def sequences(text: str) -> list[QKeySequence]:
    """Portable text to keys; what is no key is left out."""
    found = [QKeySequence(part.strip()) for part in text.split("; ")]
    return [key for key in found if not key.isEmpty() and _known(key)]


def _known(key: QKeySequence) -> bool:
    return all(
        key[at].key()  # type: ignore[index]
        != Qt.Key.Key_unknown
        for at in range(key.count())
    )


def text_of(keys: list[QKeySequence]) -> str:
    """Keys as they are kept."""
    return "; ".join(key.toString(QKeySequence.SequenceFormat.PortableText) for key in keys)


class PageKey(QShortcut):
    """A key of ``PAGE_KEYS`` on a page, changed with the rest."""

    def __init__(self, owner: QWidget, name: str) -> None:
        super().__init__(owner)
        self.setObjectName(name)
        keymap().changed.connect(self._renew)
        self._renew()

    def _renew(self) -> None:
        self.setKeys(keymap().sequences(self.objectName(), PAGE_KEYS[self.objectName()]))


def bind(
    owner: QWidget,
    name: str,
    slot: Callable[[], object],
    context: Qt.ShortcutContext = Qt.ShortcutContext.WidgetWithChildrenShortcut,
) -> PageKey:
    """Let a key of ``PAGE_KEYS`` call ``slot`` while ``owner`` or what is in it has the keyboard."""
    key = PageKey(owner, name)
    key.setContext(context)
    key.activated.connect(slot)
    return key


def conflict(key: QKeySequence, taken: Mapping[str, list[QKeySequence]], besides: str) -> str:
    """The name of another command that has this key, or one that begins with it, where ``besides`` works, too; ""
    when it is free."""
    exact = QKeySequence.SequenceMatch.NoMatch
    for name, others in taken.items():
        if _meet(name, besides) and any(
            other.matches(key) != exact or key.matches(other) != exact for other in others
        ):
            return name
    return ""


def _meet(one: str, other: str) -> bool:
    """Two commands that both hear the keyboard somewhere: the menus' everywhere, a page's on their page."""
    if one in PAGE_KEYS and other in PAGE_KEYS:
        return one != other and one.split("_", maxsplit=1)[0] == other.split("_", maxsplit=1)[0]
    return one != other
