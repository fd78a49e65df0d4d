"""Each family's notation of tool calls as GBNF, with the arguments bound to the tool's schema."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from app.core.errors import BadConstraintError
from app.core.generate import GenerateRequest, ToolSpec
from app.runtime.formats import ToolFormat
from app.runtime.grammar_schema import Schema, SchemaRules
from app.runtime.grammar_text import either, json_literal, literal, until, used
from app.runtime.tool_reader import is_text

_MOST_CALLS = 16
_ID = "[a-zA-Z0-9]{9}"
_GEMMA_QUOTE = '<|"|>'


class CallRules:
    """The rules for calling ``tools`` in ``form``: ``root`` is the expression for all calls of one answer."""

    def __init__(self, request: GenerateRequest, tools: Sequence[ToolSpec], form: ToolFormat) -> None:
        self.form, self.rules = form, used(["ws"])
        choice = request.tool_choice
        if choice.mode == "named":
            tools = [tool for tool in tools if tool.name == choice.name]
        if not tools:
            raise BadConstraintError(detail=f"no tool is called {choice.name!r}")
        names = [self._tool(tool, number) for number, tool in enumerate(tools)]
        self.rules["call"] = " | ".join(names)
        self.root = self._section(request.parallel_tool_calls and form.parallel and choice.mode != "named")

    def _tool(self, tool: ToolSpec, number: int) -> str:
        schema = _parameters(tool)
        kind = {"tags": _TagRules, "gemma": _GemmaRules}.get(self.form.kind, SchemaRules)
        rules = kind(schema, f"t{number}-")
        try:
            call = self._call(tool.name, rules, schema)
        except BadConstraintError as error:
            raise BadConstraintError(detail=f"tool {tool.name}: {error.params['detail']}") from error
        self.rules.update(rules.all_rules())
        self.rules[f"call-{number}"] = call
        return f"call-{number}"

    def _call(self, name: str, rules: SchemaRules, schema: Schema) -> str:
        form = self.form
        if isinstance(rules, _TagRules):
            return rules.call(form, name, schema)
        arguments = rules.visit(schema)
        if form.kind == "json":
            return self._object(name, arguments)
        if form.kind == "gemma":
            return f"{literal(form.call_open + name)} {arguments} {literal(form.call_close)}"
        if form.kind == "harmony":
            return _harmony(name, arguments)
        return self._named(name, arguments)

    def _object(self, name: str, arguments: str) -> str:
        form = self.form
        members = [
            f'{json_literal(form.name_key)} ws ":" ws {json_literal(name)}',
            f'{json_literal(form.args_key)} ws ":" ws {arguments}',
        ]
        if form.id_key == "id":
            members.append(f'"\\"id\\"" ws ":" ws "\\"" {_ID} "\\""')
        elif form.id_key:
            members.insert(0, f'{json_literal(form.id_key)} ws ":" ws "\\"" [0-9]{{1,3}} "\\""')
        call = '"{" ws ' + ' ws "," ws '.join(members) + ' ws "}"'
        return (
            f"{literal(form.call_open)} ws {call} ws {literal(form.call_close)}" if form.call_open else call
        )

    def _named(self, name: str, arguments: str) -> str:
        form = self.form
        names = {
            "kimi": f"{literal(f'functions.{name}:')} [0-9]{{1,3}}",
            "mistral_v11": f'{literal(name)} ("[CALL_ID]" {_ID})?',
        }
        head = f"{literal(form.call_open)} {names.get(form.name, literal(name))} {literal(form.name_end)}"
        return f"{head} {arguments} {literal(form.call_close)}" if form.call_close else f"{head} {arguments}"

    def _section(self, several: bool) -> str:
        form = self.form
        if form.kind == "harmony" or form.bare:
            return "call"
        comma = ' ws "," ws ' if form.listed else " ws "
        calls = f"call ({comma.lstrip()}call){{0,{_MOST_CALLS - 1}}}" if several else "call"
        if form.listed:
            calls = f'"[" ws {calls} ws "]"'
        if form.open:
            calls = f"{literal(form.open)} ws {calls}"
        return f"{calls} ws {literal(form.end)}" if form.end else calls


def _parameters(tool: ToolSpec) -> dict[str, Any]:
    schema: dict[str, Any] = dict(tool.parameters)
    if not any(word in schema for word in ("$ref", "anyOf", "oneOf", "allOf")):
        schema["type"] = "object"
        if not schema.get("properties"):
            schema.setdefault("additionalProperties", False)
    return schema


def _harmony(name: str, arguments: str) -> str:
    kind = '(" "? "<|constrain|>json" | " json")? "<|message|>"'
    heads = (f"<|channel|>commentary to=functions.{name}", f" to=functions.{name}<|channel|>commentary")
    return f"({literal(heads[0])} | {literal(heads[1])}) {kind} {arguments}"


# ------------------------------------------------------------------------------------------------ a tag per argument
class _TagRules(SchemaRules):
    """Arguments in tags: texts stand as they are, everything else as JSON."""

    def call(self, form: ToolFormat, name: str, schema: Schema) -> str:
        """One call."""
        self.need("ws")
        properties = schema.get("properties") or {}
        required = set(schema.get("required") or ())
        if required - set(properties):
            raise BadConstraintError(detail="the schema keyword 'required' names what 'properties' lacks")
        self._form = form
        parts = []
        for key, value in properties.items():
            part = self.rule(self._argument(key, value), "argument")
            parts.append(part if key in required else f"{part}?")
        head = literal(form.call_open + name + form.name_end.removesuffix("\n"))
        return f"{head} ws {' '.join(parts)} {literal(form.call_close)}"

    def _argument(self, key: str, schema: object) -> str:
        form = self._form
        schema = self._resolve_text(schema)
        text = is_text(schema)
        close = form.key_close.replace("{string}", "true" if text else "false")
        opened = literal(f"{form.key_open}{key}{close}{form.pad}")
        closed = form.pad + form.value_close
        value = (
            self._raw(schema, closed)
            if text and isinstance(schema, Mapping)
            else f"{self.visit(schema)} {literal(closed)}"
        )
        return f"{opened} {value} ws"

    def _resolve_text(self, schema: object) -> object:
        """A reference to a text is a text."""
        return (
            self._final(schema["$ref"]) if isinstance(schema, Mapping) and set(schema) == {"$ref"} else schema
        )

    def _raw(self, schema: Schema, closed: str) -> str:
        if "enum" in schema or "const" in schema:
            values = schema.get("enum", [schema.get("const")])
            return f"{either([literal(str(value)) for value in values])} {literal(closed)}"
        low, high = schema.get("minLength", 0), schema.get("maxLength")
        if "pattern" in schema or "format" in schema:
            body = self._string(schema)
            if body != "string":
                inside = self.rules.get(body, body).removeprefix('"\\"" ').removesuffix(' "\\""')
                return f"{inside} {literal(closed)}"
        if low or high is not None:
            return f"{self.characters(low, high, '[^<]')} {literal(closed)}"
        name = f"text-{len(closed)}"
        self.rules.update(until(closed, name))
        return name


# ------------------------------------------------------------------------------------------------ Gemma's notation
class _GemmaRules(SchemaRules):
    """Bare names, texts between ``<|"|>``, no white space."""

    def __init__(self, schema: Schema, prefix: str = "") -> None:
        super().__init__(schema, prefix)
        self.rules |= {
            "ws": '""',
            "char": "[^<]",
            "string": f"{literal(_GEMMA_QUOTE)} text",
            "name": "[a-zA-Z_] [a-zA-Z0-9_-]{0,60}",
            "object": '"{" (name ":" value ("," name ":" value)*)? "}"',
            **until(_GEMMA_QUOTE, "text"),
        }
        self.need("value")

    def key(self, name: str) -> str:
        """A member's bare name and the colon."""
        return literal(f"{name}:")

    def literal(self, value: object) -> str:
        """One constant."""
        if isinstance(value, str):
            return literal(f"{_GEMMA_QUOTE}{value}{_GEMMA_QUOTE}")
        if isinstance(value, (list, Mapping)):
            raise BadConstraintError(detail="the schema keyword 'enum' holds lists or objects")
        return literal(json.dumps(value))

    def quoted(self, body: str) -> str:
        """A string whose inside is ``body``."""
        return f"{literal(_GEMMA_QUOTE)} {body} {literal(_GEMMA_QUOTE)}"

    def any_key(self) -> str:
        """A name nobody declared."""
        return "name"

    def other_key(self, taken: Sequence[str]) -> str:
        """Declared names can't be told from others here."""
        raise BadConstraintError(
            detail="the schema keyword 'additionalProperties' can't be put into this model's notation"
        )


