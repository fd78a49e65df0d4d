"""Dry runs of the ticked types, then of the others that are listed, one at a time and off the GUI thread."""

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from PySide6.QtCore import QObject, QTimer, Signal

from app.core.errors import QuantizeFailedError
from app.optimize.sizes import Sized
from app.ui import tasks
from app.ui.lab_draft import Cost, Draft, cost_of, size_of, wish_cost_of, with_types

if TYPE_CHECKING:
    from app.compose import Services

_SETTLE_MS = 150
WishKind = Literal["bytes", "loss"]


class LabForecast(QObject):
    """``changed`` whenever more is known; ``sizes`` and ``cost`` hold it, ``error`` says why not."""

    changed = Signal()

    def __init__(self, services: "Services", parent: QObject) -> None:
        super().__init__(parent)
        self._services = services
        self.sizes: dict[str, Sized] = {}
        self.cost: Cost | None = None
        self.error: Exception | None = None
        self.busy = False
        self._draft: Draft | None = None
        self._wish: WishKind | None = None
        self._waiting: list[str] = []
        self._cancel = threading.Event()
        self._tasks: list[tasks.Task[Any]] = []
        self._settle = QTimer(self, singleShot=True, interval=_SETTLE_MS)
        self._settle.timeout.connect(self._begin)

    def ask(self, draft: Draft | None, listed: Sequence[str], wish: WishKind | None = None) -> None:
        """Begin anew for this form; ``wish``: one that has to be measured stands in the place of types."""
        self.stop()
        self._wish = wish
        self.sizes, self.cost, self.error = {}, None, None
        self._draft = draft
        if draft is None:
            self.changed.emit()
            return
        self._waiting = [*draft.types, *(kind for kind in listed if kind not in draft.types)]
        self.busy = bool(draft.types or wish)
        self.changed.emit()
        self._settle.start()

    def stop(self) -> None:
        """Give up what runs."""
        self._settle.stop()
        self._cancel.set()
        self._cancel = threading.Event()
        for task in self._tasks:
            task.cancel()
        self._tasks = []
        self._waiting, self.busy = [], False

    def _begin(self) -> None:
        self._cost()
        self._next()

    def _next(self) -> None:
        draft, cancel = self._draft, self._cancel
        if draft is None or not self._waiting:
            return
        kind = self._waiting.pop(0)
        self._run(
            lambda: size_of(draft, kind, cancel),
            lambda sized: self._sized(kind, sized),
            lambda error: self._no_size(error, kind),
        )

    def _run(self, work: Any, done: Any, failed: Any) -> None:
        self._tasks.append(tasks.run(work, done, failed, self))

    def _sized(self, kind: str, sized: Sized) -> None:
        self.sizes[kind] = sized
        draft = self._draft
        if draft is not None and all(each in self.sizes for each in draft.types) and self.busy:
            self.busy = False
            self._cost()
        self.changed.emit()
        self._next()

    def _no_size(self, error: Exception, kind: str = "") -> None:
        # One type that can't be written says nothing about the others, but a source that can't be read does.
        draft = self._draft
        if kind and isinstance(error, QuantizeFailedError) and draft is not None and kind not in draft.types:
            self._next()  # nobody asked for it: its row has no size
            return
        if self.error is None:
            self.error = error
        self._waiting, self.busy = [], False
        self.changed.emit()

    def _cost(self) -> None:
        draft, sizes, services, wish = self._draft, dict(self.sizes), self._services, self._wish
        if draft is not None and wish is not None:
            self._run(lambda: wish_cost_of(draft, wish, services), self._costed, self._no_size)
        elif draft is not None and draft.types:
            self._run(
                lambda: cost_of(with_types(draft, draft.types), sizes, services), self._costed, self._no_size
            )

    def _costed(self, cost: Cost) -> None:
        self.cost = cost
        self.busy = self.busy and self._wish is None
        self.changed.emit()
