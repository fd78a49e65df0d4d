"""Every command of the menu bar, declared as data: its menu, words, keys and what it does."""

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication, QObject
from PySide6.QtGui import QAction, QActionGroup, QKeySequence
from PySide6.QtWidgets import QMenu, QMenuBar

translate = QCoreApplication.translate


@dataclass(frozen=True)
class Command:
    """``menu`` is the menu's name ("view/theme" is a submenu); ``words`` gives the text in the language in force."""

    name: str
    menu: str
    words: Callable[[], str]
    run: Callable[[], object]
    keys: str = ""
    checkable: bool = False
    group: str = ""
    role: QAction.MenuRole = QAction.MenuRole.NoRole


SEPARATOR = "-"


def menu_titles() -> dict[str, str]:
    """Menu names to their words."""
    return {
        "file": translate("Menus", "&File"),
        "edit": translate("Menus", "&Edit"),
        "view": translate("Menus", "&View"),
        "view/theme": translate("Menus", "Theme"),
        "view/language": translate("Menus", "Language"),
        "model": translate("Menus", "&Model"),
        "server": translate("Menus", "&Server"),
        "help": translate("Menus", "&Help"),
    }


class Actions(QObject):
    """Builds the menus and keeps the actions by name."""

    def __init__(self, bar: QMenuBar, commands: list[Command | str], parent: QObject) -> None:
        """``commands`` in order; a string "-view" puts a line into the menu "view"."""
        super().__init__(parent)
        self._bar = bar
        self._menus: dict[str, QMenu] = {}
        self._groups: dict[str, QActionGroup] = {}
        self._commands: dict[str, Command] = {}
        self.by_name: dict[str, QAction] = {}
        for name in menu_titles():
            self._menu(name)
        for command in commands:
            if isinstance(command, str):
                self._menus[command.removeprefix(SEPARATOR)].addSeparator()
            else:
                self._add(command)
        self.retranslate()

    def _menu(self, name: str) -> None:
        parent, _, child = name.rpartition("/")
        holder: QMenu | QMenuBar = self._menus[parent] if child and parent else self._bar
        menu = QMenu(self._bar)
        self._menus[name] = menu
        if not parent:
            holder.addMenu(menu)

    def _add(self, command: Command) -> None:
        action = QAction(self)
        action.setMenuRole(command.role)
        action.setCheckable(command.checkable or bool(command.group))
        if command.keys:
            action.setShortcut(QKeySequence(command.keys))
        if command.group:
            self._groups.setdefault(command.group, QActionGroup(self)).addAction(action)
        action.triggered.connect(lambda: command.run())  # noqa: PLW0108 - drops Qt's argument
        menu = self._menus[command.menu]
        if "/" in command.menu and not menu.actions():
            self._menus[command.menu.split("/")[0]].addMenu(menu)
        menu.addAction(action)
        self._commands[command.name] = command
        self.by_name[command.name] = action

    def retranslate(self) -> None:
        """Put the words in place again."""
        for name, words in menu_titles().items():
            self._menus[name].setTitle(words)
        for name, command in self._commands.items():
            self.by_name[name].setText(command.words())

    def check(self, name: str, on: bool = True) -> None:
        """Mark a checkable action without running it."""
        self.by_name[name].setChecked(on)

    def enable(self, name: str, on: bool) -> None:
        """Allow or grey out an action."""
        self.by_name[name].setEnabled(on)

    def keys(self, name: str) -> str:
        """An action's shortcut as this platform writes it."""
        return self.by_name[name].shortcut().toString(QKeySequence.SequenceFormat.NativeText)

    def shortcuts(self) -> list[tuple[str, str]]:
        """(words, keys) of every action that has keys."""
        return [
            (action.text().replace("&", ""), self.keys(name))
            for name, action in self.by_name.items()
            if not action.shortcut().isEmpty()
        ]