# ------------------------------------------------------------------------------------------------ triggers
_WS = r"(?: |\n[ \t]{0,20})?"


def trigger_patterns(form: ToolFormat) -> tuple[str, ...]:
    """Regular expressions (ECMAScript) that match the text so far exactly when a call has begun. They end at the
    text's end, and only with what the grammar takes: llama.cpp aborts on a beginning that does not fit."""
    if form.bare:
        member = _partly('"' + form.name_key + '"')
        return (rf"^\s*(\{{{_WS}{member})$",)
    if form.kind == "harmony":
        start = _escaped("<|channel|>commentary to=")
        return (
            f"({start}{_partly('functions.')})$",
            rf"(?:^|<\|start\|>assistant)( to={_partly('functions.')})$",
        )
    if form.kind == "json":
        listed = rf"\[?{_WS}" if form.listed else ""
        return (rf'({_escaped(form.start)}{_WS}{listed}(?:\{{{_WS}"?)?)$',)
    if form.open:
        return (f"({_escaped(form.start)}{_WS}{_partly(form.call_open)})$",)
    return (f"({_escaped(form.start)})$",)


def _escaped(text: str) -> str:
    return re.sub(r"([\\^$.|?*+()\[\]{}])", r"\\\1", text)


def _partly(text: str) -> str:
    """Any beginning of ``text``, also none."""
    found = ""
    for character in reversed(text):
        found = f"(?:{_escaped(character)}{found})?"
    return found
