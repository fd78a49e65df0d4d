"""Chat templates: right prompts from right templates, and nothing bad from bad ones."""

import json
import threading
import time
import tracemalloc
from pathlib import Path

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from app.core.errors import TemplateFailedError
from app.core.generate import ImagePart, Message, TextPart, ToolCall, ToolSpec
from app.runtime.template import CHATML, ChatTemplate, template_for
from app.runtime.template_messages import IMAGE_MARK, Shape, as_dicts, short_id, tool_dicts
from tests.fakes.hostile_templates import BOMBS, ESCAPES

TEMPLATES = Path(__file__).parent / "fixtures" / "templates"
STARTER = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\n"
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
WEATHER = ToolSpec(
    "get_weather",
    "The weather of a city",
    {
        "type": "object",
        "properties": {"city": {"type": "string", "description": "Its name"}},
        "required": ["city"],
    },
)
CALL = ToolCall("abcdefgh1", "get_weather", '{"city": "Huế"}')
TOOL_CHAT = [
    Message("system", "Be brief."),
    Message("user", "Is it raining in Huế?"),
    Message("assistant", "", tool_calls=(CALL,)),
    Message("tool", "rain, 24 C", tool_call_id="abcdefgh1", name="get_weather"),
]


def names() -> list[str]:
    return sorted(path.stem for path in TEMPLATES.glob("*.jinja"))


def source(name: str) -> str:
    return (TEMPLATES / f"{name}.jinja").read_text("utf-8")


def template(name: str) -> ChatTemplate:
    return ChatTemplate(source(name), "<s>", "</s>")


def plain(text: str, **given: object) -> str:
    """What Jinja gives without our rewriting: the environment of transformers."""

    def dumps(value: object, indent: int | None = None, **_: object) -> str:
        return json.dumps(value, ensure_ascii=False, indent=indent, default=list)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = dumps
    environment.globals["raise_exception"] = pytest.fail
    environment.globals["strftime_now"] = time.strftime
    return environment.from_string(text).render(bos_token="<s>", eos_token="</s>", **given)


