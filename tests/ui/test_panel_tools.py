"""Pause, zoom and export of the live panels, and the panels of power and batch."""

import csv
import io
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtGui import QImage
from pytestqt.qtbot import QtBot

from app.core.events import Bus, InstanceChanged, MemoryUse
from app.core.series import SeriesStore
from app.core.types import LoadPlan, Sample
from app.ui import tasks, theme, translate
from app.ui.context_use import ContextUse
from app.ui.live_plot import Curve, LivePlot
from app.ui.panel_tools import series_csv
from app.ui.panels import LivePanels
from app.ui.speed_panel import Clock

GIB = 2**30
PLAN = LoadPlan("m.gguf", n_batch=512)


class Instances:
    def snapshots(self) -> tuple[InstanceChanged, ...]:
        memory = (MemoryUse("CPU", 90 << 20, 80 << 20, 20 << 20),)
        return (InstanceChanged("m", "m", "ready", PLAN, memory=memory),)


@pytest.fixture
def series(bus: Bus) -> SeriesStore:
    return SeriesStore(bus)


@pytest.fixture
def panels(qtbot: QtBot, series: SeriesStore) -> Iterator[LivePanels]:
    translate.install("en")
    theme.notifier().apply("light")
    reasons = {"host": {"cpu_power": "no RAPL"}}
    made = LivePanels(
        series,
        Instances(),
        reasons=lambda source: reasons.get(source, {}),
        forecast=lambda _: {"host": 200 << 20},
    )
    qtbot.addWidget(made)
    yield made
    tasks.close()


def test_paused_panels_hold_what_they_show(panels: LivePanels, series: SeriesStore) -> None:
    panels.show()
    panels.tools.pause.click()
    assert not panels._timer.isActive()
    series.add(Sample("instance:m", time.monotonic(), {"decode_tps": 20.0}))
    panels.show_context(ContextUse(limit=4096, answer=900))
    assert panels.speed._rows[0][1].text() == panels.context._number.text() == "–"
    panels.tools.pause.click()
    assert panels.context._number.text() == "900"
    assert panels._timer.isActive()
    assert panels.speed._rows[0][1].text() == "20.0"
    panels.hide()


