"""A small validator for the part of JSON Schema the grammars speak, written apart from them."""

import re
from collections.abc import Mapping
from typing import Any

_TYPES: dict[str, Any] = {"string": str, "array": list, "object": dict, "null": type(None), "boolean": bool}


def valid(value: Any, schema: Any, root: Any = None) -> bool:
    """``value`` obeys ``schema``."""
    root = schema if root is None else root
    if isinstance(schema, bool):
        return schema
    checks = [
        _reference(value, schema, root),
        "type" not in schema
        or any(_is(value, kind) for kind in _list(schema["type"]))
        or _nullable(value, schema),
        "const" not in schema or _same(value, schema["const"]),
        "enum" not in schema or any(_same(value, option) for option in schema["enum"]),
        "anyOf" not in schema or any(valid(value, option, root) for option in schema["anyOf"]),
        "oneOf" not in schema or sum(valid(value, option, root) for option in schema["oneOf"]) == 1,
        all(valid(value, option, root) for option in schema.get("allOf", ())),
    ]
    return all(checks) and _kind(value, schema, root)


def _reference(value: Any, schema: Mapping[str, Any], root: Any) -> bool:
    if "$ref" not in schema:
        return True
    target = root
    for step in schema["$ref"].split("/")[1:]:
        target = target[step]
    return valid(value, target, root)


def _nullable(value: Any, schema: Mapping[str, Any]) -> bool:
    return value is None and schema.get("nullable") is True


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _is(value: Any, kind: str) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "number":
        return number
    if kind == "integer":
        return number and (isinstance(value, int) or value.is_integer())  # 1e999 reads as inf
    return isinstance(value, _TYPES[kind])


def _same(a: Any, b: Any) -> bool:
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def _kind(value: Any, schema: Mapping[str, Any], root: Any) -> bool:
    if isinstance(value, str):
        long = schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 1 << 60)
        return long and re.search(schema.get("pattern", ""), value, re.ASCII) is not None
    if isinstance(value, list):
        return _items(value, schema, root)
    if isinstance(value, dict):
        return _members(value, schema, root)
    return _number(value, schema) if isinstance(value, (int, float)) and not isinstance(value, bool) else True


def _number(value: float, schema: Mapping[str, Any]) -> bool:
    inside = schema.get("minimum", value) <= value <= schema.get("maximum", value)
    above = "exclusiveMinimum" not in schema or value > schema["exclusiveMinimum"]
    return inside and above and ("exclusiveMaximum" not in schema or value < schema["exclusiveMaximum"])


def _items(value: list[Any], schema: Mapping[str, Any], root: Any) -> bool:
    first = schema.get("prefixItems", [])
    fixed = all(valid(item, part, root) for item, part in zip(value, first, strict=False))
    rest = all(valid(item, schema.get("items", True), root) for item in value[len(first) :])
    return fixed and rest and schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", 1 << 60)


def _members(value: dict[str, Any], schema: Mapping[str, Any], root: Any) -> bool:
    declared = schema.get("properties", {})
    known = all(valid(item, declared[name], root) for name, item in value.items() if name in declared)
    extra = schema.get("additionalProperties", True)
    others = all(valid(item, extra, root) for name, item in value.items() if name not in declared)
    size = schema.get("minProperties", 0) <= len(value) <= schema.get("maxProperties", 1 << 60)
    return known and others and size and all(name in value for name in schema.get("required", ()))
