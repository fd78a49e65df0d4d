"""What happens, told to whoever asked: typed events and a small synchronous Bus.

``publish`` calls the subscribers of the event's exact type on the publisher's thread; a subscriber only takes note
(appends to a deque, wakes a loop) and returns. One that raises is logged and does not disturb the others.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any, Literal, Self, TypeVar

from msgspec import Struct

from app.core.types import LoadPlan

log = logging.getLogger(__name__)

InstanceState = Literal["stopped", "starting", "loading", "ready", "stopping", "failed"]
DownloadState = Literal["queued", "running", "paused", "waiting", "verifying", "done", "failed", "cancelled"]
ServerState = Literal["off", "starting", "on", "stopping", "failed"]


class MemoryUse(Struct, frozen=True):
    """Bytes llama.cpp really allocated on one device (``CPU``, ``CUDA0``, ...)."""

    device: str
    weights: int = 0
    kv: int = 0
    compute: int = 0

    @property
    def total(self) -> int:
        """All three together."""
        return self.weights + self.kv + self.compute


class ErrorInfo(Struct, frozen=True):
    """An error as data: a code of ``app.core.errors`` with its parameters, and details to fold out."""

    code: str
    message: str
    params: dict[str, str | int | float] = {}
    details: str = ""


class InstanceChanged(Struct, frozen=True):
    """A snapshot of one instance, published at every transition and on load progress."""

    id: str
    model: str
    state: InstanceState
    plan: LoadPlan | None = None
    progress: float = 0.0
    """0 to 1 while loading."""
    pid: int | None = None
    device: str = ""
    n_ctx: int = 0
    memory: tuple[MemoryUse, ...] = ()
    active: int = 0
    waiting: int = 0
    pinned: bool = False
    last_used: float = 0.0
    load_seconds: float | None = None
    error: ErrorInfo | None = None
    rests: bool = False
    """Its KV cache and compute buffers are given back until the next request."""
    sees: bool = False
    """Its vision projector is loaded."""
    blind: str = ""
    """Why the projector of its plan can't be used."""


class LoadWaits(Struct, frozen=True):
    """There is room for a model only when others that are being asked have gone: its load waits for their answers.
    Said once more with nobody to wait for when that is over."""

    model: str
    behind: tuple[str, ...] = ()
    """The models it waits for."""


class DownloadChanged(Struct, frozen=True):
    """A snapshot of one download (a file, or a split set as one)."""

    id: str
    repo: str
    file: str
    state: DownloadState
    total: int | None
    done: int = 0
    speed: float | None = None
    """Bytes per second over the last seconds."""
    eta: float | None = None
    """Seconds left, when a speed is known."""
    error: ErrorInfo | None = None
    note: str = ""
    """Plain words on what it is waiting for or did by itself (a retry, a restart)."""
    note_code: str = ""
    """Key of ``models.transfer_notes.NOTES``, for a translation, with what fills it in ``note_params``."""
    note_params: dict[str, str | int | float] = {}
    quant: str = ""
    added_at: float = 0.0
    model: str | None = None
    """Id in the library once adopted."""


class LibraryChanged(Struct, frozen=True):
    """Models were added, removed or changed; ids of those concerned (empty: all)."""

    ids: tuple[str, ...] = ()


class ServerChanged(Struct, frozen=True):
    """The local API server's state; ``address`` is ``http://host:port`` while on."""

    state: ServerState
    address: str = ""
    error: ErrorInfo | None = None


class RequestLogged(Struct, frozen=True):
    """One HTTP request has ended. Never holds an answer, and a prompt only where the user has asked for it."""

    at: float
    method: str
    path: str
    status: int
    seconds: float
    model: str = ""
    client: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    decode_per_second: float | None = None
    key: str = ""
    """Name of the API key it came with."""
    joules: float | None = None
    """Measured while it ran; None where power can't be read."""
    prompt: str = ""
    """Empty unless the setting ``server.log_prompts`` is on."""


class SettingChanged(Struct, frozen=True):
    """A setting got a new value; ``key`` is ``group.name``."""

    key: str
    value: object


class PresetsChanged(Struct, frozen=True):
    """Presets were written or removed; ``model`` is the one whose defaults changed, empty for named ones."""

    model: str = ""


class ChatsPurged(Struct, frozen=True):
    """Conversations were deleted for good; ``keys`` are theirs. What is kept of them elsewhere must go too."""

    keys: tuple[str, ...]


class ChatChanged(Struct, frozen=True):
    """Conversations or their messages changed (None: the list as a whole)."""

    conversation: int | None = None


Event = TypeVar("Event")
Handler = Callable[[Any], None]


class Subscription:
    """A handle that ends a subscription; usable as a context manager."""

    def __init__(self, bus: "Bus", kind: type, handler: Handler) -> None:
        self._bus, self._kind, self._handler = bus, kind, handler

    def close(self) -> None:
        """Stop receiving; calling it again does nothing."""
        self._bus._remove(self._kind, self._handler)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


class Bus:
    """Publish and subscribe by event type. Thread-safe; order is kept per publishing thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._handlers: dict[type, tuple[Handler, ...]] = {}

    def subscribe(self, kind: type[Event], handler: Callable[[Event], None]) -> Subscription:
        """Call ``handler`` for every event of exactly this type from now on."""
        with self._lock:
            self._handlers[kind] = (*self._handlers.get(kind, ()), handler)
        return Subscription(self, kind, handler)

    def publish(self, event: object) -> None:
        """Tell the subscribers, on this thread."""
        for handler in self._handlers.get(type(event), ()):
            try:
                handler(event)
            except Exception:
                log.exception("a subscriber of %s failed", type(event).__name__)

    def _remove(self, kind: type, handler: Handler) -> None:
        with self._lock:
            kept = list(self._handlers.get(kind, ()))
            if handler in kept:
                kept.remove(handler)
            self._handlers[kind] = tuple(kept)
