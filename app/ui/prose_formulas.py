"""Puts formulas into a text document in place of their marks, and reads them back as TeX when text is copied."""

from functools import lru_cache

from PySide6.QtCore import Qt
from PySide6.QtGui import QTextBlockFormat, QTextCharFormat, QTextCursor, QTextDocument

from app.ui import math_text
from app.ui.chat_style import ChatStyle
from app.ui.formula import (
    DISPLAY,
    OBJECT,
    SIZE,
    SOURCE,
    TEX,
    TOKEN,
    FormulaObject,
    formula_of,
    formulas,
    hangs,
)
from app.ui.math_text import Formula

STANDS_FOR = "\ufffc"
"""Unicode's object replacement character."""
_SCALE = 1.2
"""STIX Two is a small face: 15 px text goes with 18 px formulas."""


def put_in(document: QTextDocument, found: list[Formula], style: ChatStyle, token: str) -> bool:
    """Replace the marks of ``math_text.take_out``. Returns whether all of them are final; those that are not stand as
    their source."""
    if not found:
        return True
    _teach(document)
    final = True
    block = document.lastBlock()
    while block.isValid():
        text = block.text()
        for match in reversed(list(math_text.MARK.finditer(text))):
            number = int(match[1])
            if number < len(found):
                cursor = QTextCursor(block)
                cursor.setPosition(block.position() + _units(text[: match.start()]))
                cursor.setPosition(
                    block.position() + _units(text[: match.end()]), QTextCursor.MoveMode.KeepAnchor
                )
                final = _insert(cursor, found[number], style, token) and final
        block = block.previous()
    return final


def put_alone(document: QTextDocument, formula: Formula, style: ChatStyle, token: str) -> bool:
    """One formula as all of the document, in the middle of the line."""
    _teach(document)
    document.clear()
    cursor = QTextCursor(document)
    block = QTextBlockFormat()
    block.setAlignment(Qt.AlignmentFlag.AlignHCenter)
    cursor.setBlockFormat(block)
    return _insert(cursor, formula, style, token, alone=True)


def _insert(
    cursor: QTextCursor, formula: Formula, style: ChatStyle, token: str, *, alone: bool = False
) -> bool:
    size = round(style.body.pixelSize() * _SCALE)
    drawing, final = formulas().find(formula, size)
    form = QTextCharFormat()
    form.setFont(style.body if drawing else style.mono)
    if drawing is None:
        cursor.insertText(formula.source, form)
        return final
    form.setObjectType(OBJECT)
    if not alone and (formula.display or not hangs(drawing, size)):
        form.setVerticalAlignment(QTextCharFormat.VerticalAlignment.AlignMiddle)
    for name, value in (
        (TEX, formula.tex), (DISPLAY, formula.display), (SOURCE, formula.source), (SIZE, size), (TOKEN, token),
    ):  # fmt: skip
        form.setProperty(name, value)
    cursor.insertText(STANDS_FOR, form)
    return True


def selected_text(cursor: QTextCursor) -> str:
    """What is selected as plain text, formulas as they were written."""
    text = cursor.selection().toPlainText()
    if STANDS_FOR not in text:
        return text
    sources = iter(_sources(cursor))
    return "".join(next(sources, letter) if letter == STANDS_FOR else letter for letter in text)


def _sources(cursor: QTextCursor) -> list[str]:
    document, found = cursor.document(), []
    look = QTextCursor(document)
    for position in range(cursor.selectionStart(), cursor.selectionEnd()):
        if document.characterAt(position) == STANDS_FOR:
            look.setPosition(position + 1)
            found.append(formula_of(look.charFormat()).source)
    return found


def _units(text: str) -> int:
    """Length in Qt's UTF-16 units."""
    return len(text) + sum(1 for letter in text if ord(letter) > 0xFFFF)


@lru_cache(maxsize=1)
def _object() -> FormulaObject:
    return FormulaObject()


def _teach(document: QTextDocument) -> None:
    layout = document.documentLayout()
    if layout.handlerForObject(OBJECT) is None:
        layout.registerHandler(OBJECT, _object())
