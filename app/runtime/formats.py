"""How the families of models mark their thinking and their tool calls, read from the chat template's own words.

Sources: the templates themselves (copies in ``tests/runtime/fixtures/templates``), each maker's model card, and the
transcripts llama.cpp, vLLM and SGLang test their parsers with. A model whose template knows no tools is told about
them in Hermes' words (``template_messages.TOOLS_PROMPT``) and answers in HERMES.
"""

import re
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from app.core.generate import GenerateRequest, ToolSpec


class ReasoningTags(Struct, frozen=True):
    """What stands around the thinking at the beginning of an answer."""

    open: str
    close: str


class ToolFormat(Struct, frozen=True, kw_only=True):
    """Where a call's name and arguments stand. A section is ``open``, calls, ``end``; a call is ``call_open``, name,
    ``name_end``, arguments, ``call_close``.

    kind ``json``: the call is one object with ``name_key`` and ``args_key`` (in a list when ``listed``); ``named``: the
    name is bare and the arguments are a JSON object; ``tags``: every argument has its own tags; ``gemma``: Gemma 4's
    own notation; ``harmony``: gpt-oss's channels.
    """

    name: str
    kind: Literal["json", "named", "tags", "gemma", "harmony"]
    open: str = ""
    call_open: str = ""
    name_end: str = ""
    call_close: str = ""
    end: str = ""
    listed: bool = False
    bare: bool = False
    """The call is the whole answer and nothing announces it."""
    parallel: bool = True
    name_key: str = "name"
    args_key: str = "arguments"
    id_key: str = ""
    key_open: str = ""
    key_close: str = ""
    value_close: str = ""
    pad: str = ""
    """White space that the model is used to write inside the marks."""

    @property
    def start(self) -> str:
        """What announces the first call."""
        return self.open or self.call_open


HERMES = ToolFormat(name="hermes", kind="json", call_open="<tool_call>", call_close="</tool_call>", pad="\n")
QWEN_XML = ToolFormat(
    name="qwen_xml",
    kind="tags",
    open="<tool_call>",
    call_open="<function=",
    name_end=">",
    key_open="<parameter=",
    key_close=">",
    value_close="</parameter>",
    call_close="</function>",
    end="</tool_call>",
    pad="\n",
)
GLM = ToolFormat(
    name="glm",
    kind="tags",
    call_open="<tool_call>",
    name_end="\n",
    key_open="<arg_key>",
    key_close="</arg_key>\n<arg_value>",
    value_close="</arg_value>",
    call_close="</tool_call>",
)
MINIMAX = ToolFormat(
    name="minimax",
    kind="tags",
    open="<minimax:tool_call>",
    call_open='<invoke name="',
    name_end='">',
    key_open='<parameter name="',
    key_close='">',
    value_close="</parameter>",
    call_close="</invoke>",
    end="</minimax:tool_call>",
)
DEEPSEEK_DSML = ToolFormat(
    name="deepseek_dsml",
    kind="tags",
    open="<｜DSML｜function_calls>",
    call_open='<｜DSML｜invoke name="',
    name_end='">',
    key_open='<｜DSML｜parameter name="',
    key_close='" string="{string}">',
    value_close="</｜DSML｜parameter>",
    call_close="</｜DSML｜invoke>",
    end="</｜DSML｜function_calls>",
)
DEEPSEEK = ToolFormat(
    name="deepseek",
    kind="named",
    open="<｜tool▁calls▁begin｜>",
    call_open="<｜tool▁call▁begin｜>",
    name_end="<｜tool▁sep｜>",
    call_close="<｜tool▁call▁end｜>",
    end="<｜tool▁calls▁end｜>",
)
DEEPSEEK_R1 = ToolFormat(
    name="deepseek_r1",
    kind="named",
    open="<｜tool▁calls▁begin｜>",
    call_open="<｜tool▁call▁begin｜>function<｜tool▁sep｜>",
    name_end="\n```json\n",
    call_close="\n```<｜tool▁call▁end｜>",
    end="<｜tool▁calls▁end｜>",
)
KIMI = ToolFormat(
    name="kimi",
    kind="named",
    open="<|tool_calls_section_begin|>",
    call_open="<|tool_call_begin|>",
    name_end="<|tool_call_argument_begin|>",
    call_close="<|tool_call_end|>",
    end="<|tool_calls_section_end|>",
)
LLAMA3 = ToolFormat(name="llama3", kind="json", bare=True, parallel=False, args_key="parameters")
MISTRAL = ToolFormat(name="mistral", kind="json", open="[TOOL_CALLS]", listed=True, id_key="id")
MISTRAL_V11 = ToolFormat(name="mistral_v11", kind="named", call_open="[TOOL_CALLS]", name_end="[ARGS]")
PHI4 = ToolFormat(name="phi4", kind="json", open="<|tool_call|>", listed=True, end="<|/tool_call|>")
GRANITE = ToolFormat(name="granite", kind="json", open="<|tool_call|>", listed=True)
NEMOTRON = ToolFormat(name="nemotron", kind="json", open="<TOOLCALL>", listed=True, end="</TOOLCALL>")
COMMAND_R = ToolFormat(
    name="command_r",
    kind="json",
    open="<|START_ACTION|>",
    end="<|END_ACTION|>",
    listed=True,
    name_key="tool_name",
    args_key="parameters",
    id_key="tool_call_id",
)
SEED = ToolFormat(
    name="seed",
    kind="tags",
    open="<seed:tool_call>",
    call_open="<function=",
    name_end=">",
    key_open="<parameter=",
    key_close=">",
    value_close="</parameter>",
    call_close="</function>",
    end="</seed:tool_call>",
    pad="\n",
)
FUNCTIONARY = ToolFormat(
    name="functionary", kind="named", call_open="<function=", name_end=">", call_close="</function>"
)
GEMMA = ToolFormat(
    name="gemma", kind="gemma", call_open="<|tool_call>call:", name_end="{", call_close="<tool_call|>"
)
GPT_OSS = ToolFormat(name="gpt_oss", kind="harmony", call_open="<|channel|>commentary to=functions.")

