"""LM Studio's sockets from below: who may open one, what is refused, and what happens when a client goes."""

import json
import socket
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, RejectConnection, Request, TextMessage

from app import __version__
from app.core.events import InstanceChanged
from app.core.types import LoadPlan
from app.server import lmstudio_socket
from tests.waiting import PATIENCE, until

MODEL = "fake/model:Q4_K_M"
SAY = {"messages": [{"role": "user", "content": [{"type": "text", "text": "one two three"}]}]}
PREDICT = {
    "type": "channelCreate", "endpoint": "predict", "channelId": 1,
    "creationParameter": {"modelSpecifier": {"type": "query", "query": {"identifier": MODEL}}, "history": SAY},
}  # fmt: skip


class Client:
    """A socket that says and hears JSON."""

    def __init__(self, address: str, path: str, headers: list[tuple[bytes, bytes]], host: str) -> None:
        where = urlsplit(address)
        self.raw = socket.create_connection((where.hostname, where.port), timeout=PATIENCE)
        self._ws = WSConnection(ConnectionType.CLIENT)
        self._events: list[Any] = []
        self.raw.sendall(self._ws.send(Request(host=host, target=path, extra_headers=headers)))
        first = self.event()
        self.status = 101 if isinstance(first, AcceptConnection) else getattr(first, "status_code", 0)

    def event(self) -> Any:
        while not self._events:
            data = self.raw.recv(65536)
            self._ws.receive_data(data or None)
            self._events += [
                event for event in self._ws.events() if not isinstance(event, RejectConnection) or data
            ]
        return self._events.pop(0)

    def say(self, message: object) -> None:
        text = message if isinstance(message, str) else json.dumps(message)
        self.raw.sendall(self._ws.send(TextMessage(text)))

    def hear(self) -> Any:
        text = ""
        while True:
            event = self.event()
            if isinstance(event, CloseConnection):
                return None
            text += event.data
            if event.message_finished:
                return json.loads(text)

    def greet(self, passkey: str = "x") -> Any:
        self.say({"authVersion": 1, "clientIdentifier": "me", "clientPasskey": passkey})
        return self.hear()


@contextmanager
def opened(
    served: Any, path: str = "/llm", headers: list[tuple[bytes, bytes]] | None = None, host: str = "localhost"
) -> Iterator[Client]:
    client = Client(served.address, path, headers or [], host)
    try:
        yield client
    finally:
        client.raw.close()


@pytest.mark.parametrize(
    ("path", "headers", "host"),
    [
        ("/llm", [(b"Origin", b"https://evil.example")], "localhost"),
        ("/llm", [], "evil.example"),
        ("/nothing", [], "localhost"),
        ("/v1/chat/completions", [], "localhost"),
    ],
)
def test_strangers_get_no_socket(served, path, headers, host) -> None:
    with opened(served, path, headers, host) as client:
        assert client.status == 403


def test_a_prediction_is_streamed_counted_and_logged(served) -> None:
    with opened(served) as client:
        assert client.greet() == {"success": True}
        client.say(PREDICT)
        heard = []
        while (message := client.hear())["type"] != "channelClose":
            heard.append(message["message"])
    assert (
        "".join(item["fragment"]["content"] for item in heard if item["type"] == "fragment")
        == "one two three "
    )
    assert all("isStructural" in item["fragment"] for item in heard if item["type"] == "fragment")
    assert heard[-1]["stats"]["predictedTokensCount"] == 3
    until(served.host.log)
    line = served.host.log()[-1]
    assert (line.method, line.path, line.status, line.model) == ("WS", "/llm", 200, MODEL)
    assert served.host.usage()[0].completion_tokens == 3


