"""A small reader of GBNF: it writes random texts of a grammar and tells whether a text belongs to it."""

import random
import re
from collections.abc import Iterator
from typing import Any

Node = tuple[Any, ...]
_TOKEN = re.compile(
    r'\s*(?:(?P<lit>"(?:[^"\\]|\\.)*")|(?P<cls>\[(?:[^\]\\]|\\.)*\])|(?P<rep>\{\d*,?\d*\})|(?P<op>[()|*+?.])'
    r"|(?P<name>[a-zA-Z0-9-]+))"
)
_KNOWN = {"n": "\n", "r": "\r", "t": "\t"}


class Grammar:
    """``rules`` maps names to trees: ("alt", ...), ("seq", ...), ("lit", s), ("cls", negated, ranges), ("ref", name),
    ("rep", node, low, high)."""

    def __init__(self, text: str) -> None:
        self.rules: dict[str, Node] = {}
        for line in text.removesuffix("\n").split("\n"):
            name, arrow, body = line.partition(" ::= ")
            assert arrow, line
            assert name not in self.rules, name
            tokens = list(_tokens(body))
            tree, rest = _alternatives(tokens)
            assert not rest, (name, rest)
            self.rules[name] = tree
        for tree in self.rules.values():
            for name in _references(tree):
                assert name in self.rules, name
        self._cost = self._costs()

    # -------------------------------------------------------------------------------------- random texts
    def write(self, rng: random.Random, budget: int = 60, name: str = "root") -> str:
        out: list[str] = []
        self._budget = budget
        self._write(self.rules[name], rng, out)
        return "".join(out)

    def _write(self, node: Node, rng: random.Random, out: list[str]) -> None:
        self._budget -= 1
        match node:
            case ("lit", text):
                out.append(text)
            case ("cls", negated, pairs):
                out.append(_pick(negated, pairs, rng))
            case ("ref", name):
                self._write(self.rules[name], rng, out)
            case ("seq", *parts):
                for part in parts:
                    self._write(part, rng, out)
            case ("alt", *parts):
                cheap = min(map(self._of, parts))
                options = parts if self._budget > 0 else [part for part in parts if self._of(part) == cheap]
                self._write(rng.choice(options), rng, out)
            case ("rep", part, low, high):
                top = low + 3 if high is None else min(high, low + 3)
                for _ in range(rng.randint(low, top) if self._budget > 0 else low):
                    self._write(part, rng, out)

    def _costs(self) -> dict[str, float]:
        self._cost = dict.fromkeys(self.rules, float("inf"))
        for _ in self.rules:
            before = dict(self._cost)
            self._cost = {name: 1 + self._of(tree) for name, tree in self.rules.items()}
            if before == self._cost:
                break
        return self._cost

    def _of(self, node: Node) -> float:
        match node:
            case ("ref", name):
                return self._cost[name]
            case ("seq", *parts):
                return sum(map(self._of, parts))
            case ("alt", *parts):
                return min(map(self._of, parts))
            case ("rep", part, low, _):
                return low * self._of(part) if low else 0
        return 1

    # -------------------------------------------------------------------------------------- membership
    def accepts(self, text: str, name: str = "root") -> bool:
        self._seen: dict[tuple[int, int], set[int]] = {}
        return len(text) in self._ends(self.rules[name], text, 0)

    def _ends(self, node: Node, text: str, at: int) -> set[int]:
        key = (id(node), at)
        if key not in self._seen:
            self._seen[key] = set()
            self._seen[key] = self._fresh_ends(node, text, at)
        return self._seen[key]

    def _fresh_ends(self, node: Node, text: str, at: int) -> set[int]:
        match node:
            case ("lit", literal):
                return {at + len(literal)} if text.startswith(literal, at) else set()
            case ("cls", negated, pairs):
                inside = at < len(text) and any(low <= ord(text[at]) <= high for low, high in pairs)
                return {at + 1} if at < len(text) and inside != negated else set()
            case ("ref", name):
                return self._ends(self.rules[name], text, at)
            case ("alt", *parts):
                return set().union(*(self._ends(part, text, at) for part in parts))
            case ("seq", *parts):
                ends = {at}
                for part in parts:
                    ends = set().union(*(self._ends(part, text, end) for end in ends)) if ends else ends
                return ends
            case ("rep", part, low, high):
                return self._repeated(part, low, high, text, at)
        raise AssertionError(node)

    def _repeated(self, part: Node, low: int, high: int | None, text: str, at: int) -> set[int]:
        ends, found, count = {at}, set(), 0
        if low == 0:
            found |= ends
        while ends and (high is None or count < high):
            ends = set().union(*(self._ends(part, text, end) for end in ends))
            count += 1
            if count >= low:
                ends -= found
                found |= ends
        return found


