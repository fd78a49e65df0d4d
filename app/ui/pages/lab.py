"""The Lab page: make smaller models, see what they lost, judge two of them blind; the jobs stand below."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QButtonGroup, QFileDialog, QStackedWidget, QWidget

from app.core.events import LibraryChanged
from app.core.types import ModelRecord
from app.ui import tasks, theme
from app.ui.bridge import Bridge
from app.ui.empty_state import EmptyState
from app.ui.errors import describe
from app.ui.lab_blind import BlindView
from app.ui.lab_compare import CompareQuants
from app.ui.lab_jobs import LabJobs
from app.ui.lab_make import MakeView
from app.ui.lab_recipe import RecipeDialog
from app.ui.lab_repo import RepoChoice, look
from app.ui.lab_sources import sources
from app.ui.page import Page
from app.ui.widgets import make_button

if TYPE_CHECKING:
    from app.compose import Services

_TEXT = 560
VIEWS = ("make", "compare", "blind")


class LabPage(Page):
    """Three views and the queue, or what to do when there is no model yet."""

    def __init__(self, services: "Services", bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(services, bridge, parent)
        self._wanted = self._measured = ""
        self._task: tasks.Task[list[ModelRecord]] | None = None
        self.make, self.compare = MakeView(services, self), CompareQuants(services, bridge, self)
        self.blind = BlindView(services, self)
        self.jobs = LabJobs(services, bridge, self)
        self.empty = EmptyState(self)
        self.choice = QButtonGroup(self)
        self.stack, self.views = QStackedWidget(self), QStackedWidget(self)
        self._lay_out()
        self._connect()
        self.retranslate()

    def _lay_out(self) -> None:
        self.header.addSpacing(8)
        for at, view in enumerate((self.make, self.compare, self.blind)):
            self.views.addWidget(view)
            button = make_button(partial(self.show_view, VIEWS[at]), "", self, compact=True)
            button.setCheckable(True)
            button.setAutoExclusive(True)  # so screen readers call it one of several, not a check box
            self.choice.addButton(button, at)
            self.header.addWidget(button)
        self.header.addStretch(1)
        self.choice.button(0).setChecked(True)
        self.stack.addWidget(self.views)
        self.stack.addWidget(self.empty)
        self.body.setContentsMargins(0, 0, 0, 0)
        self.body.setSpacing(0)
        self.body.addWidget(self.stack, 1)
        self.body.addWidget(self.jobs)

    def _connect(self) -> None:
        self.empty.primary.connect(lambda: self.asked.emit("starter", None))
        self.empty.secondary.connect(lambda: self.asked.emit("search", ""))
        self.make.started.connect(self.jobs.sweep)
        self.compare.started.connect(self.jobs.sweep)
        self.jobs.asked.connect(self.asked)
        self.jobs.recipe_asked.connect(lambda path, why: self.open_recipe(Path(path), why))
        self.make.recipe_asked.connect(self.choose_recipe)
        self.compare.asked.connect(self.asked)
        self.jobs.results.connect(partial(self.show_view, "compare"))
        self.bridge.on(LibraryChanged, lambda _event: self.reload(), self)

    # ------------------------------------------------------------------ content

    def entered(self) -> None:
        self.reload()

    def reload(self) -> None:
        """Look at the library again, while the page is seen."""
        if self._task is not None:
            self._task.cancel()
        if self.isVisible():
            services = self.services
            self._task = tasks.run(lambda: sources(services), self._show_models, owner=self)

    def _show_models(self, records: list[ModelRecord]) -> None:
        self.stack.setCurrentWidget(self.views if records else self.empty)
        for button in self.choice.buttons():
            button.setVisible(bool(records))
        self.make.show_models(records)
        self.compare.show_models(records)
        self.blind.show_models(records)
        if self._wanted and self.make.source.choose(self._wanted):
            self._wanted = ""
        self._open_measure()

    def show_view(self, name: str) -> None:
        """make, compare or blind."""
        at = VIEWS.index(name)
        self.choice.button(at).setChecked(True)
        self.views.setCurrentIndex(at)
        self.jobs.set_brief(name != "make")

    def begin_with(self, model: str) -> None:
        """Make something of this model."""
        self._wanted = model
        self.show_view("make")
        if self.make.source.choose(model):
            self._wanted = ""

    def measure(self, model: str) -> None:
        """Ask what to measure, this model ticked."""
        self._measured = model
        self.show_view("compare")
        self._open_measure()

    def show_recipe(self, model: str) -> None:
        """How a model of the library was made, and to make it again."""
        library = self.services.library

        def show(path: Path) -> None:
            self.open_recipe(path)

        tasks.run(lambda: Path(library.get(model).path), show, self._show_failure, self)

    def choose_recipe(self) -> None:
        """A recipe from a file, of this or another copy of the program."""
        path, _ = QFileDialog.getOpenFileName(
            self,
            self.tr("A recipe"),
            str(Path.home()),
            self.tr("Recipes (*.recipe.json *.json);;All files (*)"),
        )
        if path:
            self.open_recipe(Path(path))

    def open_recipe(self, path: Path, why: str = "") -> RecipeDialog:
        """Show a recipe, or the one beside a quant; ``why`` a wish chose it."""
        dialog = RecipeDialog(path, self.services, self, why)
        dialog.started.connect(self.jobs.sweep)
        dialog.started.connect(partial(self.show_view, "make"))
        dialog.open()
        return dialog

    def _show_failure(self, error: Exception) -> None:
        self.make.banner.show_error(describe(error))

    def compare_repo(self, repo: str) -> None:
        """Ask what to measure of a repository: its quants, here or still to be downloaded."""
        services = self.services
        self.show_view("compare")
        self.compare.banner.hide()
        tasks.run(lambda: look(repo, services), self._open_repo, self._no_repo, self)

    def _open_repo(self, found: RepoChoice) -> None:
        if len(found.records) > 1:
            self.compare.open_dialog(repo=found)
            return
        text = self.tr("{repo} has no two quants to compare.")
        self._say_of_repo(lambda: self.compare.banner.show_words(text.format(repo=found.repo), "warn"))

    def _no_repo(self, error: Exception) -> None:
        self._say_of_repo(lambda: self.compare.banner.show_error(describe(error)))

    def _say_of_repo(self, show: Callable[[], None]) -> None:
        """Also while the library is empty."""
        self.stack.setCurrentWidget(self.views)
        show()

    def _open_measure(self) -> None:
        if self._measured and self.compare.has(self._measured):
            self.compare.open_dialog(self._measured)
            self._measured = ""

    # ------------------------------------------------------------------ words

    def retranslate(self) -> None:
        self.title.setText(self.tr("Lab"))
        names = (self.tr("Make a quant"), self.tr("What was lost"), self.tr("Side by side"))
        for button, name in zip(self.choice.buttons(), names, strict=True):
            button.setText(name)
        self.empty.show_state(
            self.tr("Make a model smaller, and know what it lost"),
            self.tr(
                "The lab turns a model of your library into other types, computes importance matrices, and measures"
                " how far each quant is from the original. It needs a model to begin with."
            ),
            self.tr("Get a small model to start with"),
            self.tr("Search for a model"),
        )

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        inset = max(24, (self.width() - theme.px(_TEXT)) // 2)
        self.empty.setContentsMargins(inset, 0, inset, 0)

    def focus(self) -> None:
        first = self.make.source.box if self.stack.currentWidget() is self.views else self.empty.button
        first.setFocus()
