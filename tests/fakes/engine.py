"""A stand-in for the supervisor and the library where the engine is not what is tested: it echoes words, slowly if
asked to. It runs no model; tests of real answers use the real worker."""

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from app.core.errors import BadRequestError, HearthError, ModelNotFoundError
from app.core.events import InstanceChanged
from app.core.generate import (
    Delta,
    Failed,
    Finished,
    FinishReason,
    GenerateEvent,
    GenerateRequest,
    Message,
    Timings,
    ToolSpec,
    Usage,
)
from app.core.types import LoadPlan, ModelFile, ModelRecord
from app.runtime.protocol import Embeddings, Rendered

T = TypeVar("T")

RECORD = ModelRecord("fake/model:Q4_K_M", "Fake", (ModelFile("fake.gguf", 1),), 1, added_at=1_700_000_000)


class FakeLibrary:
    """Two models by name."""

    def __init__(self, records: tuple[ModelRecord, ...] = (RECORD,)) -> None:
        self._records = records
        self.used: list[str] = []

    def records(self) -> tuple[ModelRecord, ...]:
        return self._records

    def get(self, name: str) -> ModelRecord:
        for record in self._records:
            if record.id.startswith(name):
                return record
        raise ModelNotFoundError(name=name)

    def touched(self, model: str) -> None:
        self.used.append(model)


class FakeSupervisor:
    """Answers each request with the words of its last message, then Finished. ``delay`` seconds lie between words;
    ``failure`` ends each answer after its first word; ``load_error`` fails every load; ``script`` (events) replaces
    the words, ``silence`` seconds come before anything."""

    def __init__(self, delay: float = 0.0) -> None:
        self.delay = delay
        self.silence = 0.0
        self.failure: Failed | None = None
        self.load_error: HearthError | None = None
        self.script: list[GenerateEvent] = []
        self.cancelled: set[str] = set()
        self.left: list[str] = []
        self.requests: list[GenerateRequest] = []
        self.loaded: dict[str, InstanceChanged] = {}
        self._threads: list[threading.Thread] = []

    def ensure_ready(self, model: str, plan: LoadPlan) -> "Future[InstanceChanged]":
        if self.load_error:
            return _failed(self.load_error)
        self.loaded[model] = InstanceChanged("1", model, "ready", plan, n_ctx=plan.n_ctx)
        return _done(self.loaded[model])

    def leave_load(self, model: str) -> None:
        self.left.append(model)

    def unload(self, model: str) -> "Future[None]":
        self.loaded.pop(model, None)
        return _done(None)

    def snapshot(self, model: str) -> InstanceChanged | None:
        return self.loaded.get(model)

    def snapshots(self) -> tuple[InstanceChanged, ...]:
        return tuple(self.loaded.values())

    def speak(self, _request: str, _seen: int, handle: int, *_more: object) -> None:
        """It says everything to its sink, as the real one may."""
        os.close(handle)

    def submit(
        self,
        model: str,
        request: GenerateRequest,
        sink: Callable[[GenerateEvent], None],
        *,
        asks: bool = False,
    ) -> None:
        self.requests.append(request)
        answer = self._play if self.script else self._answer
        thread = threading.Thread(target=answer, args=(request, sink), name="fake engine")
        self._threads.append(thread)
        thread.start()

    def _play(self, request: GenerateRequest, sink: Callable[[GenerateEvent], None]) -> None:
        self._be_silent(request)
        for event in self.script:
            sink(event)
            time.sleep(self.delay)

    def _answer(self, request: GenerateRequest, sink: Callable[[GenerateEvent], None]) -> None:
        text = request.messages[-1].text if request.messages else request.prompt or ""
        words = [word + " " for word in text.split()] or ["nothing"]
        said = 0
        self._be_silent(request)
        for word in words:
            if request.id in self.cancelled:
                break
            for choice in range(request.sampling.n):
                sink(Delta(choice, word, tokens=1))
            said += 1
            if self.failure:
                sink(self.failure)
                return
            time.sleep(self.delay)
        self._finish(request, sink, said)

    def _be_silent(self, request: GenerateRequest) -> None:
        """Until ``silence`` is over or, as the real one does, the answer is cancelled."""
        end = time.monotonic() + self.silence
        while request.id not in self.cancelled and time.monotonic() < end:
            time.sleep(0.005)

    def _finish(self, request: GenerateRequest, sink: Callable[[GenerateEvent], None], said: int) -> None:
        reason: FinishReason = "cancelled" if request.id in self.cancelled else "stop"
        n = request.sampling.n
        for choice in range(n):
            first = choice == 0
            usage = Usage(prompt=7 if first else 0, completion=said, cached=2 if first else 0)
            timings = Timings(0, 0.1, 0.2, 0.1, 5, max(said - 1, 1))
            sink(Finished(reason, usage, timings, choice, done=choice == n - 1))

    def cancel(self, request: str) -> None:
        self.cancelled.add(request)

    def render(
        self, model: str, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()
    ) -> "Future[Rendered]":
        text = "".join(f"<{message.role}>{message.text}" for message in messages)
        return _done(Rendered(0, text, tuple(range(len(text.split())))))

    def tokenize(self, model: str, text: str, *, special: bool = False) -> "Future[tuple[int, ...]]":
        return _done(((1,) if special else ()) + tuple(ord(letter) for letter in text))

    def detokenize(self, model: str, tokens: Sequence[int]) -> "Future[str]":
        if bad := [token for token in tokens if token > sys.maxunicode]:
            return _failed(BadRequestError(detail=f"there is no token {bad[0]}"))
        return _done("".join(chr(token) for token in tokens))

    def embed(
        self,
        model: str,
        inputs: Sequence[str | Sequence[int]],
        *,
        query: str | None = None,
        normalize: bool = True,
    ) -> "Future[Embeddings]":
        if query is not None:
            return _done(Embeddings([[float(len(item))] for item in inputs], 5))
        return _done(Embeddings([[0.6, 0.8, 0.0] for _ in inputs], 5))

    def pids(self) -> list[int]:
        return []

    def close(self) -> None:
        self.cancelled.update(request.id for request in self.requests)
        self.finish()

    def finish(self) -> None:
        """Wait until every answer has been given to its sink."""
        for thread in self._threads:
            thread.join()


def _done(result: T) -> "Future[T]":
    future: Future[T] = Future()
    future.set_result(result)
    return future


def _failed(error: Exception) -> "Future[Any]":
    future: Future[Any] = Future()
    future.set_exception(error)
    return future
