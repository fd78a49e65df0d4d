"""A Jinja environment for templates nobody has read: they come inside model files from strangers.

Three walls. Attributes: only the ones listed here exist, so Python's objects are out of reach. Work: every loop step,
call, filter and growing value is charged against a budget, and at least once per 64 KiB of charges the clock is read.
Size: each operation that can grow its result (``*``, ``+``, ``~``, ``**``, ``join``, ``replace``, paddings, formats)
is measured before it runs, so no single step is long. The tree is rewritten before Jinja compiles it; nothing
is evaluated at compile time. It works on any thread: no signals, no tracing.

The dialect is the one of Hugging Face transformers (``utils/chat_template_utils.py``): trim_blocks, lstrip_blocks,
loop controls, ``tojson`` without escapes, ``raise_exception``, ``strftime_now``, ``{% generation %}``.
"""

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import wraps
from typing import Any

from jinja2 import nodes, pass_context
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.ext import Extension
from jinja2.filters import FILTERS
from jinja2.parser import Parser
from jinja2.runtime import Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

from app.runtime.template_guard import SCALARS, STEP, ExhaustedError, Guard, Steps

_MAX_BITS = 4096
_MAX_TREE = 12_000
_MAX_NUMBER = 100_000


class _Rewrite(NodeTransformer):
    """Routes what Jinja would compile to bare Python (loops, ``~``, comparisons, slices, literals) through filters."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        self.generic_visit(node)
        node.iter = _filtered(node.iter, "_steps")
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        parts = [self.visit(part) for part in node.nodes]
        return _filtered(nodes.Tuple(parts, "load", lineno=node.lineno), "_concat")

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        self.generic_visit(node)
        if len(node.ops) > 1 or not (_plain(node.expr) or _plain(node.ops[0].expr)):
            node.expr = _filtered(node.expr, "_light")
            for operand in node.ops:
                operand.expr = _filtered(operand.expr, "_light")
        elif node.ops[0].op in {"in", "notin"} and not _plain(node.ops[0].expr):
            node.ops[0].expr = _filtered(node.ops[0].expr, "_scan")
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        self.generic_visit(node)
        return _filtered(node, "_made") if isinstance(node.arg, nodes.Slice) else node

    def visit_List(self, node: nodes.List) -> nodes.Node:
        self.generic_visit(node)
        return node if _plain(node) else _filtered(node, "_made")

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:
        self.generic_visit(node)
        return node if node.ctx != "load" else _filtered(node, "_made")

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:
        self.generic_visit(node)
        for pair in node.items:
            pair.key = pair.key if _plain(pair.key) else _filtered(pair.key, "_light")
        return _filtered(node, "_made")


def _filtered(node: Any, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _plain(node: nodes.Expr) -> bool:
    """A constant scalar, or a short list of them, can't make a comparison expensive."""
    if isinstance(node, (nodes.List, nodes.Tuple)):
        return len(node.items) <= 16 and all(isinstance(item, nodes.Const) for item in node.items)
    return isinstance(node, nodes.Const)


