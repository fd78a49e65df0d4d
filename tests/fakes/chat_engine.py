"""An engine for chat tests: it keeps what was asked, and the test plays the events."""

from collections.abc import Callable

from app.core.errors import HearthError
from app.core.generate import Delta, Failed, Finished, GenerateEvent, GenerateRequest, Timings, Usage


class FakeEngine:
    """Synchronous: events are delivered on the thread that plays them."""

    def __init__(self) -> None:
        self.requests: list[GenerateRequest] = []
        self.models: list[str] = []
        self.cancelled: list[str] = []
        self.sinks: dict[str, Callable[[GenerateEvent], None]] = {}
        self.refuse: HearthError | None = None

    def submit(self, model_id: str, request: GenerateRequest, sink: Callable[[GenerateEvent], None]) -> None:
        if self.refuse:
            raise self.refuse
        self.models.append(model_id)
        self.requests.append(request)
        self.sinks[request.id] = sink

    def cancel(self, request_id: str) -> None:
        self.cancelled.append(request_id)
        if request_id in self.sinks:
            self.play(Finished("cancelled", Usage(3, 1), Timings()), request=request_id)

    def play(self, *events: GenerateEvent, request: str = "") -> None:
        """Deliver events to the newest request, or to the one named."""
        sink = self.sinks[request or self.requests[-1].id]
        for event in events:
            sink(event)

    def say(self, *pieces: str, reason: str = "stop") -> None:
        """A whole answer."""
        self.play(*(Delta(text=piece, tokens=1) for piece in pieces))
        usage, timings = (
            Usage(10, len(pieces)),
            Timings(prefill=0.1, decode=0.2, prefill_tokens=10, decode_tokens=4),
        )
        self.play(Finished(reason, usage, timings, seed=42))  # type: ignore[arg-type]

    def fail(self, code: str = "worker_crashed", message: str = "It died.") -> None:
        """End with an error."""
        self.play(Failed(code, message, {"model": "m", "why": "signal 9"}))
