"""Where each message of a long chat stands, most of them never built: heights measured or estimated. No Qt."""

from bisect import bisect_right

from msgspec import Struct

from app.ui.entries import Entry

GAP = 20
"""Pixels between messages."""
_CHARACTERS_PER_LINE = 88
_LINE, _CHROME = 22, 48


class Row(Struct):
    """One message's place. ``height`` is a guess until ``measured``."""

    entry: Entry
    height: int
    measured: bool = False


def estimate(entry: Entry) -> int:
    """A height in pixels, close enough that the scroll bar tells the truth roughly."""
    text = entry.text
    return _CHROME + _LINE * (1 + text.count("\n") + len(text) // _CHARACTERS_PER_LINE)


class RowLayout:
    """Rows from top to bottom with their tops; changing a height moves those below."""

    def __init__(self, top_margin: int = 24, bottom_margin: int = 24) -> None:
        self.rows: list[Row] = []
        self._tops: list[int] = []
        self._index: dict[int, int] = {}
        self._first, self._last = top_margin, bottom_margin

    def reset(self, entries: list[Entry]) -> None:
        """Begin with these messages, all estimated."""
        self.rows = [Row(entry, estimate(entry)) for entry in entries]
        self._index = {entry.key: index for index, entry in enumerate(entries)}
        self._tops = []
        self._place_from(0)

    def append(self, entry: Entry) -> None:
        """One more message at the end."""
        self._index[entry.key] = len(self.rows)
        self.rows.append(Row(entry, estimate(entry)))
        self._place_from(len(self.rows) - 1)

    def remove_from(self, index: int) -> None:
        """Forget the rows from ``index`` on."""
        for row in self.rows[index:]:
            del self._index[row.entry.key]
        del self.rows[index:]
        del self._tops[index:]

    def index_of(self, key: int) -> int | None:
        """The row of a message."""
        return self._index.get(key)

    def set_entry(self, index: int, entry: Entry) -> None:
        """Row ``index`` shows this now; its key may be another."""
        del self._index[self.rows[index].entry.key]
        self._index[entry.key] = index
        self.rows[index].entry = entry

    def set_height(self, index: int, height: int) -> bool:
        """Note a measured height; True when it moved the rows below."""
        row = self.rows[index]
        changed, row.height, row.measured = row.height != height, height, True
        if changed:
            self._place_from(index + 1)
        return changed

    def forget_heights(self) -> None:
        """The width or the zoom changed: what was measured is a guess again."""
        for row in self.rows:
            row.measured = False

    def _place_from(self, index: int) -> None:
        del self._tops[index:]
        top = self._tops[-1] + self.rows[index - 1].height + GAP if index else self._first
        for row in self.rows[index:]:
            self._tops.append(top)
            top += row.height + GAP

    def top(self, index: int) -> int:
        """Top of a row in pixels from the start."""
        return self._tops[index]

    @property
    def total(self) -> int:
        """Height of everything."""
        if not self.rows:
            return 0
        return self._tops[-1] + self.rows[-1].height + self._last

    def at(self, y: int) -> int:
        """Index of the row at this height, or the nearest; -1 without rows."""
        return max(0, bisect_right(self._tops, y) - 1) if self.rows else -1

    def between(self, low: int, high: int) -> range:
        """The rows that touch this span of pixels."""
        if not self.rows:
            return range(0)
        first = self.at(low)
        if self._tops[first] + self.rows[first].height < low:
            first += 1
        return range(first, max(first, bisect_right(self._tops, high)))