def test_a_prediction_says_what_becomes_of_a_full_context(served) -> None:
    field = {"key": "llm.prediction.contextOverflowPolicy", "value": "truncateMiddle"}
    stack = {"layers": [{"layerName": "apiOverride", "config": {"fields": [field]}}]}
    with opened(served) as client:
        client.greet()
        client.say(
            PREDICT | {"creationParameter": PREDICT["creationParameter"] | {"predictionConfigStack": stack}}
        )
        while client.hear()["type"] != "channelClose":
            pass
    assert served.supervisor.requests[0].context_policy == "drop_middle"


def loads(endpoint: str, **more: object) -> dict[str, object]:
    given = {"modelKey": MODEL} if endpoint == "loadModel" else {"identifier": MODEL}
    return {"type": "channelCreate", "endpoint": endpoint, "channelId": 3, "creationParameter": given | more}


def told(client: Client) -> list[dict[str, Any]]:
    heard = []
    while (message := client.hear())["type"] != "channelClose":
        heard.append(message["message"])
    return heard


def test_loading_is_told_in_each_channel_s_own_words(served) -> None:
    """lmstudio-js waits for ever when it hears a word of the other channel, or null where there may be text."""
    with opened(served) as client:
        client.greet()
        for endpoint, words in (
            ("getOrLoad", ["startLoading", "loadSuccess"]),
            ("getOrLoad", ["alreadyLoaded"]),
            ("loadModel", ["resolved", "success"]),
        ):
            client.say(loads(endpoint))
            heard = told(client)
            assert [message["type"] for message in heard] == words
            assert all(None not in message["info"].values() for message in heard)


def test_loading_a_model_again_with_other_options_takes_them(served) -> None:
    fields = [{"key": "llm.load.contextLength", "value": 512}]
    stack = {"layers": [{"layerName": "apiOverride", "config": {"fields": fields}}]}
    with opened(served) as client:
        client.greet()
        for more in ({}, {"loadConfigStack": stack}):
            client.say(loads("loadModel", **more))
            length = told(client)[-1]["info"]["contextLength"]
        assert length == 512


@pytest.mark.parametrize(("endpoint", "word"), [("loadModel", "progress"), ("getOrLoad", "loadProgress")])
def test_a_load_shows_how_far_it_is_and_can_be_given_up(served, endpoint, word) -> None:
    load: Future[InstanceChanged] = Future()

    def slow(model: str, plan: LoadPlan) -> "Future[InstanceChanged]":
        served.supervisor.loaded[model] = InstanceChanged("1", model, "loading", plan, progress=0.4)
        return load

    served.supervisor.ensure_ready = slow
    with opened(served) as client:
        client.greet()
        client.say(loads(endpoint))
        client.hear()
        assert client.hear()["message"] == {"type": word, "progress": 0.4}
        client.say({"type": "channelSend", "channelId": 3, "message": {"type": "cancel"}})
        assert client.hear() == {"type": "channelClose", "channelId": 3}
    assert load.cancelled()
    assert served.supervisor.left == [MODEL]


def test_what_a_client_says_of_the_line_is_answered(served) -> None:
    with opened(served) as client:
        client.greet()
        client.say({"type": "communicationWarning", "warning": "what?"})
        client.say({"type": "channelAck", "channelId": 1, "ackId": 1})
        client.say({"type": "keepAlive"})
        assert client.hear() == {"type": "keepAliveAck"}
        client.say({"type": "channelSend", "channelId": 1, "message": {}, "ackId": 7})
        assert client.hear() == {"type": "channelAck", "channelId": 1, "ackId": 7}
        client.say({"type": "rpcCall", "endpoint": "version", "callId": 1})
        assert client.hear()["result"]["version"] == __version__


def test_a_client_that_goes_frees_its_sequence(served) -> None:
    served.supervisor.delay = 0.05
    with opened(served) as client:
        client.greet()
        client.say(PREDICT)
        client.hear()
    until(lambda: served.supervisor.requests[0].id in served.supervisor.cancelled)
    until(lambda: not served.host.live())


