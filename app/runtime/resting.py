"""An engine that can give its KV cache and compute buffers back while nobody asks it, and keep its weights.

Room for another model is made this way first: the next request makes the context anew (a moment) instead of loading the
model. What idle conversations have in a GPU's memory goes to the shelf, what they have in main memory to the disk.
"""

import logging

from app.core.errors import BusyError, HearthError
from app.core.generate import Failed
from app.runtime.engine import Engine
from app.runtime.llama_context import Context
from app.runtime.llama_log import LogCapture
from app.runtime.protocol import CacheState, error_info

log = logging.getLogger(__name__)


class RestingEngine(Engine):
    """See the module's text. All of it runs on the engine thread."""

    capture: LogCapture | None = None
    """llama.cpp's log: it says why a context can't be made again."""
    _threads = (0, 0)

    def rest(self, key: int) -> None:
        """Free the context; the report that answers ``key`` follows. Raises BusyError while anything is asked."""
        context = self._context
        if self.scheduler.running or self.scheduler.waiting or self._alone:
            waiting = len(self.scheduler.waiting)
            raise BusyError(model=context.plan.model_path, waiting=waiting)
        if context.pointer:
            while self._save_one():
                pass
            self.scheduler.forget()
            if not context.on_device:
                for entry in self.shelf.entries():  # main memory is what is wanted back
                    self.shelf.forget(entry.name)
            self._threads = context.threads
            context.close()
            log.info("the context is given back until the next request")
        self._send(CacheState(key, False))

    def wake(self) -> None:
        """Make the context again if it was given back. Raises OutOfMemoryError or LoadFailedError."""
        context = self._context
        if context.pointer:
            return
        capture = self.capture or LogCapture()
        fresh = Context.create(context.model, context.plan, context.plan.model_path, capture)
        capture.clear()
        vars(context).update(vars(fresh))  # others hold this very object
        context.set_threads(*self._threads)
        self._send(CacheState(0, True))

    def _step(self) -> None:
        try:
            self.wake()
        except HearthError as error:
            self._fail_all(error)
        else:
            super()._step()

    def _fail_all(self, error: HearthError) -> None:
        info = error_info(error)
        for opened in tuple(self._open.values()):
            for writer in tuple(opened.writers):
                self._close(writer)
            self._teller.tell(opened, Failed(info.code, info.message, info.params))
        self._teller.flush()
