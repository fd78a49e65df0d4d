"""How much of the line downloads may take, and when: a button with the usual choices; the rest is in the settings."""

from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QEvent, Signal
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QMenu, QPushButton, QWidget

from app.core.errors import SettingsError
from app.models.transfer_throttle import parse_hours
from app.ui import words

if TYPE_CHECKING:
    from app.core.settings_groups import Downloads

_SPEEDS = (0, 1_000, 5_000, 10_000, 25_000, 100_000)
_HOURS = ("", "22:00-07:00", "00:00-08:00", "09:00-17:00")
_PARALLEL = (1, 2, 3, 4)


class LimitsButton(QPushButton):
    """``chosen`` carries a setting's key and value; ``settings_asked``: show all of them."""

    chosen = Signal(str, object)
    settings_asked = Signal()

    def __init__(self, current: "Downloads", parent: QWidget) -> None:
        super().__init__(parent)
        self._current = current
        self.setProperty("compact", True)
        self._menu = QMenu(self)
        self.setMenu(self._menu)
        self._menu.aboutToShow.connect(self._build)
        self._retranslate()

    def show_current(self, current: "Downloads") -> None:
        """The settings are these now."""
        self._current = current
        self._retranslate()

    def _build(self) -> None:
        self._menu.clear()
        now = self._current
        self._section(
            self.tr("Speed limit"), "speed_limit", _with(_SPEEDS, now.speed_limit), self._speed_words
        )
        self._section(self.tr("Hours"), "hours", _with(_HOURS, now.hours.strip()), self._hours_words)
        self._section(self.tr("Downloads at a time"), "parallel", _with(_PARALLEL, now.parallel), str)
        self._menu.addSeparator()
        self._menu.addAction(self.tr("All settings…"), self.settings_asked.emit)

    def _section(self, title: str, name: str, values: tuple, named: object) -> None:  # type: ignore[type-arg]
        assert callable(named)
        if not self._menu.isEmpty():
            self._menu.addSeparator()
        self._menu.addAction(title).setEnabled(
            False
        )  # a section's own title is not drawn under a style sheet
        group = QActionGroup(self._menu)
        for value in values:
            action = QAction(named(value), group)
            action.setCheckable(True)
            action.setChecked(value == getattr(self._current, name))
            action.triggered.connect(lambda _on, value=value: self.chosen.emit(f"downloads.{name}", value))
            self._menu.addAction(action)

    def _speed_words(self, limit: int) -> str:
        return limit_words(limit) if limit else self.tr("No limit")

    def _hours_words(self, hours: str) -> str:
        return hours or self.tr("At any time")

    def _retranslate(self) -> None:
        parts = [limit_words(self._current.speed_limit)] if self._current.speed_limit else []
        if _readable(self._current.hours):
            parts.append(self._current.hours.strip())
        self.setText(", ".join(parts) or self.tr("Limits"))
        self.setAccessibleName(self.tr("Speed limit, hours and number of downloads"))
        self.setToolTip(self.accessibleName())

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
        super().changeEvent(event)


def limit_words(limit: int) -> str:
    """A limit in kB/s in words: ``at most 5 MB/s``."""
    amount = f"{words.number(limit / 1000, 0 if limit % 1000 == 0 else 1)} MB/s"
    return QCoreApplication.translate("LimitsButton", "at most {speed}").format(speed=amount)


def _readable(hours: str) -> bool:
    try:
        return parse_hours(hours) is not None
    except SettingsError:
        return False


def _with(values: tuple, current: object) -> tuple:  # type: ignore[type-arg]
    return values if current in values else (*values, current)
