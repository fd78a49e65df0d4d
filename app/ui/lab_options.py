"""What else decides a quant's bytes: types for single tensors, embedding and output, no mixing, layers left out."""

import re

from msgspec import Struct
from PySide6.QtCore import QEvent, QTimer, Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QGridLayout, QLineEdit, QPlainTextEdit, QWidget

from app.optimize.sizes import TENSOR_TYPES
from app.ui import theme
from app.ui.widgets import make_label

_SETTLE_MS = 500


class Options(Struct, frozen=True):
    """As ``core.lab.QuantizeJob`` has them."""

    overrides: tuple[tuple[str, str], ...] = ()
    embedding: str = ""
    output: str = ""
    pure: bool = False
    prune: tuple[int, ...] = ()


class OptionsBox(QWidget):
    """Read ``options``, or ``problem`` when something in it can't be understood."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.embedding, self.output = self._types(), self._types()
        self.overrides = QPlainTextEdit(self)
        self.overrides.setProperty("role", "field")
        self.overrides.setFixedHeight(theme.px(72))
        self.overrides.setTabChangesFocus(True)
        self.overrides.setPlaceholderText("ffn_down=Q6_K\nblk\\.[0-3]\\.attn_v=Q8_0")
        self.prune = QLineEdit(self)
        self.prune.setPlaceholderText("12, 20-22")
        self.pure = QCheckBox(self)
        self._labels = [make_label(parent=self) for _ in range(4)]
        self._notes = [make_label("secondary", self, wrap=True) for _ in range(5)]
        self._settle = QTimer(self, singleShot=True, interval=_SETTLE_MS)
        self._settle.timeout.connect(self.changed)
        self._lay_out()
        for box in (self.embedding, self.output):
            box.activated.connect(lambda _at: self.changed.emit())
        self.overrides.textChanged.connect(self._settle.start)
        self.prune.textChanged.connect(lambda _text: self._settle.start())
        self.pure.toggled.connect(lambda _on: self.changed.emit())
        self._retranslate()

    def _types(self) -> QComboBox:
        box = QComboBox(self)
        box.addItem("", "")
        for kind in TENSOR_TYPES:
            box.addItem(kind, kind)
        return box

    def _lay_out(self) -> None:
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 4, 0, 0)
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(8)
        fields = (self.embedding, self.output, self.overrides, self.prune)
        for at, (label, field, note) in enumerate(zip(self._labels, fields, self._notes, strict=False)):
            grid.addWidget(label, at, 0)
            grid.addWidget(field, at, 1)
            grid.addWidget(note, at, 2)
        grid.addWidget(self.pure, 4, 1)
        grid.addWidget(self._notes[4], 4, 2)
        grid.setColumnMinimumWidth(1, theme.px(210))
        grid.setColumnStretch(2, 1)

    def options(self) -> Options:
        """What the fields say; call ``problem`` first."""
        return Options(
            self._pairs(),
            self.embedding.currentData(),
            self.output.currentData(),
            self.pure.isChecked(),
            layers_of(self.prune.text()) or (),
        )

    def show_overrides(self, overrides: tuple[tuple[str, str], ...]) -> None:
        """Put pairs into the field, as a wish's plan has them."""
        self.overrides.setPlainText("\n".join(f"{pattern}={kind}" for pattern, kind in overrides))

    def problem(self) -> str:
        """What is wrong, in words; empty when nothing is."""
        for pattern, kind in self._pairs():
            if kind not in TENSOR_TYPES:
                text = self.tr("{kind} is no type of a tensor; Q6_K is one, as in ffn_down=Q6_K.")
                return text.format(kind=kind or "?")
            if why := _wrong(pattern):
                text = self.tr("The pattern {pattern} can't be read: {why}.")
                return text.format(pattern=pattern, why=why)
        if layers_of(self.prune.text()) is None:
            return self.tr("Layers are numbers with commas, or ranges: 12, 20-22.")
        return ""

    def _pairs(self) -> tuple[tuple[str, str], ...]:
        lines = [line.strip() for line in self.overrides.toPlainText().splitlines()]
        pairs = [line.rpartition("=") for line in lines if line]
        return tuple(
            (pattern.strip() or kind, kind.strip().upper() if pattern else "") for pattern, _, kind in pairs
        )

    def _retranslate(self) -> None:
        titles = (
            self.tr("Token embedding"),
            self.tr("Output"),
            self.tr("Single tensors"),
            self.tr("Layers to leave out"),
        )
        notes = (
            self.tr("Type of the input table; a finer one helps small models."),
            self.tr("Type of the last tensor, which picks the words."),
            self.tr("A pattern and a type on each line; the first that matches counts."),
            self.tr("Smaller and quicker, and much is lost: measure it."),
            self.tr("Every tensor the same, without finer ones where it matters."),
        )
        fields = (self.embedding, self.output, self.overrides, self.prune)
        for label, field, title in zip(self._labels, fields, titles, strict=True):
            label.setText(title)
            field.setAccessibleName(title)
        for note, text in zip(self._notes, notes, strict=True):
            note.setText(text)
        for field, text in zip((*fields, self.pure), notes, strict=True):
            field.setAccessibleDescription(text)
        self.pure.setText(self.tr("Pure"))
        for box in (self.embedding, self.output):
            box.setItemText(0, self.tr("As the type has it"))

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
        super().changeEvent(event)


def layers_of(text: str) -> tuple[int, ...] | None:
    """``12, 20-22`` as numbers; None when it can't be read."""
    found: set[int] = set()
    for part in (piece.strip() for piece in text.split(",") if piece.strip()):
        match = re.fullmatch(r"(\d+)(?:\s*-\s*(\d+))?", part)
        if match is None:
            return None
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last > 10_000:
            return None
        found |= set(range(first, last + 1))
    return tuple(sorted(found))


def _wrong(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        return error.msg
    return ""
