"""Every shortcut of the window: found by typing, changed by pressing, put back one by one or all at once."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QGridLayout, QKeySequenceEdit, QLabel, QLineEdit, QScrollArea, QWidget

from app.ui import keys, tasks, theme
from app.ui.actions import Actions
from app.ui.dialogs import confirm
from app.ui.dialogs.base import Dialog
from app.ui.errors import describe
from app.ui.fuzzy import folded
from app.ui.keys import PAGE_KEYS, keymap, page_key_words
from app.ui.widgets import IconButton, make_button, make_label

if TYPE_CHECKING:
    from app.core.settings import SettingsStore

_SIZE = (620, 560)


_EVERYWHERE = {
    "cut": QKeySequence.StandardKey.Cut,
    "copy": QKeySequence.StandardKey.Copy,
    "paste": QKeySequence.StandardKey.Paste,
    "select_all": QKeySequence.StandardKey.SelectAll,
}
"""Keys of the system that text has anyway; another can be added."""


@dataclass(frozen=True)
class _Row:
    name: str
    default: str
    words: str
    label: QLabel
    field: QKeySequenceEdit
    reset: IconButton


class ShortcutsDialog(Dialog):
    """Opened by F1. A key that is taken is refused, with the name of what has it and a button that takes it over."""

    def __init__(self, actions: Actions, settings: "SettingsStore", parent: QWidget | None) -> None:
        super().__init__("", parent)
        self._settings = settings
        self.title.setText(self.tr("Keyboard shortcuts"))
        self.setWindowTitle(self.title.text())
        self.search = QLineEdit(self, clearButtonEnabled=True)
        self.search.setPlaceholderText(self.tr("Search shortcuts"))
        self.search.setAccessibleName(self.search.placeholderText())
        self.search.textChanged.connect(self._filter)
        self.problem = make_label("bad", self, wrap=True)
        self.take = make_button(self._take_over, parent=self, compact=True)
        self.take.setText(self.tr("Use it here instead"))
        self._wish = ("", "", "")
        self.rows: dict[str, _Row] = {}
        self._build(self._names(actions))
        self._say("")
        keymap().changed.connect(self._show)
        self._show()
        self.resize(*(theme.px(side) for side in _SIZE))

    @staticmethod
    def _names(actions: Actions) -> list[tuple[str, str, str]]:
        found = [(name, command.keys, actions.words(name)) for name, command in actions.commands.items()]
        return found + [(name, default, page_key_words(name)) for name, default in PAGE_KEYS.items()]

    def _build(self, names: list[tuple[str, str, str]]) -> None:
        holder = QWidget(self)
        grid = QGridLayout(holder)
        grid.setContentsMargins(0, 0, 12, 0)
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(0, 1)
        for at, (name, default, words) in enumerate(names):
            row = self._row(name, default, words, holder)
            self.rows[name] = row
            for column, widget in enumerate((row.label, row.field, row.reset)):
                grid.addWidget(widget, at, column)
        grid.setRowStretch(len(names), 1)
        scroll = QScrollArea(self)
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(holder)
        scroll.setAccessibleName(self.title.text())
        self.body.addWidget(self.search)
        self.body.addWidget(scroll, 1)
        self.body.addWidget(self.problem)
        self.body.addWidget(self.take, 0, Qt.AlignmentFlag.AlignLeft)
        self._add_buttons()

    def _add_buttons(self) -> None:
        self.reset_all = make_button(self._ask_reset_all, parent=self)
        self.reset_all.setText(self.tr("Reset all"))
        close = make_button(self.accept, "primary", self)
        close.setText(self.tr("Close"))
        self.buttons.insertWidget(0, self.reset_all)
        self.buttons.addWidget(close)

    def _row(self, name: str, default: str, words: str, parent: QWidget) -> _Row:
        label = make_label(parent=parent)
        usual = _EVERYWHERE.get(name)
        keys_now = QKeySequence(usual).toString(QKeySequence.SequenceFormat.NativeText) if usual else ""
        label.setText(f"{words} ({keys_now})" if keys_now else words)
        field = QKeySequenceEdit(parent)
        field.setMaximumSequenceLength(1)
        field.setClearButtonEnabled(True)
        field.setAccessibleName(words)
        field.editingFinished.connect(lambda: self._changed(name))
        reset = IconButton("undo", lambda: self._reset(name), parent)
        reset.set_words(self.tr("Back to the default for: {command}").format(command=words))
        policy = reset.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        reset.setSizePolicy(policy)
        return _Row(name, default, words, label, field, reset)

    # ------------------------------------------------------------------ changing

    def _taken(self) -> dict[str, list[QKeySequence]]:
        return {name: keymap().sequences(name, row.default) for name, row in self.rows.items()}

    def _changed(self, name: str) -> None:
        row = self.rows[name]
        key = row.field.keySequence()
        now = keymap().sequences(name, row.default)
        if (now and key == now[0]) or (key.isEmpty() and not now):
            return
        other = keys.conflict(key, self._taken(), name) if not key.isEmpty() else ""
        if other:
            words = self.tr("{keys} is the key of “{command}”.")
            shown = key.toString(QKeySequence.SequenceFormat.NativeText)
            self._say(words.format(keys=shown, command=self.rows[other].words))
            self._wish = (name, keys.text_of([key]), other)
            self.take.show()
            self._show_row(row)
            return
        self._keep({**keymap().own, name: keys.text_of([key])})

    def _take_over(self) -> None:
        name, key, other = self._wish
        wanted = keys.sequences(key)
        left = [one for one in self._taken()[other] if one not in wanted]
        self._keep({**keymap().own, name: key, other: keys.text_of(left)})

    def _reset(self, name: str) -> None:
        row = self.rows[name]
        for key in keys.sequences(row.default):
            other = keys.conflict(key, self._taken(), name)
            if other:
                self._wish = (name, row.default, other)
                self._take_over()
                return
        self._keep({known: text for known, text in keymap().own.items() if known != name})

    def _ask_reset_all(self) -> None:
        confirm.ask(
            self,
            self.tr("Reset all shortcuts?"),
            self.tr("%n command(s) go back to their own keys.", "", len(keymap().own)),
            self.tr("Reset all"),
            lambda: self._keep({}),
        )

    def _keep(self, own: dict[str, str]) -> None:
        defaults = {name: row.default for name, row in self.rows.items()}
        changed = {name: text for name, text in own.items() if text != defaults.get(name)}
        self._say("")
        tasks.run(
            lambda: self._settings.set("general.shortcuts", changed),
            lambda _none: keymap().set_own(changed),
            lambda error: self._say(describe(error).sentence),
            self,
            order=self._settings,
        )

    # ------------------------------------------------------------------ showing

    def _say(self, words: str) -> None:
        self.problem.setText(words)
        self.problem.setVisible(bool(words))
        self.take.hide()

    def _show(self) -> None:
        for row in self.rows.values():
            self._show_row(row)
        self.reset_all.setEnabled(bool(keymap().own))

    def _show_row(self, row: _Row) -> None:
        now = keymap().sequences(row.name, row.default)
        row.field.setKeySequence(now[0] if now else QKeySequence())
        row.reset.setVisible(row.name in keymap().own)

    def _filter(self, text: str) -> None:
        words = folded(text).split()
        for row in self.rows.values():
            about = folded(f"{row.words} {row.field.keySequence().toString()}")
            fits = all(word in about for word in words)
            for widget in (row.label, row.field):
                widget.setVisible(fits)
            policy = row.reset.sizePolicy()
            policy.setRetainSizeWhenHidden(fits)  # an empty place would keep the row's height
            row.reset.setSizePolicy(policy)
            row.reset.setVisible(fits and row.name in keymap().own)
