"""Why a model can't be loaded, in the language in force.

The library keeps the English sentence: a reason is found when a file is read, and shown in any language later. Here
it is recognised by its template and said again.
"""

import re
from functools import lru_cache
from pathlib import PurePath

from PySide6.QtCore import QCoreApplication

from app.core.errors import BadHeaderError, TruncatedModelError, WrongMagicError, fill

translate = QCoreApplication.translate
_ERRORS = (WrongMagicError, TruncatedModelError, BadHeaderError)
_OWN = (
    "It can't be read: {reason}.",
    "{missing} of its {total} parts are missing, {first} first.",
    "Its bytes are not those that were published: download it again.",
    "it is made for big-endian machines",
    "it is in the first GGUF format, which llama.cpp no longer reads",
    "it does not say what architecture it has",
)


def damage_words(reason: str) -> str:
    """The reason translated, with a file's name instead of its whole path; an unknown one stays as it is."""
    for error in _ERRORS:
        if match := _pattern(f"{error.template} {error.hint}").fullmatch(reason):
            params = {name: _short(name, text) for name, text in match.groupdict().items()}
            text = fill(translate("Errors", error.template), dict(params))
            return f"{text} {translate('Errors', error.hint)}"
    for template in _OWN:
        if match := _pattern(template).fullmatch(reason):
            return _own(template).format(**match.groupdict())
    return reason


def _short(name: str, text: str) -> str:
    return PurePath(text).name if name == "path" else text


@lru_cache
def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", template)
    found = "".join(f"(?P<{part}>.+?)" if at % 2 else re.escape(part) for at, part in enumerate(parts))
    return re.compile(found, re.DOTALL)


def _own(template: str) -> str:
    """Spelled out for the translators' tool, which reads literals."""
    return {
        _OWN[0]: translate("Damage", "It can't be read: {reason}."),
        _OWN[1]: translate("Damage", "{missing} of its {total} parts are missing, {first} first."),
        _OWN[2]: translate("Damage", "Its bytes are not those that were published: download it again."),
        _OWN[3]: translate("Damage", "it is made for big-endian machines"),
        _OWN[4]: translate("Damage", "it is in the first GGUF format, which llama.cpp no longer reads"),
        _OWN[5]: translate("Damage", "it does not say what architecture it has"),
    }[template]
