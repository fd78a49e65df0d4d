"""What is done around an answer: aliases, the queue's bound, time-outs, pings, live requests, graceful stops."""

import json
import re
import threading
import time
from types import SimpleNamespace

import httpx2 as httpx
import pytest

from app.core.generate import Delta, Finished, Timings, ToolCallDelta, Usage
from app.core.types import Sample
from app.server import run
from tests.waiting import until

MODEL = "fake/model:Q4_K_M"
CHAT = "/v1/chat/completions"


def body(text: str = "one two three", **more: object) -> dict[str, object]:
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], **more}


def test_aliases_and_patterns_name_a_model(http, served) -> None:
    served.settings.set("server.aliases", f"gpt-4o-mini = {MODEL}\nclaude-* = fake\nbroken line\n")
    for name in ("gpt-4o-mini", "claude-sonnet-4-5", "fake", "fake/model:Q4_K_M:latest", ""):
        answer = http.post(CHAT, json=body() | {"model": name})
        assert answer.json()["model"] == MODEL, name
    assert http.post(CHAT, json=body() | {"model": "gpt-5"}).status_code == 404
    assert [model["id"] for model in http.get("/v1/models").json()["data"]] == [MODEL, "gpt-4o-mini"]


def test_past_the_bound_clients_are_told_when_to_come_back(served) -> None:
    served.settings.set("server.max_waiting", 1)
    served.settings.set("engine.n_parallel", 1)
    served.supervisor.delay = 0.1
    codes: list[httpx.Response] = []

    def ask() -> None:
        codes.append(httpx.post(served.address + CHAT, json=body("word " * 5), trust_env=False, timeout=60))

    httpx.post(served.address + CHAT, json=body("x"), trust_env=False)  # loads it, with the fake's plan
    plan = served.supervisor.loaded[MODEL].plan
    threads = [threading.Thread(target=ask) for _ in range(plan.n_parallel + 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused = [answer for answer in codes if answer.status_code == 503]
    assert len(refused) == 3
    assert refused[0].headers["retry-after"] == "2"
    assert refused[0].json()["error"]["code"] == "busy"
    assert {answer.status_code for answer in codes} == {200, 503}


def test_a_request_that_takes_too_long_is_cut(http, served) -> None:
    served.settings.set("server.timeout", 1)
    served.supervisor.silence = 60  # it ends when it is cancelled
    answer = http.post(CHAT, json=body())
    assert answer.status_code == 504
    assert answer.json()["error"]["code"] == "timeout"
    until(lambda: served.supervisor.requests[0].id in served.supervisor.cancelled)


def test_a_stream_that_takes_too_long_ends_with_an_error(http, served, monkeypatch) -> None:
    served.settings.set("server.timeout", 300)
    served.supervisor.delay = 0.02
    monkeypatch.setattr(run.Run.batch, "__defaults__", (0.1,))
    passed = [0.0]
    monkeypatch.setattr(run, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + passed[0]))
    with http.stream("POST", CHAT, json=body("word " * 1000, stream=True)) as answer:
        assert answer.status_code == 200
        lines = answer.iter_lines()
        assert "chat.completion.chunk" in next(lines)
        passed[0] = 301.0
        assert any('"code":"timeout"' in line for line in lines)
    until(lambda: served.supervisor.requests[0].id in served.supervisor.cancelled)


@pytest.mark.parametrize(
    ("path", "more", "ping"),
    [
        (CHAT, {}, ": ping\n"),
        ("/v1/messages", {"max_tokens": 5}, "event: ping\n"),
        ("/v1/responses", {"input": "x"}, ": ping\n"),
    ],
)
def test_silence_is_filled_with_pings(http, served, monkeypatch, path, more, ping) -> None:
    monkeypatch.setattr(run, "PING", 0.1)
    monkeypatch.setattr(run.Run.batch, "__defaults__", (0.1,))
    served.supervisor.silence = 0.5
    answer = http.post(path, json=body(stream=True) | more)
    assert answer.text.count(ping) >= 2


def test_live_requests_are_seen_and_can_be_cancelled(served) -> None:
    served.supervisor.delay = 0.05
    answers: list[httpx.Response] = []

    def ask() -> None:
        answers.append(httpx.post(served.address + CHAT, json=body("word " * 200), trust_env=False))

    thread = threading.Thread(target=ask)
    thread.start()
    until(lambda: [item for item in served.host.live() if item.tokens > 3])
    live = served.host.live()[0]
    assert (live.model, live.client, live.path, live.phase) == (MODEL, "127.0.0.1", CHAT, "writing")
    assert live.decode_per_second > 0
    assert "word" not in repr(live)
    served.host.cancel(live.id)
    thread.join()
    assert answers[0].status_code == 200
    assert 3 < answers[0].json()["usage"]["completion_tokens"] < 200
    until(lambda: not served.host.live())


MESSAGES = [{"role": "user", "content": "x"}]
CUT = {
    CHAT: ({"messages": MESSAGES}, "finish_reason", "length"),
    "/v1/completions": ({"prompt": "x"}, "finish_reason", "length"),
    "/v1/responses": ({"input": "x"}, "status", "incomplete"),
    "/v1/messages": ({"messages": MESSAGES, "max_tokens": 99}, "stop_reason", "max_tokens"),
    "/api/chat": ({"messages": MESSAGES}, "done_reason", "length"),
    "/api/generate": ({"prompt": "x"}, "done_reason", "length"),
    "/api/v0/chat/completions": ({"messages": MESSAGES}, "stop_reason", "userStopped"),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", CUT)
def test_an_answer_that_was_cut_short_is_not_called_complete(http, served, path: str, stream: bool) -> None:
    asked, field, reason = CUT[path]
    served.supervisor.script = [Delta(text="Half a"), Finished("cancelled", Usage(), Timings())]
    answer = http.post(path, json=asked | {"model": MODEL, "stream": stream})
    assert answer.status_code == 200
    said = answer.text
    assert "Half a" in said
    if not (stream and "v0" in path):  # its chunks are OpenAI's
        assert re.search(rf'"{field}": ?"{reason}"', said), said
    assert not re.search('"(finish_reason|done_reason)": ?"stop"|end_turn|"response.completed"', said), said


def test_lm_studio_is_told_that_the_model_was_unloaded(http, served) -> None:
    served.supervisor.script = [Delta(text="Half a"), Finished("cancelled", Usage(), Timings())]
    asked = {"model": MODEL, "messages": MESSAGES}
    http.post(CHAT, json=asked)
    submit = served.supervisor.submit

    def unloaded(model: str, *more: object, **named: bool) -> None:
        del served.supervisor.loaded[model]
        submit(model, *more, **named)

    served.supervisor.submit = unloaded
    answer = http.post("/api/v0/chat/completions", json=asked)
    assert answer.json()["stats"]["stop_reason"] == "modelUnloaded"


def test_a_graceful_stop_lets_an_answer_end(served) -> None:
    served.supervisor.delay = 0.05
    served.settings.set("server.grace", 10)
    answers: list[httpx.Response] = []

    def ask() -> None:
        answers.append(httpx.post(served.address + CHAT, json=body("word " * 20), trust_env=False))

    thread = threading.Thread(target=ask)
    thread.start()
    until(served.host.live)
    served.host.stop()
    thread.join()
    assert answers[0].json()["choices"][0]["message"]["content"] == "word " * 20


def test_tools_choices_and_reasoning_reach_the_engine(http, served) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    http.post(
        CHAT,
        json=body(
            tools=[tool], tool_choice={"type": "function", "function": {"name": "f"}}, parallel_tool_calls=False,
            reasoning_effort="high", logit_bias={"5": -100}, response_format={"type": "json_object"}, n=2,
            chat_template_kwargs={"x": 1},
        ),
    )  # fmt: skip
    request = served.supervisor.requests[0]
    assert (request.tools[0].name, request.tool_choice.mode, request.tool_choice.name) == ("f", "named", "f")
    assert (request.parallel_tool_calls, request.reasoning.effort) == (False, "high")
    assert (request.sampling.logit_bias, request.sampling.n) == ({5: -100}, 2)
    assert (request.response_format.kind, request.template_kwargs) == ("json_object", {"x": 1})


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "g"}}}, "tool_choice"),
        ({"tools": [{"type": "web_search"}]}, "tools[0]"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"n": 99}, "n"),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"logit_bias": {"5": 1000}}, "logit_bias"),
        ({"messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}]}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,\u00e9\U000b8bc0"}}]}]}, "messages"),
        ({"messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "http://169.254.169.254/x.png"}}]}]}, "messages"),
    ],
)  # fmt: skip
def test_what_can_t_be_is_refused_by_name(http, change, field) -> None:
    answer = http.post(CHAT, json=body() | change)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"].startswith(field)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"suffix": "x"}, "suffix"),
        ({"best_of": 4}, "best_of"),
        ({"echo": True, "logprobs": 2}, "echo"),
        ({"prompt": [1, "x"]}, "prompt"),
        ({"prompt": []}, "prompt"),
    ],
)
def test_what_completions_can_t_is_refused_by_name(http, change, field) -> None:
    answer = http.post("/v1/completions", json={"model": MODEL, "prompt": "x"} | change)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == field


