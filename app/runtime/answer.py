"""Splits an answer into thinking, content and tool calls while it streams; no part of a mark is ever shown.

Thinking is recognized where models write it: at the beginning (or from the first token when the prompt already opened
it), so that an answer that talks about ``<think>`` stays whole.
"""

import re
from collections.abc import Sequence
from typing import Protocol

from app.core.generate import Delta, ToolCallDelta, ToolSpec
from app.runtime.formats import ReasoningTags, ToolFormat
from app.runtime.tool_reader import ToolReader

_BARE = ('{"name":', '{"type":"function","name":')


class AnswerParser(Protocol):
    """What the engine uses; one for each choice of a request."""

    reasoning_open: bool
    """The next token is a thought: count it, and force ``close_text`` when the budget is spent."""
    close_text: str
    markers: tuple[str, ...]
    """Special tokens whose text must be fed, though they are control tokens."""
    starts: tuple[str, ...]
    """What ends a plain text."""

    @property
    def plain(self) -> bool:
        """Text without the first letter of one of ``starts`` comes out as it goes in, and changes nothing."""

    def feed(self, text: str) -> list[Delta]:
        """What is certain now."""

    def finish(self, *, cut: bool = False) -> list[Delta]:
        """What was held back; call it once at the end. A call that was ``cut`` short stays unfinished JSON."""


class MarkScanner:
    """Finds the first of some marks in a stream; the tail that could still become one is held back."""

    __slots__ = ("_any", "_first", "_marks", "_prefixes", "_reach", "held")

    def __init__(self, marks: Sequence[str]) -> None:
        self._marks = tuple(mark for mark in dict.fromkeys(marks) if mark)
        self._any = re.compile("|".join(map(re.escape, self._marks)) or r"(?!)")
        self._first = (
            re.compile(f"[{''.join(re.escape(mark[0]) for mark in self._marks)}]") if self._marks else None
        )
        self._prefixes = frozenset(mark[:n] for mark in self._marks for n in range(1, len(mark)))
        self._reach = max(map(len, self._marks), default=1) - 1
        self.held = ""

    def feed(self, text: str) -> tuple[str, str, str]:
        """(text before, the mark or "", text behind it)."""
        if not self.held and (self._first is None or not self._first.search(text)):
            return text, "", ""
        text, self.held = self.held + text, ""
        found = self._any.search(text)
        if found:
            return text[: found.start()], found.group(), text[found.end() :]
        for n in range(min(self._reach, len(text)), 0, -1):
            if text[-n:] in self._prefixes:
                self.held = text[-n:]
                return text[:-n], "", ""
        return text, "", ""

    def flush(self) -> str:
        """The held tail."""
        held, self.held = self.held, ""
        return held


