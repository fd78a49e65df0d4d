"""A conversation as a PDF: text that can be searched, code in colours, formulas and all as vectors, page numbers.

Made on the task pool with QtGui alone, whatever the window's theme and zoom: paper is white.
"""

import re
from typing import TYPE_CHECKING

from PySide6.QtCore import QBuffer, QEventLoop, QIODevice, QMarginsF, QRectF, QSize, QSizeF, Qt, QUrl
from PySide6.QtGui import (
    QAbstractTextDocumentLayout,
    QFont,
    QPageLayout,
    QPageSize,
    QPainter,
    QPalette,
    QPdfWriter,
    QTextBlock,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QTextFormat,
    QTextFragment,
    QTextFrameFormat,
    QTextImageFormat,
    QTextLength,
    QTextOption,
)

from app.chat import transfer_words as words
from app.ui import formula, highlight, math_text, picture_files
from app.ui.chat_pdf_parts import NUMBER, Document, Formulas, font, ink
from app.ui.markdown import Segment, split, split_reasoning

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.chat.answer_energy import AnswerEnergy
    from app.chat.store_types import Conversation, StoredMessage
    from app.chat.transfer_text import Answers
    from app.planning.usage import Day

_SIZE, _SMALL, _CODE, _TITLE = 13, 11, 11, 22
"""Pixels at 96 to the inch."""
_DPI, _FINE = 96, 12
_MARGIN_MM = 18.0
_TALLEST = 360
"""Of a picture, in pixels."""
_OBJECT = QTextFormat.ObjectTypes.UserObject.value + 2
_QUOTE = QTextFormat.Property.BlockQuoteLevel
_MARKDOWN = QTextDocument.MarkdownFeature.MarkdownDialectGitHub | QTextDocument.MarkdownFeature.MarkdownNoHTML
_CODE_COLOURS = {
    "keyword": "plot-4",
    "name": "plot-2",
    "builtin": "plot-2",
    "string": "good",
    "number": "plot-1",
    "comment": "text-2",
    "inserted": "good",
    "deleted": "bad",
}
_IMAGE = re.compile(r"!(\[[^\]]*\])")


def to_pdf(
    conversation: "Conversation",
    messages: "Sequence[StoredMessage]",
    energy: "Day | None" = None,
    data: "Callable[[int], bytes] | None" = None,
    answers: "Answers | None" = None,
    speech: words.Speech = words.ENGLISH,
) -> bytes:
    """The active path with model, quant, settings and speed of each answer, and the energy of the chat and of its
    ``answers`` where it was measured. ``data`` gives the bytes of a picture. Any thread that may take its time."""
    paper = _Paper(data, speech)
    paper.head(conversation, energy)
    for message in messages:
        paper.message(message, (answers or {}).get(message.id))
    return paper.print_pages(conversation.title or speech.say(words.CHAT))


