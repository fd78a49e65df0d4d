"""Fit a request into its model's window with the model's own tokenizer, before it is asked.

Counting happens in the worker and comes back as futures: nothing here waits. A conversation that surely fits (no text
has more tokens than bytes) is not counted at all; counts of messages are kept.
"""

import logging
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Protocol, runtime_checkable

from msgspec import Struct
from msgspec.structs import replace

from app.chat.context import Part, fit, next_out, picture
from app.core.events import InstanceChanged
from app.core.generate import ContextPolicy, GenerateRequest, ImagePart, Message
from app.core.pictures import measure

log = logging.getLogger(__name__)

OVERHEAD = 8  # tokens a chat template adds to a message
PER_IMAGE = 1_024  # a guess on the safe side: projectors give 256 to 1,024 tokens an image
ANSWER_SHARE = 4  # a quarter of the window is kept for the answer unless its length is limited
MOST_KEPT = 50_000

Then = Callable[[GenerateRequest, tuple[int, ...]], None]
"""Takes the request to send and the indices of messages that were left out."""


@runtime_checkable
class Counting(Protocol):
    """An engine that can count (``runtime.supervisor.Supervisor``)."""

    def tokenize(self, model_id: str, text: str) -> "Future[tuple[int, ...]]":
        """A text's tokens."""

    def snapshot(self, model_id: str) -> InstanceChanged | None:
        """The loaded model, with its window."""


@runtime_checkable
class Measuring(Protocol):
    """An engine that knows what images take (``runtime.supervisor.Supervisor``)."""

    def measure_image(self, model_id: str, width: int, height: int) -> "Future[int]":
        """Tokens of an image of this size in pixels."""


class Picture(Struct, frozen=True):
    """What fills a window. ``window`` and ``budget`` (the window less the answer's room) are None when no model is
    loaded; ``leaving`` are the messages a next turn would push out."""

    parts: tuple[Part, ...]
    window: int | None
    budget: int | None
    tokens: int
    over: bool
    leaving: tuple[int, ...] = ()


