# size: one widget's scrolling, building and following share their invariants; rows, selection, messages are apart
"""The scrolling view of a conversation: only the messages near the reader exist as widgets.

Rows have measured or estimated heights (``RowLayout``); a message is built when it comes near, and let go when many
others are nearer. What the reader looks at never moves: heights that change above are taken out of the scroll value;
the end is followed only while the reader stands there.
"""

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QObject, QPoint, Qt, QTimer, QUrl, Signal
from PySide6.QtGui import (
    QGuiApplication,
    QKeyEvent,
    QKeySequence,
    QPalette,
    QResizeEvent,
)
from PySide6.QtWidgets import QAbstractScrollArea, QApplication, QFrame, QToolButton, QWidget

from app.core.events import ErrorInfo
from app.ui import theme
from app.ui.chat_style import ChatStyle, make_style
from app.ui.entries import Entry
from app.ui.message_view import ErrorWords, MessageView
from app.ui.picture_strip import Fetch
from app.ui.row_layout import RowLayout
from app.ui.selection import SelectionAcross

MAX_BUILT = 100
_MARGIN = 24
_NEAR_END = 24
_JUMP = """
QToolButton {{ background: {surface}; border: 1px solid {line}; border-radius: {radius}px; }}
QToolButton:hover {{ background: {raised}; }}
QToolButton:focus {{ border: 2px solid {accent}; }}
"""


def plain_words(error: ErrorInfo) -> tuple[str, str, str]:
    """The English message and no button, for a transcript nobody gave words to."""
    return error.message, "", ""


