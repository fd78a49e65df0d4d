"""Good models to begin with, by purpose and by the memory they want; shown while nothing is chosen."""

from functools import partial

from PySide6.QtCore import QCoreApplication, QEvent, Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QScrollArea, QVBoxLayout, QWidget

from app.ui import words
from app.ui.picks import Pick, all_picks
from app.ui.widgets import Elided, make_button, make_label


def purpose_words(purpose: str) -> str:
    """What a pick is for."""
    return {
        "first": QCoreApplication.translate("Picks", "To try things out; runs anywhere"),
        "small": QCoreApplication.translate("Picks", "Small and quick, for simple questions"),
        "everyday": QCoreApplication.translate("Picks", "Everyday questions and writing"),
        "thinking": QCoreApplication.translate("Picks", "Thinks before it answers"),
        "code": QCoreApplication.translate("Picks", "Programming"),
        "languages": QCoreApplication.translate("Picks", "Many languages"),
        "large": QCoreApplication.translate("Picks", "Large, yet quick: only a part works at a time"),
    }.get(purpose, "")


class PickList(QScrollArea):
    """``chosen`` carries a repository."""

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWidgetResizable(True)
        self._title, self._text = make_label("heading"), make_label("muted", wrap=True)
        self._rows: list[tuple[Pick, Elided, QPushButton]] = []
        holder = QWidget(self)
        column = QVBoxLayout(holder)
        column.setContentsMargins(24, 16, 24, 16)
        column.setSpacing(8)
        column.addWidget(self._title)
        column.addWidget(self._text)
        column.addSpacing(4)
        for pick in all_picks():
            column.addWidget(self._row(pick))
        column.addStretch(1)
        self.setWidget(holder)
        self._retranslate()

    def _row(self, pick: Pick) -> QWidget:
        card = QFrame(self)
        card.setProperty("role", "card")
        row = QHBoxLayout(card)
        row.setContentsMargins(16, 8, 12, 8)
        row.setSpacing(12)
        name, purpose = Elided("text", card), Elided("text-2", card)
        font = name.font()
        font.setBold(True)
        name.setFont(font)
        name.setText(pick.stem)
        texts = QVBoxLayout()
        texts.setSpacing(0)
        texts.addWidget(name)
        texts.addWidget(purpose)
        size = make_label("muted", card)
        size.setText(words.size(round(pick.gigabytes * 1e9)))
        button = make_button(partial(self.chosen.emit, pick.repo), "", card, compact=True)
        row.addLayout(texts, 1)
        row.addWidget(size, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(button)
        self._rows.append((pick, purpose, button))
        return card

    def _retranslate(self) -> None:
        self._title.setText(self.tr("Good to begin with"))
        self._text.setText(
            self.tr("Sizes are what is downloaded; the model needs a little more memory than that.")
        )
        for pick, purpose, button in self._rows:
            purpose.setText(purpose_words(pick.purpose))
            button.setText(self.tr("Look"))
            button.setAccessibleName(self.tr("Look at {name}").format(name=pick.stem))

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
        super().changeEvent(event)
