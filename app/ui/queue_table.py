"""Downloads, or jobs, as a table whose rows can be dragged, or moved with the keyboard, into another order."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from PySide6.QtCore import QMimeData, QModelIndex, QObject, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QWidget

from app.ui import keys, theme
from app.ui.table_model import Column, Index, Table, TableModel

PROGRESS = 2
"""The column of the bars."""
_WIDEST = 360
_KIND = "application/x-hearth-queued"


class Queued(Protocol):
    """What has a place in a queue."""

    @property
    def id(self) -> str:
        """Tells it from the others."""
        ...


T = TypeVar("T", bound=Queued)


class QueueModel(TableModel[T]):
    """Rows in the queue's order. ``moved``: put this one before that one (None: at the end)."""

    moved = Signal(str, object)

    def __init__(self, columns: Sequence[Column[T]], parent: QObject) -> None:
        super().__init__(columns, _key, parent)

    def set_rows(self, rows: Sequence[T]) -> None:
        """Show these, in this order."""
        super().set_rows(rows)
        for at, row in enumerate(rows):
            self._bring(row.id, at)

    def _bring(self, key: str, to: int) -> None:
        at = self.find(key)
        if at is None or at == to:
            return
        below = to + 1 if to > at else to
        self.beginMoveRows(QModelIndex(), at, at, QModelIndex(), below)
        self.rows.insert(to, self.rows.pop(at))
        self.endMoveRows()

    def neighbour(self, key: str, step: int) -> tuple[bool, str | None]:
        """(whether it can move ``step`` rows, the one it then stands before)."""
        at = self.find(key)
        to = -1 if at is None else at + step
        if at is None or not 0 <= to < len(self.rows):
            return False, None
        before = to if step < 0 else to + 1
        return True, self.rows[before].id if before < len(self.rows) else None

    # ------------------------------------------------------------------ Qt's drag and drop

    def flags(self, index: Index) -> Qt.ItemFlag:
        if not index.isValid():
            return Qt.ItemFlag.ItemIsDropEnabled
        return super().flags(index) | Qt.ItemFlag.ItemIsDragEnabled

    def supportedDropActions(self) -> Qt.DropAction:
        return Qt.DropAction.MoveAction

    def mimeTypes(self) -> list[str]:
        return [_KIND]

    def mimeData(self, indexes: Sequence[QModelIndex]) -> QMimeData:
        data = QMimeData()
        if indexes:
            data.setData(_KIND, self.rows[indexes[0].row()].id.encode())
        return data

    def dropMimeData(
        self, data: QMimeData, _action: Qt.DropAction, row: int, _column: int, parent: Index
    ) -> bool:
        key = bytes(data.data(_KIND).data()).decode()
        at = row if row >= 0 else (parent.row() if parent.isValid() else len(self.rows))
        if key:
            self.moved.emit(key, self.rows[at].id if at < len(self.rows) else None)
        return False  # we move it ourselves: the view must not remove it


def _key(row: Queued) -> str:
    return row.id


class QueueTable(Table):
    """``shift`` asks to move the selected row up (-1) or down (1); ``removed`` to give it up or take it off."""

    shift = Signal(int)
    removed = Signal()

    def __init__(self, model: QueueModel[Any], parent: QWidget, actions: Callable[[], object]) -> None:
        super().__init__(model, parent, sortable=False)
        self._actions = actions
        self.setDragDropMode(QAbstractItemView.DragDropMode.InternalMove)
        self.setDragDropOverwriteMode(False)
        self.setDropIndicatorShown(True)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(lambda _where: self._actions())
        for name, slot in (
            ("queue_up", lambda: self.shift.emit(-1)),
            ("queue_down", lambda: self.shift.emit(1)),
            ("queue_remove", self.removed.emit),
        ):
            keys.bind(self, name, slot, Qt.ShortcutContext.WidgetShortcut)
        self._given: int | None = None
        """The width that the progress was given; another is a person's own."""

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._share_room()

    def _share_room(self) -> None:
        """Half of what a wide window leaves goes to the progress: names need no more than that."""
        header, columns = self.horizontalHeader(), self.source.columns
        now = header.sectionSize(PROGRESS)
        if self._given is not None and now != self._given:
            return
        taken = sum(header.sectionSize(at) for at, column in enumerate(columns) if column.width is not None)
        half = (self.viewport().width() - taken + now) // 2
        least = theme.px(columns[PROGRESS].width or 0)
        self._given = max(least, min(theme.px(_WIDEST), half))
        header.resizeSection(PROGRESS, self._given)
