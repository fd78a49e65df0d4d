"""Which web pages may ask, and what a browser is told about it."""

import pytest

from app.server.guard import host_allowed, origin_allowed

PAGE = "https://chat.example"


def test_a_listed_page_may_ask_without_credentials(http, served) -> None:
    assert http.get("/v1/models", headers={"Origin": PAGE}).status_code == 403
    served.settings.set("server.origins", f"{PAGE}/\nhttps://other.example")
    answer = http.get("/v1/models", headers={"Origin": PAGE})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert "access-control-allow-credentials" not in answer.headers
    assert "origin" in answer.headers["vary"].lower()
    refused = http.get("/v1/models", headers={"Origin": "https://evil.example"})
    assert refused.status_code == 403
    assert "access-control-allow-origin" not in refused.headers


def test_a_preflight_is_answered_before_the_key(http, served) -> None:
    served.settings.set("server.origins", PAGE)
    served.host.keys.create("x")
    asked = {
        "Origin": PAGE,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
        "Access-Control-Request-Private-Network": "true",
    }
    answer = http.options("/v1/chat/completions", headers=asked)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-headers"] == "authorization,content-type"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-private-network"] == "true"
    assert "access-control-allow-credentials" not in answer.headers
    assert http.options("/v1/models", headers=asked | {"Origin": "null"}).status_code == 403
    assert http.post("/v1/chat/completions", headers={"Origin": PAGE}, json={}).status_code == 401


def test_a_star_means_every_page_and_still_no_credentials(http, served) -> None:
    served.settings.set("server.origins", "*")
    answer = http.get("/v1/models", headers={"Origin": "https://any.example"})
    assert answer.headers["access-control-allow-origin"] == "https://any.example"
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    "origin", ["https://chat.example.evil", "https://xchat.example", "http://chat.example"]
)
def test_only_the_very_origin_is_meant(origin) -> None:
    assert not origin_allowed(origin, PAGE)


def test_a_listed_page_s_name_may_be_the_host_behind_a_proxy() -> None:
    assert host_allowed("chat.example:443", PAGE)
    assert not host_allowed("evil.example", PAGE)
