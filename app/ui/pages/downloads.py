"""The Downloads page: what is on its way, how fast, how long, and what to do when it isn't."""

from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer
from PySide6.QtGui import QHideEvent
from PySide6.QtWidgets import QStackedWidget, QWidget

from app.core.events import DownloadChanged
from app.ui import tasks, words
from app.ui.bridge import Bridge
from app.ui.cells import ActionCell, ProgressDelegate, TwoLineDelegate
from app.ui.download_words import progress, state_icon, state_token, state_words
from app.ui.empty_state import EmptyState
from app.ui.errors import describe
from app.ui.figures import DASH
from app.ui.page import Page
from app.ui.table_model import Column, Table, TableModel
from app.ui.widgets import Banner, make_button, make_label

if TYPE_CHECKING:
    from app.compose import Services

_ENDED = ("done", "cancelled", "failed")
_PROGRESS = 2


class DownloadsPage(Page):
    """A table in the queue's order; the buttons of a row stand in the row."""

    def __init__(self, services: "Services", bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(services, bridge, parent)
        self.model: TableModel[DownloadChanged] = TableModel(self._columns(), lambda row: row.id, self)
        self.table = Table(self.model, self, sortable=False)
        self.table.verticalHeader().setDefaultSectionSize(46)
        self.table.setItemDelegateForColumn(0, TwoLineDelegate(self.table))
        self.table.setItemDelegateForColumn(_PROGRESS, ProgressDelegate(progress, self.table))
        self.banner = Banner(self)
        self.empty = EmptyState(self)
        self.summary = make_label("secondary", self)
        self.pause_all = make_button(services.downloads.pause_all, "", self, compact=True)
        self.resume_all = make_button(services.downloads.resume_all, "", self, compact=True)
        self.clear = make_button(self._clear, "", self, compact=True)
        self._cells: dict[str, ActionCell] = {}
        self._about: DownloadChanged | None = None
        self._lay_out()
        bridge.on(DownloadChanged, self._on_change, self)
        self._poll = QTimer(self, interval=1000)
        self._poll.timeout.connect(self._sweep)
        self.retranslate()
        self.model.set_rows(services.downloads.snapshots())
        self._after()

    def _lay_out(self) -> None:
        self.header.addWidget(self.summary)
        self.header.addStretch(1)
        for button in (self.pause_all, self.resume_all, self.clear):
            self.header.addWidget(button)
        self.stack = QStackedWidget(self)
        self.stack.addWidget(self.empty)
        self.stack.addWidget(self.table)
        self.body.addWidget(self.banner)
        self.body.addWidget(self.stack, 1)
        self.empty.primary.connect(lambda: self.asked.emit("search", ""))
        self.banner.triggered.connect(self._fix)
        self.table.selectionModel().selectionChanged.connect(lambda *_: self._show_problem())
        self.table.doubleClicked.connect(lambda _index: self._open_current())

    def _columns(self) -> list[Column[DownloadChanged]]:
        return [
            Column(
                lambda: self.tr("Model"),
                _name,
                note=_note,
                tip=lambda row: row.file,
            ),
            Column(
                lambda: self.tr("State"),
                state_words,
                token=state_token,
                icon=state_icon,
                width=124,
                tip=lambda row: row.note or (describe(row.error).sentence if row.error else state_words(row)),
            ),
            Column(
                lambda: self.tr("Progress"), lambda row: words.number(progress(row) * 100) + " %", width=136
            ),
            Column(
                lambda: self.tr("Size (GB)"),
                _amount,
                right=True,
                width=110,
            ),
            Column(
                lambda: self.tr("Speed"),
                lambda row: words.transfer_speed(row.speed) if row.state == "running" else DASH,
                right=True,
                width=90,
            ),
            Column(
                lambda: self.tr("Time left"),
                lambda row: words.duration(row.eta) if row.state == "running" else DASH,
                right=True,
                width=90,
            ),
            Column(lambda: "", lambda _row: "", width=116),
        ]

    # ------------------------------------------------------------------ changes

    def _on_change(self, event: DownloadChanged) -> None:
        self.model.put(event)
        self._after(event)

    def _sweep(self) -> None:
        # A row that was removed elsewhere publishes nothing.
        self.model.set_rows(self.services.downloads.snapshots())
        self._after()

    def _after(self, event: DownloadChanged | None = None) -> None:
        for at, row in enumerate(self.model.rows):
            if event is None or row.id == event.id:
                self._place_cell(at, row)
        for gone in set(self._cells) - {row.id for row in self.model.rows}:
            del self._cells[gone]
        self.stack.setCurrentWidget(self.table if self.model.rows else self.empty)
        self._summarize()
        if event is not None and event.state == "failed":
            self.table.select(event.id)
        self._show_problem()

    def _place_cell(self, at: int, row: DownloadChanged) -> None:
        index = self.model.index(at, len(self.model.columns) - 1)
        cell = self._cells.get(row.id)
        if cell is None or self.table.indexWidget(index) is not cell:
            cell = ActionCell(self.table)
            cell.pressed.connect(lambda name, key=row.id: self._act(name, key))
            self._cells[row.id] = cell
            self.table.setIndexWidget(index, cell)
        cell.show_actions(self._actions_of(row))

    def _actions_of(self, row: DownloadChanged) -> list[tuple[str, str, str]]:
        names = {
            "pause": ("pause", self.tr("Pause")),
            "resume": ("play", self.tr("Resume")),
            "retry": ("refresh", self.tr("Try again")),
            "cancel": ("close", self.tr("Cancel and delete what came")),
            "load": ("load", self.tr("Load it")),
            "remove": ("trash", self.tr("Take off this list")),
        }
        wanted = {
            "queued": ("pause", "cancel"),
            "running": ("pause", "cancel"),
            "waiting": ("resume", "pause", "cancel"),
            "verifying": ("cancel",),
            "paused": ("resume", "cancel"),
            "failed": ("retry", "cancel"),
            "cancelled": ("retry", "remove"),
            "done": ("load", "remove"),
        }[row.state]
        return [(name, *names[name]) for name in wanted]

    def _act(self, name: str, key: str) -> None:
        row = next((item for item in self.model.rows if item.id == key), None)
        if row is None:
            return
        if name == "load":
            self.asked.emit("load", row.model or row.id)
            return
        downloads = self.services.downloads
        work = {
            "pause": downloads.pause,
            "resume": downloads.resume,
            "retry": downloads.retry,
            "cancel": downloads.cancel,
            "remove": downloads.remove,
        }[name]
        tasks.run(lambda: work(key), lambda _none: self._sweep(), owner=self)

    def _open_current(self) -> None:
        row = self.table.current()
        if row is not None and row.state == "done":
            self.asked.emit("load", row.model or row.id)

    def _clear(self) -> None:
        gone = [row.id for row in self.model.rows if row.state in {"done", "cancelled"}]

        def remove() -> None:
            for key in gone:
                self.services.downloads.remove(key)

        tasks.run(remove, lambda _none: self._sweep(), owner=self)

    # ------------------------------------------------------------------ words

    def _summarize(self) -> None:
        running = [row for row in self.model.rows if row.state not in _ENDED]
        speed = sum(row.speed or 0 for row in running if row.state == "running")
        self.summary.setText(
            self.tr("{count} under way, {speed}").format(
                count=words.number(len(running)), speed=words.transfer_speed(speed)
            )
            if running
            else ""
        )
        self.pause_all.setVisible(any(row.state in {"queued", "running", "waiting"} for row in running))
        self.resume_all.setVisible(any(row.state == "paused" for row in running))
        self.clear.setVisible(any(row.state in {"done", "cancelled"} for row in self.model.rows))

    def _show_problem(self) -> None:
        row = self.table.current()
        failed = [
            item for item in self.model.rows if item.error is not None and item.state in {"failed", "waiting"}
        ]
        self._about = row if row in failed else (failed[-1] if failed else None)
        if self._about is None or self._about.error is None:
            self.banner.hide()
            return
        described = describe(self._about.error)
        tone = "bad" if self._about.state == "failed" else "warn"
        self.banner.show_words(
            f"{self._about.id}: {described.sentence}",
            tone,
            described.label,
            described.action,
            described.details,
        )

    def _fix(self, action: str) -> None:
        if self._about is None:
            return
        if action in {"retry", "download_again"}:
            self._act("retry", self._about.id)
        elif action == "open_license":
            self.asked.emit(action, self._about.repo)
        else:
            self.asked.emit(
                action, str(self.services.paths.models) if "folder" in action else self._about.repo
            )

    def entered(self) -> None:
        self._sweep()
        self._poll.start()

    def hideEvent(self, event: QHideEvent) -> None:
        self._poll.stop()
        super().hideEvent(event)

    def focus(self) -> None:
        self.table.setFocus()

    def retranslate(self) -> None:
        self.title.setText(self.tr("Downloads"))
        self.table.setAccessibleName(self.tr("Downloads"))
        self.pause_all.setText(self.tr("Pause all"))
        self.resume_all.setText(self.tr("Resume all"))
        self.clear.setText(self.tr("Clear finished"))
        self.empty.show_state(
            self.tr("Nothing is being downloaded"),
            self.tr(
                "Models you download appear here with their speed and time left. They go on after a restart."
            ),
            self.tr("Search for a model"),
        )
        self.model.refresh()
        self.table.fit_columns()
        self._after()


def _name(row: DownloadChanged) -> str:
    return row.repo.split("/")[-1].removesuffix("-GGUF").removesuffix("-gguf")


def _note(row: DownloadChanged) -> str:
    publisher = row.repo.split("/")[0]
    return f"{row.quant}  ·  {publisher}" if row.quant else publisher


def _amount(row: DownloadChanged) -> str:
    total = words.gigabytes(row.total)
    return total if row.state in {"done", "queued"} else f"{words.gigabytes(row.done)} / {total}"
