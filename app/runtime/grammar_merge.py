"""What several schemas say together (``allOf``, keywords beside ``$ref`` and ``anyOf``), and whether two can meet."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from app.core.errors import BadConstraintError

Schema = Mapping[str, Any]
Resolve = Callable[[object], Any]
ANNOTATIONS = frozenset(
    "title description default examples example deprecated readOnly writeOnly $comment $id $schema $defs definitions "
    "$anchor discriminator externalDocs xml contentEncoding contentMediaType strict".split()
)
_MAX_DEPTH = 40
_IMPLIED = {
    "object": ("properties", "required", "additionalProperties", "minProperties", "maxProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems"),
    "string": ("pattern", "minLength", "maxLength", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}


def implied_type(schema: Schema) -> str | None:
    """The type that a schema without ``type`` is about."""
    return next((kind for kind, words in _IMPLIED.items() if any(word in schema for word in words)), None)


def unwrapped(schema: Schema) -> Schema:
    """The only member of an ``allOf`` that stands alone (a recursive one must stay a reference)."""
    parts = schema.get("allOf")
    alone = isinstance(parts, list) and len(parts) == 1 and not set(schema) - ANNOTATIONS - {"allOf"}
    return unwrapped(parts[0]) if alone and parts and isinstance(parts[0], Mapping) else schema


def flatten(schema: Schema, resolve: Resolve, depth: int = 0) -> dict[str, Any]:
    """The same schema without ``$ref`` and ``allOf`` at its top."""
    if depth > _MAX_DEPTH:
        raise BadConstraintError(detail="the schema keyword '$ref' or 'allOf' nests too deeply")
    rest = {
        key: value for key, value in schema.items() if key not in ANNOTATIONS and key not in {"allOf", "$ref"}
    }
    parts: list[Any] = [*schema.get("allOf", ())]
    if "$ref" in schema:
        parts.append(resolve(schema["$ref"]))
    if not parts:
        return rest
    return merge([rest, *parts], resolve, depth + 1)


def merge(schemas: Sequence[object], resolve: Resolve, depth: int = 0) -> dict[str, Any]:
    """One schema that accepts what all accept. Raises BadConstraintError naming the keyword that can't be joined."""
    found: dict[str, Any] = {}
    for schema in schemas:
        if schema is True:
            continue
        if not isinstance(schema, Mapping):
            raise BadConstraintError(detail="the schema keyword 'allOf' accepts nothing")
        part = flatten(schema, resolve, depth)
        _check_closed(found, part)
        for word, value in part.items():
            found[word] = _joined(word, found[word], value) if word in found else value
    return found


def _check_closed(a: Schema, b: Schema) -> None:
    """``additionalProperties: false`` in one part forbids the other part's properties."""
    for one, other in ((a, b), (b, a)):
        extra = one.get("additionalProperties", True)
        if extra is not True and set(other.get("properties", ())) - set(one.get("properties", ())):
            raise BadConstraintError(
                detail="the schema keyword 'additionalProperties' can't be joined by 'allOf'"
            )


def _joined(word: str, a: Any, b: Any) -> Any:  # noqa: PLR0911 - one for each kind of keyword
    if a == b:
        return a
    if word == "properties":
        return {name: _both(a.get(name), b.get(name)) for name in [*a, *(n for n in b if n not in a)]}
    if word == "required":
        return [*a, *(name for name in b if name not in a)]
    if word in {"items", "additionalProperties"}:
        return _both(a, b)
    if word in {"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"} and not isinstance(
        a, bool
    ):
        return max(a, b)
    if word in {"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"} and not isinstance(
        a, bool
    ):
        return min(a, b)
    if word in {"type", "enum"}:
        kept = [
            value for value in _listed(a) if value in _listed(b) or (word == "type" and _is_integer(value, b))
        ]
        kept += ["integer"] if word == "type" and "integer" not in kept and _narrows(a, b) else []
        if kept:
            return kept if word == "enum" or len(kept) > 1 else kept[0]
    raise BadConstraintError(detail=f"the schema keyword {word!r} has two values that can't be joined")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _is_integer(value: object, other: Any) -> bool:
    return value == "integer" and "number" in _listed(other)


def _narrows(a: Any, b: Any) -> bool:
    return "number" in _listed(a) and "integer" in _listed(b)


def _both(a: Any, b: Any) -> Any:
    if a is None or a is True:
        return b
    if b is None or b is True:
        return a
    return False if a is False or b is False else {"allOf": [a, b]}


def fits(value: object, schema: Schema) -> bool:
    """A constant of ``enum`` or ``const`` against the other simple keywords beside it."""
    kinds = _listed(schema["type"]) if "type" in schema else []
    if kinds and not any(_is_a(value, kind) for kind in kinds):
        return False
    if "const" in schema and "enum" in schema and value not in schema["enum"]:
        return False
    if isinstance(value, str):
        long_enough = schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value))
        return long_enough and bool(re.search(schema.get("pattern", ""), value))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return bool(schema.get("minimum", value) <= value <= schema.get("maximum", value))
    return True


def _is_a(value: object, kind: object) -> bool:
    if isinstance(value, bool) or value is None:
        return kind == ("null" if value is None else "boolean")
    kinds = {"string": str, "integer": int, "number": (int, float), "array": list, "object": Mapping}
    found = kinds.get(str(kind))
    return found is not None and isinstance(value, found)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------ disjoint alternatives
def apart(schemas: Sequence[object], resolve: Resolve) -> bool:
    """No value fits two of them, as far as types, constants and required constant members tell."""
    flat = [flatten(schema, resolve) if isinstance(schema, Mapping) else {} for schema in schemas]
    return all(_two_apart(a, b, resolve) for i, a in enumerate(flat) for b in flat[:i])


def _two_apart(a: Schema, b: Schema, resolve: Resolve) -> bool:
    kinds = [set(_kinds(schema)) for schema in (a, b)]
    if all(kinds) and not kinds[0] & kinds[1]:
        return True
    values = [_constants(schema) for schema in (a, b)]
    if values[0] is not None and values[1] is not None:
        return not any(value in values[1] for value in values[0])
    for constants, other in ((values[0], b), (values[1], a)):
        if constants is not None and not any(_may_fit(value, other) for value in constants):
            return True
    return any(
        _two_apart(flatten(_member(a, name), resolve), flatten(_member(b, name), resolve), resolve)
        for name in set(a.get("required", ())) & set(b.get("required", ()))
        if _member(a, name) and _member(b, name)
    )


def _may_fit(value: object, schema: Schema) -> bool:
    """The value's type is one of the schema's, or the schema names none."""
    kinds = _kinds(schema)
    return not kinds or any(_is_a(value, kind) for kind in kinds)


def _member(schema: Schema, name: str) -> Schema:
    found = schema.get("properties", {}).get(name, {})
    return found if isinstance(found, Mapping) else {}


def _kinds(schema: Schema) -> list[Any]:
    kinds = _listed(schema.get("type", implied_type(schema) or []))
    return ["number" if kind == "integer" else kind for kind in kinds]


def _constants(schema: Schema) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    return schema["enum"] if isinstance(schema.get("enum"), list) else None
