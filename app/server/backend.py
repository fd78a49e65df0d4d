"""What the routes need of the program, and one running completion."""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from app.core.errors import HearthError, ModelNotFoundError
from app.core.generate import Failed, GenerateRequest, SamplingParams
from app.core.settings import SettingsStore
from app.core.types import LoadPlan, ModelRecord
from app.server.stream import EventStream

if TYPE_CHECKING:
    from app.models.library import Library
    from app.runtime.supervisor import Supervisor

log = logging.getLogger(__name__)


class Planned(Protocol):
    """What a planner gives: a plan (and reasons the server has no use for)."""

    @property
    def plan(self) -> LoadPlan:
        """What to load with."""
        ...


class Live(Struct):
    """A request being answered; what the log will say about it."""

    id: str
    model: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    decode_per_second: float | None = None


class Backend:
    """Models by name, loaded on demand, and requests that end with their client."""

    def __init__(
        self,
        library: "Library",
        supervisor: "Supervisor",
        planner: Callable[[ModelRecord], Planned],
        settings: SettingsStore,
    ) -> None:
        self._library, self._supervisor, self._planner = library, supervisor, planner
        self._settings = settings
        self._running: set[str] = set()

    def models(self) -> list[ModelRecord]:
        """Every model that could answer."""
        return [record for record in self._library.records() if record.damaged is None]

    def find(self, name: str) -> ModelRecord:
        """A model by id or unambiguous prefix. A path is no name: requests do not reach the disk.
        Raises ModelNotFoundError or ModelAmbiguousError."""
        if not any(record.id.startswith(name) for record in self._library.records()):
            raise ModelNotFoundError(name=name)
        return self._library.get(name)

    def defaults(self) -> SamplingParams:
        """The sampling that the settings ask for."""
        chat = self._settings.value.chat
        return SamplingParams(
            temperature=chat.temperature, top_p=chat.top_p, max_tokens=chat.max_tokens or None
        )

    async def ready(self, record: ModelRecord) -> None:
        """Load it if it isn't. Raises the loader's error."""
        loop = asyncio.get_running_loop()
        planned = await loop.run_in_executor(None, self._planner, record)
        await asyncio.wrap_future(self._supervisor.ensure_ready(record.id, planned.plan))
        self._library.touched(record.id)

    def submit(self, record: ModelRecord, request: GenerateRequest) -> EventStream:
        """Start answering; iterate over what comes, then call ``end`` whatever happened."""
        stream = EventStream(asyncio.get_running_loop())
        self._running.add(request.id)
        self._supervisor.submit(record.id, request, stream.put)
        return stream

    def end(self, request_id: str) -> None:
        """The client has its answer, or has gone: free the sequence."""
        self._running.discard(request_id)
        self._supervisor.cancel(request_id)

    def cancel_all(self) -> None:
        """Cut every answer short; each stream ends as cancelled."""
        for request_id in tuple(self._running):
            self._supervisor.cancel(request_id)


def new_id() -> str:
    """An id for a request."""
    return uuid.uuid4().hex


def now() -> int:
    """Seconds since the epoch, as OpenAI's ``created``."""
    return int(time.time())


class AnswerFailedError(Exception):
    """A Failed event, on its way to becoming an error body."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(failed.message)
        self.failed = failed


__all__ = ["AnswerFailedError", "Backend", "HearthError", "Live", "new_id", "now"]
