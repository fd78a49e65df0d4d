"""Finds formulas in a model's prose and puts marks in their place that Markdown leaves alone. No Qt.

``\\(...\\)``, ``\\[...\\]``, ``$...$`` and ``$$...$$`` inside a line count; a dollar is a price unless what it encloses
could be a formula (pandoc's rule, and no run of plain words), and code is never looked into.
"""

import re

from msgspec import Struct

OPEN, CLOSE = "\ue000", "\ue001"
"""Private-use letters around a formula's number; the text's own are taken out."""
MARK = re.compile(f"{OPEN}(\\d+){CLOSE}")
LONGEST = 2000
"""Letters of TeX; what is longer is no formula one could read."""

_CANDIDATE = re.compile(
    r"(?P<code>(?<!`)(?P<ticks>`++)(?s:.*?)(?<!`)(?P=ticks)(?!`))"
    r"|(?P<escaped>\\[\\$])"
    r"|\\\((?P<round>(?s:(?!\\\().)+?)\\\)"
    r"|\\\[(?P<square>(?s:(?!(?<!\\)\\\[).)+?)\\\]"
    r"|\$\$(?P<double>[^$]+?)\$\$"
    r"|(?<![\w$])\$(?P<single>[^\s$](?:[^$\n]*[^\s$\\])?)\$(?![\w$])"
)
_COMMAND = re.compile(r"\\(?:text|mathrm|operatorname|textbf|mathbf)\s*\{[^{}]*\}|\\[A-Za-z]+|\{|\}")
_WORDS = re.compile(r"[^\W\d_]{2,}[ ,;:]+[^\W\d_]{2,}|[\d.,]+\s*[-–/]?\s+[^\W\d_]{2,}")


class Formula(Struct, frozen=True):
    """TeX without its delimiters. ``display``: drawn in the large style."""

    tex: str
    display: bool = False
    source: str = ""
    """As the model wrote it, delimiters and all."""


def take_out(text: str) -> tuple[str, list[Formula]]:
    """The text with a mark for each formula, and the formulas by number."""
    if "$" not in text and "\\(" not in text and "\\[" not in text:
        return text, []
    found: list[Formula] = []

    def replaced(match: re.Match[str]) -> str:
        formula = _formula(match)
        if formula is None:
            return match[0]
        found.append(formula)
        return f"{OPEN}{len(found) - 1}{CLOSE}"

    clean = text.replace(OPEN, "").replace(CLOSE, "")
    return _CANDIDATE.sub(replaced, clean), found


def _formula(match: re.Match[str]) -> Formula | None:
    if match["code"] or match["escaped"]:
        return None
    single = match["single"]
    if single is not None and (len(single) > LONGEST or not could_be_formula(single)):
        return None
    tex = single or match["round"] or match["square"] or match["double"] or ""
    if not tex.strip() or len(tex) > LONGEST or "\n\n" in tex:
        return None
    return Formula(tex.strip(), bool(match["square"] or match["double"]), match[0])


def could_be_formula(inside: str) -> bool:
    """Whether what stands between two single dollars reads as a formula rather than as a price and some words."""
    return not _WORDS.search(_COMMAND.sub(" \\\\ ", inside))


def put_back(text: str, formulas: list[Formula]) -> str:
    """The text as it was written."""
    return MARK.sub(lambda match: formulas[int(match[1])].source, text)
