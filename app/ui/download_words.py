"""A download's state in words, a colour and a shape."""

from PySide6.QtCore import QCoreApplication

from app.core.errors import fill
from app.core.events import DownloadChanged
from app.models.transfer_notes import NOTES

translate = QCoreApplication.translate
_TOKENS = {"done": "good", "failed": "bad", "waiting": "warn", "paused": "text-2", "cancelled": "text-2"}
_ICONS = {
    "queued": "clock",
    "running": "downloads",
    "paused": "pause",
    "waiting": "warning",
    "verifying": "eye",
    "done": "check",
    "failed": "error",
    "cancelled": "close",
}


def state_words(row: DownloadChanged) -> str:
    """The state in one or two words."""
    return all_states()[row.state]


def all_states() -> dict[str, str]:
    """Every state in words."""
    return {
        "queued": translate("Downloads", "Queued"),
        "running": translate("Downloads", "Downloading"),
        "paused": translate("Downloads", "Paused"),
        "waiting": translate("Downloads", "Waiting"),
        "verifying": translate("Downloads", "Checking"),
        "done": translate("Downloads", "Done, verified"),
        "failed": translate("Downloads", "Failed"),
        "cancelled": translate("Downloads", "Cancelled"),
    }


def state_token(row: DownloadChanged) -> str:
    """Colour token of the state."""
    return _TOKENS.get(row.state, "text")


def state_icon(row: DownloadChanged) -> str:
    """Icon of the state."""
    return _ICONS[row.state]


def progress(row: DownloadChanged) -> float:
    """0 to 1."""
    if row.state == "done":
        return 1.0
    return min(1.0, row.done / row.total) if row.total else 0.0


def note_words(row: DownloadChanged) -> str:
    """What it waits for or did by itself, or ""."""
    template = NOTES.get(row.note_code)
    return fill(translate("Notes", template), row.note_params) if template else row.note
