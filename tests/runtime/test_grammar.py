"""Grammars: every text of a grammar obeys its schema, in our reading and in llama.cpp's."""

import ctypes
import json
import random
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import BadConstraintError
from app.core.generate import (
    GenerateRequest,
    ReasoningOptions,
    ResponseFormat,
    ToolChoice,
    ToolSpec,
)
from app.runtime.formats import reasoning_tags, tool_format
from app.runtime.grammar import Constraint, constraint_for, schema_to_gbnf
from app.runtime.grammar_number import Bounds, integers, numbers
from app.runtime.grammar_pattern import pattern_to_gbnf
from app.runtime.grammar_text import BASE, until, used, write
from app.runtime.parsing import parser_for
from tests.fakes.gbnf import Grammar
from tests.fakes.json_schema import valid

FIXTURES = Path(__file__).parent / "fixtures" / "templates"
PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 9},
        "age": {"type": "integer", "minimum": 0, "maximum": 130},
        "tags": {"type": "array", "items": {"enum": ["a", "b", 3, None]}, "minItems": 1, "maxItems": 3},
        "friend": {"$ref": "#/$defs/friend"},
        "weight": {"type": "number", "minimum": -1.5, "exclusiveMaximum": 2.25},
        "code": {"type": "string", "pattern": "^[a-z]{2}-\\d+$"},
    },
    "required": ["name", "tags"],
    "additionalProperties": {"type": "boolean"},
    "$defs": {"friend": {"type": ["object", "null"], "properties": {"friend": {"$ref": "#/$defs/friend"}}}},
}
SCHEMAS: dict[str, Any] = {
    "person": PERSON,
    "anything": {},
    "true": {"description": "only words"},
    "string": {"type": "string"},
    "long": {"type": "string", "minLength": 2100, "maxLength": 4300},
    "many": {"type": "array", "items": {"type": "string", "maxLength": 40}, "maxItems": 1000},
    "short": {"type": "string", "maxLength": 3},
    "nullable": {"type": "string", "nullable": True},
    "types": {"type": ["integer", "boolean", "null"]},
    "const": {"const": {"a": ['"\n', 1.5, None]}},
    "enum": {"enum": ["é\\", 1, True, None, [1]]},
    "typed enum": {"type": "integer", "enum": [1, "a", 2]},
    "empty object": {"type": "object", "properties": {}, "additionalProperties": False},
    "open object": {"type": "object"},
    "map": {
        "type": "object",
        "additionalProperties": {"type": "integer"},
        "minProperties": 1,
        "maxProperties": 2,
    },
    "declared and more": {
        "properties": {"ab": {"type": "null"}, "a": {"type": "null"}},
        "additionalProperties": True,
    },
    "required undeclared": {"type": "object", "properties": {"a": {}}, "required": ["b"]},
    "all optional": {"type": "object", "properties": {name: {"type": "boolean"} for name in "abcd"}},
    "array": {"type": "array"},
    "pair": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False},
    "pair and more": {
        "prefixItems": [{"type": "null"}],
        "items": {"type": "boolean"},
        "minItems": 2,
        "maxItems": 4,
    },
    "exactly two": {"type": "array", "items": {"type": "null"}, "minItems": 2, "maxItems": 2},
    "no items": {"type": "array", "maxItems": 0},
    "one of": {
        "oneOf": [
            {
                "type": "object",
                "properties": {"kind": {"const": "a"}, "x": {"type": "null"}},
                "required": ["kind"],
            },
            {"type": "object", "properties": {"kind": {"const": "b"}}, "required": ["kind"]},
            {"type": "string"},
        ]
    },
    "one of a constant and a type": {"oneOf": [{"type": "boolean"}, {"const": "x"}, {"enum": [None, 3]}]},
    "any of beside": {
        "type": "object",
        "properties": {"a": {"type": "null"}, "b": {"type": "null"}},
        "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
    },
    "all of": {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "integer", "minimum": 3}}, "required": ["a"]},
            {"properties": {"a": {"maximum": 5}, "b": {"type": "null"}}},
        ]
    },
    "recursive": {
        "$ref": "#/$defs/tree",
        "$defs": {
            "tree": {
                "type": "object",
                "properties": {
                    "value": {"type": "integer"},
                    "children": {
                        "type": "array",
                        "items": {"allOf": [{"$ref": "#/$defs/tree"}]},
                        "maxItems": 2,
                    },
                },
                "required": ["value"],
            }
        },
    },
    "root reference": {"type": "object", "properties": {"next": {"$ref": "#"}}},
    "reference with more": {"$ref": "#/$defs/s", "maxLength": 2, "$defs": {"s": {"type": "string"}}},
    "patterns": {"type": "array", "items": {"type": "string", "pattern": 'a|b"+[^c\\s]\\.'}, "minItems": 1},
    "more formats": {
        "type": "array",
        "prefixItems": [{"type": "string", "format": name} for name in ("time", "hostname", "ipv6", "uri")],
    },
    "formats": {
        "type": "array",
        "prefixItems": [
            {"type": "string", "format": "date", "description": "d"},
            {"type": "string", "format": "uuid"},
            {"type": "string", "format": "date-time"},
            {"type": "string", "format": "ipv4"},
            {"type": "string", "format": "email"},
            {"type": "string", "format": "a word nobody knows"},
        ],
    },
}


