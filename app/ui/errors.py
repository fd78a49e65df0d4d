"""Errors in the user's language: the sentence, what to do, and the button that does it.

Templates and hints live in ``app.core.errors``; ``app.ui.core_strings`` lists them for the translators.
"""

from dataclasses import dataclass, field, replace

from PySide6.QtCore import QT_TRANSLATE_NOOP, QCoreApplication

from app.core.errors import HearthError, fill, from_code
from app.core.events import ErrorInfo
from app.core.generate import Failed
from app.ui import causes

ACTION_LABELS: dict[str, str] = {
    "free_space": "Open the folder",
    "choose_folder": "Open the folder",
    "open_folder": "Open the folder",
    "repair_chats": "Save what can be read",
    "update": "Look for an update",
    "raise_window": "Show that window",
    "search": "Search for a model",
    "unload": "Unload it",
    "download_again": "Download again",
    "retry": "Try again",
    "add_token": "Sign in…",
    "open_license": "Open its page",
    "load_again": "Load again",
    "load_options": "Change how it loads",
    "machine": "See how fast this machine is",
    "use_free_port": "Use the free port",
    "server_settings": "Change the address",
    "settings": "Open the settings",
    "update_settings": "Open the settings",
    "roll_back": "Go back to the version before",
}


@dataclass(frozen=True)
class Described:
    """An error as it is shown. ``action`` is empty when there is nothing to click."""

    text: str
    hint: str = ""
    action: str = ""
    label: str = ""
    details: str = ""
    source: object = field(default=None, compare=False, repr=False)
    """What was described, so that it can be put into another language."""
    topic: object = field(default=None, compare=False, repr=False)
    """What it is about: where another is opened, it is not shown any more. None: it holds wherever one is."""

    @property
    def sentence(self) -> str:
        """The text and the hint in one line."""
        return f"{self.text} {self.hint}".strip()


def describe(error: BaseException | ErrorInfo | Failed, topic: object = None) -> Described:
    """Translate an error of the core, an error that travelled as data, or any other exception."""
    return replace(_described(error), source=error, topic=topic)


def again(shown: Described) -> Described:
    """The same in the language in force; what was not described here stays as it is."""
    source = shown.source
    return describe(source) if isinstance(source, BaseException | ErrorInfo | Failed) else shown


def about(error: object) -> str:
    """The file or folder that an error names, for the button that opens it; "" when it names none."""
    source = error.source if isinstance(error, Described) else error
    params = source.params if isinstance(source, HearthError | ErrorInfo | Failed) else {}
    return str(params.get("path", ""))


def _described(error: BaseException | ErrorInfo | Failed) -> Described:
    if isinstance(error, ErrorInfo | Failed):
        known = from_code(error.code, error.params)
        details = getattr(error, "details", "")
        return _describe(known, details)
    if isinstance(error, HearthError):
        return _describe(error, "")
    return Described(QCoreApplication.translate("Errors", "Something went wrong."), details=repr(error))


def _describe(error: HearthError, details: str) -> Described:
    params, raw = error.params, str(error.params.get("detail", ""))
    if own := causes.ours(raw):
        params = {**params, "detail": own}
    elif cause := causes.said(raw):
        params = {**params, "detail": cause}
        details = "\n\n".join(part for part in (raw, details) if part)
    text = fill(QCoreApplication.translate("Errors", error.template), params)
    hint = fill(QCoreApplication.translate("Errors", error.hint), error.params) if error.hint else ""
    return Described(text, hint, error.action, action_label(error.action), _as_said(details))


_AS_SAID = QT_TRANSLATE_NOOP("Errors", "As the engine or the system said it, in its own words:")


def _as_said(details: str) -> str:
    """Engines and systems speak English: in another language a line says that these words are theirs."""
    heading = QCoreApplication.translate("Errors", str(_AS_SAID))
    return f"{heading}\n{details}" if details and heading != _AS_SAID else details


def action_label(action: str) -> str:
    """The words on the button of an error's action, or "" for none."""
    label = ACTION_LABELS.get(action, "")
    return QCoreApplication.translate("Actions", label) if label else ""