_CLUES: tuple[tuple[tuple[str, ...], ToolFormat], ...] = (
    (("<|channel|>", "<|message|>", "functions."), GPT_OSS),
    (("<|tool_call>call:",), GEMMA),
    (("<seed:tool_call>",), SEED),
    (("<tool_call>", "<arg_key>"), GLM),
    (("<tool_call>", "<function="), QWEN_XML),
    (("<minimax:tool_call>", "<invoke name="), MINIMAX),
    (("DSML", "function_calls"), DEEPSEEK_DSML),
    (("<｜tool▁calls▁begin｜>", "function<｜tool▁sep｜>"), DEEPSEEK_R1),
    (("<｜tool▁calls▁begin｜>", "['type'] + '<｜tool▁sep｜>'"), DEEPSEEK_R1),
    (("<｜tool▁calls▁begin｜>",), DEEPSEEK),
    (("<|tool_calls_section_begin|>",), KIMI),
    (("[TOOL_CALLS]", "[ARGS]"), MISTRAL_V11),
    (("[TOOL_CALLS]",), MISTRAL),
    (("<TOOLCALL>",), NEMOTRON),
    (("<|START_ACTION|>",), COMMAND_R),
    (("<tool_call>",), HERMES),
    (("<|tool_call|>",), GRANITE),
    (("<function=", "</function>"), FUNCTIONARY),
    (("<|start_header_id|>", '"parameters": '), LLAMA3),
)

_UNREADABLE = ("]<]minimax[>[",)
"""Notations that would be taken for another: their models are told to use ours."""

_TAGS = (
    ReasoningTags("<|channel>thought\n", "<channel|>"),
    ReasoningTags("[THINK]", "[/THINK]"),
    ReasoningTags("<seed:think>", "</seed:think>"),
    ReasoningTags("<mm:think>", "</mm:think>"),
    ReasoningTags("<|START_THINKING|>", "<|END_THINKING|>"),
    ReasoningTags("<|inner_prefix|>", "<|inner_suffix|>"),
    ReasoningTags("<|begin_of_thought|>", "<|end_of_thought|>"),
    ReasoningTags("<think>", "</think>"),
    ReasoningTags("<thinking>", "</thinking>"),
)
_SWITCHES = ("enable_thinking", "thinking")
THINK = ReasoningTags("<think>", "</think>")


def own_format(source: str) -> ToolFormat | None:
    """The format of a template that shows the tools it is given; None for all others."""
    if "message['tools']" in source and "<|tool|>" in source:
        return PHI4
    if not re.search(r"\b(tools|xml_tools|functions)\b", " ".join(_code(source))):
        return None
    if any(word in source for word in _UNREADABLE):
        return None
    return next((found for clues, found in _CLUES if all(clue in source for clue in clues)), None)


def _code(source: str) -> Iterator[str]:
    """The parts of a template that are code, without the texts in them."""
    for part in re.findall(r"\{[{%](.*?)[%}]\}", source, re.DOTALL):
        yield re.sub(r"'[^']*'|\"[^\"]*\"", "''", part)


def tool_format(source: str) -> ToolFormat:
    """The format a model with this template is to answer in."""
    return own_format(source) or HERMES


def has_reasoning(source: str) -> bool:
    """The template speaks of thinking."""
    return is_harmony(source) or any(tags.close in source for tags in _TAGS)


def reasoning_tags(source: str) -> ReasoningTags:
    """The model's marks around its thinking; ``<think>`` when the template names none."""
    return next((tags for tags in _TAGS if tags.close in source), THINK)


def is_harmony(source: str) -> bool:
    """OpenAI's harmony format (gpt-oss): channels instead of tags."""
    return "<|channel|>" in source and "<|message|>" in source and "<|start|>" in source


def tools_of(request: GenerateRequest) -> tuple[ToolSpec, ...]:
    """The tools this request may call: none when ``tool_choice`` says so."""
    return () if request.tool_choice.mode == "none" else request.tools


# ------------------------------------------------------------------------------------------------ reasoning options
def thinking_of(request: GenerateRequest) -> bool | None:
    """Whether thinking is asked for; None leaves it to the model."""
    options = request.reasoning
    if options.enabled is not None:
        return options.enabled
    if options.effort:
        return options.effort != "none"
    return False if options.budget == 0 else None


def budget_of(request: GenerateRequest) -> int | None:
    """Tokens of thinking after which the engine writes the closing mark itself; 0 when thinking is off."""
    return 0 if thinking_of(request) is False else request.reasoning.budget


def template_kwargs_for(request: GenerateRequest, source: str) -> dict[str, object]:
    """The variables that tell the template how much to think, where it has such a switch; the request's own
    ``template_kwargs`` win."""
    found: dict[str, object] = {}
    thinking, effort = thinking_of(request), request.reasoning.effort
    if thinking is not None:
        code = " ".join(_code(source))
        found.update({name: thinking for name in _SWITCHES if re.search(rf"(?<![.\w]){name}\b", code)})
    if "reasoning_effort" in source and (effort or thinking is False):
        found["reasoning_effort"] = effort if effort in {"low", "medium", "high"} else "low"
    if "thinking_budget" in source and budget_of(request) is not None:
        found["thinking_budget"] = budget_of(request)
    return {**found, **request.template_kwargs}
