"""Very long messages are built piece by piece: what is not built yet stands as a gap of about its height."""

from collections.abc import Iterator

from app.ui.chat_style import ChatStyle
from app.ui.markdown import Segment

AT_ONCE = 12_000
"""Letters of a message that are built in one go, half from its beginning and half from its end."""
STRETCH = 3_000
"""Letters built between two turns of the event loop: 4 to 6 ms."""


class Gap:
    """A segment that is not built yet; takes the place of its widget."""

    def __init__(self, segment: Segment, style: ChatStyle) -> None:
        self.segment = segment
        self._line = style.body.pixelSize() * 1.45
        self._letter = style.body.pixelSize() * 0.5
        self._code = style.mono.pixelSize() * 1.3

    def height_for(self, width: int) -> int:
        """About as many pixels as it will need."""
        text = self.segment.text
        lines = text.count("\n") + 1
        if self.segment.kind == "code":
            return int(48 + lines * self._code)
        return int(max(lines, len(text) * self._letter / max(1, width)) * self._line)

    def hide(self) -> None:
        """There is nothing to hide."""

    def show(self) -> None:
        """There is nothing to show."""

    def deleteLater(self) -> None:
        """There is nothing to free."""


def at_once(segments: list[Segment]) -> set[int]:
    """Which segments are built in one go: those at both ends."""
    if sum(len(segment.text) for segment in segments) <= AT_ONCE:
        return set(range(len(segments)))
    chosen: set[int] = set()
    for order in (range(len(segments)), range(len(segments) - 1, -1, -1)):
        chosen |= set(_until(segments, order, AT_ONCE // 2))
    return chosen


def _until(segments: list[Segment], order: range, letters: int) -> Iterator[int]:
    for index in order:
        if letters <= 0:
            return
        letters -= len(segments[index].text)
        yield index
