"""A stand-in for the supervisor and the library where the engine is not what is tested: it echoes words, slowly if
asked to. It runs no model; tests of real answers use the real worker."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from app.core.errors import HearthError, ModelNotFoundError
from app.core.events import InstanceChanged
from app.core.generate import Delta, Failed, Finished, GenerateEvent, GenerateRequest, Timings, Usage
from app.core.types import LoadPlan, ModelFile, ModelRecord

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
    ``failure`` ends each answer after its first word; ``load_error`` fails every load."""

    def __init__(self, delay: float = 0.0) -> None:
        self.delay = delay
        self.failure: Failed | None = None
        self.load_error: HearthError | None = None
        self.cancelled: set[str] = set()
        self.requests: list[GenerateRequest] = []
        self._threads: list[threading.Thread] = []

    def ensure_ready(self, model: str, plan: LoadPlan) -> "Future[InstanceChanged]":
        future: Future[InstanceChanged] = Future()
        if self.load_error:
            future.set_exception(self.load_error)
        else:
            future.set_result(InstanceChanged("1", model, "ready", plan))
        return future

    def submit(self, model: str, request: GenerateRequest, sink: Callable[[GenerateEvent], None]) -> None:
        self.requests.append(request)
        thread = threading.Thread(target=self._answer, args=(request, sink), name="fake engine")
        self._threads.append(thread)
        thread.start()

    def _answer(self, request: GenerateRequest, sink: Callable[[GenerateEvent], None]) -> None:
        words = [word + " " for word in request.messages[-1].text.split()] or ["nothing"]
        said = 0
        for word in words:
            if request.id in self.cancelled:
                break
            sink(Delta(text=word, tokens=1))
            said += 1
            if self.failure:
                sink(self.failure)
                return
            time.sleep(self.delay)
        reason = "cancelled" if request.id in self.cancelled else "stop"
        usage, timings = (
            Usage(prompt=7, completion=said, cached=2),
            Timings(0, 0.1, 0.2, 0.1, 5, max(said - 1, 1)),
        )
        sink(Finished(reason, usage, timings))

    def cancel(self, request: str) -> None:
        self.cancelled.add(request)

    def pids(self) -> list[int]:
        return []

    def close(self) -> None:
        self.cancelled.update(request.id for request in self.requests)
        for thread in self._threads:
            thread.join()
