"""Two quants answer the user's own prompt side by side, without names when wished; the vote is kept and summed up."""

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QEvent, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QPlainTextEdit,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from app.core.types import ModelRecord
from app.optimize.votes import Choice, Tally, Vote, Votes, tallies
from app.ui import tasks, theme, words
from app.ui.compare_view import CompareView
from app.ui.entries import Entry
from app.ui.errors import describe
from app.ui.lab_duel import Answer, Duel
from app.ui.lab_sources import shown
from app.ui.transcript import plain_words
from app.ui.widgets import Banner, make_button, make_label

if TYPE_CHECKING:
    from app.compose import Services

translate = QCoreApplication.translate
SURE = 0.05
"""Below this a difference is unlikely to be chance."""


class Prompt(QPlainTextEdit):
    """Ctrl+Enter asks; Tab goes on."""

    def __init__(self, parent: "BlindView") -> None:
        super().__init__(parent)
        self._owner = parent
        self.setProperty("role", "field")
        self.setTabChangesFocus(True)
        self.setFixedHeight(theme.px(64))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        enter = event.key() in {Qt.Key.Key_Return, Qt.Key.Key_Enter}
        if enter and event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self._owner.ask()
        else:
            super().keyPressEvent(event)


class BlindView(QWidget):
    """Sides are drawn by lot when blind; a vote shows which was which."""

    def __init__(self, services: "Services", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._votes = Votes(services.paths.data / "lab" / "votes.jsonl")
        self._sides: list[ModelRecord] = []
        self._answers = ["", ""]
        self._blind = True
        self._asked = ""
        self._voted = False
        self._told: Callable[[], str] = str
        self.boxes = [QComboBox(self), QComboBox(self)]
        self.blind = QCheckBox(self)
        self.blind.setChecked(True)
        self.prompt = Prompt(self)
        self.ask_button = make_button(self.ask, "primary", self)
        self.compare = CompareView(self, plain_words, lambda: translate("Lab", "This one is better"))
        self.tie = make_button(lambda: self.vote("tie"), "", self, compact=True)
        self.sum = make_label("secondary", self, wrap=True)
        self.forget = make_button(self._forget, "link", self, compact=True)
        self.status = make_label("secondary", self)
        self.hint = make_label("muted", self, wrap=True)
        self.banner = Banner(self)
        self.duel = Duel(services, self)
        self._lay_out()
        self._connect()
        self._retranslate()
        self._read_votes()

    # ------------------------------------------------------------------ building

    def _lay_out(self) -> None:
        choose = QHBoxLayout()
        choose.setSpacing(8)
        for box in self.boxes:
            choose.addWidget(box, 1)
        choose.addWidget(self.blind)
        write = QHBoxLayout()
        write.setSpacing(8)
        write.addWidget(self.prompt, 1)
        write.addWidget(self.ask_button, 0, Qt.AlignmentFlag.AlignBottom)
        self.hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.stack = QStackedWidget(self)
        self.stack.addWidget(self.hint)
        self.stack.addWidget(self.compare)
        below = QHBoxLayout()
        below.setSpacing(12)
        below.addWidget(self.tie)
        below.addWidget(self.status)
        below.addStretch(1)
        below.addWidget(self.sum, 3)
        below.addWidget(self.forget)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 12, 24, 12)
        column.setSpacing(10)
        column.addWidget(self.banner)
        column.addLayout(choose)
        column.addLayout(write)
        column.addWidget(self.stack, 1)
        column.addLayout(below)
        self.tie.hide()

    def _connect(self) -> None:
        self.compare.kept.connect(lambda key: self.vote("a" if key == -1 else "b"))
        self.duel.loading.connect(self._on_loading)
        self.duel.grown.connect(self._on_grown)
        self.duel.ended.connect(self._on_ended)
        self.duel.over.connect(self._on_over)
        self.prompt.textChanged.connect(self._enable)
        for box in self.boxes:
            box.activated.connect(lambda _at: self._enable())

    # ------------------------------------------------------------------ content

    def show_models(self, records: Sequence[ModelRecord]) -> None:
        """Who can be asked; what was chosen stays."""
        wanted = [record for record in records if record.summary is None or record.summary.kind == "text"]
        for number, box in enumerate(self.boxes):
            before = box.currentData()
            box.clear()
            for record in wanted:
                box.addItem(shown(record), record)
            at = next((at for at, r in enumerate(wanted) if before is not None and r.id == before.id), number)
            box.setCurrentIndex(min(at, len(wanted) - 1))
        self._enable()

    def _enable(self) -> None:
        first, second = (box.currentData() for box in self.boxes)
        two = first is not None and second is not None and first.id != second.id
        self.ask_button.setEnabled(self.duel.busy or (two and bool(self.prompt.toPlainText().strip())))
        self.ask_button.setText(self.tr("Stop") if self.duel.busy else self.tr("Ask both"))
        self.ask_button.setToolTip("" if two else self.tr("Choose two different models."))

    def ask(self) -> None:
        """Put the prompt to both, or stop what is being written."""
        if self.duel.busy:
            self.duel.stop()
            return
        text = self.prompt.toPlainText().strip()
        sides = [box.currentData() for box in self.boxes]
        if not text or None in sides or sides[0].id == sides[1].id:
            return
        self._blind, self._asked, self._voted = self.blind.isChecked(), text, False
        if self._blind:
            random.shuffle(sides)
        self._sides, self._answers = sides, ["", ""]
        self.tie.hide()
        self.banner.hide()
        question = Entry(-9, "user", text)
        names = [self._name(at) for at in (0, 1)]
        self.compare.start(question, [Entry(-1, "assistant"), Entry(-2, "assistant")], names)
        for column in self.compare.columns:
            column.keep.hide()
        self.stack.setCurrentWidget(self.compare)
        self.duel.begin(text, [record.id for record in sides])
        self._enable()

    def _name(self, side: int) -> str:
        hidden = self._blind and not self._voted
        return (
            translate("Lab", "Answer {letter}").format(letter="AB"[side])
            if hidden
            else shown(self._sides[side])
        )

    # ------------------------------------------------------------------ answers

    def _on_loading(self, side: int) -> None:
        key = -1 - side
        self.compare.apply(side, "start_live", (key,))
        self.compare.apply(side, "set_status", (key, self.tr("Loading…")))
        self._tell(lambda: self.tr("Answer {letter} is on its way").format(letter="AB"[side]))

    def _on_grown(self, side: int, text: str) -> None:
        key = -1 - side
        new = text[len(self._answers[side]) :]
        self._answers[side] = text
        self.compare.apply(side, "feed", (Entry(key, "assistant", text), new))

    def _on_ended(self, side: int, answer: Answer) -> None:
        key = -1 - side
        self._answers[side] = answer.text
        reason = answer.finished.reason if answer.finished else None
        self.compare.apply(side, "finish_live", (key, Entry(key, "assistant", answer.text, reason=reason)))
        if answer.error is not None:
            self.banner.show_error(describe(answer.error))

    def _on_over(self) -> None:
        both = all(self._answers)
        self._tell(lambda: self.tr("Which one is better?") if both else "")
        self.tie.setVisible(both)
        for column in self.compare.columns:
            column.keep.setVisible(both)
            column.keep.setEnabled(both)
        self._enable()

    # ------------------------------------------------------------------ votes

    def vote(self, choice: Choice) -> None:
        """Keep which one was better, and say which was which."""
        if self._voted or self.duel.busy or not all(self._answers):
            return
        self._voted = True
        vote = Vote(
            prompt=self._asked, a=self._sides[0].id, b=self._sides[1].id, choice=choice, blind=self._blind,
            answer_a=self._answers[0], answer_b=self._answers[1],
        )  # fmt: skip
        self._name_columns()
        for column in self.compare.columns:
            column.keep.hide()
        self.tie.hide()
        self._tell(lambda: self._said(choice))
        votes = self._votes
        tasks.run(lambda: votes.add(vote), lambda _none: self._read_votes(), self._failed, self)

    def _tell(self, words: Callable[[], str]) -> None:
        self._told = words
        self.status.setText(words())

    def _name_columns(self) -> None:
        for at, column in enumerate(self.compare.columns[: len(self._sides)]):
            column.model.setText(self._name(at))

    def _said(self, choice: Choice) -> str:
        if choice == "tie":
            return self.tr("Kept: as good as each other.")
        return self.tr("Kept: {model} was better.").format(model=self._name("ab".index(choice)))

    def _read_votes(self) -> None:
        votes = self._votes
        tasks.run(lambda: tallies(votes.all()), self._show_votes, self._failed, self)

    def _show_votes(self, found: list[Tally]) -> None:
        self.sum.setText("\n".join(tally_words(tally) for tally in found[:2]))
        self.sum.setToolTip("\n".join(tally_words(tally) for tally in found))
        self.forget.setVisible(bool(found))

    def _forget(self) -> None:
        from app.ui.dialogs import confirm  # noqa: PLC0415 - rarely asked

        votes = self._votes

        def forget() -> None:
            tasks.run(votes.forget, lambda _none: self._read_votes(), self._failed, self)

        confirm.ask(
            self,
            self.tr("Forget all votes?"),
            self.tr("The prompts and answers kept with them are deleted too."),
            self.tr("Forget them"),
            forget,
        )

    def _failed(self, error: Exception) -> None:
        self.banner.show_error(describe(error))

    # ------------------------------------------------------------------ words

    def _retranslate(self) -> None:
        self.boxes[0].setAccessibleName(self.tr("First model"))
        self.boxes[1].setAccessibleName(self.tr("Second model"))
        self.blind.setText(self.tr("Blind"))
        self.blind.setToolTip(self.tr("The names are shown after the vote; only blind votes count."))
        self.prompt.setAccessibleName(self.tr("Prompt for both"))
        self.prompt.setPlaceholderText(self.tr("A prompt of your own. Ctrl+Enter asks both models."))
        self.tie.setText(self.tr("As good as each other"))
        self.forget.setText(self.tr("Forget votes"))
        self.hint.setText(
            self.tr(
                "Ask two quants the same and judge without knowing which is which. Ten votes or more tell whether you"
                " can see a difference at all."
            )
        )
        self.status.setText(self._told())
        self._name_columns()
        self._enable()

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
            self._read_votes()
        super().changeEvent(event)


def tally_words(tally: Tally) -> str:
    """``a 7 : 3 b, 2 as good: could be chance``."""
    score = translate("Lab", "{a} {wins} : {losses} {b}").format(
        a=tally.a, wins=tally.wins_a, losses=tally.wins_b, b=tally.b
    )
    if tally.ties:
        count = tally.ties
        score += ", " + translate("Lab", "%n as good", "", count)
    if tally.chance >= SURE:
        return translate("Lab", "{score}; could be chance").format(score=score)
    chance = words.number(tally.chance * 100, 1)
    return translate("Lab", "{score}; chance alone gives this in {share} % of cases").format(
        score=score, share=chance
    )