class Fitter:
    """Counts and fits. Thread-safe."""

    def __init__(self, engine: object) -> None:
        self._engine = engine if isinstance(engine, Counting) else None
        self._lock = threading.Lock()
        self._known: dict[tuple[str, int], int] = {}

    def fit(self, model: str, request: GenerateRequest, then: Then, pinned: Collection[int] = ()) -> None:
        """Call ``then``, now or when the messages are counted; ``pinned`` are indices of messages that stay. What
        can't be counted goes as it is: the engine says whether it fits."""
        budget = (
            None if request.context_policy == "stop" else self._budget(model, request.sampling.max_tokens)
        )
        if budget is None or _bytes(request) <= budget:
            then(request, ())
            return
        self._counted(model, request.messages, lambda: self._fitted(model, request, budget, then, pinned))

    def picture(
        self,
        model: str,
        messages: Sequence[Message],
        policy: ContextPolicy = "stop",
        max_tokens: int | None = None,
        coming: int = 0,
        pinned: Collection[int] = (),
    ) -> "Future[Picture]":
        """What fills the window, in the model's own tokens; ``coming`` are those of a next turn, to say what it would
        push out. Without a loaded model the tokens are a guess and ``window`` is None."""
        done: Future[Picture] = Future()

        def counted() -> None:
            budget, count = self._budget(model, max_tokens), self._counter(model)
            room = budget if budget is not None else sum(map(count, messages))
            chosen = fit(messages, count, room, policy, pinned)
            leaving = next_out(messages, count, room, policy, coming, pinned) if coming else ()
            parts = picture(messages, count, chosen)
            done.set_result(Picture(parts, self._window(model), budget, chosen.tokens, chosen.over, leaving))

        self._counted(model, messages, counted)
        return done

    def _counted(self, model: str, messages: Sequence[Message], then: Callable[[], None]) -> None:
        """Call ``then`` when every message has been counted that can be."""
        engine = self._engine if self._window(model) else None
        texts = {_text(message) for message in messages if (model, hash(_text(message))) not in self._known}
        sizes = {
            size for message in messages for size in _sizes(message) if (model, hash(size)) not in self._known
        }
        gather = _Gather(then)
        if engine is not None:
            for text in texts:
                gather.add(engine.tokenize(model, text), partial(self._keep, (model, hash(text))))
        if engine is not None and isinstance(engine, Measuring):
            for size in sizes:
                gather.add(engine.measure_image(model, *size), partial(self._keep, (model, hash(size))))
        gather.close()

    def _window(self, model: str) -> int | None:
        instance = self._engine.snapshot(model) if self._engine is not None else None
        return instance.n_ctx or None if instance is not None else None

    def _budget(self, model: str, max_tokens: int | None) -> int | None:
        """Tokens for the prompt: the window less the room for the answer."""
        window = self._window(model)
        if window is None:
            return None
        return window - min(max_tokens or window // ANSWER_SHARE, window // 2)

    def _keep(self, key: tuple[str, int], count: int) -> None:
        with self._lock:
            if len(self._known) >= MOST_KEPT:
                self._known.clear()
            self._known[key] = count

    def _counter(self, model: str) -> Callable[[Message], int]:
        with self._lock:
            known = dict(self._known)

        def count(message: Message) -> int:
            text = _text(message)
            # A message that could not be counted is taken for a token every three bytes.
            tokens = known.get((model, hash(text)), len(text.encode()) // 3)
            images = sum(known.get((model, hash(size)), PER_IMAGE) for size in _sizes(message))
            return tokens + OVERHEAD + images

        return count

    def _fitted(
        self, model: str, request: GenerateRequest, budget: int, then: Then, pinned: Collection[int]
    ) -> None:
        chosen = fit(request.messages, self._counter(model), budget, request.context_policy, pinned)
        if chosen.dropped and not chosen.over:
            log.info("%d messages were left out to fit %d tokens", len(chosen.dropped), budget)
        then(replace(request, messages=chosen.messages), chosen.dropped)


class _Gather:
    """Calls ``done`` once, when it is closed and every future added has ended, however."""

    def __init__(self, done: Callable[[], None]) -> None:
        self._left, self._done = 1, done
        self._lock = threading.Lock()

    def add(self, future: "Future[tuple[int, ...]] | Future[int]", keep: Callable[[int], None]) -> None:
        """Wait for one more; ``keep`` gets its number of tokens."""
        with self._lock:
            self._left += 1
        future.add_done_callback(lambda ended: self._ended(ended, keep))

    def close(self) -> None:
        """No more will be added."""
        self._one_less()

    def _ended(self, future: "Future[tuple[int, ...]] | Future[int]", keep: Callable[[int], None]) -> None:
        if not future.cancelled() and future.exception() is None:
            found = future.result()
            keep(found if isinstance(found, int) else len(found))
        self._one_less()

    def _one_less(self) -> None:
        with self._lock:
            self._left -= 1
            over = self._left == 0
        if over:
            self._done()


def _text(message: Message) -> str:
    """All that a template may write of a message."""
    return "".join(
        (message.text, message.reasoning, *(call.name + call.arguments for call in message.tool_calls))
    )


def _sizes(message: Message) -> list[tuple[int, int]]:
    """Pixels of its images; one that can't be measured is taken for a large one."""
    if isinstance(message.content, str):
        return []
    return [_size(part.data) for part in message.content if isinstance(part, ImagePart)]


def _size(data: bytes) -> tuple[int, int]:
    try:
        found = measure(data)
    except ValueError:
        return (4096, 4096)
    return (found.width, found.height)


def _bytes(request: GenerateRequest) -> int:
    """More tokens than this it can't have."""
    return sum(len(_text(m).encode()) + OVERHEAD + len(_sizes(m)) * PER_IMAGE for m in request.messages)
