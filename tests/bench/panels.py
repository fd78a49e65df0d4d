"""What the live panels cost the processor; a part of ``tests.bench.gui``, in its process."""

import time
from collections.abc import Callable

from PySide6.QtCore import QEvent, QEventLoop, QTimer
from PySide6.QtWidgets import QApplication

from app.core.events import Bus, InstanceChanged, MemoryUse
from app.core.series import SeriesStore
from app.core.types import LoadPlan, Sample
from app.ui.panels import LivePanels


class TwoModels:
    """What the supervisor says of two loaded models."""

    def snapshots(self) -> tuple[InstanceChanged, ...]:
        plan, memory = (
            LoadPlan("m.gguf"),
            (MemoryUse("CUDA0", 6 << 30, 1 << 30, 1 << 28), MemoryUse("CPU", 1 << 30)),
        )
        return tuple(InstanceChanged(name, name, "ready", plan, memory=memory) for name in "ab")


def feed(series: SeriesStore, now: float) -> None:
    """One reading of everything: two models, main memory, two GPUs."""
    wave = 20 + (now * 7) % 10
    for name in "ab":
        values = {"decode_tps": wave, "prefill_tps": 300 + wave, "batch": 2.0, "active": 2.0, "waiting": 0.0}
        each = {f"{kind}/{n}": wave / 2 for kind in ("decode_tps", "prefill_tps") for n in (1, 2)}
        series.add(Sample(f"instance:{name}", now, {**values, **each, "kv_used": 900.0, "kv_total": 4096.0}))
    series.add(
        Sample("host", now, {"memory_total": 32e9, "memory_used": 9e9 + 1e7 * wave, "cpu_power": 30 + wave})
    )
    for gpu in ("gpu:0", "gpu:1"):
        values = {"memory_total": 24e9, "memory_used": 9e9, "power": 200 + wave, "temperature": 60.0}
        series.add(Sample(gpu, now, {**values, "utilization": 90.0}))


def measure_panels(seconds: float = 5.0) -> tuple[float, float]:
    """Percent of a core that all panels take at 10 Hz over two full minutes of readings, shown and hidden; what
    feeding the readings takes without them is taken off."""
    series = SeriesStore(Bus())
    begin = time.monotonic() - 120
    for at in range(1200):
        feed(series, begin + at / 10)
    panels = LivePanels(series, TwoModels())
    panels.resize(280, 1100)
    panels.show()
    _settle(1.0)
    shown = _share(seconds, lambda: feed(series, time.monotonic()))
    panels.hide()
    hidden = _share(seconds, lambda: feed(series, time.monotonic()))
    panels.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    bare = _share(seconds, lambda: feed(series, time.monotonic()))
    return max(0.0, shown - bare), max(0.0, hidden - bare)


def _share(seconds: float, each: Callable[[], None]) -> float:
    """Percent of a core this process takes while ``each`` is called ten times a second."""
    timer = QTimer(interval=100)
    timer.timeout.connect(each)
    timer.start()
    used, began = time.process_time(), time.monotonic()
    _settle(seconds)
    share = 100 * (time.process_time() - used) / (time.monotonic() - began)
    timer.stop()
    return share


def _settle(seconds: float) -> None:
    loop = QEventLoop()
    QTimer.singleShot(int(seconds * 1000), loop.quit)
    loop.exec()
