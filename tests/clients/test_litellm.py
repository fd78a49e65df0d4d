"""litellm through each of its providers that this server speaks."""

import os

import litellm
import pytest

litellm.telemetry = False
litellm.suppress_debug_info = True
ADDRESS, MODEL, VECTORS = (os.environ[f"HEARTH_{name}"] for name in ("ADDRESS", "MODEL", "VECTORS"))
CAPITAL = [{"role": "user", "content": "What is the capital of France? Answer in one short sentence."}]
BASES = {"openai": "/v1", "lm_studio": "/v1", "ollama_chat": "", "anthropic": ""}


def ask(provider: str) -> dict[str, object]:
    return {
        "model": f"{provider}/{MODEL}", "api_base": ADDRESS + BASES[provider], "api_key": "none",
        "messages": CAPITAL, "max_tokens": 24, "temperature": 0,
    }  # fmt: skip


@pytest.mark.parametrize("provider", list(BASES))
def test_a_chat_is_answered_with_sense(provider: str) -> None:
    answer = litellm.completion(**ask(provider))
    assert "Paris" in answer.choices[0].message.content
    assert answer.usage.prompt_tokens > 10
    assert 0 < answer.usage.completion_tokens <= 24


@pytest.mark.parametrize("provider", list(BASES))
def test_the_stream_says_the_same(provider: str) -> None:
    text = "".join(
        chunk.choices[0].delta.content or "" for chunk in litellm.completion(**ask(provider), stream=True)
    )
    assert text == litellm.completion(**ask(provider)).choices[0].message.content


async def test_a_chat_without_waiting() -> None:
    answer = await litellm.acompletion(**ask("openai"))
    assert "Paris" in answer.choices[0].message.content


def test_a_required_tool_is_called() -> None:
    weather = {"name": "get_weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}  # fmt: skip
    answer = litellm.completion(
        **ask("openai") | {"max_tokens": 120}, tools=[{"type": "function", "function": weather}],
        tool_choice="required", parallel_tool_calls=False,
    )  # fmt: skip
    assert answer.choices[0].message.tool_calls[0].function.name == "get_weather"


def test_a_text_goes_on() -> None:
    answer = litellm.text_completion(
        model=f"text-completion-openai/{MODEL}", api_base=f"{ADDRESS}/v1", api_key="none", prompt="1, 2, 3,",
        max_tokens=5, temperature=0,
    )  # fmt: skip
    assert "4" in answer.choices[0].text


def test_a_response() -> None:
    answer = litellm.responses(
        model=f"openai/{MODEL}", api_base=f"{ADDRESS}/v1", api_key="none", input=CAPITAL[0]["content"],
        max_output_tokens=24, temperature=0,
    )  # fmt: skip
    assert "Paris" in answer.output[0].content[0].text


@pytest.mark.parametrize(("provider", "path"), [("openai", "/v1"), ("ollama", "")])
def test_vectors_mean_something(provider: str, path: str) -> None:
    texts = ["The cat sleeps.", "A kitten naps.", "Bond yields fell sharply."]
    answer = litellm.embedding(
        model=f"{provider}/{VECTORS}", api_base=ADDRESS + path, api_key="none", input=texts
    )
    cat, kitten, bonds = (row["embedding"] for row in answer.data)
    assert dot(cat, kitten) > dot(cat, bonds) + 0.2


def dot(left: list[float], right: list[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))
