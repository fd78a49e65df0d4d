"""A run of formatted text that is as high as its content: the paragraphs, lists and tables of a message."""

import re
from collections.abc import Iterable, Iterator
from typing import cast

from PySide6.QtCore import QEvent, QMimeData, QRectF, Qt, QUrl, Signal
from PySide6.QtGui import (
    QFont,
    QImage,
    QPainter,
    QPaintEvent,
    QTextBlock,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QTextFormat,
    QTextFrameFormat,
    QTextOption,
    QTextTable,
    QTextTableCellFormat,
    QWheelEvent,
)
from PySide6.QtWidgets import QFrame, QTextBrowser, QWidget

from app.ui import math_text, prose_formulas
from app.ui.chat_style import ChatStyle
from app.ui.formula import formulas

_FEATURES = QTextDocument.MarkdownFeature.MarkdownDialectGitHub | QTextDocument.MarkdownFeature.MarkdownNoHTML
_PROPORTIONAL = QTextBlockFormat.LineHeightTypes.ProportionalHeight.value
_ROOMY = 1.4
"""How much wider than the column a table is drawn that can't be fitted into it."""
_HEADING_SCALE = {1: 1.4, 2: 1.25, 3: 1.12}
# An image would be asked for by the document: what stands in for it is its description, as a link.
_IMAGE = re.compile(r"(?<!`)(`++)(?s:.*?)(?<!`)\1(?!`)|!\[")


class ProseView(QTextBrowser):
    """Read-only and as high as ``height_for`` says; only a table that is too wide is scrolled, sideways. Fetches
    nothing, ever."""

    link_activated = Signal(QUrl)
    resized = Signal()
    """Formulas were drawn: the height it needs may have changed."""

    def __init__(self, style: ChatStyle, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._style = style
        self._measured: tuple[int, int] | None = None
        self._awaited = ""
        self._awaited_source = ""
        self.ink = "text"
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setLineWrapMode(QTextBrowser.LineWrapMode.FixedPixelWidth)
        self.setLineWrapColumnOrWidth(600)
        self.setOpenLinks(False)
        self.setUndoRedoEnabled(False)
        self.viewport().setAutoFillBackground(False)
        self.setTabChangesFocus(True)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.NoContextMenu)
        self.document().setDocumentMargin(0)
        self.anchorClicked.connect(self.link_activated)
        self._has_quotes = False
        self.set_style(style)

    def set_style(self, style: ChatStyle) -> None:
        """Use these fonts and colours from the next text on."""
        self._style = style
        self._measured = None
        self.setFont(style.body)
        self.document().setDefaultFont(style.body)
        self.document().setIndentWidth(style.body.pixelSize() * 1.75)

    def set_markdown(self, text: str, *, table: bool = False) -> None:
        """Show formatted text in place of what is there; a selection by the reader is kept where it still fits.
        ``table``: it is one table, whose words stay whole."""
        self._measured = None
        self._keep_words(table)
        kept, document, bar = self._selection(), self.document(), self.horizontalScrollBar()
        aside = bar.value()
        marked, found = math_text.take_out(text)
        document.setMarkdown(_without_images(marked), _FEATURES)
        _polish(document, self._style, with_code="`" in text, with_tables="|" in text)
        self._has_quotes = ">" in text
        # A drawing says nothing to a screen reader.
        self.setAccessibleDescription(text if found else "")
        self._await("" if prose_formulas.put_in(document, found, self._style, self.ink) else text)
        if table:  # Qt leaves its caret at the end, and a wide one would be shown from there
            self.moveCursor(QTextCursor.MoveOperation.Start)
        self._select(kept)
        bar.setValue(aside)

    def _keep_words(self, keep: bool) -> None:
        modes, policies = QTextOption.WrapMode, Qt.ScrollBarPolicy
        mode = modes.WordWrap if keep else modes.WrapAtWordBoundaryOrAnywhere
        if mode != self.wordWrapMode():
            self.setWordWrapMode(mode)
            self.setHorizontalScrollBarPolicy(
                policies.ScrollBarAsNeeded if keep else policies.ScrollBarAlwaysOff
            )

    def set_display(self, tex: str, source: str) -> None:
        """Show one formula in a paragraph of its own; ``source`` is how it was written."""
        self._measured = None
        self._keep_words(False)
        self._has_quotes = False
        self.setAccessibleDescription(source)
        formula = math_text.Formula(tex, True, source)
        final = prose_formulas.put_alone(self.document(), formula, self._style, self.ink)
        self._await("" if final else tex, source)

    def _await(self, text: str, source: str = "") -> None:
        """Set ``text`` again once its formulas are drawn; nothing: all of them are."""
        if bool(text) != bool(self._awaited):
            change = formulas().ready.connect if text else formulas().ready.disconnect
            change(self._drawn)
        self._awaited, self._awaited_source = text, source

    def _drawn(self) -> None:
        text, source = self._awaited, self._awaited_source
        table = self.wordWrapMode() == QTextOption.WrapMode.WordWrap
        self.set_display(text, source) if source else self.set_markdown(text, table=table)
        self.resized.emit()

    def createMimeDataFromSelection(self) -> QMimeData:
        data = QMimeData()
        data.setText(prose_formulas.selected_text(self.textCursor()))
        return data

    def set_plain(self, text: str, *, mono: bool = False) -> None:
        """Show text exactly as it was written."""
        self.document().setDefaultFont(self._style.mono if mono else self._style.body)
        self._measured = None
        self._keep_words(False)
        self._await("")
        self.setPlainText(text)
        _tighten(self.document(), self._style)

    def height_for(self, width: int) -> int:
        """Pixels needed at this width."""
        if self._measured is None or self._measured[0] != width:
            # Not document().setTextWidth: an unshown QTextEdit answers that by laying out at its own width again.
            self.setLineWrapColumnOrWidth(width)
            size, bar = self.document().size(), 0
            if size.width() > width and self.wordWrapMode() == QTextOption.WrapMode.WordWrap:
                # It must be scrolled in any case: room for whole phrases then.
                self.setLineWrapColumnOrWidth(round(width * _ROOMY))
                size, bar = self.document().size(), self.horizontalScrollBar().sizeHint().height()
            self._measured = width, int(size.height() + 0.999) + bar
        return self._measured[1]

    def ideal_width(self, most: int) -> int:
        """Pixels the longest line takes when lines wrap at ``most``."""
        self._measured = None
        self.setLineWrapColumnOrWidth(most)
        return min(most, int(self.document().idealWidth() + 0.999))

    def loadResource(self, _kind: int, _name: QUrl | str) -> object:
        # An empty image rather than None: for None Qt would try to open the name as a local file.
        return QImage()

    def _selection(self) -> tuple[int, int] | None:
        cursor = self.textCursor()
        return (cursor.anchor(), cursor.position()) if cursor.hasSelection() else None

    def _select(self, kept: tuple[int, int] | None) -> None:
        last = self.document().characterCount() - 1
        if kept is None or max(kept) > last:
            return
        cursor = self.textCursor()
        cursor.setPosition(kept[0])
        cursor.setPosition(kept[1], QTextCursor.MoveMode.KeepAnchor)
        self.setTextCursor(cursor)

    def wheelEvent(self, event: QWheelEvent) -> None:
        sideways = abs(event.angleDelta().x()) > abs(event.angleDelta().y())
        if sideways or event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            super().wheelEvent(event)
        else:
            event.ignore()

    def changeEvent(self, event: QEvent) -> None:
        # A font or palette change re-lays the text; the owner sets both through set_style.
        if event.type() not in {QEvent.Type.FontChange, QEvent.Type.StyleChange}:
            super().changeEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if self._has_quotes:
            self._paint_quote_bars(event)

    def _paint_quote_bars(self, event: QPaintEvent) -> None:
        layout = self.document().documentLayout()
        painter = QPainter(self.viewport())
        painter.setClipRect(event.rect())
        for block in blocks(self.document()):
            level = _quote_level(block)
            if level:
                rect = layout.blockBoundingRect(block)
                for depth in range(level):
                    bar = QRectF(depth * 16, rect.top(), 3, rect.height() + self._style.gap / 2)
                    painter.fillRect(bar, self._style.line)


