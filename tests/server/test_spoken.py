"""Text that the real worker writes straight to its clients' sockets: the same as any other, whatever comes between."""

import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.core.generate import Delta, Failed, Finished, Spilled
from app.runtime.supervisor import Supervisor
from app.server.connection import Connection
from app.server.host import ServerHost
from app.server.stream import EventStream
from tests.server.test_straight import rest_of, unchunked
from tests.waiting import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(socket, "send_fds"), reason="sockets are not lent here"),
]
STORY = [{"role": "user", "content": "Tell a long story of the sea, with many names."}]


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What came by the server."""
    found: list[Any] = []
    put = EventStream.put

    def noted(self: EventStream, event: Any) -> None:
        found.append(event)
        put(self, event)

    monkeypatch.setattr(EventStream, "put", noted)
    return found


def texts(events: list[Any]) -> list[str]:
    return [event.text for event in events if isinstance(event, Delta) and event.text]


def ask(
    real: Any, path: str = "/v1/chat/completions", *, close: bool = True, **more: object
) -> socket.socket:
    """A client that has asked for a stream."""
    host, port = real.address.removeprefix("http://").split(":")
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(60)
    client.connect((host, int(port)))
    send(client, real, path, close=close, **more)
    return client


def send(client: socket.socket, real: Any, path: str, *, close: bool, **more: object) -> None:
    asked = {
        "model": real.model,
        "stream": True,
        "messages": STORY,
        "max_tokens": 60,
        "temperature": 0,
        **more,
    }
    body = json.dumps(asked).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    client.sendall(head.encode() + (b"Connection: close\r\n" if close else b"") + b"\r\n" + body)


def data_of(answer: bytes) -> list[Any]:
    """The events' data of an answer whose chunks are as they must be."""
    lines = unchunked(answer).decode().split("\n")
    return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]


def said(data: list[Any]) -> str:
    return "".join(choice["delta"].get("content") or "" for item in data for choice in item["choices"])


def whole(real: Any, **more: object) -> str:
    """The same without a stream."""
    client = ask(real, stream=False, **more)
    body = rest_of(client).partition(b"\r\n\r\n")[2]
    return str(json.loads(body)["choices"][0]["message"]["content"])


READ: dict[str, Callable[[Any], str]] = {
    "/v1/chat/completions": lambda item: item["choices"][0]["delta"].get("content") or "",
    "/v1/completions": lambda item: item["choices"][0]["text"],
    "/v1/messages": lambda item: item.get("delta", {}).get("text", ""),
}


@pytest.mark.parametrize("path", READ)
def test_the_worker_writes_and_its_words_are_those_of_any_answer(
    real: Any, events: list[Any], path: str
) -> None:
    more = {"messages": None, "prompt": "Once upon a time"} if path == "/v1/completions" else {}
    text = "".join(map(READ[path], data_of(rest_of(ask(real, path, **more)))))
    assert len("".join(texts(events))) < len(text) / 2, "the worker did not write itself"
    told = sum(event.tokens for event in events if isinstance(event, Delta))
    [end] = [event for event in events if isinstance(event, Finished)]
    assert end.usage.completion - 1 <= told <= end.usage.completion
    if path == "/v1/chat/completions":
        assert text == whole(real)


