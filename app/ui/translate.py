"""The window's languages, switched while it runs.

Translations are Qt's own ``.ts`` files, committed as they are and read at run time (about 5 ms, and only when the
language needs it): nothing to compile after a clone, nothing to bundle but the text. Contexts are class names,
as ``pyside6-lupdate`` extracts them.
"""

import logging
from pathlib import Path
from typing import Literal

from PySide6.QtCore import QCoreApplication, QLocale, QTranslator

from app.ui.resources import resource

log = logging.getLogger(__name__)

Language = Literal["system", "en", "vi"]
Key = tuple[str, str]
Table = dict[Key, tuple[str, ...]]


class TsTranslator(QTranslator):
    """Answers from ``.ts`` files, read when first asked."""

    def __init__(self, files: list[Path], *, plurals_only: bool = False) -> None:
        super().__init__()
        self._files, self._plurals_only = files, plurals_only
        self._table: Table | None = None

    def isEmpty(self) -> bool:
        return False

    def translate(
        self,
        context: str,
        sourceText: str,  # noqa: N803 - Qt's name
        disambiguation: str | None = None,
        n: int = -1,
    ) -> str | None:
        if self._plurals_only and n < 0:
            return None
        forms = self._forms().get((context, sourceText))
        if not forms:
            return None
        return forms[0] if n == 1 else forms[-1]

    def _forms(self) -> Table:
        if self._table is None:
            self._table = {key: forms for file in self._files for key, forms in read_ts(file).items()}
        return self._table


def read_ts(file: Path) -> Table:
    """(context, source) to the translation's forms (one, or singular and plural); unfinished ones are left out."""
    from xml.etree import ElementTree as ET  # noqa: PLC0415 - English text needs no parser

    found: Table = {}
    for context in ET.parse(file).getroot().iter("context"):
        name = context.findtext("name", "")
        for message in context.iter("message"):
            element = message.find("translation")
            if element is None or element.get("type"):
                continue
            plural = tuple(form.text or "" for form in element.iter("numerusform"))
            forms = plural or (element.text or "",)
            if all(forms):
                found[name, message.findtext("source", "")] = forms
    return found


def resolve(language: str) -> str:
    """ "system" becomes the desktop's language if we speak it, else English."""
    if language != "system":
        return language
    return "vi" if QLocale.system().language() == QLocale.Language.Vietnamese else "en"


_installed: TsTranslator | None = None
_language = ""


def _locale(language: str, wanted: str) -> QLocale:
    """Whose numbers and dates: the desktop's own, also where we don't speak its language; "C" has none to read."""
    system = QLocale.system()
    own = language == "system" and system.language() != QLocale.Language.C
    return QLocale(system.name() if own else wanted)


def installed() -> str:
    """The language that was asked for last, "system" included."""
    return _language


def install(language: str) -> str:
    """Switch the application to a language (LanguageChange reaches every widget); returns the one in force."""
    global _installed, _language
    _language = language
    wanted = resolve(language)
    if _installed is not None:
        QCoreApplication.removeTranslator(_installed)
        _installed = None
    QLocale.setDefault(_locale(language, wanted))
    # One file for our strings, one for those of Qt's own dialogs; English has only its plurals.
    files = [resource("translations", f"{name}_{wanted}.ts") for name in ("hearth", "qt")]
    known = [file for file in files if file.is_file()]
    _installed = TsTranslator(known, plurals_only=wanted == "en")
    QCoreApplication.installTranslator(_installed)
    return wanted