def test_progress_of_the_prompt_is_told_who_asks(http, served) -> None:
    end = Finished("stop", Usage(100, 1), Timings())
    served.supervisor.script = [Delta(prefilled=40, prompt_tokens=100), Delta(text="Hi", tokens=1), end]
    text = http.post(CHAT, json=body(stream=True, return_progress=True)).text
    told = [json.loads(line[6:]) for line in text.splitlines() if "prompt_progress" in line]
    assert [(item["prompt_progress"]["total"], item["prompt_progress"]["processed"]) for item in told] == [
        (100, 40)
    ]
    assert "prompt_progress" not in http.post(CHAT, json=body(stream=True)).text


TOOLS = [
    Delta(reasoning="Hm.", tokens=1),
    Delta(text="So:", tokens=1),
    Delta(tool_calls=(ToolCallDelta(0, "c1", "f", '{"a":'),), tokens=2),
    Delta(tool_calls=(ToolCallDelta(0, arguments="1}"),), tokens=2),
    Delta(tool_calls=(ToolCallDelta(1, "c2", "g", "{}"),), tokens=2),
    Finished("tool_calls", Usage(9, 8, 0, 1), Timings(0, 0.1, 0.2, 0.1, 9, 7)),
]


def test_a_chat_with_thoughts_and_calls(http, served) -> None:
    served.supervisor.script = TOOLS
    choice = http.post(CHAT, json=body()).json()["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    message = choice["message"]
    assert (message["content"], message["reasoning_content"]) == ("So:", "Hm.")
    assert [(call["id"], call["function"]) for call in message["tool_calls"]] == [
        ("c1", {"name": "f", "arguments": '{"a":1}'}),
        ("c2", {"name": "g", "arguments": "{}"}),
    ]


def test_a_response_with_thoughts_and_calls(http, served) -> None:
    served.supervisor.script = TOOLS
    whole = http.post("/v1/responses", json={"model": MODEL, "input": "x"}).json()
    assert [item["type"] for item in whole["output"]] == [
        "reasoning",
        "message",
        "function_call",
        "function_call",
    ]
    assert whole["output"][2]["arguments"] == '{"a":1}'
    streamed = http.post("/v1/responses", json={"model": MODEL, "input": "x", "stream": True}).text
    events = [json.loads(line[6:]) for line in streamed.splitlines() if line.startswith("data: ")]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    last = events[-1]["response"]
    assert last["status"] == "completed"
    plain = lambda items: [{k: v for k, v in item.items() if k != "id"} for item in items]  # noqa: E731
    assert plain(last["output"]) == plain(whole["output"])
    follow = {
        "model": MODEL,
        "previous_response_id": whole["id"],
        "input": [{"type": "function_call_output", "call_id": "c1", "output": "rain"}],
    }
    http.post("/v1/responses", json=follow)
    user, assistant, tool = served.supervisor.requests[-1].messages
    assert (user.text, assistant.text, assistant.reasoning) == ("x", "So:", "Hm.")
    assert [call.id for call in assistant.tool_calls] == ["c1", "c2"]
    assert (tool.role, tool.tool_call_id, tool.text) == ("tool", "c1", "rain")


def test_lm_studio_s_chat_goes_on_where_it_was(http, served) -> None:
    first = http.post(
        "/api/v1/chat", json={"model": MODEL, "input": "one two", "system_prompt": "Be kind."}
    ).json()
    assert first["output"] == [{"type": "message", "content": "one two "}]
    assert first["stats"]["total_output_tokens"] == 2
    more = {"model": MODEL, "input": "three", "previous_response_id": first["response_id"], "stream": True}
    events = [
        line[7:] for line in http.post("/api/v1/chat", json=more).text.splitlines() if line[:7] == "event: "
    ]
    assert events == [
        "chat.start", "prompt_processing.start", "prompt_processing.end", "message.start", "message.delta",
        "message.end", "chat.end",
    ]  # fmt: skip
    assert [message.text for message in served.supervisor.requests[1].messages] == [
        "Be kind.", "one two", "one two ", "three"
    ]  # fmt: skip


def test_lm_studio_loads_lists_and_unloads(http) -> None:
    load = {"model": MODEL, "context_length": 512, "echo_load_config": True}
    loaded = http.post("/api/v1/models/load", json=load).json()
    assert (loaded["status"], loaded["load_config"]["context_length"]) == ("loaded", 512)
    assert http.get("/api/v1/models").json()["models"][0]["loaded_instances"][0]["id"] == MODEL
    card = http.get(f"/api/v0/models/{MODEL}").json()
    assert (card["state"], card["loaded_context_length"]) == ("loaded", 512)
    assert http.post("/api/v1/models/unload", json={"instance_id": MODEL}).json() == {"instance_id": MODEL}
    assert http.post("/api/v1/models/unload", json={"instance_id": MODEL}).status_code == 404
    stats = http.post("/api/v0/chat/completions", json=body()).json()["stats"]
    assert (stats["stop_reason"], stats["tokens_per_second"]) == ("eosFound", 10.0)


def test_llama_cpp_s_small_routes(http) -> None:
    assert http.post("/tokenize", json={"content": "ab"}).json() == {"tokens": [97, 98]}
    assert http.post("/detokenize", json={"tokens": [97, 98]}).json() == {"content": "ab"}
    template = http.post("/apply-template", json={"messages": [{"role": "user", "content": "x"}]})
    assert template.json() == {"prompt": "<user>x"}
    props = http.get("/props").json()
    assert props["total_slots"] == 4
    assert "gguf" not in json.dumps(props)
    assert http.post("/tokenize", json={"content": 3}).json()["error"]["code"] == 400


def test_metrics_count(http) -> None:
    http.post(CHAT, json=body())
    text = http.get("/metrics").text
    assert 'hearth_requests_total{path="/v1/chat",status="200"} 1' in text
    assert "hearth_completion_tokens_total 3" in text
    assert f'hearth_instance_ready{{model="{MODEL}"}} 1' in text


@pytest.mark.parametrize("served", [{"series": True}], indirect=True)
def test_metrics_have_every_series(http, served) -> None:
    served.bus.publish(
        Sample("instance:a", 1.0, {"decode_tps": 30.5, "decode_tps/1": 12.0, "decode_tps/2": 18.5})
    )
    served.bus.publish(Sample("gpu:0", 1.0, {"power": 210.0, "temperature": None}))
    text = http.get("/metrics").text
    assert 'hearth_instance_decode_tps{source="instance:a"} 30.5' in text
    assert 'hearth_instance_answer_decode_tps{source="instance:a",answer="2"} 18.5' in text
    assert 'hearth_gpu_power{source="gpu:0"} 210.0' in text
    assert "temperature" not in text
    assert text.count("# TYPE hearth_instance_answer_decode_tps gauge") == 1


def test_vectors_and_ranks(http) -> None:
    floats = http.post("/v1/embeddings", json={"model": MODEL, "input": "x", "dimensions": 1}).json()
    assert floats["data"][0]["embedding"] == [1.0]
    assert (
        http.post("/v1/embeddings", json={"model": MODEL, "input": "x", "dimensions": 9}).status_code == 400
    )
    assert http.post("/v1/embeddings", json={"model": MODEL, "input": ["x", ""]}).status_code == 400
    ranked = http.post(
        "/v1/rerank", json={"model": MODEL, "query": "q", "documents": ["a", "ccc", "bb"], "top_n": 2}
    )
    assert [row["index"] for row in ranked.json()["results"]] == [1, 2]


def test_a_model_whose_cache_was_given_back_makes_vectors_again(real) -> None:
    ask = {"model": real.vectors, "input": "a cat"}
    before = httpx.post(f"{real.address}/v1/embeddings", json=ask, timeout=60).json()
    real.supervisor.rest(real.vectors).result(60)
    instance = real.supervisor.snapshot(real.vectors)
    assert instance
    assert instance.rests
    again = httpx.post(f"{real.address}/v1/embeddings", json=ask, timeout=60).json()
    assert again["data"] == before["data"]
    assert not real.supervisor.snapshot(real.vectors).rests
