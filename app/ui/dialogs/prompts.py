"""The library of prompts: those that a slash runs in the composer, and system prompts a chat can begin with."""

from typing import TYPE_CHECKING

from msgspec.structs import replace
from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPlainTextEdit,
    QVBoxLayout,
    QWidget,
)

from app.chat.prompts import Prompt, Variable
from app.ui import tasks, theme
from app.ui.dialogs import confirm
from app.ui.dialogs.base import Dialog
from app.ui.errors import describe
from app.ui.widgets import make_button, make_label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.chat.prompts import PromptLibrary

_PROMPT = Qt.ItemDataRole.UserRole
_ROW = 28
_EMPTY = Prompt("", "")


class PromptsDialog(Dialog):
    """Every prompt, to write, change and delete. What was typed into one waits while another is looked at."""

    changed = Signal()

    def __init__(self, library: "PromptLibrary", parent: QWidget | None) -> None:
        super().__init__("", parent)
        self._library = library
        self._shown: Prompt | None = None
        self._edits: dict[str, Prompt] = {}
        """What was typed and not saved, by the name of the prompt it is for; "" is a new one."""
        self.title.setText(self.tr("Prompts and system prompts"))
        self.setWindowTitle(self.title.text())
        self.list = QListWidget(self)
        self.list.setAccessibleName(self.tr("Prompts"))
        self.name = QLineEdit(self)
        self.name.setAccessibleName(self.tr("Name"))
        self.text = QPlainTextEdit(self)
        self.text.setProperty("role", "field")
        self.text.setTabChangesFocus(True)
        self.text.setAccessibleName(self.tr("Text"))
        self.system = QCheckBox(
            self.tr("A system prompt: it is offered for chats, not in the composer"), self
        )
        self.problem = make_label("bad", self, wrap=True)
        self.problem.hide()
        self._lay_out()
        self.list.currentItemChanged.connect(self._show)
        self.resize(theme.px(760), theme.px(520))
        self._read()

    def _lay_out(self) -> None:
        hint = make_label("secondary", self, wrap=True)
        hint.setText(
            self.tr(
                "Variables: {{date}}, {{time}}, {{clipboard}}, {{file:path}}, {{model}}; any other name is asked for."
            )
        )
        new = make_button(self._new, "", self)
        new.setText(self.tr("New prompt"))
        self.remove = make_button(self._remove, "danger", self)
        self.remove.setText(self.tr("Delete"))
        save = make_button(self._save, "primary", self)
        save.setText(self.tr("Save"))
        right = QVBoxLayout()
        for widget in (self.name, self.text, self.system, hint, self.problem):
            right.addWidget(widget)
        self.name.setPlaceholderText(self.tr("Name, as typed after the slash"))
        self.text.setPlaceholderText(self.tr("Text"))
        row = QHBoxLayout()
        self.list.setFixedWidth(220)
        row.addWidget(self.list)
        row.addLayout(right, 1)
        self.body.addLayout(row, 1)
        close = make_button(self.accept, "", self)
        close.setText(self.tr("Close"))
        for button in (new, self.remove, close, save):
            self.buttons.addWidget(button)

    def _read(self, select: str = "") -> None:
        tasks.run(self._library.all, lambda found: self._fill(found, select), self._failed, self)

    def _fill(self, found: "Sequence[Prompt]", select: str) -> None:
        self.list.clear()
        for prompt in found:
            kind = self.tr("{name} (system)").format(name=prompt.name) if prompt.system else f"/{prompt.name}"
            item = QListWidgetItem(kind)
            item.setData(_PROMPT, prompt)
            item.setSizeHint(QSize(0, theme.px(_ROW)))
            self.list.addItem(item)
            if prompt.name == select or (self.list.count() == 1 and not self._typed()):
                self.list.setCurrentItem(item)

    def _show(self, item: QListWidgetItem | None) -> None:
        self._keep()
        self._shown = item.data(_PROMPT) if item is not None else None
        self.remove.setEnabled(self._shown is not None)
        now = self._edits.get(self._key(), self._shown or _EMPTY)
        self.name.setText(now.name)
        self.text.setPlainText(now.text)
        self.system.setChecked(now.system)

    def _key(self) -> str:
        return self._shown.name if self._shown is not None else ""

    def _typed(self) -> bool:
        return self._fields() != (self._shown or _EMPTY)

    def _fields(self) -> Prompt:
        return Prompt(self.name.text().strip(), self.text.toPlainText(), self.system.isChecked())

    def _keep(self) -> None:
        if self._typed():
            self._edits[self._key()] = self._fields()
        else:
            self._edits.pop(self._key(), None)

    def _new(self) -> None:
        self.list.setCurrentItem(None)  # type: ignore[call-overload]
        self.name.setFocus()

    def _save(self) -> None:
        prompt = replace(self._fields(), name=self.name.text().strip().replace(" ", "-"))
        self.problem.hide()
        if prompt == self._shown or not self._is_taken(prompt):
            self._write(prompt)
            return
        confirm.ask(
            self,
            self.tr("Replace the prompt {name}?").format(name=prompt.name),
            self.tr("There is one of this name already. Its text is gone then."),
            self.tr("Replace"),
            lambda: self._write(prompt),
        )

    def _is_taken(self, prompt: Prompt) -> bool:
        """Another prompt has this name."""
        kept = [self.list.item(at).data(_PROMPT) for at in range(self.list.count())]
        name = (prompt.name.casefold(), prompt.system)
        return any((p.name.casefold(), p.system) == name for p in kept if p != self._shown)

    def _write(self, prompt: Prompt) -> None:
        tasks.run(lambda: self._library.save(prompt), lambda _none: self._saved(prompt), self._failed, self)

    def _saved(self, prompt: Prompt | None) -> None:
        self._edits.pop(self._key(), None)
        self._shown = prompt
        now = prompt or _EMPTY
        self.name.setText(now.name)
        self.text.setPlainText(now.text)
        self.system.setChecked(now.system)
        self.changed.emit()
        self._read(now.name)

    def done(self, result: int) -> None:
        """Close, and ask first when something was typed and not saved."""
        self._keep()
        if not self._edits:
            super().done(result)
            return

        def drop() -> None:
            self._edits.clear()
            self._shown = self._fields()
            super(PromptsDialog, self).done(result)

        confirm.ask(
            self,
            self.tr("Close without saving?"),
            self.tr("%n prompt(s) have changes that are not saved.", "", len(self._edits)),
            self.tr("Close"),
            drop,
        )

    def _remove(self) -> None:
        if self.list.currentRow() < 0:
            return
        prompt = self.list.currentItem().data(_PROMPT)

        def remove() -> None:
            tasks.run(
                lambda: self._library.remove(prompt), lambda _none: self._saved(None), self._failed, self
            )

        confirm.ask(
            self,
            self.tr("Delete the prompt {name}?").format(name=prompt.name),
            self.tr("Its text is gone then."),
            self.tr("Delete"),
            remove,
        )

    def _failed(self, error: Exception) -> None:
        self.problem.setText(describe(error).sentence)
        self.problem.show()