def template(name: str) -> str:
    return (FIXTURES / f"{name}.jinja").read_text("utf-8") if name else ""


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_text_obeys(name: str) -> None:
    grammar, rng = Grammar(schema_to_gbnf(SCHEMAS[name])), random.Random(1)
    for budget in range(0, 400, 40 if name == "long" else 8):
        text = grammar.write(rng, budget)
        assert valid(json.loads(text), SCHEMAS[name]), text


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("person", '{"name": "Lê", "tags": ["a"]}', True),
        ("person", '{"name":"Lê","age":130,"tags":["a",null,3],"weight":2.2}', True),
        ("person", '{"name": "Lê", "age": 131, "tags": ["a"]}', False),
        ("person", '{"tags": ["a"]}', False),
        ("person", '{"name": "", "tags": ["a"]}', False),
        ("person", '{"name": "x", "tags": []}', False),
        ("person", '{"name": "x", "tags": ["a"], "more": true}', True),
        ("person", '{"name": "x", "tags": ["a"], "more": 1}', False),
        ("person", '{"name": "x", "tags": ["a"], "age": "x"}', False),
        ("person", '{"name": "x", "tags": ["a"], "code": "ab-1"}', True),
        ("person", '{"name": "x", "tags": ["a"], "code": "ab-"}', False),
        ("person", '{"name": "x", "tags": ["a"], "friend": {"friend": {"friend": null}}}', True),
        ("string", '"\\ud83d"', False),
        ("string", '"\\u00e9\\n"', True),
        ("string", '"a\nb"', False),
        ("all of", '{"a": 5, "b": null}', True),
        ("all of", '{"a": 2}', False),
        ("any of beside", '{"b": null}', True),
        ("any of beside", "{}", False),
        ("recursive", '{"value": 1, "children": [{"value": -2}, {"value": 3, "children": []}]}', True),
        ("declared and more", '{"ab": null, "a": null, "abc": 1, "b": {}, "": 0}', True),
        ("declared and more", '{"a": 5}', False),
        (
            "formats",
            (
                '["2024-01-31","01234567-89ab-cdef-0123-456789abcdef","2024-02-28T23:59:59Z",'
                '"127.0.0.1","a.b@c.org","x"]'
            ),
            True,
        ),
        (
            "formats",
            (
                '["2024-02-30","01234567-89ab-cdef-0123-456789abcdef","2024-02-28T23:59:59Z",'
                '"127.0.0.1","a.b@c.org","x"]'
            ),
            False,
        ),
    ],
)
def test_membership(name: str, text: str, expected: bool) -> None:
    assert Grammar(schema_to_gbnf(SCHEMAS[name])).accepts(text) is expected


