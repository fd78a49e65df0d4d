"""Families of models: what their transcripts mean, however they are cut."""

import itertools
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.generate import (
    Delta,
    GenerateRequest,
    Message,
    ReasoningOptions,
    ToolChoice,
    ToolSpec,
)
from app.runtime.formats import (
    budget_of,
    own_format,
    reasoning_tags,
    template_kwargs_for,
    tool_format,
    tools_of,
)
from app.runtime.json_span import JsonSpan
from app.runtime.parsing import parser_for
from app.runtime.template import CHATML, ChatTemplate

FIXTURES = Path(__file__).parent / "fixtures"
TRANSCRIPTS = json.loads((FIXTURES / "transcripts.json").read_text("utf-8"))["transcripts"]
TOOLS = (
    ToolSpec(
        "get_weather",
        "Weather",
        {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer"},
                "more": {"type": "object"},
            },
            "required": ["city"],
        },
    ),
    ToolSpec("now", "Time", {"type": "object", "properties": {}}),
)


def source(name: str) -> str:
    return (FIXTURES / "templates" / f"{name}.jinja").read_text("utf-8") if name else CHATML


def cut(text: str, cuts: list[int]) -> list[str]:
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    return [text[a:b] for a, b in itertools.pairwise(edges)]


def read(item: dict[str, Any], pieces: list[str], *, is_cut: bool = False) -> dict[str, Any]:
    request = GenerateRequest(
        "r", tools=TOOLS if item["tools"] else (), continue_last="continued" in item["name"]
    )
    parser = parser_for(source(item["template"]), request, item["prompt_tail"])
    deltas = [delta for piece in pieces for delta in parser.feed(piece)]
    deltas += parser.finish(cut=is_cut)
    return merged(deltas)


def merged(deltas: list[Delta]) -> dict[str, Any]:
    calls: list[list[str]] = []
    for piece in (piece for delta in deltas for piece in delta.tool_calls):
        if piece.name:
            assert piece.index == len(calls)
            assert piece.id
            calls.append([piece.name, ""])
        calls[piece.index][1] += piece.arguments
    text = "".join(delta.text for delta in deltas)
    return {"content": text, "reasoning": "".join(delta.reasoning for delta in deltas), "calls": calls}


@pytest.mark.parametrize("item", TRANSCRIPTS, ids=lambda item: item["name"])
class TestTranscripts:
    def test_one_character_at_a_time(self, item: dict[str, Any]) -> None:
        found = read(item, list(item["text"]))
        assert found == {key: item[key] for key in ("content", "reasoning", "calls")}
        for _, arguments in found["calls"]:
            assert isinstance(json.loads(arguments), dict)

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(cuts=st.lists(st.integers(0, 300), max_size=30))
    def test_any_cut(self, item: dict[str, Any], cuts: list[int]) -> None:
        found = read(item, cut(item["text"], cuts))
        assert found == {key: item[key] for key in ("content", "reasoning", "calls")}

    def test_cut_off_anywhere(self, item: dict[str, Any]) -> None:
        for end in range(len(item["text"])):
            found = read(item, list(item["text"][:end]))
            assert item["reasoning"].startswith(found["reasoning"]) or found["reasoning"].startswith(
                item["reasoning"]
            )
            assert len(found["calls"]) <= len(item["calls"])

    def test_no_half_call_looks_whole(self, item: dict[str, Any]) -> None:
        for end in range(len(item["text"])):
            found = read(item, [item["text"][:end]], is_cut=True)
            for mark in ("<tool_call>", "[TOOL_CALLS]", "<function="):
                assert found["content"].count(mark) <= item["content"].count(mark)
            for call, whole in zip(found["calls"], item["calls"], strict=False):
                assert call[0] == whole[0]
                try:
                    arguments = json.loads(call[1] or "{}")  # as clients are told it
                except ValueError:
                    continue
                assert arguments == json.loads(whole[1])


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.text('ab"\\{}[]é\n', max_size=5) | st.integers(), lambda x: st.dictionaries(st.text(), x)
    ),
    st.text(),
)
def test_json_span(value: Any, after: str) -> None:
    text = json.dumps({"a": value}, ensure_ascii=False)
    span, seen = JsonSpan(), 0
    for character in text + after:
        end = span.feed(character)
        seen += end if end >= 0 else 1
        if end >= 0:
            break
    assert seen == len(text)
    assert JsonSpan().feed(text + after) == len(text)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Qwen-Qwen2.5-7B-Instruct", "hermes"),
        ("Qwen-Qwen3-0.6B", "hermes"),
        ("Qwen3-Coder", "qwen_xml"),
        ("NousResearch-Hermes-3-Llama-3.1-8B-tool_use", "hermes"),
        ("meta-llama-Llama-3.1-8B-Instruct", "llama3"),
        ("meta-llama-Llama-3.2-3B-Instruct", "llama3"),
        ("mistralai-Mistral-Nemo-Instruct-2407", "mistral"),
        ("Mistral-Small-3.2-24B-Instruct-2506", "mistral_v11"),
        ("mistralai-Ministral-3-14B-Reasoning-2512", "mistral_v11"),
        ("llama-cpp-deepseek-r1", "deepseek_r1"),
        ("google-gemma-4-31B-it", "gemma"),
        ("openai-gpt-oss-120b", "gpt_oss"),
        ("GLM-4.6", "glm"),
        ("Phi-4-mini-instruct", "phi4"),
        ("microsoft-Phi-3.5-mini-instruct", None),
        ("google-gemma-2-2b-it", None),
        ("deepseek-ai-DeepSeek-V3.1", None),
        ("deepseek-ai-DeepSeek-R1-Distill-Qwen-32B", None),
        ("", None),
    ],
)
def test_formats_are_told_apart(name: str, expected: str | None) -> None:
    text = source(name)
    own = own_format(text)
    assert (own.name if own else None) == expected
    assert tool_format(text).name == (expected or "hermes")
    assert ChatTemplate(text, "", "").knows_tools == (expected is not None)


