"""Presets in the load dialog: choosing one, and keeping what is chosen as the model's defaults or under a name."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
from PySide6.QtCore import QEvent, Signal
from PySide6.QtWidgets import QComboBox, QInputDialog, QMenu, QPushButton, QWidget

from app.core.engine_settings import Engine
from app.core.types import ModelRecord
from app.models.presets import Preset
from app.planning.choices import choices_from, with_choices
from app.ui import tasks

if TYPE_CHECKING:
    from app.compose import Services


class PresetBox(QComboBox):
    """As set, and the presets for this model; ``chosen`` carries the whole Engine."""

    chosen = Signal(object)

    def __init__(self, model: str, services: "Services", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model, self._services = model, services
        self.addItem("", None)
        self.activated.connect(lambda _at: self._choose())
        self._retranslate()
        self.refresh()

    def refresh(self) -> None:
        """Read the presets again."""
        tasks.run(lambda: self._services.presets.all(self._model), self._show, None, self, order=self)

    def _show(self, found: tuple[Preset, ...]) -> None:
        while self.count() > 1:
            self.removeItem(1)
        for preset in found:
            self.addItem(preset.name, preset)
        self.setVisible(bool(found))

    def _choose(self) -> None:
        preset: Preset | None = self.currentData()
        usual = self._services.settings.value.engine
        planner = self._services.planner
        self.chosen.emit(with_choices(usual, preset.load) if preset else planner.engine(self._model))

    def _retranslate(self) -> None:
        self.setItemText(0, self.tr("As it is set"))
        self.setAccessibleName(self.tr("Preset"))

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
        super().changeEvent(event)


class KeepButton(QPushButton):
    """A menu: this model's defaults, a preset with a name, forget the defaults."""

    kept = Signal()
    failed = Signal(object)

    def __init__(
        self, record: ModelRecord, services: "Services", engine: Callable[[], Engine], parent: QWidget | None
    ) -> None:
        super().__init__(parent)
        self._record, self._services, self._engine = record, services, engine
        self.setAutoDefault(False)
        menu = QMenu(self)
        self._default = menu.addAction("", self._keep_default)
        self._named = menu.addAction("", self._ask_name)
        menu.addSeparator()
        self._forget = menu.addAction("", self._forget_default)
        self.setMenu(menu)
        self._retranslate()

    def _preset(self, name: str, model: str, base: Preset | None) -> Preset:
        load = choices_from(self._engine(), self._services.settings.value.engine)
        return msgspec.structs.replace(base or Preset(name), name=name, model=model, load=load)

    def _keep_default(self) -> None:
        presets, model = self._services.presets, self._record.id
        self._run(lambda: presets.set_default(model, self._preset(model, model, presets.default_for(model))))

    def _forget_default(self) -> None:
        presets, model = self._services.presets, self._record.id
        self._run(lambda: presets.set_default(model, None))

    def _ask_name(self) -> None:
        name, agreed = QInputDialog.getText(self, self.tr("Save as a preset"), self.tr("Name of the preset"))
        if agreed and name.strip():
            self.keep_as(name.strip())

    def keep_as(self, name: str) -> None:
        """Keep what is chosen under a name; a preset of that name gets this way of loading."""
        presets, model = self._services.presets, self._record.id

        def work() -> None:
            known = next((one for one in presets.all() if one.name.casefold() == name.casefold()), None)
            presets.save(self._preset(name, known.model if known else model, known))

        self._run(work)

    def _run(self, work: Callable[[], None]) -> None:
        tasks.run(work, lambda _none: self._done(), self.failed.emit, self, order=self._services.presets)

    def _done(self) -> None:
        self.setText(self.tr("Saved"))
        self.kept.emit()

    def _retranslate(self) -> None:
        self.setText(self.tr("Save"))
        self._default.setText(self.tr("As this model's defaults"))
        self._named.setText(self.tr("As a preset…"))
        self._forget.setText(self.tr("Forget this model's defaults"))

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
        super().changeEvent(event)
