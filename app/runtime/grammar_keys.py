"""Any JSON string but some: the names that ``additionalProperties`` may not take again."""

from collections.abc import Callable, Sequence

from app.runtime.grammar_text import literal, ranges

_Tree = dict[str, "_Tree"]


def other_keys(taken: Sequence[str], rule: Callable[[str, str], str]) -> str:
    """A tree over the taken names: leave it anywhere, or end where no name ends. Names are spelled without escapes
    for plain characters, so an escape that could spell a taken name is not offered."""
    tree: _Tree = {}
    for name in taken:
        node = tree
        for character in name:
            node = node.setdefault(character, {})
        node[""] = {}
    return f'"\\"" {_node(tree, rule)} "\\""'


def _node(node: _Tree, rule: Callable[[str, str], str]) -> str:
    steps = sorted(character for character in node if character and _plain(character))
    parts = [f"{literal(character)} {_node(node[character], rule)}" for character in steps]
    parts.append(f"{ranges(_others(steps))} plain-char*")
    body = " | ".join(parts)
    return rule(body if "" in node else f"({body})?", "key")


def _plain(character: str) -> bool:
    return ord(character) > 31 and character not in '"\\\x7f'


def _others(steps: Sequence[str]) -> list[tuple[int, int]]:
    bad = sorted({*(ord(step) for step in steps), *range(32), 34, 92, 127})
    found, start = [], 0
    for point in bad:
        if start < point:
            found.append((start, point - 1))
        start = point + 1
    return [*found, (start, 0x10FFFF)]
