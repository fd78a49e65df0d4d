"""Simple, full, developer: who sees which control.

``mark(control, "full")`` hides a widget or an action from those who chose less. A view that shows and hides a marked
control for reasons of its own asks ``allows`` first; all others need nothing more.
"""

import weakref
from functools import lru_cache
from typing import Literal

import shiboken6
from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QWidget

Level = Literal["simple", "full", "developer"]
ORDER: tuple[Level, ...] = ("simple", "full", "developer")
Control = QWidget | QAction


class Levels(QObject):
    """The level in force and what is marked. ``changed`` fires after everything marked was shown or hidden."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.level: Level = "full"
        self._marked: list[tuple[weakref.ref[Control], Level]] = []

    def set_level(self, level: Level) -> None:
        """Show and hide what is marked."""
        if level != self.level:
            self.level = level
            self._marked = [item for item in self._marked if self._show(*item)]
            self.changed.emit()

    def mark(self, control: Control, level: Level) -> None:
        """From ``level`` on this is shown."""
        item = (weakref.ref(control), level)
        self._marked.append(item)
        if not self.allows(level):
            self._show(*item)

    def allows(self, level: Level) -> bool:
        """Whether what needs ``level`` is shown now."""
        return ORDER.index(self.level) >= ORDER.index(level)

    def _show(self, reference: "weakref.ref[Control]", level: Level) -> bool:
        control = reference()
        if control is None or not shiboken6.isValid(control):
            return False
        control.setVisible(self.allows(level))
        return True


@lru_cache(maxsize=1)
def levels() -> Levels:
    """The one level of the program."""
    return Levels()


def mark(control: Control, level: Level) -> None:
    """From ``level`` on this is shown; see the module."""
    levels().mark(control, level)


def allows(level: Level) -> bool:
    """Whether what needs ``level`` is shown now."""
    return levels().allows(level)
