"""Asks the Hub for the Discover page: one search at a time, page by page; what comes late or again changes nothing."""

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace
from PySide6.QtCore import QObject, Signal

from app.models.hub_types import RepoSummary, SearchFilters, SearchPage
from app.ui import tasks
from app.ui.visits import Wanted

if TYPE_CHECKING:
    from app.compose import Services

_KEPT = 12


class Searcher(QObject):
    """``first`` carries the beginning of a search, ``more`` a further page, ``failed`` (error, whether the first)."""

    first = Signal(object)
    more = Signal(object)
    failed = Signal(object, bool)

    def __init__(self, services: "Services", parent: QObject) -> None:
        super().__init__(parent)
        self._services = services
        self.wanted: Wanted | None = None
        """The search whose results are shown or under way; None after a failure."""
        self._task: tasks.Task[Any] | None = None
        self._known: dict[Wanted, SearchPage] = {}

    @property
    def busy(self) -> bool:
        """Whether an answer is awaited."""
        return self._task is not None

    def ask(self, wanted: Wanted, *, again: bool = False) -> None:
        """Search; what was asked before is there at once unless it is asked ``again``."""
        self._cancel()
        known = self._known.get(wanted)
        self.wanted = wanted
        if known is not None and not again:
            self.first.emit(known)
        else:
            self._run(wanted, None)

    def ask_more(self) -> None:
        """The next page of the search that is shown."""
        known = self._known.get(self.wanted) if self.wanted else None
        if self.wanted is not None and known is not None and known.cursor and self._task is None:
            self._run(self.wanted, known)

    def forget(self) -> None:
        """What was found may look otherwise now (another Hub, another proxy)."""
        self._cancel()
        self._known, self.wanted = {}, None

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _run(self, wanted: Wanted, known: SearchPage | None) -> None:
        services, cursor = self._services, known.cursor if known else None

        def work() -> SearchPage:
            filters = _filters(services, wanted)
            return services.hub.search(wanted.words, sort=wanted.sort, cursor=cursor, filters=filters)

        def done(page: SearchPage) -> None:
            self._task = None
            self._keep(wanted, page, known)
            (self.first if known is None else self.more).emit(page)

        def failed(error: Exception) -> None:
            self._task = None
            if known is None:
                self.wanted = None
            self.failed.emit(error, known is None)

        self._task = tasks.run(work, done, failed, self)

    def _keep(self, wanted: Wanted, page: SearchPage, known: SearchPage | None) -> None:
        seen: dict[str, RepoSummary] = {
            item.id: item for item in (*(known.items if known else ()), *page.items)
        }
        self._known.pop(wanted, None)
        self._known[wanted] = SearchPage(tuple(seen.values()), page.cursor)
        while len(self._known) > _KEPT:
            self._known.pop(next(iter(self._known)))


def _filters(services: "Services", wanted: Wanted) -> SearchFilters | None:
    filters = wanted.filters
    if wanted.fits:
        from app.planning.variants import largest_fitting  # noqa: PLC0415 - not before someone filters by it

        bound = largest_fitting(services.machine(), services.settings.value.engine.n_ctx)
        high = filters.max_parameters
        filters = replace(filters, max_parameters=bound if high is None else min(high, bound))
    return None if filters == SearchFilters() else filters
