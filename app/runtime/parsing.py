"""From the model's bytes to text a reader may see: whole characters, nothing of a stop string, thinking and tool calls
apart (``answer``).

All are fed once per token of every sequence; the usual case (no half character, no stop near) is a few
hundred nanoseconds.
"""

import codecs
import re

from app.core.generate import GenerateRequest
from app.runtime.answer import AnswerParser, TagParser
from app.runtime.answer_harmony import HarmonyParser
from app.runtime.formats import is_harmony, reasoning_tags, tool_format, tools_of


class TextStream:
    """Bytes of tokens in, whole UTF-8 characters out. A character split over tokens waits for its rest; bytes that can
    never become a character show as U+FFFD."""

    __slots__ = ("_decoder",)

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data: bytes) -> str:
        """The characters that are complete now."""
        return self._decoder.decode(data)

    @property
    def waits(self) -> bool:
        """A character is not complete."""
        return bool(self._decoder.getstate()[0])

    def flush(self) -> str:
        """What waits, as U+FFFD; call it once at the end."""
        return self._decoder.decode(b"", final=True)


class StopMatcher:
    """Watches for stop strings. Text that could still become one is held back; of several that match, the one that is
    complete first wins (then the one that began first), however the text was cut into pieces."""

    __slots__ = ("_held", "_prefixes", "_reach", "_start", "matched", "stops")

    def __init__(self, stops: tuple[str, ...]) -> None:
        self.stops = tuple(dict.fromkeys(stop for stop in stops if stop))
        self._prefixes = frozenset(stop[:n] for stop in self.stops for n in range(1, len(stop)))
        self._reach = max(map(len, self.stops), default=1) - 1
        firsts = "".join(re.escape(stop[0]) for stop in self.stops)
        self._start = re.compile(f"[{firsts}]") if firsts else None
        self._held = ""
        self.matched = ""
        """The stop string that ended the answer."""

    def feed(self, text: str) -> tuple[str, str]:
        """(text that may be shown, the stop string that matched or ""). After a match nothing more comes out."""
        if self._start is None or (not self._held and not self.matched and not self._start.search(text)):
            return text, ""
        if self.matched:
            return "", self.matched
        text = self._held + text
        found = [(at + len(stop), at, stop) for stop in self.stops if (at := text.find(stop)) >= 0]
        if found:
            _, at, self.matched = min(found)
            self._held = ""
            return text[:at], self.matched
        keep = len(text) - self._waiting(text)
        self._held = text[keep:]
        return text[:keep], ""

    @property
    def waits(self) -> bool:
        """Something is held back."""
        return bool(self._held)

    def _waiting(self, text: str) -> int:
        """How many of the last characters could be the beginning of a stop string."""
        for n in range(min(self._reach, len(text)), 0, -1):
            if text[-n:] in self._prefixes:
                return n
        return 0

    def flush(self) -> str:
        """What was held back: at the end it is ordinary text."""
        held, self._held = self._held, ""
        return held


def parser_for(template_source: str, request: GenerateRequest, prompt_tail: str) -> AnswerParser:
    """The parser for one choice. ``prompt_tail`` is the end of the rendered prompt (a few hundred characters will do):
    many templates open or close the thinking there."""
    tools = tools_of(request)
    if is_harmony(template_source):
        channel = re.search(r"<\|channel\|>(analysis|final)<\|message\|>(?!.*<\|)", prompt_tail, re.DOTALL)
        return HarmonyParser(channel.group(1) if channel else "")
    tags = reasoning_tags(template_source)
    tail = prompt_tail.rstrip()
    opened = tail.endswith(tags.open.strip())
    if request.continue_last:
        opened = tail.rfind(tags.open.strip()) > tail.rfind(tags.close)
    closed = not opened and (request.continue_last or tail.endswith(tags.close))
    form = tool_format(template_source) if tools else None
    return TagParser(tags, form, tools, opened=opened, closed=closed, continued=request.continue_last)
