"""Numbers and technical names in plain words and the user's separators."""

import re
import time

from PySide6.QtCore import QCoreApplication, QLocale

from app.core.types import Forecast
from app.models.quants import explain
from app.ui.figures import DASH

translate = QCoreApplication.translate

FIT_TOKENS = {"full_gpu": "good", "fits_in_memory": "good", "partly": "warn", "too_large": "bad"}
FIT_ICONS = {"full_gpu": "check", "fits_in_memory": "check", "partly": "warning", "too_large": "error"}


def number(value: float, digits: int = 0) -> str:
    """With the locale's separators."""
    return QLocale().toString(float(value), "f", digits)


def gigabytes(count: int | None) -> str:
    """Bytes as GB (10^9) without the unit, for columns that have it in their header."""
    if count is None:
        return DASH
    value = count / 1e9
    return number(value, 2 if value < 1 else 1)


def size(count: int | None) -> str:
    """Bytes as people buy them: ``98 MB``, ``4.7 GB``."""
    if count is None:
        return DASH
    return f"{number(count / 1e6)} MB" if count < 1e9 else f"{number(count / 1e9, 1)} GB"


def memory(count: int | None) -> str:
    """Bytes of memory in GiB, as drivers report it."""
    return DASH if count is None else f"{number(count / 2**30, 1)} GiB"


def fine_memory(count: int | None) -> str:
    """The same, in MiB below one GiB: where small parts are compared."""
    if count is None or abs(count) >= 2**30:
        return memory(count)
    return f"{number(count / 2**20)} MiB"


def short_count(count: int | None) -> str:
    """``1.2M``, ``340k``, ``12``."""
    if count is None:
        return DASH
    for limit, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if count >= limit:
            value = count / limit
            return f"{number(value, 1 if value < 10 else 0)}{letter}"
    return number(count)


def parameters(count: int | None) -> str:
    """Number of weights: ``7.6B``, ``135M``."""
    if count is None:
        return ""
    return f"{number(count / 1e9, 1)}B" if count >= 1e9 else f"{number(count / 1e6)}M"


def tokens(count: int | None) -> str:
    """A context length: ``8k``, ``128k``."""
    if not count:
        return DASH
    return f"{number(count / 1024)}k" if count >= 1024 else number(count)


def transfer_speed(value: float | None) -> str:
    """Bytes per second as MB/s."""
    return DASH if value is None else f"{number(value / 1e6, 1)} MB/s"


def duration(seconds: float | None) -> str:
    """Time left: ``about 12 min``."""
    if seconds is None:
        return DASH
    if seconds < 60:
        return translate("Words", "{count} s").format(count=number(max(1, round(seconds))))
    if seconds < 3600:
        return translate("Words", "{count} min").format(count=number(round(seconds / 60)))
    hours, minutes = divmod(round(seconds / 60), 60)
    return translate("Words", "{hours} h {minutes} min").format(hours=number(hours), minutes=minutes)


def ago(moment: float | None, now: float | None = None) -> str:
    """How long since a time: ``3 days ago``."""
    if not moment:
        return DASH
    passed = max(0.0, (now or time.time()) - moment)
    if passed < 60:
        return translate("Words", "just now")
    steps = (
        (3600, 60, "minute"),
        (86400, 3600, "hour"),
        (60 * 86400, 86400, "day"),
        (730 * 86400, 30.44 * 86400, "month"),
    )
    for limit, unit, name in steps:
        if passed < limit:
            return _counted(name, int(passed // unit))
    return _counted("year", int(passed // (365.25 * 86400)))


def _counted(name: str, count: int) -> str:
    return {
        "minute": translate("Words", "%n minute(s) ago", "", count),
        "hour": translate("Words", "%n hour(s) ago", "", count),
        "day": translate("Words", "%n day(s) ago", "", count),
        "month": translate("Words", "%n month(s) ago", "", count),
        "year": translate("Words", "%n year(s) ago", "", count),
    }[name]


def quant_note(quant: str) -> str:
    """A quant's plain words: ``balanced: the usual choice``."""
    return translate("Quants", explain(quant).note)


def quant_tip(quant: str) -> str:
    """The whole sentence about a quant, for a tooltip."""
    info = explain(quant)
    if info.bits is None:
        return f"{quant}: {translate('Quants', info.note)}"
    template = translate("Quants", "{bits}-bit, {note}; loss of quality: {loss}.")
    loss = translate("Quants", info.loss)
    bits = number(info.bits, 2).rstrip("0").rstrip(".,")
    return f"{quant}: " + template.format(bits=bits, note=translate("Quants", info.note), loss=loss)


def fit_words(fit: str | None) -> str:
    """A fit label in words; a dash while nothing is known."""
    return {
        "full_gpu": translate("Words", "Fits on the GPU"),
        "fits_in_memory": translate("Words", "Fits in memory"),
        "partly": translate("Words", "Partly on the GPU"),
        "too_large": translate("Words", "Too large"),
    }.get(fit or "", DASH)


def kind_words(kind: str) -> str:
    """What a file is for."""
    return {
        "text": translate("Words", "Text"),
        "embedding": translate("Words", "Embedding"),
        "reranker": translate("Words", "Reranker"),
        "projector": translate("Words", "Vision projector"),
        "draft": translate("Words", "Draft model"),
        "imatrix": translate("Words", "Importance matrix"),
        "adapter": translate("Words", "Adapter"),
    }.get(kind, translate("Words", "Other"))


def kind_tip(kind: str) -> str:
    """What a file that is no model by itself is good for."""
    return {
        "projector": translate("Words", "Lets a model see images; it is loaded beside the model."),
        "draft": translate(
            "Words", "Proposes tokens that the model then checks: faster answers, the same text."
        ),
        "imatrix": translate("Words", "Says which weights matter most; used when a model is quantized."),
        "adapter": translate("Words", "Changes a model's manner (LoRA); it is loaded beside the model."),
    }.get(kind, "")


def forecast_words(found: Forecast) -> str:
    """Where a forecast comes from."""
    runs = re.search(r"(\d+) runs", found.source)
    if runs is None:
        return translate(
            "Words", "A forecast from what was measured on this machine; no answer has corrected it yet."
        )
    count = int(runs[1])
    return translate(
        "Words", "A forecast from what was measured on this machine, corrected by %n answer(s).", "", count
    )
