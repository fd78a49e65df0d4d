"""The lab's form: a source, types, a matrix, what else; at the right what it will take, and the button that starts."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.core.errors import LabRefusedError
from app.core.types import ModelRecord
from app.optimize.sizes import NEED_MATRIX
from app.ui import tasks, theme
from app.ui.errors import describe
from app.ui.lab_before import BeforeCard
from app.ui.lab_bring import BringDialog
from app.ui.lab_draft import Draft, check_matrix, orders_of, wish_order, with_types
from app.ui.lab_forecast import LabForecast
from app.ui.lab_options import OptionsBox
from app.ui.lab_sources import SourceBox
from app.ui.lab_texts import TextPicker
from app.ui.lab_types import TypeTable
from app.ui.lab_wish import Measured, WishBox
from app.ui.widgets import Banner, make_button, make_label

if TYPE_CHECKING:
    from app.compose import Services
    from app.optimize.wishes import WishPlan

NONE, TEXT, FILE = "none", "text", "file"
AMOUNTS = (16, 64, 0)
"""Pieces a matrix is computed from; 0: the whole text."""
_SIDE = 264


class Section(QFrame):
    """A card with a heading and what stands below it."""

    def __init__(self, parent: QWidget, *parts: QWidget) -> None:
        super().__init__(parent)
        self.setProperty("role", "card")
        self.heading = make_label("heading", self)
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(16, 12, 16, 14)
        self.column.setSpacing(8)
        self.column.addWidget(self.heading)
        for part in parts:
            link = isinstance(part, QPushButton)
            self.column.addWidget(part, 0, Qt.AlignmentFlag.AlignLeft if link else Qt.AlignmentFlag(0))


class MatrixBox(QWidget):
    """No matrix, one computed from a text, or a finished one."""

    changed = Signal()
    failed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.file = ""
        self.box = QComboBox(self)
        for key in (NONE, TEXT, FILE):
            self.box.addItem("", key)
        self.note = make_label("secondary", self, wrap=True)
        self.text, self.amount = TextPicker(self), QComboBox(self)
        for count in AMOUNTS:
            self.amount.addItem("", count)
        self.amount.setCurrentIndex(1)
        top = QHBoxLayout()
        top.setSpacing(12)
        top.addWidget(self.box)
        top.addWidget(self.note, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addLayout(top)
        column.addWidget(self.text)
        column.addWidget(self.amount, 0, Qt.AlignmentFlag.AlignLeft)
        self.box.activated.connect(self._take)
        self.amount.activated.connect(lambda _at: self.changed.emit())
        self.text.changed.connect(self.changed)
        self._before = 0
        self.retranslate()

    @property
    def kind(self) -> str:
        """none, text or file."""
        return str(self.box.currentData())

    def choose(self, kind: str) -> None:
        """As if it had been chosen; a file is taken with ``take_file``."""
        self.box.setCurrentIndex((NONE, TEXT, FILE).index(kind))
        self._before = self.box.currentIndex()
        self.retranslate()
        self.changed.emit()

    def _take(self, at: int) -> None:
        if self.box.itemData(at) != FILE:
            self.choose(str(self.box.itemData(at)))
            return
        name = self.tr("Importance matrices (*.gguf *.imatrix);;All files (*)")
        path, _ = QFileDialog.getOpenFileName(self, self.tr("An importance matrix"), str(Path.home()), name)
        self.box.setCurrentIndex(self._before)
        if path:
            self.take_file(path)

    def take_file(self, path: str) -> None:
        """Use a finished matrix, once it was read."""

        def read(_chunks: int) -> None:
            self.file = path
            self.choose(FILE)

        tasks.run(lambda: check_matrix(path), read, self.failed.emit, self)

    def retranslate(self) -> None:
        """Put the words in place."""
        file = Path(self.file).name
        texts = (
            self.tr("Without"),
            self.tr("Compute it from a text"),
            file or self.tr("A finished matrix…"),
        )
        for at, text in enumerate(texts):
            self.box.setItemText(at, text)
        self.box.setAccessibleName(self.tr("Importance matrix"))
        self.note.setText(
            {
                NONE: self.tr("Enough down to about 5 bits; below that a matrix keeps much more."),
                TEXT: self.tr("The model reads it once, so that what it needs most is kept finest."),
                FILE: self.tr("As llama.cpp's own tools write them."),
            }[self.kind]
        )
        amounts = (
            self.tr("Quick: 16 pieces of 512 tokens"),
            self.tr("Usual: 64 pieces of 512 tokens"),
            self.tr("All of the text"),
        )
        for at, text in enumerate(amounts):
            self.amount.setItemText(at, text)
        self.amount.setAccessibleName(self.tr("How much of the text"))
        for widget in (self.text, self.amount):
            widget.setVisible(self.kind == TEXT)


class MakeView(QWidget):
    """``failed`` carries an exception; ``started`` after jobs were put into the queue; ``recipe_asked`` for a recipe
    from a file."""

    started = Signal()
    recipe_asked = Signal()
    failed = Signal(object)

    def __init__(self, services: "Services", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self.source, self.types, self.matrix = SourceBox(self), TypeTable(self), MatrixBox(self)
        self.options = OptionsBox(self)
        self.options.hide()
        self.wish, self.modes = WishBox(services, self), QButtonGroup(self)
        self.wish.hide()
        self.recipe = make_button(self.recipe_asked.emit, "link", self, compact=True)
        self.fold = make_button(self._fold, "link", self, compact=True)
        self.banner = Banner(self)
        self.before = BeforeCard(self)
        self.forecast = LabForecast(services, self)
        self._sections = [
            Section(self, self.source),
            Section(self, self._mode_row(), self.wish, self.types),
            Section(self, self.matrix, self.fold, self.options),
        ]
        self._lay_out()
        self._connect()
        self._retranslate()

    # ------------------------------------------------------------------ building

    def _lay_out(self) -> None:
        content = QWidget(self)
        column = QVBoxLayout(content)
        column.setContentsMargins(24, 16, 8, 16)
        column.setSpacing(12)
        for section in self._sections:
            column.addWidget(section)
        column.addStretch(1)
        self.area = QScrollArea(self)
        self.area.setWidgetResizable(True)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.area.setWidget(content)
        side = QVBoxLayout()
        side.setContentsMargins(4, 16, 24, 16)
        side.addWidget(self.before)
        side.addStretch(1)
        self.before.setFixedWidth(theme.px(_SIDE))
        row = QHBoxLayout()
        row.setSpacing(0)
        row.addWidget(self.area, 1)
        row.addLayout(side)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addWidget(self.banner)
        whole.addLayout(row, 1)

    def _mode_row(self) -> QWidget:
        holder = QWidget(self)
        row = QHBoxLayout(holder)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        for at in (0, 1):
            button = make_button(partial(self.by_wish, bool(at)), "", holder, compact=True)
            button.setCheckable(True)
            button.setAutoExclusive(True)  # so screen readers call it one of several, not a check box
            self.modes.addButton(button, at)
            row.addWidget(button)
        row.addStretch(1)
        row.addWidget(self.recipe)
        self.modes.button(0).setChecked(True)
        return holder

    def by_wish(self, on: bool) -> None:
        """Say a wish, or tick types."""
        self.modes.button(int(on)).setChecked(True)
        self.wish.setVisible(on)
        self.refresh()

    def measured(self) -> Measured | None:
        """The wish that has to be measured, when one is said."""
        return self.wish.measured() if self.modes.checkedId() == 1 else None

    def _take_plan(self, plan: "WishPlan") -> None:
        self.options.show_overrides(plan.overrides)
        self.types.check(*plan.types)
        if plan.needs_matrix and self.matrix.kind == NONE:
            self.matrix.choose(TEXT)

    def _connect(self) -> None:
        for part in (self.source, self.types, self.matrix, self.options, self.wish):
            part.changed.connect(self.refresh)
        self.wish.found.connect(self._take_plan)
        self.source.more_asked.connect(self.open_bring)
        self.types.wanted.connect(self.refresh)
        self.matrix.failed.connect(lambda error: self.banner.show_error(describe(error)))
        self.forecast.changed.connect(self._show_forecast)
        self.before.start.clicked.connect(self.start)

    # ------------------------------------------------------------------ content

    def show_models(self, records: Sequence[ModelRecord]) -> None:
        """What can be made smaller."""
        self.source.show_models(records)

    def open_bring(self) -> BringDialog:
        """Ask for a source that is not in the library."""
        dialog = BringDialog(self._services, self)
        dialog.started.connect(self.started)
        dialog.open()
        return dialog

    def choose(self, model: str) -> None:
        """Begin with this model."""
        self.source.choose(model)

    def draft(self) -> Draft | None:
        """The form; None without a source or while something in it can't be understood."""
        record = self.source.record()
        if record is None or self.options.problem():
            return None
        text = self.matrix.text.text() if self.matrix.kind == TEXT else None
        finished = self.matrix.file if self.matrix.kind == FILE else ""
        chunks = int(self.matrix.amount.currentData()) if text is not None else 0
        return Draft(record, self.types.types(), self.options.options(), finished, text, chunks)

    def refresh(self) -> None:
        """The form has changed: tell what it will take."""
        draft, measured = self.draft(), self.measured()
        self.wish.show_source(self.source.record(), matrix=self.matrix.kind != NONE)
        self.types.setVisible(measured is None)
        self.types.show_sizes({})
        self._show_problem()
        if measured is not None and draft is not None:
            self.forecast.ask(with_types(draft, ()), (), measured.wish)
        else:
            self.forecast.ask(draft, self.types.listed())

    def _show_problem(self) -> None:
        problem = self.options.problem()
        draft = self.draft()
        if problem or (problem := self._refused()):
            self.before.show_problem(problem)
        elif (
            draft is not None and draft.text is not None and not draft.text.path and draft.text.key == "file"
        ):
            self.before.show_problem(self.tr("Choose a text file for the matrix."))
        elif draft is not None and (needy := self._needy(draft)):
            text = self.tr("{types} can't be made without an importance matrix.")
            self.before.show_problem(
                text.format(types=", ".join(needy)), self.tr("Compute one"), self._give_matrix
            )
        else:
            self.before.show_problem("")

    def _refused(self) -> str:
        """Why a dry run would not begin with these options: a pattern, for one, that stands for no tensor."""
        error = self.forecast.error
        return describe(error).sentence if isinstance(error, LabRefusedError) else ""

    def _needy(self, draft: Draft) -> list[str]:
        if draft.matrix or draft.text is not None or self.measured() is not None:
            return []
        sizes = self.forecast.sizes
        return [
            kind
            for kind in draft.types
            if (sizes[kind].needs_matrix if kind in sizes else kind in NEED_MATRIX)
        ]

    def _give_matrix(self) -> None:
        self.matrix.choose(TEXT)

    def _show_forecast(self) -> None:
        self.types.show_sizes(self.forecast.sizes)
        self._show_problem()
        if self.forecast.error is not None and not self._refused():
            self.banner.show_error(describe(self.forecast.error))
        elif not self.banner.isHidden() and self.banner.property("tone") == "bad":
            self.banner.hide()
        measured = self.measured()
        if measured is not None:
            self.before.show_wish(self.forecast.cost, self.forecast.busy)
            return
        self.before.show_cost(self.forecast.cost, len(self.types.types()), self.forecast.busy)
        self.before.show_fallbacks(
            {kind: s.fallbacks for kind, s in self.forecast.sizes.items() if kind in self.types.model.checked}
        )

    def start(self) -> None:
        """Put a job for each type into the queue."""
        draft, measured, services = self.draft(), self.measured(), self._services
        if draft is None or not (draft.types or measured):
            return
        self.before.start.setEnabled(False)

        def done(_items: Any) -> None:
            self.started.emit()
            self.refresh()

        def failed(error: Exception) -> None:
            self.banner.show_error(describe(error))
            self.refresh()

        def work() -> object:
            if measured is None:
                return services.lab.submit(*orders_of(draft, services))
            return services.lab.submit(
                wish_order(draft, measured.wish, measured.value, measured.text, services)
            )

        tasks.run(work, done, failed, self)

    def _fold(self) -> None:
        self.options.setVisible(self.options.isHidden())
        self._name_fold()

    def _name_fold(self) -> None:
        shown = not self.options.isHidden()
        self.fold.setText(self.tr("Fewer options") if shown else self.tr("More options"))

    # ------------------------------------------------------------------ words

    def _retranslate(self) -> None:
        titles = (self.tr("What to make smaller"), self.tr("Into which types"), self.tr("Importance matrix"))
        for section, title in zip(self._sections, titles, strict=True):
            section.heading.setText(title)
        self.modes.button(0).setText(self.tr("Types"))
        self.modes.button(1).setText(self.tr("By wish"))
        self.recipe.setText(self.tr("From a recipe…"))
        self.recipe.setToolTip(self.tr("The same bytes again, as a .recipe.json beside a quant says"))
        self._name_fold()

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self.matrix.retranslate()
            self._retranslate()
            if self.forecast.cost is not None:
                self._show_forecast()
        super().changeEvent(event)
