"""Is there a newer file on the Hub than the one we have? Pure: the caller asks the Hub for the repository."""

from pathlib import PurePath
from typing import Literal

from msgspec import Struct

from app.core.types import ModelRecord
from app.models import quants
from app.models.hub_types import QuantFile, RepoDetail

Verdict = Literal["same", "newer", "gone", "unknown"]


class Update(Struct, frozen=True):
    """``same``: the Hub has these very bytes. ``newer``: other bytes under the same name, in ``quant``. ``gone``: the
    repository no longer has it. ``unknown``: sizes are equal, but there is no hash to compare with."""

    verdict: Verdict
    revision: str = ""
    updated: float | None = None
    quant: QuantFile | None = None


def compare(record: ModelRecord, detail: RepoDetail) -> Update:
    """Compare a model with its repository as it is now. A commit that changed only the card is no newer file."""
    quant = _counterpart(record, detail)
    if quant is None:
        return Update("gone", detail.revision, detail.updated)
    return Update(_verdict(record, quant), detail.revision, detail.updated, quant)


def _counterpart(record: ModelRecord, detail: RepoDetail) -> QuantFile | None:
    file = record.source.file if record.source else ""
    own = PurePath(record.path).name
    for wanted, of in ((file, str), (own, lambda name: PurePath(name).name)):
        for quant in detail.quants:
            if any(of(part.name) == wanted for part in quant.files):
                return quant
    name = (record.summary.quant if record.summary else "") or quants.parse_quant(own)
    kind = record.summary.kind if record.summary else "text"
    return next((item for item in detail.quants if item.quant == name and item.kind == kind), None)


def _verdict(record: ModelRecord, quant: QuantFile) -> Verdict:
    ours, theirs = [file.sha256 for file in record.files], [part.sha256 for part in quant.files]
    if [file.bytes for file in record.files] != [part.size for part in quant.files]:
        return "newer"
    if None not in ours and None not in theirs:
        return "same" if ours == theirs else "newer"
    revision = record.source.revision if record.source else ""
    return "same" if revision and revision == quant.revision else "unknown"