def _pick(negated: bool, pairs: list[tuple[int, int]], rng: random.Random) -> str:
    if not negated:
        low, high = rng.choice(pairs)
        return chr(rng.randint(low, min(high, low + 300)))
    for _ in range(1000):
        character = rng.choice('abz019 ._-:,{}[]<>/"\\éế漢😀\n')
        if not any(low <= ord(character) <= high for low, high in pairs):
            return character
    raise AssertionError("an empty class")


def _tokens(body: str) -> Iterator[tuple[str, str]]:
    at = 0
    while body[at:].strip():
        found = _TOKEN.match(body, at)
        assert found, body[at : at + 80]
        at = found.end()
        yield str(found.lastgroup), found.group(str(found.lastgroup))


def _alternatives(tokens: list[tuple[str, str]]) -> tuple[Node, list[tuple[str, str]]]:
    options: list[Node] = []
    parts: list[Node] = []
    while tokens and tokens[0] != ("op", ")"):
        (kind, text), tokens = tokens[0], tokens[1:]
        if (kind, text) == ("op", "|"):
            options.append(("seq", *parts))
            parts = []
        elif (kind, text) == ("op", "("):
            tree, tokens = _alternatives(tokens)
            assert tokens, "unclosed"
            tokens = tokens[1:]
            parts.append(tree)
        elif kind == "rep" or text in {"*", "+", "?"}:
            parts[-1] = ("rep", parts[-1], *_times(text))
        else:
            parts.append(_leaf(kind, text))
    return ("alt", *options, ("seq", *parts)), tokens


def _times(text: str) -> tuple[int, int | None]:
    if text in {"*", "+", "?"}:
        return {"*": (0, None), "+": (1, None), "?": (0, 1)}[text]
    low, comma, high = text[1:-1].partition(",")
    return int(low), (int(high) if high else None) if comma else int(low)


def _leaf(kind: str, text: str) -> Node:
    if kind == "lit":
        return ("lit", "".join(chr(point) for point in _points(text[1:-1])))
    if kind == "cls":
        negated = text.startswith("[^")
        return ("cls", negated, _ranges(text[2:-1] if negated else text[1:-1]))
    assert kind == "name", text
    return ("ref", text)


def _points(text: str) -> Iterator[int]:
    at = 0
    while at < len(text):
        found = re.compile(r"\\x([0-9A-Fa-f]{2})|\\u([0-9A-Fa-f]{4})|\\U([0-9A-Fa-f]{8})").match(text, at)
        if found:
            yield int(next(group for group in found.groups() if group), 16)
            at = found.end()
        elif text[at] == "\\":
            yield ord(_KNOWN.get(text[at + 1], text[at + 1]))
            at += 2
        else:
            yield ord(text[at])
            at += 1


def _ranges(text: str) -> list[tuple[int, int]]:
    parts = re.findall(r"\\x..|\\u....|\\U........|\\.|.", text, re.DOTALL)
    found, at = [], 0
    while at < len(parts):
        low = next(_points(parts[at]))
        if at + 2 < len(parts) and parts[at + 1] == "-":
            found.append((low, next(_points(parts[at + 2]))))
            at += 3
        else:
            found.append((low, low))
            at += 1
    return found


def _references(node: Node) -> Iterator[str]:
    if node[0] == "ref":
        yield node[1]
    for part in node[1:]:
        if isinstance(part, tuple):
            yield from _references(part)