def plain_text(markdown: str) -> str:
    """A message without its marks, formulas as they were written."""
    marked, found = math_text.take_out(markdown)
    document = QTextDocument()
    document.setMarkdown(_without_images(marked), _FEATURES)
    return math_text.put_back(document.toPlainText(), found)


def blocks(document: QTextDocument) -> Iterator[QTextBlock]:
    """Every block in order."""
    block = document.begin()
    while block.isValid():
        yield block
        block = block.next()


def _without_images(text: str) -> str:
    if "![" not in text:
        return text
    return _IMAGE.sub(lambda match: "[" if match[0] == "![" else match[0], text)


def _quote_level(block: QTextBlock) -> int:
    return int(block.blockFormat().intProperty(QTextFormat.Property.BlockQuoteLevel))


def _polish(document: QTextDocument, style: ChatStyle, *, with_code: bool, with_tables: bool) -> None:
    """What Qt's markdown leaves out: line height, spacing, heading sizes, code and table looks."""
    cursor = QTextCursor(document)
    cursor.beginEditBlock()
    last = document.lastBlock().blockNumber()
    for block in blocks(document):
        _polish_block(block, style, is_last=block.blockNumber() == last)
        if with_code:
            _polish_code(block, style)
    if with_tables:
        for frame in document.rootFrame().childFrames():
            if isinstance(frame, QTextTable):
                _polish_table(frame, style)
    cursor.endEditBlock()


def _tighten(document: QTextDocument, style: ChatStyle) -> None:
    """Plain text: the line height, and no gap between lines."""
    cursor = QTextCursor(document)
    cursor.select(QTextCursor.SelectionType.Document)
    form = QTextBlockFormat()
    form.setLineHeight(style.line_percent, _PROPORTIONAL)
    cursor.mergeBlockFormat(form)


