"""The Downloads page: what is on its way, how fast, how long, and what to do when it isn't."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, QTimer, QUrl
from PySide6.QtGui import QCursor, QDesktopServices, QFontMetrics, QHideEvent
from PySide6.QtWidgets import QMenu, QStackedWidget, QWidget

from app.core.events import DownloadChanged, SettingChanged
from app.models.downloads import ACCESS
from app.models.transfer_disk import free_space
from app.ui import tasks, theme, words
from app.ui.bridge import Bridge
from app.ui.cells import ActionCell, ProgressDelegate, TwoLineDelegate
from app.ui.download_columns import ENDED, columns, summary_words
from app.ui.download_details import DownloadDetails
from app.ui.download_words import all_states, progress
from app.ui.empty_state import EmptyState
from app.ui.errors import describe
from app.ui.keys import page_key_text
from app.ui.limits_button import LimitsButton
from app.ui.page import Page
from app.ui.queue_table import PROGRESS, QueueModel, QueueTable
from app.ui.widgets import Banner, make_button, make_label, set_property

if TYPE_CHECKING:
    from app.compose import Services

_STATE = 1
_ICON = 48
"""Pixels of the icon before a state, and of the cell's margins."""
_WORTH_ASKING = 20_000_000
"""Bytes from which giving a download up is asked for: they would have to come again."""