class GenerationTag(Extension):
    """``{% generation %}`` marks the assistant's tokens for training: here its body is simply shown."""

    tags = {"generation"}  # noqa: RUF012 - Jinja's own interface

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Jinja's hook: returns the body."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class SandboxedTemplates(ImmutableSandboxedEnvironment):
    """The environment of one template; set ``guard`` before each rendering."""

    intercepted_binops = frozenset(["+", "-", "*", "/", "//", "%", "**"])

    def __init__(self) -> None:
        extensions = ["jinja2.ext.loopcontrols", GenerationTag]
        super().__init__(trim_blocks=True, lstrip_blocks=True, optimized=False, extensions=extensions)
        self.guard = Guard(0, 0, 0.0)
        self.finalize = _finalize
        self.concat = self._concat  # type: ignore[method-assign]
        self.filters = _filters()
        self.tests.update({name: _weighing(self.tests[name]) for name in _COMPARING})
        for name in ("lipsum", "cycler", "joiner"):
            del self.globals[name]
        self.globals.update(raise_exception=_raise_exception, strftime_now=_strftime_now)

    def _generate(self, source: nodes.Template, *args: Any, **kwargs: Any) -> str:
        for forbidden in source.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)):
            raise SecurityError(f"{type(forbidden).__name__.lower()} is not possible here")
        if sum(1 for _ in source.find_all(nodes.Node)) > _MAX_TREE:
            raise SecurityError("it is larger than any real template")
        guarded = _Rewrite().visit(source)
        guarded.set_environment(self)
        return super()._generate(guarded, *args, **kwargs)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Only what ``_ATTRIBUTES`` lists (and a namespace's own names) may be reached."""
        if isinstance(obj, Namespace):
            return not attr.startswith("_")
        return any(isinstance(obj, kind) and attr in names for kind, names in _ATTRIBUTES)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Jinja's hook for ``str.format``: widths and nested fields are refused."""
        wrapped = super().wrap_str_format(value)
        if wrapped is not None and re.search(r"\d{4}|\{[^{}]*\{", value.__self__):
            raise SecurityError("this format is not allowed")
        return wrapped

    def getitem(self, obj: Any, argument: Any) -> Any:
        """``obj[argument]``; a nested tuple would be hashed blindly."""
        if isinstance(argument, tuple):
            self.guard.weigh(argument)
        return super().getitem(obj, argument)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """An operator, measured first."""
        _measure(self.guard, operator, left, right)
        result = super().call_binop(context, operator, left, right)
        self.guard.made(result)
        return result

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805, PYI063
        """A call, measured first and charged after."""
        guard = __self.guard
        owner = getattr(__obj, "__self__", None)
        guard.charge(STEP * (1 + len(args)))
        if isinstance(owner, str):
            guard.charge(len(owner) >> 2)
            args = _measure_method(guard, owner, __obj.__name__, args)
        if isinstance(__obj, LoopContext):
            args = (Steps(guard, args[0]), *args[1:])
        elif not isinstance(__obj, Macro):
            for value in (*args, *kwargs.values()):
                guard.weigh(value)
        result = super().call(__context, __obj, *args, **kwargs)
        guard.made(result)
        return result

    def _concat(self, parts: Iterable[str]) -> str:
        kept = list(parts)
        self.guard.fits(sum(map(len, kept)))
        text = "".join(kept)
        self.guard.charge(sys.getsizeof(text))
        return text


_ATTRIBUTES: tuple[tuple[type, frozenset[str]], ...] = (
    (
        str,
        frozenset(
            "capitalize casefold center count endswith find format index isalnum isalpha isascii isdecimal isdigit "
            "islower isnumeric isspace istitle isupper join ljust lower lstrip partition removeprefix removesuffix "
            "replace rfind rindex rjust rpartition rsplit rstrip split splitlines startswith strip swapcase title "
            "upper zfill".split()
        ),
    ),
    (Mapping, frozenset({"get", "items", "keys", "values", "copy"})),
    (list, frozenset({"index", "count", "copy", "append", "pop"})),  # Kimi's template keeps a queue
    (tuple, frozenset({"index", "count"})),
    (
        LoopContext,
        frozenset(
            "index index0 revindex revindex0 first last length previtem nextitem changed cycle depth depth0".split()
        ),
    ),
    (Macro, frozenset({"name"})),
)


def _measure(guard: Guard, operator: str, left: Any, right: Any) -> None:
    if operator == "+" and _sized(left) and _sized(right):
        guard.fits(len(left) + len(right))
    elif operator == "*" and (_sized(left) or _sized(right)):
        text, times = (left, right) if _sized(left) else (right, left)
        guard.fits(len(text) * times if isinstance(times, int) else 0)
    elif operator == "%" and isinstance(left, str):
        _measure_percent(guard, left, right)
    elif operator in {"*", "**"} and isinstance(left, int) and isinstance(right, int):
        bits = (
            left.bit_length() * max(right, 1) if operator == "**" else left.bit_length() + right.bit_length()
        )
        if bits > _MAX_BITS:
            raise ExhaustedError("it makes a number that is too large")


def _sized(value: object) -> bool:
    return isinstance(value, (str, list, tuple))


def _measure_percent(guard: Guard, text: str, value: Any) -> None:
    if re.search(r"\d{4}|\*", text):
        raise SecurityError("this format is not allowed")
    guard.weigh(value)
    pieces = value if isinstance(value, tuple) else (value,)
    guard.fits(len(text) + text.count("%") * max((len(p) for p in pieces if isinstance(p, str)), default=0))


def _measure_method(guard: Guard, text: str, name: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
    if name == "join" and args:
        parts = list(Steps(guard, args[0]))
        guard.fits(sum(len(part) + len(text) for part in parts if isinstance(part, str)))
        return (parts, *args[1:])
    if name == "replace" and len(args) > 1:
        _measure_replace(guard, text, *args[:2])
    if name in {"center", "ljust", "rjust", "zfill"} and args and isinstance(args[0], int):
        guard.fits(args[0])
    return args


def _measure_replace(guard: Guard, text: str, old: Any, new: Any) -> None:
    if isinstance(old, str) and isinstance(new, str):
        guard.fits(len(text) + text.count(old) * max(len(new) - len(old), 0))


@pass_context
def _finalize(context: Context, value: Any) -> Any:
    guard: Guard = context.environment.guard  # type: ignore[attr-defined]
    if isinstance(value, str):
        guard.charge(len(value) + 8)
    else:
        guard.weigh(value)
    return value


def _raise_exception(message: object) -> None:
    raise TemplateError(str(message))


def _strftime_now(form: str) -> str:
    if len(form) > 200 or re.search(r"\d{3}", form):
        raise SecurityError("this date format is not allowed")
    return datetime.now().astimezone().strftime(form)


# ------------------------------------------------------------------------------------------------ filters
def _weighing(test: Any) -> Callable[..., Any]:
    """A test over two values, both weighed first."""

    @pass_context
    @wraps(test)
    def weighed(context: Context, *values: Any) -> Any:
        guard: Guard = context.environment.guard  # type: ignore[attr-defined]
        guard.charge(STEP)
        for value in values:
            guard.weigh(value)
        return test(*values)

    return weighed


def _guarded(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    """A filter with its value and arguments measured first and its result charged."""
    passes = getattr(original, "jinja_pass_arg", None)

    @pass_context
    def run(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        guard: Guard = context.environment.guard  # type: ignore[attr-defined]
        guard.charge(STEP + (len(value) >> 2 if hasattr(value, "__len__") else 0))
        for argument in (*args, *kwargs.values()):
            _check_argument(guard, name, argument)
        value = _prepare(guard, name, value, args)
        # Jinja's own filters want the context, its evaluation part, or the environment first.
        first = {"context": context, "eval_context": context.eval_ctx, "environment": context.environment}
        lead = (first[passes.name],) if passes is not None else ()
        result = original(*lead, value, *args, **kwargs)
        guard.made(result)
        return result

    return run


def _check_argument(guard: Guard, name: str, argument: Any) -> None:
    if isinstance(argument, int):
        if abs(argument) > (64 if name in {"round", "tojson", "indent"} else _MAX_NUMBER):
            raise ExhaustedError(f"{name} is asked for too much")
    elif isinstance(argument, str):
        if len(argument) > 1000 and name not in {"replace", "default", "d", "format", "join"}:
            raise ExhaustedError(f"{name} is asked for too much")
    else:
        guard.weigh(argument)


def _prepare(guard: Guard, name: str, value: Any, args: tuple[Any, ...]) -> Any:
    if name in _GROWING and not isinstance(value, str) and hasattr(value, "__iter__"):
        value = value if isinstance(value, (list, tuple, Mapping)) else list(Steps(guard, value))
        guard.weigh(value)
    if name == "join":
        separator = len(args[0]) if args and isinstance(args[0], str) else 0
        guard.fits(separator * len(value) if hasattr(value, "__len__") else 0)
    elif name == "replace" and len(args) > 1:
        _measure_replace(guard, str(value), *args[:2])
    elif name == "indent" and isinstance(value, str):
        width = args[0] if args else 4
        guard.fits(len(value) + value.count("\n") * (len(width) if isinstance(width, str) else 64))
    elif name == "format" and isinstance(value, str):
        _measure_percent(guard, value, args)
    return value


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: Any = None,
    separators: Any = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


@pass_context
def _steps(context: Context, value: Any) -> Steps:
    return Steps(context.environment.guard, value)  # type: ignore[attr-defined]


@pass_context
def _join_parts(context: Context, parts: tuple[Any, ...]) -> str:
    guard: Guard = context.environment.guard  # type: ignore[attr-defined]
    for part in parts:
        guard.weigh(part)
    return context.environment.concat([str(part) for part in parts])


@pass_context
def _light(context: Context, value: Any) -> Any:
    if not isinstance(value, SCALARS):
        context.environment.guard.weigh(value)  # type: ignore[attr-defined]
    return value


@pass_context
def _scan(context: Context, value: Any) -> Any:
    if isinstance(value, (str, list, tuple)):
        context.environment.guard.charge(len(value) >> 2)  # type: ignore[attr-defined]
    return value


@pass_context
def _made(context: Context, value: Any) -> Any:
    context.environment.guard.made(value)  # type: ignore[attr-defined]
    return value


_COMPARING = "== eq equalto != ne > gt greaterthan >= ge < lt lessthan <= le in".split()
_GROWING = frozenset(
    "join list sort dictsort unique groupby min max string tojson format safe escape e".split()
)
_ALLOWED = (
    "abs attr batch capitalize center count d default dictsort e escape first float format groupby indent int items "
    "join last length list lower map max min reject rejectattr replace reverse round safe select selectattr slice "
    "sort string title trim truncate unique upper wordcount"
).split()


def _filters() -> dict[str, Callable[..., Any]]:
    own: dict[str, Callable[..., Any]] = {name: _guarded(name, FILTERS[name]) for name in _ALLOWED}
    own["tojson"] = _guarded("tojson", _tojson)
    own.update(_steps=_steps, _concat=_join_parts, _light=_light, _scan=_scan, _made=_made)
    return own
