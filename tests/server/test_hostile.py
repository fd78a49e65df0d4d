"""Clients that mean no good: others are served meanwhile, and memory stays flat."""

import ctypes
import json
import os
import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

import httpx2 as httpx
import psutil
import pytest

from app.server import connection, guard
from tests.waiting import PATIENCE, until

MODEL = "fake/model:Q4_K_M"
CHAT = "/v1/chat/completions"
HALF_OPEN = 10_000
GROWTH = 64 * 2**20
NEST = b'{"a":' * 50_000 + b"1" + b"}" * 50_000
DEEP = (
    b'{"model":"fake","messages":[{"role":"user","content":"x"}],'
    b'"response_format":{"type":"json_object","schema":%s}}' % NEST
)


def resident() -> int:
    """Bytes in memory, without what the C library holds back though it is free."""
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
    return psutil.Process(os.getpid()).memory_info().rss


def dial(served) -> socket.socket:
    where = urlsplit(served.address)
    return socket.create_connection((where.hostname, where.port), timeout=PATIENCE)


def serves(served) -> bool:
    body = {"model": MODEL, "messages": [{"role": "user", "content": "one two"}]}
    answer = httpx.post(served.address + CHAT, json=body, trust_env=False, timeout=PATIENCE)
    return answer.status_code == 200


def closed(raw: socket.socket) -> bool:
    try:
        while raw.recv(65536):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


@pytest.fixture
def flat(served) -> Iterator[None]:
    """Memory does not grow by much, and the server serves at the end."""
    assert serves(served)
    before = resident()
    yield
    assert serves(served)
    # What is on its way out (a cut body of 10 MB and its copies) may go a moment later.
    until(lambda: resident() - before < GROWTH)


def room_for(wanted: int) -> int:
    """How many of ``wanted`` sockets this process may hold, with its limit raised as far as it lets itself be: both
    ends of a connection are in it, though of the server's ends only the newest stay open."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + 2 * connection.MOST_CONNECTIONS + 200
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return (
        wanted
        if soft == resource.RLIM_INFINITY
        else min(wanted, soft - 2 * connection.MOST_CONNECTIONS - 200)
    )


def test_half_open_connections_push_each_other_out(served, flat) -> None:
    count = room_for(HALF_OPEN)
    with ExitStack() as stack:
        for number in range(count):
            raw = stack.enter_context(dial(served))
            raw.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n")
            if number % 1000 == 999:
                assert serves(served)
        if hasattr(psutil.Process, "num_fds"):  # both ends are in this process
            assert psutil.Process().num_fds() < count + connection.MOST_CONNECTIONS + 100


def test_a_head_or_body_that_drips_is_cut(served, flat, monkeypatch) -> None:
    monkeypatch.setattr(connection, "HEAD_TIME", 0.5)
    monkeypatch.setattr(connection, "BODY_TIME", 0.5)
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
    with dial(served) as silent, dial(served) as headless, dial(served) as bodiless:
        for step in range(6):
            for raw, data in ((headless, b"X-A: b\r\n"), (bodiless, b" ")):
                start = (head if raw is headless else head + b"\r\n") if step == 0 else b""
                with suppress(ConnectionError):
                    raw.sendall(start + data)
            time.sleep(0.2)
        assert closed(silent)
        assert closed(headless)
        assert closed(bodiless)


def test_a_client_that_never_reads_is_cut_and_others_are_served(served, flat, monkeypatch) -> None:
    monkeypatch.setattr(connection, "SENDING_TIME", 0.5)
    body = json.dumps(
        {"model": MODEL, "messages": [{"role": "user", "content": ("x" * 4000 + " ") * 2500}], "stream": True}
    ).encode()
    with dial(served) as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.sendall(
            f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        )
        until(lambda: any(item.path == CHAT for item in served.host.live()))
        assert serves(served)
        until(lambda: not served.host.live())


@pytest.mark.parametrize("size", [guard.MAX_BODY + 1, 100 * 2**20, 2**63, 10**30])
def test_a_body_announced_too_large_is_not_read(served, flat, size) -> None:
    with dial(served) as raw:
        raw.sendall(f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n".encode())
        answer = raw.recv(4096)
        assert answer.startswith(b"HTTP/1.1 4")
        assert closed(raw)


def test_a_hundred_megabytes_without_a_length_are_cut(served, flat) -> None:
    with dial(served) as raw:
        raw.sendall(f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        piece = b"%x\r\n" % 2**20 + b" " * 2**20 + b"\r\n"
        sent = 0
        try:
            while sent < 100:
                raw.sendall(piece)
                sent += 1
        except ConnectionError:
            pass
        assert sent < 64


def test_many_large_bodies_at_once_share_a_budget(served) -> None:
    head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {guard.MAX_BODY}\r\n\r\n".encode()
    before = resident()
    with ExitStack() as stack:
        clients = [stack.enter_context(dial(served)) for _ in range(16)]
        for raw in clients:
            raw.settimeout(5)
            with suppress(OSError):  # the server may hang up on the rest of a body it refuses
                raw.sendall(head + b" " * (guard.MAX_BODY - 1))
        assert resident() - before < guard.MAX_BODIES + GROWTH
        assert serves(served)
        # Those that are refused hear it when their turn comes; the few that are held are never answered.
        most = guard.MAX_BODIES // guard.MAX_BODY
        assert most < len(clients)
        until(lambda: sum(_first_bytes(raw) == b"waiting" for raw in clients) <= most)
        assert {_first_bytes(raw) for raw in clients} <= {b"waiting", b"closed", b"HTTP/1.1 503"}


def _first_bytes(raw: socket.socket) -> bytes:
    raw.setblocking(False)
    try:
        return raw.recv(12, socket.MSG_PEEK) or b"closed"
    except BlockingIOError:
        return b"waiting"
    except OSError:
        return b"closed"


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"model":"fake","messages":[{"role":"user","content":"\xff\xfe"}]}',
        b'{"model":"fake","messages":[{"role":"user","content":"\\ud800"}]}',
        DEEP,
        b"\x00" * 1000,
        b"1" * 100_000,
    ],
)  # fmt: skip
def test_json_that_is_none_is_refused(http, body) -> None:
    for path in (CHAT, "/v1/responses", "/v1/messages", "/api/chat", "/api/v1/chat", "/tokenize"):
        answer = http.post(path, content=body)
        assert answer.status_code == 400, (path, answer.text)
        answer.json()


@pytest.mark.parametrize(
    "head",
    [
        b"".join(b"X-%d: y\r\n" % number for number in range(5000)),
        b"X: " + b"y" * 200_000 + b"\r\n",
        b"Host: evil.example\r\n",
        b"Content-Length: 1\r\nContent-Length: 2\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: \xb2\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"No colon here\r\n",
        b" folded: yes\r\n",
        b"X: \x00\r\n",
    ],
)
def test_odd_heads_end_with_an_error_or_a_close(served, flat, head) -> None:
    with dial(served) as raw:
        try:
            raw.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n0\r\n\r\n"
            )
            answer = raw.recv(4096)
        except ConnectionError:
            return
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4")


def test_a_reset_in_the_middle_of_a_stream_frees_its_sequence(served, flat) -> None:
    served.supervisor.delay = 0.02
    body = json.dumps(
        {"model": MODEL, "messages": [{"role": "user", "content": "w " * 500}], "stream": True}
    ).encode()
    raw = dial(served)
    raw.sendall(
        f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    )
    raw.recv(1000)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raw.close()
    until(lambda: served.supervisor.requests[-1].id in served.supervisor.cancelled)
    served.supervisor.delay = 0