class Transcript(QAbstractScrollArea):
    """Shows entries; tells what the reader asked for through signals and changes nothing by itself."""

    action = Signal(int, str)
    edited = Signal(int, str)
    link_activated = Signal(QUrl)

    def __init__(
        self,
        parent: QWidget | None = None,
        *,
        words: ErrorWords = plain_words,
        only_copy: bool = False,
        fetch: Fetch | None = None,
    ) -> None:
        super().__init__(parent)
        self._only_copy, self._fetch = only_copy, fetch
        self._words = words
        self._zoom = 1.0
        self._style: ChatStyle = make_style()
        self._layout = RowLayout()
        self._views: dict[int, MessageView] = {}
        self._edits: dict[int, str] = {}
        """Changes begun in messages whose widgets went: the editor opens again with them."""
        self._following = True
        self._busy = False
        self._width = 0
        self._idle = QTimer(self, interval=0, singleShot=False)
        self._idle.timeout.connect(self._build_one_near)
        self._jump = QToolButton(self)
        self._selection = SelectionAcross(self)
        self._prepare()
        theme.notifier().changed.connect(self._restyle)

    def _prepare(self) -> None:
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.verticalScrollBar().setSingleStep(48)
        self.viewport().setBackgroundRole(QPalette.ColorRole.Window)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._jump.setObjectName("jumpToEnd")
        self._dress_jump()
        self._jump.setFixedSize(32, 32)
        self._jump.hide()
        self._jump.clicked.connect(self.jump_to_end)
        self._retranslate()

    # ---------------------------------------------------------------- content

    @property
    def entries(self) -> list[Entry]:
        """What is shown, in order."""
        return [row.entry for row in self._layout.rows]

    @property
    def built(self) -> int:
        """How many messages exist as widgets now."""
        return len(self._views)

    def set_entries(
        self, entries: Sequence[Entry], *, keep_place: bool = False, edits: dict[int, str] | None = None
    ) -> None:
        """Show another conversation, from its end; or with ``keep_place`` another state of the same one, from where
        the reader is. ``edits`` holds the changes begun in it, here and from now on."""
        place = self._place() if keep_place and not self._following else None
        self._drop_views(list(self._views))
        self._edits = self._edits if edits is None else edits
        self._selection.clear()
        self._layout.reset(list(entries))
        index = self._layout.index_of(place[0]) if place else None
        self._following = index is None
        self._refresh()
        if index is not None and place is not None:
            for _ in range(2):  # what is built on the way there may move it once
                self.verticalScrollBar().setValue(self._layout.top(index) - place[1])

    def _place(self) -> tuple[int, int] | None:
        """(message, pixels from the top of the view) of what the reader looks at."""
        index, offset = self._anchor()
        return (self._layout.rows[index].entry.key, offset) if index >= 0 else None

    def append(self, entry: Entry) -> None:
        """One more message; the reader is taken to it."""
        last = len(self._layout.rows) - 1
        self._layout.append(entry)
        if last >= 0 and (view := self._views.get(self._layout.rows[last].entry.key)):
            view.show_entry(view.entry, is_last=False)
        self._following = True
        self._refresh()

    def replace(self, key: int, entry: Entry) -> None:
        """Message ``key`` is now ``entry`` (its key may change once it is stored)."""
        index = self._layout.index_of(key)
        if index is None:
            return
        self._layout.set_entry(index, entry)
        if view := self._views.pop(key, None):
            self._views[entry.key] = view
            if view.live:
                view.entry = entry
            else:
                view.show_entry(entry, is_last=index == len(self._layout.rows) - 1)
        self._measure(index)

    def truncate(self, key: int) -> None:
        """Take away message ``key`` and all after it."""
        index = self._layout.index_of(key)
        if index is None:
            return
        gone = [row.entry.key for row in self._layout.rows[index:]]
        self._drop_views([key for key in gone if key in self._views])
        self._layout.remove_from(index)
        self._refresh()

    # ---------------------------------------------------------------- an answer that is being written

    def start_live(self, key: int) -> None:
        """Message ``key`` gets text from now on."""
        if view := self._view(key):
            view.start_live()
            self._measure_key(key)

    def feed(self, entry: Entry, text: str) -> None:
        """The live message as it is now, and what was added to its text; at most once a frame."""
        index = self._layout.index_of(entry.key)
        if index is None:
            return
        self._layout.set_entry(index, entry)
        if view := self._view(entry.key):
            view.feed(entry, text)
            self._measure(index)

    def set_status(self, key: int, text: str) -> None:
        """A word on what the live message waits for."""
        if view := self._views.get(key):
            view.set_status(text)
            self._measure_key(key)

    def finish_live(self, key: int, entry: Entry) -> None:
        """The live message has ended as ``entry``."""
        index = self._layout.index_of(key)
        if index is None:
            return
        self._layout.set_entry(index, entry)
        if view := self._views.pop(key, None):
            self._views[entry.key] = view
            view.finish_live(entry, is_last=index == len(self._layout.rows) - 1)
        self._measure(index)

    # ---------------------------------------------------------------- moving about

    @property
    def following(self) -> bool:
        """The end is kept in view as text comes."""
        return self._following

    def jump_to_end(self) -> None:
        """Go to the newest text and follow it."""
        self._following = True
        self._refresh()

    def jump_to(self, key: int) -> None:
        """Bring the top of a message into view."""
        index = self._layout.index_of(key)
        if index is None:
            return
        self._following = False
        self._refresh()
        self.verticalScrollBar().setValue(self._layout.top(index) - _MARGIN)
        # Building what is there now may have moved it.
        self.verticalScrollBar().setValue(self._layout.top(index) - _MARGIN)

    def jump_question(self, step: int) -> None:
        """To the previous (-1) or next (1) question of the reader."""
        here = self.verticalScrollBar().value() + _MARGIN
        tops = [
            (self._layout.top(i), row.entry.key)
            for i, row in enumerate(self._layout.rows)
            if row.entry.role == "user"
        ]
        if step < 0:
            wanted = [key for top, key in tops if top < here - 2]
            target = wanted[-1] if wanted else None
        else:
            target = next((key for top, key in tops if top > here + 2), None)
        if target is not None:
            self.jump_to(target)

    def edit(self, key: int, text: str) -> None:
        """Open the editor of a message with this in it."""
        if view := self._view(key):
            view.start_edit(text)

    def toggle_raw(self, key: int) -> None:
        """Show a message as it was written, or formatted again."""
        if view := self._view(key):
            view.toggle_raw()

    def menu_place(self, key: int) -> QPoint:
        """Where a message's menu opens, on the screen."""
        view = self._view(key)
        return view.menu_place() if view is not None else self.mapToGlobal(QPoint(0, 0))

    def built_views(self) -> list[MessageView]:
        """The messages that exist as widgets, in order."""
        keys = (row.entry.key for row in self._layout.rows)
        return [self._views[key] for key in keys if key in self._views]

    def show_part(self, widget: QWidget) -> None:
        """Scroll as little as shows a part of a message, from its beginning."""
        if not self.viewport().isAncestorOf(widget):
            return
        top = widget.mapTo(self.viewport(), QPoint(0, 0)).y()
        below = top + widget.height() + _MARGIN - self.viewport().height()
        down = min(top - _MARGIN, below) if below > 0 else min(top - _MARGIN, 0)
        if down:
            bar = self.verticalScrollBar()
            bar.setValue(bar.value() + down)

    def set_zoom(self, zoom: float) -> None:
        """1.0 is 100 %."""
        self._zoom = min(2.0, max(0.75, zoom))
        self._restyle()

    @property
    def zoom(self) -> float:
        """1.0 is 100 %."""
        return self._zoom

    # ---------------------------------------------------------------- building and placing

    def _view(self, key: int) -> MessageView | None:
        index = self._layout.index_of(key)
        if index is None:
            return None
        return self._views.get(key) or self._build(index)

    def _build(self, index: int) -> MessageView:
        row = self._layout.rows[index]
        is_last = index == len(self._layout.rows) - 1
        view = MessageView(
            row.entry,
            self._style,
            self._words,
            is_last=is_last,
            parent=self.viewport(),
            only_copy=self._only_copy,
            fetch=self._fetch,
        )
        view.action.connect(self.action)
        view.edited.connect(self.edited)
        view.link_activated.connect(self.link_activated)
        view.resized.connect(self._measure_key)
        if (begun := self._edits.pop(row.entry.key, None)) is not None:
            view.start_edit(begun)
        self._views[row.entry.key] = view
        self._selection.watch(view)
        view.widget_made.connect(self._selection.watch_widget)
        self._layout.set_height(index, view.arrange(self._column()))
        view.show()
        return view

    def _column(self) -> int:
        return max(200, min(self._style.column, self._room() - 2 * _MARGIN))

    def _room(self) -> int:
        """The width without a scroll bar, there or not: nothing is laid out again, or moves, when it comes."""
        return self.width() - self.verticalScrollBar().sizeHint().width()

    def _refresh(self) -> None:
        """Make the scroll range and every widget agree with the layout."""
        if self._busy:
            return
        self._busy = True
        self._settle()
        self._busy = False
        self._move_views()
        self._show_jump()
        if self.isVisible():
            self._idle.start()

    def _settle(self) -> None:
        # Building a row replaces its guessed height, which may bring another row into view: a few rounds settle it.
        for _ in range(8):
            self._set_range()
            missing = [i for i in self._visible(0) if not self._is_built(i)]
            if not missing:
                return
            anchor = self._anchor()
            for index in reversed(missing):
                self._build(index)
            self._restore(anchor)

    def _is_built(self, index: int) -> bool:
        return self._layout.rows[index].entry.key in self._views and self._layout.rows[index].measured

    def _visible(self, margin: int) -> range:
        value, height = self.verticalScrollBar().value(), self.viewport().height()
        return self._layout.between(value - margin, value + height + margin)

    def _set_range(self) -> None:
        bar, height = self.verticalScrollBar(), self.viewport().height()
        busy, self._busy = self._busy, True
        bar.setPageStep(height)
        bar.setRange(0, max(0, self._layout.total - height))
        if self._following:
            bar.setValue(bar.maximum())
        self._busy = busy

    def _anchor(self) -> tuple[int, int]:
        """(row, pixels from the top of the view) of the first row that begins inside the view."""
        value = self.verticalScrollBar().value()
        index = self._layout.at(value)
        if index + 1 < len(self._layout.rows) and self._layout.top(index) < value:
            below = self._layout.top(index + 1)
            if below < value + self.viewport().height():
                index += 1
        return index, (self._layout.top(index) - value if index >= 0 else 0)

    def _restore(self, anchor: tuple[int, int]) -> None:
        self._set_range()
        index, offset = anchor
        if not self._following and 0 <= index < len(self._layout.rows):
            busy, self._busy = self._busy, True
            self.verticalScrollBar().setValue(self._layout.top(index) - offset)
            self._busy = busy

    def _measure_key(self, key: int) -> None:
        index = self._layout.index_of(key)
        if index is not None:
            self._measure(index)

    def _measure(self, index: int) -> None:
        """Lay a row out again and keep the reader's place."""
        view = self._views.get(self._layout.rows[index].entry.key)
        if view is None:
            return
        anchor = self._anchor_before(index)
        if self._layout.set_height(index, view.arrange(self._column())):
            self._busy = True
            self._restore(anchor)
            self._busy = False
            self._refresh()

    def _anchor_before(self, index: int) -> tuple[int, int]:
        """A row that grows while its beginning is in view, or above it, keeps that beginning where it is."""
        value = self.verticalScrollBar().value()
        top = self._layout.top(index)
        if top + self._layout.rows[index].height > value:
            return index, top - value
        return self._anchor()

    def _move_views(self) -> None:
        value, width = self.verticalScrollBar().value(), self._column()
        left = max(_MARGIN, (self._room() - width) // 2)
        for key, view in self._views.items():
            index = self._layout.index_of(key)
            if index is not None:
                view.setGeometry(
                    left, self._layout.top(index) - value, width, self._layout.rows[index].height
                )

    def _build_one_near(self) -> None:
        """Idle work: one message just outside the view, so that scrolling finds it ready."""
        margin = self.viewport().height()
        index = next((i for i in self._visible(margin) if not self._is_built(i)), None)
        if index is None:
            self._idle.stop()
            self._let_go()
            return
        anchor = self._anchor()
        self._busy = True
        self._build(index)
        self._restore(anchor)
        self._busy = False
        self._move_views()

    def _let_go(self) -> None:
        """Free the widgets farthest from the reader when there are too many."""
        if len(self._views) <= MAX_BUILT:
            return
        middle = self.verticalScrollBar().value() + self.viewport().height() // 2
        keys = {row.entry.key: abs(self._layout.top(i) - middle) for i, row in enumerate(self._layout.rows)}
        free = [key for key, view in self._views.items() if not view.live and not view.editing]
        far = sorted(free, key=lambda key: keys.get(key, 0), reverse=True)
        self._drop_views(far[: len(self._views) - MAX_BUILT // 2])

    def _drop_views(self, keys: list[int]) -> None:
        focused = QApplication.focusWidget()
        for key in keys:
            view = self._views.pop(key)
            if (begun := view.begun_edit()) is not None:
                self._edits[key] = begun
            if focused is not None and view.isAncestorOf(focused):
                self.setFocus()  # Qt would hand the keyboard to whatever comes next
            view.hide()
            view.setParent(None)
            view.deleteLater()

    # ---------------------------------------------------------------- Qt

    def scrollContentsBy(self, _dx: int, dy: int) -> None:
        if self._busy:
            return
        # Not by us, so by the reader.
        bar = self.verticalScrollBar()
        self._following = bar.value() >= bar.maximum() - _NEAR_END
        self.viewport().scroll(0, dy)
        self._refresh()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.matches(QKeySequence.StandardKey.Copy):
            self.copy()
        elif event.key() == Qt.Key.Key_End:
            self.jump_to_end()
        elif event.key() == Qt.Key.Key_Home:
            self.verticalScrollBar().setValue(0)
        else:
            super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._jump.move((self.width() - 32) // 2, self.height() - 44)
        if self._column() != self._width:
            self._width = self._column()
            self._rebuild_heights()
        else:
            self._refresh()

    def _rebuild_heights(self) -> None:
        anchor = self._anchor()
        self._layout.forget_heights()
        self._busy = True
        for index in range(len(self._layout.rows)):
            if view := self._views.get(self._layout.rows[index].entry.key):
                self._layout.set_height(index, view.arrange(self._column()))
        self._restore(anchor)
        self._busy = False
        self._refresh()

    def showEvent(self, event: QEvent) -> None:
        super().showEvent(event)  # type: ignore[arg-type]
        self._refresh()

    def hideEvent(self, event: QEvent) -> None:
        self._idle.stop()
        super().hideEvent(event)  # type: ignore[arg-type]

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
        super().changeEvent(event)

    def _retranslate(self) -> None:
        self.setAccessibleName(self.tr("Conversation"))
        self._jump.setToolTip(self.tr("Jump to the end (End)"))
        self._jump.setAccessibleName(self.tr("Jump to the end"))
        for view in self._views.values():
            view.retranslate()

    def _dress_jump(self) -> None:
        self._jump.setIcon(theme.icon("arrow-down"))
        named = {token: theme.color(token).name() for token in ("surface", "line", "raised", "accent")}
        self._jump.setStyleSheet(_JUMP.format(**named, radius=theme.px(16)))

    def _show_jump(self) -> None:
        bar = self.verticalScrollBar()
        self._jump.setVisible(bar.maximum() - bar.value() > self.viewport().height() // 3)
        self._jump.raise_()

    def _restyle(self) -> None:
        self._style = make_style(self._zoom)
        live = [key for key, view in self._views.items() if view.live]
        self._drop_views(list(self._views))
        self._layout.forget_heights()
        self._dress_jump()
        self._refresh()
        for key in live:
            self.start_live(key)

    # ---------------------------------------------------------------- selection

    def copy(self) -> None:
        """The selected text, across messages, to the clipboard."""
        text = self._selection.text()
        if text:
            QGuiApplication.clipboard().setText(text)

    def view_at(self, y: int) -> tuple[int, MessageView | None]:
        """(row, its widget if built) at this height of the view."""
        index = self._layout.at(y + self.verticalScrollBar().value())
        return (index, self._views.get(self._layout.rows[index].entry.key)) if index >= 0 else (-1, None)

    def row_view(self, index: int) -> MessageView | None:
        """The widget of a row, if it is built."""
        return self._views.get(self._layout.rows[index].entry.key)

    def row_of(self, view: QObject) -> int | None:
        """The row a widget shows."""
        return self._layout.index_of(view.entry.key) if isinstance(view, MessageView) else None
