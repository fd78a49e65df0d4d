"""LM Studio's REST API as its published pages describe it (github.com/lmstudio-ai/docs, 1_developer/2_rest)."""

import json

import pytest

from app.core.generate import Failed

MODEL = "fake/model:Q4_K_M"
SAY = [{"role": "user", "content": "one two three"}]
V0_CHAT = {"id", "object", "created", "model", "choices", "usage", "stats", "model_info", "runtime"}
V1_MODEL = {
    "type", "publisher", "key", "display_name", "architecture", "quantization", "size_bytes", "params_string",
    "loaded_instances", "max_context_length", "format", "capabilities", "description",
}  # fmt: skip


def events_of(text: str) -> list[dict]:
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/v0/chat/completions"])
def test_minus_one_means_no_limit(http, served, path) -> None:
    served.settings.set("chat.max_tokens", 64)
    assert http.post(path, json={"model": MODEL, "messages": SAY, "max_tokens": -1}).status_code == 200
    assert served.supervisor.requests[-1].sampling.max_tokens is None
    http.post(path, json={"model": MODEL, "messages": SAY})
    assert served.supervisor.requests[-1].sampling.max_tokens == 64
    for wrong in (0, -2):
        refused = http.post(path, json={"model": MODEL, "messages": SAY, "max_tokens": wrong})
        assert refused.status_code == 400
        assert "max_tokens" in refused.text


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": SAY}),
        ("/api/v0/completions", {"prompt": "one", "max_tokens": -1}),
        ("/api/v0/embeddings", {"input": "one"}),
    ],
)
def test_a_time_to_live_is_kept_to(http, served, path, body) -> None:
    assert http.post(path, json={"model": MODEL, "ttl": 300, **body}).status_code == 200
    keeper = served.host._running._backend.keeper
    assert 290 < keeper.left(MODEL) <= 300
    assert http.post(path, json={"model": MODEL, "ttl": -5, **body}).status_code == 400


def test_v0_has_its_figures(http) -> None:
    answer = http.post("/api/v0/chat/completions", json={"model": MODEL, "messages": SAY}).json()
    assert set(answer) >= V0_CHAT
    assert set(answer["stats"]) == {
        "tokens_per_second",
        "time_to_first_token",
        "generation_time",
        "stop_reason",
    }
    assert set(answer["model_info"]) == {"arch", "quant", "format", "context_length"}
    card = http.get("/api/v0/models").json()["data"][0]
    assert {
        "id",
        "object",
        "type",
        "publisher",
        "arch",
        "state",
        "max_context_length",
        "capabilities",
    } <= set(card)


def test_v1_models_are_described(http) -> None:
    http.post("/api/v1/models/load", json={"model": MODEL})
    (model,) = http.get("/api/v1/models").json()["models"]
    assert set(model) == V1_MODEL
    assert {"context_length", "eval_batch_size", "flash_attention"} <= set(
        model["loaded_instances"][0]["config"]
    )


def test_v1_loads_with_the_context_that_is_asked_for(http, served) -> None:
    body = {"model": MODEL, "input": "one", "context_length": 1234}
    answer = http.post("/api/v1/chat", json=body).json()
    assert served.supervisor.loaded[MODEL].n_ctx == 1234
    assert answer["stats"]["model_load_time_seconds"] >= 0
    assert answer["response_id"].startswith("resp_")
    assert "response_id" not in http.post("/api/v1/chat", json=body | {"store": False}).json()


def test_a_stream_that_breaks_says_so_and_ends(http, served) -> None:
    served.supervisor.failure = Failed("internal", "It broke.")
    text = http.post("/api/v1/chat", json={"model": MODEL, "input": "one two", "stream": True}).text
    events = events_of(text)
    assert [event["type"] for event in events[-2:]] == ["error", "chat.end"]
    assert events[-1]["result"]["output"] == [{"type": "message", "content": "one "}]
    assert events[0] == {"type": "chat.start", "model_instance_id": MODEL}
