"""Regular expressions (JSON Schema's ``pattern``) as GBNF for the inside of a JSON string.

A sane subset: literals, classes, groups, alternatives, repetitions, anchors at the two ends. What can't be said in a
grammar (look-around, back references, word boundaries, anchors inside) is refused.
"""

import importlib
import re
from typing import Any

from app.core.errors import BadConstraintError
from app.runtime.grammar_text import either, literal, ranges, repeated

_sre: Any = importlib.import_module("re._parser")
_MAX_REPEAT = 1000
_LAST = 0x10FFFF
_ESCAPED = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
_SPACES = [(9, 10), (12, 13), (32, 32), (0xA0, 0xA0), (0x2028, 0x2029)]
_CATEGORIES = {
    "CATEGORY_DIGIT": [(48, 57)],
    "CATEGORY_WORD": [(48, 57), (65, 90), (95, 95), (97, 122)],
    "CATEGORY_SPACE": _SPACES,
}
_Ranges = list[tuple[int, int]]


def pattern_to_gbnf(pattern: str) -> str:
    """The body of a JSON string (without quotes) that the pattern matches; as in JSON Schema it may match anywhere
    unless it is anchored. Raises BadConstraintError."""
    try:
        tree = list(_sre.parse(pattern, re.ASCII))
    except (re.error, RecursionError, OverflowError) as error:
        raise BadConstraintError(
            detail=f"pattern {pattern!r} is not a regular expression ({error})"
        ) from error
    alternatives = _branches(tree)
    if alternatives is not None and any(_anchor(branch, 0) or _anchor(branch, -1) for branch in alternatives):
        return either([_Pattern(pattern).anchored(branch) for branch in alternatives])
    return _Pattern(pattern).anchored(tree)


def _branches(tree: list[Any]) -> list[list[Any]] | None:
    if len(tree) == 1 and str(tree[0][0]) == "BRANCH":
        return [list(branch) for branch in tree[0][1][1]]
    return None


def _anchor(tree: list[Any], end: int) -> bool:
    return bool(tree) and str(tree[end][0]) == "AT"


class _Pattern:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._times = 1

    def anchored(self, tree: list[Any]) -> str:
        before, after = "char*", "char*"
        if _anchor(tree, 0) and str(tree[0][1]) in {"AT_BEGINNING", "AT_BEGINNING_STRING"}:
            before, tree = "", tree[1:]
        if _anchor(tree, -1) and str(tree[-1][1]) in {"AT_END", "AT_END_STRING"}:
            after, tree = "", tree[:-1]
        return " ".join(part for part in (before, self._sequence(tree), after) if part) or '""'

    def _sequence(self, tree: Any) -> str:
        return " ".join(self._one(str(kind), value) for kind, value in tree) or '""'

    def _one(self, kind: str, value: Any) -> str:  # noqa: PLR0911 - one for each kind of node
        match kind:
            case "LITERAL":
                return _within([(value, value)])
            case "NOT_LITERAL":
                return _within(_without([(value, value)]))
            case "ANY":
                return _within(_without([(10, 10), (13, 13)]))
            case "IN":
                return self._set(value)
            case "BRANCH":
                return either([self._sequence(branch) for branch in value[1]])
            case "SUBPATTERN":
                return f"({self._sequence(value[3])})"
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                return self._repeat(*value)
            case _:
                raise self._refused(kind)

    def _repeat(self, low: int, high: Any, item: Any) -> str:
        top = None if str(high) == "MAXREPEAT" else int(high)
        before, self._times = self._times, self._times * max(low, top or 0, 1)
        if self._times > _MAX_REPEAT:
            raise self._refused("more than 1000 repetitions")
        inner = self._sequence(item)
        self._times = before
        return repeated(f"({inner})", low, top)

    def _set(self, items: Any) -> str:
        found: _Ranges = []
        negated = False
        for kind, value in items:
            name = str(kind)
            if name == "NEGATE":
                negated = True
            elif name == "LITERAL":
                found.append((value, value))
            elif name == "RANGE":
                found.append((int(value[0]), int(value[1])))
            else:
                found += self._category(str(value))
        return _within(_without(found) if negated else found)

    def _category(self, name: str) -> _Ranges:
        plain = name.replace("_NOT_", "_")
        if plain not in _CATEGORIES:
            raise self._refused(name)
        return _without(_CATEGORIES[plain]) if plain != name else _CATEGORIES[plain]

    def _refused(self, what: str) -> BadConstraintError:
        return BadConstraintError(
            detail=f"pattern {self._pattern!r} uses {what.lower()}, which a grammar can't express"
        )


def _without(pairs: _Ranges) -> _Ranges:
    found, start = [], 0
    for low, high in sorted(pairs):
        if start < low:
            found.append((start, low - 1))
        start = max(start, high + 1)
    return [*found, (start, _LAST)] if start <= _LAST else found


def _within(pairs: _Ranges) -> str:
    """One character of the set, written as in a JSON string."""
    bare = _cut(pairs)
    parts = [_class(bare)] if bare else []
    parts += [
        literal(text) for c, text in _ESCAPED.items() if any(low <= ord(c) <= high for low, high in pairs)
    ]
    return either(parts) if parts else literal("\x00")


def _class(pairs: _Ranges) -> str:
    if len(pairs) == 1 and pairs[0][0] == pairs[0][1]:
        return literal(chr(pairs[0][0]))
    return ranges(pairs)


def _cut(pairs: _Ranges) -> _Ranges:
    """The part that needs no escape in JSON: no control characters, quotes, backslashes, halves of pairs."""
    never = [(0, 31), (34, 34), (92, 92), (127, 127), (0xD800, 0xDFFF)]
    found = []
    for low, high in pairs:
        for bad_low, bad_high in never:
            if low < bad_low <= high:
                found.append((low, bad_low - 1))
            if bad_low <= high and low <= bad_high:
                low = bad_high + 1  # noqa: PLW2901 - the rest of the range goes on
        if low <= high:
            found.append((low, high))
    return found