class SystemDialog(Dialog):
    """The system prompt of one chat, with the library's at hand."""

    chosen = Signal(str)

    def __init__(self, text: str, library: "PromptLibrary", parent: QWidget | None) -> None:
        super().__init__("", parent)
        self.title.setText(self.tr("System prompt of this chat"))
        self.setWindowTitle(self.title.text())
        about = make_label("secondary", self, wrap=True)
        about.setText(
            self.tr("What the model is told before anything else. It holds from the next question on.")
        )
        self.text = QPlainTextEdit(text, self)
        self.text.setProperty("role", "field")
        self.text.setTabChangesFocus(True)
        self.text.setAccessibleName(self.title.text())
        self.list = QListWidget(self)
        self.list.setAccessibleName(self.tr("System prompts of the library"))
        self.list.setMaximumHeight(120)
        self.list.hide()
        self.list.itemClicked.connect(self._take)
        self.list.itemActivated.connect(self._take)
        for widget in (about, self.list, self.text):
            self.body.addWidget(widget)
        cancel = make_button(self.reject, "", self)
        cancel.setText(self.tr("Cancel"))
        use = make_button(self._use, "primary", self)
        use.setText(self.tr("Use it"))
        self.buttons.addWidget(cancel)
        self.buttons.addWidget(use)
        self.resize(theme.px(600), theme.px(420))
        tasks.run(lambda: library.all(system=True), self._fill, None, self)

    def _fill(self, found: "Sequence[Prompt]") -> None:
        for prompt in found:
            item = QListWidgetItem(prompt.name)
            item.setData(_PROMPT, prompt)
            item.setSizeHint(QSize(0, theme.px(_ROW)))
            self.list.addItem(item)
        self.list.setVisible(bool(found))

    def _take(self, item: QListWidgetItem) -> None:
        self.text.setPlainText(item.data(_PROMPT).text)

    def _use(self) -> None:
        self.chosen.emit(self.text.toPlainText().strip())
        self.accept()


class VariablesDialog(Dialog):
    """Asks for what a prompt wants to know."""

    filled = Signal(dict)

    def __init__(self, name: str, wanted: "Sequence[Variable]", parent: QWidget | None) -> None:
        super().__init__("/" + name, parent)
        self._fields = {variable.name: QLineEdit(variable.argument, self) for variable in wanted}
        form = QFormLayout()
        for variable, field in self._fields.items():
            form.addRow(variable, field)
            field.setAccessibleName(variable)
        self.body.addLayout(form)
        cancel = make_button(self.reject, "", self)
        cancel.setText(self.tr("Cancel"))
        take = make_button(self._take, "primary", self)
        take.setText(self.tr("Fill in"))
        take.setDefault(True)
        self.buttons.addWidget(cancel)
        self.buttons.addWidget(take)
        self.resize(theme.px(420), theme.px(100))

    def _take(self) -> None:
        self.filled.emit({name: field.text() for name, field in self._fields.items()})
        self.accept()
