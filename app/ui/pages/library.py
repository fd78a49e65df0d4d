"""The Library page: every model on this machine, and what can be done with it."""

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, Qt, QTimer
from PySide6.QtGui import QHideEvent, QResizeEvent
from PySide6.QtWidgets import QComboBox, QLineEdit, QMenu, QStackedWidget, QWidget

from app.core.events import InstanceChanged, LibraryChanged, PresetsChanged
from app.models.folders import Folder
from app.models.library_care import Facts
from app.ui import keys, library_rows, tab_order, tasks, words
from app.ui.bridge import Bridge
from app.ui.cells import TwoLineDelegate
from app.ui.empty_state import EmptyState
from app.ui.errors import describe
from app.ui.folder_words import folder_words
from app.ui.library_actions import LibraryActions
from app.ui.library_delete import Deletion
from app.ui.library_details import NARROW, WIDE, WIDTH, LibraryDetails
from app.ui.library_disk import DiskUse
from app.ui.library_menu import fill_menu
from app.ui.library_parts import GapSplitter
from app.ui.library_rows import ORDER, WIDTHS, Row, States, columns, view_words
from app.ui.page import Page
from app.ui.table_model import Table, TableModel
from app.ui.undo_bar import UndoBar
from app.ui.widgets import Banner, IconButton, make_button, make_label

if TYPE_CHECKING:
    from app.compose import Services
    from app.core.types import ModelRecord

_TICK_MS = 5000
"""How often the idle time of what is loaded is told again."""
_ROW = 46

Found = tuple[tuple["ModelRecord", ...], dict[str, Facts], tuple[Folder, ...]]


