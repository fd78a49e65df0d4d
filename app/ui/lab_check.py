"""A table with a box before each row: Space or a click ticks it."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from PySide6.QtCore import QModelIndex, QObject, Qt, Signal
from PySide6.QtWidgets import QWidget

from app.ui.table_model import Column, Index, Table, TableModel

T = TypeVar("T")


class CheckModel(TableModel[T]):
    """``ticked`` after a person ticked a row or took a tick away."""

    ticked = Signal()

    def __init__(self, columns: Sequence[Column[T]], key: Callable[[T], str], parent: QObject) -> None:
        super().__init__(columns, key, parent)
        self.checked: set[str] = set()

    def flags(self, index: Index) -> Qt.ItemFlag:
        flags = super().flags(index)
        return flags | Qt.ItemFlag.ItemIsUserCheckable if index.column() == 0 else flags

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role == Qt.ItemDataRole.CheckStateRole and index.isValid() and index.column() == 0:
            on = self._key(self.rows[index.row()]) in self.checked
            return Qt.CheckState.Checked if on else Qt.CheckState.Unchecked
        return super().data(index, role)

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        if role != Qt.ItemDataRole.CheckStateRole or not index.isValid():
            return False
        self.tick(self._key(self.rows[index.row()]), Qt.CheckState(value) == Qt.CheckState.Checked)
        self.ticked.emit()
        return True

    def tick(self, key: str, on: bool) -> None:
        """Tick one row or not, without telling."""
        (self.checked.add if on else self.checked.discard)(key)
        at = self.find(key)
        if at is not None:
            self.dataChanged.emit(self.index(at, 0), self.index(at, 0))

    def check(self, keys: Iterable[str]) -> None:
        """Tick these and no others."""
        self.checked = set(keys)
        self.refresh()

    def chosen(self) -> list[T]:
        """The ticked rows in the table's order."""
        return [row for row in self.rows if self._key(row) in self.checked]


class CheckTable(Table):
    """A click anywhere in a row ticks it."""

    def __init__(self, model: CheckModel[Any], parent: QWidget) -> None:
        super().__init__(model, parent, sortable=False)
        self._model = model
        self.clicked.connect(self._toggle)

    def _toggle(self, index: QModelIndex) -> None:
        if index.column() > 0:
            first = self._model.index(index.row(), 0)
            on = self._model.data(first, Qt.ItemDataRole.CheckStateRole) == Qt.CheckState.Checked
            state = Qt.CheckState.Unchecked if on else Qt.CheckState.Checked
            self._model.setData(first, state, Qt.ItemDataRole.CheckStateRole)

    def selectRow(self, row: int) -> None:
        """Space works on the first column: the keyboard stands there."""
        super().selectRow(row)
        self.setCurrentIndex(self.model().index(row, 0))