def test_a_key_is_asked_for_and_may_be_revoked(served) -> None:
    key, text = served.host.keys.create("laptop")
    with opened(served) as client:
        assert client.greet()["success"] is False
    with opened(served, headers=[(b"Authorization", b"Bearer " + text.encode())]) as client:
        assert client.greet() == {"success": True}
    with opened(served) as client:
        assert client.greet(text) == {"success": True}
        client.say({"type": "rpcCall", "endpoint": "listDownloadedModels", "callId": 7})
        assert client.hear()["result"][0]["modelKey"] == MODEL
        served.host.keys.revoke(key.id)
        served.settings.set("server.api_key", "other")
        client.say({"type": "rpcCall", "endpoint": "listDownloadedModels", "callId": 8})
        assert "missing or wrong" in client.hear()["error"]["title"]


@pytest.mark.parametrize(
    ("message", "part"),
    [
        ("{", "communicationWarning"),
        ('{"a":' * 100_000, "communicationWarning"),
        ({"type": "channelCreate", "endpoint": "predict", "channelId": 1}, "channelError"),
        ({"type": "channelCreate", "endpoint": "nothing", "channelId": 1}, "no channel nothing"),
        ({"type": "rpcCall", "endpoint": "nothing", "callId": 1}, "no call nothing"),
        ({"type": "rpcCall", "endpoint": "tokenize", "callId": 1, "parameter": {"inputString": 3}}, "rpcError"),
        ({"type": "rpcCall", "endpoint": "getModelInfo", "callId": 1,
          "parameter": {"specifier": {"type": "query", "query": {"identifier": "/etc/passwd"}}}}, "noModelMatching"),
        ({"type": "rpcCall", "endpoint": "uploadFileBase64", "callId": 1,
          "parameter": {"name": "a.png", "contentBase64": "aGVsbG8="}}, "a.png can't be used: it is not an image"),
        ({"type": "rpcCall", "endpoint": "uploadFileBase64", "callId": 1,
          "parameter": {"contentBase64": "%%"}}, "not base64"),
        ({"type": "rpcCall", "endpoint": "searchModels", "callId": 1,
          "parameter": {"opts": {"searchTerm": "x"}}}, "can't search the Hub"),
        ({"type": "rpcCall", "endpoint": "searchModels", "callId": 1,
          "parameter": {"opts": {"limit": 26}}}, "opts.limit"),
        ({"type": "rpcCall", "endpoint": "getModelDownloadOptions", "callId": 1,
          "parameter": {"modelSearchResultIdentifier": {"type": "catalog", "identifier": "x"}}}, "no catalog"),
        ({"type": "channelCreate", "endpoint": "downloadModel", "channelId": 1,
          "creationParameter": {"downloadIdentifier": "o/r:Q4_0"}}, "can't download"),
        ({"type": "channelCreate", "endpoint": "predict", "channelId": 1,
          "creationParameter": {"modelSpecifier": {"type": "query", "query": {"identifier": MODEL}}, "history":
            {"messages": [{"role": "user", "content": [{"type": "file", "identifier": "gone"}]}]}}}, "no file gone"),
        ({"type": "channelSend", "channelId": 99, "message": {"type": "cancel"}}, ""),
    ],
)  # fmt: skip
def test_what_can_t_be_is_refused_and_the_socket_stays(served, message, part) -> None:
    with opened(served, "/system") as client:
        client.greet()
        client.say(message)
        if part:
            assert part in json.dumps(client.hear())
        client.say({"type": "rpcCall", "endpoint": "listLoaded", "callId": 2})
        assert client.hear() == {"type": "rpcResult", "callId": 2, "result": []}


def test_who_does_not_greet_is_closed(served, monkeypatch) -> None:
    monkeypatch.setattr(lmstudio_socket, "GREETING_TIME", 0.2)
    with opened(served) as client:
        assert client.status == 101
        assert client.hear() is None


def test_the_server_stops_with_a_socket_open(served) -> None:
    with opened(served) as client:
        client.greet()
        served.host.stop(0)
        assert client.hear() is None
