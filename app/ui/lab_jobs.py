"""The lab's jobs as a table: progress by tensor or piece, and each row's buttons."""

from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace
from PySide6.QtCore import QCoreApplication, QEvent, QPoint, QTimer, Signal
from PySide6.QtGui import QCursor, QHideEvent, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QMenu, QVBoxLayout, QWidget

from app.core.errors import ConverterMissingError
from app.optimize.orders import ENDED, MAKING, LabItem, MeasureOrder, PriceOrder, SourceOrder
from app.ui import lab_job_words as said
from app.ui import tasks, theme, words
from app.ui.bridge import Bridge
from app.ui.cells import ActionCell, ProgressDelegate, TwoLineDelegate
from app.ui.errors import describe
from app.ui.keys import menu_key
from app.ui.lab_job_columns import Watch, columns
from app.ui.lab_wish import reason_words
from app.ui.queue_table import PROGRESS, QueueModel, QueueTable
from app.ui.widgets import Banner, make_button, make_label

if TYPE_CHECKING:
    from app.compose import Services

translate = QCoreApplication.translate
_ROW, _MOST = 46, 3
_ALIVE = ("running", "queued", "paused", "failed")
_NOT_HERE = ("", "load_again", "load_options")
"""What an error's button does elsewhere: here the job is tried again."""
_WORTH_ASKING = 60.0
"""Seconds of work from which giving a job up is asked for."""


