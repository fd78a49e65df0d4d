"""Where one JSON value ends in a stream."""

import re

_STRUCTURE = re.compile(r'[{}\[\]"\\]')


class JsonSpan:
    """Finds the end of one JSON value in a stream; fed each character once."""

    __slots__ = ("_depth", "_escaped", "_text")

    def __init__(self) -> None:
        self._depth, self._text, self._escaped = 0, False, False

    def feed(self, text: str) -> int:
        """Characters of ``text`` up to the value's end, or -1 while it goes on."""
        position = 0
        while True:
            if self._escaped:
                position, self._escaped = position + 1, False
            found = _STRUCTURE.search(text, position)
            if found is None:
                return -1
            position = found.end()
            if self._step(found.group()):
                return position
            if self._escaped and position == len(text):
                return -1

    def _step(self, mark: str) -> bool:
        if self._text:
            self._escaped = mark == "\\"
            self._text = mark != '"'
            return not self._text and self._depth == 0
        self._text = mark == '"'
        self._depth += (mark in "{[") - (mark in "}]")
        return mark in "}]" and self._depth <= 0
