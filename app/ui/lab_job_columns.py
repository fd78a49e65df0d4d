"""What the table of the lab's jobs shows of each: its words, its state, how far it is and how long it takes."""

import time

from PySide6.QtCore import QCoreApplication

from app.optimize.orders import LabItem
from app.ui import lab_job_words as said
from app.ui import words
from app.ui.figures import DASH
from app.ui.lab_wish import reason_words
from app.ui.table_model import Column

translate = QCoreApplication.translate


class Watch:
    """How long a running job still takes, from how far it came since it was first seen."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, float]] = {}

    def left(self, item: LabItem) -> float | None:
        """Seconds; None while nothing can be said."""
        if item.state != "running":
            self._seen.pop(item.id, None)
            return None
        now = time.monotonic()
        start, share = self._seen.setdefault(item.id, (now, item.share))
        gained = item.share - share
        if gained < 0.02 or now - start < 1.5:
            return None
        return (now - start) / gained * (1 - item.share)

    def since(self, item: LabItem) -> float:
        """Seconds it was seen running."""
        seen = self._seen.get(item.id)
        return time.monotonic() - seen[0] if seen else 0.0


def columns(watch: Watch) -> list[Column[LabItem]]:
    """The last one holds the row's buttons."""

    def left(item: LabItem) -> str:
        if item.state == "running":
            return words.duration(watch.left(item))
        return words.duration(item.seconds) if item.state == "done" else DASH

    return [
        Column(lambda: translate("Lab", "Job"), said.title, note=said.note, tip=_tip),
        Column(
            lambda: translate("Lab", "State"),
            said.state,
            token=said.state_token,
            icon=said.state_icon,
            width=116,
        ),
        Column(
            lambda: translate("Lab", "Progress"),
            lambda item: words.number(item.share * 100) + " %",
            width=136,
        ),
        Column(lambda: translate("Lab", "Time"), left, right=True, width=96, tip=_time_tip),
        Column(lambda: "", lambda _item: "", width=148),
    ]


def _tip(item: LabItem) -> str:
    lines = [said.title(item), said.about(item.order), said.note(item)]
    if item.result is not None:
        lines += [reason_words(why) for why in item.result.reasons]
        lines += item.result.fallbacks[:8]
    return "\n".join(dict.fromkeys(line for line in lines if line))


def _time_tip(item: LabItem) -> str:
    if item.state == "done":
        return translate("Lab", "Time it took")
    return translate("Lab", "Time left, about") if item.state == "running" else ""