def test_a_stop_string_ends_it_and_none_of_it_is_seen(real: Any, events: list[Any]) -> None:
    text = whole(real)
    stop = text[len(text) // 2 :][:7]
    data = data_of(rest_of(ask(real, stop=[stop])))
    assert said(data) == text[: text.index(stop)]
    assert data[-1]["choices"][0]["finish_reason"] == "stop"
    assert len(texts(events)) < 20


def test_letters_of_several_tokens_come_whole(real: Any) -> None:
    asked = [{"role": "user", "content": "Repeat: \U0001f600 Tiếng Việt \U0001f9d9 \u20ac"}]
    more = {"messages": asked, "max_tokens": 40, "logit_bias": None}
    assert said(data_of(rest_of(ask(real, **more)))) == whole(real, **more)


def test_a_connection_is_good_for_the_next_answer(real: Any, events: list[Any]) -> None:
    client = ask(real, close=False, max_tokens=12)
    first = b""
    while not first.endswith(b"0\r\n\r\n"):
        first += client.recv(65536)
    send(client, real, "/v1/chat/completions", close=True, max_tokens=12)
    assert said(data_of(first)) == said(data_of(rest_of(client))) != ""
    assert len(texts(events)) < 10


def test_a_client_that_reads_late_gets_every_byte(real: Any, events: list[Any], monkeypatch: Any) -> None:
    made = Connection.connection_made

    def narrow(self: Connection, transport: Any) -> None:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        made(self, transport)

    monkeypatch.setattr(Connection, "connection_made", narrow)
    more = {"max_tokens": 150, "ignore_eos": True}
    client = ask(real, **more)
    until(lambda: any(isinstance(event, Finished) for event in events))
    assert any(isinstance(event, Spilled) for event in events), "the client kept up"
    assert said(data_of(rest_of(client))) == whole(real, **more)


def test_a_client_that_goes_ends_its_request(real: Any, events: list[Any]) -> None:
    client = ask(real, max_tokens=1500, ignore_eos=True)
    until(lambda: sum(event.tokens for event in events if isinstance(event, Delta)) > 20)
    client.close()
    until(lambda: not real.host.live())
    until(lambda: [event.reason for event in events if isinstance(event, Finished)] == ["cancelled"])


@pytest.mark.parametrize("tokens", [8, 21])
def test_an_answer_that_is_cancelled_is_the_beginning_of_the_whole(
    real: Any, events: list[Any], tokens: int
) -> None:
    client = ask(real, ignore_eos=True)
    data = client.recv(1000)
    while data.count(b'"content":') < tokens:
        data += client.recv(1000)
    for live in real.host.live():
        real.host.cancel(live.id)
    found = said(data_of(data + rest_of(client)))
    assert found
    assert whole(real, ignore_eos=True).startswith(found)
    [end] = [event for event in events if isinstance(event, Finished)][:1]
    assert end.reason in {"cancelled", "length"}


def test_an_answer_that_takes_too_long_ends_with_an_error_and_nothing_behind_it(
    real: Any, events: list[Any]
) -> None:
    real.settings.set("server.timeout", 1)
    try:
        data = data_of(rest_of(ask(real, max_tokens=1500, ignore_eos=True)))
    finally:
        real.settings.set("server.timeout", 0)
    assert data[-1]["error"]["code"] == "timeout"
    assert len(said(data[:-1])) > 50
    assert len(texts(events)) < 10


def test_two_at_once_get_their_own(real: Any) -> None:
    asked = [
        [{"role": "user", "content": f"Say only this: {word} {word} {word}."}]
        for word in ("stone", "river", "cloud")
    ]
    alone = [whole(real, messages=messages, max_tokens=30) for messages in asked]
    clients = [ask(real, messages=messages, max_tokens=30) for messages in asked]
    together = [said(data_of(rest_of(client))) for client in clients]
    for word, one, other in zip(("stone", "river", "cloud"), alone, together, strict=True):
        assert one[:12] == other[:12], word  # (sums of a larger batch may differ in the last bit)


@pytest.fixture
def mortal(real: Any, tmp_path: Path) -> Iterator[SimpleNamespace]:
    """A server with a worker of its own."""
    supervisor = Supervisor(real.bus, tmp_path)
    supervisor.ensure_ready(real.model, real.supervisor.snapshot(real.model).plan).result(60)
    host = ServerHost(real.host._library, supervisor, real.host._planner, real.bus, real.settings)
    address = host.start("127.0.0.1", 0).address
    yield SimpleNamespace(address=address, model=real.model, pid=supervisor.pids()[0])
    host.close()
    supervisor.close()


def test_a_worker_that_is_killed_leaves_its_words_and_an_error(mortal: Any, events: list[Any]) -> None:
    client = ask(mortal, max_tokens=1500, ignore_eos=True, close=False)
    until(lambda: sum(event.tokens for event in events if isinstance(event, Delta)) > 20)
    os.kill(mortal.pid, signal.SIGKILL)
    data = data_of(rest_of(client))  # (it ends: the connection is not used again)
    assert len(said(data[:-1])) > 20
    assert "error" in data[-1]
    assert isinstance(events[-1], Failed)
