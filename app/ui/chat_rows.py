"""The rows of the list of conversations: pinned ones first, then folders with theirs, then the rest. No widgets."""

from collections.abc import Collection, Sequence
from typing import Any

from msgspec import Struct
from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, Qt, Signal
from PySide6.QtWidgets import QWidget

Index = QModelIndex | QPersistentModelIndex
COLOURS = ("plot-1", "plot-2", "plot-3", "plot-4", "warn", "bad")
"""Palette names a conversation may be marked with."""


class ChatRow(Struct, frozen=True):
    """One conversation as the list shows it. ``changed_at`` is seconds since the epoch."""

    id: int
    title: str
    changed_at: float = 0.0
    pinned: bool = False
    snippet: str = ""
    """Where a search hit, in plain text."""
    folder: str = ""
    colour: str = ""
    tags: tuple[str, ...] = ()
    binned: bool = False


class Heading(Struct, frozen=True):
    """A folder's line above its conversations."""

    folder: str
    count: int
    folded: bool = False


def arrange(rows: Sequence[ChatRow], folded: Collection[str]) -> list[ChatRow | Heading]:
    """Rows and headings in the order they are shown."""
    ordered = sorted(rows, key=lambda row: (not row.pinned, -row.changed_at))
    shown: list[ChatRow | Heading] = [row for row in ordered if row.pinned]
    loose = [row for row in ordered if not row.pinned]
    for folder in sorted({row.folder for row in loose if row.folder}, key=str.casefold):
        inside = [row for row in loose if row.folder == folder]
        shown.append(Heading(folder, len(inside), folder in folded))
        shown += inside if folder not in folded else []
    rest = [row for row in loose if not row.folder]
    if rest and len(shown) and any(isinstance(item, Heading) for item in shown):
        shown.append(Heading("", len(rest)))
    return [*shown, *rest]


class ChatListModel(QAbstractListModel):
    """Conversations and folders' headings. A heading can be folded, never selected."""

    renamed = Signal(int, str)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._rows: list[ChatRow] = []
        self.shown: list[ChatRow | Heading] = []
        self.folded: set[str] = set()

    @property
    def rows(self) -> list[ChatRow]:
        """The conversations that are listed, in order, without headings."""
        return [item for item in self.shown if isinstance(item, ChatRow)]

    def set_rows(self, rows: Sequence[ChatRow]) -> None:
        """Replace what is listed."""
        self._rows = list(rows)
        self._arrange()

    def fold(self, folder: str) -> None:
        """Fold a folder or unfold it."""
        self.folded ^= {folder}
        self._arrange()

    def _arrange(self) -> None:
        shown = arrange(self._rows, self.folded)
        if shown == self.shown:
            return
        self.beginResetModel()
        self.shown = shown
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(self.shown)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        item = self.shown[index.row()]
        if role == Qt.ItemDataRole.UserRole:
            return item
        if isinstance(item, Heading):
            return self._heading(item, role)
        if role in {Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole}:
            return item.title or (self.tr("New chat") if role == Qt.ItemDataRole.DisplayRole else "")
        if role == Qt.ItemDataRole.ToolTipRole:
            return "\n".join(part for part in (item.title, " ".join(f"#{tag}" for tag in item.tags)) if part)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            title = item.title or self.tr("New chat")
            return self.tr("{title}, pinned").format(title=title) if item.pinned else title
        return None

    def _heading(self, item: Heading, role: int) -> Any:
        title = item.folder or self.tr("Not in a folder")
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return self.tr("Folder {name}, {count} chats").format(name=title, count=item.count)
        return title if role == Qt.ItemDataRole.DisplayRole else None

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        title, item = str(value).strip(), self.shown[index.row()]
        if isinstance(item, ChatRow) and role == Qt.ItemDataRole.EditRole and title and title != item.title:
            self.renamed.emit(item.id, title)
        return True

    def flags(self, index: Index) -> Qt.ItemFlag:
        if index.isValid() and isinstance(self.shown[index.row()], Heading):
            return Qt.ItemFlag.ItemIsEnabled
        return super().flags(index) | Qt.ItemFlag.ItemIsEditable

    def index_of(self, chat: int | None) -> QModelIndex:
        """Where a conversation stands; invalid when it is not listed."""
        for number, item in enumerate(self.shown):
            if isinstance(item, ChatRow) and item.id == chat:
                return self.index(number)
        return QModelIndex()
