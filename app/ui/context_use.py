"""What fills the context of a chat, in tokens, and how its parts are named and coloured."""

from msgspec import Struct
from PySide6.QtCore import QCoreApplication, QLocale


class ContextUse(Struct, frozen=True):
    """What fills the context of the current chat, in tokens; ``limit`` None: no model is loaded."""

    system: int = 0
    history: int = 0
    answer: int = 0
    limit: int | None = None
    why_unknown: str = ""
    documents: int = 0
    """Attached files and what was looked up."""
    tools: int = 0
    """Descriptions of tools, their calls and results."""
    reused: int | None = None
    """Tokens at the beginning that the next turn takes from the cache; None: not known."""

    @property
    def used(self) -> int:
        """All of it."""
        return self.system + self.history + self.answer + self.documents + self.tools


def context_parts(use: ContextUse) -> list[tuple[str, float, str, str]]:
    """(name, tokens, tokens as text, palette name) of each part, as a StackBar takes them: the panel and the picture
    above the composer show the same."""
    count = QLocale().toString
    free = max(0, (use.limit or use.used) - use.used)
    named = (
        (QCoreApplication.translate("Context", "system prompt"), use.system, "plot-4"),
        (QCoreApplication.translate("Context", "earlier messages"), use.history, "plot-2"),
        (QCoreApplication.translate("Context", "documents"), use.documents, "plot-3"),
        (QCoreApplication.translate("Context", "tools"), use.tools, "text-2"),
        (QCoreApplication.translate("Context", "last question and answer"), use.answer, "plot-1"),
        (QCoreApplication.translate("Context", "free"), free, "raised"),
    )
    optional = ("plot-3", "text-2")
    shown = (part for part in named if part[1] or part[2] not in optional)
    return [(name, float(tokens), count(tokens), token) for name, tokens, token in shown]


def reused_words(use: ContextUse) -> str:
    """What the next turn need not read again; empty when unknown."""
    if not use.reused:
        return ""
    tokens = use.reused  # a name of its own: lupdate skips a plural whose count is an attribute
    return QCoreApplication.translate("Context", "%n token(s) are used again next turn", "", tokens)