class LabJobs(QWidget):
    """``asked`` passes on what the window is asked for; ``results`` that measurements are to be shown."""

    asked = Signal(str, object)
    results = Signal()
    recipe_asked = Signal(str, str)
    """The path of a quant whose recipe is to be shown, and why it was made so."""

    def __init__(self, services: "Services", bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._watch = Watch()
        self.model: QueueModel[LabItem] = QueueModel(columns(self._watch), self)
        self.table = QueueTable(self.model, self, self._show_menu)
        self.table.verticalHeader().setDefaultSectionSize(theme.px(_ROW))
        self.table.setItemDelegateForColumn(0, TwoLineDelegate(self.table))
        self.table.setItemDelegateForColumn(PROGRESS, ProgressDelegate(lambda item: item.share, self.table))
        self.banner = Banner(self)
        self.heading, self.summary = make_label("heading", self), make_label("secondary", self)
        self.clear = make_button(self._clear, "", self, compact=True)
        self._cells: dict[str, ActionCell] = {}
        self._failed: LabItem | None = None
        self._brief = False
        self._lay_out()
        self._tick = QTimer(self, interval=1000)
        self._tick.timeout.connect(self._tell_time)
        bridge.on(LabItem, self._on_item, self)
        self._retranslate()
        self.hide()  # until it is known that there are any: an empty table would press the panels below together
        self.sweep()

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.setSpacing(12)
        for widget in (self.heading, self.summary):
            head.addWidget(widget)
        head.addStretch(1)
        head.addWidget(self.clear)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 8, 24, 16)
        column.setSpacing(8)
        column.addWidget(self.banner)
        column.addLayout(head)
        column.addWidget(self.table)
        self.model.moved.connect(self._move)
        self.table.shift.connect(self._shift)
        self.table.removed.connect(self._give_up_current)
        self.table.doubleClicked.connect(lambda _index: self._open_current())
        self.table.selectionModel().selectionChanged.connect(lambda *_: self._show_problem())
        self.banner.triggered.connect(self._fix)

    # ------------------------------------------------------------------ content

    def sweep(self) -> None:
        """Show the queue as it is."""
        tasks.run(self._services.lab.snapshots, self._show, owner=self, order=self)

    def set_brief(self, brief: bool) -> None:
        """Only shown while there is something to do or to mend: the room is another view's."""
        self._brief = brief
        self._after()

    def _show(self, items: tuple[LabItem, ...]) -> None:
        self.model.set_rows(items)
        for at, item in enumerate(self.model.rows):
            self._place_cell(at, item)
        for gone in set(self._cells) - {item.id for item in items}:
            del self._cells[gone]
        self._after()

    def _on_item(self, item: LabItem) -> None:
        before = self.model.find(item.id)
        old = self.model.rows[before].state if before is not None else ""
        self.model.put(item)
        at = self.model.find(item.id)
        if at is not None and old != item.state:
            self._place_cell(at, item)
        if item.state == "failed" and old != "failed":
            self.table.select(item.id)
        if item.state == "running" and old != "running" and at is not None and not self.table.hasFocus():
            self.table.scrollTo(self.model.index(at, 0))
        self._after()

    def _after(self) -> None:
        rows = self.model.rows
        self.setVisible(bool(rows) and (not self._brief or any(row.state in _ALIVE for row in rows)))
        self.summary.setText(said.summary(tuple(rows)))
        self.clear.setVisible(any(row.state in ENDED for row in rows))
        header = self.table.horizontalHeader().sizeHint().height()
        high = self.table.verticalHeader().defaultSectionSize()
        self.table.setFixedHeight(header + min(_MOST, max(1, len(rows))) * high + 4)
        self._show_problem()

    def _tell_time(self) -> None:
        for at, row in enumerate(self.model.rows):
            if row.state == "running":
                index = self.model.index(at, 3)
                self.model.dataChanged.emit(index, index)

    # ------------------------------------------------------------------ problems

    def _show_problem(self) -> None:
        current = self.table.current()
        failed = [row for row in self.model.rows if row.state == "failed"]
        self._failed = current if current in failed else (failed[-1] if failed else None)
        if self._failed is None or self._failed.error is None:
            self.banner.hide()
            return
        described = describe(self._failed.error)
        if self._failed.error.code == ConverterMissingError.code:
            text = f"{said.title(self._failed)}: {described.sentence}"
            self.banner.show_words(text, "bad", self.tr("Set it up and go on"), "set_up")
            return
        helps = described.action not in _NOT_HERE
        action, label = (
            described.action if helps else "retry",
            described.label if helps else self.tr("Try again"),
        )
        text = f"{said.title(self._failed)}: {said.problem(self._failed.error)}"
        self.banner.show_words(text, "bad", label, action, described.details)

    def _fix(self, action: str) -> None:
        failed = self._failed
        if failed is None:
            return
        if action == "retry":
            self._do("retry", failed.id)
        elif action == "set_up" and isinstance(failed.order, SourceOrder):
            self._set_up(failed.id, replace(failed.order, set_up=True))
        else:
            about = str(failed.error.params.get("path", "")) if failed.error else ""
            self.asked.emit(action, about)

    def _set_up(self, key: str, order: SourceOrder) -> None:
        """The same once more, with the converter set up first."""
        lab = self._services.lab

        def work() -> None:
            lab.submit(order)
            lab.remove(key)

        tasks.run(work, lambda _none: self.sweep(), self._show_failure, self)

    # ------------------------------------------------------------------ buttons

    def _place_cell(self, at: int, item: LabItem) -> None:
        index = self.model.index(at, len(self.model.columns) - 1)
        cell = self._cells.get(item.id)
        if cell is None or self.table.indexWidget(index) is not cell:
            cell = ActionCell(self.table)
            cell.pressed.connect(lambda name, key=item.id: self._do(name, key))
            self._cells[item.id] = cell
            self.table.setIndexWidget(index, cell)
        cell.show_actions(self._actions(item))

    def _actions(self, item: LabItem) -> list[tuple[str, str, str]]:
        names = {
            "pause": ("pause", self.tr("Pause: its memory is freed; a quantization begins again")),
            "resume": ("play", self.tr("Go on")),
            "retry": ("refresh", self.tr("Try again")),
            "cancel": ("close", self.tr("Cancel: nothing half stays")),
            "chat": ("chat", self.tr("Chat")),
            "library": ("library", self.tr("Show in Library")),
            "recipe": ("info", self.tr("How it was made")),
            "results": ("compare", self.tr("Show what was measured")),
            "remove": ("trash", self.tr("Take off this list")),
        }
        kinds = {MeasureOrder: ("results", "remove"), PriceOrder: ("remove",)}
        recipe = ("recipe",) if isinstance(item.order, MAKING) else ()
        done = kinds.get(type(item.order), ("chat", "library", *recipe, "remove"))
        wanted = {
            "queued": ("pause", "cancel"),
            "running": ("pause", "cancel"),
            "paused": ("resume", "cancel"),
            "failed": ("retry", "remove"),
            "cancelled": ("retry", "remove"),
            "done": done,
        }[item.state]
        return [(name, *names[name]) for name in wanted]

    def _do(self, name: str, key: str) -> None:
        item = self._services.lab.get(key)
        if item is None:
            return
        model = item.result.model if item.result else ""
        if name in {"chat", "library"}:
            self.asked.emit(name, model)
        elif name == "results":
            self.results.emit()
        elif name == "recipe":
            reasons = [reason_words(why) for why in item.result.reasons] if item.result else []
            self.recipe_asked.emit(item.result.path if item.result else "", "\n".join(reasons))
        elif name == "cancel" and item.state == "running" and self._watch.since(item) > _WORTH_ASKING:
            self._ask_cancel(item)
        else:
            self._order(name, key)

    def _order(self, name: str, key: str) -> None:
        lab = self._services.lab
        work = {
            "pause": lab.pause,
            "resume": lab.resume,
            "retry": lab.resume,
            "cancel": lab.cancel,
            "remove": lab.remove,
        }[name]
        tasks.run(partial(work, key), lambda _none: self.sweep(), self._show_failure, self, order=lab)

    def _show_failure(self, error: Exception) -> None:
        self.banner.show_error(describe(error))

    def _ask_cancel(self, item: LabItem) -> None:
        from app.ui.dialogs import confirm  # noqa: PLC0415 - rarely asked

        spent = words.duration(self._watch.since(item))
        confirm.ask(
            self,
            self.tr("Cancel this job?"),
            self.tr("It has worked for {time}. What it made so far is thrown away.").format(time=spent),
            self.tr("Cancel the job"),
            lambda: self._order("cancel", item.id),
        )

    def _clear(self) -> None:
        gone = [row.id for row in self.model.rows if row.state in ENDED]
        lab = self._services.lab

        def remove() -> None:
            for key in gone:
                lab.remove(key)

        tasks.run(remove, lambda _none: self.sweep(), owner=self, order=lab)

    def _give_up_current(self) -> None:
        item = self.table.current()
        if item is not None:
            self._do("cancel" if item.state not in ENDED else "remove", item.id)

    def _open_current(self) -> None:
        item = self.table.current()
        if item is not None and item.state == "done" and not isinstance(item.order, PriceOrder):
            self._do("results" if isinstance(item.order, MeasureOrder) else "library", item.id)

    # ------------------------------------------------------------------ order

    def _move(self, key: str, before: object) -> None:
        lab, at = self._services.lab, None if before is None else str(before)

        def moved(_none: object) -> None:
            self.sweep()
            self.table.select(key)

        if key != at:
            tasks.run(lambda: lab.move(key, at), moved, owner=self, order=lab)

    def _shift(self, step: int) -> None:
        item = self.table.current()
        if item is not None:
            can, before = self.model.neighbour(item.id, step)
            if can:
                self._move(item.id, before)

    def _show_menu(self) -> None:
        item = self.table.current()
        if item is None:
            return
        menu = QMenu(self)
        for name, icon, text in self._actions(item):
            menu.addAction(theme.icon(icon), text, partial(self._do, name, item.id))
        menu.addSeparator()
        first, last = self.model.rows[0].id, self.model.rows[-1].id
        up = menu.addAction(self.tr("Move up") + menu_key("queue_up"), lambda: self._shift(-1))
        down = menu.addAction(self.tr("Move down") + menu_key("queue_down"), lambda: self._shift(1))
        up.setEnabled(item.id != first)
        down.setEnabled(item.id != last)
        menu.popup(self._menu_place())

    def _menu_place(self) -> QPoint:
        port = self.table.viewport()
        inside = port.rect().contains(port.mapFromGlobal(QCursor.pos()))
        rect = self.table.visualRect(self.table.currentIndex())
        return QCursor.pos() if inside else port.mapToGlobal(rect.bottomLeft())

    # ------------------------------------------------------------------ Qt's events

    def _retranslate(self) -> None:
        self.heading.setText(self.tr("Jobs"))
        self.clear.setText(self.tr("Clear ended ones"))
        self.table.setAccessibleName(self.tr("Jobs of the lab"))
        for at, item in enumerate(self.model.rows):
            self._place_cell(at, item)
        self.model.refresh()
        self.table.fit_columns()
        self.summary.setText(said.summary(tuple(self.model.rows)))

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
            self._show_problem()
        super().changeEvent(event)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._tick.start()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._tick.stop()
