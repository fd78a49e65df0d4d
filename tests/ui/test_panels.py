"""The live panels: right numbers, a dash with its reason, one timer that stops while hidden."""

import time

import pytest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from app.core.events import Bus, InstanceChanged, MemoryUse
from app.core.series import SeriesStore
from app.core.types import Sample
from app.ui import tasks, theme
from app.ui.context_use import ContextUse
from app.ui.live_plot import LivePlot, _scale
from app.ui.panels import LivePanels

GIB = 2**30


class Instances:
    def snapshots(self) -> tuple[InstanceChanged, ...]:
        memory = (MemoryUse("CUDA0", 6 * GIB, GIB, GIB), MemoryUse("CPU", GIB, 0, 0))
        return (InstanceChanged("m", "m", "ready", memory=memory),)


@pytest.fixture
def series(bus: Bus) -> SeriesStore:
    return SeriesStore(bus)


@pytest.fixture
def panels(qtbot: QtBot, series: SeriesStore) -> LivePanels:
    theme.notifier().apply("light")
    made = LivePanels(series, Instances())
    qtbot.addWidget(made)
    return made


def test_unknown_is_a_dash_with_its_reason(panels: LivePanels) -> None:
    panels.show()
    number = panels.speed._rows[0][1]
    assert number.text() == "–"
    assert "asked" in number.toolTip()
    panels.hide()


def test_speeds_of_all_models_are_added_and_kept_apart(panels: LivePanels, series: SeriesStore) -> None:
    now = time.monotonic()
    for source in ("instance:a", "instance:b"):
        series.add(Sample(source, now, {"decode_tps": 20.25, "prefill_tps": 150.0}))
    panels.refresh()
    assert [row[1].text() for row in panels.speed._rows] == ["40.5", "300"]


def test_a_silent_model_counts_as_idle(panels: LivePanels, series: SeriesStore) -> None:
    series.add(Sample("instance:a", time.monotonic() - 10, {"decode_tps": 20.0}))
    panels.refresh()
    assert panels.speed._rows[0][1].text() == "0.0"


def test_memory_says_what_is_ours_per_device(panels: LivePanels, series: SeriesStore) -> None:
    now = time.monotonic()
    series.add(Sample("host", now, {"memory_total": 16.0 * GIB, "memory_used": 8.0 * GIB}))
    series.add(Sample("gpu:0", now, {"memory_total": 24.0 * GIB, "memory_used": 10.0 * GIB}))
    panels.refresh()
    assert list(panels.memory._devices) == ["gpu:0", "host"]
    gpu = panels.memory._devices["gpu:0"]
    assert gpu.number.text() == "10.0"
    assert "24.0" in gpu.name.text()
    assert gpu.bar.toolTip().splitlines() == [
        "weights: 6.0 GiB",
        "context (KV): 1.0 GiB",
        "compute: 1.0 GiB",
        "others: 2.0 GiB",
        "free: 14.0 GiB",
    ]


def test_a_device_s_memory_is_shown_with_its_own_card(qtbot: QtBot, series: SeriesStore) -> None:
    panels = LivePanels(series, Instances(), devices=lambda: {"CUDA0": "gpu:1"})
    qtbot.addWidget(panels)
    for source in ("gpu:0", "gpu:1"):
        values = {"memory_total": 24.0 * GIB, "memory_used": 10.0 * GIB}
        series.add(Sample(source, time.monotonic(), values))
    panels.refresh()
    qtbot.waitUntil(lambda: bool(panels.memory._names), timeout=30_000)
    panels.refresh()
    tips = [panels.memory._devices[name].bar.toolTip().splitlines()[0] for name in ("gpu:0", "gpu:1")]
    assert tips == ["weights: 0 MiB", "weights: 6.0 GiB"]
    tasks.close()


def test_context_shows_its_share(panels: LivePanels) -> None:
    panels.show_context(ContextUse(100, 700, 224, 4096))
    assert panels.context._number.text().replace(",", "") == "1024"
    assert "25 %" in panels.context._rest.text()


def test_a_strip_leaves_out_what_it_has_no_room_for(qtbot: QtBot, panels: LivePanels) -> None:
    holder = QWidget()
    qtbot.addWidget(holder)
    panels.setParent(holder)
    whole = sum(panel.minimumSizeHint().width() for panel in panels._panels)
    holder.resize(2 * whole, 120)
    panels.set_strip(True)
    shown = (panels.speed, panels.memory, panels.context, panels.power)
    assert [panel.isHidden() for panel in shown] == [False] * 4
    holder.resize(panels.speed.minimumSizeHint().width(), 120)
    panels.fit_strip()
    assert [panel.isHidden() for panel in shown] == [False, True, True, True]
    panels.set_strip(False)
    assert [panel.isHidden() for panel in panels._panels] == [False] * 5
    panels.setParent(None)


def test_the_timer_stops_while_hidden(panels: LivePanels) -> None:
    panels.show()
    assert panels._timer.isActive()
    panels.hide()
    assert not panels._timer.isActive()


def test_a_plot_gives_minimum_median_and_maximum(qtbot: QtBot) -> None:
    plot = LivePlot()
    qtbot.addWidget(plot)
    curve = plot.add_curve("x", "plot-1")
    assert plot.summary(curve) is None
    curve.times, curve.values = [1.0, 2.0, 3.0], [5.0, 1.0, 3.0]
    assert plot.summary(curve) == (1.0, 3.0, 5.0)


@pytest.mark.parametrize(
    ("peak", "before", "top"), [(0.0, 7.0, 1.0), (45.0, 1.0, 50.0), (30.0, 50.0, 50.0), (3.0, 50.0, 5.0)]
)
def test_the_scale_is_round_and_does_not_jump(peak: float, before: float, top: float) -> None:
    assert _scale(peak, before) == top
