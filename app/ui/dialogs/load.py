"""How a model is loaded: context, KV types, layers and everything else, with what it will take, before it is taken.

Every change is forecast at once, off the GUI thread; what "Load" asks for is what the bars show.
"""

from typing import TYPE_CHECKING, Any

import msgspec
from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QSlider,
    QSpinBox,
    QStackedWidget,
    QTabBar,
    QVBoxLayout,
    QWidget,
)

from app.core.types import ModelRecord
from app.planning.estimate import contexts
from app.planning.memory import KV_TYPES
from app.ui import tasks, theme, words
from app.ui.context_scale import ContextScale, Mark
from app.ui.dialogs.base import Dialog
from app.ui.dialogs.load_forecast import Forecaster
from app.ui.dialogs.load_keep import KeepButton, PresetBox
from app.ui.dialogs.load_options import LoadOptions
from app.ui.dialogs.load_outcome import Outcome, OutcomeView
from app.ui.dialogs.load_price import PriceLine
from app.ui.dialogs.load_whatif import WhatIf
from app.ui.engine_draft import EngineDraft
from app.ui.errors import describe
from app.ui.forms import choice_words
from app.ui.widgets import Hairline, make_button, make_label, pad_spin, set_property

if TYPE_CHECKING:
    from app.compose import Services
    from app.planning.planner import Wishes

_SETTLE_MS = 90
_LONGEST = 1 << 20
_STEPS = 40
_BASIC = ("n_ctx", "n_gpu_layers", "n_parallel", "kv_type")
_NOT_HERE = ("idle_minutes", "packs")


