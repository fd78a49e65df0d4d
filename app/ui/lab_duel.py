"""One prompt to two models, one after the other so that neither is slowed by the other."""

import uuid
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from PySide6.QtCore import QObject, Signal

from app.core.errors import HearthError, from_code
from app.core.generate import Delta, Failed, Finished, GenerateRequest, Message, SamplingParams
from app.ui import tasks

if TYPE_CHECKING:
    from app.compose import Services

LONGEST = 600
"""Tokens of an answer at most."""


class Answer(Struct, frozen=True):
    """How one side ended."""

    text: str
    finished: Finished | None = None
    error: Exception | None = None


class Duel(QObject):
    """``grown`` (side, text so far) while an answer comes, ``loading`` (side) before, ``ended`` (side, Answer)."""

    loading = Signal(int)
    grown = Signal(int, str)
    ended = Signal(int, object)
    over = Signal()
    _event = Signal(str, object)

    def __init__(self, services: "Services", parent: QObject) -> None:
        super().__init__(parent)
        self._services = services
        self._models: list[str] = []
        self._prompt = ""
        self._side = -1
        self._text = ""
        self._request = ""
        self._event.connect(self._take)

    @property
    def busy(self) -> bool:
        """Whether an answer is under way."""
        return self._side >= 0

    def begin(self, prompt: str, models: list[str]) -> None:
        """Ask both (ids); nothing while one is under way."""
        if not self.busy:
            self._prompt, self._models = prompt, models
            self._next()

    def stop(self) -> None:
        """End what is under way; what was written counts."""
        if self.busy:
            self._models = self._models[: self._side + 1]
            self._services.supervisor.cancel(self._request)

    def _next(self) -> None:
        self._side += 1
        if self._side >= len(self._models):
            self._side = -1
            self.over.emit()
            return
        self._text, self._request = "", uuid.uuid4().hex
        side, model, services = self._side, self._models[self._side], self._services
        self.loading.emit(side)
        tasks.run(
            lambda: services.load(model).result(),
            lambda _ready: self._ask(model),
            self._fail,
            self,
            long=True,
        )

    def _ask(self, model: str) -> None:
        sampling = SamplingParams(temperature=0, max_tokens=LONGEST, seed=1)
        request = GenerateRequest(self._request, messages=(Message("user", self._prompt),), sampling=sampling)
        self._services.recorder.start()
        key = self._request

        def sink(event: Any) -> None:
            try:
                self._event.emit(key, event)
            except RuntimeError:  # the window is gone
                return

        self._services.engine("lab").submit(model, request, sink)

    def _take(self, key: str, event: object) -> None:
        if key != self._request or not self.busy:
            return
        if isinstance(event, Delta):
            self._text += event.text
            if event.text:
                self.grown.emit(self._side, self._text)
        elif isinstance(event, Finished):
            self._end(Answer(self._text, event))
        elif isinstance(event, Failed):
            self._fail(from_code(event.code, event.params))

    def _fail(self, error: Exception) -> None:
        shown = error if isinstance(error, HearthError | OSError) else HearthError(detail=str(error))
        self._end(Answer(self._text, error=shown))

    def _end(self, answer: Answer) -> None:
        self.ended.emit(self._side, answer)
        self._next()
