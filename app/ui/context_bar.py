"""The picture above the composer: what fills the model's window, message by message; a click pins one, drops it or
shortens it. Says beforehand what the next question pushes out; what then happens is chosen here.
"""

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QEvent, QLocale, QPoint, QRectF, Qt, Signal
from PySide6.QtGui import QFocusEvent, QHelpEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QHBoxLayout, QLabel, QMenu, QSizePolicy, QToolTip, QVBoxLayout, QWidget

from app.ui import theme
from app.ui.chat_context import WindowPart, WindowPicture
from app.ui.chat_list_menus import new_menu
from app.ui.chat_style import COLUMN, make_style
from app.ui.context_use import ContextUse, context_parts
from app.ui.figures import mark_words
from app.ui.levels import levels
from app.ui.message_menu import add_marks
from app.ui.message_parts import tint
from app.ui.widgets import make_button

if TYPE_CHECKING:
    from app.core.generate import ContextPolicy

_SHOWN_FROM = 0.02
_SHOWN_FROM_SIMPLE = 0.8
"""The simple window says it only when the context is about to be full."""
_FULL = 0.9
_TOKENS = {"system": "plot-4", "user": "plot-1", "assistant": "plot-2", "tool": "plot-3"}


class PictureBar(QWidget):
    """A bar of the window's messages. Arrow keys walk along it, Enter or a click opens a message's menu."""

    asked = Signal(object, QPoint)
    """A WindowPart and where its menu belongs."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._parts: list[tuple[str, float, str, str]] = []
        self._picture: WindowPicture | None = None
        self._whole = 0.0
        self._at = -1
        self.setFixedHeight(14)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_parts(self, parts: list[tuple[str, float, str, str]], whole: float) -> None:
        """The few parts known before the messages are counted: (name, size, size as text, palette name)."""
        self._parts, self._whole, self._picture = parts, whole, None
        self.setAccessibleDescription(", ".join(f"{name} {text}" for name, _, text, _ in parts))
        self.update()

    def show_picture(self, picture: WindowPicture) -> None:
        """Message by message."""
        self._picture, self._whole = picture, float(max(picture.window, picture.tokens))
        self._at = min(self._at, len(picture.parts) - 1)
        self.update()

    def spans(self) -> list[tuple[float, float, WindowPart]]:
        """(left, width, part) of each message, in pixels; what is left out is a notch of 3."""
        if self._picture is None or self._whole <= 0:
            return []
        found, x = [], 0.0
        for part in self._picture.parts:
            out = part.dropped or part.mark == "dropped"
            width = 3.0 if out else max(2.0, self.width() * part.tokens / self._whole)
            found.append((x, width, part))
            x += width
        return found

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.color("raised"))
        body = QRectF(0, 4, self.width(), 6)
        painter.drawRoundedRect(body, 3, 3)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        if self._picture is None:
            self._paint_parts(painter)
        for number, (x, width, part) in enumerate(self.spans()):
            self._paint_part(painter, QRectF(x, 4, width, 6), part)
            if number == self._at and self.hasFocus():
                painter.setPen(QPen(theme.color("accent"), 2))
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.drawRect(QRectF(x, 1, max(4.0, width), 12))
        if self._picture is not None and self._picture.budget < self._picture.window:
            left = self.width() * self._picture.budget / self._whole
            painter.fillRect(QRectF(left, 1, 1, 12), theme.color("text-2"))

    def _paint_parts(self, painter: QPainter) -> None:
        x = 0.0
        for _name, size, _text, token in self._parts:
            width = self.width() * size / self._whole if self._whole > 0 else 0.0
            if size > 0:
                painter.fillRect(QRectF(x, 4, max(1.5, width - 1), 6), theme.color(token))
            x += width

    def _paint_part(self, painter: QPainter, where: QRectF, part: WindowPart) -> None:
        token = _TOKENS.get(part.role, "plot-2")
        if part.dropped or part.mark == "dropped":
            painter.fillRect(where.adjusted(0, 1, -1, -1), theme.color("line"))
            return
        gap = 1 if where.width() > 3 else 0
        painter.fillRect(where.adjusted(0, 0, -gap, 0), theme.color(token))
        if part.leaving:  # hatched: it goes next
            pen = QPen(theme.color("window"), 1)
            painter.setPen(pen)
            step = int(where.left())
            while step < where.right():
                painter.drawLine(step, int(where.bottom()), step + 4, int(where.top()))
                step += 4
            painter.setPen(Qt.PenStyle.NoPen)
        if part.mark == "pinned":
            painter.fillRect(QRectF(where.left(), 1, where.width() - gap, 2), theme.color("text"))
        if part.mark == "summary":
            painter.fillRect(QRectF(where.left(), 11, where.width() - gap, 2), theme.color("good"))

    def part_at(self, x: float) -> tuple[int, WindowPart] | None:
        """The message at this place of the bar."""
        for number, (left, width, part) in enumerate(self.spans()):
            if left <= x < left + width:
                return number, part
        return None

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            found = self.part_at(event.pos().x())
            words = part_words(found[1]) if found else self.accessibleDescription()
            QToolTip.showText(event.globalPos(), words, self)
            return True
        return super().event(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        found = self.part_at(event.position().x())
        if found:
            self._at = found[0]
            self.asked.emit(found[1], event.globalPosition().toPoint())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        spans = self.spans()
        if event.key() in {Qt.Key.Key_Left, Qt.Key.Key_Right} and spans:
            step = 1 if event.key() == Qt.Key.Key_Right else -1
            self._at = min(max(self._at + step, 0), len(spans) - 1)
            self._say()
        elif event.key() in {Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space} and spans:
            x, _, part = spans[max(0, self._at)]
            self.asked.emit(part, self.mapToGlobal(QPoint(int(x), self.height())))
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self._at = max(self._at, 0)
        self._say()

    def _say(self) -> None:
        spans = self.spans()
        if spans:
            words = part_words(spans[min(self._at, len(spans) - 1)][2])
            self.setAccessibleDescription(words)
            QToolTip.showText(self.mapToGlobal(QPoint(int(spans[self._at][0]), -30)), words, self)
        self.update()


class ContextBar(QWidget):
    """Hidden while there is nothing worth saying; turns into words when it is nearly full."""

    act_requested = Signal(int, str)
    """A message and what is to become of it: pinned, dropped, summarise, or nothing special."""
    policy_chosen = Signal(str)
    jump_requested = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._use = ContextUse()
        self._picture: WindowPicture | None = None
        self._bar = PictureBar(self)
        self._words = make_button(self._choose, "link", self, compact=True)
        self._next = QLabel(self)
        self._next.setTextFormat(Qt.TextFormat.PlainText)
        self._next.setWordWrap(True)
        self._next.hide()
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self._bar, 1)
        row.addWidget(self._words)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 0, 4, 0)
        column.setSpacing(2)
        column.addLayout(row)
        column.addWidget(self._next)
        self.setMaximumWidth(COLUMN)
        self._bar.asked.connect(self._ask_about)
        theme.notifier().changed.connect(self._restyle)
        levels().changed.connect(self._show_level)
        self._restyle()

    def _show_level(self) -> None:
        self.show_use(self._use)

    def show_use(self, use: ContextUse) -> None:
        """Show what fills the context; hidden when that is unknown or next to nothing."""
        self._use = use
        least = _SHOWN_FROM if levels().allows("full") else _SHOWN_FROM_SIMPLE
        known = use.limit is not None and (use.used >= least * use.limit or self._has_marks())
        self.setVisible(known)
        if not known or use.limit is None:
            return
        if self._picture is None:
            self._bar.show_parts(context_parts(use), float(use.limit))
        count = QLocale().toString
        words = self.tr("{used} of {limit} tokens").format(used=count(use.used), limit=count(use.limit))
        nearly_full = use.used >= _FULL * use.limit
        self._words.setText(self.tr("Nearly full: {words}").format(words=words) if nearly_full else words)
        self._bar.setAccessibleName(self.tr("Context"))

    def _has_marks(self) -> bool:
        return self._picture is not None and any(part.mark for part in self._picture.parts)

    def show_picture(self, picture: WindowPicture | None) -> None:
        """Show message by message what fills the context; None: it is not known."""
        self._picture = picture
        self._next.setVisible(False)
        if picture is None:
            return
        self._bar.show_picture(picture)
        words = self._coming(picture)
        self._next.setText(words)
        self._next.setVisible(bool(words))

    def _coming(self, picture: WindowPicture) -> str:
        """What the next question does to the window."""
        if picture.over:
            return self.tr("What must stay is more than the context holds. Drop or shorten something.")
        leaving = [part for part in picture.parts if part.leaving]
        count = len(leaving)
        if count:
            tokens = QLocale().toString(sum(part.tokens for part in leaving))
            first = self.tr("The next question pushes %n message(s) out of the context", "", count)
            return self.tr("{what} ({tokens} tokens), beginning with: {text}").format(
                what=first, tokens=tokens, text=leaving[0].preview[:60]
            )
        out = sum(1 for part in picture.parts if part.dropped)
        return self.tr("%n message(s) no longer fit and are left out", "", out) if out else ""

    # ---------------------------------------------------------------- menus

    def _ask_about(self, part: WindowPart, at: QPoint) -> None:
        menu = new_menu(self)
        head = menu.addAction(part_words(part).split("\n")[0])
        head.setEnabled(False)
        menu.addSeparator()
        if part.message:
            add_marks(menu, part.mark, lambda name: self.act_requested.emit(part.message, name))
            menu.addSeparator()
            menu.addAction(self.tr("Show this message"), lambda: self.jump_requested.emit(part.message))
        else:
            menu.addAction(self.tr("The system prompt always stays")).setEnabled(False)
        menu.popup(at)

    def _choose(self) -> None:
        menu = policy_menu(self, self._picture.policy if self._picture else "")
        menu.popup(self._words.mapToGlobal(QPoint(0, -menu.sizeHint().height())))

    # ---------------------------------------------------------------- Qt

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._restyle()
            self.show_use(self._use)
            self.show_picture(self._picture)
        super().changeEvent(event)

    def _restyle(self) -> None:
        tint(self._next, make_style())
        self._words.setToolTip(self.tr("What happens when the context is full"))
        self._bar.update()


def policy_menu(bar: ContextBar, now: str) -> QMenu:
    """What happens when the window of this chat is full."""
    menu = new_menu(bar)
    head = menu.addAction(QCoreApplication.translate("ContextBar", "When the context of this chat is full"))
    head.setEnabled(False)
    menu.addSeparator()
    policies: tuple[tuple[ContextPolicy, str], ...] = (
        ("rolling", QCoreApplication.translate("ContextBar", "Leave out the oldest turns")),
        (
            "drop_middle",
            QCoreApplication.translate("ContextBar", "Keep the first turn, leave out those after it"),
        ),
        ("stop", QCoreApplication.translate("ContextBar", "Stop there and say so")),
    )
    for policy, words in policies:
        action = menu.addAction(words, partial(bar.policy_chosen.emit, policy))
        action.setCheckable(True)
        action.setChecked(policy == now)
    return menu


def part_words(part: WindowPart) -> str:
    """Who says how much, what becomes of it, and how it begins."""
    who = {
        "system": QCoreApplication.translate("PictureBar", "System prompt"),
        "user": QCoreApplication.translate("PictureBar", "Question"),
        "assistant": QCoreApplication.translate("PictureBar", "Answer"),
        "tool": QCoreApplication.translate("PictureBar", "Tool's result"),
    }.get(part.role, part.role)
    state = mark_words(part.mark)
    if part.dropped:
        state = QCoreApplication.translate("PictureBar", "no longer fits")
    elif part.leaving:
        state = QCoreApplication.translate("PictureBar", "goes with the next question")
    tokens = QCoreApplication.translate("PictureBar", "{count} tokens").format(
        count=QLocale().toString(part.tokens)
    )
    return "  ·  ".join(words for words in (who, tokens, state) if words) + f"\n{part.preview}"
