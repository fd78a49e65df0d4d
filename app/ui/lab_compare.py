"""What was lost: a table, the picture and plain words for one text and one reference; exported, and beside the card of
another copy of the program."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QResizeEvent, QShowEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QMenu,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from app.core.types import ModelRecord
from app.optimize.cards import RunCard, compare
from app.optimize.orders import LabItem, MeasureOrder, Point
from app.ui import tasks, theme, words
from app.ui.bridge import Bridge
from app.ui.empty_state import EmptyState
from app.ui.errors import describe
from app.ui.figures import DASH
from app.ui.lab_cards import (
    forget_cards,
    kept_cards,
    measurements,
    save_picture,
    take_card,
    write_card,
    write_table,
)
from app.ui.lab_columns import Line, LossTable, arranged, columns, dot_of
from app.ui.lab_measure import MeasureDialog
from app.ui.lab_plot import Dot, LabPlot
from app.ui.lab_repo import RepoChoice
from app.ui.lab_words import (
    Group,
    groups,
    in_group,
    is_reference,
    published,
    published_words,
    sentence,
)
from app.ui.table_model import TableModel
from app.ui.widgets import Banner, make_button, make_label

if TYPE_CHECKING:
    from app.compose import Services

_MOST, _TEXT = 5, 560
Found = tuple[tuple[Point, ...], list[RunCard]]


class CompareQuants(QWidget):
    """``asked`` passes on what the window is asked for; ``started`` after a job was put into the queue."""

    asked = Signal(str, object)
    started = Signal()

    def __init__(self, services: "Services", bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._records: list[ModelRecord] = []
        self._points: tuple[Point, ...] = ()
        self._cards, self._seen = list[RunCard](), ("", "", 0)
        self._wanted: tuple[object, ...] = ()
        self.group = QComboBox(self)
        self.measure = make_button(self.open_dialog, "primary", self, compact=True)
        self.share = QPushButton(self)
        self.share.setProperty("compact", True)
        self.menu = QMenu(self)
        self.share.setMenu(self.menu)
        self.published = QCheckBox(self)
        self.published.setChecked(True)
        self.model: TableModel[Line] = TableModel(columns(), lambda line: line.key, self)
        self.table = LossTable(self.model, self)
        self.plot, self.plain = LabPlot(self), make_label(parent=self, wrap=True)
        self.against = make_label("secondary", self, wrap=True)
        self.plain_title = make_label("heading", self)
        self.banner, self.empty = Banner(self), EmptyState(self)
        self._lay_out()
        self._connect()
        bridge.on(LabItem, self._on_item, self)
        self._retranslate()
        self.read()

    # ------------------------------------------------------------------ building

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.setSpacing(8)
        self.group.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        top.addWidget(self.group, 1)
        for widget in (self.published, self.share, self.measure):
            top.addWidget(widget)
        picture = QHBoxLayout()
        picture.setSpacing(12)
        picture.addWidget(self._card(self.plot), 5)
        picture.addWidget(self._card(self.plain_title, self._scrolled()), 3)
        content = QWidget(self)
        column = QVBoxLayout(content)
        column.setContentsMargins(24, 12, 24, 8)
        column.setSpacing(10)
        column.addLayout(top)
        column.addWidget(self.table)
        column.addLayout(picture, 1)
        self.stack = QStackedWidget(self)
        self.stack.addWidget(self._area(content))
        self.stack.addWidget(self.empty)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(self.banner)
        whole.addWidget(self.stack, 1)

    def _scrolled(self) -> QScrollArea:
        holder = QWidget(self)
        column = QVBoxLayout(holder)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(self.plain)
        column.addWidget(self.against)
        column.addStretch(1)
        return self._area(holder)

    def _area(self, inner: QWidget) -> QScrollArea:
        area = QScrollArea(self)
        area.setWidgetResizable(True)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        area.setWidget(inner)
        for widget in (area.viewport(), inner):
            widget.setAutoFillBackground(False)
        return area

    def _card(self, *parts: QWidget) -> QFrame:
        card = QFrame(self)
        card.setProperty("role", "card")
        column = QVBoxLayout(card)
        column.setContentsMargins(12, 8, 12, 8)
        for part in parts:
            column.addWidget(part, 0 if part is self.plain_title else 1)
        return card

    def _connect(self) -> None:
        self.group.activated.connect(lambda _at: self._show_group())
        self.published.toggled.connect(lambda _on: self._show_group())
        self.plot.chosen.connect(self.table.select)
        self.empty.primary.connect(self.open_dialog)
        self.empty.secondary.connect(self._ask_import)
        self.table.sortByColumn(-1, Qt.SortOrder.AscendingOrder)  # as the lines come
        self.table.doubleClicked.connect(lambda _index: self._open_model())

    # ------------------------------------------------------------------ content

    def show_models(self, records: Sequence[ModelRecord]) -> None:
        """What can be measured."""
        self._records = list(records)

    def has(self, model: str) -> bool:
        """Whether a model (by id) can be measured."""
        return any(record.id == model for record in self._records)

    def open_dialog(self, model: str = "", repo: RepoChoice | None = None) -> MeasureDialog:
        """Ask what to measure: of the library, or of a repository, which is downloaded as part of the job."""
        dialog = MeasureDialog(repo.records if repo else self._records, self._services, self, repo)
        if model:
            dialog.choose(model)
        dialog.started.connect(self.started)
        dialog.open()
        return dialog

    def _on_item(self, item: LabItem) -> None:
        if isinstance(item.order, MeasureOrder) and (item.id, item.state, item.step) != self._seen:
            self._seen = (item.id, item.state, item.step)
            self.read()

    def read(self, *, news: bool = False) -> None:
        """Look at what was measured again; with ``news`` what is selected stays where there is nothing new."""
        services = self._services

        def done(found: Found) -> None:
            if not news or found != (self._points, self._cards):
                self._show(found)

        tasks.run(lambda: (measurements(services).all(), kept_cards(services)), done, self._failed, self)

    def showEvent(self, event: QShowEvent) -> None:
        """The command line may have measured meanwhile."""
        super().showEvent(event)
        self.read(news=True)

    def _show(self, found: Found) -> None:
        self._points, self._cards = found
        known = groups([*self._points, *(point for card in self._cards for point in card.points)])
        before = self.group.currentData()
        wanted, self._wanted = self._wanted or (before.key if before else ()), ()
        self.group.clear()
        for group in known:
            self.group.addItem(group.words, group)
        at = next((at for at, group in enumerate(known) if group.key == wanted), 0)
        self.group.setCurrentIndex(at)
        self.stack.setCurrentIndex(0 if known else 1)
        self._show_group()

    def lines(self) -> list[Line]:
        """The table's rows."""
        group = self.group.currentData()
        if not isinstance(group, Group):
            return []
        found = [Line(point) for point in in_group(self._points, group)]
        for card in self._cards:
            found += [
                Line(point, card.hardware.cpu or card.program) for point in in_group(card.points, group)
            ]
        return arranged(found)

    def _show_group(self) -> None:
        lines = self.lines()
        self.model.set_rows([])
        self.model.set_rows(lines)
        header = self.table.horizontalHeader().sizeHint().height()
        high = self.table.verticalHeader().defaultSectionSize()
        self.table.setFixedHeight(header + min(_MOST, max(1, len(lines))) * high + 4)
        ours = [line for line in lines if not line.source]
        self.plain.setText("\n".join(sentence(line.point, line.label) for line in ours))
        self.against.setText(self._beside())
        self._show_plot(lines)

    def _show_plot(self, lines: Sequence[Line]) -> None:
        dots = [dot for line in lines if (dot := dot_of(line)) is not None]
        noises = [line.point.figures.get("noise") for line in lines]
        itself = [line.point.figures.get("kl") for line in lines if is_reference(line.point)]
        floor = next((noise for noise in (*noises, *itself) if noise), None)
        weights = next((p.point.bytes * 8 / p.point.bits for p in lines if p.point.bits), None)
        source = ""
        if self.published.isChecked() and weights and dots:
            table = published()
            source = table.model
            wanted = [
                each for each in table.points if each.matrix or each.quant in {"Q8_0", "Q6_K", "Q5_K_M"}
            ]
            dots += [Dot(e.quant, e.bits * weights / 8, e.kl, e.kl_error, published=True) for e in wanted]
        self.plot.show_dots(dots, source, floor)
        self.published.setToolTip(published_words())

    def _beside(self) -> str:
        """What an imported card says beside ours."""
        group = self.group.currentData()
        if not isinstance(group, Group):
            return ""
        said = []
        for card in self._cards:
            both = compare(in_group(self._points, group), in_group(card.points, group))
            gaps = [
                abs(gap) for each in both if each.same_file and (gap := each.difference("kl")) is not None
            ]
            if gaps:
                text = self.tr(
                    "{machine}: %n file(s) the same as here; their KL differs by {gap} at most.",
                    "",
                    len(gaps),
                )
                said.append(
                    text.format(machine=card.hardware.cpu or card.program, gap=words.number(max(gaps), 5))
                )
            elif any(each.theirs for each in both):
                text = self.tr("{machine}: other files than here.")
                said.append(text.format(machine=card.hardware.cpu or card.program))
        return "\n".join(said)

    def _open_model(self) -> None:
        line = self.table.current()
        if line is None or line.source:
            return
        record = next((r for r in self._records if r.path == line.point.path), None)
        if record is not None:
            self.asked.emit("library", record.id)

    # ------------------------------------------------------------------ export and import

    def _fill_menu(self) -> None:
        self.menu.clear()
        self.menu.addAction(self.tr("Picture (PNG)…"), lambda: self._ask_export("png"))
        self.menu.addAction(self.tr("Table (CSV)…"), lambda: self._ask_export("csv"))
        self.menu.addAction(self.tr("Run card…"), lambda: self._ask_export("json"))
        self.menu.addSeparator()
        self.menu.addAction(self.tr("Import a run card…"), self._ask_import)
        self.menu.addAction(self.tr("Forget imported cards"), self._forget)
        self.menu.addAction(self.tr("Forget the selected measurement"), self._forget_selected)

    def _ask_export(self, kind: str) -> None:
        names = {
            "png": self.tr("Picture (*.png)"),
            "csv": self.tr("Table (*.csv)"),
            "json": self.tr("Run card (*.json)"),
        }
        start = str(Path.home() / f"hearth-comparison.{kind}")
        path, _ = QFileDialog.getSaveFileName(self, self.tr("Export"), start, names[kind])
        if path:
            self.export_to(Path(path))

    def export_to(self, path: Path) -> None:
        """Write what is shown: a picture, a table or a run card, by the name's ending."""
        points = [line.point for line in self.lines() if not line.source]
        services = self._services
        if path.suffix == ".png":
            image = self.plot.picture()
            work: Callable[[], object] = lambda: save_picture(image, path)  # noqa: E731
        elif path.suffix == ".csv":
            work = lambda: write_table(points, path)  # noqa: E731
        else:
            work = lambda: write_card(services, points, path)  # noqa: E731

        def done(_none: object) -> None:
            self.banner.show_words(self.tr("Written to {path}.").format(path=path), "good")

        tasks.run(work, done, self._failed, self)

    def _ask_import(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self, self.tr("Import a run card"), str(Path.home()), self.tr("Run card (*.json)")
        )
        if path:
            self.import_from(Path(path))

    def import_from(self, path: Path) -> None:
        """Take in another copy's card and show it beside ours."""
        services = self._services

        def done(card: RunCard) -> None:
            text = self.tr("%n measurement(s) of another copy, made with {engine}.", "", len(card.points))
            self.banner.show_words(text.format(engine=card.engine or card.program or DASH), "good")
            now = self.group.currentData()
            if card.points and not (now and in_group(card.points, now)):
                self._wanted = groups(card.points)[0].key  # else it would look as if nothing had come
            self.read()

        tasks.run(lambda: take_card(services, path), done, self._failed, self)

    def _forget(self) -> None:
        services = self._services
        tasks.run(lambda: forget_cards(services), lambda _none: self.read(), self._failed, self)

    def _forget_selected(self) -> None:
        line, services = self.table.current(), self._services
        if line is not None and not line.source:
            gone = [line.point.key]
            tasks.run(lambda: measurements(services).remove(gone), lambda _: self.read(), self._failed, self)

    def _failed(self, error: Exception) -> None:
        self.banner.show_error(describe(error))

    # ------------------------------------------------------------------ words

    def _retranslate(self) -> None:
        self.group.setAccessibleName(self.tr("Text and reference"))
        self.measure.setText(self.tr("Measure…"))
        self.share.setText(self.tr("Export and import"))
        self.published.setText(self.tr("Published values"))
        self.plain_title.setText(self.tr("In plain words"))
        self.table.setAccessibleName(self.tr("What was measured"))
        self.plot.setAccessibleName(self.tr("Size, divergence and speed"))
        self.empty.show_state(
            self.tr("Nothing measured yet"),
            self.tr(
                "A measurement reads a text with the original and with each quant, and tells how often they would go"
                " on differently, how large each one is and how fast it answers here."
            ),
            self.tr("Measure…"),
            self.tr("Import a run card…"),
        )
        self._fill_menu()
        self.model.refresh()
        self.table.fit_columns()
        self.table.yield_to(self.width() - 2 * 24)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.table.yield_to(self.width() - 2 * 24)
        inset = max(24, (self.width() - theme.px(_TEXT)) // 2)
        self.empty.setContentsMargins(inset, 0, inset, 0)

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
            self._show((self._points, self._cards))
        super().changeEvent(event)
