"""How a quant was made, and the button that makes the same bytes again."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from PySide6.QtCore import QCoreApplication, QEvent, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog, QGridLayout, QWidget

from app.optimize.orders import RepeatOrder
from app.optimize.recipes import Ingredients, Recipe, find_ingredients, read_recipe
from app.ui import tasks, theme, words
from app.ui.dialogs.base import Dialog
from app.ui.errors import describe
from app.ui.figures import DASH
from app.ui.lab_draft import free_target
from app.ui.library_parts import FactGrid
from app.ui.widgets import Elided, Hairline, make_button, make_label, set_property

if TYPE_CHECKING:
    from app.compose import Services
    from app.ui.library_facts import Fact

translate = QCoreApplication.translate
_MOST = 6
"""Lines of single tensors that are shown; all of them stand in the tooltip."""


def facts(recipe: Recipe) -> list["Fact"]:
    """What decided the bytes, in words; what was left as the type has it is left out."""
    note = words.quant_note(recipe.type)
    matrix = recipe.matrix or translate("Lab", "none")
    found = [
        (translate("Lab", "Source"), recipe.source, ""),
        ("SHA-256", recipe.source_sha256, ""),
        (translate("Lab", "Type"), f"{recipe.type}: {note}" if note else recipe.type, ""),
        *_options(recipe),
        (translate("Lab", "Matrix"), matrix, ""),
    ]
    if recipe.matrix_sha256:
        found.append(("SHA-256", recipe.matrix_sha256, ""))
    commit = f", llama.cpp {recipe.commit}" if recipe.commit else ""
    found.append((translate("Lab", "Engine"), f"{recipe.engine or DASH}{commit}", ""))
    return [*found, (translate("Lab", "Result's SHA-256"), recipe.result_sha256, "")]


def _options(recipe: Recipe) -> list["Fact"]:
    lines = [f"{pattern} = {kind}" for pattern, kind in recipe.overrides]
    shown = "\n".join([*lines[:_MOST], *(["…"] if len(lines) > _MOST else [])])
    layers = ", ".join(map(str, recipe.prune))
    pure = translate("Lab", "yes") if recipe.pure else ""
    rows = (
        (translate("Lab", "Single tensors"), shown, "\n".join(lines)),
        (translate("Lab", "Token embedding"), recipe.embedding, ""),
        (translate("Lab", "Output"), recipe.output, ""),
        (translate("Lab", "Pure"), pure, ""),
        (translate("Lab", "Layers left out"), layers, ""),
    )
    return [row for row in rows if row[1]]


class FileRow:
    """A file that the recipe needs: its path, or that none was found, and a button to choose it."""

    def __init__(self, dialog: "RecipeDialog", name: str) -> None:
        self.name, self.path = name, ""
        self.title = make_label(parent=dialog)
        self.file = Elided("text-2", dialog, middle=True)
        self.choose = make_button(partial(dialog.choose, self), "", dialog, compact=True)

    def take(self, path: str) -> None:
        """Use this file."""
        self.path = path
        missing = translate("Lab", "{name} was not found here: choose the file.").format(name=self.name)
        self.file.setText(path or missing)


class RecipeDialog(Dialog):
    """``started`` after the job was put into the queue. ``path``: a recipe, or the quant beside which one lies;
    ``why``: reasons in words, where a wish chose the types."""

    started = Signal()

    def __init__(self, path: Path, services: "Services", parent: QWidget | None, why: str = "") -> None:
        super().__init__("", parent)
        self._path, self._services = path, services
        self.recipe: Recipe | None = None
        self.setMinimumWidth(theme.px(700))
        self.what = make_label("secondary", self, wrap=True)
        self.grid = FactGrid(self)
        self.why = make_label("secondary", self, wrap=True)
        self.why.setText(why)
        self.why.setVisible(bool(why))
        self.source, self.matrix = FileRow(self, ""), FileRow(self, "")
        self.note = make_label("secondary", self, wrap=True)
        self.copy = make_button(self._copy, "", self)
        self.close_ = make_button(self.reject, "", self)
        self.again = make_button(self._start, "primary", self)
        self.again.setDefault(True)
        self._lay_out()
        self._retranslate()
        self._enable()
        tasks.run(partial(_read, path, services), self._show, self._failed, self)

    def _lay_out(self) -> None:
        self._files = QGridLayout()
        self._files.setHorizontalSpacing(12)
        self._files.setVerticalSpacing(8)
        self._files.setColumnStretch(1, 1)
        for at, row in enumerate((self.source, self.matrix)):
            for column, widget in enumerate((row.title, row.file, row.choose)):
                self._files.addWidget(widget, at, column)
        self.body.addWidget(self.what)
        self.body.addWidget(self.grid)
        self.body.addWidget(self.why)
        self.body.addWidget(Hairline(self))
        self.body.addLayout(self._files)
        self.body.addWidget(self.note)
        for button in (self.copy, self.close_, self.again):
            self.buttons.addWidget(button)

    # ------------------------------------------------------------------ content

    def _show(self, found: tuple[Recipe, Ingredients]) -> None:
        self.recipe, here = found
        self.source.name, self.matrix.name = self.recipe.source, self.recipe.matrix
        self.source.take(here.source)
        self.matrix.take(here.matrix)
        self._retranslate()
        self._enable()
        self.adjustSize()
        self.again.setFocus()

    def choose(self, row: FileRow) -> None:
        """Ask for the file of a row."""
        path, _ = QFileDialog.getOpenFileName(
            self, row.title.text(), str(Path.home()), self.tr("GGUF files (*.gguf);;All files (*)")
        )
        if path:
            row.take(path)
            self._enable()

    def order(self) -> RepeatOrder | None:
        """What is asked for (pool thread); None while a file is missing."""
        recipe, source, matrix = self.recipe, self.source.path, self.matrix.path
        if recipe is None or not source or (recipe.matrix_sha256 and not matrix):
            return None
        target = free_target(self._services.paths.models / "lab", Path(source), recipe.type, set())
        used = matrix if recipe.matrix_sha256 else ""
        return RepeatOrder(recipe=recipe, source=source, target=str(target), matrix=used)

    def _enable(self) -> None:
        recipe = self.recipe
        for row, needed in (
            (self.source, recipe is not None),
            (self.matrix, recipe is not None and bool(recipe.matrix_sha256)),
        ):
            for widget in (row.title, row.file, row.choose):
                widget.setVisible(needed)
        self.copy.setEnabled(recipe is not None)
        missing = recipe is not None and bool(recipe.matrix_sha256) and not self.matrix.path
        self.again.setEnabled(recipe is not None and bool(self.source.path) and not missing)

    def _copy(self) -> None:
        if self.recipe is not None:
            text = msgspec.json.format(msgspec.json.encode(self.recipe)).decode()
            QGuiApplication.clipboard().setText(text)

    def _start(self) -> None:
        services = self._services
        self.again.setEnabled(False)

        def work() -> None:
            order = self.order()
            if order is not None:
                services.lab.submit(order)

        def done(_none: object) -> None:
            self.started.emit()
            self.accept()

        tasks.run(work, done, self._failed, self)

    def _failed(self, error: Exception) -> None:
        self.note.setText(describe(error).sentence)
        set_property(self.note, "role", "bad")
        self._enable()

    # ------------------------------------------------------------------ words

    def _retranslate(self) -> None:
        self.title.setText(self.tr("How it was made"))
        self.setWindowTitle(self.title.text())
        self.what.setText(
            self.tr("{file}: the same source, options and matrix give the same bytes.").format(
                file=self._path.name
            )
        )
        self.source.title.setText(self.tr("Source"))
        self.matrix.title.setText(self.tr("Matrix"))
        for row in (self.source, self.matrix):
            row.choose.setText(self.tr("Choose…"))
            row.choose.setAccessibleName(f"{row.title.text()}: {row.choose.text()}")
            row.take(row.path)
        if self.recipe is not None:
            self.grid.show_facts(facts(self.recipe))
            self._explain(self.recipe)
            self.grow()
        self.copy.setText(self.tr("Copy the recipe"))
        self.close_.setText(self.tr("Close"))
        self.again.setText(self.tr("Make it again from the recipe"))

    def _explain(self, recipe: Recipe) -> None:
        from app.optimize.work import engine_name  # noqa: PLC0415 - the dialog is rarely opened

        text = self.tr("The result is compared with the recipe's SHA-256; a file that is there stays.")
        if recipe.engine and recipe.engine != engine_name():
            other = self.tr("It was made with {engine}, this is {own}: another engine can make other bytes.")
            text = other.format(engine=recipe.engine, own=engine_name()) + " " + text
        self.note.setText(text)

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
        super().changeEvent(event)


def _read(path: Path, services: "Services") -> tuple[Recipe, Ingredients]:
    """The recipe, and which of its files are here (pool thread). Raises BadRequestError."""
    recipe = read_recipe(path)
    return recipe, find_ingredients(recipe, services.library.records(), services.paths.data / "lab")
