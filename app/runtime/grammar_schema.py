"""JSON Schema (2020-12, and draft 7's spellings) as GBNF rules.

The grammar accepts only documents the schema accepts, and asks for a usual spelling: declared properties in their
order, no undeclared ones unless ``additionalProperties`` invites them. A keyword that would be broken is refused by its
name; annotations (title, description, default, examples, unknown words) change nothing.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from app.core.errors import BadConstraintError
from app.runtime import grammar_merge as merging
from app.runtime.grammar_formats import FORMATS, PARTS
from app.runtime.grammar_number import Bounds, integers, numbers
from app.runtime.grammar_pattern import pattern_to_gbnf
from app.runtime.grammar_text import either, json_literal, literal, repeated, used, write

Schema = Mapping[str, Any]
_REFUSED = (
    "not if then else dependentRequired dependentSchemas dependencies patternProperties propertyNames contains "
    "minContains maxContains unevaluatedProperties unevaluatedItems $dynamicRef $recursiveRef"
).split()
_MAX_RULES = 3000
_MAX_ITEMS = 1000
_MAX_LENGTH = 20_000
_BLOCK = 1000


def refuse(what: str) -> BadConstraintError:
    """The error for something a grammar can't say."""
    return BadConstraintError(detail=what)


class SchemaRules:
    """Collects the rules of one grammar. Subclasses may spell JSON differently."""

    def __init__(self, schema: Schema, prefix: str = "") -> None:
        self._prefix = prefix
        self.rules: dict[str, str] = {}
        self._base: set[str] = set()
        self._root = schema
        self._named: dict[str, str] = {}

    # -------------------------------------------------------------------------------------- names
    def grammar(self, expression: str) -> str:
        """The whole text for a root ``expression``."""
        return write({"root": expression, **self.all_rules()})

    def all_rules(self) -> dict[str, str]:
        """The collected rules and the base rules they use."""
        return {**used(self._base), **self.rules}

    def need(self, *names: str) -> str:
        """Use base rules; returns the last one's name."""
        self._base.update(names)
        return names[-1]

    def rule(self, expression: str, hint: str = "r") -> str:
        """A rule of its own; returns its name."""
        if len(self.rules) >= _MAX_RULES:
            raise refuse("the schema is too large")
        name = f"{self._prefix}{hint}{len(self.rules)}"
        self.rules[name] = expression
        return name

    # -------------------------------------------------------------------------------------- any schema
    def visit(self, schema: object) -> str:
        """The expression for a value that ``schema`` accepts."""
        if schema is True or schema == {}:
            return self.need("value")
        if not isinstance(schema, Mapping):
            raise refuse(
                "a schema that is false accepts nothing" if schema is False else "a schema must be an object"
            )
        schema = merging.unwrapped(schema)
        if "$ref" in schema:
            return self._reference(schema)
        schema = merging.flatten(schema, self._resolve)
        for word in _REFUSED:
            if word in schema:
                raise refuse(f"the schema keyword {word!r} can't be put into a grammar")
        if schema.get("nullable") is True:
            return either(
                [self.visit({k: v for k, v in schema.items() if k != "nullable"}), self.need("null")]
            )
        return self._by_kind(schema)

    def _by_kind(self, schema: Schema) -> str:
        for word in ("anyOf", "oneOf"):
            if word in schema:
                return self._alternatives(schema, word)
        if "const" in schema or "enum" in schema:
            return self._values(schema)
        kinds = schema.get("type", merging.implied_type(schema))
        if isinstance(kinds, list):
            return either([self._typed(kind, schema) for kind in kinds]) if kinds else self._no("type")
        return self._typed(kinds, schema)

    def _no(self, word: str) -> str:
        raise refuse(f"the schema keyword {word!r} accepts nothing")

    def _typed(self, kind: object, schema: Schema) -> str:
        match kind:
            case None:
                return self.need("value")
            case "null" | "boolean":
                return self.need(kind)
            case "string":
                return self._string(schema)
            case "integer" | "number":
                return self._number(kind, schema)
            case "array":
                return self._array(schema)
            case "object":
                return self._object(schema)
            case _:
                raise refuse(f"the schema keyword 'type' can't be {kind!r}")

    def _reference(self, schema: Schema) -> str:
        pointer = schema["$ref"]
        beside = {
            key: value for key, value in schema.items() if key not in merging.ANNOTATIONS and key != "$ref"
        }
        if beside:
            return self.visit(merging.merge([self._resolve(pointer), beside], self._resolve))
        if pointer not in self._named:
            target = self._final(pointer)
            name = self._named[pointer] = self.rule("", "ref")
            self.rules[name] = self.visit(target)
        return self._named[pointer]

    def _final(self, pointer: str) -> object:
        """What a chain of references ends in; a circle that says nothing is refused."""
        seen: list[str] = []
        while True:
            target = self._resolve(pointer)
            if not isinstance(target, Mapping) or set(target) - merging.ANNOTATIONS != {"$ref"}:
                return target
            seen.append(pointer)
            pointer = target["$ref"]
            if pointer in seen:
                raise refuse(f"the schema keyword '$ref' goes round in a circle at {pointer!r}")

    def _resolve(self, pointer: object) -> Any:
        if not isinstance(pointer, str) or not (pointer == "#" or pointer.startswith("#/")):
            raise refuse(f"the schema keyword '$ref' can't be {pointer!r}: only parts of the same schema")
        found: Any = self._root
        for step in pointer[2:].split("/") if len(pointer) > 1 else []:
            key = step.replace("~1", "/").replace("~0", "~").replace("%25", "%")
            try:
                found = found[int(key)] if isinstance(found, list) else found[key]
            except (KeyError, IndexError, ValueError, TypeError) as error:
                raise refuse(f"the schema keyword '$ref' points to nothing at {pointer!r}") from error
        return found

    def _alternatives(self, schema: Schema, word: str) -> str:
        options = schema[word]
        rest = {key: value for key, value in schema.items() if key != word}
        if not isinstance(options, list) or not options:
            return self._no(word)
        if word == "oneOf" and not merging.apart(options, self._resolve):
            raise refuse("the schema keyword 'oneOf' has alternatives that may both fit; use 'anyOf'")
        if set(rest) - merging.ANNOTATIONS:
            options = [merging.merge([rest, option], self._resolve) for option in options]
        return either([self._own(self.visit(option)) for option in options if option is not False])

    def _own(self, expression: str) -> str:
        return expression if len(expression) < 60 else self.rule(expression, "alt")

    def _values(self, schema: Schema) -> str:
        found = [schema["const"]] if "const" in schema else schema["enum"]
        if not isinstance(found, list):
            return self._no("enum")
        found = [value for value in found if merging.fits(value, schema)]
        return either([self.literal(value) for value in found]) if found else self._no("enum")

    # -------------------------------------------------------------------------------------- texts and numbers
    def literal(self, value: object) -> str:
        """One constant."""
        return json_literal(value)

    def quoted(self, body: str) -> str:
        """A string whose inside is ``body``."""
        return f'"\\"" {body} "\\""'

    def _string(self, schema: Schema) -> str:
        low, high = _count(schema, "minLength"), _count(schema, "maxLength", None)
        form, pattern = schema.get("format"), schema.get("pattern")
        limits = [
            word for word in ("minLength", "maxLength") if word in schema and (word != "minLength" or low)
        ]
        if pattern is not None or form in FORMATS:
            if limits or (pattern is not None and form in FORMATS):
                raise refuse(
                    f"the schema keyword {(limits or ['format'])[0]!r} can't be joined with a pattern or format"
                )
            self.need("char")
            return self._own(
                self.quoted(self._formatted(form) if pattern is None else pattern_to_gbnf(str(pattern)))
            )
        if not limits:
            return self.need("string")
        if max(low or 0, high or 0) > _MAX_LENGTH or (high is not None and (low or 0) > high):
            raise refuse(f"the schema keyword {limits[-1]!r} can't be {schema[limits[-1]]!r}")
        return self._own(self.quoted(self.characters(low or 0, high, self.need("char"))))

    def characters(self, low: int, high: int | None, one: str) -> str:
        """From ``low`` to ``high`` of the rule ``one``, in blocks: llama.cpp writes repetitions out, 2000 at most."""
        blocks, rest = divmod(low, _BLOCK)
        parts = [repeated(one, rest, rest)] if rest else []
        if blocks:
            parts.append(repeated(self.rule(repeated(one, _BLOCK, _BLOCK), "block"), blocks, blocks))
        parts.append(self._at_most(None if high is None else high - low, one))
        return " ".join(part for part in parts if part != '""') or '""'

    def _at_most(self, high: int | None, one: str) -> str:
        if high is None or high <= _BLOCK:
            return repeated(one, 0, high)
        block = self.rule(f"{repeated(one, _BLOCK, _BLOCK)} {self._at_most(high - _BLOCK, one)}", "block")
        return f"({repeated(one, 0, _BLOCK - 1)} | {block})"

    def _formatted(self, form: Any) -> str:
        waiting = [FORMATS[form]]
        while waiting:
            text = waiting.pop()
            for name, part in PARTS.items():
                if (
                    name in text.replace("(", " ").replace(")", " ").replace("{", " ").split()
                    and name not in self.rules
                ):
                    self.rules[name] = part
                    waiting.append(part)
        return f"({FORMATS[form]})"

    def _number(self, kind: str, schema: Schema) -> str:
        step = schema.get("multipleOf")
        if step is not None and not (kind == "integer" and step == 1):
            raise refuse("the schema keyword 'multipleOf' can't be put into a grammar")
        bounds = _bounds(schema)
        if bounds.low is None and bounds.high is None:
            return self.need(kind)
        found = _whole(bounds) if kind == "integer" else numbers(bounds)
        if found is None:
            return self._no("minimum")
        return self._own(found)

    # -------------------------------------------------------------------------------------- arrays
    def _array(self, schema: Schema) -> str:
        if schema.get("uniqueItems"):
            raise refuse("the schema keyword 'uniqueItems' can't be put into a grammar")
        first, rest = _items(schema)
        low, high = _count(schema, "minItems") or 0, _count(schema, "maxItems", None)
        if max(low, high or 0) > _MAX_ITEMS or (high is not None and low > high):
            raise refuse(f"the schema keyword 'minItems' or 'maxItems' can't be {max(low, high or 0)}")
        self.need("ws")
        if high is not None:
            first = first[:high]
        parts = [self._own(self.visit(item)) for item in first]
        more = self._more_items(
            rest, max(low - len(first), 0), None if high is None else high - len(first), bool(first)
        )
        body = ' ws "," ws '.join(parts)
        return self._own(f'"[" ws {body} {more} ws "]"')

    def _more_items(self, rest: object, low: int, high: int | None, follows: bool) -> str:
        """Items behind the fixed ones: each has a comma in front when something stands before it."""
        if rest is False or high == 0 or (rest is None and follows and not low):
            return "" if not low else self._no("minItems")
        item = self.rule(self.visit(True if rest is None else rest), "item")
        if follows:
            return repeated(f'(ws "," ws {item})', low, high)
        tail = repeated(f'(ws "," ws {item})', max(low - 1, 0), None if high is None else high - 1)
        return f"{item} {tail}" if low else f"({item} {tail})?"

    # -------------------------------------------------------------------------------------- objects
    def key(self, name: str) -> str:
        """A member's name and the colon."""
        return f'{json_literal(name)} ws ":" ws'

    def _object(self, schema: Schema) -> str:
        properties = schema.get("properties") or {}
        required = list(schema.get("required") or [])
        extra = schema.get("additionalProperties", None if properties else True)
        members = dict(properties)
        for name in required:
            if name not in members:
                members[name] = {} if extra in (None, True) else extra
        members = {name: value for name, value in members.items() if value is not False or name in required}
        low, high = _count(schema, "minProperties") or 0, _count(schema, "maxProperties", None)
        more = extra not in (None, False)
        if not members and more:
            return self._map(extra, low, high)
        if low > len(required) or (high is not None and (more or high < len(members))):
            word = "minProperties" if low > len(required) else "maxProperties"
            raise refuse(f"the schema keyword {word!r} can't be put into a grammar with these properties")
        return self._members(members, required, extra if more else None)

    def _map(self, extra: object, low: int, high: int | None) -> str:
        if extra is True and not low and high is None:
            return self.need("object")
        self.need("ws")
        if low > 1:  # a name may come twice, and counts once
            raise refuse("the schema keyword 'minProperties' above 1 can't be put into a grammar")
        if max(low, high or 0) > _MAX_ITEMS or (high is not None and low > high):
            raise refuse("the schema keyword 'minProperties' or 'maxProperties' is out of bounds")
        if high == 0:
            return '"{" ws "}"'
        member = self.rule(f'{self.any_key()} ws ":" ws {self._own(self.visit(extra))}', "member")
        tail = repeated(f'(ws "," ws {member})', max(low - 1, 0), None if high is None else high - 1)
        body = f"{member} {tail}" if low else f"({member} {tail})?"
        return f'"{{" ws {body} ws "}}"'

    def _members(self, members: Mapping[str, object], required: Sequence[str], extra: object) -> str:
        self.need("ws")
        tail = ""
        first = ""
        if extra is not None:
            name = self.rule(
                f'{self.other_key(list(members))} ws ":" ws {self._own(self.visit(extra))}', "member"
            )
            tail, first = f'(ws "," ws {name})*', f'({name} (ws "," ws {name})*)?'
        # From the last member to the first: `tail` follows a member, `first` is the rest when none was written yet.
        for key, value in reversed(list(members.items())):
            pair = self.rule(f"{self.key(key)} {self._own(self.visit(value))}", "pair")
            if key in required:
                first = f"{pair} {self._tail(tail)}"
                tail = f'ws "," ws {first}'
            else:
                rest = self._tail(tail)
                first = f"({pair} {rest} | {self._tail(first)})" if first else f"({pair} {rest})?"
                tail = f'(ws "," ws {pair})? {rest}'
        return self._own(f'"{{" ws {first} ws "}}"')

    def _tail(self, expression: str) -> str:
        return self.rule(expression, "tail") if len(expression) > 40 else expression

    def any_key(self) -> str:
        """A name nobody declared."""
        return self.need("string")

    def other_key(self, taken: Sequence[str]) -> str:
        """Any name but the declared ones."""
        from app.runtime.grammar_keys import other_keys  # noqa: PLC0415 - rarely needed

        self.rules["plain-char"] = r'[^"\\\x7F\x00-\x1F]'
        return other_keys(taken, self.rule)


