"""Good models to begin with, by purpose and by the memory they want; shown while nothing is chosen."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QEvent, Qt, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QScrollArea, QVBoxLayout, QWidget

from app.ui import tasks, words
from app.ui.picks import Pick, all_picks
from app.ui.widgets import Elided, make_button, make_label, set_property

if TYPE_CHECKING:
    from app.compose import Services


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


class _Row:
    """What changes in a pick's card with the language and with what is known of this machine."""

    def __init__(self, pick: Pick, card: QFrame, asked: Callable[[], object]) -> None:
        self.pick = pick
        self.purpose, self.size = Elided("text-2", card), make_label("muted", card)
        self.fit = make_label("secondary", card)
        self.button = make_button(asked, "", card, compact=True)


class PickList(QScrollArea):
    """``chosen`` carries a repository with the quant to point at."""

    chosen = Signal(str)

    def __init__(self, services: "Services", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._fits: dict[str, str] = {}
        self._asked = False
        self.setWidgetResizable(True)
        self._title, self._text = make_label("heading"), make_label("muted", wrap=True)
        self._rows: list[_Row] = []
        self._classes: list[tuple[int, QLabel]] = []
        holder = QWidget(self)
        column = QVBoxLayout(holder)
        column.setContentsMargins(24, 16, 24, 16)
        column.setSpacing(8)
        column.addWidget(self._title)
        column.addWidget(self._text)
        for pick in all_picks():
            if not self._classes or self._classes[-1][0] != pick.memory:
                self._classes.append((pick.memory, make_label("secondary", holder)))
                column.addSpacing(4)
                column.addWidget(self._classes[-1][1])
            column.addWidget(self._card(pick))
        column.addStretch(1)
        self.setWidget(holder)
        self._retranslate()

    def _card(self, pick: Pick) -> QWidget:
        card = QFrame(self)
        card.setProperty("role", "card")
        row = _Row(pick, card, partial(self.chosen.emit, f"{pick.repo}:{pick.quant}"))
        name = Elided("text", card)
        font = name.font()
        font.setBold(True)
        name.setFont(font)
        name.setText(pick.stem)
        texts, facts, line = QVBoxLayout(), QVBoxLayout(), QHBoxLayout(card)
        for column, widgets in ((texts, (name, row.purpose)), (facts, (row.size, row.fit))):
            column.setSpacing(0)
            for widget in widgets:
                column.addWidget(widget)
        for label in (row.size, row.fit):
            label.setAlignment(Qt.AlignmentFlag.AlignRight)
        line.setContentsMargins(16, 8, 12, 8)
        line.setSpacing(12)
        line.addLayout(texts, 1)
        line.addLayout(facts)
        line.addWidget(row.button)
        self._rows.append(row)
        return card

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if not self._asked:
            self._asked = True
            tasks.run(self._look, self._show_fits, lambda _error: None, self)

    def _look(self) -> dict[str, str]:
        from app.planning.fit import Fitter  # noqa: PLC0415 - asks the hardware, not before the page is seen

        fitter = Fitter(self._services.machine(), self._services.settings.value.engine.n_ctx)
        return {pick.repo: fitter.label(round(pick.gigabytes * 1e9)) for pick in all_picks()}

    def _show_fits(self, fits: dict[str, str]) -> None:
        self._fits = fits
        self._retranslate()

    def _retranslate(self) -> None:
        self._title.setText(self.tr("Good to begin with"))
        self._text.setText(
            self.tr("Sizes are what is downloaded; the model needs a little more memory than that.")
        )
        for memory, label in self._classes:
            label.setText(self.tr("For computers with {count} GB of memory").format(count=memory))
        for row in self._rows:
            row.purpose.setText(purpose_words(row.pick.purpose))
            row.size.setText(words.size(round(row.pick.gigabytes * 1e9)))
            fit = self._fits.get(row.pick.repo, "")
            row.fit.setText(words.fit_words(fit) if fit else "")
            set_property(row.fit, "role", words.FIT_TOKENS.get(fit, "secondary"))
            row.fit.setVisible(bool(fit))
            row.button.setText(self.tr("Look"))
            row.button.setAccessibleName(self.tr("Look at {name}").format(name=row.pick.stem))

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
        super().changeEvent(event)
