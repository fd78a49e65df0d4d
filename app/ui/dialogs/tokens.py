"""An answer token by token: coloured by probability, with what else could have stood there."""

import math
from collections.abc import Sequence

from PySide6.QtCore import QEvent, QLocale, QObject, QPoint, Qt, Signal
from PySide6.QtGui import QColor, QHelpEvent, QTextCharFormat, QTextCursor
from PySide6.QtWidgets import QPlainTextEdit, QToolTip, QWidget

from app.core.generate import TokenLogprob
from app.ui import theme
from app.ui.dialogs.base import Dialog
from app.ui.widgets import make_button, make_label

_STEPS = ((0.9, "", 0.0), (0.5, "warn", 0.18), (0.1, "warn", 0.42), (0.0, "bad", 0.45))
"""(from this probability, the colour behind it, its strength)"""


class TokensDialog(Dialog):
    """Shows what was kept with the answer. ``ask_again`` asks for it when nothing was."""

    ask_again = Signal()

    def __init__(self, tokens: Sequence[TokenLogprob], count: int | None, parent: QWidget | None) -> None:
        super().__init__("", parent)
        self._tokens = tuple(tokens)
        self._ends: list[int] = []
        self.title.setText(self.tr("Tokens and probabilities"))
        self.setWindowTitle(self.title.text())
        self.facts = make_label("secondary", self, wrap=True)
        self.text = QPlainTextEdit(self, readOnly=True)
        self.text.setFont(theme.font("chat"))
        self.text.setProperty("role", "field")
        self.text.setAccessibleName(self.tr("The answer, token by token"))
        self.text.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.one = make_label(parent=self, wrap=True)
        self.close_button = make_button(self.accept, "primary", self)
        self.close_button.setText(self.tr("Close"))
        for widget in (self.facts, self.text, self.one):
            self.body.addWidget(widget)
        self._fill(count)
        self.buttons.addWidget(self.close_button)
        self.text.viewport().installEventFilter(self)
        self.text.cursorPositionChanged.connect(self._say)
        self.resize(theme.px(720), theme.px(520 if self._tokens else 180))

    def _fill(self, count: int | None) -> None:
        number = QLocale().toString(count) if count is not None else "–"
        words = self.tr("{count} tokens.").format(count=number)
        if not self._tokens:
            self.text.hide()
            more = self.tr("The probabilities were not kept: the answer was asked for without them.")
            self.one.setText(more)
            again = make_button(self._again, "", self)
            again.setText(self.tr("Keep them from now on and answer again"))
            self.buttons.addWidget(again)
        else:
            words += " " + self._measure()
            self._write()
        self.facts.setText(words)

    def _again(self) -> None:
        self.ask_again.emit()
        self.accept()

    def _measure(self) -> str:
        mean = sum(token.logprob for token in self._tokens) / len(self._tokens)
        unsure = sum(1 for token in self._tokens if token.logprob < math.log(0.5))
        return self.tr(
            "Perplexity {perplexity}; {unsure} tokens had less than 50 %. Yellow: under 90 %, red: under 10 %."
        ).format(perplexity=QLocale().toString(math.exp(-mean), "f", 2), unsure=QLocale().toString(unsure))

    def _write(self) -> None:
        cursor = QTextCursor(self.text.document())
        cursor.beginEditBlock()
        for token in self._tokens:
            cursor.insertText(token.token, _form(math.exp(token.logprob)))
            self._ends.append(cursor.position())
        cursor.endEditBlock()
        self.text.moveCursor(QTextCursor.MoveOperation.Start)

    def token_at(self, position: int) -> TokenLogprob | None:
        """The token a character of the text belongs to."""
        for token, end in zip(self._tokens, self._ends, strict=True):
            if position < end:
                return token
        return None

    def _say(self) -> None:
        token = self.token_at(self.text.textCursor().position())
        self.one.setText(token_words(token) if token else "")

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            token = self.token_at(self.text.cursorForPosition(event.pos()).position())
            QToolTip.showText(QPoint(event.globalPos()), token_words(token) if token else "", self.text)
            return True
        return super().eventFilter(watched, event)


def _form(probability: float) -> QTextCharFormat:
    form = QTextCharFormat()
    for least, token, strength in _STEPS:
        if probability >= least:
            if token:
                tone = QColor(theme.color(token))
                tone.setAlphaF(strength)
                form.setBackground(tone)
            break
    return form


def token_words(token: TokenLogprob) -> str:
    """A token with its probability, and what else could have stood there, one a line."""
    lines = [_line(token.token, token.logprob)]
    lines += [_line(text, logprob) for text, _data, logprob in token.top if text != token.token]
    return "\n".join(lines)


def _line(text: str, logprob: float) -> str:
    shown = text.replace("\n", "⏎").replace(" ", "·") or "∅"
    return f"{shown}   {QLocale().toString(100 * math.exp(logprob), 'f', 1)} %"