class LoadDialog(Dialog):
    """``load_asked`` carries the Wishes."""

    load_asked = Signal(object)

    def __init__(self, record: ModelRecord, services: "Services", parent: QWidget | None) -> None:
        super().__init__("", parent)
        self._record, self._services = record, services
        self._draft = EngineDraft(services.planner.engine(record.id), lambda _key: None)
        self._forecaster = Forecaster(record, services)
        self._task: tasks.Task[Any] | None = None
        self._outcome: Outcome | None = None
        self.options: LoadOptions | None = None
        self.setMinimumWidth(theme.px(760))
        self._settle = QTimer(self, singleShot=True, interval=_SETTLE_MS)
        self._settle.timeout.connect(self._forecast)
        self._make_fields()
        self._lay_out()
        self._retranslate()
        self._show_draft()
        self._forecast()

    # ------------------------------------------------------------------ building

    def _make_fields(self) -> None:
        summary = self._record.summary
        self._trained = (summary.context_length if summary else None) or _LONGEST
        layers = (summary.block_count if summary else None) or 0
        self.context = QSpinBox(self, minimum=256, maximum=self._trained, singleStep=1024)
        self.context.setGroupSeparatorShown(True)
        self.slider = QSlider(Qt.Orientation.Horizontal, self)
        self.slider.setPageStep(4)
        self.scale = ContextScale(self)
        self._set_longest(self._trained)
        self.layers = QSpinBox(self, minimum=-1, maximum=max(layers + 1, 1))
        self.parallel = QSpinBox(self, minimum=1, maximum=64)
        self.kv = QComboBox(self)
        for kind in KV_TYPES:
            self.kv.addItem(kind, kind)
        self.slider.valueChanged.connect(lambda at: self.context.setValue(self._steps[at]))
        self.context.valueChanged.connect(self._follow_context)
        for box in (self.context, self.layers, self.parallel):
            pad_spin(box)
            box.valueChanged.connect(lambda _value: self._take())
        self.kv.activated.connect(lambda _at: self._take())

    def _set_longest(self, longest: int) -> None:
        self._steps = contexts(longest, _STEPS)
        self.context.setMaximum(longest)
        self.slider.blockSignals(True)
        self.slider.setRange(0, len(self._steps) - 1)
        self.slider.blockSignals(False)
        self.scale.set_range(self._steps[0], longest)

    def _lay_out(self) -> None:
        self.presets = PresetBox(self._record.id, self._services, self)
        self.presets.chosen.connect(self._take_engine)
        self.tabs = QTabBar(self)
        self.tabs.setDrawBase(False)
        self.tabs.addTab("")
        self.tabs.addTab("")
        head = QHBoxLayout()
        head.addWidget(self.tabs)
        head.addStretch(1)
        head.addWidget(self.presets)
        self.stack = QStackedWidget(self)
        self.stack.addWidget(self._main_fields())
        self.tabs.currentChanged.connect(self._open_tab)
        self.outcome = OutcomeView(self)
        self.verdict = self.outcome.verdict
        self.price = PriceLine(self._record, self._services, self)
        self.what_if = WhatIf(self)
        self.what_if.changed.connect(self._settle.start)
        self.measure = make_button(self._measure, "link", self, compact=True)
        self.measure.hide()
        self.below, last = QWidget(self), QHBoxLayout()
        below = QVBoxLayout(self.below)
        below.setContentsMargins(0, 0, 0, 0)
        below.setSpacing(12)
        below.addWidget(self.price)
        below.addLayout(last)
        last.addWidget(self.what_if, 1)
        last.addWidget(self.measure)
        self.body.addLayout(head)
        self.body.addWidget(self.stack, 1)
        self.body.addWidget(Hairline(self))
        self.body.addWidget(self.outcome)
        self.body.addWidget(self.below)
        self._make_buttons()

    def _make_buttons(self) -> None:
        self.keep = KeepButton(self._record, self._services, lambda: self._draft.engine, self)
        self.keep.kept.connect(self.presets.refresh)
        self.keep.failed.connect(self._show_failure)
        self.cancel = make_button(self.reject, parent=self)
        self.load = make_button(self._accept, "primary", self)
        self.load.setDefault(True)
        self.buttons.insertWidget(0, self.keep)
        self.buttons.addWidget(self.cancel)
        self.buttons.addWidget(self.load)

    def _main_fields(self) -> QWidget:
        holder = QWidget(self)
        grid = QGridLayout(holder)
        grid.setContentsMargins(0, 4, 0, 0)
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(4)
        self._labels = [QLabel(self) for _ in range(4)]
        self._helps = [make_label("secondary", self, wrap=True) for _ in range(4)]
        grid.addWidget(self._labels[0], 0, 0)
        grid.addWidget(self.slider, 0, 1, 1, 2)
        grid.addWidget(self.context, 0, 3)
        grid.addWidget(self.scale, 1, 1, 1, 2)
        self._helps[0].hide()  # the scale says it; a screen reader gets it with the field
        for at, field in enumerate((self.kv, self.layers, self.parallel), 1):
            grid.addWidget(self._labels[at], 2 + at, 0)
            grid.addWidget(field, 2 + at, 1)
            grid.addWidget(self._helps[at], 2 + at, 2, 1, 2)
        grid.setColumnStretch(2, 1)
        grid.setColumnMinimumWidth(1, theme.px(210))
        return holder

    def _open_tab(self, at: int) -> None:
        if at == 1 and self.stack.count() == 1:
            self.options = LoadOptions(self._draft, (*_BASIC, *_NOT_HERE), self)
            self.options.saved.connect(self._changed)
            self.stack.addWidget(self.options)
        self.stack.setCurrentIndex(at)
        self.outcome.set_brief(at == 1)  # many options: they have the room of what is told beside the bars
        self.below.setHidden(at == 1)

    # ------------------------------------------------------------------ words

    def _retranslate(self) -> None:
        name = self._record.name or self._record.id
        self.title.setText(self.tr("Load {model}").format(model=name))
        self.setWindowTitle(self.title.text())
        self.tabs.setTabText(0, self.tr("Main"))
        self.tabs.setTabText(1, self.tr("All options"))
        self.tabs.setAccessibleName(self.tr("Options"))
        texts = (
            (self.tr("Context length"), self._context_help()),
            (self.tr("KV cache type"), self.tr("q8_0 halves the context's memory at almost no loss.")),
            (
                self.tr("GPU layers"),
                self.tr("Automatic puts as many on the GPU as fit; 0 uses the processor."),
            ),
            (
                self.tr("Parallel answers"),
                self.tr("Answers written at the same time; they share the context."),
            ),
        )
        fields = (self.context, self.kv, self.layers, self.parallel)
        for label, note, field, (title, help_) in zip(self._labels, self._helps, fields, texts, strict=True):
            label.setText(title)
            note.setText(help_)
            field.setAccessibleName(title)
            field.setAccessibleDescription(help_)
        self.slider.setAccessibleName(self.tr("Context length"))
        self.scale.setAccessibleName(self.tr("Context length"))
        self.layers.setSpecialValueText(self.tr("Automatic"))
        self.cancel.setText(self.tr("Cancel"))
        self._name_button()

    def _context_help(self) -> str:
        summary = self._record.summary
        if summary is None or not summary.context_length:
            return self.tr("Tokens the model can see at once.")
        trained = words.number(summary.context_length)
        return self.tr("Tokens the model can see at once; it was trained for {count}.").format(count=trained)

    def _name_button(self) -> None:
        if self._refused():
            self.load.setText(self.tr("Load anyway"))
            set_property(self.load, "role", "danger")
            return
        count = words.tokens(self._planned_context())
        self.load.setText(self.tr("Load with {count} context").format(count=count))
        set_property(self.load, "role", "primary")

    def _planned_context(self) -> int:
        """What the planner makes of the context in the field: less, where that much does not fit."""
        wanted = self.context.value()
        reasons = self._outcome.after.planned.reasons if self._outcome is not None else ()
        return next((int(r.params["n_ctx"]) for r in reasons if r.params.get("wanted") == wanted), wanted)

    def _refused(self) -> bool:
        return self._outcome is not None and self._outcome.after.planned.verdict == "refuse"

    # ------------------------------------------------------------------ living

    def _follow_context(self) -> None:
        value = self.context.value()
        nearest = min(range(len(self._steps)), key=lambda at: abs(self._steps[at] - value))
        self.slider.blockSignals(True)
        self.slider.setValue(nearest)
        self.slider.blockSignals(False)
        self._name_button()

    def _take(self) -> None:
        """The first tab's fields into the draft."""
        self._draft.engine = msgspec.structs.replace(
            self._draft.engine,
            n_ctx=self.context.value(),
            n_gpu_layers=self.layers.value(),
            n_parallel=self.parallel.value(),
            kv_type=self.kv.currentData(),
        )
        self._settle.start()

    def _take_engine(self, engine: Any) -> None:
        """A preset was chosen."""
        self._draft.engine = engine
        if self.options is not None:
            self.options.show_draft()
        self._show_draft()
        self._settle.start()

    def _changed(self) -> None:
        engine = self._draft.engine
        stretched = (
            engine.rope_scaling not in ("model", "none") or engine.rope_freq_scale or engine.rope_freq_base
        )
        self._set_longest(min(_LONGEST, self._trained * 4) if stretched else self._trained)
        self._settle.start()

    def _show_draft(self) -> None:
        engine, fields = self._draft.engine, (self.context, self.layers, self.parallel)
        for field, value in zip(fields, (engine.n_ctx, engine.n_gpu_layers, engine.n_parallel), strict=True):
            field.blockSignals(True)
            field.setValue(value)
            field.blockSignals(False)
        self.kv.setCurrentIndex(self.kv.findData(engine.kv_type))
        self._follow_context()

    def wishes(self) -> "Wishes":
        """What the fields ask for. Raises SettingsError."""
        from app.planning.wishes import from_settings  # noqa: PLC0415 - see Forecaster

        return from_settings(self._draft.engine)

    def _forecast(self) -> None:
        if self._task is not None:
            self._task.cancel()
        engine, imagine = self._draft.engine, self.what_if.machine if self.what_if.active else None
        work = self._forecaster.make(engine, imagine)
        self._task = tasks.run(work, self._show, self._show_failure, self)

    def _show(self, found: Outcome) -> None:
        self._outcome = found
        self.outcome.show_outcome(found)
        self._show_scale(found)
        self._show_kv(found)
        trained = self._record.summary.context_length if self._record.summary else None
        self.price.show_plan(self.kv.currentData(), self.context.value(), trained or 0, self.wishes())
        self.load.setEnabled(not self.what_if.active)
        self.load.setToolTip(self.tr("This is not the machine that is here.") if self.what_if.active else "")
        self.measure.setText(self.tr("Measure this machine's speed"))
        self.measure.setToolTip(self.tr("Takes under a minute; other programs should be quiet."))
        self.measure.setVisible(found.after.empty.decode is None and not self.what_if.active)
        self._name_button()

    def _show_scale(self, found: Outcome) -> None:
        marks, places = found.after.marks, []
        if marks.full_gpu:
            places.append(Mark(marks.full_gpu, self.tr("at full GPU speed"), "good"))
        if marks.trained:
            places.append(Mark(marks.trained, self.tr("trained length"), "text-2"))
        if marks.too_large:
            places.append(Mark(marks.too_large, self.tr("too large"), "bad"))
        on_gpu = found.after.planned.plan.devices
        self.scale.show_marks(places, marks.full_gpu if on_gpu else self._steps[-1], marks.too_large)

    def _show_kv(self, found: Outcome) -> None:
        for at in range(self.kv.count()):
            kind = self.kv.itemData(at)
            size = found.after.kv.get(kind)
            text = f"{choice_words('engine.kv_type', kind)} · {words.fine_memory(size)}"
            self.kv.setItemText(at, text if size is not None else kind)

    def _show_failure(self, error: Exception) -> None:
        self.outcome.show_failure(describe(error).sentence)

    def _measure(self) -> None:
        self.measure.setEnabled(False)
        self.measure.setText(self.tr("Measuring, under a minute…"))

        def done(_none: object) -> None:
            self.measure.setEnabled(True)
            self._forecast()

        def failed(error: Exception) -> None:
            self.measure.setEnabled(True)
            self.measure.setText(self.tr("Measure this machine's speed"))
            self._show_failure(error)

        tasks.run(self._services.outlook.measure, done, failed, self, long=True)

    def _accept(self) -> None:
        if self.options is not None and not self.options.flush():
            self.tabs.setCurrentIndex(1)
            return
        wishes = self.wishes()
        if self._refused():
            wishes = msgspec.structs.replace(wishes, guardrail="off")
        self.load_asked.emit(wishes)
        self.accept()
