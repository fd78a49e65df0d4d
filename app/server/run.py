"""One request to the engine from its start to its end, the same for every API: load, submit, wait, hang-up, time-out,
keep-alive. What differs between APIs is a ``Writer``.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from msgspec.structs import replace
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from app.core.generate import Delta, Failed, Finished, GenerateEvent, GenerateRequest, Spilled, is_text
from app.core.types import ModelRecord
from app.server.answer import Answer
from app.server.backend import Backend
from app.server.errors import Api, Problem, error_response, from_failed, problem_of
from app.server.live import Live
from app.server.stream import EventStream, HangUpError, Straight

if TYPE_CHECKING:
    from app.server.connection import Connection

PING = 10.0
"""Seconds of silence after which a stream sends a comment, so that nobody in between closes it."""
CUT = 10.0
"""Seconds in which an answer that is cut short ends."""
WHOLE_FLUSH_MS = 200
"""Nobody reads along in an answer that is sent whole: its pieces come together (``GenerateRequest.flush_ms``)."""
LOGGED = 2000
"""Letters of a prompt that the log shows, when the user asks for it."""


class Run:
    """One or more requests to one model whose events come as one stream, choices numbered through."""

    def __init__(
        self, backend: Backend, record: ModelRecord, asked: Sequence[GenerateRequest], live: Live
    ) -> None:
        backend.admit(record.id, len(asked))
        self.backend, self.record, self.asked, self.live = backend, record, asked, live
        self._stream = EventStream(asyncio.get_running_loop())
        self._loading: asyncio.Task[None] | None = None
        self._left = len(asked)
        limit = backend.settings.value.server.timeout
        self._deadline = time.monotonic() + limit if limit else float("inf")
        self.load_seconds: float | None = None
        self._asks = False
        self._write: Callable[[bytes], None] | None = None
        self.spoke = False
        """The worker may have written to the client itself."""
        self.changes: dict[str, object] = {}
        """What its client wants to be different from the plan, if it has to be loaded."""
        live.model, live.phase, live.cancel = record.id, "waiting", self.cancel
        if backend.settings.value.server.log_prompts:
            live.prompt = beginning(asked[0])

    def begin(self, asks: bool = False) -> None:
        """Submit, after loading if need be. ``asks``: ``speak`` follows the first text."""
        self._asks = asks
        if self.backend.answers_at_once(self.record.id):
            self._submit()
        else:
            self.live.phase = "loading"
            self._loading = asyncio.ensure_future(self._load())

    async def _load(self) -> None:
        began = time.monotonic()
        try:
            if self.changes:
                await self.backend.load(self.record, **self.changes)
            else:
                await self.backend.ready(self.record)
        except Exception as error:  # noqa: BLE001 - becomes the answer
            problem = problem_of(error)
            self._stream.put(Failed(problem.code, problem.message))
            return
        self.load_seconds = time.monotonic() - began
        self._submit()

    def _submit(self) -> None:
        self.live.phase, self.live.submitted_at = "waiting", time.monotonic()
        width = 0
        for request in self.asked:
            sink = self._stream.put if len(self.asked) == 1 else self._shifted(width)
            width += request.sampling.n
            self.backend.submit(self.record.id, request, sink, asks=self._asks)

    def _shifted(self, by: int) -> Callable[[GenerateEvent], None]:
        def put(event: GenerateEvent) -> None:
            if isinstance(event, Failed):
                self._stream.put(event)
                return
            event = replace(event, choice=event.choice + by)
            if isinstance(event, Finished) and event.done:
                self._left -= 1  # on the runtime thread alone
                event = replace(event, done=self._left == 0)
            self._stream.put(event)

        return put

    def speak(
        self, seen: int, handle: int, around: tuple[bytes, bytes], write: Callable[[bytes], None]
    ) -> None:
        """Offer the client's socket: see ``Supervisor.speak``. ``write`` gets what does not fit there."""
        self.spoke, self._write = True, write
        self.backend.supervisor.speak(self.asked[0].id, seen, handle, around, self._stream.spill)

    async def silence(self) -> None:
        """After ``cancel``: wait until nobody else writes to the client. HangUpError when that takes too long."""
        end = time.monotonic() + CUT
        while self.spoke:
            events = await self._stream.batch(max(0.0, end - time.monotonic()))
            if _over(self._without_spilled(events)):
                break
            if time.monotonic() > end:
                raise HangUpError

    async def batch(
        self, patience: float = PING, *, straight: Straight | None = None
    ) -> list[Delta | Finished | Failed]:
        """What has come since the last time, or [] after ``patience`` seconds of silence; without what ``straight``
        has written meanwhile. Raises HangUpError, or Problem when the request has taken too long."""
        while True:
            wait = min(patience, self._deadline - time.monotonic())
            events = await self._stream.batch(max(wait, 0.0), straight)
            found = self._without_spilled(events)
            if time.monotonic() > self._deadline and not _over(found):
                raise Problem(504, "timeout", "The request took longer than the server allows.")
            if found or not (events or self._stream.went()):
                break
            if events:  # spilled, and perhaps still in the loop's hands: nothing may overtake it
                straight = None
        for event in found:
            if isinstance(event, Delta):
                self.live.take(event)
            elif isinstance(event, Finished):
                self.live.finish(event)
        return found

    def _without_spilled(self, events: list[GenerateEvent | Spilled]) -> list[GenerateEvent]:
        found: list[GenerateEvent] = []
        for event in events:
            if not isinstance(event, Spilled):
                found.append(event)
            elif self._write is not None:
                self._write(event.data)  # (of what came before it nothing is text)
        return found

    @property
    def lonely(self) -> bool:
        """It has one choice."""
        return len(self.asked) == 1 and self.asked[0].sampling.n == 1

    def cancel(self) -> None:
        """End it as cancelled; its client gets what was written so far."""
        for request in self.asked:
            self.backend.supervisor.cancel(request.id)

    def hang_up(self) -> None:
        """Its client has gone."""
        self._stream.hang_up()

    def end(self, over: bool) -> None:
        """Free what it holds."""
        if self._loading is not None:
            self._loading.cancel()
        beside = [self.backend.end(request.id, over) for request in self.asked]
        self.live.beside = max(1, max(beside) // len(beside))


def _over(events: Sequence[GenerateEvent]) -> bool:
    return any(isinstance(event, Finished | Failed) for event in events)


def beginning(request: GenerateRequest) -> str:
    """The beginning of what is asked, for a log whose reader wants to see it."""
    text = request.messages[-1].text if request.messages else request.prompt or ""
    return text[:LOGGED]


class Gone:
    """Watches a connection for its end while an answer is made (``with``): by its own word where it gives it, else by
    a task that asks ASGI."""

    def __init__(self, scope: Scope, receive: Receive, then: Callable[[], None]) -> None:
        self._connection: Any = scope.get("hearth.connection")
        self._receive, self._then = receive, then
        self._task: asyncio.Task[None] | None = None

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._then()

    def __enter__(self) -> None:
        if self._connection is None:
            self._task = asyncio.ensure_future(self._watch())
            return
        self._connection.on_lost = self._then
        if self._connection.transport.is_closing():
            self._then()

    def __exit__(self, *_exc: object) -> None:
        if self._task is not None:
            self._task.cancel()
        else:
            self._connection.on_lost = None


async def whole(run: Run, request: Request) -> Answer:
    """The whole answer. Raises Problem when it failed, HangUpError when nobody waits any more."""
    answer = Answer()
    run.asked = [replace(request, flush_ms=WHOLE_FLUSH_MS) for request in run.asked]
    run.begin()
    try:
        with Gone(request.scope, request.receive, run.hang_up):
            while not answer.done:
                for event in await run.batch():
                    if isinstance(event, Failed):
                        raise from_failed(event)
                    answer.add(event)
    finally:
        run.end(answer.done)
    return answer


class Writer(Protocol):
    """How one API writes a stream. Each method gives the bytes to send, possibly none."""

    media_type: str

    def begin(self) -> bytes:
        """Before anything else."""

    def event(self, event: Delta | Finished) -> bytes:
        """One event. After Finished with ``done`` nothing more is asked for."""

    def failed(self, problem: Problem) -> bytes:
        """It broke after the status was sent."""

    def ping(self) -> bytes:
        """Nothing, so that the connection stays."""

    def around(self) -> tuple[bytes, bytes] | None:
        """What stands before and behind the JSON of each text, where nothing else changes (``Supervisor.speak``)."""


class Streamed:
    """An ASGI response that writes a run's events as they come. Its status is decided by the first event: an error
    before any text is still an HTTP error, unless the silence before it was so long that a ping had to be sent."""

    def __init__(self, run: Run, writer: Writer, api: Api) -> None:
        self._run, self._writer, self._api = run, writer, api
        self._over = False
        self._seen = 0
        """Events that came."""
        self._offers = False
        """The worker waits for the client's socket."""
        self._connection: Connection | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        self._connection = scope.get("hearth.connection")
        lends = self._connection is not None and self._connection.lends and self._run.lonely
        self._offers = lends and self._writer.around() is not None
        self._run.begin(asks=self._offers)
        try:
            with Gone(scope, receive, self._run.hang_up):
                await self._answer(scope, receive, send)
        finally:
            self._run.end(self._over)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            first = await self._run.batch()
            if first and isinstance(first[0], Failed):
                self._over = True
                raise from_failed(first[0])
        except Problem as problem:
            await error_response(self._api, problem)(scope, receive, send)
            return
        headers = [(b"content-type", self._writer.media_type.encode()), (b"cache-control", b"no-cache")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send(_piece(self._writer.begin() + self._encode(first)))
        while not self._over:
            write = self._connection.body_writer() if self._connection is not None else None
            if write is not None and first and isinstance(first[-1], Delta):
                self._offer(first[-1])
            first = []
            straight = partial(self._straight, write) if write is not None else None
            try:
                first = await self._run.batch(straight=straight)
                data = self._encode(first)
            except Problem as problem:
                data = await self._cut(problem)
            if data:
                await send(_piece(data))
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _cut(self, problem: Problem) -> bytes:
        self._over = True
        self._run.cancel()
        await self._run.silence()
        return self._writer.failed(problem)

    def _straight(self, write: Callable[[bytes], bool], delta: Delta) -> bool:
        self._seen += 1
        self._run.live.take(delta)
        data = self._writer.event(delta)
        if data and not write(data):
            return False
        self._offer(delta)
        return True

    def _offer(self, delta: Delta) -> None:
        """Let the worker write by itself, now that all that came has been written, this last."""
        connection = self._connection
        if self._offers and connection is not None and is_text(delta):
            self._offers = False
            around = self._writer.around()
            handle = connection.lend() if around else None
            if around and handle is not None:
                self._run.speak(self._seen, handle, around, connection.transport.write)

    def _encode(self, events: list[Delta | Finished | Failed]) -> bytes:
        if not events:
            return self._writer.ping()
        return b"".join(self._one(event) for event in events)

    def _one(self, event: Delta | Finished | Failed) -> bytes:
        self._seen += 1
        if isinstance(event, Failed):
            self._over = True
            if self._run.spoke and self._connection is not None:
                self._connection.is_last()  # the worker may have ended in the middle of a chunk
            return self._writer.failed(from_failed(event))
        if isinstance(event, Finished) and event.done:
            self._over = True
        return self._writer.event(event)


def _piece(data: bytes) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": True}


__all__ = ["Gone", "HangUpError", "Run", "Streamed", "Writer", "whole"]
