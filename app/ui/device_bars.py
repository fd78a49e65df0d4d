"""A bar per device: weights, KV cache, compute, what others hold, what stays free. As forecast, before loading."""

from collections.abc import Sequence

from PySide6.QtCore import QCoreApplication, QEvent, Qt
from PySide6.QtWidgets import QGridLayout, QLabel, QVBoxLayout, QWidget

from app.planning.memory import DeviceMemory
from app.ui import theme, words
from app.ui.live_plot import StackBar
from app.ui.widgets import make_label

translate = QCoreApplication.translate

PARTS = (("weights", "plot-2"), ("kv", "plot-1"), ("compute", "plot-4"), ("others", "text-2"))


def part_words(part: str) -> str:
    """A part of memory in plain words; the same in the live panel and before a load."""
    return {
        "weights": translate("Memory", "weights"),
        "kv": translate("Memory", "context (KV)"),
        "compute": translate("Memory", "compute"),
        "others": translate("Memory", "others"),
        "free": translate("Memory", "free"),
    }[part]


def device_words(device: str) -> str:
    """``CPU`` is main memory to a reader; other devices keep ggml's name."""
    return translate("Memory", "memory (RAM)") if device == "CPU" else device


def legend_words(parts: Sequence[tuple[str, str]] = PARTS) -> str:
    """The squares and their names, as rich text."""
    squares = [
        f'<span style="color:{theme.color(token).name()}">■</span>&nbsp;{part_words(part)}'
        for part, token in parts
    ]
    return " &nbsp; ".join(squares)


class DeviceBars(QWidget):
    """Rows are made and dropped as the plan's devices change."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._memory: tuple[DeviceMemory, ...] = ()
        self._rows: list[tuple[QLabel, StackBar, QLabel]] = []
        self._grid = QGridLayout()
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(12)
        self._grid.setVerticalSpacing(6)
        self._grid.setColumnStretch(1, 1)
        self._legend = make_label("secondary", self)
        self._legend.setTextFormat(Qt.TextFormat.RichText)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addLayout(self._grid)
        column.addWidget(self._legend)
        theme.notifier().changed.connect(self._refresh)
        self._refresh()

    def show_memory(self, memory: Sequence[DeviceMemory]) -> None:
        """One bar for each device."""
        self._memory = tuple(memory)
        self._refresh()

    def _refresh(self) -> None:
        while len(self._rows) < len(self._memory):
            self._add_row()
        for at, row in enumerate(self._rows):
            for widget in row:
                widget.setVisible(at < len(self._memory))
        for device, row in zip(self._memory, self._rows, strict=False):
            self._show(device, *row)
        self._legend.setText(legend_words())

    def _add_row(self) -> None:
        name, bar, text = make_label(parent=self), StackBar(self), make_label("secondary", self)
        text.setFont(theme.tabular(theme.font("secondary")))
        at = len(self._rows)
        self._grid.addWidget(name, at, 0)
        self._grid.addWidget(bar, at, 1)
        self._grid.addWidget(text, at, 2, Qt.AlignmentFlag.AlignRight)
        self._rows.append((name, bar, text))

    def _show(self, device: DeviceMemory, name: QLabel, bar: StackBar, text: QLabel) -> None:
        named = device_words(device.device)
        name.setText(named)
        others = device.others or 0
        sizes = {
            "weights": device.weights,
            "kv": device.kv,
            "compute": device.compute + device.overhead,
            "others": others,
        }
        whole = max(device.total or 0, others + device.needed, 1)
        parts = [
            (part_words(part), float(sizes[part]), words.fine_memory(sizes[part]), token)
            for part, token in PARTS
        ]
        if device.left is not None:
            free = max(0, device.left)
            parts.append((part_words("free"), float(free), words.fine_memory(free), "raised"))
        bar.setAccessibleName(self.tr("Memory of {device}").format(device=named))
        bar.show_parts(parts, float(whole))
        text.setText(self._summary(device))
        text.setProperty("role", "secondary")

    def _summary(self, device: DeviceMemory) -> str:
        needed = words.fine_memory(device.needed)
        if device.left is None:
            return self.tr("{needed} needed").format(needed=needed)
        if device.left < 0:
            return self.tr("{needed} needed, {short} too much").format(
                needed=needed, short=words.fine_memory(-device.left)
            )
        return self.tr("{needed} needed, {free} stay free").format(
            needed=needed, free=words.fine_memory(device.left)
        )

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._refresh()
        super().changeEvent(event)
