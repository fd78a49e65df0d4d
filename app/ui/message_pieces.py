"""The text of a message as widgets, one for each segment; those of a very long one are made bit by bit."""

from PySide6.QtCore import QObject, QTimer, QUrl, Signal
from PySide6.QtWidgets import QPlainTextEdit, QTextBrowser, QWidget

from app.ui.chat_style import ChatStyle
from app.ui.code_block import CodeBlock
from app.ui.long_message import STRETCH, Gap, at_once
from app.ui.markdown import Segment, Splitter, math_source
from app.ui.prose import ProseView

Built = ProseView | CodeBlock
Piece = Built | Gap


class MessagePieces(QObject):
    """Makes and keeps the widgets; their owner places them. While text is coming, all but the last are frozen."""

    resized = Signal()
    made = Signal(object)
    """A widget with text to select is there."""
    link_activated = Signal(QUrl)

    def __init__(self, style: ChatStyle, owner: QWidget) -> None:
        super().__init__(owner)
        self._style, self._owner = style, owner
        self.all: list[Piece] = []
        self._frozen = 0
        self._later = QTimer(self, interval=0)
        self._later.timeout.connect(self._build_more)

    @property
    def building(self) -> bool:
        """Some are still to be made."""
        return self._later.isActive()

    def clear(self) -> None:
        """Be empty."""
        self._later.stop()
        self._drop(0)
        self._frozen = 0

    def show_plain(self, text: str, *, mono: bool) -> None:
        """The text as it was written, in one piece."""
        view = self._prose()
        view.set_plain(text, mono=mono)
        self.all = [view]
        self.made.emit(view)

    def show(self, segments: list[Segment]) -> None:
        """Finished segments: those at both ends at once, the rest when there is time."""
        now = at_once(segments)
        for number, segment in enumerate(segments):
            self.all.append(self._piece(segment) if number in now else Gap(segment, self._style))
        if len(now) < len(segments):
            self._later.start()
        self._frozen = len(segments)

    def show_live(self, splitter: Splitter) -> None:
        """What was finished since, and the open end."""
        if not self.all and len(splitter.frozen) > 1:
            self.show(splitter.frozen)
        self._show_frozen(splitter)
        tail = splitter.tail()
        if tail is None:
            self._drop(self._frozen)
        else:
            self._put(self._frozen, tail)
            self._drop(self._frozen + 1)

    def finish(self, splitter: Splitter) -> None:
        """No more text comes."""
        splitter.finish()
        self._show_frozen(splitter)
        self._drop(len(splitter.frozen))

    def _show_frozen(self, splitter: Splitter) -> None:
        for segment in splitter.frozen[self._frozen :]:
            self._put(self._frozen, segment)
            self._frozen += 1

    def _put(self, index: int, segment: Segment) -> None:
        """Make piece ``index`` show this segment, in place when it is of the right kind."""
        if index < len(self.all):
            piece = self.all[index]
            if isinstance(piece, ProseView) and segment.kind != "code":
                _fill(piece, segment)
                return
            if isinstance(piece, CodeBlock) and segment.kind == "code":
                piece.set_code(segment.text, segment.info, closed=segment.closed)
                return
            self._drop(index)
        self.all.append(self._piece(segment))

    def _drop(self, count: int) -> None:
        for piece in self.all[count:]:
            piece.hide()
            piece.deleteLater()
        del self.all[count:]

    # ---------------------------------------------------------------- making

    def _build_more(self) -> None:
        """Idle work: the next gaps, from the end, where a long message is mostly read."""
        letters = STRETCH
        for number in range(len(self.all) - 1, -1, -1):
            piece = self.all[number]
            if isinstance(piece, Gap):
                self.all[number] = self._piece(piece.segment)
                letters -= len(piece.segment.text)
                if letters <= 0:
                    break
        else:
            self._later.stop()
        self.resized.emit()

    def build_all(self) -> None:
        """Make what is still a gap, at once."""
        self._later.stop()
        if any(isinstance(piece, Gap) for piece in self.all):
            self.all = [self._piece(piece.segment) if isinstance(piece, Gap) else piece for piece in self.all]
            self.resized.emit()

    def _piece(self, segment: Segment) -> Built:
        if segment.kind != "code":
            view = self._prose()
            _fill(view, segment)
            self.made.emit(view)
            return view
        block = CodeBlock(self._style, self._owner)
        block.resized.connect(self.resized)
        block.set_code(segment.text, segment.info, closed=segment.closed)
        block.show()
        self.made.emit(block.text)
        return block

    def _prose(self) -> ProseView:
        view = ProseView(self._style, self._owner)
        view.link_activated.connect(self.link_activated)
        view.resized.connect(self.resized)
        view.setAccessibleName(self.tr("Message text"))
        view.show()
        return view

    # ---------------------------------------------------------------- what the owner asks

    def set_visible(self, visible: bool) -> None:
        """Hide all of them while the message is edited, and show them again."""
        for piece in self.all:
            piece.show() if visible else piece.hide()

    def arrange(self, width: int, y: int) -> int:
        """Place everything below ``y``; returns where it ends."""
        for piece in self.all:
            height = piece.height_for(width)
            if not isinstance(piece, Gap):
                piece.setGeometry(0, y, width, height)
            y += height + self._style.gap
        return y

    def text_widgets(self) -> list[QTextBrowser | QPlainTextEdit]:
        """The widgets that hold selectable text, in reading order."""
        built = [piece for piece in self.all if not isinstance(piece, Gap)]
        return [piece if isinstance(piece, ProseView) else piece.text for piece in built]

    def retranslate(self) -> None:
        """Set every text again in the current language."""
        for piece in self.all:
            if isinstance(piece, CodeBlock):
                piece.retranslate()


def _fill(view: ProseView, segment: Segment) -> None:
    if segment.kind in {"prose", "table"}:
        view.set_markdown(segment.text, table=segment.kind == "table")
    elif segment.closed:
        view.set_display(segment.text, math_source(segment))
    else:
        view.set_plain(math_source(segment))
