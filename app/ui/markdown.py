"""Cuts a model's markdown into segments that are drawn apart, while it is still being written. No Qt.

A message is a list of segments: prose, tables, fenced code, display math. All but the last are frozen: later text can't
change them, so a view draws each once and parses only the open tail again. Prose is cut at a blank line outside a
fence once it is long enough; a list is kept whole as long as it stays short.
"""

import re
from typing import Literal

from msgspec import Struct

SegmentKind = Literal["prose", "code", "math", "table"]

SOFT_LIMIT = 1200
"""Characters of prose after which it is cut at the next paragraph."""
HARD_LIMIT = 2400
"""Characters after which a list, too, is cut between its items."""

_FENCE = re.compile(r"^([ \t]*)(`{3,}|~{3,})[ \t]*+([^`\n]*)$")
_MATH = re.compile(
    r"^[ \t]*(\$\$(?!\s*\$)|\\\[|\\begin\{(?:equation|align|gather|multline|eqnarray)\*?\})(.*)$"
)
_ENVIRONMENT = "\\begin{"
_CONTINUES = re.compile(r"^(?:[ \t]|[-*+][ \t]|\d{1,9}[.)][ \t]|>|\|)")
_OTHER = r"#{1,6}[ \t]|>|[-*+][ \t]|\d{1,9}[.)][ \t]"
_ROW = re.compile(rf"^(?![ \t]|{_OTHER}).*\|")
"""A line that can be a table's head: no heading, and not in a list or a quote."""
_AFTER_TABLE = re.compile(_OTHER)
"""What ends a table without a blank line; any other line is a row of it."""
_RULE = re.compile(r"^(?=.*\|)\|?[ \t]*+:?-++:?[ \t]*+(?:\|[ \t]*+:?-++:?[ \t]*+)*+\|?[ \t]*$")
"""The line below a table's head."""
_THINK_OPEN, _THINK_CLOSE = "<think>", "</think>"


class Segment(Struct, frozen=True):
    """One piece of a message. ``info`` is a fence's language tag; ``closed`` is False while text may still come."""

    kind: SegmentKind
    text: str
    info: str = ""
    closed: bool = True