def _count(schema: Schema, word: str, absent: int | None = 0) -> int | None:
    value = schema.get(word, absent)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0 or value != int(value):
        raise refuse(f"the schema keyword {word!r} can't be {value!r}")
    return int(value)


def _bounds(schema: Schema) -> Bounds:
    low, low_open = _bound(schema, "minimum", "exclusiveMinimum", max)
    high, high_open = _bound(schema, "maximum", "exclusiveMaximum", min)
    return Bounds(low, high, low_open, high_open)


def _bound(schema: Schema, word: str, exclusive: str, tighter: Any) -> tuple[Decimal | None, bool]:
    values = {}
    for name in (word, exclusive):
        value = schema.get(name)
        if value is None or value is False or (value is True and name == exclusive):
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 10**15:
            raise refuse(f"the schema keyword {name!r} can't be {value!r}")
        values[name] = Decimal(str(value))
    if not values:
        return None, False
    bound = tighter(values.values())
    # Draft 4 wrote exclusiveMinimum as true.
    return bound, values.get(exclusive) == bound or schema.get(exclusive) is True


def _whole(bounds: Bounds) -> str | None:
    low = None if bounds.low is None else int(bounds.low.to_integral_value("ROUND_CEILING"))
    high = None if bounds.high is None else int(bounds.high.to_integral_value("ROUND_FLOOR"))
    if low is not None and bounds.low_open and low == bounds.low:
        low += 1
    if high is not None and bounds.high_open and high == bounds.high:
        high -= 1
    return None if low is not None and high is not None and low > high else integers(low, high)


def _items(schema: Schema) -> tuple[list[object], object]:
    """(fixed items, the schema of those behind or None when it is not said)."""
    items = schema.get("items")
    if isinstance(items, list):  # draft 7's tuples
        return items, schema.get("additionalItems")
    return list(schema.get("prefixItems") or []), items


__all__ = ["Schema", "SchemaRules", "literal", "refuse"]
