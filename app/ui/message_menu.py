"""The menu of one message: other ways to copy it, its tokens, other models, a branch, its place in the window."""

from collections.abc import Callable, Mapping
from functools import partial

from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QMenu, QWidget

from app.ui.chat_list_menus import new_menu
from app.ui.entries import Entry

translate = QCoreApplication.translate
Act = Callable[[str], None]
"""Takes an action's name, perhaps with a model after a colon."""


def message_menu(parent: QWidget, entry: Entry, models: Mapping[str, str], act: Act) -> QMenu:
    """``models`` are those that could answer, by id."""
    menu = new_menu(parent)
    menu.addAction(translate("Message", "Copy as Markdown"), lambda: act("copy"))
    menu.addAction(translate("Message", "Copy as plain text"), lambda: act("copy_plain"))
    menu.addAction(translate("Message", "Show as it was written"), lambda: act("raw"))
    menu.addAction(translate("Message", "Tokens and probabilities…"), lambda: act("tokens"))
    menu.addSeparator()
    if entry.role == "assistant":
        _models(menu.addMenu(translate("Message", "Answer again with")), models, "regenerate", act)
        _models(menu.addMenu(translate("Message", "Compare with")), models, "compare", act)
    menu.addAction(translate("Message", "Branch from here"), lambda: act("fork"))
    menu.addSeparator()
    add_marks(menu, entry.mark, act)
    menu.addSeparator()
    menu.addAction(translate("Message", "Delete"), lambda: act("delete"))
    return menu


def _models(menu: QMenu, models: Mapping[str, str], name: str, act: Act) -> None:
    for model, words in models.items():
        menu.addAction(words, partial(act, f"{name}:{model}"))
    menu.setEnabled(bool(models))


def add_marks(menu: QMenu, mark: str, act: Act) -> None:
    """How a message goes into the model's window."""
    for name, words in (
        ("", translate("Message", "In the context as the policy decides")),
        ("pinned", translate("Message", "Always keep in the context")),
        ("dropped", translate("Message", "Leave out of the context")),
    ):
        action = menu.addAction(words, partial(act, name))
        action.setCheckable(True)
        action.setChecked(mark == name)
    words = translate("Message", "Put a summary into the context")
    action = menu.addAction(words, lambda: act("summarise"))
    action.setCheckable(True)
    action.setChecked(mark == "summary")
