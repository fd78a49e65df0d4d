"""A table over frozen rows: columns declared as data, updates that never move what is selected or under the pointer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from PySide6.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QSortFilterProxyModel,
    Qt,
)
from PySide6.QtGui import QFontMetrics, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QStyleOptionHeader, QTableView, QWidget

from app.ui import theme

T = TypeVar("T")
Index = QModelIndex | QPersistentModelIndex
SORT_ROLE = Qt.ItemDataRole.UserRole + 1
ROW_ROLE = Qt.ItemDataRole.UserRole + 2
NOTE_ROLE = Qt.ItemDataRole.UserRole + 3


@dataclass(frozen=True)
class Column(Generic[T]):
    """One column: how a row shows, sorts, is coloured (a theme token) and explained."""

    title: Callable[[], str]
    text: Callable[[T], str]
    sort: Callable[[T], Any] | None = None
    right: bool = False
    tip: Callable[[T], str] | None = None
    token: Callable[[T], str] | None = None
    icon: Callable[[T], str] | None = None
    note: Callable[[T], str] | None = None
    """A second line below the text (with ``cells.TwoLineDelegate``)."""
    width: int | None = None
    """Pixels, or None for the one that takes what is left."""


class TableModel(QAbstractTableModel, Generic[T]):
    """Rows by key; ``set_rows`` changes only what changed."""

    def __init__(self, columns: Sequence[Column[T]], key: Callable[[T], str], parent: QObject) -> None:
        super().__init__(parent)
        self.columns, self._key = list(columns), key
        self.rows: list[T] = []

    def set_rows(self, rows: Sequence[T]) -> None:
        """Show these: kept rows stay in place, gone ones are removed, new ones come last."""
        wanted = {self._key(row): row for row in rows}
        for at in range(len(self.rows) - 1, -1, -1):
            if self._key(self.rows[at]) not in wanted:
                self.beginRemoveRows(QModelIndex(), at, at)
                del self.rows[at]
                self.endRemoveRows()
        for at, old in enumerate(self.rows):
            new = wanted.pop(self._key(old))
            if new != old:
                self._replace(at, new)
        if wanted:
            first = len(self.rows)
            self.beginInsertRows(QModelIndex(), first, first + len(wanted) - 1)
            self.rows += wanted.values()
            self.endInsertRows()

    def put(self, row: T) -> None:
        """Add one row, or replace the one with its key."""
        at = self.find(self._key(row))
        if at is None:
            self.set_rows([*self.rows, row])
        elif self.rows[at] != row:
            self._replace(at, row)

    def find(self, key: str) -> int | None:
        """The row number of a key."""
        return next((at for at, row in enumerate(self.rows) if self._key(row) == key), None)

    def _replace(self, at: int, row: T) -> None:
        self.rows[at] = row
        self.dataChanged.emit(self.index(at, 0), self.index(at, len(self.columns) - 1))

    def refresh(self) -> None:
        """Ask every cell again (another language or theme)."""
        if self.rows:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self.rows) - 1, len(self.columns) - 1))
        self.headerDataChanged.emit(Qt.Orientation.Horizontal, 0, len(self.columns) - 1)

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(self.columns)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = 0) -> Any:
        if orientation != Qt.Orientation.Horizontal or section >= len(self.columns):
            return None
        column = self.columns[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return column.title()
        return _alignment(column) if role == Qt.ItemDataRole.TextAlignmentRole else None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or index.row() >= len(self.rows):
            return None
        return self._value(self.columns[index.column()], self.rows[index.row()], role)

    def _value(self, column: Column[T], row: T, role: int) -> Any:
        if role in {Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole}:
            return column.text(row)
        if role == SORT_ROLE:
            return column.sort(row) if column.sort else column.text(row).lower()
        if role == ROW_ROLE:
            return row
        if role == NOTE_ROLE:
            return column.note(row) if column.note else ""
        return self._look(column, row, role)

    @staticmethod
    def _look(column: Column[T], row: T, role: int) -> Any:
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(column)
        if role == Qt.ItemDataRole.ForegroundRole and column.token and (token := column.token(row)):
            return theme.color(token)
        if role == Qt.ItemDataRole.DecorationRole and column.icon and (name := column.icon(row)):
            return theme.icon(name, (column.token and column.token(row)) or "text-2")
        if role == Qt.ItemDataRole.ToolTipRole:
            return column.tip(row) if column.tip else None
        if role == Qt.ItemDataRole.FontRole and column.right:
            return theme.tabular(theme.font("text"))
        return None


def _alignment(column: Column[Any]) -> Qt.AlignmentFlag:
    side = Qt.AlignmentFlag.AlignRight if column.right else Qt.AlignmentFlag.AlignLeft
    return side | Qt.AlignmentFlag.AlignVCenter


class SortFilter(QSortFilterProxyModel):
    """Sorts by the columns' keys and keeps rows that hold every word of a filter."""

    def __init__(self, model: TableModel[Any], parent: QObject) -> None:
        super().__init__(parent)
        self._words: list[str] = []
        self._text: Callable[[Any], str] | None = None
        self._keeps: Callable[[Any], bool] | None = None
        self.setSourceModel(model)
        self.setSortRole(SORT_ROLE)
        self.setDynamicSortFilter(True)

    def set_words(self, text: str) -> None:
        """Filter by these words, in any column."""
        self.beginFilterChange()
        self._words = text.lower().split()
        self.endFilterChange(QSortFilterProxyModel.Direction.Rows)

    def look_in(self, text: Callable[[Any], str]) -> None:
        """Look for the words in this text of a row (lower case) instead of in its cells."""
        self._text = text

    def keep(self, test: Callable[[Any], bool] | None) -> None:
        """Show only rows that pass a test as well."""
        self.beginFilterChange()
        self._keeps = test
        self.endFilterChange(QSortFilterProxyModel.Direction.Rows)

    def filterAcceptsRow(self, row: int, _parent: Index) -> bool:
        model = self.sourceModel()
        data = model.rows[row] if isinstance(model, TableModel) else None
        if self._keeps is not None and not self._keeps(data):
            return False
        if not self._words:
            return True
        if self._text is not None:
            return all(word in self._text(data) for word in self._words)
        indexes = [model.index(row, column) for column in range(model.columnCount())]
        text = " ".join(f"{index.data()} {index.data(NOTE_ROLE)}" for index in indexes).lower()
        return all(word in text for word in self._words)


