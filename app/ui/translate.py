"""The window's languages, switched while it runs.

Translations are Qt's own ``.ts`` files, committed as they are, read and made into Qt's tables at run time (about 20 ms,
of English 1): nothing to compile after a clone, nothing to bundle but the text. Contexts are class names, as
``pyside6-lupdate`` extracts them.
"""

from functools import cache
from pathlib import Path
from typing import Literal

from PySide6.QtCore import QCoreApplication, QLocale, QTranslator

from app.ui import qm
from app.ui.resources import resource

Language = Literal["system", "en", "vi"]
Table = dict[qm.Key, tuple[str, ...]]


def read_ts(file: Path) -> Table:
    """(context, source) to the translation's forms (one, or singular and plural); unfinished ones are left out."""
    from xml.etree import ElementTree as ET  # noqa: PLC0415 - 5 ms, after the first imports

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


@cache
def _compiled(files: tuple[Path, ...]) -> bytes:
    """Qt's table of these files. Kept: Qt reads it where it is."""
    return qm.compiled({key: forms for file in files for key, forms in read_ts(file).items()})


_installed: QTranslator | None = None
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
    _installed = QTranslator()
    _installed.load(_compiled(tuple(file for file in files if file.is_file())))
    QCoreApplication.installTranslator(_installed)
    return wanted
