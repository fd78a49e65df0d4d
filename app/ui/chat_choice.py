"""Which model answers next: what the library has, which one is chosen, and its loading."""

import threading
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from app.core.errors import LoadCancelledError
from app.core.events import InstanceChanged, LoadWaits
from app.core.types import ModelRecord
from app.ui import chat_models, tasks
from app.ui.model_picker import ModelChoice

if TYPE_CHECKING:
    from concurrent.futures import Future

    from app.ui.chat_controller import ChatController


class ChatModels(QObject):
    """The models of one window's chat. ``chosen`` is empty while there is none."""

    def __init__(self, owner: "ChatController") -> None:
        super().__init__(owner)
        self._owner = owner
        self.chosen = ""
        self._unwanted = threading.Event()
        self.there_are = True
        self.names: dict[str, str] = {}
        self._records: dict[str, ModelRecord] = {}

    def load(self) -> None:
        """Read the library again."""
        self._owner.run(self._owner.services.library.records, self._show, self)

    def _show(self, records: Sequence[ModelRecord]) -> None:
        found = chat_models.choices(records, self._owner.services.supervisor.snapshots())
        self._records = {record.id: record for record in records}
        self.names = {choice.id: choice.name for choice in found}
        self.there_are = bool(found)
        if self.chosen not in self.names:
            self.chosen = self._first(found)
        self._owner.models_changed.emit(found, self.chosen)

    def _first(self, found: Sequence[ModelChoice]) -> str:
        return chat_models.first(found, self._owner.services.settings.value.general.last_model)

    def quant(self, model: str) -> str:
        """What the answer is kept with."""
        record = self._records.get(model)
        return record.summary.quant if record is not None and record.summary is not None else ""

    def sees_images(self, model: str = "") -> bool:
        """Whether images are sent to a model (by default the chosen one); else they are kept with the chat only. A
        loaded one says so itself, of another its record and the settings do."""
        model = model or self.chosen
        instance = self._owner.services.supervisor.snapshot(model) if model else None
        if instance is not None and instance.state == "ready":
            return instance.sees
        chosen = self._owner.services.settings.value.engine.mmproj.strip()
        record = self._records.get(model)
        return chosen.lower() != "none" and (
            bool(chosen) or (record is not None and record.projector is not None)
        )

    def why_blind(self) -> str:
        """Why the chosen model's projector can't be used, in the engine's words; empty when it has none."""
        instance = self._owner.services.supervisor.snapshot(self.chosen) if self.chosen else None
        return instance.blind if instance is not None and instance.state == "ready" else ""

    def choose(self, model: str) -> None:
        """Answer with this model from now on, and load it."""
        services = self._owner.services
        self.set(model)
        keep = partial(services.settings.set, "general.last_model", model)
        self._owner.run(keep, order=services.settings)
        self._unwanted.set()  # whoever was chosen before needs no room any more
        self._unwanted = over = threading.Event()
        failed = partial(self._not_loaded, model)

        def begun(future: "Future[InstanceChanged]") -> None:
            tasks.watch(future, None, failed, self)

        tasks.run(lambda: services.load(model, over=over), begun, failed, self, long=True)

    def _not_loaded(self, model: str, error: Exception) -> None:
        if not isinstance(error, LoadCancelledError):
            self._owner.report(error, model)

    def set(self, model: str) -> None:
        """Answer with this model from now on; it is loaded when asked."""
        if model != self.chosen:
            self.chosen = model
            self.load()
            self._owner.window.tell()

    def cancel_load(self) -> None:
        """Stop loading the chosen model, or waiting for room for it."""
        self._owner.services.cancel_load(self.chosen)

    def load_waits(self, event: LoadWaits) -> None:
        """There is no room for a model before others have answered."""
        if event.model == self.chosen:
            self._owner.load_progress.emit(0.0 if event.behind else None)
        self._owner.turns.load_waits(event, self.names)

    def instance_changed(self, event: InstanceChanged) -> None:
        """A model loads, is ready, or is gone."""
        owner = self._owner
        if event.model == self.chosen:
            loading = event.state in {"starting", "loading"}
            owner.load_progress.emit(event.progress if loading else None)
        owner.turns.instance_changed(event, self.names.get(event.model, event.model))
        if event.state in {"ready", "stopped", "failed", "loading"} and event.progress in {0.0, 1.0}:
            self.load()
            owner.window.tell()
