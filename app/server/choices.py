"""What a field may be that was given a word it does not know."""

import re
from collections.abc import Sequence
from typing import Any

from msgspec import inspect

MOST = 40
"""Words that are told at most."""


def choices(kind: Any, path: str) -> tuple[str, ...]:
    """The words that the field at ``path`` (as msgspec writes it: ``$.tools[0].type``) of a body of type ``kind`` may
    be; () where it may be more than words."""
    steps = re.findall(r"\.([^.\[]+)|(\[[^\]]*\])", path.removeprefix("$"))
    found = _follow(inspect.type_info(kind), [name or mark for name, mark in steps])
    words = tuple(dict.fromkeys(str(value) for value in found))
    return words if len(words) <= MOST else ()


def _follow(info: inspect.Type, steps: Sequence[str]) -> list[object]:
    if isinstance(info, inspect.Metadata):
        return _follow(info.type, steps)
    if isinstance(info, inspect.UnionType):
        return [value for part in info.types for value in _follow(part, steps)]
    if not steps:
        return list(info.values) if isinstance(info, inspect.LiteralType) else []
    step, rest = steps[0], steps[1:]
    inner: list[inspect.Type] = []
    if isinstance(info, inspect.StructType):
        inner = [field.type for field in info.fields if field.encode_name == step]
    elif isinstance(info, inspect.CollectionType) and step.startswith("["):
        inner = [info.item_type]
    elif isinstance(info, inspect.DictType) and step.startswith("["):
        inner = [info.value_type]
    return [value for part in inner for value in _follow(part, rest)]
