"""Text that goes from the runtime thread to its client past the loop: nothing is lost, doubled or out of order."""

import asyncio
import errno
import json
import re
import socket
import threading
from collections.abc import Callable

import pytest

from app.core.generate import Delta, Finished, GenerateEvent, Timings, Usage
from app.server.connection import Corked
from app.server.errors import Problem
from app.server.live import Live
from app.server.run import Run
from app.server.stream import EventStream, HangUpError
from tests.waiting import until

MODEL = "fake/model:Q4_K_M"
END = Finished("stop", Usage(), Timings())
TEXTS = [f"{number:06d} " + "x" * 30_000 for number in range(250)]
"""More than the system keeps for a client that does not read."""


@pytest.fixture
def chunks(monkeypatch) -> list[bytes]:
    """What went straight; empty for what the system did not take whole."""
    found: list[bytes] = []
    chunk = Corked.chunk

    def noted(self: Corked, data: bytes) -> bool:
        whole = chunk(self, data)
        found.append(data if whole else b"")
        return whole

    monkeypatch.setattr(Corked, "chunk", noted)
    return found


def connect(served, *, version: str = "1.1", path: str = "/v1/chat/completions") -> socket.socket:
    """A client with little room for what it has not read, after it has asked for a stream."""
    host, port = served.address.removeprefix("http://").split(":")
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(60)
    client.connect((host, int(port)))
    messages = [{"role": "user", "content": "x"}]
    body = json.dumps({"model": MODEL, "stream": True, "messages": messages, "max_tokens": 9999}).encode()
    head = (
        f"POST {path} HTTP/{version}\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(body)}"
    )
    client.sendall(head.encode() + b"\r\n\r\n" + body)
    return client


def rest_of(client: socket.socket) -> bytes:
    found = []
    while data := client.recv(65536):
        found.append(data)
    client.close()
    return b"".join(found)


def unchunked(answer: bytes) -> bytes:
    """A chunked body; raises ValueError where the frames don't fit."""
    data, found = answer.partition(b"\r\n\r\n")[2], []
    while True:
        size, _, data = data.partition(b"\r\n")
        if not int(size, 16):
            return b"".join(found)
        found.append(data[: int(size, 16)])
        if data[int(size, 16) :][:2] != b"\r\n":
            raise ValueError(data[:40])
        data = data[int(size, 16) + 2 :]