def test_a_paused_panel_zooms_out_over_what_was_before_the_pause(
    panels: LivePanels, series: SeriesStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = 10_000.0
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    for ago in range(100, 0, -1):
        series.add(Sample("instance:m", clock - ago, {"decode_tps": float(ago)}))
    panels.refresh()
    panels.pause(True)
    curve = panels.speed._rows[0][4]
    assert len(curve.times) <= 61
    shown = panels.speed._rows[0][1].text()
    clock += 600.0
    for at in range(1300):  # the ring has forgotten what was before
        series.add(Sample("instance:m", clock - 130 + at / 10, {"decode_tps": 7.0}))
    panels.zoom(-1)
    assert len(curve.times) >= 99
    assert 7.0 not in curve.values[:90]
    assert panels.speed._rows[0][1].text() == shown
    panels.pause(False)
    panels.refresh()
    assert set(panels.speed._rows[0][4].values) == {7.0}


def test_zoom_changes_every_curve_and_stops_at_the_ends(panels: LivePanels) -> None:
    panels.tools.closer.click()
    assert {plot.span for plot in panels.findChildren(LivePlot)} == {30.0}
    assert panels.tools.label.text() == "30 s"
    for _ in range(9):
        panels.zoom(-1)
    assert panels.span == 1200.0
    assert panels.tools.label.text() == "20 min"


def test_readings_and_a_picture_are_exported(panels: LivePanels, series: SeriesStore, tmp_path: Path) -> None:
    series.add(Sample("host", time.monotonic(), {"memory_used": 1.0, "cpu_power": 5.5}))
    panels.tools.write(tmp_path / "a.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "a.csv").read_text("utf-8"))))
    assert [(row["source"], row["name"], row["value"]) for row in rows] == [
        ("host", "cpu_power", "5.5"),
        ("host", "memory_used", "1.0"),
    ]
    assert float(rows[0]["time"]) == pytest.approx(time.time(), abs=60)
    panels.tools.write(tmp_path / "a.png")
    assert not QImage(str(tmp_path / "a.png")).isNull()
    panels.tools.write(tmp_path / "nowhere" / "a.csv")
    assert "nowhere" in panels.tools.label.toolTip()


def test_power_says_what_it_is_or_why_not(panels: LivePanels, series: SeriesStore) -> None:
    now = time.monotonic()
    series.add(Sample("host", now, {"memory_total": 1.0, "cpu_percent": 12.0}))
    series.add(
        Sample("gpu:0", now, {"power": 210.4, "temperature": 71.0, "throttle": 2.0, "utilization": 99.0})
    )
    series.add(Sample("gpu:0", now, {"clock": 1980.0, "pcie_generation": 4.0, "pcie_width": 16.0}))
    panels.refresh()
    host, gpu = panels.power._rows["host"], panels.power._rows["gpu:0"]
    assert host.number.text() == "–"
    assert "no RAPL" in host.rest.text()
    assert gpu.number.text() == "210 W"
    assert gpu.rest.text() == "GPU 0, 71 °C, 99 % busy, slowed by heat"
    assert gpu.rest.toolTip() == "clock 1,980 MHz\nPCIe 4, 16 lanes"


def test_what_is_computed_and_who_waits(panels: LivePanels, series: SeriesStore) -> None:
    values = {
        "decode_tps": 30.0,
        "batch": 3.0,
        "active": 3.0,
        "waiting": 1.0,
        "kv_used": 100.0,
        "kv_total": 400.0,
    }
    series.add(Sample("instance:m", time.monotonic(), values))
    panels.refresh()
    assert panels.batch._number.text() == "3"
    assert panels.batch._rest.text() == "of 512 tokens a step; 3 answering, 1 waiting"
    assert "100 of 400 cells" in panels.batch._cells.text()


def test_each_open_answer_has_a_line_of_its_own(panels: LivePanels, series: SeriesStore) -> None:
    panels.show()
    now, plot = time.monotonic(), panels.speed._rows[0][3]
    series.add(Sample("instance:m", now - 20, {"decode_tps": 20.0, "decode_tps/1": 20.0}))
    panels.refresh()
    assert len(plot.curves) == 1  # alone it is the sum
    assert panels.speed.legend.isHidden()
    each = {"decode_tps/1": 12.0, "decode_tps/2": 18.0, "prefill_tps/1": 0.0, "prefill_tps/2": 0.0}
    series.add(Sample("instance:m", now, {"decode_tps": 30.0, "prefill_tps": 0.0, **each}))
    panels.speed._clock, panels.speed._slow_clock = Clock(), Clock(2)
    panels.refresh()
    assert [(curve.name, curve.values[-1]) for curve in plot.curves] == [
        ("all together", 30.0),
        ("answer 1", 12.0),
        ("answer 2", 18.0),
    ]
    assert "answer&nbsp;2&nbsp;18.0" in panels.speed.legend.text()
    assert "answer 1: 12.0" in plot.words(plot.width())
    assert len(panels.speed._rows[1][3].curves) == 1  # neither reads a prompt
    assert "decode_tps/2" in series_csv(series)
    series.add(Sample("instance:n", now, {"decode_tps": 5.0, "decode_tps/1": 5.0}))
    panels.speed._clock, panels.speed._slow_clock = Clock(), Clock(2)
    panels.refresh()
    assert [curve.name for curve in plot.curves[1:]] == ["answer 1, m", "answer 2, m", "answer 1, n"]
    panels.hide()


def test_nothing_is_drawn_where_nothing_was_read() -> None:
    curve = Curve("", "")
    curve.times, curve.values = [10.0, 11.0, 30.0, 40.0, 41.0], [1.0, 2.0, 3.0, 4.0, 5.0]
    assert [line.size() for line in curve.lines(1.0, 1.0, 3.0)] == [2, 2, 2]  # a lonely point is a dash
    curve.times, curve.values = [10.0, 10.5, 11.0, 11.5], [1.0, 2.0, 3.0, 4.0]
    assert [line.size() for line in curve.lines(1.0, 1.0, 3.0)] == [4]


def test_memory_shows_a_processor_s_parts_and_the_forecast(
    qtbot: QtBot, panels: LivePanels, series: SeriesStore
) -> None:
    series.add(Sample("host", time.monotonic(), {"memory_total": 16.0 * GIB, "memory_used": 8.0 * GIB}))
    panels.refresh()
    qtbot.waitUntil(lambda: bool(panels.memory._forecast))
    panels.refresh()
    tip = panels.memory._devices["host"].bar.toolTip().splitlines()
    assert tip[:3] == ["weights: 90 MiB", "context (KV): 80 MiB", "compute: 20 MiB"]
    assert tip[-1] == "forecast: 200 MiB"
    assert "weights&nbsp;90&nbsp;MiB" in panels.memory._legend.text()


def test_the_context_names_its_parts(panels: LivePanels) -> None:
    panels.show_context(ContextUse(100, 700, 224, 4096, "", 300, 50, 900))
    assert "documents" in panels.context._parts.text()
    assert "tools" in panels.context._parts.text()
    assert panels.context._reused.text() == "900 tokens are used again next turn"


def test_a_plot_tells_the_value_under_the_pointer(qtbot: QtBot) -> None:
    plot = LivePlot()
    qtbot.addWidget(plot)
    plot.resize(600, 48)
    curve = plot.add_curve("speed", "plot-1")
    curve.times, curve.values = [40.0, 70.0, 100.0], [5.0, 7.0, 9.0]
    plot.advance(100.0)
    assert plot.words(300.0).splitlines()[:2] == ["30 s ago", "speed: 7.0"]
    assert "speed: lowest 5.0" in plot.words(300.0)
