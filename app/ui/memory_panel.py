"""The memory panel: per device a stacked bar of what is ours, what others hold and what is free."""

import re
from collections.abc import Callable, Mapping
from typing import Protocol

from PySide6.QtCore import QCoreApplication, QLocale, Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from app.core.events import InstanceChanged, MemoryUse
from app.core.series import SeriesStore
from app.core.types import LoadPlan
from app.ui import tasks, theme, words
from app.ui.binned import Binned
from app.ui.chat_style import make_style
from app.ui.figures import DASH
from app.ui.live_plot import LivePlot, StackBar
from app.ui.message_parts import tint
from app.ui.panel_base import BigNumber, Panel

_GIB = 2**30
_WEIGHTS, _KV, _COMPUTE, _OTHERS = "plot-2", "plot-1", "plot-4", "text-2"


Forecast = Callable[[Mapping[str, LoadPlan]], Mapping[str, int]]
"""Plans by model to the bytes they were forecast to take, by the sampler's device names."""
Devices = Callable[[], Mapping[str, str]]
"""ggml's device names to the sampler's; may take seconds, so asked on a pool thread."""


class Instances(Protocol):
    """The part of the supervisor the panels need."""

    def snapshots(self) -> tuple[InstanceChanged, ...]:
        """Every instance as it is now."""


class _DeviceRow(QWidget):
    """One device: its name, what is used of what, and the bar."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.number, self.name, self.bar = BigNumber(self), QLabel(self), StackBar(self)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.number)
        row.addWidget(self.name, 1, Qt.AlignmentFlag.AlignBottom)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 4)
        column.setSpacing(4)
        column.addLayout(row)
        column.addWidget(self.bar)


class MemoryPanel(Panel):
    """Memory per device: our weights, KV cache and compute buffers, what others hold, what is free."""

    def __init__(
        self,
        series: SeriesStore,
        instances: Instances,
        parent: QWidget,
        forecast: Forecast | None = None,
        devices: Devices | None = None,
    ) -> None:
        super().__init__(parent)
        self._series, self._instances, self._ask = series, instances, forecast
        self._ask_names, self._names = devices, dict[str, str]()
        self._plans: dict[str, LoadPlan] = {}
        self._forecast: dict[str, int] = {}
        self._devices: dict[str, _DeviceRow] = {}
        self._used = Binned(series, "memory_used", 1 / _GIB)
        self._plot = LivePlot(self)
        self._curve = self._plot.add_curve("", "plot-2")
        self._legend = self.small()
        self._legend.setTextFormat(Qt.TextFormat.RichText)
        self._legend.setWordWrap(True)
        self.column.addWidget(self._plot)
        self.column.addWidget(self._legend)
        self.restyle()
        self.retranslate()

    def restyle(self) -> None:
        super().restyle()
        for row in self._devices.values():
            tint(row.name, make_style())
        self._show_legend()

    def retranslate(self) -> None:
        self.title.setText(self.tr("Memory"))
        self._curve.name = self.tr("Used, GiB")
        self._plot.setAccessibleName(self.tr("Used memory, last minute"))
        self._show_legend()

    def _show_legend(self) -> None:
        """The colours' names, and what all our models hold of each."""
        ours = memory_by_source(self._instances.snapshots(), self._names).values()
        sizes = [sum(getattr(use, part) for use in ours) for part in ("weights", "kv", "compute")]
        parts = (
            (self.tr("weights"), _WEIGHTS),
            (self.tr("context (KV)"), _KV),
            (self.tr("compute"), _COMPUTE),
            (self.tr("others"), _OTHERS),
        )
        squares = []
        for (name, token), size in zip(parts, [*sizes, 0], strict=True):
            text = f"{name}&nbsp;{words.fine_memory(size)}".replace(" ", "&nbsp;") if size else name
            squares.append(f'<span style="color:{theme.color(token).name()}">■</span>&nbsp;{text}')
        legend = "&nbsp; ".join(squares)
        if legend != self._legend.text():
            self._legend.setText(legend)

    def refresh(self, now: float) -> None:
        known = self._series.keys()
        sources = sorted(
            {s for s, name in known if name == "memory_total" and is_device(s)}, key=device_order
        )
        snapshots = self._instances.snapshots()
        self._follow_plans(snapshots)
        self._learn_names(snapshots)
        ours = memory_by_source(snapshots, self._names)
        self._show_legend()
        for source in sources or ["host"]:
            self._show_device(source, ours.get(source, MemoryUse(source)))
        main = sources[0] if sources else "host"
        self._used.follow(self._curve, [main], now, self._plot.span)
        total = self._series.last(main, "memory_total")
        self._plot.set_top(total / _GIB if total else None)
        self._plot.advance(now)

    def _show_device(self, source: str, ours: MemoryUse) -> None:
        row = self._row(source)
        used, total = self._series.last(source, "memory_used"), self._series.last(source, "memory_total")
        name = source_words(source)
        if used is None or not total:
            row.number.show_value(DASH, name, self.tr("Not measured yet, or this device does not tell."))
            row.name.setText(name)
            row.bar.show_parts([], 1.0)
            return
        row.number.show_value(_gib(used), name)
        row.name.setText(self.tr("of {total} GiB, {device}").format(total=_gib(total), device=name))
        row.bar.setAccessibleName(self.tr("Memory of {device}").format(device=name))
        row.bar.show_parts(self._parts(ours, used, total), total, self._predicted(source))

    def _parts(self, ours: MemoryUse, used: float, total: float) -> list[tuple[str, float, str, str]]:
        others = max(0.0, used - ours.total)
        parts = [
            (self.tr("weights"), float(ours.weights), _WEIGHTS),
            (self.tr("context (KV)"), float(ours.kv), _KV),
            (self.tr("compute"), float(ours.compute), _COMPUTE),
            (self.tr("others"), others, _OTHERS),
        ]
        shown = [(name, size, words.fine_memory(round(size)), token) for name, size, token in parts]
        free = max(0.0, total - max(used, ours.total))
        return [*shown, (self.tr("free"), free, self.tr("{size} GiB").format(size=_gib(free)), "raised")]

    def _row(self, source: str) -> _DeviceRow:
        if source not in self._devices:
            self._devices[source] = row = _DeviceRow(self)
            tint(row.name, make_style())
            self.column.insertWidget(len(self._devices), row)
        return self._devices[source]

    def _predicted(self, source: str) -> tuple[str, float, str] | None:
        """The line across the bar: what loading was forecast to take."""
        size = self._forecast.get(source)
        if not size:
            return None
        return self.tr("forecast"), float(size), words.fine_memory(size)

    def _follow_plans(self, snapshots: tuple[InstanceChanged, ...]) -> None:
        """Forecast anew, off the GUI thread, when other plans are loaded."""
        plans = {item.model: item.plan for item in snapshots if item.plan is not None}
        if plans == self._plans or self._ask is None:
            return
        self._plans, ask = plans, self._ask
        tasks.run(lambda: ask(plans), self._take_forecast, None, self)

    def _learn_names(self, snapshots: tuple[InstanceChanged, ...]) -> None:
        """Which card each of ggml's devices is, once one of them is in use."""
        ask = self._ask_names
        if ask is not None and any(use.device != "CPU" for item in snapshots for use in item.memory):
            self._ask_names = None
            tasks.run(ask, self._names.update, None, self)

    def _take_forecast(self, found: Mapping[str, int]) -> None:
        self._forecast = dict(found)


