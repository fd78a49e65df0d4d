"""The HTTP layer alone: the engine is faked, the server and its client are processes of their own.

``python -m tests.bench.http serve ours|bare`` prints its port and serves until its input ends; the client below speaks
over raw keep-alive sockets so that it costs less than what it measures.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any, Self

from tests.bench.figures import ROOT, Figure, median, show

PAIRS = 11
SECONDS = 0.8
CONNECTIONS = 16
FIRST_TOKENS = 400
STREAMS = 64
STREAM_TOKENS, STREAM_PAUSE = 100, 0.03
STALL = 0.5
MODEL = "bench/model:Q4_0"
SMALL = {"model": MODEL, "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 8}


def run() -> list[Figure]:
    """Pairs of ours and a bare Starlette route in turn, then first tokens, then many streams at once."""
    with _Serving("bare") as bare, _Serving("ours") as ours:
        for port in (bare.port, ours.port):
            asyncio.run(_load(port, 0.5))
        pairs = [(asyncio.run(_load(bare.port)), asyncio.run(_load(ours.port))) for _ in range(PAIRS)]
        firsts = asyncio.run(_first_tokens(ours.port))
        gaps = asyncio.run(_streams(ours.port))
    ratios = [mine / other for other, mine in pairs]
    worst = [max(found) for found in gaps]
    stalled = sum(gap > STALL for gap in worst)
    clients, pause = (
        f"{PAIRS} pairs, {CONNECTIONS} clients",
        f"{STREAM_PAUSE * 1000:.0f} ms are the engine's own",
    )
    return [
        median("small requests, bare Starlette route", [other for other, _ in pairs], "1/s"),
        median("small requests, ours", [mine for _, mine in pairs], "1/s"),
        median("small requests, ratio", ratios, "", goal=0.6, more=True, note=clients),
        median(
            "first token, engine taking no time", firsts, "ms", goal=1.0, note="from a thread of the engine's"
        ),
        Figure("streams at once that stalled", stalled, "", 0.0, note=f"of {STREAMS}, over {STALL} s"),
        Figure("worst gap in those streams", max(worst) * 1000, "ms", note=pause),
    ]


# ------------------------------------------------------------------------------------------ the client


class _Serving:
    """A server as a process."""

    def __init__(self, which: str) -> None:
        self._which = which

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.bench.http", "serve", self._which]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(self, *_exc: object) -> None:
        self._process.communicate("", timeout=20)


def _request(body: dict[str, Any]) -> bytes:
    data = json.dumps(body).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


async def _answer(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(head.decode())
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    await reader.readexactly(length)


async def _load(port: int, seconds: float = SECONDS) -> float:
    """Requests a second over several connections."""
    data, end = _request(SMALL), time.perf_counter() + seconds

    async def client() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        done = 0
        while time.perf_counter() < end:
            writer.write(data)
            await _answer(reader)
            done += 1
        writer.close()
        return done

    began = time.perf_counter()
    counts = await asyncio.gather(*(client() for _ in range(CONNECTIONS)))
    return sum(counts) / (time.perf_counter() - began)


async def _first_tokens(port: int) -> list[float]:
    """Milliseconds from sending a request to reading its first token."""
    data = _request({**SMALL, "stream": True, "seed": 0})
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found = []
    for _ in range(FIRST_TOKENS):
        began = time.perf_counter()
        writer.write(data)
        await reader.readuntil(b'"content":"Hello')
        found.append((time.perf_counter() - began) * 1000)
        await reader.readuntil(b"0\r\n\r\n")
    writer.close()
    return found[FIRST_TOKENS // 10 :]


async def _streams(port: int) -> list[list[float]]:
    """The gaps between pieces of each of many streams, in seconds."""
    data = _request({**SMALL, "stream": True, "seed": 1})

    async def client() -> list[float]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(data)
        gaps, last = [], time.perf_counter()
        while True:
            line = await reader.readuntil(b"\n")
            if line.startswith(b"data: "):
                gaps.append(time.perf_counter() - last)
                last = time.perf_counter()
            if line.startswith(b"data: [DONE]"):
                writer.close()
                return gaps

    return list(await asyncio.gather(*(client() for _ in range(STREAMS))))


# ------------------------------------------------------------------------------------------ the servers


class _Engine:
    """Answers at once: on the caller's thread, or with seed 0 on a thread of its own; with seed 1 slowly."""

    def __init__(self) -> None:
        from app.core.events import InstanceChanged
        from app.core.generate import Delta, Finished, Timings, Usage
        from app.core.types import LoadPlan

        plan = LoadPlan("model.gguf", n_parallel=STREAMS)
        self._ready = InstanceChanged("1", MODEL, "ready", plan)
        self._text = Delta(text="Hello", tokens=1)
        self._end = Finished("stop", Usage(9, 1), Timings(0, 0.1, 0.1, 0.1, 9, 1))
        self._slow: list[list[Any]] = []
        self._fast: SimpleQueue[Callable[[object], None]] = SimpleQueue()
        threading.Thread(target=self._reply, name="bench engine, fast", daemon=True).start()
        threading.Thread(target=self._decode, name="bench engine", daemon=True).start()

    def snapshot(self, _model: str) -> object:
        return self._ready

    def snapshots(self) -> tuple[object, ...]:
        return (self._ready,)

    def ensure_ready(self, _model: str, _plan: object) -> "Future[object]":
        future: Future[object] = Future()
        future.set_result(self._ready)
        return future

    def speak(self, _request: str, _seen: int, handle: int, *_more: object) -> None:
        os.close(handle)

    def submit(
        self, _model: str, request: Any, sink: Callable[[object], None], *, asks: bool = False
    ) -> None:
        if request.sampling.seed is None:
            sink(self._text)
            sink(self._end)
        elif request.sampling.seed == 0:
            self._fast.put(sink)
        else:
            self._slow.append([STREAM_TOKENS, sink])

    def cancel(self, _request: str) -> None:
        pass

    def _reply(self) -> None:
        while True:
            sink = self._fast.get()
            sink(self._text)
            sink(self._end)

    def _decode(self) -> None:
        while True:
            time.sleep(STREAM_PAUSE)
            for job in tuple(self._slow):
                job[1](self._text)
                job[0] -= 1
                if job[0] == 0:
                    job[1](self._end)
                    self._slow.remove(job)