class TestPrompts:
    def test_starter(self) -> None:
        chat = ChatTemplate(STARTER, "<|im_start|>", "<|im_end|>")
        assert chat.render([Message("user", "Hello")]) == (
            "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
            "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
        )
        assert chat.render([Message("system", "S"), Message("user", "U")], add_generation_prompt=False) == (
            "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n"
        )

    def test_chatml_when_the_model_has_none(self) -> None:
        for metadata in ({}, {"tokenizer.chat_template": " "}, {"tokenizer.chat_template": 7}):
            chat = template_for(metadata, "", "")
            assert chat.source == CHATML
            assert (
                chat.render([Message("user", "a")])
                == "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n"
            )

    def test_the_models_own(self) -> None:
        own = "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}"
        chat = template_for({"tokenizer.chat_template": own}, "B", "E")
        assert chat.render([Message("user", "x")]) == "BxE"

    @pytest.mark.parametrize("name", names())
    def test_equal_to_plain_jinja(self, name: str) -> None:
        messages = [
            Message("user", "What is 2 + 2?"),
            Message("assistant", "4"),
            Message("user", "Cảm ơn <b>&</b>"),
        ]
        given = {"messages": as_dicts(messages, Shape()), "add_generation_prompt": True}
        tools = [] if "Hermes" in name else None
        assert template(name).render(messages) == plain(source(name), tools=tools, **given)

    @pytest.mark.parametrize("name", names())
    def test_tool_chat(self, name: str) -> None:
        chat = template(name)
        text = chat.render(TOOL_CHAT, [WEATHER])
        # Nemo's template shows the system message with the last user turn, and only when that is the last of all.
        for needle in (
            "Be brief." if "Nemo" not in name else "",
            "The weather of a city",
            "Huế",
            "rain, 24 C",
        ):
            assert needle in text
        if chat.knows_system and chat.knows_tools and chat.shape == Shape():
            given = {"messages": as_dicts(TOOL_CHAT, Shape()), "tools": tool_dicts([WEATHER])}
            assert text == plain(source(name), add_generation_prompt=True, **given)

    @pytest.mark.parametrize("name", names())
    def test_continues_the_last_message(self, name: str) -> None:
        messages = [Message("user", "Write"), Message("assistant", "Once upon a  ")]
        text = template(name).render(messages, continue_last=True)
        assert text.endswith("Once upon a  ")
        assert "\ue000" not in text

    def test_continue_needs_an_assistant_message(self) -> None:
        text = ChatTemplate(CHATML, "", "").render([Message("user", "a")], continue_last=True)
        assert text.endswith("<|im_start|>assistant\n")

    def test_continue_that_is_not_shown(self) -> None:
        chat = ChatTemplate("{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}", "", "")
        with pytest.raises(TemplateFailedError, match="to be continued"):
            chat.render([Message("user", "a"), Message("assistant", "b")], continue_last=True)

    def test_variables_reach_it(self) -> None:
        chat = template("Qwen-Qwen3-0.6B")
        assert chat.render([Message("user", "x")], enable_thinking=False).endswith("<think>\n\n</think>\n\n")
        chat = template("openai-gpt-oss-120b")
        assert "Reasoning: high" in chat.render([Message("user", "x")], reasoning_effort="high")

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (
                "{%- for x in [1,2,3] %}\n  {%- if x == 2 %}{% continue %}{% endif %}\n{{ x }}\n{%- endfor %}",
                "13",
            ),
            ("{% generation %}{% set a = 1 %}{{ a }}{% endgeneration %}{{ a }}", "11"),
            ("{{ {'a': 'é<'} | tojson }}", '{"a": "é<"}'),
            ("{{ strftime_now('%Y') }}", time.strftime("%Y")),
            ("{{ loop is defined }}{{ 'a' ~ 1 ~ none ~ [1] }}", "Falsea1None[1]"),
            ("{% for x in [7] %}{{ loop.index }}/{{ loop.length }}{{ loop.last }}{% endfor %}", "1/1True"),
            ("{% for x in [] %}{% else %}no{% endfor %}", "no"),
            ("{% macro m(a, b=2) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}", "12"),
            (
                "{{ 'abc'[::-1] }}{{ (1, 2)[1:] }}{{ 3 in [1, 3] }}{{ 1 < 2 < 3 }}{{ {'a': 1}.a }}",
                "cba(2,)TrueTrue1",
            ),
            ("{{ '%s-%d' % ('a', 2) }}{{ '{}'.format(5) }}{{ [1, 2] | join('+') }}", "a-251+2"),
            (
                "{{ 'a-b'.replace('-', '') }}{{ 'a' | replace('a', 'b') }}{{ ['a'] | map('upper') | join }}",
                "abbA",
            ),
            ("{% for x in [1, [2]] recursive %}{{ loop(x) if x is sequence else x }}{% endfor %}", "12"),
            (
                "{% set ns = namespace(x=1) %}{% for i in [1, 2] %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}",
                "4",
            ),
            ("{% set q = [1, 2] %}{{ q.pop(0) }}{% set _ = q.append(3) %}{{ q }}", "1[2, 3]"),
        ],
    )
    def test_dialect(self, text: str, expected: str) -> None:
        assert ChatTemplate(text, "", "").render([]) == expected


