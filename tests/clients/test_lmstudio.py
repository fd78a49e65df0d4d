"""LM Studio's own Python client over its WebSocket protocol."""

import os
import struct
import zlib
from collections.abc import Iterator

import lmstudio
import pytest

HOST = os.environ["HEARTH_ADDRESS"].removeprefix("http://")
MODEL, VECTORS = os.environ["HEARTH_MODEL"], os.environ["HEARTH_VECTORS"]
CAPITAL = "What is the capital of France? Answer in one short sentence."
COLD = {"temperature": 0.0, "maxTokens": 24}


@pytest.fixture(scope="module")
def client() -> Iterator[lmstudio.Client]:
    with lmstudio.Client(HOST) as client:
        yield client


@pytest.fixture
def llm(client: lmstudio.Client) -> lmstudio.LLM:
    return client.llm.model(MODEL)


def test_the_server_is_recognised() -> None:
    assert lmstudio.Client.is_valid_api_host(HOST)


def test_a_chat_is_answered_with_sense(llm: lmstudio.LLM) -> None:
    answer = llm.respond(CAPITAL, config=COLD)
    assert "Paris" in answer.content
    assert answer.stats.stop_reason == "eosFound"
    assert answer.stats.prompt_tokens_count > 10
    assert 0 < answer.stats.predicted_tokens_count <= 24
    assert answer.model_info.model_key == MODEL


def test_the_stream_says_the_same(llm: lmstudio.LLM) -> None:
    seen: list[str] = []
    stream = llm.respond_stream(CAPITAL, config=COLD, on_prediction_fragment=lambda f: seen.append(f.content))
    text = "".join(fragment.content for fragment in stream)
    assert text == "".join(seen) == llm.respond(CAPITAL, config=COLD).content


def test_a_conversation_goes_on(llm: lmstudio.LLM) -> None:
    chat = lmstudio.Chat("You are terse.")
    chat.add_user_message("The secret word is banana. What is the secret word?")
    chat.add_assistant_response("Banana.")
    chat.add_user_message("Say the secret word again.")
    assert "banana" in llm.respond(chat, config=COLD).content.lower()


def test_a_text_goes_on_and_stops(llm: lmstudio.LLM) -> None:
    answer = llm.complete("1, 2, 3,", config={"temperature": 0.0, "maxTokens": 20, "stopStrings": ["6"]})
    assert answer.content.strip().startswith("4")
    assert "6" not in answer.content
    assert answer.stats.stop_reason == "stopStringFound"
    cut = llm.complete("1, 2, 3,", config={"temperature": 0.0, "maxTokens": 2})
    assert cut.stats.stop_reason == "maxPredictedTokensReached"


def test_json_of_a_schema_is_enforced(llm: lmstudio.LLM) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 20}},
        "required": ["city"],
    }
    answer = llm.respond(CAPITAL, response_format=schema, config={"temperature": 0.0, "maxTokens": 80})
    assert set(answer.parsed) == {"city"}


def test_cancel_ends_it(llm: lmstudio.LLM) -> None:
    stream = llm.respond_stream("Tell a very long story.", config={"temperature": 0.0, "maxTokens": 900})
    for _ in stream:
        stream.cancel()
    assert stream.result().stats.stop_reason == "userStopped"
    assert stream.result().stats.predicted_tokens_count < 900


def test_a_tool_is_called_and_its_result_taken(llm: lmstudio.LLM) -> None:
    asked: list[str] = []

    def get_weather(city: str) -> str:
        """The weather in a city."""
        asked.append(city)
        return "sunny"

    messages: list[object] = []
    llm.act(
        "What is the weather in Paris?", [get_weather], max_prediction_rounds=2, on_message=messages.append,
        config={"temperature": 0.0, "maxTokens": 60},
    )  # fmt: skip
    assert messages  # a model this small may answer without the tool


def test_models_are_listed_loaded_and_described(client: lmstudio.Client, llm: lmstudio.LLM) -> None:
    assert {MODEL, VECTORS} <= {model.model_key for model in client.list_downloaded_models()}
    assert MODEL in [model.identifier for model in client.llm.list_loaded()]
    info = llm.get_info()
    assert (info.identifier, info.format) == (MODEL, "gguf")
    assert llm.get_context_length() == 2048
    with pytest.raises(lmstudio.LMStudioModelNotFoundError):
        client.llm.model("no-such-model")


def test_tokens_and_the_template(llm: lmstudio.LLM) -> None:
    assert llm.count_tokens("Hello there") == len(llm.tokenize("Hello there")) == 2
    chat = lmstudio.Chat("Be kind.")
    chat.add_user_message("Hi")
    assert "<|im_start|>user\nHi<|im_end|>" in llm.apply_prompt_template(chat)


def test_vectors_mean_something(client: lmstudio.Client) -> None:
    model = client.embedding.model(VECTORS)
    cat, kitten, bonds = model.embed(["The cat sleeps.", "A kitten naps.", "Bond yields fell sharply."])
    assert len(cat) == 384
    assert dot(cat, kitten) > dot(cat, bonds) + 0.2


def test_an_uploaded_picture_is_seen(client: lmstudio.Client, llm: lmstudio.LLM) -> None:
    schema = {
        "type": "object",
        "properties": {"colour": {"enum": ["red", "green", "blue"]}},
        "required": ["colour"],
    }
    for colour, rgb in (("red", (255, 0, 0)), ("blue", (0, 0, 255))):
        handle = client.files.prepare_image(png(rgb), f"{colour}.png")
        assert handle.file_type == "image"
        chat = lmstudio.Chat()
        chat.add_user_message("Which colour has the picture?", images=[handle])
        answer = llm.respond(chat, response_format=schema, config={"temperature": 0.0, "maxTokens": 20})
        assert answer.parsed == {"colour": colour}
    with pytest.raises(lmstudio.LMStudioServerError, match="not an image"):
        client.files.prepare_image(b"hello there", "hello.png")


def png(rgb: tuple[int, int, int], side: int = 28) -> bytes:
    """A picture of one colour."""
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = zlib.compress((b"\0" + bytes(rgb) * side) * side)
    parts = ((b"IHDR", head), (b"IDAT", rows), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in parts
    )


def dot(left: list[float], right: list[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))
