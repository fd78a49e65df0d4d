"""What other programs fold into a message's text: Open WebUI's thoughts and tool calls stand in it as HTML."""

import html
import re

from msgspec import Struct

_DETAILS = re.compile(r'<details type="(\w+)"([^>]{0,100000})>(.*?)</details>\n?', re.DOTALL)
_ATTRIBUTE = re.compile(r'(\w+)="([^"]*)"')
_SUMMARY = re.compile(r"<summary>.*?</summary>", re.DOTALL)
_QUOTE = re.compile(r"^> ?", re.MULTILINE)
_SECONDS = re.compile(r"for ([\d.]+) seconds?")


class Unfolded(Struct, frozen=True):
    """A message's text without what was folded into it; ``thought`` in seconds."""

    text: str
    reasoning: str = ""
    thought: float | None = None


def unfold(text: str) -> Unfolded:
    """Take thoughts out, and put tool calls as Markdown where they stood."""
    thoughts: list[str] = []
    seconds: list[float] = []

    def replaced(found: re.Match[str]) -> str:
        about = {name: html.unescape(value) for name, value in _ATTRIBUTE.findall(found[2])}
        body = html.unescape(_SUMMARY.sub("", found[3])).strip()
        if found[1] == "reasoning":
            thoughts.append(_QUOTE.sub("", body))
            seconds.extend(_number(about.get("duration", "")))
            return ""
        if found[1] == "tool_calls":
            return called(about.get("name", ""), about.get("arguments", ""), about.get("result", "")) + "\n\n"
        return found[0]

    left = _DETAILS.sub(replaced, text)
    kept = left.strip() if left != text else text
    return Unfolded(kept, "\n\n".join(thoughts), sum(seconds) if seconds else None)


def called(name: str, arguments: str, result: str = "") -> str:
    """A tool's call, and what came back where that is known, as Markdown."""
    fence = "`" * (1 + max((len(run) for run in re.findall(r"`{3,}", arguments + result)), default=2))
    parts = [f"{fence}\n{name}({arguments})\n{fence}"]
    if result:
        parts.append(f"{fence}\n{result}\n{fence}")
    return "\n\n".join(parts)


def seconds_in(title: str) -> float | None:
    """The seconds of LM Studio's "Thought for 2.10 seconds"."""
    found = _SECONDS.search(title)
    return next(iter(_number(found[1])), None) if found else None


def _number(text: str) -> list[float]:
    try:
        value = float(text)
    except ValueError:
        return []
    return [value] if 0 <= value < 1e9 else []
