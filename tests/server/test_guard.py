"""Who is let in: by key, by Host, by Origin, by size."""

import socket

import pytest

from app.server.guard import MAX_BODY, host_allowed, origin_allowed


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8177", "localhost", "[::1]:8177", "192.168.1.7:80", socket.gethostname()]
)
def test_this_machine_s_names_are_served(host: str) -> None:
    assert host_allowed(host)


@pytest.mark.parametrize(
    "host", ["", "evil.example", "evil.example:8177", "localhost.evil.example", "127.0.0.1.evil.example"]
)
def test_a_rebound_name_is_refused(http, host: str) -> None:
    assert not host_allowed(host)
    if host:
        assert http.get("/v1/models", headers={"Host": host}).status_code == 403


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "file://", "http://localhost.evil.example"]
)
def test_a_web_page_is_refused(http, origin: str) -> None:
    assert not origin_allowed(origin)
    answer = http.get("/v1/models", headers={"Origin": origin})
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


def test_a_page_of_this_machine_may_ask_but_gets_no_cors_star(http) -> None:
    answer = http.get("/v1/models", headers={"Origin": "http://localhost:3000"})
    assert answer.status_code == 200
    assert answer.headers.get("access-control-allow-origin") != "*"


def test_with_a_key_only_its_owner_is_served(http, served) -> None:
    served.settings.set("server.api_key", "sesame")
    assert http.get("/v1/models").status_code == 401
    assert http.get("/v1/models", headers={"Authorization": "Bearer open"}).status_code == 401
    assert http.get("/v1/models", headers={"Authorization": "Bearer sésame".encode()}).status_code == 401
    assert http.get("/v1/models", headers={"Authorization": "Bearer sesame"}).status_code == 200
    assert http.get("/v1/models", headers={"X-Api-Key": "sesame"}).status_code == 200
    assert http.get("/health").json() == {"status": "ok"}


def test_a_body_that_is_too_large_is_refused(http) -> None:
    with socket.create_connection((http.base_url.host, http.base_url.port)) as raw:
        raw.sendall(
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {MAX_BODY + 1}\r\n\r\n".encode()
        )
        assert b" 413 " in raw.recv(100)


def test_a_chunked_body_is_counted(http) -> None:
    def chunks():
        for _ in range(MAX_BODY // 2**20 + 1):
            yield b" " * 2**20

    assert http.post("/v1/chat/completions", content=chunks()).status_code == 413


def test_an_unknown_path_and_method_are_told_in_openai_s_shape(http) -> None:
    assert http.get("/nothing").json()["error"]["code"] == "not_found"
    assert http.delete("/v1/models").json()["error"]["code"] == "method_not_allowed"
