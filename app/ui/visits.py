"""Where the Discover page has been: searches and repositories, to go back and forward through. No Qt."""

from msgspec import Struct
from msgspec.structs import replace

from app.models.hub_types import SearchFilters, Sort

LIMIT = 100


class Wanted(Struct, frozen=True):
    """One search."""

    words: str = ""
    sort: Sort = "match"
    filters: SearchFilters = SearchFilters()
    fits: bool = False
    """Only what fits this machine."""


class Visit(Struct, frozen=True):
    """A search and the repository that was open beside its results ("" for none)."""

    wanted: Wanted = Wanted()
    repo: str = ""


class Visits:
    """Like a browser's: a new place drops what lay ahead."""

    def __init__(self) -> None:
        self._all = [Visit()]
        self._at = 0
        self._typed = False

    @property
    def here(self) -> Visit:
        """Where we are."""
        return self._all[self._at]

    @property
    def can_go_back(self) -> bool:
        """Whether something lies behind."""
        return self._at > 0

    @property
    def can_go_forward(self) -> bool:
        """Whether something lies ahead."""
        return self._at < len(self._all) - 1

    def search(self, wanted: Wanted, *, typed: bool = False) -> None:
        """A new search; one that is ``typed`` further replaces the one before it."""
        if wanted == self.here.wanted:
            return
        grows = typed and self._typed and not self.here.repo
        self._put(Visit(wanted), instead=grows)
        self._typed = typed

    def open(self, repo: str) -> None:
        """A repository beside the same results."""
        if repo != self.here.repo:
            self._put(replace(self.here, repo=repo), instead=False)
            self._typed = False

    def back(self) -> Visit:
        """One place back."""
        self._at = max(0, self._at - 1)
        self._typed = False
        return self.here

    def forward(self) -> Visit:
        """One place forward."""
        self._at = min(len(self._all) - 1, self._at + 1)
        self._typed = False
        return self.here

    def _put(self, visit: Visit, *, instead: bool) -> None:
        kept = self._all[: self._at] if instead else self._all[: self._at + 1]
        self._all = [*kept, visit][-LIMIT:]
        self._at = len(self._all) - 1
