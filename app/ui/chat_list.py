"""The list of conversations: search and filter, new, pinned first, folders; menus do the rest, files can be dropped."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from PySide6.QtCore import QEvent, QModelIndex, QPoint, Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListView,
    QMenu,
    QVBoxLayout,
    QWidget,
)

from app.ui import chat_list_menus, keys, theme
from app.ui.chat_row_delegate import RowDelegate, when_text
from app.ui.chat_rows import ChatListModel, ChatRow, Heading
from app.ui.chat_shelf import Narrow
from app.ui.chat_style import make_style
from app.ui.message_parts import tint
from app.ui.tab_order import go_down
from app.ui.widgets import IconButton, make_button

__all__ = ["ChatList", "ChatListModel", "ChatRow", "when_text"]

IMPORTABLE = frozenset({".json", ".jsonl", ".zip"})


class About(Protocol):
    """What menus offer (``ChatShelf``)."""

    @property
    def folders(self) -> list[str]:
        """Every folder in use."""

    @property
    def tags(self) -> list[str]:
        """Every tag in use."""

    @property
    def models(self) -> list[str]:
        """Every model in use."""


class _Nothing:
    def __init__(self) -> None:
        self.folders: list[str] = []
        self.tags: list[str] = []
        self.models: list[str] = []


class ChatList(QWidget):
    """Tells what was asked; the page does it."""

    opened = Signal(int)
    new_requested = Signal()
    temporary_requested = Signal()
    search_changed = Signal(str)
    narrowed = Signal(object)
    """A Narrow: list only these."""
    renamed = Signal(int, str)
    changed = Signal(int, dict)
    """A conversation's fields: pinned, folder, colour, tags."""
    folder_renamed = Signal(str, str)
    delete_requested = Signal(int)
    restored = Signal(int)
    purge_requested = Signal(int)
    """Delete for good; 0: all that is in the bin."""
    export_requested = Signal(int)
    """0: all conversations."""
    import_requested = Signal()
    import_folder_requested = Signal()
    prompts_requested = Signal()
    dropped = Signal(list)

    def __init__(self, parent: QWidget | None = None, about: About | None = None) -> None:
        super().__init__(parent)
        self.about: About = about or _Nothing()
        self._narrow = Narrow()
        self.search = QLineEdit(self)
        self.search.setClearButtonEnabled(True)
        self._filter = IconButton("filter", self._filters, self)
        self._new = IconButton("plus", self.new_requested.emit, self)
        self._more = IconButton("more", self._all, self)
        self.model = ChatListModel(self)
        self.view = QListView(self)
        self._delegate = RowDelegate(self.view)
        self._later: tuple[Sequence[ChatRow], int | None] | None = None
        self._empty = QLabel(self)
        self._narrowed = make_button(lambda: self.narrowed.emit(Narrow()), "link", self, compact=True)
        self._narrowed.hide()
        self.setAcceptDrops(True)
        self._prepare_view()
        self._arrange()
        self._connect()
        self._retranslate()

    def _prepare_view(self) -> None:
        self.view.setModel(self.model)
        self.view.setItemDelegate(self._delegate)
        # After Qt has put the editor away.
        self._delegate.closeEditor.connect(self._typed, Qt.ConnectionType.QueuedConnection)
        self.view.setMouseTracking(True)
        self.view.setFrameShape(QListView.Shape.NoFrame)
        self.view.setObjectName("chatList")
        self.view.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.view.viewport().setAutoFillBackground(False)
        # The style sheet frames lists; this one is a part of the window.
        self.view.setStyleSheet("QListView { background: transparent; border: none; border-radius: 0; }")

    def _arrange(self) -> None:
        top = QHBoxLayout()
        top.setContentsMargins(8, 8, 8, 8)
        top.setSpacing(2)
        top.addWidget(self.search, 1)
        top.addSpacing(4)
        for button in (self._filter, self._new, self._more):
            button.setAutoRaise(True)
            button.setFixedSize(30, 32)
            top.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(top)
        column.addWidget(self._narrowed)
        column.addWidget(self._empty)
        column.addWidget(self.view, 1)
        self._empty.setContentsMargins(16, 8, 16, 8)
        self._empty.setWordWrap(True)
        tint(self._empty, make_style())

    def _connect(self) -> None:
        self.search.textChanged.connect(self.search_changed)
        go_down(self.search, self.view)
        self.model.renamed.connect(self.renamed)
        self.view.clicked.connect(self._open)
        self.view.activated.connect(self._open)
        only_here = Qt.ShortcutContext.WidgetShortcut
        keys.bind(self.view, "chat_delete", self._delete_current, only_here)
        keys.bind(self.view, "chat_rename", self._rename_current, only_here)
        self.view.customContextMenuRequested.connect(self._menu)
        theme.notifier().changed.connect(self._restyle)
        keys.keymap().changed.connect(self._retranslate)

    def set_rows(self, rows: Sequence[ChatRow], current: int | None) -> None:
        """List these and mark the one that is open, or that the keyboard is at. A title that is being typed is not
        disturbed: they come after it."""
        if self._delegate.editing:
            self._later = (rows, current)
            return
        at = self.view.currentIndex()
        item = self.model.shown[at.row()] if at.isValid() and self.view.hasFocus() else None
        self.model.set_rows(rows)
        here = item.id if isinstance(item, ChatRow) and self.model.index_of(item.id).isValid() else current
        self.set_current(here)
        self._say_empty(not rows)

    def _typed(self) -> None:
        later, self._later = self._later, None
        if later is not None:
            self.set_rows(*later)

    def _say_empty(self, empty: bool) -> None:
        words = self.tr("Your chats will be listed here. Files from other programs can be dropped.")
        if self.search.text() or self._narrow != Narrow():
            words = self.tr("The bin is empty.") if self.in_bin else self.tr("Nothing found.")
        self._empty.setText(words)
        self._empty.setVisible(empty)

    def set_narrow(self, narrow: Narrow) -> None:
        """Say what the list is narrowed to."""
        self._narrow = narrow
        words = chat_list_menus.narrow_words(narrow)
        if narrow.bin:
            words = self.tr("Bin: kept for 30 days")
        self._narrowed.setText(words + "   ✕" if words else "")
        self._narrowed.setAccessibleName(self.tr("Show all chats again ({words})").format(words=words))
        self._narrowed.setToolTip(self.tr("Show all chats again"))
        self._narrowed.setVisible(bool(words))
        self._filter.show_icon("filter", "accent" if words and not narrow.bin else "text-2")

    @property
    def in_bin(self) -> bool:
        """The bin is listed."""
        return self._narrow.bin

    def set_current(self, chat: int | None) -> None:
        """Mark the open conversation without opening it again."""
        index = self.model.index_of(chat)
        if index != self.view.currentIndex():
            self.view.setCurrentIndex(index)

    def _open(self, index: QModelIndex) -> None:
        item = self.model.shown[index.row()]
        if isinstance(item, Heading):
            if item.folder:
                self.model.fold(item.folder)
        elif item.binned:  # it can't be opened: say what can be done with it
            rect = self.view.visualRect(index)
            self._menu(rect.bottomLeft() + QPoint(16, 0))
        else:
            self.opened.emit(item.id)

    def _delete_current(self) -> None:
        index = self.view.currentIndex()
        item = self.model.shown[index.row()] if index.isValid() else None
        if isinstance(item, ChatRow):
            self.purge_requested.emit(item.id) if item.binned else self.delete_requested.emit(item.id)

    def _rename_current(self) -> None:
        index = self.view.currentIndex()
        if index.isValid() and index.flags() & Qt.ItemFlag.ItemIsEditable:
            self.view.edit(index)

    def rename_row(self, chat: int) -> None:
        """Let the reader type another title."""
        self.view.edit(self.model.index_of(chat))

    # ---------------------------------------------------------------- menus

    def _menu(self, at: QPoint) -> None:
        index = self.view.indexAt(at)
        if not index.isValid():
            return
        item = self.model.shown[index.row()]
        if isinstance(item, ChatRow):
            menu = chat_list_menus.row_menu(self, item)
        elif item.folder:
            menu = chat_list_menus.folder_menu(self, item.folder)
        else:
            return
        menu.popup(self.view.viewport().mapToGlobal(at))

    def _filters(self) -> None:
        self._drop_down(chat_list_menus.filter_menu(self, self._narrow), self._filter)

    def _all(self) -> None:
        self._drop_down(chat_list_menus.list_menu(self), self._more)

    def _drop_down(self, menu: QMenu, button: QWidget) -> None:
        menu.popup(button.mapToGlobal(QPoint(0, button.height())))

    # ---------------------------------------------------------------- Qt

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if importable(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        paths = importable(event)
        if paths:
            event.acceptProposedAction()
            self.dropped.emit(paths)

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
        super().changeEvent(event)

    def _retranslate(self) -> None:
        self.search.setPlaceholderText(self.tr("Search chats"))
        self.search.setAccessibleName(self.tr("Search chats"))
        self._new.set_words(keys.with_key(self.tr("New chat"), keys.key_text("new_chat", "Ctrl+N")))
        self._filter.set_words(self.tr("Filter by model, date, folder or tag"))
        self._more.set_words(self.tr("Import, export, bin and more"))
        self.view.setAccessibleName(self.tr("Chats"))
        self.set_narrow(self._narrow)
        self._say_empty(not self.model.rows)
        self.view.viewport().update()

    def _restyle(self) -> None:
        tint(self._empty, make_style())
        self.view.viewport().update()


def importable(event: QDropEvent) -> list[Path]:
    """Dropped files and folders that may hold chats."""
    paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
    return [path for path in paths if path.suffix.lower() in IMPORTABLE or path.is_dir()]
