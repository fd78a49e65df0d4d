"""gpt-oss's answers: messages with a channel each (source: OpenAI's harmony format guide and the model's template).

``analysis`` is thinking, ``commentary`` to a function is a call, everything else is shown.
"""

import re
from typing import Literal

from app.core.generate import Delta, ToolCallDelta
from app.runtime.answer import MarkScanner
from app.runtime.tool_reader import _new_id

_BODY = ("<|end|>", "<|call|>", "<|return|>", "<|start|>", "<|channel|>")
_HEAD = ("<|message|>",)


class HarmonyParser:
    """As AnswerParser. The prompt ends with ``<|start|>assistant``: the answer begins inside a header, or inside the
    message of ``channel`` when it is continued."""

    close_text = "<|end|><|start|>assistant<|channel|>final<|message|>"
    markers: tuple[str, ...] = (
        "<|start|>",
        "<|channel|>",
        "<|message|>",
        "<|constrain|>",
        "<|end|>",
        "<|call|>",
        "<|return|>",
    )

    starts: tuple[str, ...] = _BODY

    def __init__(self, channel: str = "") -> None:
        self._head = MarkScanner(_HEAD)
        self._body = MarkScanner(_BODY)
        self._header = ""
        self._kind: Literal["", "reasoning", "text", "call"] = "text" if channel else ""
        if channel == "analysis":
            self._kind = "reasoning"
        self._calls, self._said = 0, False
        self.reasoning_open = self._kind == "reasoning"

    @property
    def plain(self) -> bool:
        """See AnswerParser."""
        return self._kind == "text" and not self._body.held

    def feed(self, text: str) -> list[Delta]:
        """What is certain now."""
        found: list[Delta] = []
        while text:
            if self._kind:
                shown, mark, text = self._body.feed(text)
                found += self._shown(shown)
                if mark:
                    self._close(mark)
            else:
                shown, mark, text = self._head.feed(text)
                self._header += shown
                if mark:
                    found += self._open()
        return found

    def finish(self, *, cut: bool = False) -> list[Delta]:
        """What was held back; a header that never became a message is no text. Calls are JSON as far as it came."""
        found = self._shown(self._body.flush()) if self._kind else []
        if cut and self._kind == "call" and not self._said:
            found = self._shown("{")  # nothing would look like a call without arguments
        if not self._kind and not re.search(r"<\|(channel|start)\|>|^\s*assistant", self._header):
            # Not harmony at all (a template put another assistant header): it is the answer.
            left = self._header + self._head.flush()
            found = [Delta(text=left)] if left.strip() else []
        return found

    def _close(self, mark: str) -> None:
        self._kind, self.reasoning_open = "", False
        self._header = mark if mark in {"<|start|>", "<|channel|>"} else ""

    def _open(self) -> list[Delta]:
        header, self._header = self._header, ""
        recipient = re.search(r"\bto=(?:functions\.)?([\w.-]+)", header)
        if recipient and recipient.group(1) not in {"assistant", "user"}:
            self._kind, self._calls, self._said = "call", self._calls + 1, False
            return [Delta(tool_calls=(ToolCallDelta(self._calls - 1, _new_id(), recipient.group(1)),))]
        self._kind = "reasoning" if re.search(r"<\|channel\|>\s*analysis", header) else "text"
        self.reasoning_open = self._kind == "reasoning"
        return []

    def _shown(self, text: str) -> list[Delta]:
        if not text:
            return []
        if self._kind == "call":
            self._said = True
            return [Delta(tool_calls=(ToolCallDelta(self._calls - 1, arguments=text),))]
        return [Delta(reasoning=text) if self._kind == "reasoning" else Delta(text=text)]