class _Paper:
    """A document that grows message by message, then is cut into pages."""

    def __init__(
        self, data: "Callable[[int], bytes] | None" = None, speech: words.Speech = words.ENGLISH
    ) -> None:
        self._data, self._speech = data, speech
        self._buffer = QBuffer()
        self._buffer.open(QIODevice.OpenModeFlag.WriteOnly)
        self._writer = QPdfWriter(self._buffer)
        self._writer.setResolution(_DPI * _FINE)
        self._writer.setPageLayout(
            QPageLayout(
                QPageSize(QPageSize.PageSizeId.A4),
                QPageLayout.Orientation.Portrait,
                QMarginsF(_MARGIN_MM, _MARGIN_MM, _MARGIN_MM, _MARGIN_MM),
                QPageLayout.Unit.Millimeter,
            )
        )
        self._document = Document()
        self._document.setUseDesignMetrics(True)
        self._document.setDocumentMargin(0)
        self._document.setDefaultFont(font(_SIZE))
        option = QTextOption()
        option.setWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self._document.setDefaultTextOption(option)
        self._foot = 24
        room = self._writer.pageLayout().paintRectPixels(_DPI)
        self._document.setPageSize(QSizeF(room.width(), room.height() - self._foot))
        self._document.setUndoRedoEnabled(False)
        self._formulas = Formulas(self._document)
        self._cursor = QTextCursor(self._document)
        self._fresh = True

    # ------------------------------------------------------------------ content

    def head(self, conversation: "Conversation", energy: "Day | None") -> None:
        """Title, date, model, energy, system prompt."""
        self._line(conversation.title or self._speech.say(words.CHAT), font(_TITLE, bold=True), "text")
        self._line(words.facts(conversation, energy, self._speech), font(_SMALL), "text-2", below=10)
        if conversation.system:
            self._line(conversation.system, font(_SMALL), "text-2", below=10)

    def message(self, message: "StoredMessage", energy: "AnswerEnergy | None" = None) -> None:
        """One message with all that is known of it."""
        token = "accent" if message.role == "user" else "text"
        self._line(words.who(message, self._speech), font(_SMALL, bold=True), token, above=16)
        thought, text = split_reasoning(message.text)
        if thought := message.reasoning or thought:
            self._line(self._speech.say(words.THINKING), font(_SMALL, bold=True), "text-2")
            self._line(thought.strip(), font(_SMALL), "text-2", below=8)
        for attachment in message.attachments:
            if attachment.kind != "image" or not self._picture(attachment.id):
                self._line(f"[{attachment.name}]", font(_SMALL), "text-2")
        for segment in split(text):
            self._segment(segment)
        for call in message.tool_calls:
            self._code(f"{call.name}({call.arguments})", "")
        if figures := words.figures(message, energy, self._speech):
            self._line(figures, font(_SMALL), "text-2", above=4)

    def _picture(self, attachment: int) -> bool:
        """Put a picture in; False: it can't be drawn."""
        room = QSize(int(self._document.pageSize().width()) - 24, _TALLEST)
        image, size = picture_files.fitted(self._data(attachment) if self._data else b"", room)
        if image.isNull():
            return False
        form, name = QTextImageFormat(), f"picture-{attachment}"
        self._document.addResource(QTextDocument.ResourceType.ImageResource.value, QUrl(name), image)
        form.setName(name)
        form.setWidth(size.width())
        form.setHeight(size.height())
        self._block(QTextBlockFormat(), QTextCharFormat())
        self._cursor.insertImage(form)
        return True

    def _segment(self, segment: Segment) -> None:
        if segment.kind == "code":
            self._code(segment.text, segment.info)
        elif segment.kind == "math":
            self._display(segment.text)
        else:
            self._prose(segment.text)

    def _line(self, text: str, font: QFont, token: str, *, above: int = 0, below: int = 4) -> None:
        shape, form = QTextBlockFormat(), QTextCharFormat()
        shape.setTopMargin(above)
        shape.setBottomMargin(below)
        form.setFont(font)
        form.setForeground(ink(token))
        self._block(shape, form)
        self._cursor.insertText(text)

    def _block(self, shape: QTextBlockFormat, form: QTextCharFormat) -> None:
        self._cursor.movePosition(QTextCursor.MoveOperation.End)
        if self._fresh:
            self._fresh = False
            self._cursor.setBlockFormat(shape)
            self._cursor.setBlockCharFormat(form)
        else:
            self._cursor.insertBlock(shape, form)
        self._cursor.setCharFormat(form)

    def _prose(self, text: str) -> None:
        marked, found = math_text.take_out(_IMAGE.sub(r"\1", text))
        drawn = [formula.draw(each.tex, _SIZE, each.display) for each in found]
        start = self._start()
        self._cursor.insertMarkdown(marked, _MARKDOWN)
        self._shape_first(start, marked)
        self._polish(start)
        for number in range(len(found) - 1, -1, -1):
            self._put(
                f"{math_text.OPEN}{number}{math_text.CLOSE}", start, drawn[number], found[number].source
            )

    def _shape_first(self, start: int, marked: str) -> None:
        """What is inserted into a block that is there keeps that block's shape: a quote or a heading that comes first
        would be a plain line."""
        alone = Document()
        alone.setMarkdown(marked, _MARKDOWN)
        shape = QTextBlockFormat()
        for name in (_QUOTE, QTextFormat.Property.HeadingLevel):
            if (level := alone.begin().blockFormat().intProperty(name)) > 0:
                shape.setProperty(name, level)
        cursor = QTextCursor(self._document)
        cursor.setPosition(start)
        cursor.mergeBlockFormat(shape)

    def _polish(self, start: int) -> None:
        """Inline code in the code's own font, quotes set back: Qt's Markdown only marks them."""
        block = self._document.findBlock(start)
        while block.isValid():
            level = block.blockFormat().intProperty(_QUOTE)
            for fragment in _fragments(block):
                form = QTextCharFormat()
                if fragment.charFormat().fontFixedPitch():
                    form.setFont(font(_CODE, mono=True))
                if level:
                    form.setForeground(ink("text-2"))
                cursor = QTextCursor(self._document)
                cursor.setPosition(fragment.position())
                cursor.setPosition(fragment.position() + fragment.length(), QTextCursor.MoveMode.KeepAnchor)
                cursor.mergeCharFormat(form)
            if level:
                shape = block.blockFormat()
                shape.setLeftMargin(16 * level)
                QTextCursor(block).setBlockFormat(shape)
            block = block.next()

    def _start(self) -> int:
        shape, form = QTextBlockFormat(), QTextCharFormat()
        shape.setBottomMargin(6)
        form.setFont(font(_SIZE))
        form.setForeground(ink("text"))
        self._block(shape, form)
        return self._cursor.position()

    def _put(self, mark: str, start: int, drawing: formula.Drawing | None, source: str) -> None:
        place = self._document.find(mark, start)
        if place.isNull():
            return
        form = place.charFormat()
        if drawing is None:
            place.insertText(source, form)
            return
        self._formulas.drawings.append(drawing)
        form.setObjectType(_OBJECT)
        form.setProperty(NUMBER, len(self._formulas.drawings) - 1)
        form.setVerticalAlignment(QTextCharFormat.VerticalAlignment.AlignMiddle)
        place.insertText(chr(0xFFFC), form)

    def _display(self, tex: str) -> None:
        drawing = formula.draw(tex, _SIZE, True)
        if drawing is None:
            self._code(tex, "tex")
            return
        self._start()
        shape = self._cursor.blockFormat()
        shape.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self._cursor.setBlockFormat(shape)
        self._formulas.drawings.append(drawing)
        form = QTextCharFormat()
        form.setObjectType(_OBJECT)
        form.setProperty(NUMBER, len(self._formulas.drawings) - 1)
        self._cursor.insertText(chr(0xFFFC), form)

    def _code(self, text: str, language: str) -> None:
        self._cursor.movePosition(QTextCursor.MoveOperation.End)
        frame = QTextFrameFormat()
        frame.setBackground(ink("window"))
        frame.setBorder(0.75)
        frame.setBorderBrush(ink("line"))
        frame.setBorderStyle(QTextFrameFormat.BorderStyle.BorderStyle_Solid)
        frame.setPadding(6)
        frame.setTopMargin(4)
        frame.setBottomMargin(6)
        frame.setWidth(QTextLength(QTextLength.Type.PercentageLength, 100))
        self._fresh = False
        inside = QTextCursor(self._cursor.insertFrame(frame))
        form = QTextCharFormat()
        form.setFont(font(_CODE, mono=True))
        form.setForeground(ink("text"))
        inside.setBlockCharFormat(form)
        start = inside.position()
        inside.insertText(text.replace("\r", ""), form)
        self._colour(text, language, start)
        self._cursor.movePosition(QTextCursor.MoveOperation.End)

    def _colour(self, text: str, language: str, start: int) -> None:
        lines, at = [], start
        for line in text.split("\n"):
            lines.append(at)
            at += len(line.encode("utf-16-le")) // 2 + 1
        for span in highlight.spans(text, language):
            if span.line >= len(lines):
                continue
            cursor = QTextCursor(self._document)
            cursor.setPosition(lines[span.line] + span.start)
            cursor.setPosition(cursor.position() + span.length, QTextCursor.MoveMode.KeepAnchor)
            form = QTextCharFormat()
            form.setForeground(ink(_CODE_COLOURS[span.kind]))
            cursor.mergeCharFormat(form)

    # ------------------------------------------------------------------ pages

    def print_pages(self, title: str) -> bytes:
        """Cut into pages, each with the title and its number at the foot."""
        self._writer.setTitle(title)
        self._writer.setCreator("Hearth")
        self._lay_out()
        painter = QPainter(self._writer)
        painter.scale(_FINE, _FINE)
        count = self._document.pageCount()
        for page in range(count):
            if page:
                self._writer.newPage()
            self._draw_page(painter, page)
            self._draw_foot(painter, f"{title[:80]}", f"{page + 1} / {count}")
        painter.end()
        self._buffer.close()
        return bytes(self._buffer.data().data())

    def _lay_out(self) -> None:
        """Once everything is there (with a layout each change costs as much as there is), and bit by bit: Qt keeps
        Python's lock while it lays out, and the window stands still for as long."""
        self._loop = QEventLoop()  # the layout starts timers, which only a thread with a loop can have
        layout = self._document.documentLayout()
        layout.registerHandler(_OBJECT, self._formulas)
        self._document.setPageSize(self._document.pageSize())  # from the beginning, now with formulas
        block = self._document.begin()
        while block.isValid():
            layout.blockBoundingRect(block)
            block = block.next()

    def _draw_page(self, painter: QPainter, page: int) -> None:
        size = self._document.pageSize()
        painter.save()
        painter.translate(0, -page * size.height())
        area = QRectF(0, page * size.height(), size.width(), size.height())
        painter.setClipRect(area)
        context = QAbstractTextDocumentLayout.PaintContext()
        context.clip = area
        palette = QPalette()
        palette.setColor(QPalette.ColorRole.Text, ink("text"))
        context.palette = palette
        self._document.documentLayout().draw(painter, context)
        painter.restore()

    def _draw_foot(self, painter: QPainter, left: str, right: str) -> None:
        size = self._document.pageSize()
        painter.setFont(font(_SMALL - 1))
        painter.setPen(ink("text-2"))
        line = QRectF(0, size.height() + 6, size.width(), self._foot - 6)
        painter.drawText(line, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignBottom, left)
        painter.drawText(line, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignBottom, right)


def _fragments(block: QTextBlock) -> list[QTextFragment]:
    found, inside = [], block.begin()
    while not inside.atEnd():
        found.append(inside.fragment())
        inside += 1
    return found