class Splitter:
    """Takes text as it comes. ``frozen`` only ever grows; ``tail()`` is what may still change."""

    def __init__(self) -> None:
        self.frozen: list[Segment] = []
        self._lines: list[str] = []
        self._size = 0
        self._partial = ""
        self._kind: SegmentKind = "prose"
        self._info = ""
        self._fence = ""
        self._indent = 0
        self._dedent = 0

    def feed(self, text: str) -> None:
        """Add the next piece of text, whole or cut anywhere."""
        *lines, self._partial = (self._partial + text).split("\n")
        for line in lines:
            self._take(line)

    def finish(self) -> list[Segment]:
        """No more text comes: everything is frozen, an open fence counts as closed."""
        if self._partial:
            line, self._partial = self._partial, ""
            self._take(line)
        if self._kind == "math":
            self._undo_math()
        self._close()
        return self.frozen

    def tail(self) -> Segment | None:
        """The open segment with the unfinished line, or None when there is nothing to show."""
        partial = "" if self._is_half_marker(self._partial) else self._partial
        lines = [*self._lines, self._strip(partial)] if partial else self._lines
        text = "\n".join(lines)
        if self._kind == "prose" and not text.strip():
            return None
        return Segment(self._kind, text, self._info, closed=False)

    def _is_half_marker(self, line: str) -> bool:
        # A fence that is half written would flash as text.
        stripped = line.strip()
        return bool(stripped) and set(stripped) <= {"`"} and (len(stripped) < 3 or self._kind == "code")

    def _take(self, line: str) -> None:
        if self._kind == "code":
            self._take_code(line)
        elif self._kind == "math":
            self._take_prose(self._take_math(line))
        elif self._kind == "table" and not line.strip():
            self._close()
        else:
            self._take_prose(line)

    def _take_prose(self, line: str | None) -> None:
        """A line that begins with formulas (a model that repeats itself writes thousands) is taken piece by piece."""
        while line is not None and (math := self._take_piece(line)):
            self._close()
            line = self._open_math(math)

    def _take_piece(self, line: str) -> "re.Match[str] | None":
        """The beginning of a formula; any other line is taken whole."""
        if self._kind == "table" and _AFTER_TABLE.match(line):
            self._close()
        if fence := _FENCE.match(line):
            self._close()
            self._open_code(fence)
        elif math := _MATH.match(line):
            return math
        elif self._kind == "prose" and _RULE.match(line) and self._lines and _ROW.match(self._lines[-1]):
            self._open_table(line)
        else:
            line = self._strip(line)
            if line.strip() and self._may_cut(line):
                self._close()
            self._push(line)
        return None

    def _open_table(self, rule: str) -> None:
        head = self._lines.pop()
        self._close()
        self._kind = "table"
        self._push(head)
        self._push(rule)

    def _may_cut(self, line: str) -> bool:
        after_blank = self._kind == "prose" and bool(self._lines) and not self._lines[-1].strip()
        if not after_blank or self._size < SOFT_LIMIT:
            return False
        return not _CONTINUES.match(line) or (self._size >= HARD_LIMIT and line[0] not in " \t")

    def _open_code(self, fence: "re.Match[str]") -> None:
        self._kind, self._fence = "code", fence[2]
        self._indent = len(fence[1].expandtabs(4))
        self._info = fence[3].strip().split(" ")[0].strip("{}.")

    def _take_code(self, line: str) -> None:
        stripped = line.strip()
        if len(stripped) >= len(self._fence) and set(stripped) == {self._fence[0]}:
            self._dedent = self._indent
            self._close()
        else:
            self._push(_without_indent(line, self._indent))

    def _open_math(self, math: "re.Match[str]") -> str | None:
        """What follows the formula on its line, None where nothing does."""
        self._kind, self._info = "math", math[1]
        self._fence = "$$" if math[1] == "$$" else "\\]"
        if math[1].startswith(_ENVIRONMENT):
            self._fence = math[1].replace("begin", "end")
            self._push(math[1])
        return self._take_math(math[2]) if math[2].strip() else None

    def _take_math(self, line: str) -> str | None:
        """The same for any line of a formula."""
        body, found, rest = line.partition(self._fence)
        if not line.strip() and self._lines:
            self._undo_math()
            self._push(line)
            return None
        if body.strip():
            self._push(body.strip())
        if not found:
            return None
        if self._info.startswith(_ENVIRONMENT):
            self._push(found)
        self._close()
        return rest.lstrip() if rest.strip(" .,;") else None

    def _undo_math(self) -> None:
        """It was no formula after all: LaTeX has no blank lines in one, and "$$" is also a shell's process id."""
        if self._lines and not self._info.startswith(_ENVIRONMENT):
            self._lines[0] = self._info + self._lines[0]
        self._kind, self._info, self._fence = "prose", "", ""

    def _strip(self, line: str) -> str:
        """A paragraph that went on inside a list item after its code would else read as indented code."""
        if self._kind != "prose" or not self._dedent or not line.strip():
            return line if self._kind != "code" else _without_indent(line, self._indent)
        if _indent_of(line) < self._dedent:
            # A number other than 1 can't follow a paragraph without a blank line.
            self._dedent = 0
            return "\n" + line if self._lines else line
        return _without_indent(line, self._dedent)

    def _push(self, line: str) -> None:
        self._lines.append(line)
        self._size += len(line) + 1

    def _close(self) -> None:
        text = "\n".join(self._lines)
        if self._kind == "math" and not text:
            pass  # "$$" twice encloses nothing
        elif self._kind != "prose":
            self.frozen.append(Segment(self._kind, text, self._info))
        elif text.strip():
            self.frozen.append(Segment("prose", text.strip("\n")))
        self._kind, self._info, self._fence = "prose", "", ""
        self._lines, self._size = [], 0


def _indent_of(line: str) -> int:
    expanded = line.expandtabs(4)
    return len(expanded) - len(expanded.lstrip(" "))


def _without_indent(line: str, count: int) -> str:
    if not count:
        return line
    return line.expandtabs(4)[min(count, _indent_of(line)) :]


def math_source(segment: Segment) -> str:
    """A formula as it was written, as far as it goes."""
    if segment.info.startswith(_ENVIRONMENT):
        return segment.text
    end = ("$$" if segment.info == "$$" else "\\]") if segment.closed else ""
    return f"{segment.info}\n{segment.text}\n{end}".rstrip("\n")


def split(text: str) -> list[Segment]:
    """All segments of a finished text; the same cuts as when it was fed piece by piece."""
    splitter = Splitter()
    splitter.feed(text)
    return splitter.finish()


def split_reasoning(text: str) -> tuple[str, str]:
    """(reasoning, answer) of a text that carries its thoughts in ``<think>``: for models whose answers were kept raw.
    An unclosed ``<think>`` is all reasoning."""
    head = text.lstrip()
    if not head.startswith(_THINK_OPEN):
        return "", text
    inside, _, answer = head[len(_THINK_OPEN) :].partition(_THINK_CLOSE)
    return inside.strip(), answer.lstrip("\n")
