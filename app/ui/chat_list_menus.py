"""The menus of the list of conversations: of one row, of a folder, of the filter, and of the list itself."""

import time
from functools import partial
from typing import TYPE_CHECKING

import msgspec
from PySide6.QtCore import QCoreApplication
from PySide6.QtGui import QAction, QPixmap
from PySide6.QtWidgets import QInputDialog, QMenu, QWidget

from app.ui import theme
from app.ui.chat_rows import COLOURS, ChatRow
from app.ui.chat_shelf import Narrow
from app.ui.keys import menu_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.ui.chat_list import ChatList

translate = QCoreApplication.translate
_DAY = 86400.0


def new_menu(parent: QWidget) -> QMenu:
    """A menu that goes when it is closed."""
    menu = QMenu(parent)
    menu.setToolTipsVisible(True)
    menu.aboutToHide.connect(menu.deleteLater)
    return menu


def row_menu(chats: "ChatList", row: ChatRow) -> QMenu:
    """What can be done with one conversation."""
    menu = new_menu(chats)
    if row.binned:
        menu.addAction(translate("ChatList", "Take out of the bin"), lambda: chats.restored.emit(row.id))
        menu.addAction(translate("ChatList", "Delete for good…"), lambda: chats.purge_requested.emit(row.id))
        return menu
    rename, delete = translate("ChatList", "Rename"), translate("ChatList", "Delete")
    menu.addAction(rename + menu_key("chat_rename"), lambda: chats.rename_row(row.id))
    pin = translate("ChatList", "Unpin") if row.pinned else translate("ChatList", "Pin")
    menu.addAction(pin, lambda: chats.changed.emit(row.id, {"pinned": not row.pinned}))
    _folder_menu(chats, row, menu.addMenu(translate("ChatList", "Folder")))
    _colour_menu(chats, row, menu.addMenu(translate("ChatList", "Colour")))
    menu.addAction(translate("ChatList", "Tags…"), lambda: _ask_tags(chats, row))
    menu.addSeparator()
    menu.addAction(translate("ChatList", "Export…"), lambda: chats.export_requested.emit(row.id))
    menu.addSeparator()
    menu.addAction(delete + menu_key("chat_delete"), lambda: chats.delete_requested.emit(row.id))
    return menu


def _folder_menu(chats: "ChatList", row: ChatRow, menu: QMenu) -> None:
    def put(folder: str) -> None:
        chats.changed.emit(row.id, {"folder": folder})

    _choice(menu, translate("ChatList", "None"), not row.folder, lambda: put(""))
    for folder in chats.about.folders:
        _choice(menu, folder, folder == row.folder, partial(put, folder))
    menu.addSeparator()
    menu.addAction(translate("ChatList", "New folder…"), lambda: _ask_folder(chats, put))


def _ask_folder(chats: "ChatList", put: "Callable[[str], None]", now: str = "") -> None:
    dialog = QInputDialog(chats)
    dialog.setWindowTitle(translate("ChatList", "Folder"))
    dialog.setLabelText(translate("ChatList", "Name of the folder"))
    dialog.setTextValue(now)
    dialog.textValueSelected.connect(lambda name: put(name.strip()))
    dialog.finished.connect(dialog.deleteLater)
    dialog.open()


def _ask_tags(chats: "ChatList", row: ChatRow) -> None:
    def put(text: str) -> None:
        tags = tuple(dict.fromkeys(tag.strip().lstrip("#") for tag in text.replace(",", " ").split()))
        chats.changed.emit(row.id, {"tags": tuple(tag for tag in tags if tag)})

    dialog = QInputDialog(chats)
    dialog.setWindowTitle(translate("ChatList", "Tags"))
    dialog.setLabelText(translate("ChatList", "Tags, with spaces between them"))
    dialog.setTextValue(" ".join(row.tags))
    dialog.textValueSelected.connect(put)
    dialog.finished.connect(dialog.deleteLater)
    dialog.open()


def colour_words(token: str) -> str:
    """The name of a mark's colour."""
    return {
        "plot-1": translate("ChatList", "Orange"),
        "plot-2": translate("ChatList", "Blue"),
        "plot-3": translate("ChatList", "Green"),
        "plot-4": translate("ChatList", "Violet"),
        "warn": translate("ChatList", "Yellow"),
        "bad": translate("ChatList", "Red"),
    }[token]


