"""Pictures through every API's own client, over the real worker with a projector of three colours."""

import base64
from collections.abc import Iterator

import anthropic
import httpx2 as httpx
import ollama
import openai
import pytest

from app.core.pictures import MOST_IMAGES
from tests.fakes.projector import BLUE, GREEN, RED, TOKENS, picture, png

TEXT = "Which colour has the picture?"
SCHEMA = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "green", "blue"]}},
    "required": ["colour"],
}
"""The starter model is small: it may choose among three words, but the choice is its own."""
FORMAT = {"type": "json_schema", "json_schema": {"name": "seen", "strict": True, "schema": SCHEMA}}
COLOURS = {"red": RED, "green": GREEN, "blue": BLUE}


def base(*colours: tuple[int, int, int]) -> str:
    return base64.b64encode(picture(*colours)).decode()


def url(*colours: tuple[int, int, int]) -> str:
    return f"data:image/png;base64,{base(*colours)}"


@pytest.fixture
def http(real) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=real.address, timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture
def openai_client(real) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{real.address}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("word", ["red", "blue"])
def test_openai_chat(openai_client, real, word: str) -> None:
    parts = [{"type": "image_url", "image_url": {"url": url(COLOURS[word])}}, {"type": "text", "text": TEXT}]
    ask = {"model": real.model, "response_format": FORMAT, "temperature": 0}
    answer = openai_client.chat.completions.create(messages=[{"role": "user", "content": parts}], **ask)
    assert word in answer.choices[0].message.content
    blind = openai_client.chat.completions.create(messages=[{"role": "user", "content": TEXT}], **ask)
    assert answer.usage.prompt_tokens == blind.usage.prompt_tokens + TOKENS


def test_openai_responses(openai_client, real) -> None:
    parts = [{"type": "input_image", "image_url": url(BLUE)}, {"type": "input_text", "text": TEXT}]
    form = {"format": {"type": "json_schema", "name": "seen", "schema": SCHEMA, "strict": True}}
    ask = {"model": real.model, "text": form, "temperature": 0}
    first = openai_client.responses.create(input=[{"role": "user", "content": parts}], **ask)
    assert "blue" in first.output_text
    again = openai_client.responses.create(input="Which one was it?", previous_response_id=first.id, **ask)
    assert again.usage.input_tokens_details.cached_tokens > TOKENS, "the image is remembered, not read again"


def test_anthropic(real) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": base(RED)}
    remote = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    asked = [
        {"role": "user", "content": [{"type": "image", "source": source}, {"type": "text", "text": TEXT}]}
    ]
    begun = {"role": "assistant", "content": "The colour of the picture is"}
    with anthropic.Anthropic(base_url=real.address, api_key="none", max_retries=0) as client:
        counted = client.messages.count_tokens(model=real.model, messages=asked).input_tokens
        answer = client.messages.create(model=real.model, messages=asked, max_tokens=4)
        assert answer.usage.input_tokens + answer.usage.cache_read_input_tokens == counted > TOKENS
        told = client.messages.create(
            model=real.model, messages=[*asked, begun], max_tokens=3, extra_body={"temperature": 0}
        )
        assert "red" in told.content[0].text.lower()
        wrong = [{"role": "user", "content": [remote]}]
        with pytest.raises(anthropic.BadRequestError, match="no https one is fetched"):
            client.messages.create(model=real.model, max_tokens=4, messages=wrong)


def test_ollama(real) -> None:
    client = ollama.Client(host=real.address, trust_env=False)
    assert "vision" in client.show(real.model).capabilities
    assert "vision" not in client.show(real.vectors).capabilities
    options, message = {"temperature": 0}, {"role": "user", "content": TEXT, "images": [picture(GREEN)]}
    answer = client.chat(real.model, [message], format=SCHEMA, options=options)
    assert "green" in answer.message.content
    assert answer.prompt_eval_count > TOKENS
    told = client.generate(real.model, TEXT, images=[picture(BLUE)], format=SCHEMA, options=options)
    assert "blue" in told.response
    client._client.close()


def test_lm_studio(http, real) -> None:
    listed = {model["key"]: model for model in http.get("/api/v1/models").json()["models"]}
    assert listed[real.model]["capabilities"]["vision"] is True
    assert listed[real.vectors]["capabilities"]["vision"] is False
    kinds = {model["id"]: model["type"] for model in http.get("/api/v0/models").json()["data"]}
    assert kinds[real.model] == "vlm"
    parts = [{"type": "image", "data_url": url(RED)}, {"type": "message", "content": TEXT}]
    answer = http.post("/api/v1/chat", json={"model": real.model, "input": parts, "max_output_tokens": 4})
    assert answer.json()["stats"]["input_tokens"] > TOKENS


REFUSED = {
    "no image": ("data:image/png;base64,aGVsbG8=", "not an image"),
    "remote": ("https://example.com/red.png", "no https one is fetched"),
    "a file": ("file:///etc/passwd", "no file one is fetched"),
    "a bomb": (
        "data:image/png;base64," + base64.b64encode(png(60_000, 60_000, b"")).decode(),
        "million in all",
    ),
    "damaged": ("data:image/png;base64," + base64.b64encode(picture(RED)[:48]).decode(), "damaged"),
    "many": ([url(RED)] * (MOST_IMAGES + 1), f"{MOST_IMAGES} are the most"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_image_is_refused_by_name(http, real, case: str) -> None:
    urls, words = REFUSED[case]
    parts = [
        {"type": "image_url", "image_url": {"url": one}}
        for one in ([urls] if isinstance(urls, str) else urls)
    ]
    body = {"model": real.model, "max_tokens": 4, "messages": [{"role": "user", "content": parts}]}
    answer = http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]


def test_a_model_without_a_projector_says_so(http, real) -> None:
    parts = [{"type": "image_url", "image_url": {"url": url(RED)}}]
    body = {"model": real.vectors, "max_tokens": 4, "messages": [{"role": "user", "content": parts}]}
    answer = http.post("/v1/chat/completions", json=body).json()["error"]
    assert (answer["param"], "has no projector" in answer["message"]) == ("messages[0].content", True)
