"""The Library page: every model on this machine, and what can be done with it."""

from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, Qt, QUrl
from PySide6.QtGui import QDesktopServices, QKeySequence, QShortcut
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLineEdit, QMenu, QStackedWidget, QVBoxLayout, QWidget

from app.core.events import InstanceChanged, LibraryChanged
from app.core.types import ModelRecord
from app.ui import tasks, words
from app.ui.bridge import Bridge
from app.ui.cells import TwoLineDelegate
from app.ui.empty_state import EmptyState
from app.ui.errors import describe
from app.ui.figures import DASH
from app.ui.page import Page
from app.ui.table_model import Column, Table, TableModel
from app.ui.widgets import Banner, Elided, make_button, make_label

if TYPE_CHECKING:
    from app.compose import Services

_LIVE = ("starting", "loading", "ready", "stopping")
_RUNS = ("text", "embedding", "reranker")


class LibraryPage(Page):
    """A sorted, filtered table; what is selected has its actions below."""

    def __init__(self, services: "Services", bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(services, bridge, parent)
        self._instances: dict[str, InstanceChanged] = {
            item.model: item for item in services.supervisor.snapshots()
        }
        self._wanted = ""
        self._read_once = False
        self.model: TableModel[ModelRecord] = TableModel(self._columns(), lambda record: record.id, self)
        self.table = Table(self.model, self)
        self.table.verticalHeader().setDefaultSectionSize(46)
        self.table.setItemDelegateForColumn(0, TwoLineDelegate(self.table))
        self.search, self.count = QLineEdit(self), make_label("secondary", self)
        self.banner, self.empty = Banner(self), EmptyState(self)
        self.folder = make_button(lambda: self.asked.emit("open_folder", None), "", self, compact=True)
        self.importing = make_button(self._choose, "primary", self, compact=True)
        self.name, self.facts = Elided("text", self, middle=True), Elided("text-2", self)
        self.problem = make_label("bad", self, wrap=True)
        self.load = make_button(lambda: self._ask("load"), "primary", self)
        self.unload = make_button(lambda: self._ask("unload"), "", self)
        self.chat = make_button(lambda: self._ask("chat"), "", self)
        self.show_file = make_button(self._reveal, "", self)
        self.page = make_button(self._open_hub, "", self)
        self.delete = make_button(self._ask_delete, "danger", self)
        self._lay_out()
        self._connect()
        self.retranslate()

    # ------------------------------------------------------------------ building

    def _columns(self) -> list[Column[ModelRecord]]:
        return [
            Column(
                lambda: self.tr("Model"),
                _name,
                sort=lambda r: r.id.lower(),
                note=_note,
                icon=lambda r: "error" if r.damaged else "model",
                token=lambda r: "bad" if r.damaged else "",
                tip=lambda r: r.damaged or r.path,
            ),
            Column(lambda: self.tr("Quant"), _quant, width=84, tip=lambda r: words.quant_tip(_quant(r))),
            Column(
                lambda: self.tr("Parameters"),
                lambda r: words.parameters(_parameters(r)) or DASH,
                sort=lambda r: float(_parameters(r) or 0),
                right=True,
                width=84,
            ),
            Column(
                lambda: self.tr("Size (GB)"),
                lambda r: words.gigabytes(r.bytes),
                sort=lambda r: float(r.bytes),
                right=True,
                width=80,
            ),
            Column(
                lambda: self.tr("Context"),
                lambda r: words.tokens(_trained(r)),
                sort=lambda r: float(_trained(r) or 0),
                right=True,
                width=76,
            ),
            Column(lambda: self.tr("Used"), self._used, sort=lambda r: float(r.last_used_at or 0), width=110),
            Column(lambda: self.tr("State"), self._state_words, width=110, token=self._state_token),
        ]

    def _used(self, record: ModelRecord) -> str:
        return words.ago(record.last_used_at) if record.last_used_at else self.tr("never")

    def _lay_out(self) -> None:
        self.search.setClearButtonEnabled(True)
        self.search.setMaximumWidth(320)
        self.header.addWidget(self.count)
        self.header.addStretch(1)
        self.header.addWidget(self.search, 2)
        self.header.addWidget(self.folder)
        self.header.addWidget(self.importing)
        self.stack = QStackedWidget(self)
        self.stack.addWidget(self.table)
        self.stack.addWidget(self.empty)
        self.body.addWidget(self.banner)
        self.body.addWidget(self.stack, 1)
        self.detail = self._detail_card()
        self.body.addWidget(self.detail)

    def _detail_card(self) -> QWidget:
        card = QFrame(self)
        card.setProperty("role", "card")
        column = QVBoxLayout(card)
        column.setContentsMargins(16, 12, 16, 12)
        column.setSpacing(8)
        column.addWidget(self.name)
        column.addWidget(self.facts)
        column.addWidget(self.problem)
        row = QHBoxLayout()
        row.setSpacing(8)
        for button in (self.load, self.unload, self.chat):
            row.addWidget(button)
        row.addStretch(1)
        for button in (self.page, self.show_file, self.delete):
            row.addWidget(button)
        column.addLayout(row)
        return card

    def _connect(self) -> None:
        self.search.textChanged.connect(self._filter)
        self.table.selectionModel().selectionChanged.connect(lambda *_: self._show_detail())
        self.table.doubleClicked.connect(lambda _index: self._ask("load"))
        self.table.activated.connect(lambda _index: None)
        self.table.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.table.customContextMenuRequested.connect(self._menu)
        self.table.sortByColumn(5, Qt.SortOrder.DescendingOrder)
        for keys, call in (("Return", lambda: self._ask("load")), ("Delete", self._ask_delete)):
            shortcut = QShortcut(QKeySequence(keys), self.table)
            shortcut.setContext(Qt.ShortcutContext.WidgetShortcut)
            shortcut.activated.connect(call)
        self.empty.primary.connect(lambda: self.asked.emit("starter", None))
        self.empty.secondary.connect(lambda: self.asked.emit("search", ""))
        self.banner.triggered.connect(lambda action: self.asked.emit(action, self._wanted))
        self.bridge.on(LibraryChanged, lambda _event: self.reload(), self)
        self.bridge.on(InstanceChanged, self._on_instance, self)

    # ------------------------------------------------------------------ content

    def reload(self) -> None:
        """Read the library again, off the GUI thread."""
        tasks.run(self.services.library.records, self._show_records, self._show_error, self)

    def _show_records(self, records: tuple[ModelRecord, ...]) -> None:
        self._read_once = True
        self.model.set_rows(records)
        self.stack.setCurrentWidget(self.table if records else self.empty)
        self.search.setEnabled(bool(records))
        self._show_count()
        if self._wanted and self.table.select(self._wanted):
            self._wanted = ""
        elif records and self.table.current() is None and self.table.model().rowCount():
            self.table.selectRow(0)
        self._show_detail()

    def _show_error(self, error: Exception) -> None:
        self.banner.show_error(describe(error))

    def _show_count(self) -> None:
        total = sum(record.bytes for record in self.model.rows)
        count = len(self.model.rows)
        text = self.tr("%n model(s)", "", count)
        self.count.setText(f"{text}, {words.size(total)}" if count else "")

    def _filter(self, text: str) -> None:
        if self.table.proxy is not None:
            self.table.proxy.set_words(text)

    def select(self, model: str) -> None:
        """Select a model, now or as soon as it is listed."""
        if model and not self.table.select(model):
            self._wanted = model
            self.reload()
        self.table.setFocus()

    def _on_instance(self, event: InstanceChanged) -> None:
        self._instances[event.model] = event
        at = self.model.find(event.model)
        if at is not None:
            last = len(self.model.columns) - 1
            self.model.dataChanged.emit(self.model.index(at, last), self.model.index(at, last))
        self._show_detail()

    # ------------------------------------------------------------------ words

    def _state(self, record: ModelRecord) -> str:
        if record.damaged:
            return "damaged"
        instance = self._instances.get(record.id)
        return instance.state if instance is not None and instance.state in (*_LIVE, "failed") else ""

    def _state_words(self, record: ModelRecord) -> str:
        state = self._state(record)
        if state == "loading":
            return self.tr("Loading {share} %").format(share=round(self._instances[record.id].progress * 100))
        return {
            "damaged": self.tr("Damaged"),
            "starting": self.tr("Starting"),
            "ready": self.tr("Loaded"),
            "stopping": self.tr("Unloading"),
            "failed": self.tr("Failed"),
        }.get(state, self.tr("On disk"))

    def _state_token(self, record: ModelRecord) -> str:
        return {"damaged": "bad", "failed": "bad", "ready": "good"}.get(self._state(record), "text-2")

    def _show_detail(self) -> None:
        record: ModelRecord | None = self.table.current()
        self.detail.setVisible(record is not None)
        if record is None:
            return
        live = self._state(record) in _LIVE
        runs = not record.damaged and (record.summary is None or record.summary.kind in _RUNS)
        self.name.setText(record.id)
        self.facts.setText(self._facts(record))
        self.problem.setText(self._problem(record))
        self.problem.setVisible(bool(self.problem.text()))
        self.load.setVisible(runs and not live)
        self.unload.setVisible(live)
        self.chat.setVisible(live and runs)
        self.page.setVisible(record.source is not None)
        self.delete.setEnabled(not live)
        self.delete.setToolTip(self.tr("Unload it first.") if live else "")

    def _problem(self, record: ModelRecord) -> str:
        if record.damaged:
            return record.damaged
        instance = self._instances.get(record.id)
        failed = instance is not None and instance.state == "failed" and instance.error is not None
        return describe(instance.error).sentence if failed and instance and instance.error else ""

    def _facts(self, record: ModelRecord) -> str:
        summary = record.summary
        parts = [words.size(record.bytes)]
        if summary is not None:
            parts.insert(0, f"{_quant(record)}: {words.quant_note(_quant(record))}")
            parts += [words.kind_words(summary.kind), summary.architecture, summary.license]
            if summary.bits_per_weight:
                parts.append(
                    self.tr("{bits} bits per weight").format(bits=words.number(summary.bits_per_weight, 2))
                )
        return "  ·  ".join(part for part in parts if part)

    # ------------------------------------------------------------------ actions

    def _ask(self, command: str) -> None:
        record = self.table.current()
        if record is None:
            return
        if command == "load" and (record.damaged or self._state(record) in _LIVE):
            command = "chat" if not record.damaged else ""
        if command:
            self.asked.emit(command, record.id)

    def _choose(self) -> None:
        self.asked.emit("choose_import", None)

    def _reveal(self) -> None:
        record = self.table.current()
        if record is not None:
            self.asked.emit("open_folder", record.path)

    def _open_hub(self) -> None:
        record = self.table.current()
        if record is not None and record.source is not None:
            QDesktopServices.openUrl(QUrl(self.services.hub.page_url(record.source.repo)))

    def _ask_delete(self) -> None:
        record = self.table.current()
        if record is None or self._state(record) in _LIVE:
            return
        from app.ui.dialogs.confirm import ConfirmDialog  # noqa: PLC0415 - rarely asked

        dialog = ConfirmDialog(
            self.tr("Delete {model}?").format(model=record.id),
            self.tr("{size} go to the system's bin. It can be downloaded again.").format(
                size=words.size(record.bytes)
            ),
            self.tr("Delete {size}").format(size=words.size(record.bytes)),
            self,
        )
        dialog.accepted.connect(lambda: self._delete(record))
        dialog.open()

    def _delete(self, record: ModelRecord) -> None:
        def done(_none: object) -> None:
            text = self.tr("{model} is in the bin.").format(model=record.id)
            self.banner.show_words(text, "good")
            self.reload()

        tasks.run(lambda: self.services.library.remove(record.id), done, self._show_error, self)

    def _menu(self, where: QPoint) -> None:
        record = self.table.current()
        if record is None:
            return
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for button in (self.load, self.chat, self.unload, self.show_file, self.page, self.delete):
            if button.isVisible():
                action = menu.addAction(button.text())
                action.setEnabled(button.isEnabled())
                action.triggered.connect(button.click)
        menu.popup(self.table.viewport().mapToGlobal(where))

    def entered(self) -> None:
        # What is known at once, then what a look at the folders finds.
        self.reload()
        tasks.run(self.services.library.rescan, self._show_records, self._show_error, self)

    def focus(self) -> None:
        self.search.setFocus()

    def retranslate(self) -> None:
        self.title.setText(self.tr("Library"))
        self.search.setPlaceholderText(self.tr("Filter by name, quant, …"))
        self.search.setAccessibleName(self.tr("Filter models"))
        self.table.setAccessibleName(self.tr("Models on this machine"))
        self.importing.setText(self.tr("Import a file…"))
        self.folder.setText(self.tr("Open folder"))
        self.load.setText(self.tr("Load…"))
        self.unload.setText(self.tr("Unload"))
        self.chat.setText(self.tr("Chat"))
        self.show_file.setText(self.tr("Show file"))
        self.page.setText(self.tr("Page on the Hub"))
        self.delete.setText(self.tr("Delete…"))
        self.empty.show_state(
            self.tr("No models yet"),
            self.tr("Models on this machine appear here. Drop a .gguf file on the window to import it."),
            self.tr("Get the starter model"),
            self.tr("Search for a model"),
        )
        self.model.refresh()
        self.table.fit_columns()
        self._show_count()
        self._show_detail()


def _parameters(record: ModelRecord) -> int | None:
    return record.summary.parameters if record.summary else None


def _trained(record: ModelRecord) -> int | None:
    return record.summary.context_length if record.summary else None


def _name(record: ModelRecord) -> str:
    """What people call it: the repository's name without what repositories add, else the id."""
    if record.source is None:
        return record.name or record.id
    return record.source.repo.split("/")[-1].removesuffix("-GGUF").removesuffix("-gguf")


def _note(record: ModelRecord) -> str:
    return record.damaged or (record.source.repo.split("/")[0] if record.source else record.path)


def _quant(record: ModelRecord) -> str:
    return (record.summary.quant if record.summary else "") or DASH
