"""Looking at images beside the engine: a thread of its own makes their embeddings, so that other answers go on
meanwhile; embeddings that were made lately are kept, so that the same image is not encoded again.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from typing import Any

from app.core.errors import HearthError, InternalError
from app.runtime.jobs import Chunk, Job, Span

log = logging.getLogger(__name__)

KEPT = 64 << 20
"""Bytes of embeddings that are kept: 7,000 places of a model of 2,304."""


class Sight:
    """Encodes for one engine with its projector (``llama_eyes.Projector``)."""

    def __init__(self, projector: Any, kept: int = KEPT) -> None:
        self.projector, self._cap = projector, kept
        self._queue: SimpleQueue[tuple[Span, Callable[[], None]] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._kept: OrderedDict[Any, Any] = OrderedDict()
        self._used = 0
        self._closing = False
        self.encoded = 0
        """Images that were encoded so far."""

    # ------------------------------------------------------------------------------ the engine thread

    def look(self, jobs: Iterable[Job], wake: Callable[[], None]) -> list[tuple[Job, HearthError]]:
        """Make the embeddings that these jobs wait for, once each; ``wake`` is called (on another thread) when
        something has come of it. Returns the jobs whose image can't be encoded."""
        spans = [(job, span) for job in jobs if (span := job.span) is not None]
        for _, span in spans:
            if not span.asked:
                span.asked = True
                self._later(span, wake)
        return [(job, span.error) for job, span in spans if isinstance(span.error, HearthError)]

    def show(self, context: Any, chunk: Chunk, span: Span) -> int:
        """Compute the image into its job's sequence; returns what llama_decode does."""
        return int(self.projector.show(context, span.piece, span.embeddings, chunk.start, chunk.job.seq))

    def drop(self, span: Span) -> None:
        """It is in the cache of the model now."""
        span.asked, span.embeddings = False, None

    def close(self) -> None:
        """End the thread after the image it is at, then free the projector. Idempotent."""
        self._closing = True
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None
        self.projector.close()

    # ------------------------------------------------------------------------------ the thread that encodes

    def _later(self, span: Span, wake: Callable[[], None]) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._encode_all, name="eyes", daemon=True)
            self._thread.start()
        self._queue.put((span, wake))

    def _encode_all(self) -> None:
        while (item := self._queue.get()) is not None and not self._closing:
            span, wake = item
            if span.unwanted:
                continue
            try:
                span.embeddings = self._embeddings(span.piece)
            except HearthError as error:
                span.error = error
            except Exception as error:  # one bad image must not end the others
                log.exception("an image could not be encoded")
                span.error = InternalError(detail=f"{type(error).__name__}: {error}")
            wake()

    def _embeddings(self, piece: Any) -> Any:
        found = self._kept.get(piece.key)
        if found is not None:
            self._kept.move_to_end(piece.key)
            return found
        found = self.projector.encode(piece)
        self.encoded += 1
        self._kept[piece.key] = found
        self._used += found.nbytes
        while self._used > self._cap and len(self._kept) > 1:
            self._used -= self._kept.popitem(last=False)[1].nbytes
        return found
