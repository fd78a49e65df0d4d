"""What a model's file says of itself: every tensor, the chat template, every key."""

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLineEdit, QPlainTextEdit, QTabWidget, QVBoxLayout, QWidget

from app.core.types import ModelRecord
from app.models.gguf import ArrayStub, TensorInfo, read_header
from app.models.summary import chat_template
from app.ui import tasks, theme, words
from app.ui.dialogs.base import Dialog
from app.ui.errors import describe
from app.ui.table_model import Column, Table, TableModel
from app.ui.widgets import make_button, make_label

if TYPE_CHECKING:
    from app.models.gguf import Value

_LONGEST = 400


class Contents(Struct, frozen=True):
    """Read off the GUI thread."""

    tensors: tuple[TensorInfo, ...]
    keys: tuple[tuple[str, str], ...]
    template: str


def read_contents(paths: list[Path]) -> Contents:
    """The headers of all parts as one. Raises ModelError or OSError."""
    headers = [read_header(path) for path in paths]
    tensors = tuple(tensor for header in headers for tensor in header.tensors)
    first = headers[0]
    keys = tuple((key, _text(value)) for key, value in sorted(first.metadata.items()))
    return Contents(tensors, keys, chat_template(first))


def _text(value: "Value") -> str:
    if isinstance(value, ArrayStub):
        return f"[{value.kind} × {value.count}]"
    text = str(value)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


class ModelFileDialog(Dialog):
    """Three tabs over one file; the list of tensors can be filtered."""

    def __init__(self, record: ModelRecord, parent: QWidget | None) -> None:
        super().__init__(record.name or record.id, parent)
        self._record = record
        self.resize(theme.px(820), theme.px(560))
        self.tensors = TableModel(self._tensor_columns(), lambda tensor: tensor.name, self)
        self.keys = TableModel(self._key_columns(), lambda pair: pair[0], self)
        self.template = QPlainTextEdit(self, readOnly=True)
        self.template.setFont(theme.font("mono"))
        self.template.setProperty("role", "code")
        self.template.setAccessibleName(self.tr("Chat template"))
        self.filter = QLineEdit(self)
        self.filter.setClearButtonEnabled(True)
        self.filter.setPlaceholderText(self.tr("Filter by name or type"))
        self.filter.setAccessibleName(self.tr("Filter tensors"))
        self.note = make_label("muted", self, wrap=True)
        self._lay_out()
        paths = [Path(file.path) for file in record.files]
        tasks.run(lambda: read_contents(paths), self._show, self._say, self)

    def _tensor_columns(self) -> list[Column[TensorInfo]]:
        return [
            Column(lambda: self.tr("Tensor"), lambda t: t.name),
            Column(lambda: self.tr("Type"), lambda t: t.type, width=90),
            Column(lambda: self.tr("Shape"), lambda t: " × ".join(str(n) for n in t.shape), width=160),
            Column(
                lambda: self.tr("Size (MB)"),
                lambda t: words.number(t.bytes / 1e6, 2),
                sort=lambda t: t.bytes,
                right=True,
                width=90,
            ),
        ]

    def _key_columns(self) -> list[Column[tuple[str, str]]]:
        return [
            Column(lambda: self.tr("Key"), lambda pair: pair[0], width=320),
            Column(lambda: self.tr("Value"), lambda pair: pair[1], tip=lambda pair: pair[1]),
        ]

    def _lay_out(self) -> None:
        first = QWidget(self)
        column = QVBoxLayout(first)
        column.setContentsMargins(0, 12, 0, 0)
        self.table = Table(self.tensors, first)
        self.table.setAccessibleName(self.tr("Tensors"))
        self.table.sortByColumn(-1, Qt.SortOrder.AscendingOrder)  # the file's order
        column.addWidget(self.filter)
        column.addWidget(self.table, 1)
        self.pairs = Table(self.keys, self)
        self.pairs.setAccessibleName(self.tr("Keys"))
        self.tabs = QTabWidget(self)
        self.tabs.setDocumentMode(True)
        self.tabs.addTab(first, self.tr("Tensors"))
        self.tabs.addTab(self.template, self.tr("Chat template"))
        self.tabs.addTab(self.pairs, self.tr("Keys"))
        self.body.addWidget(self.note)
        self.body.addWidget(self.tabs, 1)
        self.filter.textChanged.connect(self.table.proxy.set_words if self.table.proxy else str)
        self.done_button = make_button(self.accept, "", self)
        self.done_button.setText(self.tr("Close"))
        self.buttons.addWidget(self.done_button)
        self.note.setText(self.tr("Reading the header…"))

    def _show(self, contents: Contents) -> None:
        self.tensors.set_rows(contents.tensors)
        self.keys.set_rows(contents.keys)
        self.template.setPlainText(contents.template or self.tr("There is none in the file."))
        tensors, keys = len(contents.tensors), len(contents.keys)
        counts = (self.tr("%n tensor(s)", "", tensors), self.tr("%n key(s)", "", keys))
        self.note.setText("  ·  ".join([*counts, words.size(self._record.bytes)]))

    def _say(self, error: Exception) -> None:
        self.note.setText(describe(error).sentence)
