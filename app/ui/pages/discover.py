"""The Discover page: search the Hub, look at a repository, download one of its files."""

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import (
    QComboBox,
    QLineEdit,
    QPushButton,
    QSplitter,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from app.core.errors import HubUnreachableError
from app.core.events import SettingChanged
from app.models.hub_address import Address, parse_address
from app.models.hub_types import RepoDetail, SearchPage
from app.ui import tab_order, tasks, theme
from app.ui.bridge import Bridge
from app.ui.empty_state import EmptyState
from app.ui.errors import describe
from app.ui.filter_bar import FilterBar
from app.ui.offline_view import OfflineView
from app.ui.page import Page
from app.ui.pick_list import PickList
from app.ui.repo_view import RepoView
from app.ui.result_list import ResultList, ResultModel
from app.ui.searcher import Searcher
from app.ui.visits import Visit, Wanted
from app.ui.ways import Ways
from app.ui.widgets import Banner, Hairline, make_button, make_label

if TYPE_CHECKING:
    from app.compose import Services

_SETTLE_MS = 300
_SORTS = ("match", "trending", "downloads", "likes", "updated")


class DiscoverPage(Page):
    """Results at the left, the chosen repository at the right. An answer that comes late is dropped."""

    def __init__(self, services: "Services", bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(services, bridge, parent)
        self.searcher, self.ways = Searcher(services, self), Ways(self)
        self._repo_task: tasks.Task[Any] | None = None
        self._repo, self._address = "", Address("")
        self.back, self.forward = self.ways.back, self.ways.forward
        self.search_line, self.sort = QLineEdit(self), QComboBox(self)
        self.filters_button: QPushButton = make_button(self._toggle_filters, "", self)
        self.filters = FilterBar(self)
        self.results = ResultModel(self)
        self.list = ResultList(self.results, self)
        self.banner, self.status = Banner(self, closable=False), make_label("secondary", self)
        self.nothing, self.offline = EmptyState(self), OfflineView(services, self)
        self.picks, self.repo = PickList(services, self), RepoView(services, bridge, self)
        self.loading = make_label("muted", self)
        self.repo_banner = Banner(self)
        self._settle = QTimer(self, singleShot=True, interval=_SETTLE_MS)
        self._patience = QTimer(self, singleShot=True, interval=_SETTLE_MS)
        self._lay_out()
        self._connect()
        bridge.on(SettingChanged, self._on_setting, self)
        self.retranslate()

    # ------------------------------------------------------------------ building

    def _lay_out(self) -> None:
        self.search_line.setClearButtonEnabled(True)
        self.search_line.setMinimumWidth(180)
        for value in _SORTS:
            self.sort.addItem(value, value)
        self.filters_button.setCheckable(True)
        self.header.addSpacing(4)
        for widget in (self.back, self.forward):
            self.header.addWidget(widget)
        self.header.addWidget(self.search_line, 1)
        self.header.addWidget(self.filters_button)
        self.header.addWidget(self.sort)
        self.body.setContentsMargins(0, 0, 0, 0)
        self.body.setSpacing(0)
        self._under_filters = Hairline(self)
        self.body.addWidget(self.filters)
        self.body.addWidget(self._under_filters)
        self.filters.hide()
        self._under_filters.hide()
        self.whole = QStackedWidget(self)
        self.whole.addWidget(self._split())
        self.whole.addWidget(self.offline)
        self.body.addWidget(self.whole, 1)

    def _split(self) -> QSplitter:
        split = QSplitter(Qt.Orientation.Horizontal, self)
        split.addWidget(self._left())
        split.addWidget(self._right())
        split.setChildrenCollapsible(False)
        split.setHandleWidth(1)
        split.setStretchFactor(0, 1)
        split.setStretchFactor(1, 3)
        split.setSizes([312, 628])
        return split

    def _left(self) -> QWidget:
        self.list.setProperty("role", "flat")
        left = QWidget(self)
        column = QVBoxLayout(left)
        column.setContentsMargins(8, 8, 8, 0)
        column.setSpacing(4)
        column.addWidget(self.banner)
        column.addWidget(self.status)
        self.left = QStackedWidget(left)
        self.left.addWidget(self.list)
        self.left.addWidget(self.nothing)
        column.addWidget(self.left, 1)
        self.status.setContentsMargins(12, 0, 0, 0)
        left.setMinimumWidth(240)
        left.setMaximumWidth(480)
        return left

    def _right(self) -> QWidget:
        right = QWidget(self)
        beside = QVBoxLayout(right)
        beside.setContentsMargins(0, 0, 0, 0)
        beside.addWidget(self.repo_banner)
        self.right = QStackedWidget(right)
        for widget in (self.picks, self.repo, self.loading):
            self.right.addWidget(widget)
        beside.addWidget(self.right, 1)
        self.loading.setAlignment(Qt.AlignmentFlag.AlignCenter)
        return right

    def _connect(self) -> None:
        self.search_line.textEdited.connect(lambda _text: self._settle.start())
        self.search_line.returnPressed.connect(self._search_now)
        self._settle.timeout.connect(lambda: self._search_now(typed=True))
        self._patience.timeout.connect(self._show_loading)
        self.sort.activated.connect(lambda _at: self._search_now())
        self.filters.changed.connect(self._search_now)
        self.searcher.first.connect(self._show_first)
        self.searcher.more.connect(self._show_more)
        self.searcher.failed.connect(self._show_failure)
        self.results.more_wanted.connect(self._next_page)
        self.list.opened.connect(self.show_repo)
        tab_order.go_down(self.search_line, self.list)
        self.picks.chosen.connect(self.show_repo)
        self.repo.asked.connect(self.asked)
        self.nothing.primary.connect(self._clear)
        self.offline.again.connect(self._retry)
        self.offline.library_asked.connect(lambda: self.asked.emit("library", ""))
        self.banner.triggered.connect(self._fix)
        self.repo_banner.triggered.connect(self._fix_repo)
        self.ways.go.connect(self._go)
        self.ways.watch((self.list, self.picks, self.repo, self.repo.table, self.repo.card))

    # ------------------------------------------------------------------ searching

    def search(self, words: str) -> None:
        """Search for these words now (empty: what the Hub's users like)."""
        self.search_line.setText(words)
        self._search_now(again=True)
        self.search_line.setFocus()

    def _wanted(self) -> Wanted:
        words = self.search_line.text().strip()
        return self.filters.choice(Wanted(words, self.sort.currentData()))

    def _search_now(self, *, typed: bool = False, again: bool = False) -> None:
        self._settle.stop()
        self.ways.going = False
        wanted = self._wanted()
        self._name_filters()
        if wanted == self.searcher.wanted and not again:
            return
        self.ways.search(wanted, typed=typed)
        self._ask(wanted, again=True)

    def _ask(self, wanted: Wanted, *, again: bool = False) -> None:
        """``again``: from the Hub also when it was asked before (only going back shows what was found then)."""
        self._address = parse_address(wanted.words, self.services.hub.endpoint) or Address("")
        self.banner.hide()
        self.searcher.ask(wanted, again=again)
        self._show_status()

    def _next_page(self) -> None:
        self.searcher.ask_more()
        self.status.setText(self.tr("Fetching more…"))

    def _retry(self) -> None:
        self._search_now(again=True)

    def _clear(self) -> None:
        self.filters.show_choice(Wanted())
        self.search("")

    def _show_first(self, page: SearchPage) -> None:
        self.banner.hide()
        self.whole.setCurrentIndex(0)
        self.results.show_first(page.items, page.cursor is not None)
        self.list.scrollToTop()
        self._show_nothing(not page.items)
        self._show_status()
        if len(page.items) == 1 and not self.ways.going:
            self._open(page.items[0].id, self._address)

    def _show_more(self, page: SearchPage) -> None:
        self.results.add(page.items, page.cursor is not None)
        self._show_status()

    def _show_status(self) -> None:
        if self.searcher.busy:
            self.status.setText(self.tr("Searching…"))
            return
        count = len(self.results.items)
        more = "+" if self.results.has_more else ""
        self.status.setText(
            self.tr("%n result(s)", "", count).replace(str(count), f"{count}{more}", 1) if count else ""
        )

    def _show_nothing(self, on: bool) -> None:
        self.left.setCurrentWidget(self.nothing if on else self.list)
        if not on:
            return
        words = self.search_line.text().strip()
        if "://" in words and not self._address.repo:
            text = self.tr("“{words}” is not the address of a model on the Hub.")
        elif self.filters.count():
            text = self.tr("No repository with GGUF files matches “{words}” and the filters.")
        else:
            text = self.tr("No repository with GGUF files matches “{words}”. Try fewer words.")
        self.nothing.show_state(
            self.tr("Nothing found"), text.format(words=words), self.tr("Clear the search")
        )

    def _show_failure(self, error: Exception, first: bool) -> None:
        described = describe(error)
        if first and isinstance(error, HubUnreachableError):
            self.results.show_first((), False)
            self.offline.show_reason(error)
            self.whole.setCurrentWidget(self.offline)
            return
        self.left.setCurrentWidget(self.list)
        if first:  # what an earlier search found is no answer to this one
            self.results.show_first((), False)
        self._show_status()
        self.results.stalled()
        label = described.label or self.tr("Try again")
        action = (described.action or "retry") if first else "more"
        self.banner.show_words(described.sentence, "bad", label, action, described.details)

    def _fix(self, action: str) -> None:
        again = {"more": self.list, "retry": self.search_line}.get(action)
        if again is not None:  # else Qt looks for a place itself, once the button is gone
            again.setFocus()
        self.banner.hide()
        if action == "more":
            self._next_page()
        elif action == "retry":
            self._retry()
        else:
            self.asked.emit(action, None)

    def _on_setting(self, event: SettingChanged) -> None:
        if event.key.startswith("hub."):
            self.searcher.forget()
            if self.isVisible():
                self._search_now(again=True)

    # ------------------------------------------------------------------ filters

    def _toggle_filters(self) -> None:
        on = self.filters_button.isChecked()
        self.filters.setVisible(on)
        self._under_filters.setVisible(on)
        if on:
            self.filters.task.setFocus()

    def _name_filters(self) -> None:
        count = self.filters.count()
        self.filters_button.setText(
            self.tr("Filters ({count})").format(count=count) if count else self.tr("Filters")
        )

    # ------------------------------------------------------------------ back and forward

    def _go(self, visit: Visit) -> None:
        self._settle.stop()
        self.search_line.setText(visit.wanted.words)
        self.sort.setCurrentIndex(max(0, self.sort.findData(visit.wanted.sort)))
        self.filters.show_choice(visit.wanted)
        self._name_filters()
        if visit.wanted != self.searcher.wanted:
            self._ask(visit.wanted)
        if visit.repo:
            self._open(visit.repo)
        else:
            self._close_repo()
        self.ways.going = self.searcher.busy

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if not self.ways.turn(event):
            super().mousePressEvent(event)

    # ------------------------------------------------------------------ one repository

    def show_repo(self, repo: str) -> None:
        """Open a repository's page (``owner/name``, or with ``:QUANT``)."""
        self._open(repo)

    def _open(self, repo: str, address: Address | None = None) -> None:
        asked = address if address and address.repo == repo else parse_address(repo) or Address(repo)
        self.ways.going = self.ways.going and self.searcher.busy
        self.ways.open(repo)
        if self._repo_task is not None:
            self._repo_task.cancel()
        self._repo = repo
        self.repo_banner.hide()
        self.loading.setText(self.tr("Opening {repo}…").format(repo=repo))
        self._patience.start()
        hub, point = self.services.hub, asked.file or asked.quant or ""
        self._repo_task = tasks.run(
            lambda: hub.repo(asked.repo or repo, asked.revision),
            lambda detail: self._show_detail(detail, point),
            self._show_repo_failure,
            self,
        )

    def _close_repo(self) -> None:
        if self._repo_task is not None:
            self._repo_task.cancel()
            self._repo_task = None
        self._repo = ""
        self.list.clear_choice()
        self.right.setCurrentWidget(self.picks)

    def _show_loading(self) -> None:
        # Only when it takes a while: a quick answer must not flicker.
        if self._repo_task is not None:
            self.right.setCurrentWidget(self.loading)

    def _show_detail(self, detail: RepoDetail, point: str) -> None:
        self._repo_task = None
        self.repo.show_repo(detail, point)
        self.list.show_choice(detail.id)
        self.right.setCurrentWidget(self.repo)

    def _show_repo_failure(self, error: Exception) -> None:
        self._repo_task = None
        self.right.setCurrentWidget(self.picks)
        self.repo_banner.show_error(describe(error))

    def _fix_repo(self, action: str) -> None:
        if action in {"retry", "search"} and self._repo:
            self.show_repo(self._repo)
        else:
            self.asked.emit(action, self._repo)

    # ------------------------------------------------------------------ page

    def entered(self) -> None:
        if self.searcher.wanted is None:
            self._search_now(again=True)

    def restyle(self) -> None:
        self.filters_button.setIcon(theme.icon("filter"))

    def areas(self) -> list[QWidget]:
        """What F6 goes through."""
        return [self.bar, self.filters, self.left, self.right, self.offline]

    def focus(self) -> None:
        self.search_line.setFocus()
        self.search_line.selectAll()

    def retranslate(self) -> None:
        self.title.setText(self.tr("Discover"))
        self.search_line.setPlaceholderText(self.tr("Search the Hub, or paste a model's address"))
        self.search_line.setAccessibleName(self.tr("Search the Hub"))
        self.sort.setAccessibleName(self.tr("Order"))
        self.list.setAccessibleName(self.tr("Results"))
        self.ways.retranslate()
        names = {
            "match": self.tr("Best match"),
            "trending": self.tr("Trending"),
            "downloads": self.tr("Most downloaded"),
            "likes": self.tr("Most liked"),
            "updated": self.tr("Recently updated"),
        }
        for at in range(self.sort.count()):
            self.sort.setItemText(at, names[self.sort.itemData(at)])
        self._name_filters()
        self.restyle()
        self._show_status()
        self._show_nothing(self.left.currentWidget() is self.nothing)
        self.offline.retranslate()