_ARROW = 20
"""Pixels of a header's arrow and the gap before it."""


class _Header(QHeaderView):
    """The sorted column's arrow stands beside its words: the style's own covers those of a column of numbers."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        self.setSectionsClickable(True)

    def initStyleOptionForIndex(self, option: QStyleOptionHeader, section: int) -> None:
        super().initStyleOptionForIndex(option, section)
        none = QStyleOptionHeader.SortIndicator.None_
        if option.sortIndicator == none:
            return
        arrow = "↓" if self.sortIndicatorOrder() == Qt.SortOrder.DescendingOrder else "↑"
        right = bool(option.textAlignment & Qt.AlignmentFlag.AlignRight)
        words = (arrow, option.text) if right else (option.text, arrow)
        option.text, option.sortIndicator = " ".join(words), none


class Table(QTableView):
    """A table as LOOK asks for it: whole rows, 36 px, no vertical lines, numbers right."""

    def __init__(
        self, model: TableModel[Any], parent: QWidget | None = None, *, sortable: bool = True
    ) -> None:
        super().__init__(parent)
        self.source = model
        self._least: Mapping[int, int] = {}
        self.proxy: SortFilter | None = SortFilter(model, self) if sortable else None
        self.setHorizontalHeader(_Header(self))
        self.setModel(self.proxy or model)
        self.setSortingEnabled(sortable)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setMouseTracking(True)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setTabKeyNavigation(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(theme.ROW_HEIGHT)
        self.horizontalHeader().setHighlightSections(False)
        self.horizontalHeader().setDefaultAlignment(
            Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        )
        self.horizontalHeader().sortIndicatorChanged.connect(self._fit_sorted)
        self.fit_columns()

    def fit_columns(self) -> None:
        """Give each column its width, or the width of its header's words where those need more."""
        header, metrics = self.horizontalHeader(), QFontMetrics(theme.font("secondary"))
        header.setMinimumSectionSize(32)
        for at, column in enumerate(self.source.columns):
            if column.width is None:
                header.setSectionResizeMode(at, QHeaderView.ResizeMode.Stretch)
                continue
            header.setSectionResizeMode(at, QHeaderView.ResizeMode.Interactive)
            words = metrics.horizontalAdvance(column.title()) + 36
            self.setColumnWidth(at, max(column.width, words))
        self._fit_sorted(header.sortIndicatorSection())

    def _fit_sorted(self, at: int, _order: object = None) -> None:
        """The arrow of the sorted column takes nothing from its words."""
        header, columns = self.horizontalHeader(), self.source.columns
        if self.proxy is not None and 0 <= at < len(columns) and columns[at].width is not None:
            metrics = QFontMetrics(theme.font("secondary"))
            needed = metrics.horizontalAdvance(columns[at].title()) + 36 + _ARROW
            header.resizeSection(at, max(header.sectionSize(at), needed))

    def give_way(self, least: Mapping[int, int]) -> None:
        """Hide these columns where the table is narrower than that many pixels (at 100 %)."""
        self._least = least

    def resizeEvent(self, event: QResizeEvent) -> None:
        for at, least in self._least.items():
            self.setColumnHidden(at, self.width() < theme.px(least))
        super().resizeEvent(event)

    def current(self) -> Any:
        """The selected row's data, or None."""
        index = self.currentIndex()
        return index.data(ROW_ROLE) if index.isValid() and self.selectionModel().hasSelection() else None

    def select(self, key: str) -> bool:
        """Select the row of a key."""
        at = self.source.find(key)
        if at is None:
            return False
        index = self.source.index(at, 0)
        shown = self.proxy.mapFromSource(index) if self.proxy else index
        if shown.isValid():
            self.selectRow(shown.row())
            self.scrollTo(shown)
        return shown.isValid()
