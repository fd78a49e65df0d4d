"""Selecting with the mouse across messages, each of which has text widgets of its own."""

from typing import TYPE_CHECKING, NamedTuple

from PySide6.QtCore import QEvent, QObject, QPoint, Qt, QTimer
from PySide6.QtGui import QKeyEvent, QKeySequence, QMouseEvent, QTextCursor
from PySide6.QtWidgets import QPlainTextEdit, QTextBrowser

from app.ui.message_view import MessageView
from app.ui.prose_formulas import selected_text

if TYPE_CHECKING:
    from app.ui.transcript import Transcript

TextWidget = QTextBrowser | QPlainTextEdit


class Place(NamedTuple):
    """A position in the conversation: row, text widget in it, character in that."""

    row: int
    part: int
    at: int


class SelectionAcross(QObject):
    """Watches the text widgets of a transcript; a drag that leaves one goes on in the others."""

    def __init__(self, transcript: "Transcript") -> None:
        super().__init__(transcript)
        self._transcript = transcript
        self._anchor: Place | None = None
        self._end: Place | None = None
        self._dragging = False
        self._pointer = QPoint()
        self._scroll = QTimer(self, interval=40)
        self._scroll.timeout.connect(self._scroll_on)

    def watch(self, view: MessageView) -> None:
        """A message was built: follow its mouse events and show its share of the selection."""
        view.installEventFilter(self)
        for widget in view.text_widgets():
            self.watch_widget(widget)
        row = self._transcript.row_of(view)
        if row is not None and self.spans and self._anchor and self._end:
            self._paint_row(row, min(self._anchor, self._end), max(self._anchor, self._end))

    def watch_widget(self, widget: TextWidget) -> None:
        """Follow one text widget (a live message gets more of them while it grows)."""
        widget.viewport().removeEventFilter(self)
        widget.removeEventFilter(self)
        widget.viewport().installEventFilter(self)
        widget.installEventFilter(self)

    @property
    def spans(self) -> bool:
        """More than one text widget is selected."""
        return self._anchor is not None and self._end is not None and self._anchor[:2] != self._end[:2]

    @property
    def dragging(self) -> bool:
        """The reader holds the mouse button down in a text."""
        return self._dragging

    def clear(self) -> None:
        """Select nothing."""
        self._anchor = self._end = None
        self._dragging = False
        self._scroll.stop()

    def text(self) -> str:
        """What is selected; whole messages in between as their markdown."""
        if not self.spans or self._anchor is None or self._end is None:
            return self._text_of_one()
        low, high = min(self._anchor, self._end), max(self._anchor, self._end)
        parts = [self._row_text(row, low, high) for row in range(low.row, high.row + 1)]
        return "\n\n".join(part for part in parts if part)

    def _text_of_one(self) -> str:
        if self._anchor is None:
            return ""
        view = self._transcript.row_view(self._anchor.row)
        widgets = view.text_widgets() if view else []
        if self._anchor.part >= len(widgets):
            return ""
        return selected_text(widgets[self._anchor.part].textCursor())

    def _row_text(self, row: int, low: Place, high: Place) -> str:
        view = self._transcript.row_view(row)
        if low.row < row < high.row or view is None:
            return self._transcript.entries[row].text
        cursors = [widget.textCursor() for widget in view.text_widgets()]
        return "\n\n".join(selected_text(cursor) for cursor in cursors if cursor.hasSelection())

    # ---------------------------------------------------------------- events

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QKeyEvent) and event.matches(QKeySequence.StandardKey.Copy) and self.spans:
            if event.type() == QEvent.Type.KeyPress:
                self._transcript.copy()
            event.accept()
            return True
        if not isinstance(event, QMouseEvent):
            return False
        if event.type() == QEvent.Type.MouseButtonPress and event.button() == Qt.MouseButton.LeftButton:
            self._press(event)
        elif event.type() == QEvent.Type.MouseMove and self._dragging:
            return self._move(event.globalPosition().toPoint())
        elif event.type() == QEvent.Type.MouseButtonRelease:
            self._dragging = False
            self._scroll.stop()
        return False

    def _press(self, event: QMouseEvent) -> None:
        place = self._place_at(event.globalPosition().toPoint())
        extend = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        if not extend:
            self._deselect_all()
        self._anchor = self._anchor if extend and self._anchor else place
        self._end = place
        self._dragging = True

    def _move(self, pointer: QPoint) -> bool:
        self._pointer = pointer
        self._end = self._place_at(pointer) or self._end
        local = self._transcript.viewport().mapFromGlobal(pointer)
        outside = not 0 <= local.y() < self._transcript.viewport().height()
        if outside != self._scroll.isActive():
            self._scroll.start() if outside else self._scroll.stop()
        if self.spans:
            self._paint()
        return self.spans

    def _scroll_on(self) -> None:
        y = self._transcript.viewport().mapFromGlobal(self._pointer).y()
        height = self._transcript.viewport().height()
        bar = self._transcript.verticalScrollBar()
        bar.setValue(bar.value() + (y // 2 if y < 0 else (y - height) // 2))
        self._end = self._place_at(self._pointer) or self._end
        if self.spans:
            self._paint()

    # ---------------------------------------------------------------- places

    def _place_at(self, pointer: QPoint) -> Place | None:
        viewport = self._transcript.viewport()
        local = viewport.mapFromGlobal(pointer)
        y = min(max(local.y(), 0), viewport.height() - 1)
        row, view = self._transcript.view_at(y)
        widgets = view.text_widgets() if view else []
        if not widgets:
            return None
        part = min(
            range(len(widgets)),
            key=lambda i: self._distance(widgets[i], viewport.mapToGlobal(QPoint(0, y)).y()),
        )
        inside = widgets[part].viewport().mapFromGlobal(viewport.mapToGlobal(QPoint(local.x(), y)))
        return Place(row, part, widgets[part].cursorForPosition(inside).position())

    @staticmethod
    def _distance(widget: TextWidget, y: int) -> int:
        top = widget.mapToGlobal(QPoint(0, 0)).y()
        return max(top - y, y - (top + widget.height()), 0)

    def _deselect_all(self) -> None:
        for view in self._transcript.findChildren(MessageView):
            for widget in view.text_widgets():
                _select(widget, None, None)

    def _paint(self) -> None:
        assert self._anchor is not None
        assert self._end is not None
        low, high = min(self._anchor, self._end), max(self._anchor, self._end)
        for view in self._transcript.findChildren(MessageView):
            row = self._transcript.row_of(view)
            if row is not None:
                self._paint_row(row, low, high)

    def _paint_row(self, row: int, low: Place, high: Place) -> None:
        view = self._transcript.row_view(row)
        for part, widget in enumerate(view.text_widgets() if view else []):
            here = (row, part)
            if here < low[:2] or here > high[:2]:
                _select(widget, None, None)
            else:
                _select(widget, low.at if here == low[:2] else 0, high.at if here == high[:2] else -1)


def _select(widget: TextWidget, start: int | None, end: int | None) -> None:
    """Select characters [start, end) of a widget; end -1 is its last; start None takes the selection away."""
    cursor = widget.textCursor()
    if start is None:
        if not cursor.hasSelection():
            return
        cursor.clearSelection()
    else:
        last = widget.document().characterCount() - 1
        cursor.setPosition(min(start, last))
        cursor.setPosition(
            last if end in {-1, None} else min(end or 0, last), QTextCursor.MoveMode.KeepAnchor
        )
    widget.setTextCursor(cursor)
