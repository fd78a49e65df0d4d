"""The list of search results: two lines a repository, more fetched when the end comes near."""

from typing import Any

from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRect,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QFontMetrics, QPainter
from PySide6.QtWidgets import (
    QAbstractItemView,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from app.models.hub_types import RepoSummary
from app.ui import theme, words
from app.ui.table_model import ROW_ROLE

Index = QModelIndex | QPersistentModelIndex
_ROW = 60


class ResultModel(QAbstractListModel):
    """Results of one search; ``more_wanted`` asks for the next page."""

    more_wanted = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.items: list[RepoSummary] = []
        self.has_more = False
        self._asked = False

    def show_first(self, items: tuple[RepoSummary, ...], has_more: bool) -> None:
        """Begin anew."""
        self.beginResetModel()
        self.items, self.has_more, self._asked = list(items), has_more, False
        self.endResetModel()

    def add(self, items: tuple[RepoSummary, ...], has_more: bool) -> None:
        """Append a page, leaving out what is listed already."""
        known = {item.id for item in self.items}
        fresh = [item for item in items if item.id not in known]
        self.has_more, self._asked = has_more, False
        if fresh:
            self.beginInsertRows(QModelIndex(), len(self.items), len(self.items) + len(fresh) - 1)
            self.items += fresh
            self.endInsertRows()

    def stalled(self) -> None:
        """The next page did not come: it may be asked for again."""
        self._asked = False

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(self.items)

    def canFetchMore(self, _parent: Index) -> bool:
        return self.has_more and not self._asked

    def fetchMore(self, _parent: Index) -> None:
        self._asked = True
        self.more_wanted.emit()

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        item = self.items[index.row()]
        if role in {Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole}:
            return item.id
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{item.id}, {facts_line(item)}"
        return item if role == ROW_ROLE else None


def facts_line(item: RepoSummary) -> str:
    """Parameters and age on one line."""
    parts = (words.parameters(item.parameters), words.ago(item.updated) if item.updated else "")
    return "  ·  ".join(part for part in parts if part)


class _Delegate(QStyledItemDelegate):
    """Name, publisher and facts at the left; downloads and likes at the right."""

    def sizeHint(self, _option: QStyleOptionViewItem, _index: Index) -> QSize:
        return QSize(200, theme.px(_ROW))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        item: RepoSummary = index.data(ROW_ROLE)
        rect: QRect = QRect(option.rect)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._paint_back(painter, rect, option)
        inner = rect.adjusted(16, theme.px(8), -12, -theme.px(8))
        upper, lower = QRect(inner), QRect(inner)
        upper.setHeight(theme.px(22))
        lower.setTop(upper.bottom() + 2)
        upper.setRight(inner.right() - self._paint_counts(painter, upper, item) - 8)
        lower.setRight(inner.right() - self._paint_count(painter, lower, "heart", item.likes) - 8)
        publisher, _, name = item.id.partition("/")
        strong = theme.font("text")
        strong.setBold(True)
        shown = (name or publisher).removesuffix("-GGUF").removesuffix("-gguf")  # as all of them are
        self._line(painter, upper, strong, "text", shown)
        facts = "  ·  ".join(part for part in (publisher if name else "", facts_line(item)) if part)
        self._line(painter, lower, theme.font("secondary"), "text-2", facts)
        painter.restore()

    @staticmethod
    def _paint_back(painter: QPainter, rect: QRect, option: QStyleOptionViewItem) -> None:
        state = option.state
        selected = bool(state & QStyle.StateFlag.State_Selected)
        if selected or state & QStyle.StateFlag.State_MouseOver:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.color("raised"))
            painter.drawRoundedRect(rect.adjusted(4, 2, -4, -2), 6, 6)
        if selected:
            painter.setBrush(theme.color("accent"))
            painter.drawRoundedRect(QRect(rect.left() + 4, rect.top() + 14, 3, rect.height() - 28), 1.5, 1.5)

    def _paint_counts(self, painter: QPainter, rect: QRect, item: RepoSummary) -> int:
        used = self._paint_count(painter, rect, "downloads", item.downloads)
        if item.gated:
            side, wide = theme.px(14), theme.px(18)
            icon = QRect(rect.right() - used - wide, rect.center().y() - side // 2, side, side)
            theme.icon("lock", "warn").paint(painter, icon)
            used += wide
        return used

    @staticmethod
    def _paint_count(painter: QPainter, rect: QRect, icon: str, count: int | None) -> int:
        """An icon and a number at the right end; the pixels they take."""
        if count is None:
            return 0
        font = theme.tabular(theme.font("secondary"))
        text = words.short_count(count)
        width = QFontMetrics(font).horizontalAdvance(text)
        painter.setFont(font)
        painter.setPen(theme.color("text-2"))
        painter.drawText(rect, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, text)
        side, wide = theme.px(14), width + theme.px(18)
        place = QRect(rect.right() - wide, rect.center().y() - theme.px(6), side, side)
        theme.icon(icon).paint(painter, place)
        return wide

    @staticmethod
    def _line(painter: QPainter, rect: QRect, font: Any, token: str, text: str) -> None:
        painter.setFont(font)
        painter.setPen(theme.color(token))
        shown = QFontMetrics(font).elidedText(text, Qt.TextElideMode.ElideRight, rect.width())
        painter.drawText(rect, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, shown)


class ResultList(QListView):
    """``opened`` when a repository is chosen by mouse or keyboard."""

    opened = Signal(str)

    def __init__(self, model: ResultModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.results, self._quiet = model, False
        self.setModel(model)
        self.setItemDelegate(_Delegate(self))
        self.setMouseTracking(True)
        self.setUniformItemSizes(True)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.selectionModel().currentChanged.connect(self._on_current)

    def show_choice(self, repo: str) -> None:
        """Mark the repository that is open, if it is among the results; this opens nothing."""
        at = next((at for at, item in enumerate(self.results.items) if item.id == repo), None)
        if at is None or at == self.currentIndex().row():
            return
        self._quiet = True
        self.setCurrentIndex(self.results.index(at, 0))
        self._quiet = False

    def clear_choice(self) -> None:
        """No result is the current one."""
        self.selectionModel().clear()

    def _on_current(self, index: QModelIndex, _old: QModelIndex) -> None:
        item = index.data(ROW_ROLE)
        if item is not None and not self._quiet:
            self.opened.emit(item.id)