class TestReasoning:
    def test_tags(self) -> None:
        assert reasoning_tags(source("mistralai-Ministral-3-14B-Reasoning-2512")).open == "[THINK]"
        assert reasoning_tags(source("google-gemma-4-31B-it")).close == "<channel|>"
        assert reasoning_tags(CHATML).open == "<think>"

    def test_open_flag_counts_thoughts(self) -> None:
        parser = parser_for(source("Qwen-Qwen3-0.6B"), GenerateRequest("r"), "<|im_start|>assistant\n")
        assert not parser.reasoning_open
        parser.feed("<think>")
        assert parser.reasoning_open
        parser.feed("a")
        assert merged(parser.feed(parser.close_text + "b"))["content"] == "b"
        assert not parser.reasoning_open

    def test_open_from_the_prompt(self) -> None:
        parser = parser_for(source("llama-cpp-deepseek-r1"), GenerateRequest("r"), "<｜Assistant｜><think>\n")
        assert parser.reasoning_open

    def test_harmony(self) -> None:
        parser = parser_for(source("openai-gpt-oss-120b"), GenerateRequest("r"), "<|start|>assistant")
        parser.feed("<|channel|>analysis<|message|>hm")
        assert parser.reasoning_open
        assert merged(parser.feed(parser.close_text + "b"))["content"] == "b"
        assert "<|message|>" in parser.markers

    def test_continued(self) -> None:
        request = GenerateRequest("r", continue_last=True)
        parser = parser_for(source("Qwen-Qwen3-0.6B"), request, "assistant\n<think>\nso far</think>\n\nIt is")
        assert merged(parser.feed(" four"))["content"] == " four"
        parser = parser_for(source("Qwen-Qwen3-0.6B"), request, "assistant\n<think>\nso far")
        assert merged(parser.feed(" so"))["reasoning"] == " so"

    def test_markers(self) -> None:
        parser = parser_for(source("Qwen-Qwen3-0.6B"), GenerateRequest("r", tools=TOOLS), "")
        assert {"<think>", "</think>", "<tool_call>", "</tool_call>"} <= set(parser.markers)

    @pytest.mark.parametrize(
        ("options", "name", "expected", "budget"),
        [
            (ReasoningOptions(), "Qwen-Qwen3-0.6B", {}, None),
            (ReasoningOptions(enabled=False), "Qwen-Qwen3-0.6B", {"enable_thinking": False}, 0),
            (ReasoningOptions(enabled=True, budget=9), "Qwen-Qwen3-0.6B", {"enable_thinking": True}, 9),
            (ReasoningOptions(effort="none"), "GLM-4.6", {"enable_thinking": False}, 0),
            (ReasoningOptions(budget=0), "GLM-4.6", {"enable_thinking": False}, 0),
            (ReasoningOptions(effort="high"), "openai-gpt-oss-120b", {"reasoning_effort": "high"}, None),
            (ReasoningOptions(enabled=False), "openai-gpt-oss-120b", {"reasoning_effort": "low"}, 0),
            (ReasoningOptions(effort="minimal"), "openai-gpt-oss-120b", {"reasoning_effort": "low"}, None),
            (ReasoningOptions(enabled=False), "", {}, 0),
        ],
    )
    def test_options(
        self, options: ReasoningOptions, name: str, expected: dict[str, object], budget: int | None
    ) -> None:
        request = GenerateRequest("r", reasoning=options)
        assert template_kwargs_for(request, source(name)) == expected
        assert budget_of(request) == budget

    def test_deepseek_switch(self) -> None:
        request = GenerateRequest("r", reasoning=ReasoningOptions(enabled=True))
        given = template_kwargs_for(request, source("deepseek-ai-DeepSeek-V3.1"))
        text = ChatTemplate(source("deepseek-ai-DeepSeek-V3.1"), "", "").render(
            [Message("user", "x")], **given
        )
        assert text.endswith("<think>")

    def test_own_variables_win(self) -> None:
        request = GenerateRequest(
            "r", reasoning=ReasoningOptions(enabled=True), template_kwargs={"enable_thinking": False, "x": 1}
        )
        assert template_kwargs_for(request, source("GLM-4.6")) == {"enable_thinking": False, "x": 1}


