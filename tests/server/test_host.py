"""The switch: on, off, busy ports, restarts, and answers cut short at the end."""

import socket
import threading
import time
from types import SimpleNamespace

import httpx2 as httpx
import pytest

from app.core.errors import BindError, PortInUseError
from app.core.events import ServerChanged
from app.server.host import bind, free_port


def test_it_goes_on_and_off_and_says_so(served) -> None:
    seen: list[ServerChanged] = []
    served.bus.subscribe(ServerChanged, seen.append)
    assert httpx.get(f"{served.address}/health", trust_env=False).status_code == 200
    assert served.host.start() == served.host.state()  # on already
    served.host.stop()
    served.host.stop()
    assert [event.state for event in seen] == ["stopping", "off"]
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{served.address}/health", trust_env=False)


def test_it_comes_back_on_the_same_port_at_once(served) -> None:
    port = int(served.address.rsplit(":", 1)[1])
    for _ in range(3):
        assert httpx.get(f"{served.address}/health", trust_env=False).status_code == 200
        served.host.stop()
        assert served.host.start("127.0.0.1", port).address == served.address


def test_a_busy_port_is_named_and_the_next_offered(served) -> None:
    served.host.stop()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortInUseError) as caught:
            served.host.start("127.0.0.1", port)
    assert caught.value.params["port"] == port
    assert served.host.state().state == "failed"
    assert served.host.state().error.code == "port_in_use"
    assert served.host.start("127.0.0.1", int(caught.value.params["free"])).state == "on"


def test_an_address_that_is_not_ours_is_told() -> None:
    with pytest.raises(BindError, match=r"203\.0\.113\.1"):
        bind("203.0.113.1", 8177)


def test_small_answers_do_not_wait_for_acknowledgements(served) -> None:
    took = []
    with httpx.Client(base_url=served.address, trust_env=False) as client:
        for _ in range(60):
            began = time.monotonic()
            client.get("/health")
            took.append(time.monotonic() - began)
    # Each of the later ones would; on a busy machine some take long for other reasons.
    assert sorted(took[20:])[10] < 0.04


def test_the_free_port_can_be_bound() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        free = free_port("127.0.0.1", other.getsockname()[1])
        with bind("127.0.0.1", free) as bound:
            assert bound.getsockname() == ("127.0.0.1", free)


def test_stopping_cuts_an_answer_and_its_client_sees_the_end(served) -> None:
    served.settings.set("server.grace", 0)
    served.supervisor.delay = 0.05
    body = {"model": "fake", "messages": [{"role": "user", "content": "word " * 500}], "stream": True}
    seen = SimpleNamespace(text=b"")

    def read() -> None:
        with httpx.stream(
            "POST", f"{served.address}/v1/chat/completions", json=body, trust_env=False
        ) as answer:
            started.set()
            for data in answer.iter_bytes():
                seen.text += data

    started = threading.Event()
    reader = threading.Thread(target=read)
    reader.start()
    assert started.wait(60)
    served.host.stop()
    reader.join(60)
    assert not reader.is_alive()
    assert b"[DONE]" in seen.text