class DownloadsPage(Page):
    """A table in the queue's order; the buttons of a row stand in the row."""

    def __init__(self, services: "Services", bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(services, bridge, parent)
        self.model: QueueModel[DownloadChanged] = QueueModel(columns(), self)
        self.table = QueueTable(self.model, self, self._show_menu)
        self.table.verticalHeader().setDefaultSectionSize(46)
        self.table.setItemDelegateForColumn(0, TwoLineDelegate(self.table))
        self.table.setItemDelegateForColumn(PROGRESS, ProgressDelegate(progress, self.table))
        self.banner = Banner(self)
        self.empty = EmptyState(self)
        self.summary = make_label("secondary", self)
        downloads = services.downloads
        self.limits = LimitsButton(services.settings.value.downloads, self)
        self.pause_all = make_button(lambda: self._all(downloads.pause_all), "", self, compact=True)
        self.resume_all = make_button(lambda: self._all(downloads.resume_all), "", self, compact=True)
        self.retry_all = make_button(lambda: self._all(downloads.retry_all), "", self, compact=True)
        self.cancel_all = make_button(self._ask_cancel_all, "", self, compact=True)
        self.clear = make_button(self._clear, "", self, compact=True)
        self.details = DownloadDetails(services, self)
        self.disk = make_label("secondary", self)
        self._disk_task: tasks.Task[int] | None = None
        self._cells: dict[str, ActionCell] = {}
        self._about: DownloadChanged | None = None
        self._lay_out()
        bridge.on(DownloadChanged, self._on_change, self)
        bridge.on(SettingChanged, self._on_setting, self)
        self._poll = QTimer(self, interval=1000)
        self._poll.timeout.connect(self._sweep)
        self.retranslate()
        self.model.set_rows(services.downloads.snapshots())
        self._after()

    def _lay_out(self) -> None:
        self.header.addWidget(self.summary)
        self.header.addStretch(1)
        for button in (
            self.pause_all,
            self.resume_all,
            self.retry_all,
            self.cancel_all,
            self.clear,
            self.limits,
        ):
            self.header.addWidget(button)
        self.stack = QStackedWidget(self)
        self.stack.addWidget(self.empty)
        self.stack.addWidget(self.table)
        self.body.addWidget(self.banner)
        self.body.addWidget(self.stack, 1)
        self.body.addWidget(self.details)
        self.body.addWidget(self.disk)
        self.limits.chosen.connect(self._choose)
        self.limits.settings_asked.connect(lambda: self.asked.emit("settings", "downloads"))
        self.model.moved.connect(self._move)
        self.table.shift.connect(self._shift)
        self.table.removed.connect(self._remove_current)
        self.empty.primary.connect(lambda: self.asked.emit("search", ""))
        self.banner.triggered.connect(self._fix)
        self.table.selectionModel().selectionChanged.connect(lambda *_: self._on_selection())
        self.table.doubleClicked.connect(lambda _index: self._open_current())

    # ------------------------------------------------------------------ changes

    def _on_change(self, event: DownloadChanged) -> None:
        self.model.put(event)
        self._after(event)

    def _sweep(self) -> None:
        # A row that was removed elsewhere publishes nothing.
        self.model.set_rows(self.services.downloads.snapshots())
        self._after()
        self._look_at_disk()

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
        self._show_details()

    def _on_selection(self) -> None:
        self._show_problem()
        self._show_details()

    def _show_details(self) -> None:
        row = self.table.current()
        seen = None if row is None else (row.id, row.state, row.done)
        if self.isVisible() and seen != self._detailed:
            self._detailed = seen
            self.details.show_download(row)

    _detailed: tuple[str, str, int] | None = None

    def _on_setting(self, event: SettingChanged) -> None:
        if event.key.startswith("downloads."):
            self.limits.show_current(self.services.settings.value.downloads)

    def _choose(self, key: str, value: object) -> None:
        settings = self.services.settings
        tasks.run(
            lambda: settings.set(key, value),
            None,
            lambda error: self.banner.show_error(describe(error)),
            self,
            order=settings,
        )

    # ------------------------------------------------------------------ order

    def _move(self, key: str, before: object) -> None:
        downloads, at = self.services.downloads, None if before is None else str(before)

        def moved(_none: object) -> None:
            self._sweep()
            self.table.select(key)

        if key != at:
            tasks.run(lambda: downloads.move(key, at), moved, owner=self, order=downloads)

    def _shift(self, step: int) -> None:
        row = self.table.current()
        if row is None:
            return
        can, before = self.model.neighbour(row.id, step)
        if can:
            self._move(row.id, before)

    def _show_menu(self) -> None:
        row = self.table.current()
        if row is None:
            return
        menu = QMenu(self)
        for name, icon, text in self._actions_of(row):
            action = menu.addAction(theme.icon(icon), text)
            action.triggered.connect(lambda _on, name=name: self._act(name, row.id))
        menu.addSeparator()
        first, last = self.model.rows[0].id, self.model.rows[-1].id
        ways = (
            (self.tr("Move up"), page_key_text("queue_up"), lambda: self._shift(-1), row.id != first),
            (self.tr("Move down"), page_key_text("queue_down"), lambda: self._shift(1), row.id != last),
            (self.tr("Move to the top"), "", lambda: self._move(row.id, first), row.id != first),
        )
        for text, keys, run, on in ways:
            action = menu.addAction(f"{text}\t{keys}" if keys else text, run)
            action.setEnabled(on)
        menu.addSeparator()
        menu.addAction(self.tr("Page on the Hub"), lambda: self._open_page(row))
        menu.popup(self._menu_place())

    def _menu_place(self) -> QPoint:
        inside = self.table.viewport().rect().contains(self.table.viewport().mapFromGlobal(QCursor.pos()))
        rect = self.table.visualRect(self.table.currentIndex())
        return QCursor.pos() if inside else self.table.viewport().mapToGlobal(rect.bottomLeft())

    def _open_page(self, row: DownloadChanged) -> None:
        QDesktopServices.openUrl(QUrl(self.services.hub.page_url(row.repo)))

    # ------------------------------------------------------------------ buttons

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
        if name == "cancel" and row.done >= _WORTH_ASKING:
            self._ask_cancel(row)
        else:
            tasks.run(lambda: work(key), lambda _none: self._sweep(), owner=self, order=downloads)

    def _ask_cancel(self, row: DownloadChanged) -> None:
        from app.ui.dialogs import confirm  # noqa: PLC0415 - rarely asked

        confirm.ask(
            self,
            self.tr("Cancel this download?"),
            self.tr("{size} that came already are deleted.").format(size=words.size(row.done)),
            self.tr("Cancel the download"),
            lambda: self._all(lambda: self.services.downloads.cancel(row.id)),
        )

    def _all(self, work: Callable[[], None]) -> None:
        tasks.run(work, lambda _none: self._sweep(), owner=self, order=self.services.downloads)

    def _ask_cancel_all(self) -> None:
        from app.ui.dialogs.confirm import ConfirmDialog  # noqa: PLC0415 - rarely asked

        going = [row for row in self.model.rows if row.state not in {"done", "cancelled"}]
        here = sum(row.done for row in going)
        dialog = ConfirmDialog(
            self.tr("Cancel %n download(s)?", "", len(going)),
            self.tr("{size} that came already are deleted.").format(size=words.size(here)),
            self.tr("Cancel all"),
            self,
        )
        dialog.accepted.connect(lambda: self._all(self.services.downloads.cancel_all))
        dialog.open()

    def _remove_current(self) -> None:
        row = self.table.current()
        if row is not None:
            self._act("remove" if row.state in {"done", "cancelled"} else "cancel", row.id)

    def _open_current(self) -> None:
        row = self.table.current()
        if row is not None and row.state == "done":
            self.asked.emit("load", row.model or row.id)

    def _clear(self) -> None:
        gone = [row.id for row in self.model.rows if row.state in {"done", "cancelled"}]

        def remove() -> None:
            for key in gone:
                self.services.downloads.remove(key)

        self._all(remove)

    # ------------------------------------------------------------------ words

    def _summarize(self) -> None:
        running = [row for row in self.model.rows if row.state not in ENDED]
        self.summary.setText(summary_words(running))
        self.pause_all.setVisible(any(row.state in {"queued", "running", "waiting"} for row in running))
        self.resume_all.setVisible(any(row.state == "paused" for row in running))
        self.retry_all.setVisible(sum(row.state == "failed" for row in self.model.rows) > 1)
        self.cancel_all.setVisible(len(running) > 1)
        self.clear.setVisible(any(row.state in {"done", "cancelled"} for row in self.model.rows))

    def _look_at_disk(self) -> None:
        if self._disk_task is None:
            models = self.services.paths.models
            self._disk_task = tasks.run(lambda: free_space(models), self._show_disk, self._no_disk, self)

    def _no_disk(self, _error: Exception) -> None:
        self._disk_task = None

    def _show_disk(self, free: int) -> None:
        self._disk_task = None
        waiting = sum((row.total or 0) - row.done for row in self.model.rows if row.state not in ENDED)
        text = self.tr("{free} free in {folder}").format(
            free=words.size(free), folder=self.services.paths.models
        )
        if waiting:
            text += self.tr("; {size} are still to come").format(size=words.size(waiting))
        self.disk.setText(text)
        set_property(self.disk, "role", "warn" if waiting > free else "secondary")

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
        gated = self._about.error.code in ACCESS
        tone = "bad" if self._about.state == "failed" else "warn"
        named = described.text.startswith(self._about.repo)
        self.banner.show_words(
            described.sentence if named else f"{self._about.id}: {described.sentence}",
            tone,
            self.tr("Get access…") if gated else described.label,
            "access" if gated else described.action,
            described.details,
        )

    def _fix(self, action: str) -> None:
        if self._about is None:
            return
        if action in {"retry", "download_again"}:
            self._act("retry", self._about.id)
        elif action == "access":
            self.asked.emit("access", (self._about.repo, self._about.id))
        else:
            self.asked.emit(
                action, str(self.services.paths.models) if "folder" in action else self._about.repo
            )

    def entered(self) -> None:
        self._sweep()
        self._look_at_disk()
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
        self.retry_all.setText(self.tr("Try all again"))
        self.cancel_all.setText(self.tr("Cancel all"))
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
        metrics = QFontMetrics(self.table.font())
        widest = max(metrics.horizontalAdvance(words) for words in all_states().values())
        self.table.setColumnWidth(_STATE, widest + _ICON)
        self._after()
        self._look_at_disk()
