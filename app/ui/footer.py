"""Under each message: its actions and, for an answer, the model and the figures."""

from PySide6.QtCore import QPoint, QSize, Qt, Signal
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import QLabel, QToolButton, QWidget

from app.ui import theme
from app.ui.chat_style import ChatStyle
from app.ui.entries import Action, Entry
from app.ui.figures import figures_line, figures_table
from app.ui.levels import levels
from app.ui.message_parts import tint

_ICONS: dict[Action, str] = {
    "copy": "copy",
    "regenerate": "refresh",
    "continue": "continue",
    "edit": "edit",
    "raw": "raw",
    "delete": "trash",
    "previous": "chevron-left",
    "next": "chevron-right",
    "more": "more",
}


class Footer(QWidget):
    """Under each message: its actions and, for an answer, the model and the figures."""

    action = Signal(str)

    def __init__(self, style: ChatStyle, parent: QWidget) -> None:
        super().__init__(parent)
        self._style = style
        self._entry: Entry | None = None
        self._is_last = self._only_copy = False
        levels().changed.connect(self._show_level)
        self._buttons: dict[Action, QToolButton] = {}
        self._versions = QLabel(self)
        self._figures = QLabel(self)
        self._figures.setTextFormat(Qt.TextFormat.PlainText)
        self.set_style(style)

    def set_style(self, style: ChatStyle) -> None:
        self._style = style
        tint(self._figures, style)
        tint(self._versions, style)
        for name, button in self._buttons.items():
            self._dress(name, button)

    @property
    def high(self) -> int:
        """Pixels it needs, and each of its buttons in both directions."""
        return self._style.px(28)

    @property
    def wide(self) -> int:
        """Pixels that its buttons take."""
        return self.high * sum(not button.isHidden() for button in self._buttons.values())

    def _dress(self, name: Action, button: QToolButton) -> None:
        button.setIconSize(QSize(self._style.px(16), self._style.px(16)))
        button.setIcon(theme.icon(_ICONS[name]))

    def _show_level(self) -> None:
        if self._entry is not None:
            self.show_entry(self._entry, is_last=self._is_last, only_copy=self._only_copy)

    def show_entry(self, entry: Entry, *, is_last: bool, only_copy: bool = False) -> None:
        """Fit the actions and figures to this message; ``only_copy``: nothing can be done with it but that."""
        self._entry, self._is_last, self._only_copy = entry, is_last, only_copy
        wanted: list[Action] = ["copy"]
        if only_copy:
            pass
        elif entry.role == "assistant":
            wanted.append("regenerate")
            if is_last and entry.reason in {"length", "cancelled", "context_full", None}:
                wanted.append("continue")
        if not only_copy:
            simple: list[Action] = ["edit", "delete"]
            wanted += ["edit", "raw", "delete", "more"] if levels().allows("full") else simple
        if entry.versions > 1 and not only_copy:
            wanted += ["previous", "next"]
        for name in wanted:
            self._button(name).setVisible(True)
        for name in set(self._buttons) - set(wanted):
            self._buttons[name].setVisible(False)
        self.retranslate()

    def _button(self, name: Action) -> QToolButton:
        if name not in self._buttons:
            button = QToolButton(self)
            button.setAutoRaise(True)
            self._dress(name, button)
            button.clicked.connect(lambda: self.action.emit(name))
            self._buttons[name] = button
        return self._buttons[name]

    def retranslate(self) -> None:
        entry = self._entry
        if entry is None:
            return
        for name, button in self._buttons.items():
            button.setToolTip(self._title(name))
            button.setAccessibleName(self._title(name))
        self._versions.setText(f"{entry.version} / {entry.versions}" if entry.versions > 1 else "")
        self._versions.setAccessibleName(
            self.tr("Version {number} of {count}").format(number=entry.version, count=entry.versions)
        )
        self._figures.setToolTip(figures_table(entry))
        self._place()

    def _title(self, name: Action) -> str:
        return {
            "copy": self.tr("Copy"),
            "regenerate": self.tr("Answer again"),
            "continue": self.tr("Continue the answer"),
            "edit": self.tr("Edit"),
            "raw": self.tr("Show as plain text"),
            "delete": self.tr("Delete"),
            "more": self.tr("More: other models, tokens, context"),
            "previous": self.tr("Previous version"),
            "next": self.tr("Next version"),
        }.get(name, name)

    def menu_place(self) -> QPoint:
        """Where the menu of the last button opens, on the screen."""
        button = self._button("more")
        return button.mapToGlobal(QPoint(0, button.height()))

    def resizeEvent(self, _event: object) -> None:
        self._place()

    def _place(self) -> None:
        entry = self._entry
        if entry is None:
            return
        side, margin = self.high, self._style.px(6)
        x = -margin  # the icons' own margin: what is seen begins where the text begins
        order: list[Action] = [
            "previous",
            "next",
            "copy",
            "regenerate",
            "continue",
            "edit",
            "raw",
            "delete",
            "more",
        ]
        shown = [name for name in order if name in self._buttons and not self._buttons[name].isHidden()]
        width = side * len(shown) + (self._versions.sizeHint().width() + 8 if "previous" in shown else 0)
        if entry.role == "user":
            x = self.width() - width + margin
        for name in shown:
            self._buttons[name].setGeometry(x, 0, side, side)
            x += side
            if name == "previous":
                wide = self._versions.sizeHint().width() + 8
                self._versions.setGeometry(x + 4, 0, wide - 4, side)
                x += wide
        self._versions.setVisible("previous" in shown)
        if entry.role == "user":
            self._tell(entry, 0, self.width() - width + margin - 12)
        else:
            self._tell(entry, x + 12, self.width() - x - 12)

    def _tell(self, entry: Entry, x: int, room: int) -> None:
        """The figures where there is room for them; of a question, what a person wants done with it."""
        metrics = QFontMetrics(self._style.small)
        line = figures_line(entry, lambda words: metrics.horizontalAdvance(words) < room)
        self._figures.setText(metrics.elidedText(line, Qt.TextElideMode.ElideRight, max(0, room)))
        self._figures.setVisible(bool(line) and levels().allows("full") and room > 60)
        side = Qt.AlignmentFlag.AlignRight if entry.role == "user" else Qt.AlignmentFlag.AlignLeft
        self._figures.setAlignment(side | Qt.AlignmentFlag.AlignVCenter)
        self._figures.setGeometry(x, 0, room, self.high)
