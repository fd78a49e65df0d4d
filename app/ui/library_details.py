"""The details of the selected model, beside the table: what it is, how it runs, notes, and what can be done with it."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QSize, Qt, QTimer, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.core.types import ModelRecord
from app.optimize.recipes import recipe_path
from app.ui import tasks, words
from app.ui.errors import describe
from app.ui.library_care_box import CareBox
from app.ui.library_facts import facts, mix
from app.ui.library_parts import FactGrid, MixPicture
from app.ui.library_rows import Row, States, reason, shown_name
from app.ui.profiles_box import ProfilesBox
from app.ui.widgets import Elided, Hairline, IconButton, make_button, make_label

if TYPE_CHECKING:
    from app.compose import Services

_SETTLE_MS = 600
WIDTH, NARROW = 340, 290
"""Of the details, and in a page that is not WIDE."""
WIDE = 900


class LibraryDetails(QScrollArea):
    """``asked`` names an action of the page: load, unload, chat, reveal, hub, delete, rename, file, recipe."""

    asked = Signal(str)
    failed = Signal(object)

    def __init__(self, services: "Services", states: States, parent: QWidget) -> None:
        super().__init__(parent)
        self._services, self._states = services, states
        self._row: Row | None = None
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumWidth(260)
        self._card = QFrame(self)
        self._card.setProperty("role", "card")
        self.setWidget(self._card)
        self._make_head()
        self._make_notes()
        self.grid, self.mix = FactGrid(self._card), MixPicture(self._card)
        self.file = make_button(lambda: self.asked.emit("file"), "link", self._card, compact=True)
        self.recipe = make_button(lambda: self.asked.emit("recipe"), "link", self._card, compact=True)
        self.recipe.hide()
        self.profiles = ProfilesBox(services, self._card)
        self.care = CareBox(services, self._card)
        self.copies = make_label("secondary", self._card, wrap=True)
        self._headings = [make_label("secondary", self._card) for _ in range(3)]
        self._lay_out()
        self.retranslate()

    def sizeHint(self) -> QSize:
        return QSize(WIDTH, 400)

    # ------------------------------------------------------------------ building

    def _make_head(self) -> None:
        card = self._card
        self.name = make_label("heading", card, wrap=True)
        self.identity = Elided("text-2", card, middle=True)
        self.problem = make_label("bad", card, wrap=True)
        self.live = QLabel(card)
        self.live.setTextFormat(Qt.TextFormat.PlainText)
        self.live.setWordWrap(True)
        self.keep = QCheckBox(card)
        self.keep.toggled.connect(self._pin)
        self.load = make_button(lambda: self.asked.emit("load"), "primary", card)
        self.chat = make_button(lambda: self.asked.emit("chat"), "primary", card)
        self.unload = make_button(lambda: self.asked.emit("unload"), "", card)
        self.star = IconButton("star", self.toggle_star, card)
        self.show_file = IconButton("folder", lambda: self.asked.emit("reveal"), card)
        self.page = IconButton("external", lambda: self.asked.emit("hub"), card)
        self.delete = IconButton("trash", lambda: self.asked.emit("delete"), card)

    def _make_notes(self) -> None:
        self.tags, self.notes = QLineEdit(self._card), QPlainTextEdit(self._card)
        self.tags.editingFinished.connect(self._save_tags)
        self.notes.setProperty("role", "field")
        self.notes.setTabChangesFocus(True)
        self.notes.setFixedHeight(76)
        self._settle = QTimer(self, singleShot=True, interval=_SETTLE_MS)
        self._settle.timeout.connect(self.flush)
        self.notes.textChanged.connect(self._settle.start)

    def _lay_out(self) -> None:
        column = QVBoxLayout(self._card)
        column.setContentsMargins(16, 12, 16, 16)
        column.setSpacing(8)
        top = QHBoxLayout()
        top.setSpacing(2)
        top.addWidget(self.name, 1, Qt.AlignmentFlag.AlignTop)
        for button in (self.star, self.show_file, self.page, self.delete):
            top.addWidget(button, 0, Qt.AlignmentFlag.AlignTop)
        actions = QHBoxLayout()
        actions.setSpacing(8)
        for widget in (self.load, self.chat, self.unload):
            actions.addWidget(widget)
        actions.addStretch(1)
        column.addLayout(top)
        for line in (self.identity, self.problem, self.live):
            column.addWidget(line)
        column.addLayout(actions)
        column.addWidget(self.keep)
        self._profiles_line = self._add_section(column, self._headings[1], [self.profiles])
        self._add_section(column, None, [self.grid])
        self._mix_line = self._add_section(column, self._headings[0], [self.mix, self.file, self.recipe])
        self._add_section(column, self._headings[2], [self.tags, self.notes])
        self._add_section(column, None, [self.care, self.copies])
        column.addStretch(1)

    def _add_section(self, column: QVBoxLayout, heading: QLabel | None, widgets: list[QWidget]) -> Hairline:
        line = Hairline(self._card)
        column.addWidget(line)
        for widget in ([heading] if heading else []) + widgets:
            if widget in {self.file, self.recipe}:
                column.addWidget(widget, 0, Qt.AlignmentFlag.AlignLeft)
            else:
                column.addWidget(widget)
        return line

    # ------------------------------------------------------------------ content

    @property
    def record(self) -> ModelRecord | None:
        """The model that is shown."""
        return self._row.record if self._row else None

    def show_row(self, row: Row | None) -> None:
        """Show a model; None shows nothing."""
        if row is None or self._row is None or row.id != self._row.id:
            self.flush()
            self.verticalScrollBar().setValue(0)
        before, self._row = self._row, row
        self._card.setVisible(row is not None)
        if row is None:
            return
        if row != before:
            self._show_facts(row)
            self._show_notes(row, before)
        self.show_state()

    def _show_facts(self, row: Row) -> None:
        record = row.record
        self.name.setText(shown_name(record))
        self.identity.setText(record.id)
        self.grid.show_facts(facts(record))
        parts = mix(record)
        self.mix.show_parts(parts)
        self._mix_line.setVisible(bool(parts))
        self._headings[0].setVisible(bool(parts))
        self.file.setVisible(bool(parts))
        self.page.setVisible(record.source is not None)
        self._show_star(row.facts.favourite)
        for widget in (self._profiles_line, self._headings[1], self.profiles):
            widget.setVisible(row.runs)
        if row.runs:
            self.profiles.show_model(record.id)
        self.care.show_row(row)
        self._find_copies(record.id)
        self._find_recipe(record)

    def _show_notes(self, row: Row, before: Row | None) -> None:
        """Show what was noted, unless something newer is being typed."""
        same = before is not None and before.id == row.id
        if not same or (before is not None and before.facts.tags != row.facts.tags):
            self.tags.setText(", ".join(row.facts.tags))
        typed = same and (self._settle.isActive() or before is None or before.facts.notes == row.facts.notes)
        if not typed and self.notes.toPlainText() != row.facts.notes:
            self.notes.blockSignals(True)
            self.notes.setPlainText(row.facts.notes)
            self.notes.blockSignals(False)

    def _find_copies(self, model: str) -> None:
        def show(found: tuple[str, ...]) -> None:
            paths = [name for name in found if "/" in name or "\\" in name]
            text = self.tr("The same bytes also lie here:") + "\n" + "\n".join(paths)
            self.copies.setVisible(bool(paths) and self._row is not None and self._row.id == model)
            self.copies.setText(text)

        self.copies.hide()
        tasks.run(lambda: self._services.library.copies(model), show, lambda _error: None, self)

    def _find_recipe(self, record: ModelRecord) -> None:
        def show(there: bool) -> None:
            self.recipe.setVisible(there and self._row is not None and self._row.id == record.id)

        self.recipe.hide()
        beside = recipe_path(Path(record.path))
        tasks.run(beside.is_file, show, lambda _error: None, self)

    def show_state(self) -> None:
        """What can be done follows what the engine does."""
        row = self._row
        if row is None:
            return
        live, state = self._states.live(row), self._states.of(row)
        self.load.setVisible(row.runs and not live)
        if not live and self.unload.hasFocus():  # Qt would go on to the star
            self.load.setFocus()
        self.unload.setVisible(live)
        self.chat.setVisible(live and row.runs)
        self.problem.setText(self._problem(row))
        self.problem.setVisible(bool(self.problem.text()))
        self.live.setText(self._live_words(row) if live else "")
        self.live.setVisible(live)
        self.keep.setVisible(state == "ready")
        self.keep.blockSignals(True)
        self.keep.setChecked(self._services.residency.pinned(row.id))
        self.keep.blockSignals(False)
        foreign = row.facts.place == "ollama"
        self.delete.setEnabled(not live and not foreign)
        why = self.tr("It belongs to Ollama, which must remove it.") if foreign else self.tr("Delete…")
        self.delete.set_words(self.tr("Unload it first.") if live else why)

    def _problem(self, row: Row) -> str:
        if row.damaged:
            return reason(row)
        instance = self._states.instances.get(row.id)
        failed = instance is not None and instance.state == "failed" and instance.error is not None
        return describe(instance.error).sentence if failed and instance and instance.error else ""

    def _live_words(self, row: Row) -> str:
        instance = self._states.instances.get(row.id)
        if instance is None or instance.state != "ready":
            return self._states.words(row)
        held = [f"{device.device} {words.memory(device.total)}" for device in instance.memory if device.total]
        context = self.tr("{count} context").format(count=words.tokens(instance.n_ctx))
        return "  ·  ".join([self._states.words(row), self._states.idle(instance), context, *held])

    # ------------------------------------------------------------------ noting

    def _annotate(self, **changes: object) -> None:
        if self._row is None:
            return
        library, model = self._services.library, self._row.id
        note = partial(library.annotate, model, **changes)  # type: ignore[arg-type]
        tasks.run(note, None, self.failed.emit, self, order=library)

    def toggle_star(self) -> None:
        """A favourite, or none any more."""
        if self._row is not None:
            self._show_star(not self._starred)  # at once: a second click means what it shows then
            self._annotate(favourite=self._starred)

    def _show_star(self, on: bool) -> None:
        self._starred = on
        self.star.show_icon("star-full" if on else "star", "accent" if on else "text-2")

    def _save_tags(self) -> None:
        parts = [part.strip().lstrip("#") for part in self.tags.text().split(",")]
        tags = tuple(dict.fromkeys(part for part in parts if part))
        if self._row is not None and tags != self._row.facts.tags:
            self._annotate(tags=tags)

    def flush(self) -> None:
        """Keep notes that have not settled yet."""
        self._settle.stop()
        if self._row is not None and self.notes.toPlainText() != self._row.facts.notes:
            self._annotate(notes=self.notes.toPlainText())

    def _pin(self, on: bool) -> None:
        if self._row is not None:
            self._services.residency.pin(self._row.id, on)
            self.show_state()

    # ------------------------------------------------------------------ words

    def retranslate(self) -> None:
        """Put every text in place again."""
        self.load.setText(self.tr("Load…"))
        self.unload.setText(self.tr("Unload"))
        self.chat.setText(self.tr("Chat"))
        self.keep.setText(self.tr("Keep loaded"))
        self.keep.setToolTip(self.tr("Neither idle time nor another model unloads it."))
        self.star.set_words(self.tr("Favourite"))
        self.show_file.set_words(self.tr("Show file"))
        self.page.set_words(self.tr("Page on the Hub"))
        self.file.setText(self.tr("Tensors, template and all keys…"))
        self.recipe.setText(self.tr("How it was made…"))
        self.recipe.setToolTip(self.tr("Its recipe, and the same bytes again"))
        titles = (self.tr("Bytes by tensor type"), self.tr("Profiles"), self.tr("Tags and notes"))
        for label, title in zip(self._headings, titles, strict=True):
            label.setText(title)
        self.mix.bar.setAccessibleName(titles[0])
        self.tags.setPlaceholderText(self.tr("Tags, separated by commas"))
        self.tags.setAccessibleName(self.tr("Tags"))
        self.notes.setPlaceholderText(self.tr("Notes"))
        self.notes.setAccessibleName(self.tr("Notes"))
        if self._row is not None:
            self._show_facts(self._row)
            self.show_state()

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self.retranslate()
        super().changeEvent(event)
