"""Version numbers as they are ordered: numbers between dots, and nothing else is taken from an address."""

import re

_SHAPE = re.compile(r"\d{1,6}(\.\d{1,6}){0,3}")
Numbers = tuple[int, ...]


def numbers(version: str) -> Numbers | None:
    """``0.10.0`` -> (0, 10); None when it is no version. What follows a ``+`` is a build's own name."""
    plain = version.partition("+")[0]
    if not _SHAPE.fullmatch(plain):
        return None
    parts = [int(part) for part in plain.split(".")]
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    return tuple(parts)


def newer(one: str, other: str) -> bool:
    """Whether ``one`` comes after ``other``. What is no version comes before all."""
    return (numbers(one) or ()) > (numbers(other) or ())
