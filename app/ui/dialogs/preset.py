"""Editing a profile: its name, how the model is loaded with it, and how it answers."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QFrame,
    QGridLayout,
    QLineEdit,
    QPlainTextEdit,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.core.errors import UsageError
from app.core.generate import SamplingParams
from app.core.settings import SettingInfo
from app.models.presets import LoadChoices, Preset
from app.ui import tasks
from app.ui.dialogs import confirm
from app.ui.dialogs.base import Dialog
from app.ui.errors import describe
from app.ui.fields import field_value, fill_field, make_field, name_choices
from app.ui.preset_words import LOAD_KEYS, load_infos, sampling_infos, words_of
from app.ui.widgets import make_button, make_label

if TYPE_CHECKING:
    from app.compose import Services

_FIELD_WIDTH = 200
_NAMED = tuple(name for name in LoadChoices.__struct_fields__ if name != "extra")


class ChoiceRows(QWidget):
    """One row for each setting: a check mark to have an own value, and the field for it."""

    def __init__(self, infos: list[SettingInfo], parent: QWidget, *, marked: bool) -> None:
        super().__init__(parent)
        self.checks: dict[str, QCheckBox] = {}
        self.fields: dict[str, QWidget] = {}
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(8)
        grid.setColumnStretch(0, 1)
        for at, info in enumerate(infos):
            name, title = info.key.partition(".")[2], words_of(info, info.title)
            field = make_field(info, self, lambda: None, lambda: None)
            field.setFixedWidth(_FIELD_WIDTH)
            field.setAccessibleName(title)
            field.setAccessibleDescription(words_of(info, info.help))
            name_choices(info.key, field)
            label = self._label(name, title, field, marked)
            label.setToolTip(words_of(info, info.help))
            field.setToolTip(words_of(info, info.help))
            self.fields[name] = field
            grid.addWidget(label, at, 0)
            grid.addWidget(field, at, 1, Qt.AlignmentFlag.AlignRight)

    def _label(self, name: str, title: str, field: QWidget, marked: bool) -> QWidget:
        if not marked:
            label = make_label("", self)
            label.setText(title)
            return label
        check = self.checks[name] = QCheckBox(title, self)
        check.toggled.connect(field.setEnabled)
        field.setEnabled(False)
        return check

    def fill(self, values: dict[str, Any], usual: dict[str, Any]) -> None:
        """Own values are checked; the others show what is usual."""
        for name, field in self.fields.items():
            fill_field(field, values.get(name, usual.get(name)))
            if name in self.checks:
                self.checks[name].setChecked(name in values)

    def values(self) -> dict[str, Any]:
        """What has an own value."""
        return {
            name: field_value(field)
            for name, field in self.fields.items()
            if name not in self.checks or self.checks[name].isChecked()
        }


class PresetDialog(Dialog):
    """With ``default`` it is the model's own way, without a name."""

    def __init__(
        self,
        preset: Preset,
        model: str,
        services: "Services",
        parent: QWidget | None,
        *,
        default: bool = False,
        known: bool = False,
    ) -> None:
        super().__init__("", parent)
        self._preset, self._model, self._services = preset, model, services
        self._default, self._known = default, known
        self.setMinimumWidth(520)
        self._make_fields()
        self._lay_out()
        self._make_buttons()
        self._fill()
        title = self.tr("How {model} runs").format(model=model) if default else self.tr("Profile")
        self.setWindowTitle(title)
        self.title.setText(title)
        self.title.setWordWrap(True)

    # ------------------------------------------------------------------ building

    def _make_fields(self) -> None:
        self.name, self.description = QLineEdit(self), QLineEdit(self)
        self.place = QComboBox(self)
        self.place.addItem(self.tr("This model"), self._model)
        self.place.addItem(self.tr("Every model"), "")
        self.load = ChoiceRows(load_infos(), self, marked=True)
        self.own = QCheckBox(self.tr("Own way of answering"), self)
        self.sampling = ChoiceRows(sampling_infos(), self, marked=False)
        self.own.toggled.connect(self.sampling.setEnabled)
        self.sampling.setEnabled(False)
        self.system = QPlainTextEdit(self)
        self.system.setProperty("role", "field")
        self.system.setTabChangesFocus(True)
        self.system.setFixedHeight(88)
        self.system.setPlaceholderText(self.tr("System prompt of new chats; empty takes the settings'"))
        self.system.setAccessibleName(self.tr("System prompt"))
        self.problem = make_label("bad", self, wrap=True)
        self.problem.hide()

    def _lay_out(self) -> None:
        holder = QWidget(self)
        column = QVBoxLayout(holder)
        column.setContentsMargins(0, 0, 12, 0)
        column.setSpacing(12)
        for field in (self.name, self.description, self.place):
            field.setVisible(not self._default)
        if not self._default:
            column.addLayout(self._naming())
        for title, widgets in (
            (self.tr("Loading: what is checked differs from the settings"), [self.load]),
            (self.tr("Answers"), [self.system, self.own, self.sampling]),
        ):
            heading = make_label("secondary", holder)
            heading.setText(title)
            column.addWidget(heading)
            for widget in widgets:
                column.addWidget(widget)
        self.further = make_label("muted", holder, wrap=True)
        column.addWidget(self.further)
        column.addStretch(1)
        scroll = QScrollArea(self)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setWidgetResizable(True)
        scroll.setWidget(holder)
        scroll.setMinimumHeight(min(540, holder.sizeHint().height() + 8))
        self.body.addWidget(scroll, 1)
        self.body.addWidget(self.problem)

    def _naming(self) -> QFormLayout:
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.setHorizontalSpacing(16)
        titles = (self.tr("Name"), self.tr("Description"), self.tr("For"))
        for title, field in zip(titles, (self.name, self.description, self.place), strict=True):
            field.setAccessibleName(title)
            form.addRow(title, field)
        return form

    def _make_buttons(self) -> None:
        self.forget = make_button(self._delete, "danger", self)
        self.forget.setText(self.tr("Forget") if self._default else self.tr("Delete"))
        self.forget.setVisible(self._known)
        self.export = make_button(self._export, "", self)
        self.export.setText(self.tr("Export…"))
        self.cancel = make_button(self.reject, "", self)
        self.cancel.setText(self.tr("Cancel"))
        self.save = make_button(self._save, "primary", self)
        self.save.setText(self.tr("Save"))
        self.save.setDefault(True)
        self.buttons.insertWidget(0, self.forget)
        self.buttons.insertWidget(1, self.export)
        self.buttons.addWidget(self.cancel)
        self.buttons.addWidget(self.save)

    # ------------------------------------------------------------------ values

    def _fill(self) -> None:
        preset, settings = self._preset, self._services.settings.value
        self.name.setText(preset.name)
        self.description.setText(preset.description)
        self.place.setCurrentIndex(max(0, self.place.findData(preset.model)))
        self.load.fill(_chosen(preset.load), msgspec.structs.asdict(settings.engine))
        chat = settings.chat
        usual = SamplingParams(
            temperature=chat.temperature, top_p=chat.top_p, max_tokens=chat.max_tokens or None
        )
        self.sampling.fill(_as_fields(preset.sampling or usual), {})
        self.own.setChecked(preset.sampling is not None)
        self.system.setPlainText(preset.system)
        hidden = [name for name in preset.load.extra if name not in LOAD_KEYS]
        self.further.setText(self.tr("Kept as it is: {names}").format(names=", ".join(hidden)))
        self.further.setVisible(bool(hidden))

    def preset(self) -> Preset:
        """What the fields say; what has no field stays."""
        own: dict[str, Any] = {}
        extra = {name: v for name, v in self._preset.load.extra.items() if name not in LOAD_KEYS}
        for name, value in self.load.values().items():
            (own if name in _NAMED else extra)[name] = value
        sampling = None
        if self.own.isChecked():
            sampling = _with_fields(self._preset.sampling or SamplingParams(), self.sampling.values())
        return msgspec.structs.replace(
            self._preset,
            name=self.name.text().strip() or self._preset.name,
            description=self.description.text().strip(),
            model=self._model if self._default else str(self.place.currentData() or ""),
            load=LoadChoices(**own, extra=extra),
            sampling=sampling,
            system=self.system.toPlainText().strip(),
        )

    # ------------------------------------------------------------------ acting

    def _save(self) -> None:
        preset, presets = self.preset(), self._services.presets
        renamed = self._known and not _same(preset, self._preset)

        def work() -> None:
            if self._default:
                presets.set_default(self._model, preset)
                return
            if (not self._known or renamed) and any(_same(preset, one) for one in presets.all()):
                raise UsageError(detail=f"There is a profile called {preset.name} already.")
            presets.save(preset)
            if renamed:
                presets.remove(self._preset.name)

        self._run(work)

    def _delete(self) -> None:
        confirm.ask(
            self,
            self.tr("Delete this profile?"),
            self.tr("Its options are gone then; no model is touched."),
            self.tr("Delete"),
            self._delete_now,
        )

    def _delete_now(self) -> None:
        presets = self._services.presets
        if self._default:
            self._run(lambda: presets.set_default(self._model, None))
        else:
            self._run(lambda: presets.remove(self._preset.name))

    def _export(self) -> None:
        preset = self.preset()
        name = f"{preset.name.replace('/', '-').replace(':', '-') or 'profile'}.json"
        path, _ = QFileDialog.getSaveFileName(
            self, self.tr("Export"), str(Path.home() / name), self.tr("Profiles (*.json)")
        )
        if path:
            self.export_to(Path(path))

    def export_to(self, path: Path) -> None:
        """Write what the fields say into one readable file."""
        from app.models.presets import write_preset  # noqa: PLC0415 - only for an export

        preset = self.preset()
        tasks.run(lambda: write_preset(path, preset), None, self._say, self)

    def _run(self, work: Any) -> None:
        tasks.run(work, lambda _none: self.accept(), self._say, self)

    def _say(self, error: Exception) -> None:
        self.problem.setText(describe(error).sentence)
        self.problem.show()


def _same(one: Preset, other: Preset) -> bool:
    return one.name.casefold() == other.name.casefold()


def _chosen(load: LoadChoices) -> dict[str, Any]:
    chosen = dict(load.chosen())
    chosen.pop("extra", None)
    return {**chosen, **{name: value for name, value in load.extra.items() if name in LOAD_KEYS}}


def _as_fields(sampling: SamplingParams) -> dict[str, Any]:
    values = msgspec.structs.asdict(sampling)
    seed = -1 if sampling.seed is None else sampling.seed
    return {**values, "seed": seed, "max_tokens": sampling.max_tokens or 0}


def _with_fields(base: SamplingParams, values: dict[str, Any]) -> SamplingParams:
    seed, longest = values.pop("seed"), values.pop("max_tokens")
    return msgspec.structs.replace(
        base, **values, seed=None if seed < 0 else seed, max_tokens=longest or None
    )
