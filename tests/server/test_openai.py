"""OpenAI's routes by the real openai client, over the fake engine (real answers: tests/integration)."""

import socket

import httpx2 as httpx
import openai
import pytest

from app.core.errors import OutOfMemoryError
from app.core.events import RequestLogged
from app.core.generate import Delta, Failed, Finished, SamplingParams, Timings, Usage
from tests.waiting import until

MODEL = "fake/model:Q4_K_M"


@pytest.fixture
def client(served):
    with openai.OpenAI(base_url=f"{served.address}/v1", api_key="none", max_retries=0) as client:
        yield client


def ask(client: openai.OpenAI, **more):
    return client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "one two three"}], **more
    )


def test_a_whole_answer(client, served) -> None:
    answer = ask(client, temperature=0.5, top_p=0.9, max_tokens=9, stop=["END"], seed=7)
    assert answer.choices[0].message.content == "one two three "
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (
        7,
        3,
        10,
    )
    assert answer.usage.prompt_tokens_details.cached_tokens == 2
    sampling = served.supervisor.requests[0].sampling
    assert (sampling.temperature, sampling.top_p, sampling.max_tokens) == (0.5, 0.9, 9)
    assert (sampling.stop, sampling.seed) == (("END",), 7)


SHAPING = {
    "top_n_sigma": 1.5, "dynatemp_range": 0.5, "dynatemp_exponent": 2.0, "xtc_probability": 0.5, "xtc_threshold": 0.2,
    "dry_multiplier": 0.8, "dry_base": 2.0, "dry_allowed_length": 3, "dry_penalty_last_n": 100, "mirostat": 2,
    "mirostat_tau": 4.0, "mirostat_eta": 0.2, "typical_p": 0.9, "repeat_penalty": 1.1, "min_tokens": 7,
}  # fmt: skip
RENAMED = {
    "repeat_last_n": ("penalty_last_n", 32),
    "stop_token_ids": ("stop_tokens", (5, 6)),
    "dry_sequence_breakers": ("dry_sequence_breakers", (".", "x")),
}


@pytest.mark.parametrize("route", ["chat", "completion"])
def test_every_sampler_of_llama_cpp_can_be_asked_for(client, served, route) -> None:
    extra = SHAPING | {name: value for name, (_, value) in RENAMED.items()}
    if route == "chat":
        ask(client, extra_body=extra)
    else:
        client.completions.create(model=MODEL, prompt="one", extra_body=extra)
    sampling = served.supervisor.requests[0].sampling
    expected = SHAPING | dict(RENAMED.values())
    assert {name: getattr(sampling, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("extra", "budget"),
    [
        ({"reasoning_budget_tokens": 9}, 9),
        ({"thinking_budget_tokens": 0}, 0),
        ({"reasoning_budget_tokens": -1}, None),
    ],
)
def test_thinking_has_a_budget(client, served, extra, budget) -> None:
    ask(client, extra_body=extra)
    assert served.supervisor.requests[0].reasoning.budget == budget


def test_messages_that_no_longer_count_are_named(client, served) -> None:
    end = Finished("stop", Usage(7, 3), Timings())
    served.supervisor.script = [Delta(dropped=(1, 2)), Delta(text="one"), end]
    rolling = {"context_policy": "rolling"}
    assert ask(client, extra_body=rolling).model_extra["dropped_messages"] == [1, 2]
    chunks = list(ask(client, stream=True, extra_body=rolling))
    assert [found for chunk in chunks if (found := chunk.model_extra.get("dropped_messages"))] == [[1, 2]]
    assert {request.context_policy for request in served.supervisor.requests} == {"rolling"}


def test_a_stream_ends_with_usage_when_asked(client) -> None:
    chunks = list(ask(client, stream=True, stream_options={"include_usage": True}))
    assert (
        "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "one two three "
    )
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens == 10
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_a_stream_has_no_usage_unless_asked(client) -> None:
    assert all(chunk.choices and chunk.usage is None for chunk in ask(client, stream=True))


def test_the_settings_are_the_defaults(client, served) -> None:
    served.settings.set("chat.temperature", 0.25)
    ask(client)
    assert served.supervisor.requests[0].sampling.temperature == 0.25


@pytest.mark.parametrize(
    "served", [{"sampling": {MODEL: SamplingParams(temperature=0.11, top_k=7)}.get}], indirect=True
)
def test_a_model_s_own_sampling_goes_before_the_settings(client, served) -> None:
    served.settings.set("chat.temperature", 0.25)
    ask(client)
    ask(client, temperature=0.9)
    first, second = (request.sampling for request in served.supervisor.requests)
    assert (first.temperature, first.top_k) == (0.11, 7)
    assert (second.temperature, second.top_k) == (0.9, 7)


def test_roles_and_parts_are_understood(client, served) -> None:
    parts = [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]
    client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "developer", "content": "Be kind."}, {"role": "user", "content": parts}],
    )
    first, second = served.supervisor.requests[0].messages
    assert (first.role, first.content, second.content) == ("system", "Be kind.", "one two")


