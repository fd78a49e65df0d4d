"""The real openai client, with strict validation of every response, over the real worker and the starter model."""

import json
from collections.abc import Iterator

import httpx2 as httpx
import openai
import pytest

SEED = {"seed": 7, "temperature": 0.0}
CAPITAL = [{"role": "user", "content": "What is the capital of France? Answer in one short sentence."}]


@pytest.fixture
def client(real) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"{real.address}/v1", api_key="none", max_retries=0, _strict_response_validation=True
    ) as client:
        yield client


@pytest.fixture
def lenient(client) -> openai.OpenAI:
    """Where the client's own types have no room for what OpenAI sends too: a null finish_reason in the pieces of a
    completion, and base64 vectors, which it asks for itself."""
    return client.copy(_extra_kwargs={"_strict_response_validation": False})


def test_a_chat_is_answered_with_sense(client, real) -> None:
    answer = client.chat.completions.create(model=real.model, messages=CAPITAL, max_tokens=24, **SEED)
    assert "Paris" in answer.choices[0].message.content
    assert answer.usage.prompt_tokens > 10
    assert 0 < answer.usage.completion_tokens <= 24
    assert answer.model == real.model


def test_the_stream_says_the_same(client, real) -> None:
    ask = {"model": real.model, "messages": CAPITAL, "max_tokens": 16, **SEED}
    whole = client.chat.completions.create(**ask)
    chunks = list(client.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens


def test_the_length_is_kept_and_stops_stop(client, real) -> None:
    cut = client.chat.completions.create(model=real.model, messages=CAPITAL, max_tokens=2, **SEED)
    assert (cut.choices[0].finish_reason, cut.usage.completion_tokens) == ("length", 2)
    ask = [{"role": "user", "content": "Say: one, two, three, four"}]
    stopped = client.chat.completions.create(
        model=real.model, messages=ask, max_tokens=40, stop=[","], **SEED
    )
    assert "," not in stopped.choices[0].message.content
    assert stopped.choices[0].finish_reason == "stop"


def test_n_answers_are_told_apart(client, real) -> None:
    answer = client.chat.completions.create(
        model=real.model, messages=CAPITAL, n=3, max_tokens=6, temperature=1.5, seed=3
    )
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in answer.choices}) > 1
    assert answer.usage.completion_tokens > 6


def test_logprobs_are_the_model_s(client, real) -> None:
    answer = client.chat.completions.create(
        model=real.model, messages=CAPITAL, max_tokens=4, logprobs=True, top_logprobs=3, **SEED
    )
    tokens = answer.choices[0].logprobs.content
    assert len(tokens) == 4
    for token in tokens:
        assert token.logprob <= 0
        assert len(token.top_logprobs) == 3
        assert max(top.logprob for top in token.top_logprobs) == pytest.approx(token.logprob, abs=1e-4)
        assert bytes(token.bytes).decode() == token.token


def test_a_bias_forbids_a_token(client, real) -> None:
    ids = httpx.post(
        f"{real.address}/tokenize", json={"content": "The", "model": real.model}, trust_env=False
    ).json()["tokens"]
    ask = {"model": real.model, "messages": CAPITAL, "max_tokens": 4, **SEED}
    assert client.chat.completions.create(**ask).choices[0].message.content.startswith("The")
    other = client.chat.completions.create(**ask, logit_bias={str(ids[0]): -100})
    assert not other.choices[0].message.content.startswith("The")


def test_a_text_goes_on(client, lenient, real) -> None:
    ask = {"model": real.model, "prompt": "One, two, three,", "max_tokens": 6, **SEED}
    whole = client.completions.create(**ask, echo=True)
    assert whole.choices[0].text.startswith("One, two, three,")
    assert "four" in whole.choices[0].text
    text = "".join(chunk.choices[0].text for chunk in lenient.completions.create(**ask, stream=True))
    assert whole.choices[0].text == "One, two, three," + text


def test_several_texts_go_on_at_once(client, real) -> None:
    answer = client.completions.create(
        model=real.model, prompt=["1, 2, 3,", "January, February, March, April,"], max_tokens=5, **SEED
    )
    assert "4" in answer.choices[0].text
    assert "May" in answer.choices[1].text


def test_completion_logprobs_and_tokens_as_prompt(client, real) -> None:
    ids = httpx.post(
        f"{real.address}/tokenize", json={"content": "1, 2, 3,", "model": real.model}, trust_env=False
    ).json()["tokens"]
    answer = client.completions.create(model=real.model, prompt=ids, max_tokens=3, logprobs=2, **SEED)
    found = answer.choices[0].logprobs
    assert "".join(found.tokens) == answer.choices[0].text
    assert len(found.tokens) == len(found.token_logprobs) == len(found.text_offset) == 3
    assert all(len(top) == 2 for top in found.top_logprobs)


