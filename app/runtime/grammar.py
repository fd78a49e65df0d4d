"""What an answer may look like, as a grammar llama.cpp enforces while sampling.

``constraint_for`` looks at the request's response format and tools; the schema work is in ``grammar_schema``, the
families' call notations in ``grammar_tools``.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from app.core.errors import BadConstraintError
from app.core.generate import GenerateRequest, ResponseFormat
from app.runtime.formats import has_reasoning, is_harmony, reasoning_tags, thinking_of, tool_format, tools_of
from app.runtime.grammar_schema import SchemaRules
from app.runtime.grammar_text import literal, until, used, write
from app.runtime.grammar_tools import CallRules, trigger_patterns

_MAX_TEXT = 1_000_000


class Constraint(Struct, frozen=True):
    """A grammar whose first rule is ``root``. A ``lazy`` one sleeps until one of ``trigger_words`` has been written
    (as one token), or one of ``trigger_patterns`` matches the text so far; the text from the match on is its beginning
    (``llama_sampler_init_grammar_lazy_patterns``)."""

    grammar: str
    lazy: bool = False
    trigger_words: tuple[str, ...] = ()
    trigger_patterns: tuple[str, ...] = ()


def schema_to_gbnf(schema: Mapping[str, Any]) -> str:
    """The grammar of the JSON documents that ``schema`` accepts. Raises BadConstraintError naming the keyword that
    can't be expressed."""
    rules = SchemaRules(schema)
    try:
        return rules.grammar(rules.visit(schema))
    except RecursionError as error:
        raise BadConstraintError(detail="the schema nests too deeply") from error


def constraint_for(
    request: GenerateRequest, template_source: str, prompt_tail: str = ""
) -> Constraint | None:
    """The constraint a request asks for, or None. ``prompt_tail`` is the end of the rendered prompt: a thought that is
    open there may end before the constrained part begins. Raises BadConstraintError."""
    tools = tools_of(request)
    mode, form = request.tool_choice.mode, request.response_format
    if not tools or (mode == "auto" and form.kind == "gbnf"):
        return _answer_constraint(form, request, template_source, prompt_tail)
    try:
        calls = CallRules(request, tools, tool_format(template_source))
        if mode == "auto" and form.kind == "text":
            return calls_constraint(calls)
        rules = calls.rules
        body = calls.root
        if mode == "auto":
            answer, more = _answer_rules(form)
            rules, body = {**rules, **more}, f"{body} | {_final(answer, template_source)}"
    except RecursionError as error:
        raise BadConstraintError(detail="a tool's schema nests too deeply") from error
    return _immediate(body, rules, request, template_source, prompt_tail)


def calls_constraint(calls: CallRules) -> Constraint:
    """Calls are free to come; once one has begun it must be right."""
    text = _checked(write({"root": calls.root, **calls.rules}))
    start = calls.form.start
    return Constraint(text, True, (start,) if start else (), trigger_patterns(calls.form))


def _answer_constraint(
    form: ResponseFormat, request: GenerateRequest, source: str, tail: str
) -> Constraint | None:
    if form.kind == "text":
        return None
    if form.kind == "gbnf":
        return Constraint(form.grammar)
    answer, rules = _answer_rules(form)
    return _immediate(_final(answer, source), rules, request, source, tail)


def _answer_rules(form: ResponseFormat) -> tuple[str, dict[str, str]]:
    if form.kind == "json_object":
        return "object", used(["object"])
    rules = SchemaRules(form.schema)
    try:
        return rules.visit(form.schema), rules.all_rules()
    except RecursionError as error:
        raise BadConstraintError(detail="the schema nests too deeply") from error


def _final(answer: str, source: str) -> str:
    """gpt-oss announces its answer."""
    if not is_harmony(source):
        return answer
    return f'"<|channel|>final" (" "? "<|constrain|>json")? "<|message|>" {answer}'


def _immediate(
    body: str, rules: dict[str, str], request: GenerateRequest, source: str, tail: str
) -> Constraint:
    before, more = _thought(request, source, tail)
    return Constraint(_checked(write({"root": f"{before} ({body})" if before else body, **rules, **more})))


def _thought(request: GenerateRequest, source: str, tail: str) -> tuple[str, dict[str, str]]:
    """What may come before the constrained part: (expression, its rules)."""
    if is_harmony(source):
        if "<|message|>" in tail[-40:]:
            return "", {}
        thought = '("<|channel|>analysis<|message|>" thought "<|start|>assistant")?'
        return thought, until("<|end|>", "thought")
    tags, end = reasoning_tags(source), tail.rstrip()
    if end.endswith(tags.open.strip()):
        return "thought gap", {**until(tags.close, "thought"), "gap": _GAP}
    if (
        not has_reasoning(source)
        or thinking_of(request) is False
        or end.endswith(tags.close)
        or request.continue_last
    ):
        return "", {}
    return f"({literal(tags.open)} thought gap)?", {**until(tags.close, "thought"), "gap": _GAP}


_GAP = "[ \\n]{0,4}"


def _checked(text: str) -> str:
    if len(text) > _MAX_TEXT:
        raise BadConstraintError(detail="the schema is too large")
    return text