def test_models(client) -> None:
    assert [model.id for model in client.models.list()] == [MODEL]
    assert client.models.retrieve(MODEL).created == 1_700_000_000
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody/nothing")


def test_an_unknown_model_is_named(client) -> None:
    with pytest.raises(openai.NotFoundError, match="nothing-here") as caught:
        client.chat.completions.create(model="nothing-here", messages=[{"role": "user", "content": "x"}])
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "~/x.gguf", ""])
def test_no_path_from_a_request_reaches_the_disk(http, name) -> None:
    body = {"model": name, "messages": [{"role": "user", "content": "x"}]}
    answer = http.post("/v1/chat/completions", json=body)
    assert answer.status_code in (200, 404)
    assert (answer.status_code == 200) == (name == "")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": 2}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages"),
        ({"stream_options": 3}, "stream_options"),
        ({"messages": [{"role": "user", "content": [{"type": "audio"}]}]}, "messages"),
        ({"mirostat": 3}, "mirostat"),
        ({"dry_base": 0.5}, "dry_base"),
        ({"min_tokens": -1}, "min_tokens"),
        ({"xtc_probability": 2}, "xtc_probability"),
        ({"repeat_last_n": 2**31}, "repeat_last_n"),
        ({"context_policy": "forget"}, "context_policy"),
    ],
)
def test_a_wrong_field_is_refused_by_name(http, change, field) -> None:
    body = {"model": MODEL, "messages": [{"role": "user", "content": "x"}], **change}
    answer = http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert answer.json()["error"]["param"].startswith(field)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"context_policy": "forget"}, "It can be drop_middle, rolling, stop."),
        ({"messages": [{"role": "king", "content": "x"}]}, "It can be assistant, "),
        ({"tool_choice": "maybe"}, "It can be auto, none, required."),
    ],
)
def test_a_word_that_is_not_known_is_answered_with_those_that_are(http, change, words) -> None:
    body = {"model": MODEL, "messages": [{"role": "user", "content": "x"}], **change}
    assert words in http.post("/v1/chat/completions", json=body).json()["error"]["message"]


@pytest.mark.parametrize("truncation", ["auto", "disabled", None])
def test_responses_leave_old_turns_out_when_asked_to(client, served, truncation) -> None:
    asked = {} if truncation is None else {"truncation": truncation}
    client.responses.create(model=MODEL, input="x", **asked)
    assert served.supervisor.requests[0].context_policy == ("rolling" if truncation == "auto" else "stop")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b'{"model": "x"}'])
def test_a_broken_body_is_refused(http, body) -> None:
    answer = http.post("/v1/chat/completions", content=body)
    assert answer.status_code == 400
    assert "error" in answer.json()


def test_unknown_fields_are_ignored(http) -> None:
    body = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "x", "refusal": None}],
        "user": "me",
        "store": True,
    }
    assert http.post("/v1/chat/completions", json=body).status_code == 200


def test_a_load_that_fails_says_why(client, served) -> None:
    served.supervisor.load_error = OutOfMemoryError(model="Fake", detail="4 GiB are missing")
    with pytest.raises(openai.APIStatusError, match="4 GiB are missing") as caught:
        ask(client)
    assert caught.value.status_code == 503


def test_a_failure_before_the_end_is_an_error(client, served) -> None:
    served.supervisor.failure = Failed("worker_crashed", "The engine died.")
    with pytest.raises(openai.APIStatusError, match=r"The engine died\."):
        ask(client)
    with pytest.raises(openai.APIError, match=r"The engine died\."):
        list(ask(client, stream=True))


def test_a_client_that_hangs_up_frees_its_sequence(served) -> None:
    served.supervisor.delay = 0.05
    body = {"model": MODEL, "messages": [{"role": "user", "content": "word " * 500}], "stream": True}
    with (
        httpx.Client(base_url=served.address, trust_env=False) as client,
        client.stream("POST", "/v1/chat/completions", json=body) as answer,
    ):
        next(answer.iter_bytes())
    until(lambda: served.supervisor.requests[0].id in served.supervisor.cancelled)


def test_a_client_that_hangs_up_before_a_whole_answer_frees_its_sequence(served) -> None:
    served.supervisor.delay = 0.05
    body = {"model": MODEL, "messages": [{"role": "user", "content": "word " * 500}]}
    asked = httpx.Request("POST", f"{served.address}/v1/chat/completions", json=body)
    head = (
        f"POST {asked.url.path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(asked.content)}\r\n\r\n"
    )
    with socket.create_connection((asked.url.host, asked.url.port)) as raw:
        raw.sendall(head.encode() + asked.content)
        until(lambda: served.supervisor.requests)
    until(lambda: served.supervisor.requests[0].id in served.supervisor.cancelled)


def test_the_log_has_figures_and_no_words(client, served) -> None:
    ask(client, stream=True).close()
    ask(client)
    until(lambda: len(served.host.log()) == 2)
    last: RequestLogged = served.host.log()[-1]
    assert (last.method, last.path, last.status, last.model) == ("POST", "/v1/chat/completions", 200, MODEL)
    assert (last.prompt_tokens, last.completion_tokens) == (7, 3)
    assert "one two" not in repr(served.host.log())