def said(body: bytes) -> str:
    lines = (line.removeprefix("data: ") for line in body.decode().splitlines() if line.startswith("data: {"))
    choices = [choice for line in lines for choice in json.loads(line)["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def test_a_client_that_reads_late_gets_every_byte_in_order(served, chunks) -> None:
    served.supervisor.delay = 0.001
    served.supervisor.script = [*(Delta(text=text, tokens=1) for text in TEXTS), END]
    client = connect(served)
    until(lambda: served.supervisor.requests)
    served.supervisor.finish()  # all is written, little of it read
    body = unchunked(rest_of(client))
    assert said(body) == "".join(TEXTS)
    assert body.endswith(b"data: [DONE]\n\n")
    assert b"" in chunks, "the client kept up"
    assert any(chunks), "nothing went straight"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/api/chat"])
def test_words_that_come_one_by_one_go_straight(served, chunks, path: str) -> None:
    words = [Delta(text=f"w{number} ", tokens=1) for number in range(30)]
    served.supervisor.delay, served.supervisor.script = 0.005, [*words, END]
    body = unchunked(rest_of(connect(served, path=path))).decode()
    assert re.findall(r"w\d+ ", body) == [word.text for word in words]
    assert len(chunks) > 15


def test_without_chunks_all_goes_by_the_loop(served, chunks) -> None:
    served.supervisor.delay, served.supervisor.script = 0.005, [Delta(text="a", tokens=1)] * 10 + [END]
    assert said(rest_of(connect(served, version="1.0"))) == "a" * 10
    assert not chunks


def test_a_client_that_goes_ends_its_request_and_nothing_is_written_any_more(served, chunks) -> None:
    served.supervisor.delay = 0.002
    served.supervisor.script = [Delta(text="word ", tokens=1)] * 3000
    client = connect(served)
    until(lambda: len(chunks) > 3)
    client.close()
    until(lambda: served.supervisor.requests[0].id in served.supervisor.cancelled)
    written = len(chunks)
    until(lambda: not served.host.live())
    assert len(chunks) == written
    served.supervisor.script.clear()


def test_a_server_without_a_free_handle_writes_by_itself(served, monkeypatch) -> None:
    tried: list[int] = []

    def dup(handle: int) -> int:
        tried.append(handle)
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("app.server.connection.os.dup", dup)
    words = [Delta(text=f"w{number} ", tokens=1) for number in range(5)]
    served.supervisor.delay, served.supervisor.script = 0.005, [*words, END]
    body = unchunked(rest_of(connect(served)))
    assert said(body) == "w0 w1 w2 w3 w4 "
    assert len(tried) == 1


async def _stream(act: Callable[[EventStream], None]) -> EventStream:
    stream = EventStream(asyncio.get_running_loop())
    threading.Timer(0.01, act, (stream,)).start()
    return stream


def test_what_is_not_taken_whole_is_followed_by_the_loop() -> None:
    gone: list[str] = []

    def straight(delta: Delta) -> bool:
        gone.append(delta.text)
        return delta.text != "b"

    def act(stream: EventStream) -> None:
        for text in "abcd":
            stream.put(Delta(text=text))

    async def run() -> list[str]:
        stream = await _stream(act)
        return [event.text for event in await stream.batch(30, straight)]

    assert asyncio.run(run())[:1] == ["c"]
    assert gone == ["a", "b"]


def test_an_error_while_writing_straight_is_raised_on_the_loop() -> None:
    def straight(_delta: Delta) -> bool:
        raise ValueError("no such letter")

    async def run() -> None:
        stream = await _stream(lambda stream: stream.put(Delta(text="a")))
        await stream.batch(30, straight)

    with pytest.raises(ValueError, match="no such letter"):
        asyncio.run(run())


def test_silence_after_straight_words_is_told_apart_from_silence() -> None:
    async def run() -> tuple[list[object], bool, bool]:
        stream = await _stream(lambda stream: stream.put(Delta(text="a")))
        return await stream.batch(0.2, lambda _delta: True), stream.went(), stream.went()

    assert asyncio.run(run()) == ([], True, False)


def test_nothing_goes_straight_after_a_hang_up() -> None:
    async def run() -> EventStream:
        stream = await _stream(lambda stream: stream._loop.call_soon_threadsafe(stream.hang_up))
        with pytest.raises(HangUpError):
            await stream.batch(30, lambda _delta: True)
        stream.put(Delta(text="a"))
        return stream

    assert not asyncio.run(run()).went()


class Spilling:
    """A run whose worker writes to the client; ``spilled`` is what the loop was given of it."""

    def __init__(self, *, deadline: float = float("inf")) -> None:
        self.spilled: list[bytes] = []
        self.run = run = object.__new__(Run)
        run.live, run.spoke = Live(1, "POST", "/"), True
        run._stream = self.stream = EventStream(asyncio.get_running_loop())
        run._deadline, run._write = deadline, self.spilled.append


def test_nothing_overtakes_what_was_spilled() -> None:
    gone: list[Delta] = []

    async def run() -> list[GenerateEvent]:
        made = Spilling()
        made.stream.spill(b"rest")
        waiting = asyncio.ensure_future(made.run.batch(straight=lambda delta: not gone.append(delta)))
        await asyncio.sleep(0)
        assert made.spilled == [b"rest"]
        made.stream.put(Delta(text="a"))
        return list(await waiting)

    assert asyncio.run(run()) == [Delta(text="a")]
    assert not gone


def test_what_is_spilled_while_an_answer_is_cut_short_is_written() -> None:
    async def run() -> list[bytes]:
        made = Spilling(deadline=0.0)
        made.stream.spill(b"in time, ")
        with pytest.raises(Problem):
            await made.run.batch()
        made.stream.spill(b"late")
        made.stream.put(END)
        await made.run.silence()
        return made.spilled

    assert asyncio.run(run()) == [b"in time, ", b"late"]


def test_an_answer_that_ends_as_its_time_does_has_ended() -> None:
    async def run() -> list[GenerateEvent]:
        made = Spilling(deadline=0.0)
        made.stream.put(END)
        return list(await made.run.batch())

    assert asyncio.run(run()) == [END]
