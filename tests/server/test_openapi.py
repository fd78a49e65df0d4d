"""The description is true: every endpoint is in it and answers as it says, and the page stays at home."""

import re

import msgspec
import pytest

from app.server.page import HTML

MODEL = "fake/model:Q4_K_M"
SAY = [{"role": "user", "content": "one two"}]
GOOD = {
    "/v1/chat/completions": {"model": MODEL, "messages": SAY},
    "/v1/completions": {"model": MODEL, "prompt": "one"},
    "/v1/embeddings": {"model": MODEL, "input": "one"},
    "/v1/rerank": {"model": MODEL, "query": "q", "documents": ["a"]},
    "/rerank": {"model": MODEL, "query": "q", "documents": ["a"]},
    "/v1/responses": {"model": MODEL, "input": "one"},
    "/v1/messages": {"model": MODEL, "messages": SAY, "max_tokens": 5},
    "/v1/messages/count_tokens": {"model": MODEL, "messages": SAY},
    "/api/chat": {"model": MODEL, "messages": SAY, "stream": False},
    "/api/generate": {"model": MODEL, "prompt": "one", "stream": False},
    "/api/embed": {"model": MODEL, "input": "one"},
    "/api/embeddings": {"model": MODEL, "prompt": "one"},
    "/api/show": {"model": MODEL},
    "/api/copy": {"source": MODEL, "destination": "other"},
    "/api/v0/chat/completions": {"model": MODEL, "messages": SAY},
    "/api/v0/completions": {"model": MODEL, "prompt": "one"},
    "/api/v0/embeddings": {"model": MODEL, "input": "one"},
    "/api/v1/chat": {"model": MODEL, "input": "one"},
    "/api/v1/models/load": {"model": MODEL},
    "/api/v1/models/unload": {"instance_id": MODEL},
    "/tokenize": {"content": "one"},
    "/detokenize": {"tokens": [97]},
    "/apply-template": {"messages": SAY},
}


@pytest.fixture
def spec(http):
    return http.get("/openapi.json").json()


def test_every_answer_has_the_described_fields(http, spec) -> None:
    posts = {path for path, methods in spec["paths"].items() if "post" in methods}
    for path in sorted(
        posts - {"/api/pull", "/api/v1/models/download"}, key=lambda p: (p.endswith("unload"), p)
    ):
        answer = http.post(path, json=GOOD[path])
        operation = spec["paths"][path]["post"]
        assert answer.status_code == 200, (path, answer.text)
        content = operation["responses"]["200"].get("content")
        if content:
            schema = _resolved(spec, content["application/json"]["schema"])
            assert set(schema.get("required", ())) <= set(answer.json()) <= set(schema["properties"]), path


def test_every_get_is_answered_as_described(http, spec) -> None:
    for path, methods in spec["paths"].items():
        if "get" not in methods or "{" in path:
            continue
        answer = http.get(path)
        assert answer.status_code == 200, path
        content = methods["get"]["responses"]["200"]["content"]
        assert answer.headers["content-type"].partition(";")[0] in content, path


# Anything a stranger may send; what is missing, wrong or odd must be refused with a described status.
ODD = (
    None,
    True,
    -1,
    2**70,
    1e400,
    "",
    "x" * 300,
    "\ud800",
    [],
    [None],
    {},
    {"a": []},
    [[[[1]]]],
    "../../etc/passwd",
)


def test_odd_values_are_refused_and_never_break_it(http, spec) -> None:
    for path, good in GOOD.items():
        described = {int(status) for status in spec["paths"][path]["post"]["responses"]}
        body_schema = spec["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        for name in _resolved(spec, body_schema)["properties"]:
            for value in ODD:
                content = _encode(good | {name: value})
                answer = http.post(path, content=content)
                assert answer.status_code in described, (path, name, value, answer.text[:200])
                assert answer.status_code < 500, (path, name, value, answer.text[:200])


def _encode(body: object) -> bytes:
    import json

    return json.dumps(body).replace("Infinity", "1e999").encode()


def _resolved(spec, schema):
    while "$ref" in schema:
        schema = spec["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def test_all_references_lead_somewhere(http, spec) -> None:
    text = msgspec.json.encode(spec).decode()
    names = set(re.findall(r"#/components/schemas/([^\"]+)", text))
    assert names <= set(spec["components"]["schemas"])


def test_the_page_brings_everything_with_it(http) -> None:
    answer = http.get("/docs")
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"(src|href)=\"(https?:)?//|@import|url\(", HTML)


def test_the_page_and_the_description_need_no_key(http, served) -> None:
    served.host.keys.create("x")
    assert http.get("/docs").status_code == http.get("/openapi.json").status_code == 200
    assert http.get("/v1/models").status_code == 401
