"""Write ``app/ui/core_strings.py``: every English text that layers below the window show through it.

python -m tests.make_core_strings
"""

from pathlib import Path

from app.chat.transfer_words import WORDS as EXPORT
from app.core.errors import all_errors
from app.core.settings import GROUP_TITLES, describe
from app.models.quants import DESCRIPTION, all_notes
from app.models.transfer_notes import NOTES
from app.optimize.wishes import REASONS as WISHES
from app.planning.costs import VERDICTS, read_api_prices, read_tariffs
from app.planning.reasons import REASONS
from app.planning.watch import FINDINGS
from app.ui.errors import ACTION_LABELS

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "app" / "ui" / "core_strings.py"
HEAD = '''"""Texts of the layers below, for ``pyside6-lupdate``. Made by ``python -m tests.make_core_strings``."""

# size: a generated table
# fmt: off
# ruff: noqa: E501

from PySide6.QtCore import QT_TRANSLATE_NOOP

CORE_STRINGS = (
'''


def collect() -> list[tuple[str, str]]:
    """(context, text), sorted, each once."""
    found = {("Errors", "Something went wrong.")}
    for kind in all_errors().values():
        found |= {("Errors", text) for text in (kind.template, kind.hint) if text and text != "{detail}"}
    for info in describe():
        found |= {("Settings", text) for text in (info.title, info.help) if text}
    found |= {("Settings", title) for title in GROUP_TITLES.values()}
    found |= {("Quants", text) for text in (DESCRIPTION, *all_notes())}
    found |= {("Planning", text) for text in (*REASONS.values(), *FINDINGS.values(), *VERDICTS.values())}
    found |= {("Lab", text) for text in WISHES.values()}
    found |= {("Export", text) for text in EXPORT}
    found |= {("Notes", text) for text in NOTES.values()}
    found |= {("Tariffs", text) for tariff in read_tariffs() for text in (tariff.name, tariff.source)}
    found |= {("Tariffs", api.source) for api in read_api_prices()}
    found |= {("Actions", text) for text in ACTION_LABELS.values()}
    return sorted(found)


def quoted(text: str) -> str:
    """A double-quoted Python literal."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def render() -> str:
    """The module's text."""
    rows = [f"    QT_TRANSLATE_NOOP({quoted(context)}, {quoted(text)}),\n" for context, text in collect()]
    return HEAD + "".join(rows) + ")\n"


if __name__ == "__main__":
    TARGET.write_text(render(), "utf-8")