def _serve_ours() -> None:
    from app.core.events import Bus
    from app.core.settings import SettingsStore
    from app.core.types import LoadPlan, ModelFile, ModelRecord
    from app.server.host import ServerHost

    record = ModelRecord(MODEL, "Bench", (ModelFile("model.gguf", 1),), 1)
    library: Any = SimpleNamespace(
        records=lambda: (record,), get=lambda _name: record, touched=lambda _name: None
    )
    engine: Any = _Engine()
    with tempfile.TemporaryDirectory() as folder:
        bus = Bus()
        settings = SettingsStore(Path(folder) / "settings.toml", bus)
        plan = SimpleNamespace(plan=LoadPlan("model.gguf"))
        host = ServerHost(library, engine, lambda *_asked: plan, bus, settings)
        print(host.start("127.0.0.1", 0).address.rsplit(":", 1)[1], flush=True)
        sys.stdin.read()
        host.close()


def _serve_bare() -> None:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from app.server.host import bind

    async def chat(request: Request) -> JSONResponse:
        body = await request.json()
        return JSONResponse({"model": body["model"], "message": {"role": "assistant", "content": "Hello"}})

    app = Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])
    config = uvicorn.Config(app, lifespan="off", ws="none", http="h11", log_config=None, access_log=False)
    listener = bind("127.0.0.1", 0)
    print(listener.getsockname()[1], flush=True)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: server.run(sockets=[listener]))
    thread.start()
    sys.stdin.read()
    server.should_exit = True
    thread.join()


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        {"ours": _serve_ours, "bare": _serve_bare}[sys.argv[2]]()
    else:
        print(show(run()))