class TagParser:
    """Thinking between tags, calls behind a mark: every family but gpt-oss."""

    def __init__(
        self,
        tags: ReasoningTags,
        form: ToolFormat | None,
        tools: Sequence[ToolSpec] = (),
        *,
        opened: bool = False,
        closed: bool = False,
        continued: bool = False,
    ) -> None:
        self._tags, self._form, self._tools = tags, form, tools
        self.close_text = f"\n{tags.close}\n\n" if tags.close.startswith("</") else tags.close
        self.markers = _markers(tags, form)
        self.starts: tuple[str, ...] = (form.start,) if form else ()
        self._content_marks = MarkScanner(self.starts)
        self._thought_marks = MarkScanner((tags.close, *self.starts))
        self._reader: ToolReader | None = None
        self._calls = 0
        self._head: str | None = None if opened else ""
        """Text at the beginning that is not decided yet; None: decided."""
        self._may_think = not closed
        self._space: str | None = "" if opened or closed else None
        """White space held back: at the beginning of a part it is dropped, before a call too. None: shown at once."""
        self._fresh = (opened or closed) and not continued
        self.reasoning_open = opened

    @property
    def plain(self) -> bool:
        """See AnswerParser."""
        decided = self._head is None and self._reader is None and self._space is None
        return decided and not self.reasoning_open and not self._content_marks.held

    # The usual token of an ordinary answer takes the first two lines.
    def feed(self, text: str) -> list[Delta]:
        """What is certain now."""
        if self._head is None and self._reader is None and not self.reasoning_open:
            before, mark, after = self._content_marks.feed(text)
            if not mark and self._space is None:
                return [Delta(text=before)] if before else []
            return self._content(before, mark, after)
        if self._head is not None:
            return self._begin(text)
        return self._think(text) if self.reasoning_open else self._call(text)

    def finish(self, *, cut: bool = False) -> list[Delta]:
        """What was held back; call it once at the end."""
        if self._reader is not None:
            calls, left = self._reader.finish(cut=cut)
            return _calls(calls) + ([Delta(text=left)] if left.strip() else [])
        if self.reasoning_open:
            left = (self._space or "") + self._thought_marks.flush()
            return [Delta(reasoning=left)] if left.strip() else []
        left = (self._head or "") + (self._space or "") + self._content_marks.flush()
        return [Delta(text=left)] if left.strip() else []

    # -------------------------------------------------------------------------------------- the beginning
    def _begin(self, text: str) -> list[Delta]:
        """Is it a thought, a bare call, or the answer itself?"""
        text = (self._head or "") + text
        start = text.lstrip()
        self._head = text
        if self._may_think and start.startswith(self._tags.open.strip()):
            self._head, self.reasoning_open, self._space, self._fresh = None, True, "", True
            return self._think(start[len(self._tags.open.strip()) :])
        bare = self._bare_call(start)
        if bare is not None:
            self._head, self._reader = None, self._new_reader()
            return self._call(bare)
        if not start or (self._may_think and self._tags.open.startswith(start)) or self._may_be_call(start):
            return []
        self._head = None
        self._space = "" if self._form else None
        return self.feed(start if self._fresh else text)

    def _bare_call(self, start: str) -> str | None:
        if not (self._form and self._form.bare):
            return None
        text = start.removeprefix("<|python_tag|>").lstrip()
        return text if re.sub(r"\s", "", text[:200]).startswith(_BARE) else None

    def _may_be_call(self, start: str) -> bool:
        if not (self._form and self._form.bare):
            return False
        text = re.sub(r"\s", "", start[:200].removeprefix("<|python_tag|>"))
        return "<|python_tag|>".startswith(text) or any(call.startswith(text) for call in _BARE)

    # -------------------------------------------------------------------------------------- the parts
    def _think(self, text: str) -> list[Delta]:
        before, mark, after = self._thought_marks.feed(text)
        shown = self._trimmed(before)
        found = [Delta(reasoning=shown)] if shown else []
        if not mark:
            return found
        self.reasoning_open, self._space, self._fresh = False, "", True
        if mark != self._tags.close:  # it calls a tool and forgot to close the thought
            return found + self._open_calls(after)
        self._head, self._may_think = "", False  # a bare call may follow
        return found + (self.feed(after) if after else [])

    def _content(self, before: str, mark: str, after: str) -> list[Delta]:
        shown = self._trimmed(before)
        found = [Delta(text=shown)] if shown else []
        if not mark and self._form is None and not self._fresh:
            # Nothing can follow that would make white space superfluous.
            found += [Delta(text=self._space)] if self._space else []
            self._space = None
        return found + self._open_calls(after) if mark else found

    def _trimmed(self, text: str) -> str:
        """``text`` without white space at the part's beginning; white space at its end waits for what follows."""
        text = (self._space or "") + text
        if self._fresh:
            text = text.lstrip()
        kept = text.rstrip()
        self._space = text[len(kept) :]
        self._fresh = self._fresh and not kept
        return kept

    def _open_calls(self, text: str) -> list[Delta]:
        self._reader, self._space, self._fresh = self._new_reader(), "", True
        return self._call(text)

    def _new_reader(self) -> ToolReader:
        assert self._form is not None  # its marks are only watched for with a format
        return ToolReader(self._form, self._tools, self._calls)

    def _call(self, text: str) -> list[Delta]:
        reader = self._reader
        assert reader is not None  # feed() looked
        found = _calls(reader.feed(text))
        self._calls = reader.index
        if reader.rest is not None:
            rest, self._reader = reader.rest, None
            self._space, self._fresh = "", not reader.junk
            found += [Delta(text=reader.junk)] if reader.junk else []
            return found + (self.feed(rest) if rest else [])
        return found


def _calls(pieces: list[ToolCallDelta]) -> list[Delta]:
    return [Delta(tool_calls=tuple(pieces))] if pieces else []


def _markers(tags: ReasoningTags, form: ToolFormat | None) -> tuple[str, ...]:
    """Everything in the marks that may be a single special token."""
    texts = [tags.open, tags.close]
    if form is not None:
        texts += [
            form.open,
            form.call_open,
            form.name_end,
            form.call_close,
            form.end,
            "[CALL_ID]",
            "<|python_tag|>",
            '<|"|>',
        ]
    return tuple(
        dict.fromkeys(mark for text in texts for mark in re.findall(r"<[^<>\s]+>|\[[A-Z_/]+\]", text))
    )