def _polish_block(block: QTextBlock, style: ChatStyle, *, is_last: bool) -> None:
    form = block.blockFormat()
    form.setLineHeight(style.line_percent, _PROPORTIONAL)
    level = form.headingLevel()
    in_list = block.textList() is not None and block.next().textList() is not None
    form.setTopMargin(style.gap if level and block.blockNumber() else 0)
    form.setBottomMargin(0 if is_last else style.gap / 2 if in_list or level else style.gap)
    cursor = QTextCursor(block)
    if quote := _quote_level(block):
        form.setLeftMargin(16 * quote)
        form.setRightMargin(0)
    if cursor.currentTable() is not None:
        form.setBottomMargin(0)
    elif block.next().isValid() and not block.text() and QTextCursor(block.next()).currentTable() is not None:
        # Qt puts an empty paragraph before a table.
        form.setLineHeight(1, QTextBlockFormat.LineHeightTypes.FixedHeight.value)
        form.setBottomMargin(0)
    if form.hasProperty(QTextFormat.Property.BlockTrailingHorizontalRulerWidth):
        form.setBackground(style.line)
    cursor.setBlockFormat(form)
    if level:
        _polish_heading(cursor, level, style)


def _polish_heading(cursor: QTextCursor, level: int, style: ChatStyle) -> None:
    sized = QTextCharFormat()
    pixels = round(style.body.pixelSize() * _HEADING_SCALE.get(level, 1.0))
    sized.setProperty(QTextFormat.Property.FontPixelSize, pixels)
    sized.setFontWeight(QFont.Weight.DemiBold)
    for item in list(cast("Iterable[QTextBlock.iterator]", cursor.block())):  # the stubs miss __next__
        piece = item.fragment()
        form = piece.charFormat()
        # Qt's own step for headings: whatever it says, it wins over a size.
        form.clearProperty(QTextFormat.Property.FontSizeAdjustment)
        form.merge(sized)
        cursor.setPosition(piece.position())
        cursor.setPosition(piece.position() + piece.length(), QTextCursor.MoveMode.KeepAnchor)
        cursor.setCharFormat(form)


def _polish_code(block: QTextBlock, style: ChatStyle) -> None:
    fenced = block.blockFormat().hasProperty(QTextFormat.Property.BlockCodeFence)
    if fenced:
        form = block.blockFormat()
        form.setBackground(style.raised)
        form.setBottomMargin(0)
        QTextCursor(block).setBlockFormat(form)
    for item in cast("Iterable[QTextBlock.iterator]", block):  # the stubs miss __next__
        piece = item.fragment()
        if piece.charFormat().fontFixedPitch():
            cursor = QTextCursor(block)
            cursor.setPosition(piece.position())
            cursor.setPosition(piece.position() + piece.length(), QTextCursor.MoveMode.KeepAnchor)
            form_ = QTextCharFormat()
            form_.setFont(style.mono)
            form_.setBackground(style.raised)
            cursor.mergeCharFormat(form_)


def _polish_table(table: QTextTable, style: ChatStyle) -> None:
    form = table.format()
    form.setBorder(0)
    form.setCellSpacing(0)
    form.setCellPadding(0)
    form.setTopMargin(style.gap / 2)
    form.setBottomMargin(style.gap)
    table.setFormat(form)
    _mend_first_cell(table)
    cell_form = QTextTableCellFormat()
    cell_form.setTopPadding(4)
    cell_form.setBottomPadding(4)
    cell_form.setRightPadding(16)
    cell_form.setBottomBorder(1)
    cell_form.setBottomBorderStyle(QTextFrameFormat.BorderStyle.BorderStyle_Solid)
    cell_form.setBottomBorderBrush(style.line)
    for row in range(table.rows()):
        for column in range(table.columns()):
            cell = table.cellAt(row, column)
            merged = QTextTableCellFormat()
            merged.merge(cell.format())
            merged.merge(cell_form)
            cell.setFormat(merged)
            if row == 1:
                _align_head(table, column)


def _align_head(table: QTextTable, column: int) -> None:
    """A heading stands over its numbers."""
    form = QTextBlockFormat()
    form.setAlignment(table.cellAt(1, column).firstCursorPosition().blockFormat().alignment())
    table.cellAt(0, column).firstCursorPosition().mergeBlockFormat(form)


def _mend_first_cell(table: QTextTable) -> None:
    # WORKAROUND: Qt's markdown leaves an empty paragraph in a table's first cell and drops its bold type there.
    first = table.cellAt(0, 0).firstCursorPosition()
    if not first.block().text() and first.block() != table.cellAt(0, 0).lastCursorPosition().block():
        first.deleteChar()
    bold = QTextCharFormat()
    bold.setFontWeight(QFont.Weight.DemiBold)
    for column in range(table.columns()):
        cell = table.cellAt(0, column)
        cursor = cell.firstCursorPosition()
        cursor.setPosition(cell.lastCursorPosition().position(), QTextCursor.MoveMode.KeepAnchor)
        cursor.mergeCharFormat(bold)
