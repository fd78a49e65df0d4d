"""Small pieces of GBNF (llama.cpp's ``grammars/README.md``): literals, character classes, "anything but this text"."""

import json
from collections.abc import Iterable, Sequence

HEX = "[0-9a-fA-F]"
# No lone halves of surrogate pairs: they are not text, and length limits count characters.
CHAR = r'([^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" ([0-9a-cefA-CEF] [0-9a-fA-F]{3} | [dD] [0-7] [0-9a-fA-F]{2})))'
BASE = {
    "ws": r'| " " | "\n" [ \t]{0,20}',
    "char": CHAR,
    "string": r'"\"" char* "\""',
    "boolean": '"true" | "false"',
    "null": '"null"',
    "integer": '"-"? ("0" | [1-9] [0-9]{0,15})',
    "number": '"-"? ("0" | [1-9] [0-9]{0,15}) ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,3})?',
    "object": '"{" ws (string ws ":" ws value (ws "," ws string ws ":" ws value)*)? ws "}"',
    "array": '"[" ws (value (ws "," ws value)*)? ws "]"',
    "value": "object | array | string | number | boolean | null",
}
"""Rules for free JSON; ``used`` adds those a grammar needs."""
_NEEDS = {
    "string": ("char",),
    "object": ("ws", "string", "value"),
    "array": ("ws", "value"),
    "value": ("object", "array", "string", "number", "boolean", "null"),
}


def used(names: Iterable[str]) -> dict[str, str]:
    """The base rules ``names`` and all they need."""
    found: dict[str, str] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = BASE[name]
            waiting += _NEEDS.get(name, ())
    return found


def literal(text: str) -> str:
    """``text`` as a GBNF string."""
    return '"' + "".join(_escaped(character) for character in text) + '"' if text else '""'


def _escaped(character: str) -> str:
    known = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}
    if character in known:
        return known[character]
    return f"\\x{ord(character):02X}" if ord(character) < 32 or ord(character) == 127 else character


def json_literal(value: object) -> str:
    """A JSON value written in the one usual way."""
    return literal(json.dumps(value, ensure_ascii=False))


def ranges(pairs: Sequence[tuple[int, int]]) -> str:
    """A character class of inclusive code point ranges."""
    return "[" + "".join(_code(a) if a == b else f"{_code(a)}-{_code(b)}" for a, b in pairs) + "]"


def _code(point: int) -> str:
    if point < 0x100:
        return f"\\x{point:02X}"
    return f"\\u{point:04X}" if point < 0x10000 else f"\\U{point:08X}"


def either(alternatives: Sequence[str]) -> str:
    """One of them."""
    return alternatives[0] if len(alternatives) == 1 else f"({' | '.join(alternatives)})"


def repeated(item: str, low: int, high: int | None) -> str:
    """``item`` from ``low`` to ``high`` times."""
    if (low, high) == (1, 1):
        return item
    if high is None:
        return f"{item}{'*' if low == 0 else '+' if low == 1 else f'{{{low},}}'}"
    return f"{item}{{{low},{high}}}" if high else '""'


_CONTROL = (*range(9), 11, 12, *range(14, 32), 127)


def until(mark: str, name: str) -> dict[str, str]:
    """Rules ``name``...: any text (no control characters) up to and with ``mark``, which occurs once, at its end.
    (The automaton of Knuth, Morris and Pratt written as right-recursive rules, so that the parser's stack stays
    flat.)"""
    states = [name if n == 0 else f"{name}-{n}" for n in range(len(mark))]
    found = {}
    for n, state in enumerate(states):
        steps = {}
        for character in dict.fromkeys(mark[: n + 1]):
            steps[character] = _longest(mark, mark[:n] + character)
        others = ranges(_all_but(sorted({*map(ord, steps), *_CONTROL})))
        parts = [f"{others} {states[0]}"]
        parts += [literal(c) if to == len(mark) else f"{literal(c)} {states[to]}" for c, to in steps.items()]
        found[state] = " | ".join(parts)
    return found


def _longest(mark: str, seen: str) -> int:
    """How much of ``mark`` the end of ``seen`` is."""
    return next(n for n in range(min(len(mark), len(seen)), -1, -1) if seen.endswith(mark[:n]))


def _all_but(points: Sequence[int]) -> list[tuple[int, int]]:
    found, start = [], 0
    for point in points:
        if start < point:
            found.append((start, point - 1))
        start = point + 1
    return [*found, (start, 0x10FFFF)]


def write(rules: dict[str, str]) -> str:
    """The grammar's text, ``root`` first."""
    order = ["root", *(name for name in rules if name != "root")]
    return "".join(f"{name} ::= {rules[name]}\n" for name in order)
