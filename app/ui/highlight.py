"""Colours for code: pygments' tokens as plain spans. No Qt; runs on a worker thread and imports pygments there."""

import logging
from typing import Any, Literal, NamedTuple

log = logging.getLogger(__name__)

MAX_CHARACTERS = 200_000
"""Longer code stays plain: nobody reads it here, and colouring would hold the interpreter."""

SpanKind = Literal["keyword", "name", "builtin", "string", "number", "comment", "inserted", "deleted"]


class Span(NamedTuple):
    """``length`` characters of one line from ``start``, counted in UTF-16 units as Qt does."""

    line: int
    start: int
    length: int
    kind: SpanKind


_KINDS: tuple[tuple[str, SpanKind], ...] = (
    ("Token.Comment", "comment"),
    ("Token.Keyword.Constant", "number"),
    ("Token.Keyword", "keyword"),
    ("Token.Operator.Word", "keyword"),
    ("Token.Literal.String", "string"),
    ("Token.Literal.Number", "number"),
    ("Token.Name.Function", "name"),
    ("Token.Name.Class", "name"),
    ("Token.Name.Tag", "keyword"),
    ("Token.Name.Decorator", "builtin"),
    ("Token.Name.Builtin", "builtin"),
    ("Token.Name.Attribute", "name"),
    ("Token.Generic.Inserted", "inserted"),
    ("Token.Generic.Deleted", "deleted"),
    ("Token.Generic.Heading", "name"),
)


def _kind(token: str) -> SpanKind | None:
    return next((kind for prefix, kind in _KINDS if token.startswith(prefix)), None)


def spans(code: str, language: str) -> list[Span]:
    """The coloured spans of ``code``; empty for a language pygments does not know."""
    lexer = _lexer(language) if len(code) <= MAX_CHARACTERS else None
    if lexer is None:
        return []
    kinds: dict[Any, SpanKind | None] = {}
    found: list[Span] = []
    line = column = 0
    for token, text in lexer.get_tokens(code):
        if token not in kinds:
            kinds[token] = _kind(str(token))
        for index, part in enumerate(text.split("\n")):
            if index:
                line, column = line + 1, 0
            width = len(part) if part.isascii() else len(part.encode("utf-16-le")) // 2
            kind = kinds[token]
            if width and kind is not None:
                found.append(Span(line, column, width, kind))
            column += width
    return found


def _lexer(language: str) -> Any | None:
    from pygments.lexers import get_lexer_by_name  # noqa: PLC0415 - 40 ms, wanted on the worker thread only
    from pygments.util import ClassNotFound  # noqa: PLC0415

    if not language:
        return None
    try:
        return get_lexer_by_name(language.lower(), stripnl=False, ensurenl=False)
    except ClassNotFound:
        log.debug("no lexer for %r", language)
        return None
