"""One message: its segments, reasoning, error and footer, laid out by hand so that a changed line costs one line."""

from collections.abc import Callable

from PySide6.QtCore import QPoint, QRect, Qt, QUrl, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QTextCursor
from PySide6.QtWidgets import QApplication, QLabel, QPlainTextEdit, QTextBrowser, QWidget

from app.core.events import ErrorInfo
from app.ui.chat_style import ChatStyle
from app.ui.entries import Entry
from app.ui.footer import Footer
from app.ui.long_message import Gap
from app.ui.markdown import Splitter, split, split_reasoning
from app.ui.message_parts import Editor, ErrorCard, ReasoningFold, tint
from app.ui.message_pieces import MessagePieces
from app.ui.picture_strip import Fetch, PictureStrip
from app.ui.prose import ProseView
from app.ui.tool_card import ToolCard

ErrorWords = Callable[[ErrorInfo], tuple[str, str, str]]
"""error -> (translated words, button text, action name)."""
_BUBBLE_PAD_X, _BUBBLE_PAD_Y = 14, 10


class MessageView(QWidget):
    """Built from an Entry; ``arrange(width)`` places everything and returns the height."""

    action = Signal(int, str)
    edited = Signal(int, str)
    link_activated = Signal(QUrl)
    resized = Signal(int)
    widget_made = Signal(object)
    """A widget with text to select was added."""

    def __init__(
        self,
        entry: Entry,
        style: ChatStyle,
        words: ErrorWords,
        *,
        is_last: bool,
        parent: QWidget,
        only_copy: bool = False,
        fetch: Fetch | None = None,
    ) -> None:
        super().__init__(parent)
        self._only_copy, self._fetch = only_copy, fetch
        self.entry, self._style, self._words, self._is_last = entry, style, words, is_last
        self.pieces = MessagePieces(style, self)
        self.pieces.resized.connect(self._tell_resized)
        self.pieces.link_activated.connect(self.link_activated)
        self.pieces.made.connect(self.widget_made)
        self._splitter: Splitter | None = None
        self._reasoning: ReasoningFold | None = None
        self._error: ErrorCard | None = None
        self._footer: Footer | None = None
        self._status: QLabel | None = None
        self._editor: Editor | None = None
        self._files: QLabel | None = None
        self._pictures: PictureStrip | None = None
        self._tools: list[ToolCard] = []
        self._bubble = QRect()
        self._raw = False
        self._build()

    # ---------------------------------------------------------------- content

    def show_entry(self, entry: Entry, *, is_last: bool) -> None:
        """Show another state of the same message; text that did not change is not parsed again."""
        before, self.entry, self._is_last = self.entry, entry, is_last
        if entry.text != before.text or entry.role != before.role:
            self.pieces.clear()
            self._build()
        else:
            self._build_around()

    def _build(self) -> None:
        text = self.entry.text
        if self.entry.role == "tool" and not self._raw:
            text = ""
        if self.entry.role == "assistant" and not self._raw:
            self.pieces.show(split(split_reasoning(text)[1]))
        elif text:
            self.pieces.show_plain(text, mono=self._raw)
        self._build_around()

    def _build_around(self) -> None:
        self._build_files()
        self._build_reasoning()
        self._build_tools()
        self._build_error()
        if self._splitter is None:
            self._show_footer()
        preview = self.entry.text[:120]
        if self.entry.role == "tool":
            self.setAccessibleName(self.tr("Tool's result: {text}").format(text=preview))
            return
        self.setAccessibleName(
            self.tr("Answer: {text}").format(text=preview)
            if self.entry.role == "assistant"
            else self.tr("Question: {text}").format(text=preview)
        )

    def _build_files(self) -> None:
        if self.entry.pictures and self._pictures is None:
            self._pictures = PictureStrip(self, self.entry.pictures, self._fetch)
            self._pictures.show()
        if not self.entry.files:
            return
        self._files = self._files or QLabel(self)
        tint(self._files, self._style)
        self._files.setTextFormat(Qt.TextFormat.PlainText)
        self._files.setAlignment(Qt.AlignmentFlag.AlignRight)
        self._files.setWordWrap(True)
        self._files.setText(self.tr("With {files}").format(files=", ".join(self.entry.files)))
        self._files.show()

    def _build_reasoning(self) -> None:
        text = self.entry.reasoning
        if not text and self.entry.role == "assistant":
            text = split_reasoning(self.entry.text)[0]
        if not text:
            return
        if self._reasoning is None:
            self._reasoning = ReasoningFold(self._style, self)
            self._reasoning.resized.connect(self._tell_resized)
            self._reasoning.show()
        thinking = self._splitter is not None and not self.entry.text
        self._reasoning.show_reasoning(text, self.entry.reasoning_seconds, thinking=thinking)

    def _build_tools(self) -> None:
        entry = self.entry
        if self._tools or (self._splitter is not None and not entry.tool_calls):
            return
        wanted = [(call.name, call.arguments, True) for call in entry.tool_calls]
        if entry.role == "tool":
            wanted = [(entry.tool_name, entry.text, False)]
        for name, text, call in wanted:
            card = ToolCard(self._style, name, text, self, call=call)
            card.resized.connect(self._tell_resized)
            card.show()
            self._tools.append(card)

    def _build_error(self) -> None:
        if self.entry.error is None:
            if self._error is not None:
                self._error.hide()
                self._error.deleteLater()
                self._error = None
            return
        if self._error is None:
            self._error = ErrorCard(self._style, self)
            self._error.resized.connect(self._tell_resized)
            self._error.action.connect(self._emit_action)
        self._error.show_error(self.entry.error, *self._words(self.entry.error))
        self._error.show()

    def _show_footer(self) -> None:
        if self.entry.writing:
            self._drop_footer()
            self._make_status()
            self.set_status(self.tr("Being written in another window"))
            return
        self._drop_status()
        if self._footer is None:
            self._footer = Footer(self._style, self)
            self._footer.action.connect(self._emit_action)
            self._footer.show()
        self._footer.show_entry(self.entry, is_last=self._is_last, only_copy=self._only_copy)

    def _emit_action(self, name: str) -> None:
        if name == "edit":
            self.start_edit()
        elif name == "raw":
            self.toggle_raw()
        else:
            self.action.emit(self.entry.key, name)

    def toggle_raw(self) -> None:
        """Show the text as it was written, or formatted again."""
        self._raw = not self._raw
        self.pieces.clear()
        self._build()
        self._tell_resized()

    def menu_place(self) -> QPoint:
        """Where this message's menu opens, on the screen."""
        return self._footer.menu_place() if self._footer is not None else self.mapToGlobal(QPoint(0, 0))

    def _tell_resized(self) -> None:
        self.resized.emit(self.entry.key)

    # ---------------------------------------------------------------- streaming

    @property
    def live(self) -> bool:
        """Text is still coming."""
        return self._splitter is not None

    def start_live(self) -> None:
        """From now on ``feed`` adds text; what is there already is kept (a continued answer)."""
        self.pieces.clear()
        self._splitter = Splitter()
        self._make_status()
        self._drop_footer()
        self._splitter.feed(split_reasoning(self.entry.text)[1])
        self.pieces.show_live(self._splitter)

    def _make_status(self) -> None:
        self._status = self._status or QLabel(self)
        tint(self._status, self._style)

    def _drop_status(self) -> None:
        if self._status is not None:
            self._status.hide()
            self._status.deleteLater()
            self._status = None

    def _drop_footer(self) -> None:
        if self._footer is not None:
            self._keep_focus(self._footer)
            self._footer.hide()
            self._footer.deleteLater()
            self._footer = None

    def feed(self, entry: Entry, text: str) -> None:
        """``entry`` as it is now, and the text that came since the last call."""
        self.entry = entry
        if self._splitter is None:
            return
        if entry.reasoning:
            self._build_reasoning()
        if text:
            self._splitter.feed(text)
            self.pieces.show_live(self._splitter)

    def set_status(self, text: str) -> None:
        """A line under the answer while it is written (loading, reading the prompt, speed)."""
        if self._status is not None:
            self._status.setText(text)
            self._status.setVisible(bool(text))

    def finish_live(self, entry: Entry, *, is_last: bool) -> None:
        """The answer has ended: freeze the tail, show the footer."""
        splitter, self._splitter = self._splitter, None
        self.entry, self._is_last = entry, is_last
        if splitter is not None:
            self.pieces.finish(splitter)
        self._drop_status()
        self._build_around()

    # ---------------------------------------------------------------- editing

    def start_edit(self, begun: str | None = None) -> None:
        """Put an editor in the message's place; ``begun``: with what was changed already, the keyboard elsewhere."""
        if self._editor is not None or self.live:
            return
        text = self.entry.text if begun is None else begun
        self._editor = Editor(self._style, text, self.entry.role == "user", self)
        self._editor.accepted.connect(self._accept_edit)
        self._editor.cancelled.connect(self.end_edit)
        self._editor.resized.connect(self._tell_resized)
        self.pieces.set_visible(False)
        self._editor.show()
        if begun is None:
            self._editor.text.setFocus()
        self._editor.text.moveCursor(QTextCursor.MoveOperation.End)
        self._tell_resized()

    @property
    def editing(self) -> bool:
        """An editor is open; such a view must not be thrown away."""
        return self._editor is not None

    def begun_edit(self) -> str | None:
        """What was changed in the open editor."""
        text = self._editor.text.toPlainText() if self._editor is not None else self.entry.text
        return text if text != self.entry.text else None

    def _accept_edit(self, text: str) -> None:
        self.end_edit()
        if text and text != self.entry.text:
            self.edited.emit(self.entry.key, text)

    def end_edit(self) -> None:
        """Close the editor without a change."""
        if self._editor is not None:
            self._keep_focus(self._editor)
            self._editor.hide()
            self._editor.deleteLater()
            self._editor = None
        self.pieces.set_visible(True)
        self._tell_resized()

    def _keep_focus(self, going: QWidget) -> None:
        """The keyboard stays in the conversation when what has it goes: Qt would hand it to whatever comes next."""
        focused, holder = QApplication.focusWidget(), self.parentWidget()
        if focused is not None and holder is not None and going.isAncestorOf(focused):
            holder.setFocus()

    # ---------------------------------------------------------------- layout

    def arrange(self, width: int) -> int:
        """Place everything in this width; returns the height it takes."""
        y = 0
        if self._reasoning is not None:
            y = self._place(self._reasoning, 0, y, width, self._reasoning.height_for(width)) + self._style.gap
        if self._editor is not None:
            y = self._place(self._editor, 0, y, width, self._editor.height_for(width)) + 4
        elif self.entry.role == "assistant":
            y = self.pieces.arrange(width, y)
        else:
            y = self._arrange_bubble(width, y)
        beside = self._beside()
        if not (self.entry.role == "tool" and self._raw):
            for card in self._tools:
                card.kept_free = beside.wide if beside is not None else 0
                y = self._place(card, 0, y, width, card.height_for(width)) + self._style.gap
        if self._error is not None:
            y = self._place(self._error, 0, y + 4, width, self._error.height_for(width)) + 8
        if self._status is not None and self._status.text():
            y = self._place(self._status, 0, y, width, self._status.sizeHint().height()) + 8
        if beside is not None:
            self._place_beside(beside, width)
        elif self._footer is not None:
            y = self._place(self._footer, 0, y, width, self._footer.high)
        return y

    def _beside(self) -> Footer | None:
        """The buttons of a tool's call or result, which stand in its card's line: they need no line of their own."""
        entry, plain = self.entry, not self._raw and self._editor is None and bool(self._tools)
        call = entry.role == "assistant" and entry.versions == 1 and not (entry.text or entry.error)
        return self._footer if plain and (call or entry.role == "tool") else None

    def _place_beside(self, footer: Footer, width: int) -> None:
        card = self._tools[-1]
        down = card.y() + (card.line - footer.high) // 2
        footer.setGeometry(width - footer.wide - self._style.px(4), down, footer.wide, footer.high)
        footer.raise_()

    def _arrange_bubble(self, width: int, y: int) -> int:
        self._bubble = QRect()
        if self._pictures is not None:
            y = self._place(self._pictures, 0, y, width, self._pictures.height_for(width)) + 8
        if self._files is not None:
            y = self._place(self._files, 0, y, width, self._files.heightForWidth(width)) + 4
        piece = self.pieces.all[0] if self.pieces.all else None
        if piece is None or isinstance(piece, Gap):
            return y
        most = int(width * 0.86) - 2 * _BUBBLE_PAD_X
        inner = piece.ideal_width(most) if isinstance(piece, ProseView) else most
        height = piece.height_for(inner)
        left = width - inner - _BUBBLE_PAD_X
        self._place(piece, left, y + _BUBBLE_PAD_Y, inner, height)
        self._bubble = QRect(left - _BUBBLE_PAD_X, y, inner + 2 * _BUBBLE_PAD_X, height + 2 * _BUBBLE_PAD_Y)
        return y + self._bubble.height() + 4

    def _place(self, widget: QWidget, x: int, y: int, width: int, height: int) -> int:
        widget.setGeometry(x, y, width, height)
        return y + height

    def paintEvent(self, _event: QPaintEvent) -> None:
        if self._bubble.isNull() or self._editor is not None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(self._style.raised)
        painter.setBrush(self._style.raised)
        painter.drawRoundedRect(self._bubble.adjusted(0, 0, -1, -1), 10, 10)

    # ---------------------------------------------------------------- text

    def text_widgets(self) -> list[QTextBrowser | QPlainTextEdit]:
        """The widgets that hold selectable text, in reading order."""
        return self.pieces.text_widgets()

    def retranslate(self) -> None:
        """Set every text again in the current language."""
        for part in (self._reasoning, self._footer, self._pictures, *self._tools, self.pieces):
            if part is not None:
                part.retranslate()
        self._build_around()
