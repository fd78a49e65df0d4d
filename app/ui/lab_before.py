"""What the ticked types will take, beside the form: time, disk and memory, what speaks against it, and Start."""

from collections.abc import Callable, Mapping

from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QVBoxLayout, QWidget

from app.ui import words
from app.ui.figures import DASH
from app.ui.lab_draft import Cost
from app.ui.widgets import make_button, make_label, set_property


class BeforeCard(QFrame):
    """``start`` is the page's one primary button."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "card")
        self._cost: Cost | None = None
        self._count, self._busy, self._wished, self._problem = 0, False, False, ""
        self._fix: Callable[[], object] | None = None
        self.heading = make_label("heading", self)
        self.titles = [make_label("secondary", self) for _ in range(4)]
        self.values = [make_label(parent=self, wrap=True) for _ in range(4)]
        self.problem = make_label("warn", self, wrap=True)
        self.fix = make_button(self._mend, "link", self, compact=True)
        self.fallbacks = make_label("secondary", self, wrap=True)
        self.start = make_button(lambda: None, "primary", self)
        self._lay_out()
        self.problem.hide()
        self.fix.hide()
        self.fallbacks.hide()
        self._retranslate()

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 12, 16, 16)
        column.setSpacing(10)
        column.addWidget(self.heading)
        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(8)
        grid.setColumnStretch(1, 1)
        for at, (title, value) in enumerate(zip(self.titles, self.values, strict=True)):
            grid.addWidget(title, at, 0)
            grid.addWidget(value, at, 1)
        column.addLayout(grid)
        for widget in (self.problem, self.fix, self.fallbacks, self.start):
            column.addWidget(widget)

    def show_cost(self, cost: Cost | None, count: int, busy: bool) -> None:
        """``busy``: sizes are still being told."""
        self._cost, self._count, self._busy, self._wished = cost, count, busy, False
        self._fill()

    def show_wish(self, cost: Cost | None, busy: bool) -> None:
        """A wish that is measured: what comes of it is not known before, what it takes at most is."""
        self._wished, self._busy, self._cost = True, busy, cost
        self.fallbacks.hide()
        self._fill()

    def show_problem(self, text: str, label: str = "", fix: Callable[[], object] | None = None) -> None:
        """What keeps it from starting, and the button that mends it; nothing when there is nothing."""
        self._problem, self._fix = text, fix
        self.problem.setText(text)
        self.problem.setVisible(bool(text))
        self.fix.setText(label)
        self.fix.setVisible(bool(text and label))
        self._fill()

    def show_fallbacks(self, fallbacks: Mapping[str, tuple[str, ...]]) -> None:
        """Tensors that have to take another type."""
        some = {kind: notes for kind, notes in fallbacks.items() if notes}
        self.fallbacks.setVisible(bool(some))
        if some:
            kind, notes = max(some.items(), key=lambda item: len(item[1]))
            text = self.tr(
                "%n tensor(s) can't take {type}: their rows don't divide. They get a finer one.",
                "",
                len(notes),
            )
            self.fallbacks.setText(text.format(type=kind))
            self.fallbacks.setToolTip("\n".join(notes[:12]))

    def _mend(self) -> None:
        if self._fix is not None:
            self._fix()

    def _fill(self) -> None:
        cost = self._cost
        told = self.tr("being worked out…") if self._busy else DASH
        if cost is None:
            for value in self.values:
                value.setText(told if self._count or self._wished else DASH)
        else:
            low, high = cost.seconds
            self.values[0].setText(span(low, high))
            size = words.size(cost.disk)
            self.values[1].setText(
                told
                if self._busy or not cost.disk
                else self.tr("at most {size}").format(size=size)
                if cost.at_most
                else size
            )
            self.values[1].setToolTip(
                self.tr("A copy for the trials, which is deleted, and the result.") if cost.at_most else ""
            )
            self.values[2].setText(words.size(cost.disk_free))
            free = words.memory(cost.memory_free)
            self.values[3].setText(
                self.tr("{need} of {free} free").format(need=words.fine_memory(cost.memory), free=free)
            )
            set_property(self.values[2], "role", "bad" if cost.disk > cost.disk_free else "")
            tight = cost.memory_free is not None and cost.memory > cost.memory_free
            set_property(self.values[3], "role", "warn" if tight else "")
        self._name_start()

    def _name_start(self) -> None:
        cost = self._cost
        full = cost is not None and cost.disk > cost.disk_free
        self.start.setEnabled((self._wished or bool(self._count)) and not self._problem and not full)
        if full:
            self.start.setText(self.tr("Not enough room on the disk"))
        elif self._wished:
            self.start.setText(self.tr("Measure and make"))
        elif not self._count:
            self.start.setText(self.tr("Tick a type"))
        elif cost is not None and cost.disk and not self._busy:
            text = self.tr("Make %n quant(s), {size}", "", self._count)
            self.start.setText(text.format(size=words.size(cost.disk)))
        else:
            self.start.setText(self.tr("Make %n quant(s)", "", self._count))

    def _retranslate(self) -> None:
        self.heading.setText(self.tr("Before you start"))
        titles = (self.tr("Time"), self.tr("New files"), self.tr("Free on disk"), self.tr("Memory"))
        for title, text in zip(self.titles, titles, strict=True):
            title.setText(text)
        self._fill()

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
        super().changeEvent(event)


def span(low: float, high: float) -> str:
    """A forecast of seconds as a range with "about"."""
    first, last = words.duration(low), words.duration(high)
    if first == last:
        return QCoreApplication.translate("Lab", "about {time}").format(time=first)
    return QCoreApplication.translate("Lab", "about {least} to {most}").format(least=first, most=last)
