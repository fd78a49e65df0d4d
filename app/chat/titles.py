"""Titles of conversations: from the first question at once, by the model when it has time."""

import re
from collections.abc import Sequence

from app.core.generate import GenerateRequest, Message, ReasoningOptions, SamplingParams

LENGTH = 60
_ASKED_LETTERS = 1_500
_INSTRUCTION = (
    "Write a title for this conversation in its own language, at most six words. Answer with the title alone, without"
    " quotes."
)
_LABEL = re.compile(r"^(?:title|tiêu đề)\s*[:：-]\s*", re.IGNORECASE)
_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)


def from_question(text: str) -> str:
    """A title from a question: its first line that says something, cut at a word."""
    lines = [line.strip().lstrip("#>*-` ").strip() for line in text.splitlines()]
    return shorten(next((line for line in lines if line), ""))


def shorten(line: str) -> str:
    """At most LENGTH letters, cut at a word."""
    if len(line) <= LENGTH:
        return line
    space = line.rfind(" ", LENGTH // 2, LENGTH + 1)
    return line[: space if space > 0 else LENGTH].rstrip(" ,.;:") + "…"


def request(request_id: str, messages: Sequence[Message]) -> GenerateRequest:
    """Ask a model for a title: the beginning of the conversation, few tokens, behind everything else in the queue."""
    talk = "\n\n".join(f"{m.role}: {m.text[:_ASKED_LETTERS]}" for m in messages[:4] if m.role != "system")
    return GenerateRequest(
        id=request_id,
        messages=(Message("user", f"{_INSTRUCTION}\n\n{talk}"),),
        sampling=SamplingParams(temperature=0.2, max_tokens=32),
        reasoning=ReasoningOptions(enabled=False),
        priority=-1,
    )


def from_answer(text: str) -> str:
    """The title in a model's answer, or an empty text when it gave none that can be used."""
    lines = [line.strip() for line in _THOUGHT.sub("", text).splitlines()]
    line = next((line for line in lines if line), "")
    line = _LABEL.sub("", line).strip(" \"'“”‘’«»*#`_.")
    return shorten(line) if 2 <= len(line) <= 2 * LENGTH else ""