def _colour_menu(chats: "ChatList", row: ChatRow, menu: QMenu) -> None:
    def put(colour: str) -> None:
        chats.changed.emit(row.id, {"colour": colour})

    _choice(menu, translate("ChatList", "None"), not row.colour, lambda: put(""))
    for token in COLOURS:
        action = _choice(menu, colour_words(token), token == row.colour, partial(put, token))
        dot = QPixmap(12, 12)
        dot.fill(theme.color(token))
        action.setIcon(dot)


def _choice(menu: QMenu, words: str, chosen: bool, slot: "Callable[[], None]") -> QAction:
    action = menu.addAction(words, slot)
    action.setCheckable(True)
    action.setChecked(chosen)
    return action


def folder_menu(chats: "ChatList", folder: str) -> QMenu:
    """What can be done with a folder."""
    menu = new_menu(chats)

    def put(name: str) -> None:
        chats.folder_renamed.emit(folder, name)

    menu.addAction(translate("ChatList", "Rename…"), lambda: _ask_folder(chats, put, folder))
    menu.addAction(translate("ChatList", "Dissolve the folder"), lambda: put(""))
    return menu


def filter_menu(chats: "ChatList", narrow: Narrow) -> QMenu:
    """By model, date, folder and tag."""
    menu = new_menu(chats)

    def put(**changes: object) -> None:
        chats.narrowed.emit(msgspec.structs.replace(narrow, **changes))

    for title, field, options in (
        (translate("ChatList", "Model"), "model", chats.about.models),
        (translate("ChatList", "Folder"), "folder", chats.about.folders),
        (translate("ChatList", "Tag"), "tag", chats.about.tags),
    ):
        inside = menu.addMenu(title)
        inside.setEnabled(bool(options))
        now = getattr(narrow, field)
        _choice(inside, translate("ChatList", "Any"), not now, partial(put, **{field: ""}))
        for option in options:
            _choice(inside, option, option == now, partial(put, **{field: option}))
    dates = menu.addMenu(translate("ChatList", "Changed"))
    for words, days in _dates():
        since = time.time() - days * _DAY if days else None
        chosen = _same_day(narrow.since, since)
        _choice(dates, words, chosen, partial(put, since=since))
    menu.addSeparator()
    menu.addAction(translate("ChatList", "Show all"), lambda: chats.narrowed.emit(Narrow()))
    return menu


def _dates() -> list[tuple[str, int]]:
    return [
        (translate("ChatList", "At any time"), 0),
        (translate("ChatList", "In the last 24 hours"), 1),
        (translate("ChatList", "In the last 7 days"), 7),
        (translate("ChatList", "In the last 30 days"), 30),
        (translate("ChatList", "In the last year"), 365),
    ]


def _same_day(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) < _DAY / 2


def narrow_words(narrow: Narrow) -> str:
    """What the list is narrowed to, for the line below the search."""
    parts = [narrow.model.rsplit("/", 1)[-1], narrow.folder, f"#{narrow.tag}" if narrow.tag else ""]
    if narrow.since is not None:
        days = round((time.time() - narrow.since) / _DAY)
        parts.append(next((words for words, known in _dates() if known == days), ""))
    return "  ·  ".join(part for part in parts if part)


def list_menu(chats: "ChatList") -> QMenu:
    """What can be done with the list: temporary chat, import, export, bin."""
    menu = new_menu(chats)
    temporary = menu.addAction(translate("ChatList", "New temporary chat"), chats.temporary_requested.emit)
    temporary.setToolTip(translate("ChatList", "It is never written to the disk."))
    menu.addSeparator()
    menu.addAction(translate("ChatList", "Import chats…"), chats.import_requested.emit)
    menu.addAction(translate("ChatList", "Import a folder…"), chats.import_folder_requested.emit)
    menu.addAction(translate("ChatList", "Export all chats…"), lambda: chats.export_requested.emit(0))
    menu.addSeparator()
    menu.addAction(translate("ChatList", "Prompts and system prompts…"), chats.prompts_requested.emit)
    menu.addSeparator()
    words = translate("ChatList", "Leave the bin") if chats.in_bin else translate("ChatList", "Bin")
    menu.addAction(words, lambda: chats.narrowed.emit(Narrow(bin=not chats.in_bin)))
    if chats.in_bin:
        menu.addAction(translate("ChatList", "Empty the bin…"), lambda: chats.purge_requested.emit(0))
    return menu
