"""One repository: its facts, its quants with what each takes, and its card."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QEvent, Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QResizeEvent
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QVBoxLayout,
    QWidget,
)

from app.core.events import DownloadChanged, LibraryChanged
from app.models.hub_types import QuantFile, RepoDetail
from app.ui import tasks, theme, words
from app.ui.bridge import Bridge
from app.ui.card_browser import CardBrowser
from app.ui.cells import TwoLineDelegate
from app.ui.errors import describe
from app.ui.figures import DASH
from app.ui.quant_cell import QuantCell, QuantRow
from app.ui.recommend import recommend
from app.ui.table_model import Column, Table, TableModel
from app.ui.widgets import Banner, Elided, make_button, make_label

if TYPE_CHECKING:
    from app.compose import Services


class RepoView(QWidget):
    """``asked`` carries commands of the window, as a page's does."""

    asked = Signal(str, object)

    def __init__(self, services: "Services", bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._detail: RepoDetail | None = None
        self._fits: dict[str, str] = {}
        self._here: set[str] = set()
        self._downloads = {item.id: item for item in services.downloads.snapshots()}
        self._cells: dict[str, QuantCell] = {}
        self._tasks: list[tasks.Task[Any]] = []
        self.name, self.chips = Elided("text", self), QHBoxLayout()
        self.page = make_button(self._open_page, "", self, compact=True)
        self.note = make_label("secondary", self, wrap=True)
        self.banner = Banner(self)
        self.model: TableModel[QuantRow] = TableModel(self._columns(), lambda row: row.quant.id, self)
        self.table = Table(self.model, self, sortable=False)
        self.table.verticalHeader().setDefaultSectionSize(46)
        self.table.setItemDelegateForColumn(0, TwoLineDelegate(self.table))
        self.card = CardBrowser(self)
        self._lay_out()
        bridge.on(DownloadChanged, self._on_download, self)
        bridge.on(LibraryChanged, lambda _event: self._read_library(), self)
        self.banner.triggered.connect(self._fix)
        self.retranslate()

    # ------------------------------------------------------------------ building

    def _lay_out(self) -> None:
        font = theme.font("chat")
        font.setBold(True)
        self.name.setFont(font)
        head = QHBoxLayout()
        head.setSpacing(8)
        head.addWidget(self.name, 1)
        head.addWidget(self.page)
        self.chips.setSpacing(6)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 12, 16, 12)
        column.setSpacing(8)
        column.addLayout(head)
        column.addLayout(self.chips)
        column.addWidget(self.banner)
        column.addWidget(self.note)
        column.addWidget(self.table, 0)
        column.addWidget(self.card, 1)
        self._column = column

    def _columns(self) -> list[Column[QuantRow]]:
        return [
            Column(
                lambda: self.tr("Quant"),
                lambda row: (
                    self.tr("{quant} (recommended)").format(quant=row.quant.quant)
                    if row.recommended
                    else row.quant.quant
                ),
                note=self._plain,
                tip=lambda row: words.quant_tip(row.quant.quant),
                icon=lambda row: "check" if row.here else "",
                token=lambda row: "text",
            ),
            Column(
                lambda: self.tr("Bits"),
                lambda row: words.number(row.quant.bits_per_weight, 1) if row.quant.bits_per_weight else DASH,
                right=True,
                width=48,
            ),
            Column(
                lambda: self.tr("Size (GB)"),
                lambda row: words.gigabytes(row.quant.bytes),
                right=True,
                width=72,
            ),
            Column(
                lambda: self.tr("On this machine"),
                lambda row: words.fit_words(row.fit),
                width=126,
                token=lambda row: words.FIT_TOKENS.get(row.fit, "text-2"),
                icon=lambda row: words.FIT_ICONS.get(row.fit, ""),
                tip=lambda row: "" if row.fit else self.tr("Not known yet."),
            ),
            Column(lambda: "", lambda _row: "", width=152),
        ]

    def _plain(self, row: QuantRow) -> str:
        if row.quant.kind not in {"text", "embedding", "reranker"}:
            return words.kind_words(row.quant.kind)
        return words.quant_note(row.quant.quant)

    # ------------------------------------------------------------------ content

    def show_repo(self, detail: RepoDetail) -> None:
        """Show a repository; fit labels and the card follow as they are known."""
        for task in self._tasks:
            task.cancel()
        self._detail, self._fits = detail, {}
        self.name.setText(detail.id)
        self.banner.hide()
        self._show_chips()
        self._show_note()
        self.model.set_rows(())
        self._fill()
        self.card.show_markdown("")
        services = self._services
        self._tasks = [
            tasks.run(lambda: fit_labels(services, detail), self._show_fits, lambda _error: None, self),
            tasks.run(
                lambda: services.hub.card(detail.id), self.card.show_markdown, lambda _error: None, self
            ),
        ]
        self._read_library()

    def _read_library(self) -> None:
        library = self._services.library
        tasks.run(lambda: {record.id for record in library.records()}, self._show_here, lambda _e: None, self)

    def _show_here(self, ids: set[str]) -> None:
        self._here = ids
        self._fill()

    def _show_fits(self, fits: dict[str, str]) -> None:
        self._fits = fits
        self._fill()

    def _fill(self) -> None:
        if self._detail is None:
            return
        best = recommend(self._detail.quants, self._fits)
        self.model.set_rows(
            [
                QuantRow(quant, self._fits.get(quant.id, ""), quant.id == best, quant.id in self._here)
                for quant in sorted(self._detail.quants, key=lambda item: item.bytes)
            ]
        )
        self._size_table()
        known = {row.quant.id for row in self.model.rows}
        self._cells = {key: cell for key, cell in self._cells.items() if key in known}
        for at, row in enumerate(self.model.rows):
            self._place_cell(at, row)

    def _size_table(self) -> None:
        # As high as its rows, so that the card follows at once; it scrolls when it would take more than its share.
        rows = self.table.verticalHeader().length() + self.table.horizontalHeader().sizeHint().height() + 6
        self.table.setFixedHeight(max(80, min(rows, round(self.height() * 0.62))))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._size_table()

    def _place_cell(self, at: int, row: QuantRow) -> None:
        index, key = self.model.index(at, len(self.model.columns) - 1), row.quant.id
        cell = self._cells.get(key)
        if cell is None or self.table.indexWidget(index) is not cell:
            cell = QuantCell(row, self.table)
            cell.pressed.connect(partial(self._act, row.quant))
            self._cells[key] = cell
            self.table.setIndexWidget(index, cell)
        cell.show_row(row, self._downloads.get(key))

    def _show_chips(self) -> None:
        while self.chips.count():
            item = self.chips.takeAt(0)
            if item is not None and (widget := item.widget()) is not None:
                widget.deleteLater()
        for text in self._chip_texts():
            chip = QLabel(text, self)
            chip.setTextFormat(Qt.TextFormat.PlainText)
            chip.setProperty("role", "chip")
            self.chips.addWidget(chip)
        self.chips.addStretch(1)

    def _chip_texts(self) -> list[str]:
        detail = self._detail
        if detail is None:
            return []
        texts = [words.parameters(detail.parameters), detail.architecture or ""]
        if detail.context_length:
            texts.append(self.tr("{count} context").format(count=words.tokens(detail.context_length)))
        texts.append(detail.license or "")
        if detail.downloads is not None:
            texts.append(
                self.tr("{count} downloads a month").format(count=words.short_count(detail.downloads))
            )
        return [text for text in texts if text]

    def _show_note(self) -> None:
        detail = self._detail
        if detail is None:
            return
        if detail.gated:
            self.banner.show_words(
                lambda: self.tr("{repo} asks you to accept its licence before you download.").format(
                    repo=detail.id
                ),
                "warn",
                lambda: self.tr("Open its page"),
                "open_license",
            )
        self.note.setVisible(not detail.quants)
        self.note.setText(self.tr("This repository has no GGUF file.") if not detail.quants else "")

    # ------------------------------------------------------------------ actions

    def _on_download(self, event: DownloadChanged) -> None:
        self._downloads[event.id] = event
        at = self.model.find(event.id)
        if at is None:
            return
        self._place_cell(at, self.model.rows[at])
        if event.state == "failed" and event.error is not None:
            self.banner.show_error(describe(event.error))

    def _act(self, quant: QuantFile, action: str) -> None:
        downloads = self._services.downloads
        if action == "load":
            self.asked.emit("load", quant.id)
        elif action == "cancel":
            tasks.run(lambda: downloads.cancel(quant.id), owner=self)
        else:
            work = {"download": lambda: downloads.enqueue(quant), "retry": lambda: downloads.retry(quant.id)}[
                action
            ]
            tasks.run(work, None, lambda error: self.banner.show_error(describe(error)), self)

    def _fix(self, action: str) -> None:
        if action == "retry" and self._detail is not None:
            for row in self.model.rows:
                download = self._downloads.get(row.quant.id)
                if download is not None and download.state == "failed":
                    self._act(row.quant, "retry")
            self.banner.hide()
        elif self._detail is not None:
            self.asked.emit(action, self._detail.id)

    def _open_page(self) -> None:
        if self._detail is not None:
            QDesktopServices.openUrl(QUrl(self._services.hub.page_url(self._detail.id)))

    def retranslate(self) -> None:
        """Put the texts in place again."""
        self.page.setText(self.tr("Page on the Hub"))
        self.table.setAccessibleName(self.tr("Files to download"))
        self.card.setAccessibleName(self.tr("Model card"))
        self._show_chips()
        self._show_note()
        self.model.refresh()
        self.table.fit_columns()
        self._fill()

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self.retranslate()
        super().changeEvent(event)


def fit_labels(services: "Services", detail: RepoDetail) -> Mapping[str, str]:
    """Fit by quant id, from the planner's quick estimate on this machine (blocks: asks for the hardware)."""
    from app.planning.fit import Fitter  # noqa: PLC0415 - not before someone looks at a repository

    fitter = Fitter(services.machine(), services.settings.value.engine.n_ctx)
    return {quant.id: fitter.label(quant.bytes, detail.parameters) for quant in detail.quants}
