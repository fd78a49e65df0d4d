"""The offer to measure the machine: said once, in the window in front, and kept when it is taken."""

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from app.planning.outlook import Measured, Offer
from app.planning.rates import Rates, TypeRate
from app.ui import translate
from app.ui.measure_offer import MeasureOffer

RATES = Rates("CPU", 2, 1e-4, 1e-5, {"Q4_0": TypeRate(21e9, 1e11)}, {"f16": 1e9})


class Outlook:
    """Offers what it is given, and measures by taking note."""

    def __init__(self, offer: Offer | None) -> None:
        self.offered, self.measured, self.rates = offer, list[str](), RATES

    def offer(self) -> Offer | None:
        return self.offered

    def measure(self, devices: Sequence[str]) -> None:
        self.measured += devices

    def devices(self) -> tuple[Measured, ...]:
        return (Measured("CPU", "A processor", self.rates),)


@pytest.mark.parametrize("changed", [False, True])
def test_it_is_offered_and_done(qtbot: Any, window: Any, services: Any, changed: bool) -> None:
    outlook = Outlook(Offer(("CPU",), changed))
    object.__setattr__(services, "make_outlook", lambda: outlook)
    offer = MeasureOffer(fake_windows(window))
    offer.look()
    qtbot.waitUntil(window.banner.isVisible)
    assert ("has changed" in window.banner.words.text()) is changed
    translate.install("vi")
    qtbot.waitUntil(lambda: "đo" in window.banner.words.text().lower())
    translate.install("en")
    window.banner.button.click()
    qtbot.waitUntil(lambda: "21.0 GB/s" in window.banner.words.text())
    assert outlook.measured == ["CPU"]
    offer.close()


def test_a_disturbed_measuring_is_said_and_done_again(qtbot: Any, window: Any, services: Any) -> None:
    outlook = Outlook(Offer(("CPU",), changed=False))
    outlook.rates = replace(RATES, share=0.2)
    object.__setattr__(services, "make_outlook", lambda: outlook)
    offer = MeasureOffer(fake_windows(window))
    offer.look()
    qtbot.waitUntil(window.banner.isVisible)
    window.banner.button.click()
    qtbot.waitUntil(lambda: "were busy" in window.banner.words.text())
    outlook.rates = RATES
    window.banner.button.click()
    qtbot.waitUntil(lambda: "GB/s" in window.banner.words.text() and "busy" not in window.banner.words.text())
    assert outlook.measured == ["CPU", "CPU"]
    offer.close()


def test_nothing_is_said_when_there_is_nothing_to_measure(qtbot: Any, window: Any, services: Any) -> None:
    asked: list[int] = []
    outlook = Outlook(None)
    object.__setattr__(services, "make_outlook", lambda: asked.append(1) or outlook)
    offer = MeasureOffer(fake_windows(window))
    assert offer._timer.isActive()
    offer.look()
    qtbot.waitUntil(lambda: bool(asked))
    qtbot.wait(20)
    assert window.banner.isHidden()
    offer.close()


def fake_windows(window: Any) -> Any:
    """What the offer needs of all windows: a QObject parent, the bridge, the services, the one in front."""
    window.front = lambda: window
    return window
