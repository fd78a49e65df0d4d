"""Every command of the menu bar, declared as data: its menu, words, keys and what it does."""

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication, QObject
from PySide6.QtGui import QAction, QActionGroup, QKeySequence
from PySide6.QtWidgets import QMenu, QMenuBar

from app.ui.keys import keymap, text_of
from app.ui.levels import Level, levels

translate = QCoreApplication.translate


@dataclass(frozen=True)
class Command:
    """``menu`` is the menu's name ("view/theme" is a submenu); ``words`` gives the text in the language in force.
    ``keys`` are the default ones, several joined by "; ". Those who chose less than ``level`` don't see it."""

    name: str
    menu: str
    words: Callable[[], str]
    run: Callable[[], object]
    keys: str = ""
    checkable: bool = False
    group: str = ""
    role: QAction.MenuRole = QAction.MenuRole.NoRole
    level: Level = "simple"


SEPARATOR = "-"


def menu_titles() -> dict[str, str]:
    """Menu names to their words."""
    return {
        "file": translate("Menus", "&File"),
        "edit": translate("Menus", "&Edit"),
        "view": translate("Menus", "&View"),
        "view/theme": translate("Menus", "Theme"),
        "view/language": translate("Menus", "Language"),
        "view/level": translate("Menus", "How much is shown"),
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
        self.commands: dict[str, Command] = {}
        self.by_name: dict[str, QAction] = {}
        for name in menu_titles():
            self._menu(name)
        for command in commands:
            if isinstance(command, str):
                self._menus[command.removeprefix(SEPARATOR)].addSeparator()
            else:
                self._add(command)
        keymap().changed.connect(self.set_keys)
        levels().changed.connect(self.show_level)
        self.set_keys()
        self.show_level()
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
        if command.group:
            self._groups.setdefault(command.group, QActionGroup(self)).addAction(action)
        action.triggered.connect(lambda: command.run())  # noqa: PLW0108 - drops Qt's argument
        menu = self._menus[command.menu]
        if "/" in command.menu and not menu.actions():
            self._menus[command.menu.split("/")[0]].addMenu(menu)
        menu.addAction(action)
        self.commands[command.name] = command
        self.by_name[command.name] = action

    def set_keys(self) -> None:
        """Give every action the keys it has now."""
        for name, command in self.commands.items():
            self.by_name[name].setShortcuts(keymap().sequences(name, command.keys))

    def show_level(self) -> None:
        """Show what the level in force shows; what is hidden has no keys either."""
        for name, command in self.commands.items():
            self.by_name[name].setVisible(levels().allows(command.level))
        for name, menu in self._menus.items():
            if "/" not in name:
                menu.menuAction().setVisible(
                    any(a.isVisible() and not a.isSeparator() for a in menu.actions())
                )

    def retranslate(self) -> None:
        """Put the words in place again."""
        for name, words in menu_titles().items():
            self._menus[name].setTitle(words)
        for name, command in self.commands.items():
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

    def words(self, name: str) -> str:
        """What an action is called, with its menu where the name alone says too little."""
        command, titles = self.commands[name], menu_titles()
        text = command.words().replace("&", "")
        return f"{titles[command.menu]}: {text}" if command.group else text

    def taken(self) -> dict[str, str]:
        """Every command with the keys it has now, as they are kept."""
        return {name: text_of(action.shortcuts()) for name, action in self.by_name.items()}
