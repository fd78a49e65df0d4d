"""What a download says it waits for or did by itself: a code, a template in English, and what fills it.

The window translates the templates (context "Notes") and fills them in; ``text`` is the English sentence.
"""

from typing import Any

from msgspec import Struct

Param = str | int | float

NOTES = {
    "stalled": "Nothing came for {seconds} s: connecting again.",
    "broken": "The connection broke. Trying again in {seconds} s.",
    "unreachable": "{host} can't be reached. Trying again in {seconds} s.",
    "server": "The server has a problem (HTTP {status}). Trying again in {seconds} s.",
    "busy": "The server asks us to wait {seconds} s.",
    "refused": "The address was refused. Trying again in {seconds} s.",
    "changed": "The file changed on the Hub: it starts again.",
    "wrong": "Wrong bytes came: the file is fetched once more.",
    "repairing": "Wrong bytes came: looking for the part to fetch again.",
    "hours": "Waiting for the hours set ({hours}).",
}


class Note(Struct, frozen=True):
    """One such sentence."""

    code: str
    params: dict[str, Param] = {}

    @property
    def text(self) -> str:
        """In English."""
        return NOTES[self.code].format(**self.params)

    def fields(self) -> dict[str, Any]:
        """As ``DownloadChanged`` carries it."""
        return {"note": self.text, "note_code": self.code, "note_params": self.params}


def note(code: str, **params: Param) -> Note:
    """Make one."""
    return Note(code, params)