def source_words(source: str) -> str:
    """A device of the sampler in words."""
    if source == "host":
        return QCoreApplication.translate("Memory", "memory (RAM)")
    return QCoreApplication.translate("Memory", "GPU {number}").format(number=source[4:])


def _gib(size: float) -> str:
    """GiB with one decimal, as drivers report memory."""
    return QLocale().toString(size / _GIB, "f", 1)


def is_device(source: str) -> bool:
    """Whether a source of the series is main memory or a GPU."""
    return source == "host" or source.startswith("gpu:")


def device_order(source: str) -> tuple[bool, str]:
    """A key to sort devices by."""
    return source == "host", source  # GPUs first: that is where memory runs out


def memory_by_source(
    instances: tuple[InstanceChanged, ...], names: Mapping[str, str] | None = None
) -> dict[str, MemoryUse]:
    """What all our instances hold, by the sampler's device names (see ``device_source``)."""
    total: dict[str, MemoryUse] = {}
    for use in (use for instance in instances for use in instance.memory):
        source = device_source(use.device, names)
        was = total.get(source, MemoryUse(source))
        total[source] = MemoryUse(
            source, was.weights + use.weights, was.kv + use.kv, was.compute + use.compute
        )
    return total


def device_source(device: str, names: Mapping[str, str] | None = None) -> str:
    """The sampler's name of a ggml device, as ``names`` has it: with cards of two makers ROCm0 need not be ``gpu:0``.
    Without them CUDA0 and Vulkan0 are ``gpu:0``; main memory is ``host``."""
    if names and device in names:
        return names[device]
    number = re.search(r"\d+$", device)
    return f"gpu:{number[0]}" if number and not device.startswith("CPU") else "host"
