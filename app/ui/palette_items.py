"""What the palette finds: commands, chats, models, settings."""

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication

from app.core.settings import GROUP_TITLES, describe
from app.ui.keys import PAGE_KEYS, keymap, page_key_words
from app.ui.palette import Found

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.chat.store_types import Conversation
    from app.compose import Services
    from app.core.types import ModelRecord
    from app.ui.main_window import MainWindow

translate = QCoreApplication.translate
_HIDDEN = {"palette", "undo", "cut", "copy", "paste", "select_all"}
"""What makes no sense from a list that has taken the keyboard."""
_COMMAND, _CHAT, _MODEL = 6, 2, 4


def at_once(window: "MainWindow") -> list[Found]:
    """The commands that are shown and enabled, and the settings."""
    return [*_commands(window), *_settings(window)]


def _commands(window: "MainWindow") -> list[Found]:
    found, actions = [], window.actions_
    for name, action in actions.by_name.items():
        if name in _HIDDEN or not action.isVisible() or not action.isEnabled():
            continue
        page = name.startswith("page_")
        kind = translate("Palette", "Page") if page else translate("Palette", "Command")
        icon = "chevron-right" if page else "menu"
        found.append(
            Found(actions.words(name), kind, action.trigger, actions.keys(name), icon, name, _COMMAND)
        )
    chat = window.pages.get("chat")
    for name in PAGE_KEYS if chat is not None and chat.isVisible() else ():
        keys = keymap().sequences(name, PAGE_KEYS[name])
        words = keys[0].toString() if keys else ""
        found.append(
            Found(
                page_key_words(name),
                translate("Palette", "Command"),
                partial(_press, chat, name),
                words,
                "menu",
            )
        )
    return found


def _press(page: object, name: str) -> None:
    from app.ui.keys import PageKey  # noqa: PLC0415 - with its user

    key = page.findChild(PageKey, name)  # type: ignore[attr-defined]
    if key is not None:
        key.activated.emit()


def _settings(window: "MainWindow") -> list[Found]:
    kind = translate("Palette", "Setting")
    found = []
    for info in describe():
        group = translate("Settings", GROUP_TITLES[info.group])
        words = f"{group}: {translate('Settings', info.title)}"
        found.append(
            Found(words, kind, partial(_open_setting, window, info.key), icon="settings", also=info.key)
        )
    return found


def _open_setting(window: "MainWindow", key: str) -> None:
    page = window.open_page("settings")
    getattr(page, "show_setting", lambda _key: None)(key)


def later(services: "Services") -> "Callable[[MainWindow], list[Found]]":
    """Read chats and models (pool thread); the result makes the entries (GUI thread)."""
    chats, models = services.chats.conversations(), services.library.records()

    def make(window: "MainWindow") -> list[Found]:
        return [*(_chat(window, chat) for chat in chats), *(_model(window, model) for model in models)]

    return make


def _chat(window: "MainWindow", chat: "Conversation") -> Found:
    words = chat.title or translate("Palette", "Chat without a title")
    also = " ".join((chat.folder, *chat.tags))
    return Found(
        words,
        translate("Palette", "Chat"),
        partial(window.open_chat, chat.id),
        icon="chat",
        also=also,
        weight=_CHAT,
    )


def _model(window: "MainWindow", record: "ModelRecord") -> Found:
    words = translate("Palette", "Chat with {model}").format(model=record.name or record.id)
    run = partial(window.obey, "chat", record.id)
    return Found(words, translate("Palette", "Model"), run, icon="model", also=record.id, weight=_MODEL)