@pytest.mark.parametrize(
    ("schema", "word"),
    [
        ({"not": {}}, "'not'"),
        ({"type": "object", "if": {}, "then": {}}, "'if'"),
        ({"type": "object", "patternProperties": {"a": {}}}, "'patternProperties'"),
        ({"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}}, "'uniqueItems'"),
        ({"type": "array", "contains": {}}, "'contains'"),
        ({"type": "integer", "multipleOf": 5}, "'multipleOf'"),
        ({"type": "object", "dependentRequired": {}}, "'dependentRequired'"),
        ({"type": "object", "propertyNames": {}}, "'propertyNames'"),
        ({"type": "string", "pattern": "(?=a)b"}, "pattern"),
        ({"type": "string", "pattern": "(a)\\1"}, "pattern"),
        ({"type": "string", "pattern": "a\\bb"}, "pattern"),
        ({"type": "string", "pattern": "a^b"}, "pattern"),
        ({"type": "string", "pattern": "("}, "pattern"),
        ({"type": "string", "pattern": "a", "minLength": 3}, "'minLength'"),
        ({"type": "string", "minLength": 3, "maxLength": 2}, "'maxLength'"),
        ({"type": "string", "minLength": -1}, "'minLength'"),
        ({"type": "array", "minItems": 10**9}, "'minItems'"),
        ({"type": "array", "prefixItems": [{}], "items": False, "minItems": 2}, "'minItems'"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, "'minimum'"),
        ({"type": "integer", "minimum": "3"}, "'minimum'"),
        ({"type": "integer", "minimum": 10**99}, "'minimum'"),
        ({"type": "number", "exclusiveMinimum": 1, "maximum": 1}, "'minimum'"),
        ({"type": "spoon"}, "'type'"),
        ({"type": []}, "'type'"),
        ({"enum": []}, "'enum'"),
        ({"type": "string", "enum": [1]}, "'enum'"),
        ({"enum": 3}, "'enum'"),
        ({"anyOf": []}, "'anyOf'"),
        ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "'oneOf'"),
        ({"$ref": "http://elsewhere"}, "'$ref'"),
        ({"$ref": "#/$defs/none"}, "'$ref'"),
        ({"$ref": "#"}, "'$ref'"),
        ({"$ref": "#/a", "a": {"$ref": "#/b"}, "b": {"$ref": "#/a"}}, "'$ref'"),
        ({"allOf": [{"type": "string"}, {"type": "null"}]}, "'type'"),
        ({"allOf": [{"pattern": "a"}, {"pattern": "b"}]}, "'pattern'"),
        (
            {"allOf": [{"properties": {"a": {}}, "additionalProperties": False}, {"properties": {"b": {}}}]},
            "'additionalProperties'",
        ),
        ({"type": "object", "properties": {"a": {}}, "minProperties": 1}, "'minProperties'"),
        ({"type": "object", "additionalProperties": {"type": "null"}, "minProperties": 2}, "'minProperties'"),
        ({"oneOf": [{"type": "number"}, {"const": 3}]}, "'oneOf'"),
        ({"type": "object", "properties": {"a": {}}, "maxProperties": 0}, "'maxProperties'"),
        ({"properties": {"a": False}, "required": ["a"]}, "false"),
        ({"items": 5}, "object"),
        ({"properties": {str(i): {"enum": [str(i) * 30]} for i in range(4000)}}, "large"),
    ],
)
def test_refused_by_name(schema: dict[str, Any], word: str) -> None:
    with pytest.raises(BadConstraintError) as error:
        schema_to_gbnf(schema)
    assert word in str(error.value)


def test_deep_schemas_are_refused() -> None:
    schema: dict[str, Any] = {}
    for _ in range(3000):
        schema = {"type": "array", "items": schema}
    with pytest.raises(BadConstraintError):
        schema_to_gbnf(schema)


# ------------------------------------------------------------------------------------------------ numbers, patterns
def grammar_of(expression: str) -> Grammar:
    return Grammar(write({"root": expression, **used(["char"])}))


@settings(max_examples=150, deadline=None)
@given(
    st.none() | st.integers(-1200, 1200), st.none() | st.integers(0, 1500), st.randoms(use_true_random=False)
)
def test_integers(low: int | None, width: int | None, rng: random.Random) -> None:
    high = width if low is None else None if width is None else low + width
    grammar = grammar_of(integers(low, high))
    for number in {*range(-50, 50), *(rng.randint(-3000, 3000) for _ in range(100)), low or 0, high or 0}:
        inside = (low is None or number >= low) and (high is None or number <= high)
        assert grammar.accepts(str(number)) is inside, number
    assert not grammar.accepts("007")


DECIMALS = st.decimals(-20, 20, places=2, allow_nan=False)


@settings(max_examples=300, deadline=None)
@given(
    st.none() | DECIMALS,
    st.none() | DECIMALS,
    st.booleans(),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_numbers(
    low: Decimal | None, high: Decimal | None, low_open: bool, high_open: bool, rng: random.Random
) -> None:
    found = numbers(Bounds(low, high, low_open, high_open))
    below = low is not None and high is not None and (low > high or (low == high and (low_open or high_open)))
    if below:
        return
    assert found is not None
    grammar = grammar_of(found)
    for _ in range(20):
        assert_inside(Decimal(grammar.write(rng, 20)), low, high, low_open, high_open)
    edges = [
        x + d
        for x in (low, high, Decimal(0))
        if x is not None
        for d in map(Decimal, ("0", "0.01", "-0.01", "0.005"))
    ]
    for number in [*edges, *(Decimal(rng.randint(-2500, 2500)) / 100 for _ in range(40))]:
        text = f"{number.normalize():f}"
        text = "0" if text == "-0" else text
        assert grammar.accepts(text) is inside(number, low, high, low_open, high_open), (text, found)


def inside(x: Decimal, low: Decimal | None, high: Decimal | None, low_open: bool, high_open: bool) -> bool:
    above = low is None or x > low or (x == low and not low_open)
    return above and (high is None or x < high or (x == high and not high_open))


def assert_inside(x: Decimal, *bounds: Any) -> None:
    assert inside(x, *bounds), (x, bounds)


PATTERNS = [
    "^[a-z]+$",
    "a",
    "^a|b$",
    "(ab|c){2,3}",
    "^\\w+@\\w+\\.(com|org)$",
    '^"[^"]*"$',
    "^\\\\$",
    "^[^\\d]?x*?$",
    "^(?:\\+84|0)\\d{9}$",
    "^.{3}$",
    "^[\\s\\S]{2}$",
    "^$",
    "^[à-ỹ]+$",
    "\\/",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns(pattern: str) -> None:
    grammar, rng = grammar_of(f'"\\"" {pattern_to_gbnf(pattern)} "\\""'), random.Random(2)
    for budget in range(0, 100, 2):
        text = grammar.write(rng, budget)
        assert re.search(pattern, json.loads(text), re.ASCII), text


@pytest.mark.parametrize("mark", ["</think>", "\n</parameter>", "aab", "aaa", "abab", '<|"|>', "x"])
def test_until(mark: str) -> None:
    grammar, rng = Grammar(write({"root": "u", **until(mark, "u")})), random.Random(3)
    for _ in range(300):
        text = "".join(rng.choice([*mark, "z"]) for _ in range(rng.randint(0, 12)))
        assert grammar.accepts(text) is (text.find(mark) == len(text) - len(mark) >= 0), text


# ------------------------------------------------------------------------------------------------ random schemas
def schemas() -> st.SearchStrategy[Any]:
    names = st.sampled_from(["a", "b", "ab", 'q"', "é"])
    bounds = st.integers(0, 4)
    leaf = st.one_of(
        st.sampled_from([{}, {"type": "null"}, {"type": "boolean"}, {"type": "number"}, {"type": "string"}]),
        st.builds(
            lambda a, b: {"type": "integer", "minimum": a - b, "maximum": a + b}, st.integers(-99, 99), bounds
        ),
        st.builds(lambda a, b: {"type": "string", "minLength": a, "maxLength": a + b}, bounds, bounds),
        st.lists(st.none() | st.booleans() | st.integers() | st.text(max_size=3), min_size=1, max_size=3).map(
            lambda values: {"enum": values}
        ),
        st.sampled_from(PATTERNS[:6]).map(lambda pattern: {"type": "string", "pattern": pattern}),
    )
    return st.recursive(
        leaf, lambda inner: st.one_of(_objects(inner, names), _arrays(inner), _options(inner)), max_leaves=8
    )


def _objects(inner: Any, names: Any) -> Any:
    return st.builds(
        lambda members, needed, extra: {
            "type": "object",
            "properties": members,
            "required": [name for name in members if name in needed],
            **({} if extra is None else {"additionalProperties": extra}),
        },
        st.dictionaries(names, inner, max_size=4),
        st.sets(names),
        st.none() | st.booleans() | inner,
    )


def _arrays(inner: Any) -> Any:
    return st.builds(
        lambda first, items, low, more: {
            "type": "array",
            **({"prefixItems": first} if first else {}),
            "items": items,
            "minItems": low,
            "maxItems": low + more,
        },
        st.lists(inner, max_size=2),
        inner,
        st.integers(0, 3),
        st.integers(0, 3),
    )


def _options(inner: Any) -> Any:
    return st.lists(inner, min_size=1, max_size=3).map(lambda options: {"anyOf": options})


@settings(max_examples=300, deadline=None)
@given(schemas(), st.randoms(use_true_random=False))
def test_random_schemas(schema: Any, rng: random.Random) -> None:
    grammar = Grammar(schema_to_gbnf(schema))
    for budget in (0, 10, 50, 150):
        text = grammar.write(rng, budget)
        assert valid(json.loads(text), schema), text


# ------------------------------------------------------------------------------------------------ requests
CITY = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer", "minimum": 1, "maximum": 9},
        "unit": {"type": "string", "enum": ["C", "F"]},
        "more": {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string"}}}},
    },
    "required": ["city", "days"],
}
TOOLS = (
    ToolSpec("get_weather", "Weather", CITY),
    ToolSpec("now", "Time"),
    ToolSpec("note", "Note", {"type": "object", "properties": {"text": {"type": ["string", "null"]}}}),
)
FAMILIES = sorted(path.stem for path in FIXTURES.glob("*.jinja"))


def read_calls(text: str, name: str, tail: str = "") -> tuple[list[tuple[str, str]], str, str]:
    parser = parser_for(template(name), GenerateRequest("r", tools=TOOLS), tail)
    deltas = [*parser.feed(text), *parser.finish()]
    calls: list[list[str]] = []
    for piece in (piece for delta in deltas for piece in delta.tool_calls):
        if piece.name:
            calls.append([piece.name, ""])
        calls[piece.index][1] += piece.arguments
    content = "".join(delta.text for delta in deltas)
    return [(name, text) for name, text in calls], content, "".join(delta.reasoning for delta in deltas)


def check_calls(calls: list[tuple[str, str]]) -> None:
    schemas = {tool.name: tool.parameters for tool in TOOLS}
    assert calls
    for name, arguments in calls:
        assert valid(json.loads(arguments), schemas[name]), (name, arguments)


@pytest.mark.parametrize("name", FAMILIES)
class TestFamilies:
    """What a family's grammar allows is what its parser reads, and it obeys the tool's schema."""

    @pytest.mark.parametrize("mode", ["required", "auto"])
    def test_calls(self, name: str, mode: Any) -> None:
        request = GenerateRequest("r", tools=TOOLS, tool_choice=ToolChoice(mode))
        constraint = constraint_for(request, template(name))
        assert constraint is not None
        assert constraint.lazy is (mode == "auto")
        grammar, rng = Grammar(constraint.grammar), random.Random(4)
        for budget in range(0, 600, 10):
            text = grammar.write(rng, budget)
            calls, content, _ = read_calls(text, name)
            assert not content, text
            check_calls(calls)

    def test_named_and_alone(self, name: str) -> None:
        request = GenerateRequest(
            "r", tools=TOOLS, tool_choice=ToolChoice("named", "now"), parallel_tool_calls=False
        )
        constraint = constraint_for(request, template(name))
        assert constraint is not None
        grammar, rng = Grammar(constraint.grammar), random.Random(5)
        for budget in range(0, 300, 10):
            calls, _, _ = read_calls(grammar.write(rng, budget), name)
            assert [call for call, _ in calls] == ["now"]

    def test_answer_after_a_thought(self, name: str) -> None:
        request = GenerateRequest("r", response_format=ResponseFormat("json_schema", PERSON))
        constraint = constraint_for(request, template(name))
        assert constraint is not None
        grammar, rng = Grammar(constraint.grammar), random.Random(6)
        for budget in range(0, 300, 10):
            text = grammar.write(rng, budget)
            parser = parser_for(template(name), request, "")
            deltas = [*parser.feed(text), *parser.finish()]
            assert valid(json.loads("".join(delta.text for delta in deltas)), PERSON), text

    def test_calls_or_schema(self, name: str) -> None:
        request = GenerateRequest(
            "r", tools=TOOLS, response_format=ResponseFormat("json_schema", {"type": "boolean"})
        )
        constraint = constraint_for(request, template(name))
        assert constraint is not None
        assert not constraint.lazy
        grammar, rng = Grammar(constraint.grammar), random.Random(7)
        kinds = set()
        for budget in range(0, 900, 10):
            calls, content, _ = read_calls(grammar.write(rng, budget), name)
            kinds.add(bool(calls))
            if calls:
                check_calls(calls)
            else:
                assert json.loads(content) in {True, False}
        assert kinds == {True, False}

    def test_thought_opened_by_the_prompt(self, name: str) -> None:
        tags = reasoning_tags(template(name))
        if name == "openai-gpt-oss-120b":
            return
        request = GenerateRequest("r", tools=TOOLS, tool_choice=ToolChoice("required"))
        tail = f"assistant\n{tags.open}\n"
        constraint = constraint_for(request, template(name), tail)
        assert constraint is not None
        text = Grammar(constraint.grammar).write(random.Random(8), 500)
        assert tags.close in text
        calls, content, _ = read_calls(text, name, tail)
        assert not content
        check_calls(calls)

    def test_thinking_off(self, name: str) -> None:
        form = ResponseFormat("json_object")
        request = GenerateRequest("r", response_format=form, reasoning=ReasoningOptions(enabled=False))
        constraint = constraint_for(request, template(name))
        assert constraint is not None
        assert Grammar(constraint.grammar).accepts("{}") is (name != "openai-gpt-oss-120b")


class TestRequests:
    def test_free(self) -> None:
        assert constraint_for(GenerateRequest("r"), "") is None
        request = GenerateRequest("r", tools=TOOLS, tool_choice=ToolChoice("none"))
        assert constraint_for(request, template("Qwen3-Coder")) is None

    def test_own_grammar(self) -> None:
        request = GenerateRequest(
            "r", response_format=ResponseFormat("gbnf", grammar='root ::= "a"'), tools=TOOLS
        )
        assert constraint_for(request, "") == Constraint('root ::= "a"')

    def test_unknown_tool(self) -> None:
        request = GenerateRequest("r", tools=TOOLS, tool_choice=ToolChoice("named", "fly"))
        with pytest.raises(BadConstraintError, match="fly"):
            constraint_for(request, "")

    def test_a_tools_keyword_is_named(self) -> None:
        tool = ToolSpec("t", "", {"type": "object", "properties": {"a": {"not": {}}}})
        for name in ("", "Qwen3-Coder", "google-gemma-4-31B-it"):
            with pytest.raises(BadConstraintError, match=r"tool t: .*'not'"):
                constraint_for(GenerateRequest("r", tools=(tool,)), template(name))

    def test_raw_arguments_with_limits(self) -> None:
        members = {
            "a": {"type": "string", "maxLength": 3},
            "b": {"type": "string", "pattern": "^x+$"},
            "c": {"const": 1},
        }
        tool = ToolSpec("note", "", {"type": "object", "properties": members, "required": ["a", "b", "c"]})
        for name in ("Qwen3-Coder", "GLM-4.6"):
            constraint = constraint_for(GenerateRequest("r", tools=(tool,)), template(name))
            assert constraint is not None
            text = Grammar(constraint.grammar).write(random.Random(9), 0)
            parser = parser_for(template(name), GenerateRequest("r", tools=(tool,)), "")
            deltas = [*parser.feed(text), *parser.finish()]
            found = "".join(piece.arguments for delta in deltas for piece in delta.tool_calls)
            assert valid(json.loads(found), tool.parameters)


TRIGGERS = {
    "Qwen-Qwen3-0.6B": [
        "<tool_call>",
        "<think>x</think>\n\nok <tool_call>\n",
        '<tool_call>\n{"',
        "<tool_call> {",
    ],
    "meta-llama-Llama-3.1-8B-Instruct": ["{", '{"', '{"na', '{\n "name"'],
    "mistralai-Mistral-Nemo-Instruct-2407": ["[TOOL_CALLS]", "[TOOL_CALLS][", '[TOOL_CALLS] [{"'],
    "Mistral-Small-3.2-24B-Instruct-2506": ["[TOOL_CALLS]", "a[TOOL_CALLS]"],
    "llama-cpp-deepseek-r1": ["<｜tool▁calls▁begin｜>", "x<｜tool▁calls▁begin｜>\n"],
    "openai-gpt-oss-120b": [
        "<|channel|>commentary to=",
        "<|channel|>commentary to=functions",
        " to=functions.",
    ],
    "GLM-4.6": ["<tool_call>"],
    "google-gemma-4-31B-it": ["<|tool_call>call:"],
    "Phi-4-mini-instruct": ["<|tool_call|>", "<|tool_call|>[", '<|tool_call|>[{"'],
}
QUIET = ["a <tool_cal", "{x", '{"name": "x', "<|channel|>commentary<|message|>", "<tool_call>{'"]


@pytest.mark.parametrize("name", TRIGGERS)
def test_triggers(name: str) -> None:
    constraint = constraint_for(GenerateRequest("r", tools=TOOLS), template(name))
    assert constraint is not None
    for text in TRIGGERS[name]:
        starts = [found.start(1) for p in constraint.trigger_patterns if (found := re.search(p, text))]
        assert starts, text
        grammar = Grammar(constraint.grammar)
        assert begins(grammar, text[starts[0] :]), text
    for text in QUIET:
        assert not any(re.search(pattern, text) for pattern in constraint.trigger_patterns), text


def begins(grammar: Grammar, text: str) -> bool:
    """Some text of the grammar begins so (tried, not proved)."""
    rng = random.Random(10)
    return any(grammar.write(rng, budget % 200).startswith(text) for budget in range(20_000))


# ------------------------------------------------------------------------------------------------ llama.cpp itself
class Engine:
    """llama.cpp's own grammar sampler over the starter's vocabulary."""

    def __init__(self, path: Path) -> None:
        self.lib = pytest.importorskip("llama_cpp.llama_cpp")
        quiet = self.lib.llama_log_callback(lambda *_: None)
        self._keep = quiet
        self.lib.llama_log_set(quiet, None)
        params = self.lib.llama_model_default_params()
        params.vocab_only = True
        self.model = self.lib.llama_model_load_from_file(str(path).encode(), params)
        self.vocab = self.lib.llama_model_get_vocab(self.model)
        self.end = self.lib.llama_vocab_eos(self.vocab)

    def tokens(self, text: str) -> list[int]:
        data = text.encode()
        buffer = (self.lib.llama_token * (len(data) + 8))()
        count = self.lib.llama_tokenize(self.vocab, data, len(data), buffer, len(buffer), False, False)
        return list(buffer[:count])

    def reads(self, grammar: str) -> bool:
        sampler = self.lib.llama_sampler_init_grammar(self.vocab, grammar.encode(), b"root")
        if sampler:
            self.lib.llama_sampler_free(sampler)
        return bool(sampler)

    def accepts(self, grammar: str, text: str) -> bool:
        sampler = self.lib.llama_sampler_init_grammar(self.vocab, grammar.encode(), b"root")
        assert sampler
        try:
            for token in self.tokens(text):
                if not self._allowed(sampler, token):
                    return False
                self.lib.llama_sampler_accept(sampler, token)
            return self._allowed(sampler, self.end)
        finally:
            self.lib.llama_sampler_free(sampler)

    def wakes(self, constraint: Constraint, text: str) -> bool:
        """A lazy grammar lets all of ``text`` pass and is awake at its end."""
        patterns = (ctypes.c_char_p * len(constraint.trigger_patterns))(
            *(p.encode() for p in constraint.trigger_patterns)
        )
        none = (self.lib.llama_token * 0)()
        sampler = self.lib.llama_sampler_init_grammar_lazy_patterns(
            self.vocab, constraint.grammar.encode(), b"root", patterns, len(patterns), none, 0
        )
        assert sampler
        try:
            for token in self.tokens(text):
                if not self._allowed(sampler, token):
                    return False
                self.lib.llama_sampler_accept(sampler, token)
            return self._allowed(sampler, self.end) and not self._allowed(sampler, self.tokens("Hello")[0])
        finally:
            self.lib.llama_sampler_free(sampler)

    def _allowed(self, sampler: Any, token: int) -> bool:
        data = (self.lib.llama_token_data * 1)()
        data[0].id, data[0].logit, data[0].p = token, 1.0, 1.0
        array = self.lib.llama_token_data_array(data=data, size=1, selected=-1, sorted=False)
        self.lib.llama_sampler_apply(sampler, ctypes.byref(array))
        return bool(data[0].logit > -1e30)

    def close(self) -> None:
        self.lib.llama_model_free(self.model)
        self.lib.llama_log_set(self.lib.llama_log_callback(), None)


@pytest.fixture(scope="module")
def engine(starter: Path) -> Iterator[Engine]:
    engine = Engine(starter)
    yield engine
    engine.close()


@pytest.mark.parametrize("name", SCHEMAS)
def test_llama_reads_the_same(name: str, engine: Engine) -> None:
    text = schema_to_gbnf(SCHEMAS[name])
    assert engine.reads(text)
    grammar, rng = Grammar(text), random.Random(11)
    for budget in (0, 20, 100):
        assert engine.accepts(text, grammar.write(rng, budget))
    for wrong in ("", "nonsense", '{"name": 1}', "[1, 2, 3, 4, 5, 6, 7]", '{"a": 1, "zz": "'):
        assert engine.accepts(text, wrong) is grammar.accepts(wrong), wrong


@pytest.mark.parametrize("name", FAMILIES)
def test_llama_reads_the_families(name: str, engine: Engine) -> None:
    request = GenerateRequest("r", tools=TOOLS, tool_choice=ToolChoice("required"))
    constraint = constraint_for(request, template(name))
    assert constraint is not None
    grammar, rng = Grammar(constraint.grammar), random.Random(12)
    for budget in (0, 50, 200):
        assert engine.accepts(constraint.grammar, grammar.write(rng, budget))


@pytest.mark.parametrize("name", FAMILIES)
def test_llama_wakes_the_families(name: str, engine: Engine) -> None:
    constraint = constraint_for(GenerateRequest("r", tools=TOOLS), template(name))
    assert constraint is not None
    grammar, rng = Grammar(constraint.grammar), random.Random(13)
    before = "" if tool_format(template(name)).bare else "I look <now>.\n"
    for budget in (0, 50, 200):
        assert engine.wakes(constraint, before + grammar.write(rng, budget))


def test_llama_reads_the_numbers(engine: Engine) -> None:
    text = write({"root": integers(-120, 4000)})
    for number, expected in ((-121, False), (-120, True), (0, True), (3999, True), (4001, False)):
        assert engine.accepts(text, str(number)) is expected
    assert engine.reads(write({"root": "value", **BASE}))