class LibraryPage(Page):
    """A table that is sorted, searched and narrowed, with the details of what is selected beside it; or a picture of
    what fills the disk."""

    def __init__(self, services: "Services", bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(services, bridge, parent)
        self.states = States(services.supervisor.snapshots(), services.residency.pinned)
        self.actions_ = LibraryActions(services, self)
        self._wanted = ""
        self._suggested: tuple[Folder, ...] = ()
        self._offered = self._own_split = False
        self.model: TableModel[Row] = TableModel(columns(self.states), lambda row: row.id, self)
        self.table = Table(self.model, self)
        self.table.verticalHeader().setDefaultSectionSize(_ROW)
        self.table.give_way({ORDER.index(name): least for name, least in WIDTHS.items()})
        for at in (0, len(ORDER) - 1):
            self.table.setItemDelegateForColumn(at, TwoLineDelegate(self.table))
        self.search, self.view, self.count = QLineEdit(self), QComboBox(self), make_label("secondary", self)
        self.banner, self.empty = Banner(self), EmptyState(self)
        self.disk_button = IconButton("disk-use", self._toggle_disk, self)
        self.disk_button.setCheckable(True)
        self.folders = make_button(self.actions_.open_folders, "", self, compact=True)
        self.importing = make_button(
            lambda: self.asked.emit("choose_import", None), "primary", self, compact=True
        )
        self.details = LibraryDetails(services, self.states, self)
        self.deletion = Deletion(services, self.states, self)
        self.disk = DiskUse(services, self.states, self)
        self.stack, self._tick = QStackedWidget(self), QTimer(self, interval=_TICK_MS)
        self._reading: tasks.Task[Found] | None = None
        self._tick.timeout.connect(self._tell_time)
        self._lay_out()
        self.undo = UndoBar(self.stack)
        self._connect()
        self.retranslate()

    # ------------------------------------------------------------------ building

    def _lay_out(self) -> None:
        self.search.setClearButtonEnabled(True)
        self.search.setMaximumWidth(280)
        self.header.addWidget(self.count)
        self.header.addStretch(1)
        self.header.addWidget(self.search, 2)
        for widget in (self.view, self.disk_button, self.folders, self.importing):
            self.header.addWidget(widget)
        for page in (self.table, self.disk, self.empty):
            self.stack.addWidget(page)
        self.split = GapSplitter(self)
        self.split.addWidget(self.stack)
        self.split.addWidget(self.details)
        self.split.setStretchFactor(0, 1)
        self.split.setStretchFactor(1, 0)
        self.split.setSizes([800, WIDTH])
        self.split.splitterMoved.connect(self._note_split)
        self.body.addWidget(self.banner)
        self.body.addWidget(self.split, 1)

    def _connect(self) -> None:
        if self.table.proxy is not None:
            self.table.proxy.look_in(library_rows.haystack)
        self.search.textChanged.connect(self._filter)
        self.view.activated.connect(lambda _at: self._show_view())
        self.table.selectionModel().selectionChanged.connect(lambda *_: self._show_details())
        self.table.doubleClicked.connect(lambda _index: self._ask("load"))
        self.table.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.table.customContextMenuRequested.connect(self._menu)
        self.table.sortByColumn(ORDER.index("used"), Qt.SortOrder.DescendingOrder)
        for action in ("load", "rename", "delete"):
            asks = partial(self._ask, action)
            keys.bind(self.table, f"library_{action}", asks, Qt.ShortcutContext.WidgetShortcut)
        tab_order.go_down(self.search, self.table)
        self.details.asked.connect(self._ask)
        self.details.failed.connect(self._show_error)
        self.details.profiles.load_asked.connect(
            lambda model, preset: self.asked.emit("load_profile", (model, preset))
        )
        self.details.care.downloading.connect(lambda: self.asked.emit("downloads", None))
        self.disk.chosen.connect(self.select_quietly)
        self.disk.map.opened.connect(self._leave_disk)
        self.disk.delete_asked.connect(self._ask_delete)
        self.deletion.undoable.connect(self.undo.offer)
        self.deletion.said.connect(lambda text: self.banner.show_words(text, "good"))
        self.deletion.restored.connect(self.select)
        self.deletion.failed.connect(self._show_error)
        self.actions_.failed.connect(self._show_error)
        self.actions_.folder_asked.connect(lambda path: self.asked.emit("open_folder", path))
        self.empty.primary.connect(lambda: self.asked.emit("starter", None))
        self.empty.secondary.connect(lambda: self.asked.emit("search", ""))
        self.banner.triggered.connect(self._fix)
        self.bridge.on(LibraryChanged, lambda _event: self.reload(), self)
        self.bridge.on(InstanceChanged, self._on_instance, self)
        self.bridge.on(PresetsChanged, lambda _event: self.details.profiles.refresh(), self)

    # ------------------------------------------------------------------ content

    def reload(self) -> None:
        """Read the library again, off the GUI thread."""
        if self._reading is not None:
            self._reading.cancel()  # what is read now is newer
        self._reading = tasks.run(self._find, self._show_found, self._show_error, self)

    def _find(self) -> Found:
        library = self.services.library
        return library.records(), library.all_facts(), library.suggested_folders()

    def _show_found(self, found: Found) -> None:
        records, facts, self._suggested = found
        rows = [Row(record, facts.get(record.id, Facts())) for record in records]
        self.model.set_rows(rows)
        self.search.setEnabled(bool(rows))
        self._show_front()
        self._show_views()
        self._show_count()
        if self.disk_button.isChecked():
            self.disk.show_rows(rows)
        if self._wanted and self.table.select(self._wanted):
            self._wanted = ""
        elif rows and self.table.current() is None and self.table.model().rowCount():
            self.table.selectRow(0)
        self._show_details()
        self._offer_stores()

    def _show_front(self) -> None:
        if not self.model.rows:
            self.stack.setCurrentWidget(self.empty)
        else:
            self.stack.setCurrentWidget(self.disk if self.disk_button.isChecked() else self.table)

    def _offer_stores(self) -> None:
        """Say that other programs' models are here: once, and as long as there are no others."""
        settings = self.services.settings
        known = settings.value.general.stores_offered.split("\n")
        fresh = [f for f in self._suggested if f.path not in known] or (
            [] if self.model.rows else list(self._suggested)
        )
        if self._offered or not fresh or self.banner.isVisible():
            return
        self._offered = True
        store = fresh[0].kind
        self.banner.show_words(
            lambda: self.tr("{store} is on this machine: its models can be read where they are.").format(
                store=folder_words(store)
            ),
            "",
            lambda: self.tr("Choose folders…"),
            "folders",
        )
        keep = partial(settings.set, "general.stores_offered", "\n".join(f.path for f in self._suggested))
        tasks.run(keep, None, lambda _error: None, self, order=settings)

    def _fix(self, action: str) -> None:
        if action == "folders":
            self.banner.hide()
            self.actions_.open_folders()
        else:
            self.asked.emit(action, self._wanted or self._current_id())

    def _show_error(self, error: Exception) -> None:
        self.banner.show_error(describe(error))

    def _show_count(self) -> None:
        total = sum(row.record.bytes for row in self.model.rows)
        text = self.tr("%n model(s)", "", len(self.model.rows))
        self.count.setText(f"{text}, {words.size(total)}" if total else "")

    def _tags(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for row in self.model.rows:
            for tag in row.facts.tags:
                found[tag] = found.get(tag, 0) + 1
        return dict(sorted(found.items()))

    def _show_views(self) -> None:
        """The views, and one for each tag; the one that is chosen stays."""
        names = list(library_rows.tests(self.states, self._tags()))
        if names != [self.view.itemData(at) for at in range(self.view.count())]:
            chosen = str(self.view.currentData() or "")
            self.view.clear()
            for name in names:
                self.view.addItem("", name)
            self.view.setCurrentIndex(max(0, self.view.findData(chosen)))
        for at, name in enumerate(names):
            self.view.setItemText(at, view_words(name))
        self._show_view()

    def _show_view(self) -> None:
        name = str(self.view.currentData() or "")
        test = library_rows.tests(self.states, self._tags()).get(name)
        if self.table.proxy is not None:
            self.table.proxy.keep(test if name else None)
        self._show_details()

    def _filter(self, text: str) -> None:
        if self.table.proxy is not None:
            self.table.proxy.set_words(text)
        self._show_details()

    def _show_details(self) -> None:
        row: Row | None = self.table.current()
        self.details.setVisible(row is not None)
        self.details.show_row(row)

    def select(self, model: str) -> None:
        """Select a model, now or as soon as it is listed."""
        if self.disk_button.isChecked():
            self.disk_button.click()
        if model and not self.table.select(model):
            self._wanted = model
            self.reload()
        self.table.setFocus()

    def select_quietly(self, model: str) -> None:
        """Show a model's details and leave the view as it is."""
        self.table.select(model)

    def _on_instance(self, event: InstanceChanged) -> None:
        self.states.instances[event.model] = event
        self._refresh_states([event.model])
        if self.view.currentData() == "loaded":
            self._show_view()

    def _refresh_states(self, models: Iterable[str]) -> None:
        last = len(ORDER) - 1
        for model in models:
            at = self.model.find(model)
            if at is not None:
                index = self.model.index(at, last)
                self.model.dataChanged.emit(index, index)
        self.details.show_state()
        self._keep_time()

    def _tell_time(self) -> None:  # nothing is published when an answer begins or ends
        self.states.instances.update((item.model, item) for item in self.services.supervisor.snapshots())
        self._refresh_states([item.model for item in self.states.instances.values() if item.state == "ready"])

    def _keep_time(self) -> None:
        ready = any(item.state == "ready" for item in self.states.instances.values())
        if ready and self.isVisible() and not self._tick.isActive():
            self._tick.start()
        elif not ready:
            self._tick.stop()

    # ------------------------------------------------------------------ actions

    def _current(self) -> Row | None:
        row: Row | None = self.table.current()
        return row

    def _current_id(self) -> str:
        row = self._current()
        return row.id if row else ""

    def _ask(self, action: str) -> None:
        row = self._current()
        if row is None:
            return
        if action == "delete":
            self._ask_delete()
            return
        if action == "star":
            self.details.toggle_star()
            return
        if self.actions_.do(action, row):
            return
        if action == "load" and (not row.runs or self.states.live(row)):
            action = "chat" if row.runs else ""
        if action:
            self.asked.emit(action, row.id)

    def rename(self, model: str, name: str) -> None:
        """Call a model otherwise here; its id and its file stay as they are."""
        self.actions_.rename(model, name)

    # ------------------------------------------------------------------ disk use

    def _toggle_disk(self) -> None:
        if self.disk_button.isChecked():
            self.disk.show_rows(self.model.rows)
            self.disk.select(self._current_id())
        self._show_front()

    def _leave_disk(self, model: str) -> None:
        self.disk_button.setChecked(False)
        self._show_front()
        self.select(model)

    def _ask_delete(self, names: list[str] | None = None) -> None:
        known = {row.id: row for row in self.model.rows}
        self.deletion.ask([known[name] for name in names or [self._current_id()] if name in known])

    # ------------------------------------------------------------------ menu

    def _menu(self, where: QPoint) -> None:
        row = self._current()
        if row is None:
            return
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        fill_menu(menu, row, self.states, self._ask)
        menu.popup(self.table.viewport().mapToGlobal(where))

    # ------------------------------------------------------------------ moments

    def entered(self) -> None:
        # What is known at once, then what a look at the folders finds.
        self.reload()
        tasks.run(self.services.library.rescan, lambda _none: self.reload(), self._show_error, self)
        self._tell_time()

    def hideEvent(self, event: QHideEvent) -> None:
        self._tick.stop()
        self.details.flush()
        super().hideEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        QTimer.singleShot(0, self, self._fit_details)

    def _note_split(self) -> None:
        self._own_split = True

    def _fit_details(self) -> None:
        """The details have as much as they need."""
        if not self._own_split:
            details = WIDTH if self.split.width() >= WIDE else NARROW
            self.split.setSizes([self.split.width() - details, details])

    def areas(self) -> list[QWidget]:
        """What F6 goes through."""
        return [self.bar, self.stack, self.details]

    def focus(self) -> None:
        self.search.setFocus()
        self.search.selectAll()

    def retranslate(self) -> None:
        self.title.setText(self.tr("Library"))
        self.search.setPlaceholderText(self.tr("Search name, tag, note, …"))
        self.search.setAccessibleName(self.tr("Search models"))
        self.view.setAccessibleName(self.tr("Which models are shown"))
        self.table.setAccessibleName(self.tr("Models on this machine"))
        self.disk_button.set_words(self.tr("Disk use"))
        self.importing.setText(self.tr("Import…"))
        self.folders.setText(self.tr("Folders…"))
        self.empty.show_state(
            self.tr("No models yet"),
            self.tr("Models on this machine appear here. Drop a .gguf file on the window to import it."),
            self.tr("Get the starter model"),
            self.tr("Search for a model"),
        )
        self.model.refresh()
        self.table.fit_columns()
        self._show_views()
        self._show_count()
        self._show_details()
