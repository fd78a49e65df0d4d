"""The Lab page while a real job runs; a part of ``tests.bench.gui``, in its process.

longest gap     between two turns of the event loop, from the job's start to its end: every tensor is told, on a
                machine whose cores the job keeps busy
"""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from PySide6.QtCore import QEvent
from PySide6.QtWidgets import QApplication

from app.compose import Services, compose
from app.core.paths import find_paths
from app.optimize import texts
from app.optimize.orders import ENDED, QuantOrder
from app.ui import tasks
from app.ui.bridge import Bridge
from app.ui.pages.lab import LabPage
from tests.starter import find_starter

TYPES = ("Q4_K_M", "Q8_0")
CHUNKS = 2
"""Pieces of the matrix that comes first."""
PATIENCE = 300.0


class Clock(Protocol):
    """``gui_child.Beat``: seconds of the longest work so far, and the longest gap (ms) at the end."""

    busiest: float

    def stop(self) -> float:
        """The longest gap, in milliseconds."""


def measure_lab_page(beat: Callable[[], Clock], settle: Callable[[float], None]) -> tuple[float, float]:
    """(longest gap, longest work of the GUI thread at a stretch) in ms, while a matrix and two quants are made."""
    with tempfile.TemporaryDirectory(prefix="hearth-bench-") as home:
        services = compose(find_paths({**os.environ, "HEARTH_HOME": home}))
        models = services.paths.models / "starter"
        models.mkdir(parents=True)
        starter = find_starter()
        assert starter
        (models / "Starter.Q4_1.gguf").symlink_to(starter)
        services.library.rescan()
        page = LabPage(services, Bridge(services.bus))
        page.resize(1000, 800)
        page.show()
        settle(1.0)
        try:
            return _during(services, models / "Starter.Q4_1.gguf", beat, settle)
        finally:
            _close(page, services)


def _during(
    services: Services, source: Path, beat: Callable[[], Clock], settle: Callable[[float], None]
) -> tuple[float, float]:
    text, folder = str(texts.path_of("en")), services.paths.models / "lab"
    orders = [
        QuantOrder(
            source=str(source), target=str(folder / f"{kind}.gguf"), type=kind, text=text, chunks=CHUNKS
        )
        for kind in TYPES
    ]
    clock, end = beat(), time.monotonic() + PATIENCE
    services.lab.submit(*orders)
    while any(item.state not in ENDED for item in services.lab.snapshots()) and time.monotonic() < end:
        QApplication.processEvents()
    found = clock.stop(), clock.busiest * 1000
    settle(0.1)
    if wrong := [item for item in services.lab.snapshots() if item.state != "done"]:
        raise RuntimeError(f"a job of the lab ended {wrong[0].state}: {wrong[0].error}")
    return found


def _close(page: LabPage, services: Services) -> None:
    page.make.forecast.stop()
    page.bridge.close()
    page.close()
    page.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    tasks.close()
    services.close()