def test_tools_of() -> None:
    assert tools_of(GenerateRequest("r", tools=TOOLS)) == TOOLS
    assert tools_of(GenerateRequest("r", tools=TOOLS, tool_choice=ToolChoice("none"))) == ()


def test_fast_enough_for_every_token() -> None:
    """Under 5 us on a quiet machine; a busy or an older one takes longer."""
    for tools in ((), TOOLS):
        parser = parser_for(source("Qwen-Qwen3-0.6B"), GenerateRequest("r", tools=tools), "")
        parser.feed("<think>\na</think>\n\nb")
        best = min(_seconds(parser) for _ in range(5))
        assert best / 5000 < 20e-6


def _seconds(parser: Any) -> float:
    start = time.thread_time()
    for _ in range(5000):
        parser.feed(" hello")
    return time.thread_time() - start


ALL_FORMATS = ["", *sorted(path.stem for path in (FIXTURES / "templates").glob("*.jinja"))]


def fragments(name: str) -> list[str]:
    """What an answer in confusion is made of."""
    form, tags = tool_format(source(name)), reasoning_tags(source(name))
    marks = [
        form.open,
        form.call_open,
        form.name_end,
        form.call_close,
        form.end,
        form.key_open,
        form.key_close,
    ]
    harmony = ["<|channel|>analysis", "<|message|>", "<|end|>", "<|start|>assistant", " to=functions.now"]
    marks += [form.value_close, tags.open, tags.close, '<|"|>', *(harmony if form.kind == "harmony" else ())]
    pieces = [
        "get_weather",
        '{"name": "now", ',
        '"arguments": {}}',
        '"parameters": {"a": "}"}}',
        "{",
        "}",
        "[",
        "]",
        ",",
        '"',
    ]
    return [mark for mark in marks if mark] + pieces + [" ", "\n", "x", "\\", "5"]


def test_a_call_without_a_name_loses_nothing() -> None:
    item = {"template": "google-gemma-4-31B-it", "name": "", "tools": True, "prompt_tail": ""}
    text = "<|tool_call>call:{{"
    assert read(item, [text]) == read(item, list(text))
    assert read(item, [text])["content"] == text


@pytest.mark.parametrize("name", ALL_FORMATS)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_confused_answers(name: str, data: st.DataObject) -> None:
    """Whatever comes, nothing is raised, nothing depends on how it was cut, and every call has a name and an id."""
    text = "".join(data.draw(st.lists(st.sampled_from(fragments(name)), max_size=25)))
    tail = data.draw(st.sampled_from(["", "<think>\n", "<think>\n\n</think>\n\n"]))
    cuts = data.draw(st.lists(st.integers(0, 200), max_size=20))
    item = {"template": name, "name": "", "tools": data.draw(st.booleans()), "prompt_tail": tail}
    whole, by_one, cut_up = read(item, [text]), read(item, list(text)), read(item, cut(text, cuts))
    assert whole == by_one == cut_up


def test_long_texts_are_streamed() -> None:
    """A file written as an argument comes piece by piece, in the formats with tags too."""
    for name, head in (
        ("Qwen3-Coder", "<tool_call>\n<function=get_weather>\n<parameter=city>\n"),
        ("GLM-4.6", "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>"),
        ("Qwen-Qwen3-0.6B", '<tool_call>\n{"name": "get_weather", "arguments": {"city": "'),
    ):
        parser = parser_for(source(name), GenerateRequest("r", tools=TOOLS), "")
        parser.feed(head)
        seen = "".join(p.arguments for _ in range(100) for d in parser.feed("a line ") for p in d.tool_calls)
        assert seen.count("a line") > 95


def test_a_call_that_never_ends_stays_cheap() -> None:
    for head in (
        '<tool_call>{"name": "',
        '<tool_call>{"arguments": {"a": "',
        "<tool_call>",
        '<tool_call>{"name": "now", "',
    ):
        parser = parser_for(source("Qwen-Qwen3-0.6B"), GenerateRequest("r", tools=TOOLS), "")
        parser.feed(head)
        start = time.thread_time()
        for _ in range(5000):
            parser.feed(' {x\\" ')
        assert time.thread_time() - start < 1.5, head
