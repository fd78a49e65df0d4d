"""The requests being answered: what the server page shows and can cancel, and what the log says of each at its end."""

import time
from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from app.core.events import RequestLogged
from app.core.generate import Delta, Finished

Phase = Literal["reading", "loading", "waiting", "prefill", "writing"]


class LiveRequest(Struct, frozen=True):
    """A snapshot of one request. Speeds are tokens per second, ``seconds`` since it came."""

    id: str
    path: str
    client: str
    key: str
    """Name of the API key it came with."""
    model: str
    phase: Phase
    seconds: float
    prompt_tokens: int
    prefilled: int
    tokens: int
    prefill_per_second: float | None
    decode_per_second: float | None


class Live(Struct):
    """One request as the server's thread notes it."""

    number: int
    method: str
    path: str
    client: str = ""
    began: float = 0.0
    key: str = ""
    key_id: str = ""
    model: str = ""
    prompt: str = ""
    """Its beginning, where the user wants to see it."""
    phase: Phase = "reading"
    prompt_tokens: int = 0
    prefilled: int = 0
    tokens: int = 0
    submitted_at: float = 0.0
    first_at: float = 0.0
    decode_per_second: float | None = None
    joules: float | None = None
    status: int = 0
    ends: int = 0
    ended: int = 0
    """Choices that are over, and their tokens."""
    beside: int = 1
    """The most requests that were being answered at once while it was, itself among them."""
    cancel: Callable[[], None] | None = None

    def take(self, delta: Delta) -> None:
        """Count what came."""
        if delta.prompt_tokens:
            self.phase = "prefill"
            self.prompt_tokens, self.prefilled = delta.prompt_tokens, delta.prefilled
        if delta.tokens:
            if not self.first_at:
                self.first_at, self.phase = time.monotonic(), "writing"
            self.tokens += delta.tokens

    def finish(self, end: Finished) -> None:
        """A choice is over: its figures are the engine's own. The prompt is counted with a request's first choice."""
        self.prompt_tokens = end.usage.prompt + (self.prompt_tokens if self.ends else 0)
        self.ends += 1
        self.ended += end.usage.completion
        self.tokens = max(self.tokens, self.ended)
        if end.done:
            self.tokens = self.ended
        self.decode_per_second = end.timings.decode_per_second

    def snapshot(self) -> LiveRequest:
        """What it is now; from any thread."""
        now = time.monotonic()
        writing = now - self.first_at if self.first_at else 0.0
        reading = (self.first_at or now) - self.submitted_at if self.submitted_at else 0.0
        return LiveRequest(
            id=str(self.number),
            path=self.path,
            client=self.client,
            key=self.key,
            model=self.model,
            phase=self.phase,
            seconds=now - self.began,
            prompt_tokens=self.prompt_tokens,
            prefilled=self.prefilled,
            tokens=self.tokens,
            prefill_per_second=self.prefilled / reading if reading > 0 and self.prefilled else None,
            decode_per_second=(self.tokens - 1) / writing if writing > 0 and self.tokens > 1 else None,
        )

    def line(self, seconds: float) -> RequestLogged:
        """What the log says at the end."""
        return RequestLogged(
            at=time.time() - seconds,
            method=self.method,
            path=self.path,
            status=self.status,
            seconds=seconds,
            model=self.model,
            client=self.client,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.tokens,
            decode_per_second=self.decode_per_second,
            key=self.key,
            joules=self.joules,
            prompt=self.prompt,
        )


class Registry:
    """All requests being answered, and counts of those that were. Written on the server's loop, read from anywhere."""

    def __init__(self) -> None:
        self._live: dict[int, Live] = {}
        self._number = 0
        self.requests: dict[tuple[str, int], int] = {}
        """(path's first two parts, status) -> how many."""
        self.prompt_tokens = 0
        self.completion_tokens = 0

    def add(self, method: str, path: str, client: str, began: float) -> Live:
        """One more."""
        self._number += 1
        live = self._live[self._number] = Live(self._number, method, path, client, began)
        return live

    def remove(self, live: Live) -> None:
        """It is over."""
        self._live.pop(live.number, None)
        key = ("/".join(live.path.split("/")[:3])[:32], live.status)
        if key in self.requests or len(self.requests) < 200:  # paths that do not exist could be endless
            self.requests[key] = self.requests.get(key, 0) + 1
        self.prompt_tokens += live.prompt_tokens
        self.completion_tokens += live.tokens

    def all(self) -> list[Live]:
        """Those that ask a model, oldest first."""
        return [live for live in list(self._live.values()) if live.model]

    def find(self, request_id: str) -> Live | None:
        """By a snapshot's id."""
        return self._live.get(int(request_id)) if request_id.isdecimal() else None
