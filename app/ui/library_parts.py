"""The parts of a model's details: a grid of facts, the mix of types, and work that shows how far it is."""

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QSplitter,
    QSplitterHandle,
    QVBoxLayout,
    QWidget,
)

from app.ui import theme, words
from app.ui.library_facts import Fact, Part
from app.ui.live_plot import StackBar
from app.ui.widgets import make_button, make_label, set_property


class _Gap(QSplitterHandle):
    """A place to take hold of that looks like the room between two cards."""

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Nothing is drawn."""


class GapSplitter(QSplitter):
    """Two cards side by side, with nothing between them but a gap that can be dragged."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        self.setChildrenCollapsible(False)
        self.setHandleWidth(12)

    def createHandle(self) -> QSplitterHandle:
        return _Gap(self.orientation(), self)


class FactGrid(QWidget):
    """Titles at the left, what is known at the right; texts can be selected."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(12)
        self._grid.setVerticalSpacing(4)
        self._grid.setColumnStretch(1, 1)
        self._rows: list[tuple[QLabel, QLabel]] = []

    def show_facts(self, facts: list[Fact]) -> None:
        """Show these; labels are kept for the next model."""
        while len(self._rows) < len(facts):
            self._add_row()
        for at, (title, value) in enumerate(self._rows):
            shown = at < len(facts)
            title.setVisible(shown)
            value.setVisible(shown)
            if shown:
                title.setText(facts[at][0])
                value.setText(facts[at][1])
                value.setToolTip(facts[at][2])

    def _add_row(self) -> None:
        title, value = make_label("secondary", self), make_label("", self, wrap=True)
        value.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        at, top = len(self._rows), Qt.AlignmentFlag.AlignTop
        self._grid.addWidget(title, at, 0, top)
        self._grid.addWidget(value, at, 1, top)
        self._rows.append((title, value))

    def texts(self) -> dict[str, str]:
        """What stands there, by title."""
        return {title.text(): value.text() for title, value in self._rows if not title.isHidden()}


class Dot(QWidget):
    """A small square in a colour of the picture."""

    def __init__(self, parent: QWidget, token: str = "plot-1") -> None:
        super().__init__(parent)
        self.token = token
        self.setFixedSize(10, 10)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), theme.color(self.token))


class MixPicture(QWidget):
    """Bytes by tensor type as a bar, with a legend below."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.bar = StackBar(self)
        self._legend = QGridLayout()
        self._legend.setHorizontalSpacing(6)
        self._legend.setVerticalSpacing(2)
        self._legend.setColumnStretch(5, 1)
        self._items: list[tuple[Dot, QLabel]] = []
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(self.bar)
        column.addLayout(self._legend)

    def show_parts(self, parts: list[Part]) -> None:
        """Show these shares; nothing hides the picture."""
        self.setVisible(bool(parts))
        self.bar.show_parts(parts, sum(part[1] for part in parts))
        while len(self._items) < len(parts):
            self._add_item()
        for at, (dot, label) in enumerate(self._items):
            dot.setVisible(at < len(parts))
            label.setVisible(at < len(parts))
            if at < len(parts):
                name, _size, share, dot.token = parts[at]
                label.setText(f"{name}  {share}")
                dot.update()

    def _add_item(self) -> None:
        dot, label, at = Dot(self), make_label("secondary", self), len(self._items)
        self._legend.addWidget(dot, at // 2, 3 * (at % 2))
        self._legend.addWidget(label, at // 2, 3 * (at % 2) + 1)
        self._items.append((dot, label))


class Work(QWidget):
    """A button for work that takes time; while it runs, a bar, how much is left, and a way to stop it."""

    def __init__(self, start: Callable[[], None], stop: Callable[[], None], parent: QWidget) -> None:
        super().__init__(parent)
        self.button = make_button(start, "", self, compact=True)
        self.bar = QProgressBar(self)
        self.bar.setTextVisible(False)
        self.bar.setRange(0, 1000)
        self.left = make_label("secondary", self)
        self.cancel = make_button(stop, "", self, compact=True)
        self.result = make_label("", self, wrap=True)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.button)
        row.addWidget(self.bar, 1)
        row.addWidget(self.left)
        row.addWidget(self.cancel)
        row.addStretch(0)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(row)
        column.addWidget(self.result)
        self.idle()

    def idle(self, words_: str = "", tone: str = "") -> None:
        """Not running; what it found last."""
        for widget in (self.bar, self.left, self.cancel):
            widget.hide()
        self.button.show()
        self.result.setText(words_)
        self.result.setVisible(bool(words_))
        set_property(self.result, "role", tone or "muted")

    def running(self, done: int, total: int, seconds: float | None = None) -> None:
        """How far it is, and how long is left when that is known."""
        self.button.hide()
        self.result.hide()
        for widget in (self.bar, self.left, self.cancel):
            widget.show()
        self.bar.setValue(round(1000 * done / total) if total else 0)
        self.left.setText(words.duration(seconds) if seconds is not None else "")
