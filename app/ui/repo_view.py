"""One repository: its facts, its files with what each takes here, and its card."""

from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QEvent, Qt, QTimer, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QImage
from PySide6.QtWidgets import QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from app.core.errors import HearthError
from app.core.events import DownloadChanged, LibraryChanged, SettingChanged
from app.models.hub_types import QuantFile, RepoDetail
from app.models.projectors import projector_for
from app.ui import tasks, words
from app.ui.bridge import Bridge
from app.ui.card_browser import CardBrowser, decoded
from app.ui.errors import describe
from app.ui.prospects import Prospect, Prospects, closer_look, merged, quick_look
from app.ui.quant_cell import QuantRow
from app.ui.quant_table import QuantTable
from app.ui.recommend import Choice, recommend
from app.ui.repo_head import RepoHead
from app.ui.widgets import Banner, make_button, make_label

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.compose import Services


_LAST = ("projector", "draft", "imatrix", "adapter", "other")
_PICTURES = 20


class RepoView(QScrollArea):
    """All of it scrolls as one. ``asked`` carries commands of the window, as a page's does."""

    asked = Signal(str, object)

    def __init__(self, services: "Services", bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._detail: RepoDetail | None = None
        self._point = ""
        self.prospects = Prospects()
        self._here: set[str] = set()
        self._downloads = {item.id: item for item in services.downloads.snapshots()}
        self._tasks: list[tasks.Task[Any]] = []
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._content = QWidget(self)
        self.setWidget(self._content)
        self.head, self.banner = RepoHead(self), Banner(self)
        self.note = make_label("secondary", self, wrap=True)
        self.measure = make_button(self._measure, "link", self, compact=True)
        self.table = QuantTable(self)
        self.card_title = make_label("heading", self)
        self.pictures = make_button(self._fetch_pictures, "link", self, compact=True)
        self.card = CardBrowser(self)
        self._lay_out()
        bridge.on(DownloadChanged, self._on_download, self)
        bridge.on(LibraryChanged, lambda _event: self._read_library(), self)
        bridge.on(SettingChanged, self._on_setting, self)
        self.head.page_asked.connect(self._open_page)
        self.head.compare_asked.connect(self._ask_compare)
        self.table.pressed.connect(self._act)
        self.banner.triggered.connect(self._fix)
        self.retranslate()

    # ------------------------------------------------------------------ building

    def _lay_out(self) -> None:
        about, title = QHBoxLayout(), QHBoxLayout()
        about.addWidget(self.note, 1)
        about.addWidget(self.measure, 0, Qt.AlignmentFlag.AlignTop)
        title.addWidget(self.card_title)
        title.addStretch(1)
        title.addWidget(self.pictures)
        column = QVBoxLayout(self._content)
        column.setContentsMargins(16, 12, 16, 12)
        column.setSpacing(8)
        for part in (self.head, self.banner, about, self.table, title):
            if isinstance(part, QWidget):
                column.addWidget(part)
            else:
                column.addLayout(part)
        column.addWidget(self.card)
        column.addStretch(1)
        self.measure.hide()
        self.pictures.hide()

    # ------------------------------------------------------------------ content

    def show_repo(self, detail: RepoDetail, point: str = "") -> None:
        """Show a repository, pointing at a quant or a file; what it would mean here and its card follow."""
        self._drop_tasks()
        self._detail, self._point, self.prospects = detail, point, Prospects()
        self.head.show_detail(detail)
        self.banner.hide()
        self.measure.hide()
        self._show_gate()
        self.table.model_.set_rows(())
        self._fill()
        self._show_card("")
        self.verticalScrollBar().setValue(0)
        self.card.repo_url = self._services.hub.page_url(detail.id) + "/blob/main"
        services = self._services
        self._run(lambda: quick_look(services, detail), self._show_quick)
        self._run(lambda: services.hub.card(detail.id), self._show_card)
        self._read_library()

    def _run(self, work: Any, done: Any, failed: Any = None) -> None:
        self._tasks.append(tasks.run(work, done, failed or (lambda _error: None), self))

    def _drop_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._tasks = []

    def _show_quick(self, found: Prospects) -> None:
        self.prospects = found
        self._fill()
        self._look_closer()

    def _look_closer(self) -> None:
        detail, quick, services, choice = self._detail, self.prospects, self._services, self._choice()
        if detail is not None and quick.of:
            first = choice.id if choice else ""
            self._run(lambda: merged(quick, closer_look(services, detail, first)), self._show_close)

    def _show_close(self, found: Prospects) -> None:
        self.prospects = found
        self.head.show_summary(found.summary)
        self.measure.setVisible(not found.measured)
        self._fill()

    def _read_library(self) -> None:
        library = self._services.library
        tasks.run(lambda: {record.id for record in library.records()}, self._show_here, lambda _e: None, self)

    def _show_here(self, ids: set[str]) -> None:
        self._here = ids
        self._fill()

    def _choice(self) -> Choice | None:
        fits = {key: found.fit for key, found in self.prospects.of.items() if found.fit}
        return recommend(self._detail.quants, fits) if self._detail else None

    def _fill(self) -> None:
        if self._detail is None:
            return
        choice, of = self._choice(), self.prospects.of
        quants = sorted(self._detail.quants, key=lambda item: (item.kind in _LAST, item.bytes))
        rows = [
            QuantRow(
                quant,
                of.get(quant.id, Prospect()),
                choice is not None and quant.id == choice.id,
                quant.id in self._here,
            )
            for quant in quants
        ]
        self.table.show_rows(rows, self._downloads)
        self._show_note(choice)
        if self._point and self.table.point_at(self._point):
            self._point = ""
            QTimer.singleShot(0, self._show_point)

    def _show_point(self) -> None:
        row = self.table.visualRect(self.table.currentIndex())
        where = self.table.viewport().mapTo(self._content, row.center())
        self.ensureVisible(where.x(), where.y(), 0, row.height())

    # ------------------------------------------------------------------ the card

    def _show_card(self, text: str) -> None:
        self.card.show_markdown(text)
        self.card_title.setVisible(bool(text))
        self._show_pictures_button()

    def _show_pictures_button(self) -> None:
        count = len(self.card.pictures)
        self.pictures.setVisible(count > 0 and not self.card.has_pictures)
        self.pictures.setText(self.tr("Show %n picture(s)", "", count))
        self.pictures.setToolTip(
            self.tr("They are fetched from where the card says, which then knows your address.")
        )

    def _fetch_pictures(self) -> None:
        detail, hub = self._detail, self._services.hub
        if detail is None:
            return
        wanted = self.card.pictures[:_PICTURES]
        self.pictures.setEnabled(False)

        def fetch() -> dict[str, QImage]:
            found = {}
            for address in wanted:
                try:
                    found[address] = decoded(hub.image(detail.id, address))
                except HearthError:
                    continue
            return found

        self._run(fetch, self._show_pictures)

    def _show_pictures(self, fetched: dict[str, QImage]) -> None:
        self.card.show_pictures(fetched)
        self.pictures.setEnabled(True)
        self.pictures.hide()

    # ------------------------------------------------------------------ words above the table

    def _show_gate(self) -> None:
        if self._detail is not None and self._detail.gated:
            repo = self._detail.id
            self.banner.show_words(
                lambda: self.tr("{repo} asks you to accept its licence before you download.").format(repo=repo),
                "warn", lambda: self.tr("Open its page"), "open_license",
            )  # fmt: skip

    def _show_note(self, choice: Choice | None) -> None:
        if self._detail is None:
            return
        self.note.setText(self._note_words(self._detail, choice))
        self.note.setVisible(bool(self.note.text()))

    def _note_words(self, detail: RepoDetail, choice: Choice | None) -> str:
        if not detail.quants:
            return self.tr("This repository has no GGUF file.")
        if choice is None:
            known = any(found.fit for found in self.prospects.of.values())
            return self.tr("None of these files fits this machine wholly.") if known else ""
        name = next(quant.quant for quant in detail.quants if quant.id == choice.id)
        reason = {
            "usual": self.tr("{quant} is recommended: the usual balance of size and quality"),
            "trained": self.tr("{quant} is recommended: the model was trained for this format"),
            "best": self.tr("{quant} is recommended: the best that fits here"),
            "smallest": self.tr("{quant} is recommended: the smallest there is"),
        }[choice.why].format(quant=name)
        found = self.prospects.of.get(choice.id)
        fits = {
            "full_gpu": self.tr(", and it runs wholly on the GPU."),
            "fits_in_memory": self.tr(", and it fits in memory."),
        }
        return reason + fits.get(found.fit if found else "", ".")

    def _measure(self) -> None:
        outlook = self._services.outlook
        self.measure.setEnabled(False)
        self.measure.setText(self.tr("Measuring, up to a minute…"))
        tasks.run(outlook.measure, self._measured, self._not_measured, self, long=True)

    def _measured(self, _none: object) -> None:
        self._name_measure()
        self._look_closer()

    def _not_measured(self, error: Exception) -> None:
        self._name_measure()
        self.banner.show_error(describe(error))

    def _name_measure(self) -> None:
        self.measure.setEnabled(True)
        self.measure.setText(self.tr("Measure this machine's speed"))
        self.measure.setToolTip(
            self.tr("Then every file here shows how quick it would be, before a download.")
        )

    # ------------------------------------------------------------------ what happens

    def _on_download(self, event: DownloadChanged) -> None:
        self._downloads[event.id] = event
        if self.table.show_download(event) and event.state == "failed" and event.error is not None:
            self.banner.show_error(describe(event.error))

    def _on_setting(self, event: SettingChanged) -> None:
        if event.key.startswith("engine.") and self._detail is not None and self.isVisible():
            services, detail = self._services, self._detail
            self._run(lambda: quick_look(services, detail), self._show_quick)

    def _act(self, key: str, action: str) -> None:
        if action == "load":
            self.asked.emit("load", key)
            return
        downloads = self._services.downloads
        quant = next((row.quant for row in self.table.model_.rows if row.quant.id == key), None)
        if quant is None:
            return
        work: dict[str, Callable[[], object]] = {
            "download": partial(self._fetch, quant),
            "retry": partial(downloads.retry, key),
            "cancel": partial(downloads.cancel, key),
            "pause": partial(downloads.pause, key),
            "resume": partial(downloads.resume, key),
        }
        if action in {"download", "retry"}:
            self.asked.emit("downloading", key)
        if action == "download":
            self._tell_projector(quant)
        tasks.run(work[action], None, lambda error: self.banner.show_error(describe(error)), self)

    def _fetch(self, quant: QuantFile) -> None:
        # On the pool: the library may read the disk.
        quants = [row.quant for row in self.table.model_.rows]
        downloads = self._services.downloads
        downloads.enqueue(quant)
        if beside := projector_for(quant, quants, self._services.library.records()):
            downloads.enqueue(beside)

    def _tell_projector(self, quant: QuantFile) -> None:
        quants = [row.quant for row in self.table.model_.rows]
        beside = projector_for(quant, quants, ())
        if beside is None or beside.id in self._downloads:
            return
        size = words.size(beside.bytes)
        self.banner.show_words(
            lambda: self.tr(
                "The vision projector ({size}) comes too, so that the model sees images. Stop it in the list if you "
                "don't need it."
            ).format(size=size)
        )

    def _fix(self, action: str) -> None:
        if action in {"retry", "download_again"}:
            for row in self.table.model_.rows:
                download = self._downloads.get(row.quant.id)
                if download is not None and download.state == "failed":
                    self._act(row.quant.id, "retry")
            self.banner.hide()
        elif self._detail is not None:
            self.asked.emit(action, self._detail.id)

    def _ask_compare(self) -> None:
        if self._detail is not None:
            self.asked.emit("compare_quants", self._detail.id)

    def _open_page(self) -> None:
        if self._detail is not None:
            QDesktopServices.openUrl(QUrl(self._services.hub.page_url(self._detail.id)))

    def retranslate(self) -> None:
        """Put the texts in place again."""
        self.table.setAccessibleName(self.tr("Files to download"))
        self.card.setAccessibleName(self.tr("Model card"))
        self.card_title.setText(self.tr("Model card"))
        self._name_measure()
        self._show_pictures_button()
        self.table.model_.refresh()
        self.table.fit_columns()
        self._fill()

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self.retranslate()
        super().changeEvent(event)
