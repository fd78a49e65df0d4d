"""Fit a request into its model's window with the model's own tokenizer, before it is asked.

Counting happens in the worker and comes back as futures: nothing here waits. A conversation that surely fits (no text
has more tokens than bytes) is not counted at all; counts of messages are kept.
"""

import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from msgspec.structs import replace

from app.chat.context import fit
from app.core.events import InstanceChanged
from app.core.generate import GenerateRequest, ImagePart, Message

if TYPE_CHECKING:
    from concurrent.futures import Future

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


class Fitter:
    """Counts and fits. Thread-safe."""

    def __init__(self, engine: object) -> None:
        self._engine = engine if isinstance(engine, Counting) else None
        self._lock = threading.Lock()
        self._known: dict[tuple[str, int], int] = {}

    def fit(self, model: str, request: GenerateRequest, then: Then) -> None:
        """Call ``then``, now or when the messages are counted. What can't be counted goes as it is: the engine says
        whether it fits."""
        budget = self._budget(model, request)
        if budget is None or _bytes(request) <= budget or self._engine is None:
            then(request, ())
            return
        texts = {_text(message) for message in request.messages}
        missing = [text for text in texts if (model, hash(text)) not in self._known]
        gather = _Gather(lambda: self._fitted(model, request, budget, then))
        for text in missing:
            gather.add(self._engine.tokenize(model, text), partial(self._keep, (model, hash(text))))
        gather.close()

    def _budget(self, model: str, request: GenerateRequest) -> int | None:
        if request.context_policy == "stop" or self._engine is None:
            return None
        instance = self._engine.snapshot(model)
        if instance is None or not instance.n_ctx:
            return None
        window = instance.n_ctx
        answer = min(request.sampling.max_tokens or window // ANSWER_SHARE, window // 2)
        return window - answer

    def _keep(self, key: tuple[str, int], count: int) -> None:
        with self._lock:
            if len(self._known) >= MOST_KEPT:
                self._known.clear()
            self._known[key] = count

    def _fitted(self, model: str, request: GenerateRequest, budget: int, then: Then) -> None:
        with self._lock:
            known = dict(self._known)

        def count(message: Message) -> int:
            text = _text(message)
            # A message that could not be counted is taken for a token every three bytes.
            tokens = known.get((model, hash(text)), len(text.encode()) // 3)
            return tokens + OVERHEAD + _images(message) * PER_IMAGE

        chosen = fit(request.messages, count, budget, request.context_policy)
        if chosen.dropped and not chosen.over:
            log.info("%d messages were left out to fit %d tokens", len(chosen.dropped), budget)
        then(replace(request, messages=chosen.messages), chosen.dropped)


class _Gather:
    """Calls ``done`` once, when it is closed and every future added has ended, however."""

    def __init__(self, done: Callable[[], None]) -> None:
        self._left, self._done = 1, done
        self._lock = threading.Lock()

    def add(self, future: "Future[tuple[int, ...]]", keep: Callable[[int], None]) -> None:
        """Wait for one more; ``keep`` gets its number of tokens."""
        with self._lock:
            self._left += 1
        future.add_done_callback(lambda ended: self._ended(ended, keep))

    def close(self) -> None:
        """No more will be added."""
        self._one_less()

    def _ended(self, future: "Future[tuple[int, ...]]", keep: Callable[[int], None]) -> None:
        if not future.cancelled() and future.exception() is None:
            keep(len(future.result()))
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


def _images(message: Message) -> int:
    return (
        0
        if isinstance(message.content, str)
        else sum(isinstance(part, ImagePart) for part in message.content)
    )


def _bytes(request: GenerateRequest) -> int:
    """More tokens than this it can't have."""
    return sum(len(_text(m).encode()) + OVERHEAD + _images(m) * PER_IMAGE for m in request.messages)
