"""The real anthropic client, with strict validation, over the real worker and over scripted answers."""

from collections.abc import Iterator

import anthropic
import pytest

from app.core.generate import Delta, Failed, Finished, Timings, ToolCallDelta, Usage

CAPITAL = [{"role": "user", "content": "What is the capital of France? Answer in one short sentence."}]
COLD = {"temperature": 0}
"""The client has no such argument any more."""
MODEL = "fake/model:Q4_K_M"
TOOL = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
SCRIPT = [
    Delta(prefilled=3, prompt_tokens=9),
    Delta(reasoning="Let me ", tokens=2),
    Delta(reasoning="think.", tokens=2),
    Delta(text="I will look.", tokens=3),
    Delta(tool_calls=(ToolCallDelta(0, "call_1", "get_weather"),), tokens=1),
    Delta(tool_calls=(ToolCallDelta(0, arguments='{"city":'),), tokens=1),
    Delta(tool_calls=(ToolCallDelta(0, arguments='"Hue"}'),), tokens=1),
    Delta(tool_calls=(ToolCallDelta(1, "call_2", "get_weather", '{"city":"Hanoi"}'),), tokens=1),
    Finished("tool_calls", Usage(9, 11, 4, 4), Timings(0, 0.1, 0.2, 0.1, 5, 10)),
]


def make(address: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(
        base_url=address, api_key="none", max_retries=0, _strict_response_validation=True
    )


@pytest.fixture
def client(real) -> Iterator[anthropic.Anthropic]:
    with make(real.address) as client:
        yield client


@pytest.fixture
def scripted(served) -> Iterator[anthropic.Anthropic]:
    with make(served.address) as client:
        yield client


def test_a_message_is_answered_with_sense(client, real) -> None:
    answer = client.messages.create(model=real.model, messages=CAPITAL, max_tokens=24, extra_body=COLD)
    assert "Paris" in answer.content[0].text
    assert answer.stop_reason in ("end_turn", "max_tokens")
    assert answer.usage.input_tokens + answer.usage.cache_read_input_tokens > 10


def test_the_stream_says_the_same(client, real) -> None:
    whole = client.messages.create(model=real.model, messages=CAPITAL, max_tokens=16, extra_body=COLD)
    with client.messages.stream(model=real.model, messages=CAPITAL, max_tokens=16, extra_body=COLD) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == whole.content[0].text == final.content[0].text
    assert final.usage.output_tokens == whole.usage.output_tokens


def test_the_system_prompt_and_a_prefilled_answer_count(client, real) -> None:
    plain = client.messages.count_tokens(model=real.model, messages=CAPITAL).input_tokens
    ruled = client.messages.count_tokens(model=real.model, messages=CAPITAL, system="Be a poet. " * 9)
    assert ruled.input_tokens > plain > 10
    begun = [*CAPITAL, {"role": "assistant", "content": "The capital of France is"}]
    answer = client.messages.create(model=real.model, messages=begun, max_tokens=4, extra_body=COLD)
    assert answer.content[0].text.strip().startswith("Paris")


def test_a_stop_sequence_is_named(client, real) -> None:
    answer = client.messages.create(
        model=real.model, messages=CAPITAL, max_tokens=24, extra_body=COLD, stop_sequences=["Paris"]
    )
    assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", "Paris")
    assert "Paris" not in answer.content[0].text


def test_the_model_is_made_to_call_a_tool(client, real) -> None:
    answer = client.messages.create(
        model=real.model, messages=[{"role": "user", "content": "What is the weather in Paris?"}], max_tokens=120,
        extra_body=COLD, tools=[TOOL], tool_choice={"type": "any"},
    )  # fmt: skip
    assert answer.stop_reason == "tool_use"
    call = next(block for block in answer.content if block.type == "tool_use")
    assert call.name == "get_weather"
    assert isinstance(call.input["city"], str)


def test_thinking_text_and_calls_are_blocks(scripted, served) -> None:
    served.supervisor.script = SCRIPT
    answer = scripted.messages.create(model=MODEL, messages=CAPITAL, max_tokens=99, tools=[TOOL])
    _check(answer)


def test_thinking_text_and_calls_are_blocks_of_a_stream(scripted, served) -> None:
    served.supervisor.script = SCRIPT
    with scripted.messages.stream(model=MODEL, messages=CAPITAL, max_tokens=99, tools=[TOOL]) as stream:
        kinds = [event.type for event in stream]
        _check(stream.get_final_message())
    assert kinds[0] == "message_start"
    assert kinds[-1] == "message_stop"
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 4


def _check(answer: anthropic.types.Message) -> None:
    thinking, text, first, second = answer.content
    assert thinking.thinking == "Let me think."
    assert thinking.signature
    assert text.text == "I will look."
    assert (first.id, first.name, first.input) == ("call_1", "get_weather", {"city": "Hue"})
    assert (second.id, second.input) == ("call_2", {"city": "Hanoi"})
    assert answer.stop_reason == "tool_use"
    assert (answer.usage.input_tokens, answer.usage.cache_read_input_tokens, answer.usage.output_tokens) == (
        5,
        4,
        11,
    )


def test_a_conversation_with_results_reaches_the_engine(scripted, served) -> None:
    scripted.messages.create(
        model=MODEL, max_tokens=5, tools=[TOOL], system=[{"type": "text", "text": "Be brief."}],
        thinking={"type": "enabled", "budget_tokens": 1024},
        messages=[
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "x"},
                {"type": "tool_use", "id": "c1", "name": "get_weather", "input": {"city": "Hue"}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "rain"}]},
                {"type": "text", "text": "And?"},
            ]},
        ],
    )  # fmt: skip
    request = served.supervisor.requests[0]
    system, user, assistant, tool, last = request.messages
    assert (system.role, system.text, user.text) == ("system", "Be brief.", "Weather?")
    assert (assistant.reasoning, assistant.tool_calls[0].arguments) == ("hm", '{"city":"Hue"}')
    assert (tool.role, tool.text, tool.tool_call_id, last.text) == ("tool", "rain", "c1", "And?")
    assert (request.reasoning.enabled, request.reasoning.budget) == (True, 1024)
    assert request.tools[0].parameters["required"] == ["city"]


def test_errors_have_anthropic_s_shape(scripted, served) -> None:
    with pytest.raises(anthropic.NotFoundError) as missing:
        scripted.messages.create(model="nothing-here", messages=CAPITAL, max_tokens=5)
    assert missing.value.body["error"]["type"] == "not_found_error"
    with pytest.raises(anthropic.BadRequestError, match="max_tokens"):
        scripted.messages.create(model=MODEL, messages=CAPITAL, max_tokens=0)
    served.supervisor.failure = Failed("worker_crashed", "The engine died.")
    with pytest.raises(anthropic.APIStatusError, match="The engine died"):
        scripted.messages.create(model=MODEL, messages=CAPITAL, max_tokens=5)
    with (
        pytest.raises(anthropic.APIStatusError, match="The engine died"),
        scripted.messages.stream(model=MODEL, messages=CAPITAL, max_tokens=5) as stream,
    ):
        list(stream)
