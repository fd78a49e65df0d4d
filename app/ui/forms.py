"""Settings as rows, drawn from their own declaration: each with its help, its bounds and what is wrong."""

from collections.abc import Hashable
from functools import partial
from typing import Any, Protocol

from PySide6.QtCore import QEvent, QLocale, Qt, QTimer, Signal
from PySide6.QtGui import QHideEvent
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from app.core.errors import HearthError
from app.core.settings import SettingInfo
from app.ui import tasks
from app.ui.errors import describe
from app.ui.fields import choice_words, field_value, fill_field, make_field, name_choices, setting_words
from app.ui.widgets import IconButton, make_label, set_property

__all__ = ["SettingRow", "Store", "choice_words", "matches", "setting_words"]

_SETTLE_MS = 400
_FIELD_WIDTH = 280


class Store(Hashable, Protocol):
    """Where a row's value comes from and goes to: the settings, or a draft of them."""

    def get(self, key: str) -> object:
        """The value of ``group.name``."""
        ...

    def set(self, key: str, value: object) -> None:
        """Keep a value. Raises a HearthError that says why not."""
        ...


class SettingRow(QWidget):
    """Title and help at the left, the field at the right; kept as soon as it settles."""

    saved = Signal(str)

    def __init__(
        self, info: SettingInfo, store: Store, parent: QWidget | None = None, *, at_once: bool = False
    ) -> None:
        """``at_once``: the store is in memory alone, so that nobody waits for it."""
        super().__init__(parent)
        self.info, self._store, self._at_once = info, store, at_once
        self._before: Any = None
        """What the default took the place of, until something else does."""
        self.title = make_label(parent=self, wrap=True)
        self.help = make_label("secondary", self, wrap=True)
        self.problem = make_label("bad", self, wrap=True)
        self.problem.hide()
        self._settle = QTimer(self, singleShot=True, interval=_SETTLE_MS)
        self._settle.timeout.connect(self._save)
        self.field = make_field(info, self, self._settle.start, self._save)
        self.reset = IconButton("undo", self._reset, self)
        self._lay_out()
        self.show_value(store.get(info.key))
        self.retranslate()

    def _lay_out(self) -> None:
        texts = QVBoxLayout()
        texts.setSpacing(2)
        for label in (self.title, self.help, self.problem):
            texts.addWidget(label)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 10, 0, 10)
        row.setSpacing(16)
        if self.info.multiline:
            texts.addWidget(self.field)
            row.addLayout(texts, 1)
        else:
            row.addLayout(texts, 1)
            row.addWidget(self.field, 0, Qt.AlignmentFlag.AlignVCenter)
            self.field.setFixedWidth(_FIELD_WIDTH)
        row.addWidget(self.reset, 0, Qt.AlignmentFlag.AlignVCenter)
        policy = self.reset.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.reset.setSizePolicy(policy)

    def value(self) -> Any:
        """What the field holds, in the setting's type."""
        return field_value(self.field)

    def show_value(self, value: Any) -> None:
        """Put a value into the field without saving it."""
        self._update_reset(value)
        fill_field(self.field, value)

    # ------------------------------------------------------------------ keeping

    def _save(self) -> None:
        self._settle.stop()
        value = self.value()
        put = partial(self._store.set, self.info.key, value)
        if not self._at_once:
            tasks.run(put, self._kept, self._refused, self, order=self._store)
            return
        try:
            put()
        except HearthError as error:
            self._refused(error)
        else:
            self._kept(None)

    def _kept(self, _none: object) -> None:
        self.problem.hide()
        set_property(self.field, "invalid", False)
        self._update_reset(self.value())
        self.saved.emit(self.info.key)

    def _refused(self, error: Exception) -> None:
        self.problem.setText(describe(error).sentence)
        self.problem.show()
        set_property(self.field, "invalid", True)

    def _reset(self) -> None:
        """Back to the default, and with the next press back to what was there."""
        before, back = self.value(), self._before
        self.show_value(self.info.default if back is None else back)
        self._before = before if back is None else None
        self._name_reset()
        self.reset.show()
        self._save()

    def _update_reset(self, value: Any) -> None:
        if value != self.info.default:
            self._before = None
        self.reset.setVisible(value != self.info.default or self._before is not None)
        self._name_reset()

    def _name_reset(self) -> None:
        if self._before is None:
            words = self.tr("Back to the default: {value}").format(value=self._value_words(self.info.default))
        elif self.info.kind in {"bool", "int", "float", "choice"}:
            words = self.tr("Undo: {value} again").format(value=self._value_words(self._before))
        else:
            words = self.tr("Undo: what stood here again")  # it may be a key that nobody should read
        self.reset.show_icon("undo" if self._before is None else "redo")
        self.reset.set_words(words)

    def flush(self) -> bool:
        """Save what has not settled yet. Returns False when the field shows what was refused."""
        if self._settle.isActive():
            self._save()
        return self.problem.isHidden()

    def retranslate(self) -> None:
        """Put the texts in place again."""
        title, help_ = setting_words(self.info.title), setting_words(self.info.help)
        self.title.setText(title)
        self.help.setText(help_)
        self.help.setVisible(bool(help_))
        self.field.setAccessibleName(title)
        self.field.setAccessibleDescription(help_)
        self._name_reset()
        name_choices(self.info.key, self.field)

    def _value_words(self, value: object) -> str:
        if isinstance(value, bool):
            return self.tr("on") if value else self.tr("off")
        if isinstance(value, int | float):
            return QLocale().toString(value)
        return choice_words(self.info.key, str(value)) or self.tr("empty")

    def matches(self, words: list[str]) -> bool:
        """True when every word is in the title, help or key."""
        return matches(self.info, words)

    def hideEvent(self, event: QHideEvent) -> None:
        self.flush()  # who closes the window right after a change means it
        super().hideEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self.retranslate()
        super().changeEvent(event)


def matches(info: SettingInfo, words: list[str]) -> bool:
    """Whether every word (lower case) is in a setting's title, help or key, in the language in force or in English."""
    shown = f"{setting_words(info.title)} {setting_words(info.help)}"
    text = f"{shown} {info.title} {info.key}".lower()
    return all(word in text for word in words)
