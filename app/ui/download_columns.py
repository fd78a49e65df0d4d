"""The columns of the Downloads page, and its one-line summary."""

from PySide6.QtCore import QCoreApplication

from app.core.events import DownloadChanged
from app.ui import words
from app.ui.download_words import note_words, progress, state_icon, state_token, state_words
from app.ui.errors import describe
from app.ui.figures import DASH
from app.ui.table_model import Column

translate = QCoreApplication.translate
ENDED = ("done", "cancelled", "failed")


def columns() -> list[Column[DownloadChanged]]:
    """The table's columns; the last holds the row's buttons."""
    return [
        Column(lambda: translate("DownloadsPage", "Model"), _name, note=_note, tip=lambda row: row.file),
        Column(
            lambda: translate("DownloadsPage", "State"),
            state_words,
            token=state_token,
            icon=state_icon,
            width=124,
            tip=lambda row: (
                note_words(row) or (describe(row.error).sentence if row.error else state_words(row))
            ),
        ),
        Column(
            lambda: translate("DownloadsPage", "Progress"),
            lambda row: words.number(progress(row) * 100) + " %",
            width=136,
        ),
        Column(lambda: translate("DownloadsPage", "Size (GB)"), _amount, right=True, width=110),
        Column(
            lambda: translate("DownloadsPage", "Speed"),
            lambda row: words.transfer_speed(row.speed) if row.state == "running" else DASH,
            right=True,
            width=90,
        ),
        Column(
            lambda: translate("DownloadsPage", "Time left"),
            lambda row: words.duration(row.eta) if row.state == "running" else DASH,
            right=True,
            width=90,
        ),
        Column(lambda: "", lambda _row: "", width=116),
    ]


def summary_words(running: list[DownloadChanged]) -> str:
    """How many are under way, how fast, for how long still."""
    if not running:
        return ""
    speed = sum(row.speed or 0 for row in running if row.state == "running")
    going = [row for row in running if row.state != "paused"]
    if not going:
        return translate("DownloadsPage", "%n paused", "", len(running))
    count = words.number(len(going))
    if not speed:
        return translate("DownloadsPage", "{count} under way").format(count=count)
    left = sum((row.total or 0) - row.done for row in running if row.state in {"queued", "running"})
    text = translate("DownloadsPage", "{count} under way, {speed}, {left} left")
    return text.format(count=count, speed=words.transfer_speed(speed), left=words.duration(left / speed))


def _name(row: DownloadChanged) -> str:
    return row.repo.split("/")[-1].removesuffix("-GGUF").removesuffix("-gguf")


def _note(row: DownloadChanged) -> str:
    if row.state not in ENDED and (said := note_words(row)):
        return said
    publisher = row.repo.split("/")[0]
    return f"{row.quant}  ·  {publisher}" if row.quant else publisher


def _amount(row: DownloadChanged) -> str:
    total = words.gigabytes(row.total)
    return total if row.state in {"done", "queued"} else f"{words.gigabytes(row.done)} / {total}"
