"""The quants of a repository to compare: what is here, what would be downloaded first, and what is ticked to begin
with."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from app.core.errors import HubError
from app.core.types import ModelRecord
from app.ui.lab_sources import GOOD, quant_of, sources

if TYPE_CHECKING:
    from app.compose import Services

USUAL = "Q4_K_M"


class RepoChoice(Struct, frozen=True):
    """Models of a repository, the finest first; ``missing`` has the bytes to fetch of each (by id, 0: it is here)."""

    repo: str
    records: tuple[ModelRecord, ...]
    missing: dict[str, int] = {}

    def fetched(self, models: Sequence[ModelRecord]) -> tuple[ModelRecord, ...]:
        """Those of ``models`` that are downloaded first."""
        return tuple(model for model in models if self.missing.get(model.id))

    def reference(self) -> ModelRecord:
        """What is taken as the original to begin with: a good one that is here, else Q8_0, else the finest."""
        here = [record for record in self.records if not self.missing.get(record.id)]
        good = [record for record in here if quant_of(record) in GOOD]
        eight = [record for record in self.records if quant_of(record) == "Q8_0"]
        return next(iter([*good, *eight, *self.records]))

    def ticked(self) -> set[str]:
        """Ids: what is here besides the reference; with nothing here the usual quant or the smallest one."""
        reference = self.reference()
        here = {record.id for record in self.records if not self.missing.get(record.id)} - {reference.id}
        others = [record for record in self.records if record.id != reference.id]
        usual = [record.id for record in others if quant_of(record) == USUAL]
        return here or set((usual or [record.id for record in others[-1:]])[:1])


def look(repo: str, services: "Services") -> RepoChoice:
    """What the Hub has of a repository; without the Hub what is here of it (pool thread). Raises HubError when that
    is nothing."""
    from app.optimize.references import as_record, offered  # noqa: PLC0415 - off the GUI thread

    here = sources(services)
    try:
        detail = services.hub.repo(repo)
    except HubError:
        mine = [record for record in here if record.source is not None and record.source.repo == repo]
        if not mine:
            raise
        return RepoChoice(repo, tuple(sorted(mine, key=lambda record: -record.bytes)))
    found = offered(detail, services.paths.models, here)
    records = tuple(as_record(one, detail, here) for one in found)
    missing = {record.id: one.missing for record, one in zip(records, found, strict=True)}
    return RepoChoice(repo, records, missing)
