"""The load dialog's "what if": the same model on this machine with another GPU, or with more memory."""

from PySide6.QtCore import QEvent, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QWidget

from app.hardware.facts import Machine
from app.planning.estimate import what_if
from app.ui import words
from app.ui.widgets import make_label

_GPUS = (8, 12, 16, 24, 32, 48, 80)
_MEMORY = (8, 16, 32, 64, 128)


class WhatIf(QWidget):
    """``changed`` when another machine was imagined."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._label = make_label("muted", self)
        self.gpu, self.memory = QComboBox(self), QComboBox(self)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self._label)
        for box, sizes in ((self.gpu, _GPUS), (self.memory, _MEMORY)):
            for size in (0, *sizes):
                box.addItem("", size)
            box.currentIndexChanged.connect(lambda _at: self.changed.emit())
            row.addWidget(box)
        row.addStretch(1)
        self._retranslate()

    @property
    def active(self) -> bool:
        """Whether a machine is imagined that is not this one."""
        return bool(self.gpu.currentData() or self.memory.currentData())

    def machine(self, real: Machine) -> Machine:
        """The real one with what was chosen."""
        gpu, memory = self.gpu.currentData(), self.memory.currentData()
        return what_if(real, gpu=gpu << 30 if gpu else None, memory=memory << 30 if memory else None)

    def _retranslate(self) -> None:
        self._label.setText(self.tr("What if there were"))
        texts = (
            (self.gpu, self.tr("no further GPU"), self.tr("another GPU of {size}")),
            (self.memory, self.tr("no more memory"), self.tr("{size} more memory")),
        )
        for box, none, some in texts:
            box.setAccessibleName(f"{self._label.text()}: {none}")
            for at in range(box.count()):
                size = box.itemData(at)
                box.setItemText(at, some.format(size=words.memory(size << 30)) if size else none)

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
        super().changeEvent(event)
