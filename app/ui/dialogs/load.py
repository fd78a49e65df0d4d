"""How a model is loaded: context, GPU layers and the rest, with what it will take, before it is taken."""

from typing import TYPE_CHECKING, Any

import msgspec
from PySide6.QtCore import QCoreApplication, Qt, QTimer, Signal
from PySide6.QtWidgets import QComboBox, QFormLayout, QHBoxLayout, QLabel, QSlider, QSpinBox, QWidget

from app.core.errors import fill
from app.core.types import ModelRecord
from app.ui import tasks, theme, words
from app.ui.dialogs.base import Dialog
from app.ui.errors import describe
from app.ui.widgets import make_button, make_label, pad_spin, set_property

if TYPE_CHECKING:
    from app.compose import Services
    from app.planning.planner import Planned, Wishes

_SETTLE_MS = 120
_STEPS = (512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072, 262144, 524288, 1048576)
_KV = ("f16", "q8_0", "q4_0")


class LoadDialog(Dialog):
    """``load_asked`` carries the Wishes."""

    load_asked = Signal(object)

    def __init__(self, record: ModelRecord, services: "Services", parent: QWidget | None) -> None:
        super().__init__("", parent)
        self._record, self._services = record, services
        self._wishes: Wishes = services.planner.wishes()
        self._task: tasks.Task[Any] | None = None
        self.setMinimumWidth(560)
        self._settle = QTimer(self, singleShot=True, interval=_SETTLE_MS)
        self._settle.timeout.connect(self._forecast)
        self._make_fields()
        self._lay_out()
        self._retranslate()
        self._forecast()

    # ------------------------------------------------------------------ building

    def _make_fields(self) -> None:
        summary = self._record.summary
        self._trained = (summary.context_length if summary else None) or _STEPS[-1]
        layers = (summary.block_count if summary else None) or 0
        steps = [step for step in _STEPS if step < self._trained] + [self._trained]
        self._steps = steps
        self.context = QSpinBox(self, minimum=256, maximum=self._trained, singleStep=1024)
        self.context.setGroupSeparatorShown(True)
        self.slider = QSlider(Qt.Orientation.Horizontal, self)
        self.slider.setRange(0, len(steps) - 1)
        self.slider.setPageStep(1)
        self.layers = QSpinBox(self, minimum=-1, maximum=max(layers + 1, 1))
        self.parallel = QSpinBox(self, minimum=1, maximum=64)
        self.kv = QComboBox(self)
        self.kv.addItems(_KV)
        self.context.setValue(min(self._wishes.n_ctx, self._trained))
        self.layers.setValue(min(self._wishes.n_gpu_layers, self.layers.maximum()))
        self.parallel.setValue(self._wishes.n_parallel)
        self.kv.setCurrentText(self._wishes.kv_type)
        self._follow_context()
        self.slider.valueChanged.connect(lambda at: self.context.setValue(self._steps[at]))
        self.context.valueChanged.connect(self._follow_context)
        for box in (self.context, self.layers, self.parallel):
            pad_spin(box)
            box.valueChanged.connect(self._settle.start)
        self.kv.currentIndexChanged.connect(self._settle.start)

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.setSpacing(12)
        row.addWidget(self.slider, 1)
        row.addWidget(self.context)
        form = QFormLayout()
        form.setHorizontalSpacing(24)
        form.setVerticalSpacing(8)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._labels = [QLabel(self) for _ in range(4)]
        self._helps = [make_label("secondary", self, wrap=True) for _ in range(4)]
        fields: list[Any] = [row, self.layers, self.parallel, self.kv]
        for label, field, note in zip(self._labels, fields, self._helps, strict=True):
            form.addRow(label, field)
            form.addRow("", note)
        self.body.addLayout(form)
        self.verdict = make_label(parent=self, wrap=True)
        self.verdict.setFont(_strong())
        self.reasons = make_label("muted", self, wrap=True)
        self.body.addWidget(self.verdict)
        self.body.addWidget(self.reasons)
        self.body.addStretch(1)
        self.cancel = make_button(self.reject, parent=self)
        self.load = make_button(self._accept, "primary", self)
        self.load.setDefault(True)
        self.buttons.addWidget(self.cancel)
        self.buttons.addWidget(self.load)

    def _retranslate(self) -> None:
        name = self._record.name or self._record.id
        self.title.setText(self.tr("Load {model}").format(model=name))
        self.setWindowTitle(self.title.text())
        texts = (
            (self.tr("Context length"), self._context_help()),
            (
                self.tr("GPU layers"),
                self.tr("Automatic puts as many on the GPU as fit; 0 uses the processor."),
            ),
            (
                self.tr("Parallel answers"),
                self.tr("Answers written at the same time; they share the context."),
            ),
            (self.tr("KV cache type"), self.tr("q8_0 halves the context's memory at almost no loss.")),
        )
        fields = (self.context, self.layers, self.parallel, self.kv)
        for label, note, field, (title, help_) in zip(self._labels, self._helps, fields, texts, strict=True):
            label.setText(title)
            note.setText(help_)
            field.setAccessibleName(title)
            field.setAccessibleDescription(help_)
        self.slider.setAccessibleName(self.tr("Context length"))
        self.layers.setSpecialValueText(self.tr("Automatic"))
        self.cancel.setText(self.tr("Cancel"))
        self._name_button()

    def _context_help(self) -> str:
        summary = self._record.summary
        if summary is None or not summary.context_length:
            return self.tr("Tokens the model can see at once.")
        trained = words.number(summary.context_length)
        return self.tr("Tokens the model can see at once; it was trained for {count}.").format(count=trained)

    # ------------------------------------------------------------------ living

    def _follow_context(self) -> None:
        value = self.context.value()
        nearest = min(range(len(self._steps)), key=lambda at: abs(self._steps[at] - value))
        self.slider.blockSignals(True)
        self.slider.setValue(nearest)
        self.slider.blockSignals(False)
        if hasattr(self, "load"):
            self._name_button()

    def _name_button(self) -> None:
        count = words.tokens(self.context.value())
        self.load.setText(self.tr("Load with {count} context").format(count=count))

    def wishes(self) -> "Wishes":
        """What the fields ask for."""
        changes: dict[str, Any] = {
            "n_ctx": self.context.value(),
            "n_gpu_layers": self.layers.value(),
            "n_parallel": self.parallel.value(),
            "kv_type": self.kv.currentText(),
        }
        return msgspec.structs.replace(self._wishes, **changes)

    def _forecast(self) -> None:
        if self._task is not None:
            self._task.cancel()
        wishes, record, planner = self.wishes(), self._record, self._services.planner
        self._task = tasks.run(lambda: planner(record, wishes), self._show, self._show_failure, self)

    def _show(self, planned: "Planned") -> None:
        template = self.tr("{fit}: about {needed} of memory")
        self.verdict.setText(
            template.format(fit=words.fit_words(planned.fit), needed=words.memory(planned.needed))
        )
        set_property(self.verdict, "role", words.FIT_TOKENS.get(planned.fit, "muted"))
        lines = [
            fill(QCoreApplication.translate("Planning", _template(reason)), reason.params)
            for reason in planned.reasons
        ]
        self.reasons.setText("\n".join(lines))

    def _show_failure(self, error: Exception) -> None:
        self.verdict.setText(describe(error).sentence)
        set_property(self.verdict, "role", "bad")
        self.reasons.setText("")

    def _accept(self) -> None:
        self.load_asked.emit(self.wishes())
        self.accept()


def _template(reason: Any) -> str:
    from app.planning.reasons import REASONS  # noqa: PLC0415 - the dialog alone needs it

    return REASONS[reason.code]


def _strong() -> Any:
    font = theme.font("text")
    font.setBold(True)
    return font
