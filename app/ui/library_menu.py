"""The context menu of a model: everything that can be done with it, with its keys."""

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QMenu

from app.ui import keys
from app.ui.library_delete import removable
from app.ui.library_rows import Row, States

translate = QCoreApplication.translate
Entry = tuple[str, str, bool, str]
"""Action, words, whether it can be done now, its key."""


def fill_menu(menu: QMenu, row: Row, states: States, ask: Callable[[str], None]) -> None:
    """Add every action; those that can't be done now are grey."""
    for at, group in enumerate(_groups(row, states)):
        if at:
            menu.addSeparator()
        for name, text, possible, key in group:
            action = menu.addAction(f"{text}\t{key}" if key else text)
            action.setEnabled(possible)
            action.triggered.connect(partial(ask, name))


def _groups(row: Row, states: States) -> tuple[tuple[Entry, ...], ...]:
    live, removes = states.live(row), removable(row, states)
    star = (
        translate("Library", "No favourite any more")
        if row.facts.favourite
        else translate("Library", "Favourite")
    )
    return (
        (
            (
                "load",
                translate("Library", "Load…"),
                row.runs and not live,
                keys.page_key_text("library_load"),
            ),
            ("chat", translate("Library", "Chat"), row.runs, ""),
            ("unload", translate("Library", "Unload"), live, ""),
        ),
        (
            ("quantize", translate("Library", "Make a quant of it…"), row.runs, ""),
            ("measure", translate("Library", "Measure what it lost…"), row.runs, ""),
        ),
        (
            ("star", star, True, ""),
            ("rename", translate("Library", "Rename…"), True, keys.page_key_text("library_rename")),
            ("file", translate("Library", "Tensors, template and all keys…"), not row.damaged, ""),
        ),
        (
            ("reveal", translate("Library", "Show file"), True, ""),
            ("hub", translate("Library", "Page on the Hub"), row.record.source is not None, ""),
        ),
        (("delete", translate("Library", "Delete…"), removes, keys.page_key_text("library_delete")),),
    )
