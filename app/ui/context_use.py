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

    @property
    def used(self) -> int:
        """All of it."""
        return self.system + self.history + self.answer


def context_parts(use: ContextUse) -> list[tuple[str, float, str, str]]:
    """(name, tokens, tokens as text, palette name) of each part, as a StackBar takes them: the panel and the picture
    above the composer show the same."""
    count = QLocale().toString
    free = max(0, (use.limit or use.used) - use.used)
    named = (
        (QCoreApplication.translate("Context", "system prompt"), use.system, "plot-4"),
        (QCoreApplication.translate("Context", "earlier messages"), use.history, "plot-2"),
        (QCoreApplication.translate("Context", "last question and answer"), use.answer, "plot-1"),
        (QCoreApplication.translate("Context", "free"), free, "raised"),
    )
    return [(name, float(tokens), count(tokens), token) for name, tokens, token in named]