class TestStandIns:
    def test_system_message_into_the_first_user_turn(self) -> None:
        chat = template("google-gemma-2-2b-it")
        text = chat.render([Message("system", "Be kind."), Message("user", "Hi")])
        assert text == "<s><start_of_turn>user\nBe kind.\n\nHi<end_of_turn>\n<start_of_turn>model\n"
        assert not chat.knows_system
        assert "Be kind." in chat.render([Message("system", "Be kind.")])
        parts = Message("user", (TextPart("look "), ImagePart(b"")))
        assert f"Be kind.\n\nlook {IMAGE_MARK}" in chat.render([Message("system", "Be kind."), parts])
        assert "Hi" in chat.render([Message("system", ""), Message("user", "Hi")])

    def test_roles_that_must_alternate(self) -> None:
        text = template("google-gemma-2-2b-it").render([Message("user", "one"), Message("user", "two")])
        assert "one\n\ntwo<end_of_turn>" in text

    def test_tools_described(self) -> None:
        text = template("microsoft-Phi-3.5-mini-instruct").render(TOOL_CHAT, [WEATHER])
        assert "<|system|>\nBe brief.\n\nYou may call" in text
        assert '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Huế"}}\n</tool_call>' in text
        assert "<|user|>\n<tool_response>\nrain, 24 C\n</tool_response><|end|>" in text

    def test_shapes(self) -> None:
        assert template("deepseek-ai-DeepSeek-R1-Distill-Qwen-32B").shape in {Shape(), Shape(True, True)}
        assert template("Qwen-Qwen3-0.6B").shape == Shape()
        assert template("microsoft-Phi-3.5-mini-instruct").shape is None

    def test_call_ids(self) -> None:
        assert short_id("abcdefgh1") == "abcdefgh1"
        assert len(short_id("call_12345678")) == 9
        mistral = template("mistralai-Mistral-Nemo-Instruct-2407")
        call = ToolCall("call_with_a_long_id", "get_weather", "not json")
        chat = [Message("user", "a"), Message("assistant", "", tool_calls=(call,))]
        assert short_id("call_with_a_long_id") in mistral.render(chat, [WEATHER])

    def test_a_template_may_not_change_the_request(self) -> None:
        tool = ToolSpec("f", "d", {"type": "object", "enum": ["a"]})
        change = "{% set _ = t.function.parameters.get('enum', []).append('b') %}"
        chat = ChatTemplate("<tool_call>{% for t in tools %}" + change + "{{ t }}{% endfor %}", "", "")
        assert "'b'" in chat.render([], [tool])
        assert tool.parameters["enum"] == ["a"]


@pytest.mark.parametrize("name", ESCAPES)
def test_python_is_out_of_reach(name: str) -> None:
    try:
        text = ChatTemplate(ESCAPES[name], "", "").render([Message("user", "x")])
    except TemplateFailedError:
        return
    for leak in ("class", "<function", "<module", "environment", "object at", "built-in"):
        assert leak not in text


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.runtime.template.SECONDS", 0.2)
    tracemalloc.start()
    before = time.thread_time()
    try:
        with pytest.raises(TemplateFailedError):
            ChatTemplate(BOMBS[name], "", "").render([Message("user", "x")])
        seconds, peak = time.thread_time() - before, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # Processor time, since the machine may be busy; tracing slows it down by a factor.
    assert seconds < 6
    assert peak < 160_000_000


def test_deadline_on_another_thread() -> None:
    """No signals: it works in the worker's intake thread."""
    chat, took = ChatTemplate(BOMBS["loops"], "", ""), list[bool]()

    def run() -> None:
        with pytest.raises(TemplateFailedError, match=r"too long|memory"):
            chat.render([])
        took.append(True)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    assert took  # it would go on for hours


def test_errors_are_short_sentences() -> None:
    with pytest.raises(TemplateFailedError) as error:
        ChatTemplate("{{ raise_exception('x' * 100000) }}", "", "").render([])
    assert len(str(error.value)) < 400
    with pytest.raises(TemplateFailedError, match="failed: "):
        ChatTemplate("{% if %}", "", "")


def test_a_long_chat_is_no_bomb() -> None:
    messages = [Message("user" if i % 2 == 0 else "assistant", f"message {i} " * 400) for i in range(1001)]
    for name in names():
        assert "message 1000" in template(name).render(messages)
