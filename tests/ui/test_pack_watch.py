"""A pack that was turned off by crashes is said in the window, with one click back to the pack before."""

from typing import Any

import pytest

pytestmark = pytest.mark.gui
pytest.importorskip("PySide6")

from PySide6.QtCore import QObject  # noqa: E402

from app.core.events import ErrorInfo, InstanceChanged  # noqa: E402
from app.optimize.orders import LabItem, SourceOrder  # noqa: E402
from app.ui.pack_watch import PackWatch  # noqa: E402
from tests.fakes.packs import make_pack  # noqa: E402


def crash_twice(services: Any, window: Any, *, in_lab: bool = False) -> PackWatch:
    holder: Any = QObject(window)
    holder.services, holder.bridge, holder.open_ones = services, window.bridge, [window]
    holder.front = lambda: window
    watch = PackWatch(holder)
    name = [services.packs.crashed("vulkan", "signal SIGSEGV") for _ in range(2)][1]
    error = ErrorInfo("pack_crashed", "", {"model": "m", "why": "signal SIGSEGV", "pack": name})
    job = LabItem(id="1", order=SourceOrder(repo="a/b"), state="failed", error=error)
    services.bus.publish(job if in_lab else InstanceChanged("m", "m", "failed", error=error))
    return watch


def test_one_click_goes_back_to_the_pack_before(window: Any, services: Any, qtbot: Any) -> None:
    make_pack(services.paths.data / "packs" / "vulkan-new", b"new", backend="vulkan")
    make_pack(services.paths.data / "packs.previous" / "vulkan", b"old", backend="vulkan", commit="f" * 40)
    crash_twice(services, window)
    qtbot.waitUntil(window.banner.isVisible)
    assert "twice in a row on the pack vulkan-new: it is off now" in window.banner.words.text()
    assert window.banner.button.text() == "Go back to the one before"
    window.banner.button.click()
    qtbot.waitUntil(lambda: "vulkan-ffffffffffff is used" in window.banner.words.text())
    assert [pack.commit for pack in services.packs.packs() if pack.used] == ["f" * 40]


@pytest.mark.parametrize("in_lab", [False, True])
def test_without_one_before_the_engines_are_shown(
    window: Any, services: Any, qtbot: Any, in_lab: bool
) -> None:
    make_pack(services.paths.data / "packs" / "vulkan-new", b"new", backend="vulkan")
    crash_twice(services, window, in_lab=in_lab)
    qtbot.waitUntil(window.banner.isVisible)
    window.banner.button.click()
    page = window.pages["settings"]
    assert window.page_shown() == "settings"
    qtbot.waitUntil(lambda: page.engines.visibleRegion().boundingRect().height() > 0)
