"""The Discover page: search the Hub, look at a repository, download one of its files."""

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QComboBox, QLineEdit, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from app.core.errors import HearthError
from app.models.hub_types import RepoDetail, SearchPage
from app.ui import tasks
from app.ui.bridge import Bridge
from app.ui.empty_state import EmptyState
from app.ui.errors import describe
from app.ui.page import Page
from app.ui.pick_list import PickList
from app.ui.repo_view import RepoView
from app.ui.result_list import ResultList, ResultModel
from app.ui.widgets import Banner, make_label

if TYPE_CHECKING:
    from app.compose import Services

_SETTLE_MS = 300
_SORTS = ("trending", "downloads", "likes", "updated")


class DiscoverPage(Page):
    """Results at the left, the chosen repository at the right. An answer that comes late is dropped."""

    def __init__(self, services: "Services", bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(services, bridge, parent)
        self._asked_for: tuple[str, str] | None = None
        self._cursor: str | None = None
        self._search_task: tasks.Task[Any] | None = None
        self._repo_task: tasks.Task[Any] | None = None
        self._repo = ""
        self.search_line, self.sort = QLineEdit(self), QComboBox(self)
        self.results = ResultModel(self)
        self.list = ResultList(self.results, self)
        self.banner, self.status = Banner(self, closable=False), make_label("secondary", self)
        self.nothing = EmptyState(self)
        self.picks, self.repo = PickList(self), RepoView(services, bridge, self)
        self.loading = make_label("muted", self)
        self.repo_banner = Banner(self)
        self._settle = QTimer(self, singleShot=True, interval=_SETTLE_MS)
        self._patience = QTimer(self, singleShot=True, interval=_SETTLE_MS)
        self._patience.timeout.connect(self._show_loading)
        self._lay_out()
        self._connect()
        self.retranslate()

    # ------------------------------------------------------------------ building

    def _lay_out(self) -> None:
        self.search_line.setClearButtonEnabled(True)
        self.search_line.setMinimumWidth(240)
        for value in _SORTS:
            self.sort.addItem(value, value)
        self.header.addSpacing(8)
        self.header.addWidget(self.search_line, 1)
        self.header.addWidget(self.sort)
        self.body.setContentsMargins(0, 0, 0, 0)
        split = QSplitter(Qt.Orientation.Horizontal, self)
        split.addWidget(self._left())
        split.addWidget(self._right())
        split.setChildrenCollapsible(False)
        split.setHandleWidth(1)
        split.setStretchFactor(0, 1)
        split.setStretchFactor(1, 3)
        split.setSizes([280, 660])
        self.body.addWidget(split, 1)

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
        self._settle.timeout.connect(self._search_now)
        self.sort.activated.connect(lambda _at: self._search_now())
        self.results.more_wanted.connect(self._next_page)
        self.list.opened.connect(self.show_repo)
        self.picks.chosen.connect(self.show_repo)
        self.repo.asked.connect(self.asked)
        self.nothing.primary.connect(lambda: self.search(""))
        self.banner.triggered.connect(self._fix)
        self.repo_banner.triggered.connect(self._fix_repo)

    # ------------------------------------------------------------------ searching

    def search(self, words: str) -> None:
        """Search for these words now (empty: what the Hub's users like)."""
        self.search_line.setText(words)
        self._asked_for = None
        self._search_now()
        self.search_line.setFocus()

    def _search_now(self) -> None:
        self._settle.stop()
        wanted = (self.search_line.text().strip(), str(self.sort.currentData()))
        if wanted == self._asked_for:
            return
        self._asked_for = wanted
        self._ask(wanted, None, self._show_first)

    def _next_page(self) -> None:
        if self._asked_for is not None and self._cursor:
            self._ask(self._asked_for, self._cursor, self._show_more)

    def _ask(self, wanted: tuple[str, str], cursor: str | None, done: Any) -> None:
        if self._search_task is not None:
            self._search_task.cancel()
        hub, (words, sort) = self.services.hub, wanted
        self.status.setText(self.tr("Searching…"))
        self._search_task = tasks.run(
            lambda: hub.search(words, sort=sort, cursor=cursor),  # type: ignore[arg-type]
            done,
            self._show_failure,
            self,
        )

    def _show_first(self, page: SearchPage) -> None:
        self.banner.hide()
        self._cursor = page.cursor
        self.results.show_first(page.items, page.cursor is not None)
        self.list.scrollToTop()
        self._show_nothing(not page.items)
        self._show_status()
        if len(page.items) == 1:
            self.show_repo(page.items[0].id)

    def _show_more(self, page: SearchPage) -> None:
        self._cursor = page.cursor
        self.results.add(page.items, page.cursor is not None)
        self._show_status()

    def _show_status(self) -> None:
        count = len(self.results.items)
        more = "+" if self.results.has_more else ""
        self.status.setText(
            self.tr("%n result(s)", "", count).replace(str(count), f"{count}{more}", 1) if count else ""
        )

    def _show_nothing(self, on: bool) -> None:
        words = self.search_line.text().strip()
        self.left.setCurrentWidget(self.nothing if on else self.list)
        if on:
            self.nothing.show_state(
                self.tr("Nothing found"),
                self.tr("No repository with GGUF files matches “{words}”. Try fewer words.").format(
                    words=words
                ),
                self.tr("Clear the search"),
            )

    def _show_failure(self, error: Exception) -> None:
        self.status.setText("")
        self._asked_for = None
        self.left.setCurrentWidget(self.list)
        described = describe(error)
        again = isinstance(error, HearthError)
        self.banner.show_words(
            lambda: describe(error).sentence,
            "bad",
            lambda: describe(error).label or (self.tr("Try again") if again else ""),
            described.action or "retry",
            described.details,
        )

    def _fix(self, action: str) -> None:
        if action == "retry":
            self._asked_for = None
            self._search_now()
        else:
            self.asked.emit(action, None)

    # ------------------------------------------------------------------ one repository

    def show_repo(self, repo: str) -> None:
        """Open a repository's page."""
        if self._repo_task is not None:
            self._repo_task.cancel()
        self._repo = repo
        self.repo_banner.hide()
        self.loading.setText(self.tr("Opening {repo}…").format(repo=repo))
        self._patience.start()
        hub = self.services.hub
        self._repo_task = tasks.run(lambda: hub.repo(repo), self._show_detail, self._show_repo_failure, self)

    def _show_loading(self) -> None:
        # Only when it takes a while: a quick answer must not flicker.
        if self._repo_task is not None:
            self.right.setCurrentWidget(self.loading)

    def _show_detail(self, detail: RepoDetail) -> None:
        self._repo_task = None
        self.repo.show_repo(detail)
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
        if self._asked_for is None:
            self._search_now()

    def focus(self) -> None:
        self.search_line.setFocus()
        self.search_line.selectAll()

    def retranslate(self) -> None:
        self.title.setText(self.tr("Discover"))
        self.search_line.setPlaceholderText(self.tr("Search the Hub, or paste a model's address"))
        self.search_line.setAccessibleName(self.tr("Search the Hub"))
        self.sort.setAccessibleName(self.tr("Order"))
        self.list.setAccessibleName(self.tr("Results"))
        names = {
            "trending": self.tr("Trending"),
            "downloads": self.tr("Most downloaded"),
            "likes": self.tr("Most liked"),
            "updated": self.tr("Recently updated"),
        }
        for at in range(self.sort.count()):
            self.sort.setItemText(at, names[self.sort.itemData(at)])
        self._show_status()