def test_a_response_and_the_next_one(client, real) -> None:
    first = client.responses.create(
        model=real.model,
        input="The secret word is banana. What is the secret word?",
        max_output_tokens=24,
        temperature=0,
    )
    assert first.output_text
    assert first.usage.total_tokens == first.usage.input_tokens + first.usage.output_tokens
    second = client.responses.create(
        model=real.model,
        input="Say the secret word again.",
        previous_response_id=first.id,
        max_output_tokens=24,
        temperature=0,
    )
    assert "banana" in second.output_text
    assert second.usage.input_tokens > first.usage.total_tokens
    assert client.responses.retrieve(first.id).output_text == first.output_text
    client.responses.delete(first.id)
    with pytest.raises(openai.BadRequestError, match="no response"):
        client.responses.create(model=real.model, input="x", previous_response_id=first.id)


def test_a_response_that_is_not_stored_is_forgotten(client, real) -> None:
    first = client.responses.create(model=real.model, input="Hello", max_output_tokens=2, store=False)
    assert first.status == "incomplete"
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.id)


def test_the_events_of_a_response_are_in_order(client, real) -> None:
    events = list(
        client.responses.create(
            model=real.model, input="Count to three.", max_output_tokens=16, temperature=0, stream=True
        )
    )
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert kinds[:4] == [
        "response.created", "response.in_progress", "response.output_item.added", "response.content_part.added"
    ]  # fmt: skip
    assert kinds[-4:-1] == [
        "response.output_text.done", "response.content_part.done", "response.output_item.done"
    ]  # fmt: skip
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert events[-1].response.output_text == text


def test_json_of_a_schema_is_enforced(client, real) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
        "required": ["city", "people"],
        "additionalProperties": False,
    }
    answer = client.chat.completions.create(
        model=real.model, messages=CAPITAL, max_tokens=120, **SEED,
        response_format={"type": "json_schema", "json_schema": {"name": "city", "schema": schema, "strict": True}},
    )  # fmt: skip
    found = json.loads(answer.choices[0].message.content)
    assert set(found) == {"city", "people"}
    assert isinstance(found["people"], int)


def test_a_required_tool_is_called(client, real) -> None:
    tool = {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather in a city.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
                "additionalProperties": False,
            },
        },
    }
    answer = client.chat.completions.create(
        model=real.model, messages=[{"role": "user", "content": "What is the weather in Paris?"}],
        tools=[tool], tool_choice="required", max_tokens=120, **SEED,
    )  # fmt: skip
    call = answer.choices[0].message.tool_calls[0]
    assert answer.choices[0].finish_reason == "tool_calls"
    assert call.function.name == "get_weather"
    assert set(json.loads(call.function.arguments)) == {"city"}


def test_vectors_mean_something(client, lenient, real) -> None:
    texts = [
        "The cat sleeps on the sofa.",
        "A kitten naps on the couch.",
        "Bond yields fell sharply on Tuesday.",
    ]
    found = lenient.embeddings.create(model=real.vectors, input=texts)  # asks for base64
    cat, kitten, bonds = (item.embedding for item in found.data)
    assert len(cat) == 576
    assert sum(value * value for value in cat) == pytest.approx(1, abs=1e-4)
    assert dot(cat, kitten) > dot(cat, bonds)
    assert found.usage.prompt_tokens > 15
    floats = client.embeddings.create(model=real.vectors, input=texts[0], encoding_format="float")
    assert dot(floats.data[0].embedding, cat) == pytest.approx(1, abs=1e-3)
    short = lenient.embeddings.create(model=real.vectors, input=texts[0], dimensions=64).data[0].embedding
    assert dot(short, short) == pytest.approx(1, abs=1e-4)
    assert short[0] / short[1] == pytest.approx(cat[0] / cat[1], rel=1e-2)


def dot(left: list[float], right: list[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))


def test_a_model_that_writes_embeds_nothing(client, real) -> None:
    with pytest.raises(openai.BadRequestError, match="not for embeddings"):
        client.embeddings.create(model=real.model, input="Hello")


def test_a_model_for_vectors_writes_nothing(client, real) -> None:
    with pytest.raises(openai.BadRequestError, match="for embeddings, not to write"):
        client.chat.completions.create(model=real.vectors, messages=CAPITAL)
    with pytest.raises(openai.BadRequestError, match="for embeddings, not to write"):
        client.completions.create(model=real.vectors, prompt="Hello")
